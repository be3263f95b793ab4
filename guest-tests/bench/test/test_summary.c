/* Unit tests of reading results and summing them up. */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "guest-tests/bench/results.h"
#include "vmm/base/test/unit.h"

static struct results r;

static int read_text(const char *text)
{
	FILE *f = fmemopen((void *)(uintptr_t)text, strlen(text), "r");
	int rc;

	assert_non_null(f);
	rc = results_read(&r, f, "test");
	fclose(f);
	return rc;
}

static int forget(void **state)
{
	results_free(&r);
	return 0;
}

static void median_and_spread(void **state)
{
	struct summary s;

	assert_int_equal(read_text("a/crr/1\trate\t30\na/crr/2\trate\t10\nb/crr/1\trate\t7\n"
				   "a/crr/3\trate\t20\na/rr/1\trate\t99\na/crr/1\tp50_us\t5\n"),
			 0);
	s = results_summary(&r, 0, 0, "rate");
	assert_int_equal(s.count, 3);
	assert_true(s.median == 20 && s.low == 10 && s.high == 30 && s.sum == 60);
	s = results_summary(&r, 1, 0, "rate");
	assert_true(s.count == 1 && s.median == 7);
}

static void even_number_of_rounds(void **state)
{
	struct summary s;

	assert_int_equal(read_text("a/t/1\tk\t4\na/t/2\tk\t1\na/t/3\tk\t3\na/t/4\tk\t100\n"), 0);
	s = results_summary(&r, 0, 0, "k");
	assert_true(s.median == 3.5);
}

static void nothing_measured(void **state)
{
	assert_int_equal(read_text("a/t/1\tk\t4\na/u/1\tk\t\na/u/2\tk\tnan\na/u/3\tk\tsome text\n"),
			 0);
	assert_int_equal(results_summary(&r, 0, 0, "other").count, 0);
	assert_int_equal(results_summary(&r, 5, 5, "k").count, 0);
	/* Only values that are numbers make a test known. */
	assert_int_equal(r.tests.count, 1);
}

static void slashes_and_order(void **state)
{
	assert_int_equal(
		read_text("z/path/x/crr/1\tk\t4\na/crr/1\tk\t5\r\n\nabout\tkernel\t6.1 x\n"), 0);
	assert_int_equal(names_find(&r.configs, "z/path/x"), 0);
	assert_int_equal(names_find(&r.configs, "a"), 1);
	assert_int_equal(names_find(&r.configs, "b"), -1);
	assert_int_equal(r.about_count, 1);
	assert_string_equal(r.about[0].text, "6.1 x");
}

static void bad_lines_are_refused(void **state)
{
	static const char *const bad[] = {
		"no tabs\n",  "a/t/1\tonly one tab\n", "a/t\tk\t1\n",
		"at\tk\t1\n", "/t/1\tk\t1\n",	       "a//1\tk\t1\n",
		"//\tk\t1\n", "a/t/1\t\t1\n",	       "a/t/1\tk\t1\t2\n",
		"\tk\t1\n",
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (read_text(bad[i]) != -EINVAL)
			fail_msg("accepted: %s", bad[i]);
	assert_int_equal(r.value_count, 0);
}

static void too_many_names(void **state)
{
	char line[64];

	for (int i = 0; i < RESULTS_MAX_NAMES; i++) {
		snprintf(line, sizeof(line), "c%d/t/1\tk\t1\n", i);
		assert_int_equal(read_text(line), 0);
	}
	assert_int_equal(read_text("one-more/t/1\tk\t1\n"), -E2BIG);
	assert_int_equal(read_text("c0/t/2\tk\t1\n"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(median_and_spread, forget),
		cmocka_unit_test_teardown(even_number_of_rounds, forget),
		cmocka_unit_test_teardown(nothing_measured, forget),
		cmocka_unit_test_teardown(slashes_and_order, forget),
		cmocka_unit_test_teardown(bad_lines_are_refused, forget),
		cmocka_unit_test_teardown(too_many_names, forget),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
