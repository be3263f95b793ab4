/* The command line and configuration files. */
#include "vmm/config.h"

#include <ctype.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/log.h"

#define MIN_MEM	 (16 * MIB)
#define MAX_MEM	 (1024 * GIB)
#define MAX_LINE 8192

const char config_help[] =
	"usage: minivmm --kernel FILE [OPTION]...\n"
	"Boots a Linux kernel in a KVM virtual machine.\n"
	"\n"
	"  --kernel FILE      bzImage, or vmlinux (ELF)\n"
	"  --initrd FILE      initial RAM disk\n"
	"  --append TEXT      kernel command line\n"
	"  --mem SIZE         memory, such as 512M or 4G (256M)\n"
	"  --cpus N           virtual CPUs (1)\n"
	"  --net TAP          network card on tap TAP, which is made if need be; or a list of\n"
	"                     tap=NAME | fd=N | bridge=NAME (a tap of its own on that bridge),\n"
	"                     mac=ADDRESS, mtu=N, offload=on|off, mergeable=on|off,\n"
	"                     queue-size=N (256), poll=MICROSECONDS, transport=mmio|pci\n"
	"  --disk FILE[,ro]   disk with the contents of FILE (raw); also transport=mmio|pci\n"
	"  --rng              entropy device\n"
	"  --transport KIND   mmio or pci, for devices that do not say (pci)\n"
	"  --console WHERE    serial port: a file to write to, or none (standard input and "
	"output;\n"
	"                     on a terminal Ctrl-A x ends, Ctrl-A h helps)\n"
	"  --timeout TIME     end the machine after TIME, such as 500ms, 30s or 5m\n"
	"  --expect-status    status 126 if the guest ends without reporting a status\n"
	"  --stats FILE       write counters and boot phases as JSON at the end and on SIGUSR1\n"
	"                     (- for standard error)\n"
	"  --config FILE      read options from FILE, one 'name = value' a line\n"
	"  --verbose          say what is chosen and why\n"
	"  --help, --version\n"
	"\n"
	"--net and --disk may be given several times.\n"
	"Exit status: 0 the guest powered off or reset; 1-123 the status it reported on I/O port\n"
	"0xf4; 124 timed out; 125 minivmm could not do what was asked; 126 the guest crashed;\n"
	"128+N minivmm was ended by signal N.\n";

/* One option: how its value is read, where it goes. */
struct option {
	const char *name;
	bool flag; /* takes no value on the command line; on or off in a file */
	int (*set)(struct config *config, const char *name, const char *value);
};

/* ---- values ---- */

static int bad_value(const char *name, const char *value, const char *wanted)
{
	log_error("bad value '%s' for %s: expected %s", value, name, wanted);
	return -EINVAL;
}

/* A decimal number with one of @units behind it; the units are "name=factor" by position. */
struct unit {
	const char *name;
	uint64_t factor;
};

static int parse_scaled(const char *text, const struct unit *units, unsigned int nr_units,
			uint64_t *out)
{
	unsigned long long v;
	char *end;

	if (!isdigit((unsigned char)text[0]))
		return -EINVAL;
	errno = 0;
	v = strtoull(text, &end, 10);
	if (errno)
		return -EINVAL;
	for (unsigned int i = 0; i < nr_units; i++)
		if (!strcasecmp(end, units[i].name))
			return __builtin_mul_overflow(v, units[i].factor, out) ? -EINVAL : 0;
	return -EINVAL;
}

static int parse_size(const char *text, uint64_t *out)
{
	static const struct unit units[] = { { "", 1 }, { "K", KIB }, { "M", MIB }, { "G", GIB } };

	return parse_scaled(text, units, ARRAY_SIZE(units), out);
}

static int parse_time_ms(const char *text, uint64_t *out)
{
	static const struct unit units[] = {
		{ "ms", 1 }, { "s", 1000 }, { "m", 60000 }, { "h", 3600000 }
	};

	return parse_scaled(text, units, ARRAY_SIZE(units), out);
}

static int parse_number(const char *name, const char *text, unsigned int min, unsigned int max,
			unsigned int *out)
{
	static const struct unit units[] = { { "", 1 } };
	char wanted[64];
	uint64_t v;

	if (parse_scaled(text, units, ARRAY_SIZE(units), &v) || v < min || v > max) {
		snprintf(wanted, sizeof(wanted), "a number from %u to %u", min, max);
		return bad_value(name, text, wanted);
	}
	*out = (unsigned int)v;
	return 0;
}

static int parse_switch(const char *name, const char *text, bool *out)
{
	if (strcmp(text, "on") && strcmp(text, "off"))
		return bad_value(name, text, "on or off");
	*out = !strcmp(text, "on");
	return 0;
}

static int parse_transport(const char *name, const char *text, enum config_transport *out)
{
	if (!strcmp(text, "mmio"))
		*out = TRANSPORT_MMIO;
	else if (!strcmp(text, "pci"))
		*out = TRANSPORT_PCI;
	else
		return bad_value(name, text, "mmio or pci");
	return 0;
}

static int parse_mac(const char *text, uint8_t mac[6])
{
	char tail;
	unsigned int b[6];

	if (strlen(text) != 17 || sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x%c", &b[0], &b[1], &b[2],
					 &b[3], &b[4], &b[5], &tail) != 6)
		return bad_value("mac", text, "an address such as 52:54:00:12:34:56");
	for (int i = 0; i < 6; i++)
		mac[i] = (uint8_t)b[i];
	if (mac[0] & 1)
		return bad_value("mac", text, "a unicast address (the first byte even)");
	return 0;
}

/* ---- names ---- */

/* Edit distance, for names of ordinary length. */
static unsigned int distance(const char *a, const char *b)
{
	unsigned int row[64];
	const unsigned int n = (unsigned int)strnlen(b, ARRAY_SIZE(row) - 1);

	for (unsigned int j = 0; j <= n; j++)
		row[j] = j;
	for (unsigned int i = 1; *a && i < ARRAY_SIZE(row); i++, a++) {
		unsigned int diagonal = row[0];

		row[0] = i;
		for (unsigned int j = 1; j <= n; j++) {
			const unsigned int above = row[j];
			const unsigned int change = diagonal + (*a != b[j - 1]);
			const unsigned int grow = MIN(above, row[j - 1]) + 1;

			row[j] = MIN(grow, change);
			diagonal = above;
		}
	}
	return row[n];
}

/* "unknown WHAT 'NAME' (did you mean 'NEAREST'?)"; names are the first members of @table's rows. */
static int unknown(const char *what, const char *name, const void *table, size_t nr, size_t row)
{
	const char *nearest = NULL;
	unsigned int best = ~0u;

	for (size_t i = 0; i < nr; i++) {
		const char *candidate = *(const char *const *)((const char *)table + i * row);
		const unsigned int d = distance(name, candidate);

		if (d < best) {
			best = d;
			nearest = candidate;
		}
	}
	log_error("unknown %s '%s' (the nearest is '%s'; see --help)", what, name, nearest);
	return -EINVAL;
}

/* ---- devices: key=value lists ---- */

struct device_key {
	const char *name;
	int (*set)(void *device, const char *name, const char *value);
};

static int net_tap(void *device, const char *name, const char *value)
{
	if (!*value || strlen(value) >= IFNAMSIZ || strchr(value, '/'))
		return bad_value(name, value, "an interface name of at most 15 characters");
	((struct config_net *)device)->tap = value;
	return 0;
}

static int net_bridge(void *device, const char *name, const char *value)
{
	if (!*value || strlen(value) >= IFNAMSIZ || strchr(value, '/'))
		return bad_value(name, value, "an interface name of at most 15 characters");
	((struct config_net *)device)->bridge = value;
	return 0;
}

static int net_fd(void *device, const char *name, const char *value)
{
	unsigned int fd;
	int ret = parse_number(name, value, 0, 1u << 20, &fd);

	if (!ret)
		((struct config_net *)device)->fd = (int)fd;
	return ret;
}

static int net_mac(void *device, const char *name, const char *value)
{
	struct config_net *net = device;

	(void)name;
	net->has_mac = true;
	return parse_mac(value, net->mac);
}

static int net_mtu(void *device, const char *name, const char *value)
{
	return parse_number(name, value, 68, 65535, &((struct config_net *)device)->mtu);
}

static int net_queue_size(void *device, const char *name, const char *value)
{
	struct config_net *net = device;
	int ret = parse_number(name, value, 2, 1024, &net->queue_size);

	if (!ret && !IS_POWER_OF_2(net->queue_size))
		return bad_value(name, value, "a power of two");
	return ret;
}

static int net_poll(void *device, const char *name, const char *value)
{
	return parse_number(name, value, 0, 1000000, &((struct config_net *)device)->poll_us);
}

static int net_offload(void *device, const char *name, const char *value)
{
	return parse_switch(name, value, &((struct config_net *)device)->offload);
}

static int net_mergeable(void *device, const char *name, const char *value)
{
	return parse_switch(name, value, &((struct config_net *)device)->mergeable);
}

static int net_transport(void *device, const char *name, const char *value)
{
	return parse_transport(name, value, &((struct config_net *)device)->transport);
}

static const struct device_key net_keys[] = {
	{ "tap", net_tap },
	{ "fd", net_fd },
	{ "bridge", net_bridge },
	{ "mac", net_mac },
	{ "mtu", net_mtu },
	{ "offload", net_offload },
	{ "mergeable", net_mergeable },
	{ "queue-size", net_queue_size },
	{ "poll", net_poll },
	{ "transport", net_transport },
};

static int disk_path(void *device, const char *name, const char *value)
{
	if (!*value)
		return bad_value(name, value, "a file");
	((struct config_disk *)device)->path = value;
	return 0;
}

static int disk_readonly(void *device, const char *name, const char *value)
{
	return parse_switch(name, value, &((struct config_disk *)device)->readonly);
}

static int disk_transport(void *device, const char *name, const char *value)
{
	return parse_transport(name, value, &((struct config_disk *)device)->transport);
}

static const struct device_key disk_keys[] = {
	{ "file", disk_path },
	{ "ro", disk_readonly },
	{ "transport", disk_transport },
};

/*
 * "first,key=value,...": a first word without '=' is the value of the first key, a later one a switch
 * that is turned on.
 */
static int parse_device(void *device, const char *option, const char *text,
			const struct device_key *keys, unsigned int nr_keys)
{
	char *list = strdup(text), *word;
	bool first = true;

	if (!list)
		return -ENOMEM;
	/* The pieces stay: the configuration points into them. */
	while ((word = strsep(&list, ","))) {
		char *value = strchr(word, '=');
		const char *name = word;
		unsigned int i = 0;
		int ret;

		if (value) {
			*value++ = '\0';
		} else if (first) {
			value = word;
			name = keys[0].name;
		} else {
			value = (char *)"on";
		}
		while (i < nr_keys && strcmp(keys[i].name, name))
			i++;
		if (i == nr_keys) {
			char what[32];

			snprintf(what, sizeof(what), "key in --%s", option);
			return unknown(what, name, keys, nr_keys, sizeof(*keys));
		}
		ret = keys[i].set(device, name, value);
		if (ret)
			return ret;
		first = false;
	}
	return 0;
}

static int set_net(struct config *config, const char *name, const char *value)
{
	struct config_net *net = &config->net[config->nr_nets];
	int ret;

	if (config->nr_nets == CONFIG_MAX_NETS) {
		log_error("too many --net: at most %u", CONFIG_MAX_NETS);
		return -EINVAL;
	}
	*net = (struct config_net){
		.fd = -1, .queue_size = 256, .offload = true, .mergeable = true, .poll_us = 50
	};
	ret = parse_device(net, name, value, net_keys, ARRAY_SIZE(net_keys));
	if (ret)
		return ret;
	if ((net->fd >= 0) + !!net->bridge + !!net->tap != 1 &&
	    !(net->bridge && net->tap && net->fd < 0)) {
		log_error("--net %s: give a tap, fd=N, or bridge=NAME (with or without tap=NAME)",
			  value);
		return -EINVAL;
	}
	for (unsigned int i = 0; i < config->nr_nets; i++) {
		const struct config_net *other = &config->net[i];

		if ((net->tap && other->tap && !strcmp(net->tap, other->tap)) ||
		    (net->fd >= 0 && net->fd == other->fd)) {
			log_error("--net %s: that tap already belongs to another --net", value);
			return -EINVAL;
		}
	}
	config->nr_nets++;
	return 0;
}

static int set_disk(struct config *config, const char *name, const char *value)
{
	struct config_disk *disk = &config->disk[config->nr_disks];
	int ret;

	if (config->nr_disks == CONFIG_MAX_DISKS) {
		log_error("too many --disk: at most %u", CONFIG_MAX_DISKS);
		return -EINVAL;
	}
	*disk = (struct config_disk){ 0 };
	ret = parse_device(disk, name, value, disk_keys, ARRAY_SIZE(disk_keys));
	if (!ret && !disk->path)
		ret = bad_value("--disk", value, "a file");
	if (!ret)
		config->nr_disks++;
	return ret;
}

/* ---- options ---- */

static int set_kernel(struct config *config, const char *name, const char *value)
{
	(void)name;
	config->kernel = value;
	return 0;
}

static int set_initrd(struct config *config, const char *name, const char *value)
{
	(void)name;
	config->initrd = value;
	return 0;
}

static int set_append(struct config *config, const char *name, const char *value)
{
	(void)name;
	config->append = value;
	return 0;
}

static int set_mem(struct config *config, const char *name, const char *value)
{
	if (parse_size(value, &config->mem) || config->mem < MIN_MEM || config->mem > MAX_MEM ||
	    config->mem % (4 * KIB))
		return bad_value(name, value, "a size from 16M to 1024G, in whole pages of 4K");
	return 0;
}

static int set_cpus(struct config *config, const char *name, const char *value)
{
	return parse_number(name, value, 1, 4096, &config->cpus);
}

static int set_rng(struct config *config, const char *name, const char *value)
{
	return parse_switch(name, value, &config->rng);
}

static int set_transport(struct config *config, const char *name, const char *value)
{
	return parse_transport(name, value, &config->transport);
}

static int set_console(struct config *config, const char *name, const char *value)
{
	if (!*value)
		return bad_value(name, value, "a file or none");
	config->console = value;
	return 0;
}

static int set_stats(struct config *config, const char *name, const char *value)
{
	if (!*value)
		return bad_value(name, value, "a file or -");
	config->stats = value;
	return 0;
}

static int set_timeout(struct config *config, const char *name, const char *value)
{
	if (parse_time_ms(value, &config->timeout_ms) || !config->timeout_ms)
		return bad_value(name, value, "a time such as 500ms, 30s or 5m");
	return 0;
}

static int set_expect_status(struct config *config, const char *name, const char *value)
{
	return parse_switch(name, value, &config->expect_status);
}

static int set_verbose(struct config *config, const char *name, const char *value)
{
	return parse_switch(name, value, &config->verbose);
}

static int read_file(struct config *config, const char *name, const char *path);

static const struct option options[] = {
	{ "kernel", false, set_kernel },
	{ "initrd", false, set_initrd },
	{ "append", false, set_append },
	{ "mem", false, set_mem },
	{ "cpus", false, set_cpus },
	{ "net", false, set_net },
	{ "disk", false, set_disk },
	{ "rng", true, set_rng },
	{ "transport", false, set_transport },
	{ "console", false, set_console },
	{ "stats", false, set_stats },
	{ "timeout", false, set_timeout },
	{ "expect-status", true, set_expect_status },
	{ "verbose", true, set_verbose },
	{ "config", false, read_file },
	{ "help", true, NULL },
	{ "version", true, NULL },
};

static const struct option *find_option(const char *name)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(options); i++)
		if (!strcmp(options[i].name, name))
			return &options[i];
	return NULL;
}

/* ---- configuration files ---- */

static char *trim(char *s)
{
	char *end;

	while (isspace((unsigned char)*s))
		s++;
	end = s + strlen(s);
	while (end > s && isspace((unsigned char)end[-1]))
		*--end = '\0';
	return s;
}

static int parse_line(struct config *config, char *line, const char *path, unsigned int number)
{
	char *name = trim(line), *value = strchr(name, '=');
	const struct option *option;
	int ret;

	if (!*name || *name == '#')
		return 0;
	if (value)
		*value++ = '\0';
	name = trim(name);
	option = find_option(name);
	if (!option)
		ret = unknown("option", name, options, ARRAY_SIZE(options), sizeof(*options));
	else if (!option->set || option->set == read_file)
		ret = bad_value(name, "", "its place on the command line");
	else if (!value && !option->flag)
		ret = bad_value(name, "", "'name = value'");
	else
		ret = option->set(config, name, value ? strdup(trim(value)) : "on");
	if (ret)
		log_error("in line %u of configuration file '%s'", number, path);
	return ret;
}

static int read_file(struct config *config, const char *name, const char *path)
{
	FILE *f = fopen(path, "re");
	char line[MAX_LINE];
	unsigned int number = 0;
	int ret = 0;

	(void)name;
	if (!f) {
		ret = -errno;
		log_error("cannot read configuration file '%s': %s", path, strerror(-ret));
		return ret;
	}
	while (!ret && fgets(line, sizeof(line), f)) {
		number++;
		if (!strchr(line, '\n') && !feof(f)) {
			log_error("line %u of configuration file '%s' is longer than %d bytes",
				  number, path, MAX_LINE - 2);
			ret = -EINVAL;
		} else {
			ret = parse_line(config, line, path, number);
		}
	}
	if (!ret && ferror(f)) {
		ret = -EIO;
		log_error("cannot read configuration file '%s': %s", path, strerror(errno));
	}
	fclose(f);
	return ret;
}

/* ---- the command line ---- */

/* Walk the arguments; @files says whether it is the turn of --config or of all the others. */
static int parse_arguments(struct config *config, int argc, char **argv, bool files,
			   enum config_action *action)
{
	for (int i = 1; i < argc; i++) {
		char name[32];
		const char *arg = argv[i], *value;
		const struct option *option;
		int ret;

		if (strncmp(arg, "--", 2)) {
			log_error("unexpected argument '%s' (options start with --; see --help)",
				  arg);
			return -EINVAL;
		}
		value = strchr(arg, '=');
		snprintf(name, sizeof(name), "%.*s",
			 (int)MIN(value ? value - arg - 2 : (ptrdiff_t)sizeof(name),
				  (ptrdiff_t)sizeof(name)),
			 arg + 2);
		option = find_option(name);
		if (!option)
			return unknown("option", name, options, ARRAY_SIZE(options),
				       sizeof(*options));
		if (option->flag) {
			value = value ? value + 1 : "on";
		} else if (value) {
			value++;
		} else if (++i < argc) {
			value = argv[i];
		} else {
			log_error("option --%s needs a value (see --help)", name);
			return -EINVAL;
		}
		if (!option->set) {
			*action = !strcmp(name, "help") ? CONFIG_HELP : CONFIG_VERSION;
			return 0;
		}
		if ((option->set == read_file) != files)
			continue;
		ret = option->set(config, name, value);
		if (ret)
			return ret;
	}
	return 0;
}

int config_parse(struct config *config, int argc, char **argv, enum config_action *action)
{
	int ret;

	*config = (struct config){
		.append = "",
		.mem = 256 * MIB,
		.cpus = 1,
		.transport = TRANSPORT_PCI,
	};
	*action = CONFIG_RUN;
	ret = parse_arguments(config, argc, argv, true, action);
	if (!ret && *action == CONFIG_RUN)
		ret = parse_arguments(config, argc, argv, false, action);
	if (ret || *action != CONFIG_RUN)
		return ret;
	if (!config->kernel) {
		log_error("no kernel given (say --kernel FILE; see --help)");
		return -EINVAL;
	}
	return 0;
}
