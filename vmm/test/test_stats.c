/* Accounts: counter groups come and go, and the JSON that is made of them. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/base/counters.h"
#include "vmm/base/test/unit.h"
#include "vmm/fault.h"
#include "vmm/files.h"
#include "vmm/stats.h"
#include "vmm/base/test/messages.h"

struct counted {
	uint64_t packets, first_packet, never;
};

static const struct counter_desc desc[] = {
	COUNTER(struct counted, packets),
	COUNTER_TIME(struct counted, first_packet),
	COUNTER_TIME(struct counted, never),
	COUNTER_END,
};

static struct counted counted[3];
static struct counter_group groups[3];
static struct counters counters;

static void add(unsigned int i)
{
	counters_add(&counters, &groups[i], desc, &counted[i], "%c%s", 'a' + (int)i,
		     i == 1 ? ".rx" : "");
}

/* The names in their order. */
static const char *listed(void)
{
	static char names[64];

	names[0] = '\0';
	for (const struct counter_group *g = counters.first; g; g = g->next)
		strcat(names, g->name);
	return names;
}

static void test_groups(void **state)
{
	static const char *const left[] = { "b.rxc", "ac", "ab.rx" };

	counters_remove(&groups[0]); /* of nothing */
	for (unsigned int gone = 0; gone < 3; gone++) {
		for (unsigned int i = 0; i < 3; i++)
			add(i);
		assert_string_equal(listed(), "ab.rxc");
		counters_remove(&groups[gone]);
		counters_remove(&groups[gone]);
		assert_string_equal(listed(), left[gone]);
		add(gone); /* now the last */
		assert_int_equal(strlen(listed()), 6);
		for (unsigned int i = 0; i < 3; i++)
			counters_remove(&groups[i]);
		assert_null(counters.first);
	}
}

static char text[4096];
static struct files files;

static const char *read_text(const char *path)
{
	FILE *f = fopen(path, "r");

	assert_non_null(f);
	text[fread(text, 1, sizeof(text) - 1, f)] = '\0';
	fclose(f);
	return text;
}

static void test_json(void **state)
{
	char path[] = "/tmp/minivmm-test-stats-XXXXXX";
	const uint64_t start = now_ns();
	const int fd = mkstemp(path);
	unsigned long long uptime;
	struct stats *s;
	int n = 0;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, "what was here before", 20), 20);
	assert_int_equal(stats_create(&s, &counters, path, start), 0);
	assert_int_equal(files_open_output(&files, stats_output(s)), 0);
	assert_string_equal(read_text(path), "what was here before"); /* until all is well */
	files_begin_output(stats_output(s));
	fault_put_back(FAULT_NO_FILES); /* its file might not answer */
	assert_string_equal(read_text(path), "");
	stats_phase(NULL, PHASE_KVM);
	stats_write(NULL, "running", 0, 0);
	add(0);
	add(1);
	counted[0] = (struct counted){ ~0ull, start + 1234999, 0 };
	stats_write(s, "a rather long outcome to be replaced", 126, 0);
	stats_write(s, "running", 3, 0);
	assert_int_equal(sscanf(read_text(path), "{\"uptime_us\":%llu, %n", &uptime, &n), 1);
	assert_true(n > 0);
	assert_string_equal(
		text + n, "\"outcome\":\"running\", \"status\":3,\n \"boot_us\":{\"memory\":null, "
			  "\"kvm\":null, \"devices\":null, \"load\":null, \"vcpus\":null},\n"
			  " \"stats\":{\"skipped\":0},\n"
			  " \"a\":{\"packets\":18446744073709551615, \"first_packet\":1234, "
			  "\"never\":null},\n"
			  " \"b.rx\":{\"packets\":0, \"first_packet\":null, \"never\":null}}\n");
	stats_phase(s, PHASE_LOAD);
	stats_write(s, "running", 0, 0);
	assert_null(strstr(read_text(path), "\"load\":null"));
	assert_non_null(strstr(text, "\"vcpus\":null"));
	stats_destroy(s);
	stats_destroy(NULL);

	messages_begin();
	assert_int_equal(stats_create(&s, &counters, "-", start), 0);
	assert_int_equal(files_open_output(&files, stats_output(s)), 0);
	stats_write(s, "running", 0, 0);
	stats_destroy(s);
	assert_int_equal(strncmp(messages_end(), "{\"uptime_us\":", 13), 0);
	assert_int_equal(fcntl(STDERR_FILENO, F_GETFD) >= 0, true); /* not closed */
	counters_remove(&groups[0]);
	counters_remove(&groups[1]);
	close(fd);
	unlink(path);
}

static void test_failures(void **state)
{
	char dir[] = "/tmp/minivmm-test-stats-XXXXXX", fifo[64];
	struct stats *s = NULL;

	messages_begin();
	assert_int_equal(stats_create(&s, &counters, "/nonexistent/stats", 1), 0);
	assert_int_equal(files_open_output(&files, stats_output(s)), -ENOENT);
	stats_destroy(s);
	assert_string_equal(messages_end(), "minivmm: cannot open stats file '/nonexistent/stats': "
					    "No such file or directory\n");
	messages_begin();
	assert_int_equal(stats_create(&s, &counters, "/dev/full", 1), 0);
	assert_int_equal(files_open_output(&files, stats_output(s)), 0);
	stats_write(s, "running", 0, 0);
	assert_string_equal(messages_end(), "minivmm: cannot write stats to '/dev/full': "
					    "No space left on device\n");
	stats_destroy(s);

	/* A pipe whose reader has gone (main() ignores the signal). */
	signal(SIGPIPE, SIG_IGN);
	assert_non_null(mkdtemp(dir));
	snprintf(fifo, sizeof(fifo), "%s/fifo", dir);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	const int reader = open(fifo, O_RDONLY | O_NONBLOCK);
	messages_begin();
	assert_int_equal(stats_create(&s, &counters, fifo, 1), 0);
	assert_int_equal(files_open_output(&files, stats_output(s)), 0);
	close(reader);
	stats_write(s, "running", 0, 0);
	assert_non_null(strstr(messages_end(), "Broken pipe"));
	stats_destroy(s);
	unlink(fifo);
	rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_groups),
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_failures),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
