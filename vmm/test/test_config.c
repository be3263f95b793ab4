/* The command line and configuration files: every option, good and bad. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm/base/device.h"
#include "vmm/base/test/messages.h"
#include "vmm/base/test/unit.h"
#include "vmm/config.h"

#define MAX_ARGS 40

/* Strings of a configuration live as long as the process: that is no leak. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "detect_leaks=0";
}

/* Devices as the machine's kinds describe them: one that may be there often, one that is there or not. */
struct card {
	struct inner {
		const char *tap, *bridge;
		int fd;
	} inner;
	uint8_t mac[6];
	unsigned int mtu, queue_size, poll_us, transport;
	bool offload, mergeable;
	const char *file;
};

static int check_card(const void *values, const char *text, const void *const *others,
		      unsigned int nr)
{
	const struct card *c = values;

	if (!c->inner.tap && !c->inner.bridge && c->inner.fd < 0)
		return option_bad_value("--net", text, "a tap");
	for (unsigned int i = 0; i < nr; i++) {
		const struct card *o = others[i];

		if (c->inner.tap && o->inner.tap && !strcmp(c->inner.tap, o->inner.tap))
			return option_bad_value("--net", text, "another tap");
	}
	return 0;
}

static const struct option inner_keys[] = {
	{ "tap", OPTION_INTERFACE, offsetof(struct inner, tap), "NAME", "a tap" },
	{ "fd", OPTION_DESCRIPTOR, offsetof(struct inner, fd), "N", "open", .max = 1u << 20 },
	{ "bridge", OPTION_INTERFACE, offsetof(struct inner, bridge), "NAME", "a bridge" },
	{ 0 },
};
static const struct option_group inner_group = {
	.size = sizeof(struct inner), .of = (const struct option_rows[]){ { inner_keys, 0 }, { 0 } }
};
static const struct option card_keys[] = {
	{ "mac", OPTION_MAC, offsetof(struct card, mac), "ADDRESS", "its address" },
	{ "mtu", OPTION_NUMBER, offsetof(struct card, mtu), "N", "bytes", .min = 68, .max = 65521 },
	{ "queue-size", OPTION_POWER_OF_2, offsetof(struct card, queue_size), "N", "ring",
	  .preset = "256", .min = 32, .max = 1024 },
	{ "poll", OPTION_NUMBER, offsetof(struct card, poll_us), "US", "polling", .max = 1000000 },
	{ "offload", OPTION_SWITCH, offsetof(struct card, offload), "on|off", "offload",
	  .preset = "on" },
	{ "mergeable", OPTION_SWITCH, offsetof(struct card, mergeable), "on|off", "merging",
	  .preset = "on" },
	{ "file", OPTION_TEXT, offsetof(struct card, file), "FILE", "a file", .wanted = "a file" },
	DEVICE_TRANSPORT_OPTION(offsetof(struct card, transport), NULL, "transport"),
	{ 0 },
};
static const struct option_group net_group = {
	.name = "net",
	.value = "TAP",
	.help = "card",
	.size = sizeof(struct card),
	.max = 8,
	.check = check_card,
	.of = (const struct option_rows[]){ { .group = &inner_group,
					      .base = offsetof(struct card, inner) },
					    { card_keys, 0 },
					    { 0 } },
};

struct single {
	bool on;
	unsigned int level;
};
static const struct option single_keys[] = {
	{ "rng", OPTION_SWITCH, offsetof(struct single, on), "on|off", "there", .preset = "on" },
	{ "level", OPTION_NUMBER, offsetof(struct single, level), "N", "level", .max = 9 },
	{ 0 },
};
static const struct option_group rng_group = {
	.name = "rng",
	.help = "entropy",
	.size = sizeof(struct single),
	.max = 1,
	.alone = true,
	.of = (const struct option_rows[]){ { single_keys, 0 }, { 0 } },
};
static const struct option_group *const devices[] = { &net_group, &rng_group, NULL };

static struct config config;
static enum config_action action;

static const struct card *card(unsigned int n)
{
	for (unsigned int i = 0; i < config.nr_devices; i++)
		if (config.device[i].group == &net_group && !n--)
			return config.device[i].options;
	fail();
	return NULL;
}

static const struct single *single(void)
{
	for (unsigned int i = 0; i < config.nr_devices; i++)
		if (config.device[i].group == &rng_group)
			return config.device[i].options;
	return NULL;
}
static char path[64];

/* Parse words parted by spaces ('_' stands for a space in a word, '~' for an empty word). */
static int parse(const char *line)
{
	static char copy[20000]; /* the configuration points into it */
	char *argv[MAX_ARGS] = { "minivmm" };
	int argc = 1;

	assert_true(strlen(line) < sizeof(copy));
	strcpy(copy, line);
	for (char *word = strtok(copy, " "); word; word = strtok(NULL, " ")) {
		assert_true(argc < MAX_ARGS);
		for (char *c = word; *c; c++)
			*c = *c == '_' ? ' ' : *c;
		argv[argc++] = strcmp(word, "~") ? word : word + 1;
	}
	return config_parse(&config, devices, argc, argv, &action);
}

static void write_file(const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static int setup(void **state)
{
	int fd;

	snprintf(path, sizeof(path), "/tmp/minivmm-test-config-XXXXXX");
	fd = mkstemp(path);
	assert_true(fd >= 0);
	close(fd);
	return 0;
}

static int teardown(void **state)
{
	unlink(path);
	return 0;
}

static void test_defaults(void **state)
{
	assert_int_equal(parse("--kernel k"), 0);
	assert_int_equal(action, CONFIG_RUN);
	assert_string_equal(config.kernel, "k");
	assert_string_equal(config.append, "");
	assert_null(config.initrd);
	assert_int_equal(config.mem, 256 * MIB);
	assert_int_equal(config.cpus, 1);
	assert_int_equal(config.nr_devices, 0);
	assert_int_equal(config.transport, TRANSPORT_PCI);
	assert_false(config.expect_status || config.verbose || config.timeout_ms ||
		     config.console.where || config.stats);
}

static void test_options(void **state)
{
	for (unsigned int form = 0; form < 2; form++) {
		assert_int_equal(
			parse(form ? "--kernel=k --initrd=i --append=a=b_c --mem=1G --cpus=4 "
				     "--rng --transport=mmio --console=none --stats=- "
				     "--timeout=5m --expect-status --verbose=on"
				   : "--kernel k --initrd i --append a=b_c --mem 1024M --cpus 4 "
				     "--rng=on --transport mmio --console none --stats - "
				     "--timeout 300s --expect-status=on --verbose"),
			0);
		assert_string_equal(config.initrd, "i");
		assert_string_equal(config.append, "a=b c");
		assert_int_equal(config.mem, GIB);
		assert_int_equal(config.cpus, 4);
		assert_int_equal(config.transport, TRANSPORT_MMIO);
		assert_string_equal(config.console.where, "none");
		assert_string_equal(config.stats, "-");
		assert_int_equal(config.timeout_ms, 300000);
		assert_true(single()->on && config.expect_status && config.verbose);
	}
	assert_int_equal(parse("--kernel k --rng --rng=off --mem 16M --mem 1024G --timeout 1ms"),
			 0);
	assert_false(single()->on); /* the last word counts */
	assert_int_equal(config.nr_devices, 1);
	assert_int_equal(config.mem, 1024 * GIB);
	assert_int_equal(config.timeout_ms, 1);
	/* A value may look like an option. */
	assert_int_equal(parse("--kernel --help"), 0);
	assert_string_equal(config.kernel, "--help");
	assert_int_equal(parse("--help"), 0);
	assert_int_equal(action, CONFIG_HELP);
	assert_int_equal(parse("--mem 1G --version --no-such"), 0);
	assert_int_equal(action, CONFIG_VERSION);
}

static void test_wants_mmio(void **state)
{
	static const struct {
		const char *words;
		bool wanted;
	} cases[] = {
		{ "--kernel k", false },
		{ "--kernel k --net a --rng", false }, /* one kind has no such key */
		{ "--kernel k --transport pci --net a,transport=pci", false },
		{ "--kernel k --transport mmio", true }, /* a job's port has none either */
		{ "--kernel k --transport mmio --net a,transport=pci", true },
		{ "--kernel k --rng --net a --net b,transport=mmio --net c", true },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(parse(cases[i].words), 0);
		assert_int_equal(config_wants_mmio(&config), cases[i].wanted);
	}
}

static void test_devices(void **state)
{
	static const uint8_t mac[6] = { 0x52, 0x54, 0, 0xab, 0xCD, 0xef };

	assert_int_equal(parse("--kernel k --net tap0 --net fd=3,mac=52:54:00:ab:CD:ef,mtu=68,"
			       "offload=off,mergeable=off,queue-size=1024,poll=0,transport=mmio "
			       "--net bridge=br0,mergeable --net tap=a23456789012345,bridge=br0 "
			       "--rng=level=3"),
			 0);
	assert_int_equal(config.nr_devices, 5);
	assert_string_equal(card(0)->inner.tap, "tap0");
	assert_int_equal(card(0)->inner.fd, -1);
	assert_int_equal(card(0)->queue_size, 256);
	assert_int_equal(card(0)->mtu, 0);
	assert_true(card(0)->offload && card(0)->mergeable);
	assert_int_equal(card(0)->transport, TRANSPORT_DEFAULT);
	assert_memory_equal(card(0)->mac, (uint8_t[6]){ 0 }, 6);
	assert_int_equal(card(1)->inner.fd, 3);
	assert_true(!card(1)->offload && !card(1)->mergeable && !card(1)->inner.tap);
	assert_memory_equal(card(1)->mac, mac, 6);
	assert_int_equal(card(1)->mtu, 68);
	assert_int_equal(card(1)->queue_size, 1024);
	assert_int_equal(card(1)->poll_us, 0);
	assert_int_equal(card(1)->transport, TRANSPORT_MMIO);
	assert_true(config_wants_mmio(&config));
	assert_true(card(2)->inner.bridge && !card(2)->inner.tap && card(2)->mergeable);
	assert_string_equal(card(3)->inner.bridge, "br0");
	assert_string_equal(card(3)->inner.tap, "a23456789012345");
	assert_true(single()->on);
	assert_int_equal(single()->level, 3);
	assert_int_equal(
		parse("--kernel k --net a --net b --net c --net d --net e --net f --net g --net h"),
		0);
	assert_int_equal(config.nr_devices, 8);
}

/* Two commas are one within a value, wherever they stand. */
static void test_commas(void **state)
{
	static const struct {
		const char *line, *file;
	} cases[] = {
		{ "--kernel k --net t,file=a,,b", "a,b" },
		{ "--kernel k --net t,file=,,a", ",a" },
		{ "--kernel k --net t,file=a,,", "a," },
		{ "--kernel k --net t,file=,,,,", ",," },
		{ "--kernel k --net t,file=a,,,mtu=1400", "a," },
		{ "--kernel k --net t,file=a,,mtu=68", "a,mtu=68" },
		{ "--kernel k --net t,file=a=b", "a=b" },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(parse(cases[i].line), 0);
		assert_string_equal(card(0)->file, cases[i].file);
	}
	assert_int_equal(card(0)->mtu, 0);
}

/* Help names every option and key, once each in its place, and no line is longer than a terminal. */
static void test_help(void **state)
{
	char *text = NULL, *line;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	config_help(f, devices);
	fclose(f);
	for (const struct option *o = card_keys; o->name; o++) {
		char want[64];

		snprintf(want, sizeof(want), "\n    %s=%s", o->name, o->value);
		assert_non_null(strstr(text, want));
	}
	assert_non_null(strstr(text, "\n  --net TAP"));
	assert_non_null(strstr(text, "\n    tap=NAME"));
	assert_non_null(strstr(text, "\n  --rng "));
	assert_non_null(strstr(text, "\n  --kernel FILE"));
	/* The default is the row's, and said where there is one. */
	assert_non_null(strstr(text, "4G (default 256M)\n"));
	assert_non_null(strstr(text, "    queue-size=N     ring (default 256)\n"));
	assert_non_null(strstr(text, "offload (default on)\n"));
	assert_non_null(strstr(text, "    poll=US          polling\n"));
	assert_non_null(strstr(text, "kernel command line\n"));
	for (line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
		assert_true(strlen(line) < 96);
	free(text);
}

/* What is wrong, and a part of the one line that says so. */
static const struct bad_line {
	const char *line, *message;
} bad_lines[] = {
	{ "", "no kernel given" },
	{ "--mem 1G", "no kernel given" },
	{ "bzImage", "unexpected argument 'bzImage'" },
	{ "-k", "unexpected argument '-k'" },
	{ "~", "unexpected argument ''" },
	{ "--kernel", "--kernel needs a value" },
	{ "--", "unknown option ''" },
	{ "--=", "unknown option ''" },
	{ "--kernal k", "unknown option 'kernal' (the nearest is 'kernel'" },
	{ "--ram 1G", "(the nearest is 'mem'" },
	{ "--memory=1G", "unknown option 'memory'" },
	{ "--cpu 1", "(the nearest is 'cpus'" },
	{ "--expect-statu", "(the nearest is 'expect-status'" },
	{ "--kernelkernelkernelkernelkernelkernel k", "unknown option 'kernelkernel" },
	{ "--kernel-kernel-kernel-kernel-k=x", "unknown option" },
	{ "--mem 0", "bad value '0' for mem" },
	{ "--mem 15M", "bad value '15M'" },
	{ "--mem 16777215", "bad value" },
	{ "--mem 16777217", "whole pages" },
	{ "--mem 1025G", "bad value" },
	{ "--mem -1", "bad value '-1'" },
	{ "--mem +64M", "bad value" },
	{ "--mem _64M", "bad value" },
	{ "--mem 64MB", "bad value" },
	{ "--mem 64_M", "bad value" },
	{ "--mem 0x4000000", "bad value" },
	{ "--mem 1.5G", "bad value" },
	{ "--mem M", "bad value 'M'" },
	{ "--mem ~", "bad value ''" },
	{ "--mem=", "bad value ''" },
	{ "--mem 18446744073709551616", "bad value" },
	{ "--mem 17179869184G", "bad value" }, /* 2^64 */
	{ "--mem 17179869185G", "bad value" }, /* wraps to 1 GiB */
	{ "--cpus 0", "a number from 1 to" },
	{ "--cpus 4294967297", "bad value '4294967297' for cpus" },
	{ "--cpus 1K", "bad value" },
	{ "--cpus two", "bad value" },
	{ "--rng=yes", "bad value 'yes' for rng: expected on or off" },
	{ "--rng=", "expected on or off" },
	{ "--transport usb", "expected mmio or pci" },
	{ "--console ~", "bad value" },
	{ "--stats=", "bad value" },
	{ "--timeout 30", "a time from 1ms to 8760h, such as" },
	{ "--timeout 0s", "a time from 1ms to 8760h, such as" },
	{ "--timeout s", "a time from 1ms to 8760h, such as" },
	{ "--timeout -1s", "a time from 1ms to 8760h, such as" },
	{ "--timeout 1d", "a time from 1ms to 8760h, such as" },
	{ "--timeout 18446744073709551s5", "a time from 1ms to 8760h, such as" },
	{ "--timeout 307445734561825861m", "a time from 1ms to 8760h, such as" }, /* wraps */
	{ "--config /nonexistent/file", "'/nonexistent/file': No such file or directory" },
	{ "--config /", "cannot read configuration file '/': Is a directory" },
	{ "--net ~", "bad value '' for tap" },
	{ "--net ,", "bad value '' for tap" },
	{ "--net tap0,", "unknown key in --net ''" },
	{ "--net tap=", "bad value '' for tap" },
	{ "--net a/b", "an interface name" },
	{ "--net eth0:1", "an interface name" },
	{ "--net .", "an interface name" },
	{ "--net all", "an interface name" },
	{ "--net bridge=a\tb", "an interface name" },
	{ "--net a234567890123456", "at most 15 characters" },
	{ "--net a%b", "bad value 'a%b' for tap: expected an interface name" },
	{ "--net bridge=br%d", "bad value 'br%d' for bridge" },
	{ "--net bridge=a234567890123456", "at most 15 characters" },
	{ "--net bridge=", "bad value '' for bridge" },
	{ "--net tap0,bridge", "bad value '' for bridge: expected key=value" },
	{ "--net tap0,tap", "bad value '' for tap" },
	{ "--net tap0,mac=00:00:00:00:00:00", "not all 0" },
	{ "--kernel ~", "bad value '' for kernel" },
	{ "--initrd=", "bad value '' for initrd" },
	{ "--net mac=52:54:00:00:00:01", "expected a tap" },
	{ "--net fd=-1", "bad value '-1' for fd" },
	{ "--kvm fd=-1", "bad value '-1' for kvm: expected fd=N or /dev/kvm" },
	{ "--kvm fd=+3", "bad value '+3' for kvm" },
	{ "--kvm fd=3x", "bad value '3x' for kvm" },
	{ "--kvm fd=0x3", "bad value '0x3' for kvm" },
	{ "--kvm fd=", "bad value '' for kvm" },
	{ "--kvm fd=1048577", "bad value '1048577' for kvm" },
	{ "--kvm fd=4294967295", "bad value '4294967295' for kvm" },
	{ "--kvm 3", "bad value '3' for kvm: expected fd=N or /dev/kvm" },
	{ "--kvm=", "bad value '' for kvm" },
	{ "--kvm /dev/kvm2", "bad value '/dev/kvm2' for kvm" },
	{ "--net fd=1048577", "bad value" },
	{ "--net tap0,mac=52:54:00:00:00", "an address such as" },
	{ "--net tap0,mac=52:54:00:00:00:01:02", "an address such as" },
	{ "--net tap0,mac=5:4:0:0:0:1", "an address such as" },
	{ "--net tap0,mac=52-54-00-00-00-01", "an address such as" },
	{ "--net tap0,mac=52:54:00:00:00:0g", "an address such as" },
	{ "--net tap0,mac=52:54:00:00:00:-1", "an address such as" },
	{ "--net tap0,mac=52:54:00:00:00:+1", "an address such as" },
	{ "--net tap0,mac=52:54:00:0x:00:01", "an address such as" },
	{ "--net tap0,mac=52:_4:00:00:00:01", "an address such as" },
	{ "--net tap0,mac=53:54:00:00:00:01", "unicast" },
	{ "--net tap0,mtu=67", "a number from 68 to 65521" },
	{ "--net tap0,mtu=65522", "a number from 68 to 65521" },
	{ "--net tap0,mtu=65536", "bad value" },
	{ "--net tap0,queue-size=0", "bad value" },
	{ "--net tap0,queue-size=1", "bad value" },
	{ "--net tap0,queue-size=255", "a power of two" },
	{ "--net tap0,queue-size=2048", "a power of two from 32 to 1024" },
	{ "--net tap0,queue-size=16", "a power of two from 32 to 1024" },
	{ "--net tap0,poll=1000001", "bad value" },
	{ "--net tap0,offload=yes", "on or off" },
	{ "--net tap0,transport=isa", "mmio or pci" },
	{ "--net tap0,maq=1", "unknown key in --net 'maq' (the nearest is 'mac'" },
	{ "--net tap0 --net tap0", "expected another tap" },
	{ "--net a --net b --net c --net d --net e --net f --net g --net h --net i",
	  "too many --net: at most 8" },
	{ "--net t,file", "bad value '' for file: expected key=value" },
	{ "--net t,file=", "bad value '' for file: expected a file" },
	{ "--rng=level=10", "a number from 0 to 9" },
	{ "--rng=levle=1", "unknown key in --rng 'levle' (the nearest is 'level'" },
	{ "--net", "--net needs a value" },
};

/* The parser's error is one line that says @message. */
static void check_bad(const char *line, const char *message)
{
	const char *said;
	int ret;

	messages_begin();
	ret = parse(line);
	said = messages_end();
	if (!ret)
		fail_msg("'%s' was accepted", line);
	assert_true(ret < 0);
	if (!strstr(said, message) || strncmp(said, "minivmm: ", 9))
		fail_msg("'%s': '%s' does not say '%s'", line, said, message);
}

static void test_bad_lines(void **state)
{
	char line[256];

	for (unsigned int i = 0; i < ARRAY_SIZE(bad_lines); i++) {
		check_bad(bad_lines[i].line, bad_lines[i].message);
		snprintf(line, sizeof(line), "%s%s", i > 1 ? "--kernel k " : "", bad_lines[i].line);
		check_bad(line, bad_lines[i].message);
	}
}

static void test_long_words(void **state)
{
	static char line[17000];

	for (size_t n = 1; n < 16000; n = n < 100 ? n + 1 : n * 2) {
		strcpy(line, "--");
		memset(line + 2, 'k', n);
		strcpy(line + 2 + n, "=v");
		check_bad(line, "unknown option 'k");
		strcpy(line, "--net tap0,");
		memset(line + 11, 'k', n);
		line[11 + n] = '\0';
		check_bad(line, "unknown key in --net 'k");
		strcpy(line, "--mem ");
		memset(line + 6, '9', n);
		line[6 + n] = '\0';
		if (n > 1)
			check_bad(line, "bad value '9");
	}
}

static void test_file(void **state)
{
	char line[256];

	write_file("# a comment\n\n  kernel = from the file \n\tmem=1G\nappend = a=b c = d\nrng\n"
		   "verbose = on\nnet = tap0,mtu=1400\n# net = tap9\nexpect-status=off\n"
		   "cpus = 2");
	snprintf(line, sizeof(line), "--net tap1 --mem 2G --rng=off --config %s --cpus=3", path);
	assert_int_equal(parse(line), 0);
	assert_string_equal(config.kernel, "from the file");
	assert_string_equal(config.append, "a=b c = d");
	assert_int_equal(config.mem, 2 * GIB); /* the command line wins, wherever it stands */
	assert_int_equal(config.cpus, 3);
	assert_false(single()->on);
	assert_true(config.verbose && !config.expect_status);
	assert_string_equal(card(0)->inner.tap, "tap0");
	assert_string_equal(card(1)->inner.tap, "tap1");
	/* Two files: the later one wins. */
	snprintf(line, sizeof(line), "--config=%s --config /dev/null", path);
	assert_int_equal(parse(line), 0);
	assert_int_equal(config.mem, GIB);
}

static void test_bad_files(void **state)
{
	static const struct bad_line cases[] = {
		{ "kernel = k\nkernle = k\n", "unknown option 'kernle' (the nearest is 'kernel'" },
		{ "kernel", "expected 'name = value'" },
		{ "= k", "unknown option ''" },
		{ "--kernel = k", "unknown option '--kernel'" },
		{ "mem =", "bad value '' for mem" },
		{ "mem = 1G # much", "bad value '1G # much'" },
		{ "rng = maybe", "on or off" },
		{ "help", "its place on the command line" },
		{ "version = on", "its place on the command line" },
		{ "config = /dev/null", "its place on the command line" },
		{ "net = tap0\nnet = tap0", "another tap" },
		{ "net =", "bad value" },
	};
	static char longest[9000];
	char line[256];

	snprintf(line, sizeof(line), "--kernel k --config %s", path);
	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		write_file(cases[i].line);
		check_bad(line, cases[i].message);
		check_bad(line, path); /* and where */
		check_bad(line, strchr(cases[i].line, '\n') ? "in line 2" : "in line 1");
	}
	write_file("\xef\xbb\xbfkernel = k");
	check_bad(line, "it begins with a byte order mark");
	write_file("\xff\xfek");
	check_bad(line, "it is UTF-16");
	write_file("\xfe\xffk");
	check_bad(line, "it is UTF-16");
	FILE *f = fopen(path, "w");

	fwrite("kernel = k\nmem\0 = 1G\n", 1, 22, f);
	fclose(f);
	check_bad(line, "has a NUL byte in it");
	check_bad("--kernel k --config /dev/zero",
		  "has a NUL byte in it"); /* no line without end */
	/* The longest line that fits, with and without its end, and one byte more. */
	for (size_t n = 8189; n < 8195; n++)
		for (unsigned int end = 0; end < 2; end++) {
			memset(longest, 'x', n);
			memcpy(longest, "append = ", 9);
			strcpy(longest + n, end ? "\n" : "");
			write_file(longest);
			if (n <= 8190)
				assert_int_equal(parse(line), 0);
			else
				check_bad(line, "line 1 of configuration file");
			if (n <= 8190)
				assert_int_equal(strlen(config.append), n - 9);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),  cmocka_unit_test(test_options),
		cmocka_unit_test(test_devices),	  cmocka_unit_test(test_wants_mmio),
		cmocka_unit_test(test_bad_lines), cmocka_unit_test(test_long_words),
		cmocka_unit_test(test_file),	  cmocka_unit_test(test_bad_files),
		cmocka_unit_test(test_commas),	  cmocka_unit_test(test_help),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
