/* passt as a child: programs of that name that do what it may do. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/base/test/messages.h"
#include "vmm/base/test/unit.h"
#include "vmm/base/util.h"
#include "vmm/base/test/parent.h"
#include "vmm/passt.h"

static char dir[64], old_path[4096];

static int setup(void **state)
{
	char path[4200];

	signal(SIGCHLD, SIG_DFL);
	signal(SIGPIPE, SIG_IGN);
	strcpy(dir, "/tmp/test_passt.XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(old_path, sizeof(old_path), "%s", getenv("PATH"));
	snprintf(path, sizeof(path), "%s:%s", dir, old_path);
	setenv("PATH", path, 1);
	return 0;
}

static int teardown(void **state)
{
	char command[100];

	signal(SIGCHLD, SIG_DFL); /* system() waits */
	setenv("PATH", old_path, 1);
	snprintf(command, sizeof(command), "rm -r %s", dir);
	return system(command);
}

/* In bash: dash lets all signals through. */
static void passt_is(const char *script)
{
	char path[100];
	FILE *f;

	snprintf(path, sizeof(path), "%s/passt", dir);
	f = fopen(path, "we");
	assert_non_null(f);
	fprintf(f, "#!/bin/bash\n%s\n", script);
	fclose(f);
	chmod(path, 0755);
}

/* An answer about the gateway: length, Ethernet, 28 bytes of ARP. Then it reads until our end is closed. */
#define ANSWER "printf '\\000\\000\\000\\052777777666666\\010\\006%028d' 0 >&3; "

static void it_is_not_there(void **state)
{
	struct passt p = { 0 };
	const char *said;

	setenv("PATH", dir, 1);
	messages_begin();
	assert_int_equal(passt_start(&p), -ENOENT);
	said = messages_end();
	assert_non_null(strstr(
		said,
		"cannot start passt: No such file or directory (install it: apt-get install passt"));
	assert_ptr_equal(strchr(said, '\n'), said + strlen(said) - 1);
	assert_true(p.socket < 0 && p.words < 0);
}

/* What it said is told, in one line, without what says nothing. */
static void it_fails(void **state)
{
	static const struct {
		const char *script, *told;
	} ways[] = {
		{ "echo 'No external routable interface for IPv4' >&2; echo 'Failed to send 5 bytes to syslog' >&2\n"
		  "echo 'External interface not usable' >&2; exit 1",
		  "passt cannot carry the network: No external routable interface for IPv4; External interface not usable "
		  "(this host needs a default route" },
		{ "exit 1", "it said nothing" },
		{ "kill -9 $$", "it said nothing" },
		{ "exec >&3 2>/dev/null; yes", "it said nothing" }, /* no frames at all */
		{ "exec 3>&-; exec sleep 10", "passt does not answer: it said nothing" },
		{ "i=0; while [ $i -lt 3000 ]; do echo a long line that fills a pipe >&2; i=$((i + 1)); done",
		  "a long line" },
		{ "printf '\\000\\000\\000\\052half' >&3", "it said nothing" },
		{ "printf '\\377\\377\\377\\377' >&3", "it said nothing" },
		{ "printf '\\000\\000\\000\\000' >&3", "it said nothing" },
	};

	for (unsigned int i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		struct passt p;
		const char *said;

		passt_is(ways[i].script);
		assert_int_equal(passt_start(&p), 0);
		messages_begin();
		assert_int_equal(passt_ready(&p), -ENETDOWN);
		said = messages_end();
		if (!strstr(said, ways[i].told) || strchr(said, '\n') != said + strlen(said) - 1)
			fail_msg("%u: '%s'", i, said);
		assert_int_equal(kill(p.pid, 0), -1); /* no zombie either */
		assert_true(p.socket < 0 && p.words < 0);
	}
}

/* It has no descriptor of ours, no signal of our group, and its end is seen. */
static void it_lives_as_long_as_its_socket(void **state)
{
	char path[100], line[200] = "";
	struct passt p;
	FILE *f;

	need_proc();
	passt_is(
		"cd \"${0%/*}\"; ls -l /proc/$$/fd >fds; grep SigBlk /proc/$$/status >mask; echo \"$@\" >args; " ANSWER
		"cat <&3 >frames; sleep 0.2; echo ended >end");
	assert_int_equal(passt_start(&p), 0);
	assert_int_equal(passt_ready(&p), 0);
	assert_int_equal(kill(p.pid, SIGTERM), 0);
	assert_int_equal(kill(p.pid, SIGINT), 0);
	const pid_t pid = p.pid;
	const uint64_t begun = now_ns();
	passt_end(&p);
	assert_true(p.socket < 0);
	snprintf(path, sizeof(path), "%s/end", dir);
	/* It was waited for, unless this host is so busy that it was given up. */
	assert_true(access(path, F_OK) == 0 || now_ns() - begun >= 1000000000);
	while (kill(pid, 0) == 0) /* its descriptors close just before it is gone */
		usleep(1000);
	snprintf(path, sizeof(path), "%s/args", dir);
	f = fopen(path, "re");
	assert_non_null(fgets(line, sizeof(line), f));
	fclose(f);
	assert_non_null(strstr(line, "-F 3 ") && strstr(line, "--no-map-gw") &&
			strstr(line, "-t none -u none"));
	snprintf(path, sizeof(path), "%s/fds", dir);
	f = fopen(path, "re");
	while (fgets(line, sizeof(line), f)) {
		int fd;
		char *arrow = strstr(line, " -> ");

		if (!arrow || strstr(arrow, dir)) /* the shell has its script open */
			continue;
		for (*arrow = '\0'; arrow > line && arrow[-1] != ' '; arrow--)
			;
		fd = atoi(arrow);
		assert_in_range(fd, 0, 3);
	}
	fclose(f);
	snprintf(path, sizeof(path), "%s/mask", dir);
	f = fopen(path, "re");
	assert_non_null(fgets(line, sizeof(line), f));
	fclose(f);
	assert_int_equal(strtoull(strchr(line, ':') + 1, NULL, 16) & 0x4003,
			 0x4003); /* TERM, INT, HUP */
}

static void nothing_to_end(void **state)
{
	struct passt p = { .socket = -1, .words = -1 };

	passt_end(&p);
	passt_end(&p);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(it_is_not_there),
		TEST(it_fails),
		TEST(it_lives_as_long_as_its_socket),
		TEST(nothing_to_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
