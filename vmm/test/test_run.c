/* `minivmm run`: from its command line to a machine, with a kernel that is only a header. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/base/test/messages.h"
#include "vmm/base/test/unit.h"
#include "vmm/machine.h"
#include "vmm/run.h"
#include "vmm/run_internal.h"
#include "vmm/sandbox.h"

#define MAX_ARGS 64

/* What a configuration points to lives as long as the process: that is no leak. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "detect_leaks=0";
}

static char dir[64];
static struct config config;
static enum config_action action;

/* Words parted by spaces; '@' stands for the test's directory. */
static int parse(const char *line)
{
	char *copy = malloc(strlen(line) + 1000), *to = copy; /* the configuration points into it */
	char *argv[MAX_ARGS] = { "run" };
	int argc = 1;

	for (const char *c = line; *c; c++)
		if (*c == '@')
			to = stpcpy(to, dir);
		else
			*to++ = *c;
	*to = '\0';
	for (char *word = strtok(copy, " "); word; word = strtok(NULL, " "))
		argv[argc++] = word;
	return run_parse(&config, machine_devices(), argc, argv, &action);
}

static int setup(void **state)
{
	uint8_t header[0x300] = { 0 };
	char path[128];
	FILE *f;

	strcpy(dir, "/tmp/test_run.XXXXXX");
	assert_non_null(mkdtemp(dir));
	memcpy(header + 0x202, "HdrS", 4);
	header[0x20e] = 0x80; /* its version stands at 0x280 */
	strcpy((char *)header + 0x280, "0.0-test (someone) #1");
	snprintf(path, sizeof(path), "%s/kernel", dir);
	f = fopen(path, "we");
	assert_non_null(f);
	assert_int_equal(fwrite(header, sizeof(header), 1, f), 1);
	assert_int_equal(fclose(f), 0);
	return 0;
}

static int teardown(void **state)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -r %s", dir);
	return system(command);
}

/* Whether the job says @text, a whole `key=value`. */
static bool job_says(const char *text)
{
	return memmem(config.job->initramfs, config.job->initramfs_len, text, strlen(text) + 1);
}

static void a_command_becomes_a_machine(void **state)
{
	unsetenv("TERM");
	assert_int_equal(
		parse("--root / --kernel @/kernel --share /tmp://t/:rw --share /usr --share /etc:/t/a --out @/out --env A=b=c "
		      "--cwd /t --user 1000 --timeout 5s --mem 128M --cpus 2 -- sh -c $HOME"),
		0);
	assert_int_equal(action, CONFIG_RUN);
	assert_int_equal(config.mem, 128 * MIB);
	assert_int_equal(config.cpus, 2);
	assert_int_equal(config.timeout_ms, 5000);
	assert_int_equal(config.job->kill_after_ms, 10000);
	assert_int_equal(config.nr_devices, 5);
	assert_true(job_says("arg=sh") && job_says("arg=-c") && job_says("arg=$HOME"));
	assert_true(job_says("env=A=b=c") && job_says("env=OUT=/out"));
	assert_true(job_says("cwd=/t") && job_says("user=1000:1000"));
	assert_true(job_says("fs=root:ro:/") && job_says("fs=share1:rw:/t"));
	assert_true(job_says("fs=share2:ro:/usr") && job_says("fs=share0:rw:/out"));
}

static void what_is_shared_below_out_is_mounted_on_it(void **state)
{
	const char *job, *out;

	assert_int_equal(parse("--root / --kernel @/kernel --share /tmp:/out/x --out @/o -- x"), 0);
	job = config.job->initramfs;
	out = memmem(job, config.job->initramfs_len, ":rw:/out", 9);
	assert_non_null(out);
	assert_non_null(
		memmem(out, config.job->initramfs_len - (size_t)(out - job), ":ro:/out/x", 11));
}

static void what_is_mounted_at_run_is_not_the_guests(void **state)
{
	char path[100];

	snprintf(path, sizeof(path), "%s/r", dir);
	mkdir(path, 0700);
	assert_int_equal(parse("--root @/r --kernel @/kernel -- x"), 0);
	assert_false(job_says("run=root"));
	snprintf(path, sizeof(path), "%s/r/run", dir);
	assert_int_equal(symlink("/", path), 0);
	assert_int_equal(parse("--root @/r --kernel @/kernel -- x"), 0);
	assert_false(job_says("run=root"));
	unlink(path);
	mkdir(path, 0700);
	assert_int_equal(parse("--root @/r --kernel @/kernel -- x"), 0);
	assert_true(job_says("run=root"));
}

static void only_what_is_asked_for_is_in_the_environment(void **state)
{
	setenv("SECRET", "x", 1);
	setenv("WANTED", "y z", 1);
	assert_int_equal(
		parse("--root / --kernel @/kernel --env WANTED --env NOT_THERE --env PATH=/p -- x"),
		0);
	assert_true(job_says("env=WANTED=y z") && job_says("env=PATH=/p") &&
		    job_says("env=HOME=/"));
	assert_false(job_says("env=SECRET=x"));
	assert_null(memmem(config.job->initramfs, config.job->initramfs_len, "NOT_THERE", 9));
}

/* As of any other option. */
static void of_a_name_given_twice_the_last_value_counts(void **state)
{
	assert_int_equal(
		parse("--root / --kernel @/kernel --env A=1 --env AB=x --env A=2 --env WANTED=z --env WANTED --env PATH=/a --env PATH=/b -- x"),
		0);
	assert_true(job_says("env=A=2") && job_says("env=AB=x") && job_says("env=PATH=/b") &&
		    job_says("env=WANTED=y z"));
	assert_false(job_says("env=A=1") || job_says("env=PATH=/a") || job_says("env=WANTED=z"));
}

/* As `2>&1` has it, whatever is behind the two. */
static void errors_that_go_where_the_output_goes_stay_in_order(void **state)
{
	const int null = open("/dev/null", O_WRONLY | O_CLOEXEC), out = dup(STDOUT_FILENO),
		  err = dup(STDERR_FILENO);
	int pipes[2];

	assert_int_equal(pipe(pipes), 0);
	dup2(null, STDERR_FILENO);
	dup2(pipes[1], STDOUT_FILENO);
	assert_int_equal(parse("--root / --kernel @/kernel -- x"), 0);
	const bool apart = job_says("err=out");

	dup2(pipes[1], STDERR_FILENO);
	assert_int_equal(parse("--root / --kernel @/kernel -- x"), 0);
	const bool same = job_says("err=out");

	assert_int_equal(parse("--root / --kernel @/kernel --tty -- x"), 0);
	dup2(out, STDOUT_FILENO);
	dup2(err, STDERR_FILENO);
	assert_false(apart);
	assert_true(same);
	assert_false(job_says("err=out"));
	close(null);
	close(out);
	close(err);
	close(pipes[0]);
	close(pipes[1]);
}

static void a_place_is_no_longer_than_a_path(void **state)
{
	char line[6000] = "--root / --kernel @/kernel --share /tmp:/", *at = line + strlen(line);
	const char *said;

	memset(at, 'x', 4095);
	strcpy(at + 4095, " -- x");
	messages_begin();
	assert_int_equal(parse(line), -EINVAL);
	said = messages_end();
	assert_non_null(strstr(said, "of at most 4095 bytes (HOST:GUEST"));
	strcpy(at + 4094, " -- x");
	assert_int_equal(parse(line), 0);
}

/* The card's keys are the machine's, the addresses the guest's. */
static void a_network_is_a_card_and_addresses(void **state)
{
	static const struct {
		const char *net, *job;
	} nets[] = {
		{ "tap0", "net=::" },
		{ "tap0,ip=10.0.0.2/24", "net=10.0.0.2/24::" },
		{ "tap0,ip=10.0.0.2/32,gw=10.0.0.1,dns=1.1.1.1",
		  "net=10.0.0.2/32:10.0.0.1:1.1.1.1" },
		{ "dns=1.1.1.1,tap=tap0,ip=10.0.0.2/8,mtu=1400", "net=10.0.0.2/8::1.1.1.1" },
		{ "tap=tap0,mac=52:54:00:00:00:01,gw=10.0.0.1,ip=10.0.0.2/24,queue-size=64",
		  "net=10.0.0.2/24:10.0.0.1:" },
		{ "socket=/a,,ip=b,ip=10.0.0.2/24", "net=10.0.0.2/24::" },
	};
	char line[200];

	for (unsigned int i = 0; i < ARRAY_SIZE(nets); i++) {
		snprintf(line, sizeof(line), "--root / --kernel @/kernel --net %s -- x",
			 nets[i].net);
		assert_int_equal(parse(line), 0);
		assert_int_equal(config.nr_devices, 2);
		if (!job_says(nets[i].job))
			fail_msg("%s", nets[i].net);
	}
	assert_int_equal(parse("--root / --kernel @/kernel --net none -- x"), 0);
	assert_int_equal(config.nr_devices, 1);
	assert_null(memmem(config.job->initramfs, config.job->initramfs_len, "net=:", 5));
}

static void names_are_looked_for_where_the_host_does(void **state)
{
	static const char *const files[][2] = {
		{ "", "" },
		{ "nameserver 1.1.1.1\noptions edns0\n", "" },
		{ "search a.test b.test\nnameserver 1.1.1.1\n", "a.test b.test" },
		{ "nameserver 1.1.1.1\ndomain a.test", "a.test" },
		{ "search a\ndomain\tb-1_x.test\nsearching c\n#search d\n", "b-1_x.test" },
		{ "search .\n", "." },
		{ "search a;b\n", "" },
		{ "search a:b\033[31m\n", "" },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(files); i++) {
		char domains[RUN_SEARCH_MAX], text[100];
		FILE *f;

		snprintf(text, sizeof(text), "%s\n", files[i][0]);
		f = fmemopen(text, strlen(text), "r");
		assert_non_null(f);
		run_net_search(f, domains);
		fclose(f);
		assert_string_equal(domains, files[i][1]);
	}
}

static void the_sandbox_is_the_machines(void **state)
{
	assert_int_equal(parse("--root / --kernel @/kernel -- x"), 0);
	assert_int_equal(config.sandbox, SANDBOX_DEFAULT);
	assert_int_equal(parse("--root / --kernel @/kernel --sandbox log -- x"), 0);
	assert_int_equal(config.sandbox, SANDBOX_LOG);
	assert_int_equal(parse("--root / --kernel @/kernel --sandbox=off -- x"), 0);
	assert_int_equal(config.sandbox, SANDBOX_OFF);
}

static void what_is_wrong_is_one_line(void **state)
{
	static const struct {
		const char *line, *message;
	} bad[] = {
		{ "", "no root given" },
		{ "--root /", "no command given" },
		{ "--root / --", "no command given" },
		{ "ls", "unexpected argument 'ls'" },
		{ "--root", "--root needs a value" },
		{ "--rot /", "unknown option 'rot' (the nearest is 'root'" },
		{ "--root / --kernel /nonexistent -- x", "cannot open kernel '/nonexistent'" },
		{ "--root / --kernel /etc/passwd -- x", "does not say which release it is" },
		{ "--root /nonexistent --kernel @/kernel -- x",
		  "cannot share directory '/nonexistent'" },
		{ "--root @/kernel --kernel @/kernel -- x", "Not a directory" },
		{ "--root / --kernel @/kernel --share /tmp:/a --share /etc:/a -- x",
		  "two directories at '/a'" },
		{ "--root / --kernel @/kernel --share /tmp:/sys/ -- x",
		  "'/sys': the guest has its own" },
		{ "--root / --kernel @/kernel --share /tmp:/out --out @/o -- x",
		  "two directories at '/out'" },
		{ "--root / --kernel @/kernel --share /tmp:/ -- x", "below /" },
		{ "--root / --kernel @/kernel --share /tmp:/// -- x", "below /" },
		{ "--root / --kernel @/kernel --share /tmp:/a/../b -- x", "below /" },
		{ "--root / --kernel @/kernel --share /tmp:/a/. -- x", "below /" },
		{ "--root / --kernel @/kernel --share /tmp:/a --share /etc://a/ -- x",
		  "two directories at '/a'" },
		{ "--root / --kernel @/kernel --share /tmp:/a/b --share /etc:/a -- x",
		  "would hide '/a/b'" },
		{ "--root / --log - -- x", "bad value '-' for log: expected a file (./- is" },
		{ "--root / --junit=- -- x", "bad value '-' for junit: expected a file (./- is" },
		{ "--root / --kernel @/kernel --share /tmp:/proc -- x", "at '/proc'" },
		{ "--root / --kernel @/kernel --share /tmp:/proc/x -- x", "at '/proc/x'" },
		{ "--root / --kernel @/kernel --share /tmp://sys//fs/x -- x", "at '/sys/fs/x'" },
		{ "--root / --kernel @/kernel --share /tmp:/dev -- x", "at '/dev'" },
		{ "--root / --kernel @/kernel --share /tmp:a -- x", "share '/tmp:a': its place" },
		{ "--root / --kernel @/kernel --share /tmp:/a:RW -- x", "share '/tmp:/a:RW': its" },
		{ "--root / --kernel @/kernel --share /tmp//../x -- x", "share '/tmp//../x': its" },
		{ "--root / --kernel @/kernel --share /nonexistent:/a -- x", "'/nonexistent'" },
		{ "--root / --kernel @/kernel --out @/kernel/o -- x", "cannot make directory" },
		{ "--root / --cwd here -- x", "an absolute path" },
		{ "--root / --user root -- x", "numbers" },
		{ "--root / --user 1:2:3 -- x", "numbers" },
		{ "--root / --mem 1M -- x", "a size from 64M" },
		{ "--root / --timeout 5 -- x", "a time from 1ms to 8760h, such as" },
		{ "--root / --kernel @/kernel --net tap0,ip=10.0.0.2 -- x",
		  "bad value '10.0.0.2' for ip" },
		{ "--root / --kernel @/kernel --net tap0,ip=10.0.0.256/24 -- x", "bad value" },
		{ "--root / --kernel @/kernel --net tap0,ip=10.0.0.2/0 -- x", "bad value" },
		{ "--root / --kernel @/kernel --net tap0,ip=10.0.0.2/33 -- x", "bad value" },
		{ "--root / --kernel @/kernel --net tap0,ip=10.0.0.2/24x -- x", "bad value" },
		{ "--root / --kernel @/kernel --net tap0,ip=10.0.0.2/+8 -- x", "bad value" },
		{ "--root / --kernel @/kernel --net tap0,ip=10.0.0.2/-8 -- x", "bad value" },
		{ "--root / --kernel @/kernel --net tap0,ip=10.0.0.2/008 -- x", "bad value" },
		{ "--root / --kernel @/kernel --net tap0,ip=10.0.0.2/ -- x", "bad value" },
		{ "--root / --kernel @/kernel --net tap0,gw=10.0.0.1 -- x", "gw= needs ip=" },
		{ "--root / --kernel @/kernel --net tap0,ip=10.0.0.2/24,gw=host -- x", "for gw" },
		{ "--root / --kernel @/kernel --net tap0,dns=:: -- x", "for dns" },
		{ "--root / --kernel @/kernel --net tap0,ip=10.0.0.2/24,ip=10.0.0.3/24 -- x",
		  "unknown key" },
		/* No taps of these names are made. */
		{ "--root / --kernel @/kernel --net passt,ip=10.0.0.2/24 -- x",
		  "passt has no keys" },
		{ "--root / --kernel @/kernel --net passt, -- x", "passt has no keys" },
		{ "--root / --kernel @/kernel --net none,mtu=1400 -- x", "none has no keys" },
		{ "--root / --sandbox maybe -- x", "expected on, off or log" },
		{ "--root / --env= -- x", "NAME or NAME=VALUE" },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		const char *said;
		int ret;

		messages_begin();
		ret = parse(bad[i].line);
		said = messages_end();
		if (!ret || !strstr(said, bad[i].message) ||
		    strchr(said, '\n') != said + strlen(said) - 1)
			fail_msg("'%s': %d, '%s'", bad[i].line, ret, said);
	}
}

static void help_is_help(void **state)
{
	assert_int_equal(parse("--root / --help"), 0);
	assert_int_equal(action, CONFIG_HELP);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_command_becomes_a_machine),
		cmocka_unit_test(what_is_shared_below_out_is_mounted_on_it),
		cmocka_unit_test(what_is_mounted_at_run_is_not_the_guests),
		cmocka_unit_test(only_what_is_asked_for_is_in_the_environment),
		cmocka_unit_test(of_a_name_given_twice_the_last_value_counts),
		cmocka_unit_test(errors_that_go_where_the_output_goes_stay_in_order),
		cmocka_unit_test(a_place_is_no_longer_than_a_path),
		cmocka_unit_test(a_network_is_a_card_and_addresses),
		cmocka_unit_test(names_are_looked_for_where_the_host_does),
		cmocka_unit_test(the_sandbox_is_the_machines),
		cmocka_unit_test(what_is_wrong_is_one_line),
		cmocka_unit_test(help_is_help),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
