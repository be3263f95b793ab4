/* The command line and configuration files. */
#include "vmm/config.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/base/device.h"
#include "vmm/base/log.h"
#include "vmm/sandbox.h"

#define MAX_LINE    8192
#define MAX_TIME_MS (365ull * 24 * 3600 * 1000)

static int parse_kvm(void *at, const char *text)
{
	static const struct option descriptor = { "kvm", OPTION_DESCRIPTOR, .max = 1u << 20,
						  .wanted = "fd=N or /dev/kvm" };

	if (!strncmp(text, "fd=", 3))
		return option_set(&descriptor, at, 0, text + 3);
	if (strcmp(text, "/dev/kvm"))
		return option_bad_value("kvm", text, descriptor.wanted);
	*(int *)at = -1;
	return 0;
}

#define AT(field) offsetof(struct config, field)
static const struct option rows[] = {
	{ "kernel", OPTION_TEXT, AT(kernel), "FILE", "bzImage, or vmlinux (ELF)",
	  .wanted = "a file" },
	{ "initrd", OPTION_TEXT, AT(initrd), "FILE", "initial RAM disk", .wanted = "a file" },
	{ "append", OPTION_ANY_TEXT, AT(append), "TEXT", "kernel command line", .preset = "" },
	{ "mem", OPTION_SIZE, AT(mem), "SIZE", "memory, such as 512M or 4G", .preset = "256M",
	  .min = 16 * MIB, .max = 1024 * GIB },
	{ "cpus", OPTION_NUMBER, AT(cpus), "N", "virtual CPUs", .preset = "1", .min = 1,
	  .max = 4096, .why = "as many as KVM has, this host's perhaps fewer" },
	{ "pin", OPTION_OTHER, AT(pins), "THREAD=CPUS,...",
	  "run threads on those CPUs of the host: vcpu0=1,net0=2-3,5; net for\nnet0, net1 ... (may be given several times)",
	  .wanted = "THREAD=CPUS,..., such as vcpu0=1,net0=2-3,5, at most 64", .parse = pin_parse },
	DEVICE_TRANSPORT_OPTION(AT(transport), "pci", "for devices that do not say"),
	{ "console", OPTION_OTHER, AT(console), "WHERE",
	  "serial port: a file to write to (FILE,max=SIZE: at most SIZE), or none\n"
	  "(standard input and output; on a terminal Ctrl-A x ends, Ctrl-A h helps)",
	  .parse = console_parse },
	{ "timeout", OPTION_TIME, AT(timeout_ms), "TIME",
	  "end the machine after TIME, such as 500ms, 30s or 5m", .max = MAX_TIME_MS },
	{ "expect-status", OPTION_SWITCH, AT(expect_status), NULL,
	  "status 126 if the guest ends without reporting a status" },
	{ "stats", OPTION_TEXT, AT(stats), "FILE",
	  "write counters and boot phases as JSON at the end and on SIGUSR1\n"
	  "(- for standard error)",
	  .wanted = "a file or -" },
	{ "kvm", OPTION_OTHER, AT(kvm_fd), "fd=N", "KVM, opened already", .preset = "/dev/kvm",
	  .parse = parse_kvm },
	{ "sandbox", OPTION_WORD, AT(sandbox), "MODE",
	  "on, off, or log what it would forbid (on, where the host's kernel can)",
	  .words = sandbox_words, .min = SANDBOX_ON },
	{ "config", OPTION_TEXT, AT(config), "FILE",
	  "read options from FILE, one 'name = value' a line", .wanted = "a file" },
	{ "verbose", OPTION_SWITCH, AT(verbose), NULL, "say what is chosen and why" },
	{ "help", OPTION_ACTION, 0, NULL, "this text" },
	{ "version", OPTION_ACTION, 0, NULL, "which minivmm this is" },
	{ 0 },
};

const struct option_group config_options = {
	.size = sizeof(struct config),
	.of = (const struct option_rows[]){ { rows, 0 }, { 0 } },
};

const char config_exit_status[] =
	"0 the guest powered off or reset; 1-123 the status it reported on I/O port\n"
	"0xf4; 124 timed out; 125 minivmm could not do what was asked; 126 the guest crashed;\n"
	"128+N minivmm was ended by signal N.";

void config_help(FILE *f, const struct option_group *const *devices)
{
	fputs("usage: minivmm --kernel FILE [OPTION]...\n"
	      "       minivmm run --root DIR [OPTION]... -- COMMAND [ARGUMENT]...\n"
	      "       minivmm doctor [OPTION]...\n"
	      "Boots a Linux kernel in a KVM virtual machine; run and doctor have --help of their own.\n\n",
	      f);
	options_help(f, &config_options, "  ", true);
	fputs("\nDevices; FIRST,KEY=VALUE,... where FIRST is the value of the first key, a switch may stand\n"
	      "alone for KEY=on, and ,, is a comma within a value:\n\n",
	      f);
	for (; *devices; devices++) {
		const struct option_group *g = *devices;
		char left[64];

		snprintf(left, sizeof(left), "--%s%s%s", g->name, g->value ? " " : "",
			 g->value ? g->value : "");
		options_help_entry(f, "  ", left, g->help);
		options_help(f, g, "    ", false);
	}
	fprintf(f, "\nExit status: %s\n", config_exit_status);
}

/* ---- options, of the machine or adding a device ---- */

/* What a name stands for: one of the two. */
struct named {
	const struct option *option;
	const struct option_group *device;
};

static bool takes_no_value(const struct named *n)
{
	return n->device ? n->device->alone
			 : n->option->type == OPTION_SWITCH || n->option->type == OPTION_ACTION;
}

static bool is_file(const struct named *n)
{
	return n->option && !strcmp(n->option->name, "config");
}

/* All names, as rows of one group, for the nearest one. */
static int unknown(const struct option_group *const *devices, const char *name)
{
	struct option names[32] = { 0 };
	const struct option_group all = {
		.of = (const struct option_rows[]){ { rows, 0 }, { names, 0 }, { 0 } },
	};

	for (unsigned int i = 0; devices[i] && i + 1 < ARRAY_SIZE(names); i++)
		names[i].name = devices[i]->name;
	return options_unknown(&all, "option", name);
}

static int find(struct named *n, const struct option_group *const *devices, const char *name)
{
	const struct option_group *const *d = devices;

	while (*d && strcmp((*d)->name, name))
		d++;
	*n = (struct named){ options_find(&config_options, name, NULL), *d };
	return n->option || n->device ? 0 : unknown(devices, name);
}

/* @text is NULL where the option stands alone. */
static int add_device(struct config *config, const struct option_group *group, const char *text)
{
	const void *others[CONFIG_MAX_DEVICES];
	struct config_device *d;
	unsigned int nr = 0;
	int ret;

	for (unsigned int i = 0; i < config->nr_devices; i++)
		if (config->device[i].group == group)
			others[nr++] = config->device[i].options;
	if (nr == group->max && nr == 1)
		nr = 0; /* the last word counts, as for any other option */
	else if (nr == group->max || config->nr_devices == CONFIG_MAX_DEVICES)
		return log_fail(-EINVAL, "too many --%s: at most %u", group->name, nr);
	d = &config->device[config->nr_devices];
	*d = (struct config_device){ group, malloc(group->size) };
	if (!d->options)
		return -ENOMEM;
	options_init(group, d->options);
	ret = text ? options_parse_list(group, d->options, text, others, nr) : 0;
	if (ret)
		return ret;
	for (unsigned int i = 0; group->max == 1 && i < config->nr_devices; i++)
		if (config->device[i].group == group) {
			config->device[i] = *d;
			return 0;
		}
	config->nr_devices++;
	return 0;
}

static int set(struct config *config, const struct named *n, const char *text)
{
	return n->device ? add_device(config, n->device, text)
			 : option_set(n->option, config, 0, text);
}

void config_init(struct config *config)
{
	options_init(&config_options, config);
}

int config_add_device(struct config *config, const struct option_group *const *devices,
		      const char *name, const char *text)
{
	struct named n;
	const int ret = find(&n, devices, name);

	return ret ? ret : add_device(config, n.device, text);
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

static int parse_line(struct config *config, const struct option_group *const *devices, char *line)
{
	char *name = trim(line), *value = strchr(name, '=');
	struct named n;
	int ret;

	if (!*name || *name == '#')
		return 0;
	if (value)
		*value++ = '\0';
	name = trim(name);
	ret = find(&n, devices, name);
	if (ret)
		return ret;
	if (is_file(&n) || (n.option && n.option->type == OPTION_ACTION))
		return option_bad_value(name, "", "its place on the command line");
	if (!value && !takes_no_value(&n))
		return option_bad_value(name, "", "'name = value'");
	if (!value)
		return set(config, &n, n.device ? NULL : "on");
	/* The line's buffer is used again; the value stays. */
	value = strdup(trim(value));
	return value ? set(config, &n, value) : -ENOMEM;
}

/* What an editor on another system may have made of the file: NULL if it is plain text. */
static const char *foreign(const char *line, size_t len, unsigned int number)
{
	if (number == 1 && len >= 3 && !memcmp(line, "\xef\xbb\xbf", 3))
		return "it begins with a byte order mark (save it as UTF-8 without one)";
	if (number == 1 && len >= 2 &&
	    (!memcmp(line, "\xff\xfe", 2) || !memcmp(line, "\xfe\xff", 2)))
		return "it is UTF-16 (save it as UTF-8)";
	if (memchr(line, 0, len))
		return "it has a NUL byte in it (is it UTF-16, or no text at all?)";
	return NULL;
}

static int check_line(const char *line, size_t len, unsigned int number)
{
	const char *what = foreign(line, len, number);

	if (what)
		return log_fail(-EINVAL, "no plain text: %s", what);
	if (len == MAX_LINE - 1 && line[len - 1] != '\n')
		return log_fail(-EINVAL, "more than %d bytes", MAX_LINE - 2);
	return 0;
}

/* As fgets(), of what may have NUL bytes in it: its length, 0 at the end. What is a byte too long is no line. */
static size_t read_line(FILE *f, char line[MAX_LINE])
{
	size_t len = 0;
	int c = 0;

	while (len < MAX_LINE - 1 && c != '\n' && (c = getc(f)) != EOF)
		line[len++] = (char)c;
	line[len] = '\0';
	return len;
}

static int read_lines(struct config *config, const struct option_group *const *devices, FILE *f,
		      const char *path)
{
	char line[MAX_LINE], place[512];
	size_t len;
	int ret = 0;

	for (unsigned int number = 1; !ret && (len = read_line(f, line)); number++) {
		snprintf(place, sizeof(place), "in line %u of configuration file '%s'", number,
			 path);
		log_set_place(place);
		ret = check_line(line, len, number) ?: parse_line(config, devices, line);
	}
	log_set_place(NULL);
	return ret;
}

static int read_file(struct config *config, const struct option_group *const *devices,
		     const char *path)
{
	FILE *f;
	int ret;

	if (config->nr_configs == CONFIG_MAX_FILES)
		return log_fail(-EINVAL, "too many --config: at most %u", CONFIG_MAX_FILES);
	config->config[config->nr_configs++] = path;
	f = fopen(path, "re");
	if (!f)
		return log_fail(-errno, "cannot read configuration file '%s': %s", path,
				strerror(errno));
	ret = read_lines(config, devices, f, path);
	if (!ret && ferror(f))
		ret = log_fail(-EIO, "cannot read configuration file '%s': %s", path,
			       strerror(errno));
	fclose(f);
	return ret;
}

/* ---- the command line ---- */

/* One option at argv[*i], which moves behind its value; @n and @value are what it says. */
static int next_option(const struct option_group *const *devices, int argc, char **argv, int *i,
		       struct named *n, char **value)
{
	char *word = argv[*i], *name;
	int ret;

	if (strncmp(word, "--", 2))
		return log_fail(-EINVAL,
				"unexpected argument '%s' (options start with --; see --help)",
				word);
	*value = strchr(word, '=');
	name = strndup(word + 2, *value ? (size_t)(*value - word - 2) : strlen(word));
	if (!name)
		return -ENOMEM;
	ret = find(n, devices, name);
	free(name);
	if (ret)
		return ret;
	if (*value) {
		++*value;
	} else if (takes_no_value(n)) {
		*value = (char *)(n->device ? NULL : "on");
	} else if (*i + 1 < argc) {
		*value = argv[++*i];
	} else {
		return log_fail(-EINVAL, "option --%s needs a value (see --help)",
				n->option ? n->option->name : n->device->name);
	}
	++*i;
	return 0;
}

/* Walk the arguments; @files says whether it is the turn of --config or of all the others. */
static int parse_arguments(struct config *config, const struct option_group *const *devices,
			   int argc, char **argv, bool files, enum config_action *action)
{
	for (int i = 1; i < argc;) {
		struct named n;
		char *value;
		int ret = next_option(devices, argc, argv, &i, &n, &value);

		if (ret)
			return ret;
		if (n.option && n.option->type == OPTION_ACTION) {
			*action = !strcmp(n.option->name, "help") ? CONFIG_HELP : CONFIG_VERSION;
			return 0;
		}
		if (is_file(&n) != files)
			continue;
		ret = files ? read_file(config, devices, value) : set(config, &n, value);
		if (ret)
			return ret;
	}
	return 0;
}

int config_parse(struct config *config, const struct option_group *const *devices, int argc,
		 char **argv, enum config_action *action)
{
	int ret;

	config_init(config);
	*action = CONFIG_RUN;
	ret = parse_arguments(config, devices, argc, argv, true, action);
	if (!ret && *action == CONFIG_RUN)
		ret = parse_arguments(config, devices, argc, argv, false, action);
	if (ret || *action != CONFIG_RUN)
		return ret;
	if (!config->kernel)
		return log_fail(-EINVAL, "no kernel given (say --kernel FILE; see --help)");
	return 0;
}

bool config_wants_mmio(const struct config *config)
{
	bool wanted = config->transport == TRANSPORT_MMIO;

	for (unsigned int i = 0; i < config->nr_devices; i++) {
		const struct config_device *d = &config->device[i];
		size_t base;
		const struct option *o = options_find(d->group, "transport", &base);

		wanted |= o && *(unsigned int *)((char *)d->options + base + o->offset) ==
				       TRANSPORT_MMIO;
	}
	return wanted;
}
