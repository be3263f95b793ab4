/* Messages that nobody reads: none waits, and the lost are counted and told of. */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm/base/log.h"
#include "vmm/base/test/unit.h"

static int saved, pipes[2];

/* Standard error is a pipe until restore(). */
static int redirect(void **state)
{
	signal(SIGPIPE, SIG_IGN);
	saved = dup(STDERR_FILENO);
	assert_int_equal(pipe(pipes), 0);
	assert_int_equal(dup2(pipes[1], STDERR_FILENO), STDERR_FILENO);
	log_open();
	return 0;
}

static int restore(void **state)
{
	dup2(saved, STDERR_FILENO);
	log_open();
	close(saved);
	close(pipes[1]);
	return close(pipes[0]);
}

static size_t read_all(char *text, size_t size)
{
	size_t len = 0;
	ssize_t n;

	fcntl(pipes[0], F_SETFL, O_NONBLOCK);
	while (len < size - 1 && (n = read(pipes[0], text + len, size - 1 - len)) > 0)
		len += (size_t)n;
	text[len] = '\0';
	return len;
}

static unsigned int lines_in(const char *text)
{
	unsigned int n = 0;

	for (; *text; text++)
		n += *text == '\n';
	return n;
}

static void test_a_line(void **state)
{
	char text[256];

	log_warn("one %s\nline", "long");
	read_all(text, sizeof(text));
	assert_string_equal(text, "minivmm: one long line\n");
}

static void test_reader_that_stops(void **state)
{
	enum { LINES = 5000 };
	static char text[1 << 20];
	const uint64_t lost_before = log_get_counters()->lost;
	unsigned int lines;
	uint64_t lost;
	char *at;

	for (unsigned int i = 0; i < LINES; i++)
		log_warn("message %05u of those that nobody reads", i);
	lost = log_get_counters()->lost - lost_before;
	assert_true(lost > 0 && lost < LINES);
	/* The reader is back: what was queued, and how many are missing, in order and whole. */
	read_all(text, sizeof(text));
	lines = lines_in(text);
	log_flush(1000);
	read_all(text + strlen(text), sizeof(text) - strlen(text));
	assert_true(lines_in(text) > lines);
	at = text;
	for (unsigned int i = 0; i < LINES - lost; i++) {
		assert_int_equal(strncmp(at, "minivmm: message ", 17), 0);
		assert_int_equal(strtoul(at + 17, NULL, 10), i);
		at = strchr(at, '\n') + 1;
	}
	assert_int_equal(strtoul(at + 9, NULL, 10), lost);
	assert_non_null(strstr(at, " messages were lost here\n"));
	log_warn("and on");
	read_all(text, sizeof(text));
	assert_string_equal(text, "minivmm: and on\n");
}

static void test_reader_that_goes(void **state)
{
	const uint64_t lost_before = log_get_counters()->lost;

	close(pipes[0]);
	log_error("to nobody");
	log_error("to nobody");
	assert_int_equal(log_get_counters()->lost - lost_before, 2);
	log_flush(1000);
	pipes[0] = open("/dev/null", O_RDONLY);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, redirect, restore)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_line),
		TEST(test_reader_that_stops),
		TEST(test_reader_that_goes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
