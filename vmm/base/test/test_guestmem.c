/* Guest memory: the edges of RAM, and copies to and from iovecs. */
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "vmm/base/guestmem.h"
#include "vmm/base/test/unit.h"
#include "vmm/x86/memmap.h"
#include "vmm/base/test/messages.h"
#include "vmm/base/test/parent.h"

static uint64_t size_of(const struct guestmem *mem)
{
	uint64_t size = 0;

	for (unsigned int i = 0; i < mem->nr_regions; i++)
		size += mem->region[i].len;
	return size;
}

static const struct guestmem_hole machine_hole = MEMMAP_HOLE;
static struct guestmem mem;

static int setup(void **state)
{
	const int ret = guestmem_init(&mem, 5 * GIB, &machine_hole); /* reserved, not touched */

	return ret == -ENOMEM ? 0 : ret; /* which each test finds out */
}

static int teardown(void **state)
{
	guestmem_destroy(&mem);
	assert_null(guestmem_ptr(&mem, 0, 1));
	return 0;
}

static void test_ranges(void **state)
{
	const uint64_t hole = MEMMAP_HOLE_START, high = MEMMAP_HOLE_END, top = 6 * GIB;
	const struct {
		uint64_t gpa, len;
		bool ram;
	} cases[] = {
		{ 0, 1, true },
		{ 0, hole, true },
		{ hole - 1, 1, true },
		{ hole - 4096, 4096, true },
		{ high, 1, true },
		{ high, top - high, true },
		{ top - 1, 1, true },
		{ 0, 0, false },
		{ high, 0, false },
		{ 0, hole + 1, false },
		{ hole - 1, 2, false },
		{ hole, 1, false },
		{ high - 1, 1, false },
		{ high - 1, 2, false },
		{ hole - 1, high - hole + 2, false }, /* both regions, and the hole */
		{ 0, top, false },
		{ top - 1, 2, false },
		{ top, 1, false },
		{ high, top - high + 1, false },
		{ high, ~0ull, false },
		{ 1, ~0ull, false },
		{ 0, ~0ull, false },
		{ ~0ull, 1, false },
		{ ~0ull, 2, false },
		{ ~0ull - 7, 16, false },
		{ high + 8, 0ull - 8, false },
	};

	need_memory(6 * GIB);
	assert_int_equal(size_of(&mem), 5 * GIB);
	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		const uint8_t *p = guestmem_ptr(&mem, cases[i].gpa, cases[i].len);

		if (!!p != cases[i].ram)
			fail_msg("case %u", i);
		if (p)
			assert_ptr_equal(p, cases[i].gpa < high
						    ? mem.region[0].host + cases[i].gpa
						    : mem.region[1].host + (cases[i].gpa - high));
	}
}

static void test_copies(void **state)
{
	const uint64_t edges[] = { MEMMAP_HOLE_START, 6 * GIB };
	uint8_t in[16] = "0123456789abcde", out[16];

	need_memory(6 * GIB);
	for (unsigned int i = 0; i < ARRAY_SIZE(edges); i++) {
		assert_int_equal(guestmem_write(&mem, edges[i] - 16, in, 16), 0);
		/* One byte too far: all of it stays as it is. */
		memset(out, 'x', sizeof(out));
		assert_int_equal(guestmem_write(&mem, edges[i] - 15, out, 16), -EFAULT);
		assert_int_equal(guestmem_write(&mem, edges[i], out, 1), -EFAULT);
		assert_int_equal(guestmem_write(&mem, edges[i] - 15, out, 0), -EFAULT);
		assert_int_equal(guestmem_write(&mem, edges[i] - 15, out, SIZE_MAX), -EFAULT);
		assert_int_equal(guestmem_read(&mem, edges[i] - 15, out, 16), -EFAULT);
		assert_int_equal(out[0], 'x');
		assert_int_equal(guestmem_read(&mem, edges[i] - 16, out, 16), 0);
		assert_memory_equal(out, in, 16);
	}
}

static void test_sizes(void **state)
{
	static const uint64_t sizes[] = { 4096, 16 * MIB, 16 * MIB + 4096, 3 * GIB,
					  3 * GIB + 4096 };
	struct guestmem m;

	need_memory(6 * GIB);
	for (unsigned int i = 0; i < ARRAY_SIZE(sizes); i++) {
		assert_int_equal(guestmem_init(&m, sizes[i], &machine_hole), 0);
		assert_int_equal(size_of(&m), sizes[i]);
		assert_int_equal(m.nr_regions, sizes[i] > 3 * GIB ? 2 : 1);
		for (unsigned int r = 0; r < m.nr_regions; r++)
			m.region[r].host[m.region[r].len - 1] = 1; /* all of it is there */
		guestmem_destroy(&m);
		assert_int_equal(guestmem_init(&m, sizes[i], NULL),
				 0); /* a machine without a hole */
		assert_int_equal(m.nr_regions, 1);
		assert_non_null(guestmem_ptr(&m, sizes[i] - 1, 1));
		guestmem_destroy(&m);
	}
	messages_begin();
	assert_int_equal(guestmem_init(&m, 1ull << 50, &machine_hole), -ENOMEM);
	assert_non_null(strstr(messages_end(), "of guest memory: Cannot allocate memory (try"));
	assert_int_equal(m.nr_regions, 0); /* nothing is left of the part that was there */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ranges),
		cmocka_unit_test(test_copies),
		cmocka_unit_test(test_sizes),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
