/* Scattered buffers against plain ones. */
#include <stdint.h>
#include <string.h>

#include "vmm/base/iov.h"
#include "vmm/base/test/unit.h"
#include "vmm/base/util.h"

/* Offsets and lengths of all kinds, against a plain buffer. */
static void test_iov(void **state)
{
	static const size_t lens[] = { 0, 3, 0, 0, 1, 4, 0, 2, 0 };
	enum { TOTAL = 10, NR = ARRAY_SIZE(lens) };

	for (size_t offset = 0; offset <= TOTAL + 2; offset++)
		for (size_t len = 0; len <= TOTAL + 2; len++) {
			uint8_t guest[TOTAL], buf[TOTAL + 2], expected[TOTAL];
			const size_t part = offset < TOTAL ? MIN(len, TOTAL - offset) : 0;
			struct iovec iov[NR], *rest = iov;
			unsigned int nr = NR;
			size_t at = 0;

			for (unsigned int i = 0; i < NR; at += lens[i++])
				iov[i] = (struct iovec){ guest + at, lens[i] };
			assert_int_equal(iov_size(iov, NR), TOTAL);
			memcpy(guest, "abcdefghij", TOTAL);
			memset(buf, '-', sizeof(buf));
			assert_int_equal(iov_to_buf(iov, NR, offset, buf, len), part);
			assert_memory_equal(buf, "abcdefghij" + MIN(offset, (size_t)TOTAL), part);
			if (part < sizeof(buf))
				assert_int_equal(buf[part], '-');
			memcpy(expected, guest, TOTAL);
			memset(expected + MIN(offset, (size_t)TOTAL), 'X', part);
			memset(buf, 'X', sizeof(buf));
			assert_int_equal(iov_from_buf(iov, NR, offset, buf, len), part);
			assert_memory_equal(guest, expected, TOTAL);

			iov_skip(&rest, &nr, offset);
			assert_int_equal(iov_size(rest, nr), TOTAL - MIN(offset, (size_t)TOTAL));
			if (nr)
				assert_ptr_equal(rest->iov_base, guest + offset);
		}
	assert_int_equal(iov_size(NULL, 0), 0);
	assert_int_equal(iov_to_buf(NULL, 0, 0, NULL, 5), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_iov) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
