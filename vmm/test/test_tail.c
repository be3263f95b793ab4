/* The last lines of what a guest's kernel says. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/base/test/messages.h"
#include "vmm/base/test/unit.h"
#include "vmm/tail.h"

static struct loop *loop;
static struct tail *tail;
static int log_fd;
static struct sink sink;

static int setup(void **state)
{
	log_fd = memfd_create("log", MFD_CLOEXEC);
	assert_true(log_fd >= 0);
	assert_int_equal(loop_create(&loop, "test"), 0);
	sink_init(&sink, log_fd);
	assert_int_equal(tail_create(&tail, loop, &sink, NULL, NULL), 0);
	return 0;
}

static int teardown(void **state)
{
	tail_destroy(tail);
	loop_destroy(loop);
	close(log_fd);
	return 0;
}

static void kernel_says(const char *text)
{
	assert_int_equal(write(tail_fd(tail), text, strlen(text)), strlen(text));
}

static bool end_round(void *arg)
{
	loop_stop(loop);
	return false;
}

static void one_round(void)
{
	loop_set_work(loop, end_round, NULL);
	loop_run(loop);
}

static void the_last_lines_are_told_without_what_upsets_a_terminal(void **state)
{
	const char *said;

	kernel_says("first\r\nsecond\r\n\033[2Jthird\007\r\nlast");
	messages_begin();
	tail_print(tail, 2);
	said = messages_end();
	assert_string_equal(said, "minivmm: guest: ?[2Jthird?\nminivmm: guest: last\n");
}

static void the_reason_is_told_however_long_the_trace_behind_it_is(void **state)
{
	static const char *const reason[] = {
		"[ 4.1] BUG: kernel NULL pointer dereference", "[ 4.2] Oops: 0002 [#1] PREEMPT SMP",
		"[ 4.9] Kernel panic - not syncing: Fatal exception"
	};
	char want[512] = "";

	kernel_says("[ 4.0] before\r\n");
	for (int i = 0; i < 3; i++) {
		kernel_says(reason[i]);
		for (int j = 0; j < 50; j++)
			kernel_says("\r\n? some_function+0x10/0x20");
		kernel_says("\r\n");
		sprintf(want + strlen(want), "minivmm: guest: %s\n", reason[i]);
	}
	strcat(want, "minivmm: guest: ? some_function+0x10/0x20\n");
	messages_begin();
	tail_print(tail, 1);
	assert_string_equal(messages_end(), want);
}

static void more_than_is_kept_goes_into_the_log_whole(void **state)
{
	char line[128];
	off_t len = 0;

	for (int i = 0; i < 3000; i++) {
		len += snprintf(line, sizeof(line), "line %d\n", i);
		kernel_says(line);
		if (i % 100 == 0) {
			messages_begin();
			tail_print(tail, 1);
			messages_end();
		}
	}
	messages_begin();
	tail_print(tail, 3);
	assert_string_equal(
		messages_end(),
		"minivmm: guest: line 2997\nminivmm: guest: line 2998\nminivmm: guest: line 2999\n");
	assert_int_equal(lseek(log_fd, 0, SEEK_END), len);
}

static void what_nobody_has_looked_at_is_in_the_log_at_the_end(void **state)
{
	char text[64] = "";

	kernel_says("reboot: Power down\n");
	tail_destroy(tail);
	assert_int_equal(pread(log_fd, text, sizeof(text) - 1, 0), 19);
	assert_string_equal(text, "reboot: Power down\n");
	assert_int_equal(tail_create(&tail, loop, &sink, NULL, NULL), 0);
}

static void a_log_that_is_not_read_is_told_of_with_what_is_lost(void **state)
{
	char dir[] = "/tmp/test_tail.XXXXXX", path[64], text[4096 + 1], want[128];
	const char *said;
	struct sink fifo;

	tail_destroy(tail);
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/log", dir);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(sink_open(&fifo, path), 0);
	assert_int_equal(fcntl(fifo.fd, F_SETPIPE_SZ, 4096), 4096);
	assert_int_equal(tail_create(&tail, loop, &fifo, NULL, NULL), 0);
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	messages_begin();
	for (int i = 0; i < 3; i++) {
		kernel_says(text);
		tail_print(tail, 1);
	}
	tail_destroy(tail);
	said = messages_end();
	assert_non_null(
		strstr(said, "minivmm: the log is being lost: its reader does not keep up\n"));
	/* What the pipe had taken is read by nobody either. */
	snprintf(want, sizeof(want), "\nminivmm: %d bytes of the log are lost\n", 3 * 4096);
	assert_string_equal(said + strlen(said) - strlen(want), want);
	assert_null(strstr(strstr(said, "being lost") + 1, "being lost"));
	sink_close(&fifo);
	unlink(path);
	rmdir(dir);
	assert_int_equal(tail_create(&tail, loop, &sink, NULL, NULL), 0);
}

static void count(void *arg)
{
	++*(int *)arg;
}

/* In whatever pieces it comes; a program's own words about halting are none. */
static void a_kernel_that_halts_is_heard(void **state)
{
	static const char *const said[] = { "reboot: Restarting system\r\nSystem halted\r\n",
					    "[    4.000000] reboot: Sys", "tem halted", "\r\n",
					    "more" };
	int halted = 0;

	tail_destroy(tail);
	assert_int_equal(tail_create(&tail, loop, &sink, count, &halted), 0);
	for (size_t i = 0; i < ARRAY_SIZE(said); i++) {
		kernel_says(said[i]);
		one_round();
		assert_int_equal(halted, i >= 2);
	}
}

/* A cgroup that is full is the job's own affair. */
static void want_of_memory_is_heard(void **state)
{
	kernel_says("[ 3.9] Memory cgroup out of memory: Killed process 22 (x)\r\n");
	assert_false(tail_ran_out_of_memory(tail));
	kernel_says("[ 4.0] Out of mem");
	assert_false(tail_ran_out_of_memory(tail));
	kernel_says("ory: Killed process 23 (busybox) total-vm:116628kB\r\n");
	assert_true(tail_ran_out_of_memory(tail));
	kernel_says("more\r\n");
	assert_true(tail_ran_out_of_memory(tail));
}

static void nothing_said_is_nothing_told(void **state)
{
	messages_begin();
	tail_print(tail, 40);
	assert_string_equal(messages_end(), "");
}

#define test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(the_last_lines_are_told_without_what_upsets_a_terminal),
		test(the_reason_is_told_however_long_the_trace_behind_it_is),
		test(more_than_is_kept_goes_into_the_log_whole),
		test(what_nobody_has_looked_at_is_in_the_log_at_the_end),
		test(a_log_that_is_not_read_is_told_of_with_what_is_lost),
		test(a_kernel_that_halts_is_heard),
		test(want_of_memory_is_heard),
		test(nothing_said_is_nothing_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
