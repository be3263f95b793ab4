/* Unit tests of the latency histogram. */
#include <stdint.h>
#include <string.h>

#include "guest-tests/bench/hist.h"
#include "vmm/base/test/unit.h"

static struct hist h, other;

static int empty(void **state)
{
	memset(&h, 0, sizeof(h));
	memset(&other, 0, sizeof(other));
	return 0;
}

static void nothing_counted(void **state)
{
	assert_int_equal(hist_percentile(&h, 50), 0);
	assert_int_equal(hist_percentile(&h, 100), 0);
	assert_true(hist_mean(&h) == 0.0);
}

static void small_values_are_exact(void **state)
{
	for (uint64_t v = 1; v <= 200; v++)
		hist_add(&h, v);
	assert_int_equal(hist_percentile(&h, 0), 1);
	assert_int_equal(hist_percentile(&h, 50), 100);
	assert_int_equal(hist_percentile(&h, 99), 198);
	assert_int_equal(hist_percentile(&h, 100), 200);
	assert_true(hist_mean(&h) == 100.5);
}

/* Each value alone below a larger one: its percentile must not be lower, nor more than HIST_ERROR higher. */
static void error_is_bounded(void **state)
{
	for (uint64_t v = 1; v < (uint64_t)1 << (HIST_TOP_BITS - 1); v += v / 61 + 1) {
		memset(&h, 0, sizeof(h));
		hist_add(&h, v);
		hist_add(&h, UINT64_MAX);
		assert_in_range(hist_percentile(&h, 50), v, v + (uint64_t)((double)v * HIST_ERROR));
	}
}

static void octave_edges(void **state)
{
	for (int bit = 1; bit < HIST_TOP_BITS; bit++) {
		memset(&h, 0, sizeof(h));
		hist_add(&h, ((uint64_t)1 << bit) - 1);
		hist_add(&h, UINT64_MAX);
		/* The last value below a power of two is the upper edge of its own bucket. */
		assert_int_equal(hist_percentile(&h, 50), ((uint64_t)1 << bit) - 1);
	}
}

static void huge_values_keep_the_maximum(void **state)
{
	hist_add(&h, UINT64_MAX);
	hist_add(&h, (uint64_t)1 << HIST_TOP_BITS);
	assert_int_equal(h.count, 2);
	assert_int_equal(hist_percentile(&h, 50), UINT64_MAX);
	assert_int_equal(h.max, UINT64_MAX);
}

static void percentile_never_exceeds_the_maximum(void **state)
{
	for (int i = 0; i < 1000; i++)
		hist_add(&h, 1000003);
	assert_int_equal(hist_percentile(&h, 50), 1000003);
}

static void one_late_in_a_thousand(void **state)
{
	for (int i = 0; i < 999; i++)
		hist_add(&h, 10);
	hist_add(&h, 1000000);
	assert_int_equal(hist_percentile(&h, 99.9), 10);
	assert_int_equal(hist_percentile(&h, 99.99), 1000000);
}

static void merge_adds_up(void **state)
{
	for (uint64_t v = 1; v <= 100; v++)
		hist_add(v & 1 ? &h : &other, v);
	hist_merge(&h, &other);
	assert_int_equal(h.count, 100);
	assert_int_equal(h.max, 100);
	assert_int_equal(hist_percentile(&h, 50), 50);
	assert_true(hist_mean(&h) == 50.5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(nothing_counted, empty),
		cmocka_unit_test_setup(small_values_are_exact, empty),
		cmocka_unit_test_setup(error_is_bounded, empty),
		cmocka_unit_test_setup(octave_edges, empty),
		cmocka_unit_test_setup(huge_values_keep_the_maximum, empty),
		cmocka_unit_test_setup(percentile_never_exceeds_the_maximum, empty),
		cmocka_unit_test_setup(one_late_in_a_thousand, empty),
		cmocka_unit_test_setup(merge_adds_up, empty),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
