/* The command line and configuration files. */
#include "vmm/config.h"

#include <ctype.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/base/log.h"

#define MIN_MEM	    (16 * MIB)
#define MAX_MEM	    (1024 * GIB)
#define MAX_LINE    8192
#define MAX_TIME_MS (365ull * 24 * 3600 * 1000)

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
	"  --console WHERE    serial port: a file to write to, or none (standard input and output;\n"
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

/* ---- values ---- */

static int bad_value(const char *name, const char *value, const char *wanted)
{
	log_error("bad value '%s' for %s: expected %s", value, name, wanted);
	return -EINVAL;
}

/* What a field of struct config, config_net or config_disk holds, and how it is written. */
enum kind {
	TEXT,	   /* a string that is not empty */
	ANY_TEXT,  /* a string */
	INTERFACE, /* the name of a network interface */
	NUMBER,	   /* unsigned int from min to max */
	POWER_OF_2,
	DESCRIPTOR, /* int, a file descriptor */
	SWITCH,	    /* bool: on or off */
	SIZE,	    /* uint64_t, bytes */
	TIME,	    /* uint64_t, milliseconds */
	TRANSPORT,
	MAC,
	NET, /* these three stand for themselves; their values are lists, or a file's name */
	DISK,
	FILE_OF_OPTIONS,
	ACTION, /* --help, --version */
};

struct field {
	const char *name;
	enum kind kind;
	size_t offset;
	const char *wanted; /* what a bad value should have been, where the kind does not say it */
	unsigned int min, max;
};

struct unit {
	const char *name;
	uint64_t factor;
};

static const struct unit no_units[] = { { "", 1 }, { NULL, 0 } };
static const struct unit sizes[] = {
	{ "", 1 }, { "K", KIB }, { "M", MIB }, { "G", GIB }, { NULL, 0 }
};
static const struct unit times[] = {
	{ "ms", 1 }, { "s", 1000 }, { "m", 60000 }, { "h", 3600000 }, { NULL, 0 }
};

/* A decimal number with one of @units behind it. */
static int parse_scaled(const char *text, const struct unit *unit, uint64_t *out)
{
	unsigned long long v;
	char *end;

	if (!isdigit((unsigned char)text[0]))
		return -EINVAL;
	errno = 0;
	v = strtoull(text, &end, 10);
	if (errno)
		return -EINVAL;
	for (; unit->name; unit++)
		if (!strcasecmp(end, unit->name))
			return __builtin_mul_overflow(v, unit->factor, out) ? -EINVAL : 0;
	return -EINVAL;
}

static int set_number(const struct field *f, void *at, const char *value)
{
	char wanted[64];
	uint64_t v;

	if (parse_scaled(value, no_units, &v) || v < f->min || v > f->max) {
		snprintf(wanted, sizeof(wanted), "a number from %u to %u", f->min, f->max);
		return bad_value(f->name, value, wanted);
	}
	if (f->kind == POWER_OF_2 && !IS_POWER_OF_2(v))
		return bad_value(f->name, value, "a power of two");
	*(unsigned int *)at = (unsigned int)v; /* a descriptor's int has the same size and range */
	return 0;
}

static int set_mac(const struct field *f, uint8_t *mac, const char *value)
{
	unsigned int b[6];
	bool good = strlen(value) == 17;

	/* sscanf() alone would take signs and blanks for digits. */
	for (unsigned int i = 0; good && i < 17; i++)
		good = i % 3 == 2 ? value[i] == ':' : isxdigit((unsigned char)value[i]);
	if (!good ||
	    sscanf(value, "%2x:%2x:%2x:%2x:%2x:%2x", &b[0], &b[1], &b[2], &b[3], &b[4], &b[5]) != 6)
		return bad_value(f->name, value, "an address such as 52:54:00:12:34:56");
	if (b[0] & 1 || !(b[0] | b[1] | b[2] | b[3] | b[4] | b[5]))
		return bad_value(f->name, value,
				 "a unicast address (the first byte even, not all 0)");
	for (int i = 0; i < 6; i++)
		mac[i] = (uint8_t)b[i];
	return 0;
}

/* Set a field that is a plain value, in the struct at @base. @value lives as long as the process. */
static int set_plain(const struct field *f, void *base, const char *value)
{
	void *at = (char *)base + f->offset;

	switch (f->kind) {
	case TEXT:
		if (!*value)
			return bad_value(f->name, value, f->wanted);
		*(const char **)at = value;
		return 0;
	case ANY_TEXT:
		*(const char **)at = value;
		return 0;
	case INTERFACE:
		if (!*value || strlen(value) >= IFNAMSIZ || strchr(value, '/'))
			return bad_value(f->name, value,
					 "an interface name of at most 15 characters");
		*(const char **)at = value;
		return 0;
	case NUMBER:
	case POWER_OF_2:
	case DESCRIPTOR:
		return set_number(f, at, value);
	case SWITCH:
		if (strcmp(value, "on") && strcmp(value, "off"))
			return bad_value(f->name, value, "on or off");
		*(bool *)at = !strcmp(value, "on");
		return 0;
	case SIZE:
		if (parse_scaled(value, sizes, at) || *(uint64_t *)at < MIN_MEM ||
		    *(uint64_t *)at > MAX_MEM || *(uint64_t *)at % (4 * KIB))
			return bad_value(f->name, value, f->wanted);
		return 0;
	case TIME:
		if (parse_scaled(value, times, at) || !*(uint64_t *)at ||
		    *(uint64_t *)at > MAX_TIME_MS)
			return bad_value(f->name, value, f->wanted);
		return 0;
	case TRANSPORT:
		if (strcmp(value, "mmio") && strcmp(value, "pci"))
			return bad_value(f->name, value, "mmio or pci");
		*(enum config_transport *)at = *value == 'm' ? TRANSPORT_MMIO : TRANSPORT_PCI;
		return 0;
	case MAC:
		return set_mac(f, at, value);
	default:
		return -EINVAL;
	}
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

static const struct field *find(const struct field *fields, const char *name)
{
	while (fields->name && strcmp(fields->name, name))
		fields++;
	return fields->name ? fields : NULL;
}

static int unknown(const char *what, const char *name, const struct field *fields)
{
	const char *nearest = NULL;
	unsigned int best = ~0u;

	for (; fields->name; fields++) {
		const unsigned int d = distance(name, fields->name);

		if (d < best) {
			best = d;
			nearest = fields->name;
		}
	}
	log_error("unknown %s '%s' (the nearest is '%s'; see --help)", what, name, nearest);
	return -EINVAL;
}

/* ---- devices: key=value lists ---- */

static const struct field net_keys[] = {
	{ "tap", INTERFACE, offsetof(struct config_net, tap) },
	{ "fd", DESCRIPTOR, offsetof(struct config_net, fd), NULL, 0, 1u << 20 },
	{ "bridge", INTERFACE, offsetof(struct config_net, bridge) },
	{ "mac", MAC, offsetof(struct config_net, mac) },
	{ "mtu", NUMBER, offsetof(struct config_net, mtu), NULL, 68, 65521 },
	{ "offload", SWITCH, offsetof(struct config_net, offload) },
	{ "mergeable", SWITCH, offsetof(struct config_net, mergeable) },
	/* With fewer Linux cannot send: a frame may take 19 descriptors. */
	{ "queue-size", POWER_OF_2, offsetof(struct config_net, queue_size), NULL, 32, 1024 },
	{ "poll", NUMBER, offsetof(struct config_net, poll_us), NULL, 0, 1000000 },
	{ "transport", TRANSPORT, offsetof(struct config_net, transport) },
	{ 0 },
};

static const struct field disk_keys[] = {
	{ "file", TEXT, offsetof(struct config_disk, path), "a file" },
	{ "ro", SWITCH, offsetof(struct config_disk, readonly) },
	{ "transport", TRANSPORT, offsetof(struct config_disk, transport) },
	{ 0 },
};

/*
 * "first,key=value,...": a first word without '=' is the value of the first key, a later one a switch
 * that is turned on.
 */
static int parse_list(void *device, const char *option, const char *text, const struct field *keys)
{
	char *list = strdup(text), *word; /* stays: the configuration points into it */
	bool first = true;

	if (!list)
		return -ENOMEM;
	for (; (word = strsep(&list, ",")); first = false) {
		const struct field *key = keys;
		char *value = strchr(word, '=');
		char what[32];
		int ret;

		if (value)
			*value++ = '\0';
		if (value || !first)
			key = find(keys, word);
		if (!key || (!value && !first && key->kind != SWITCH)) {
			snprintf(what, sizeof(what), "key in --%s", option);
			return key ? bad_value(word, "", "key=value") : unknown(what, word, keys);
		}
		ret = set_plain(key, device, value ? value : first ? word : "on");
		if (ret)
			return ret;
	}
	return 0;
}

static int add_net(struct config *config, const char *value)
{
	struct config_net *net = &config->net[config->nr_nets];
	int ret;

	if (config->nr_nets == CONFIG_MAX_NETS) {
		log_error("too many --net: at most %u", CONFIG_MAX_NETS);
		return -EINVAL;
	}
	*net = (struct config_net){
		.fd = -1, .queue_size = 256, .offload = true, .mergeable = true
	};
	ret = parse_list(net, "net", value, net_keys);
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

static int add_disk(struct config *config, const char *value)
{
	struct config_disk *disk = &config->disk[config->nr_disks];
	int ret;

	if (config->nr_disks == CONFIG_MAX_DISKS) {
		log_error("too many --disk: at most %u", CONFIG_MAX_DISKS);
		return -EINVAL;
	}
	*disk = (struct config_disk){ 0 };
	ret = parse_list(disk, "disk", value, disk_keys);
	if (!ret && !disk->path)
		ret = bad_value("--disk", value, "a file");
	if (!ret)
		config->nr_disks++;
	return ret;
}

/* ---- options ---- */

static const struct field options[] = {
	{ "kernel", TEXT, offsetof(struct config, kernel), "a file" },
	{ "initrd", TEXT, offsetof(struct config, initrd), "a file" },
	{ "append", ANY_TEXT, offsetof(struct config, append) },
	{ "mem", SIZE, offsetof(struct config, mem),
	  "a size from 16M to 1024G, in whole pages of 4K" },
	{ "cpus", NUMBER, offsetof(struct config, cpus), NULL, 1, 4096 },
	{ "net", NET },
	{ "disk", DISK },
	{ "rng", SWITCH, offsetof(struct config, rng) },
	{ "transport", TRANSPORT, offsetof(struct config, transport) },
	{ "console", TEXT, offsetof(struct config, console), "a file or none" },
	{ "timeout", TIME, offsetof(struct config, timeout_ms), "a time such as 500ms, 30s or 5m" },
	{ "expect-status", SWITCH, offsetof(struct config, expect_status) },
	{ "stats", TEXT, offsetof(struct config, stats), "a file or -" },
	{ "config", FILE_OF_OPTIONS },
	{ "verbose", SWITCH, offsetof(struct config, verbose) },
	{ "help", ACTION },
	{ "version", ACTION },
	{ 0 },
};

static int set_option(struct config *config, const struct field *f, const char *value)
{
	if (f->kind == NET)
		return add_net(config, value);
	if (f->kind == DISK)
		return add_disk(config, value);
	return set_plain(f, config, value);
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

/* The line's buffer is used again; the value stays. */
static int set_copy(struct config *config, const struct field *f, const char *value)
{
	const char *copy = strdup(value);

	return copy ? set_option(config, f, copy) : -ENOMEM;
}

static int parse_line(struct config *config, char *line, const char *path, unsigned int number)
{
	char *name = trim(line), *value = strchr(name, '=');
	const struct field *f;
	int ret;

	if (!*name || *name == '#')
		return 0;
	if (value)
		*value++ = '\0';
	name = trim(name);
	f = find(options, name);
	if (!f)
		ret = unknown("option", name, options);
	else if (f->kind == FILE_OF_OPTIONS || f->kind == ACTION)
		ret = bad_value(name, "", "its place on the command line");
	else if (!value && f->kind != SWITCH)
		ret = bad_value(name, "", "'name = value'");
	else
		ret = set_copy(config, f, value ? trim(value) : "on");
	if (ret)
		log_error("in line %u of configuration file '%s'", number, path);
	return ret;
}

static int read_file(struct config *config, const char *path)
{
	FILE *f = fopen(path, "re");
	char line[MAX_LINE];
	unsigned int number = 0;
	int ret = 0;

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
		char *name = argv[i] + 2, *value;
		const struct field *f;
		int ret = 0;

		if (strncmp(argv[i], "--", 2)) {
			log_error("unexpected argument '%s' (options start with --; see --help)",
				  argv[i]);
			return -EINVAL;
		}
		value = strchr(name, '=');
		name = strndup(name, value ? (size_t)(value - name) : strlen(name));
		if (!name)
			return -ENOMEM;
		f = find(options, name);
		if (!f)
			ret = unknown("option", name, options);
		free(name);
		if (ret)
			return ret;
		if (value) {
			value++;
		} else if (f->kind == SWITCH || f->kind == ACTION) {
			value = (char *)"on";
		} else if (++i < argc) {
			value = argv[i];
		} else {
			log_error("option --%s needs a value (see --help)", f->name);
			return -EINVAL;
		}
		if (f->kind == ACTION) {
			*action = !strcmp(f->name, "help") ? CONFIG_HELP : CONFIG_VERSION;
			return 0;
		}
		if ((f->kind == FILE_OF_OPTIONS) != files)
			continue;
		ret = files ? read_file(config, value) : set_option(config, f, value);
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
