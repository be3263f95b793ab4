/* The last bytes of a stream, beside all of it. */
#include "vmm/base/recent.h"
#include "vmm/base/test/unit.h"

static void in_pieces_of_every_length(void **state)
{
	static char all[20 * RECENT_MAX], out[RECENT_MAX];
	struct recent r = { .len = 0 };
	size_t len = 0;

	for (size_t i = 0; i < sizeof(all); i++)
		all[i] = (char)(i * 31 >> 3);
	for (size_t n = 0; len + n <= sizeof(all); n = n * 2 + 1) {
		recent_add(&r, all + len, n);
		len += n;
		const size_t kept = MIN(len, RECENT_MAX);
		assert_int_equal(recent_copy(&r, out), kept);
		assert_memory_equal(out, all + len - kept, kept);
	}
	for (size_t n = 1; len + n <= sizeof(all); n += 997) {
		recent_add(&r, all + len, n);
		len += n;
		assert_int_equal(recent_copy(&r, out), MIN(len, RECENT_MAX));
		assert_memory_equal(out, all + len - MIN(len, RECENT_MAX), MIN(len, RECENT_MAX));
	}
	assert_true(len > 3 * RECENT_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(in_pieces_of_every_length) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
