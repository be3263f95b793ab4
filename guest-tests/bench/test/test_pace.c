/* Unit tests of open-loop pacing. */
#include <stdint.h>

#include "guest-tests/bench/pace.h"
#include "vmm/base/test/unit.h"

#define SECOND 1000000000u

static void times_do_not_drift(void **state)
{
	struct pace p;

	pace_init(&p, 5, 3, 0, 1); /* a third of a second is no whole number of ns */
	for (int i = 0; i < 3000; i++)
		pace_take(&p);
	assert_int_equal(pace_peek(&p), 5 + (uint64_t)1000 * SECOND);
}

static void threads_share_the_rate(void **state)
{
	struct pace p[3];

	for (unsigned int i = 0; i < 3; i++)
		pace_init(&p[i], 0, 1000, i, 3);
	for (uint64_t k = 0; k < 300; k++)
		assert_int_equal(pace_take(&p[k % 3]), k * SECOND / 1000);
}

static void peek_does_not_move_on(void **state)
{
	struct pace p;

	pace_init(&p, 100, 10, 1, 1);
	assert_int_equal(pace_peek(&p), 100 + SECOND / 10);
	assert_int_equal(pace_peek(&p), 100 + SECOND / 10);
	assert_int_equal(pace_take(&p), 100 + SECOND / 10);
	assert_int_equal(pace_peek(&p), 100 + 2 * SECOND / 10);
}

static void long_runs_do_not_overflow(void **state)
{
	struct pace p;

	/* A day at the highest rate: k times 1e9 is far beyond 64 bits. */
	pace_init(&p, 0, 100000000, 0, 1);
	p.next = (uint64_t)86400 * 100000000;
	assert_int_equal(pace_peek(&p), (uint64_t)86400 * SECOND);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(times_do_not_drift),
		cmocka_unit_test(threads_share_the_rate),
		cmocka_unit_test(peek_does_not_move_on),
		cmocka_unit_test(long_runs_do_not_overflow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
