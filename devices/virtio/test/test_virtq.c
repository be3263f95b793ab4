/* Split queues: rings good, bad and hostile. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "devices/virtio/test/split_rig.h"
#include "vmm/base/test/parent.h"
#include "vmm/base/test/unit.h"

/* ---- starting ---- */

static void test_start(void **state)
{
	static const struct {
		uint16_t size;
		uint64_t desc, avail, used;
		int want;
	} cases[] = {
		{ 1, DESC_GPA, AVAIL_GPA, USED_GPA, 0 },
		{ 1024, DESC_GPA, AVAIL_GPA, USED_GPA, 0 },
		{ 16, MEM_SIZE - 256, AVAIL_GPA, USED_GPA, 0 }, /* ends with the memory */
		{ 16, DESC_GPA, MEM_SIZE - 38, USED_GPA, 0 },
		{ 16, DESC_GPA, AVAIL_GPA, MEM_SIZE - 136, 0 }, /* 134 bytes, aligned */
		{ 0, DESC_GPA, AVAIL_GPA, USED_GPA, -EINVAL },
		{ 3, DESC_GPA, AVAIL_GPA, USED_GPA, -EINVAL },
		{ 1023, DESC_GPA, AVAIL_GPA, USED_GPA, -EINVAL },
		{ 2048, DESC_GPA, AVAIL_GPA, USED_GPA, -EINVAL },
		{ 32768, DESC_GPA, AVAIL_GPA, USED_GPA, -EINVAL },
		{ 65535, DESC_GPA, AVAIL_GPA, USED_GPA, -EINVAL },
		{ 16, DESC_GPA + 8, AVAIL_GPA, USED_GPA, -EINVAL },
		{ 16, DESC_GPA, AVAIL_GPA + 1, USED_GPA, -EINVAL },
		{ 16, DESC_GPA, AVAIL_GPA, USED_GPA + 2, -EINVAL },
		{ 16, MEM_SIZE - 240, AVAIL_GPA, USED_GPA, -EINVAL },
		{ 16, DESC_GPA, MEM_SIZE - 36, USED_GPA, -EINVAL },
		{ 16, DESC_GPA, AVAIL_GPA, MEM_SIZE - 132, -EINVAL },
		{ 16, MEM_SIZE, AVAIL_GPA, USED_GPA, -EINVAL },
		{ 16, ~0ull - 15, AVAIL_GPA, USED_GPA, -EINVAL },
		{ 16, DESC_GPA, ~0ull - 1, USED_GPA, -EINVAL },
		{ 16, DESC_GPA, AVAIL_GPA, ~0ull - 3, -EINVAL },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		virtq_reset(&split.vq);
		assert_int_equal(split.vq.size, VIRTQ_SIZE_MAX);
		split.vq.size = cases[i].size;
		split.vq.desc_addr = cases[i].desc;
		split.vq.driver_addr = cases[i].avail;
		split.vq.device_addr = cases[i].used;
		if (virtq_start(&split.vq, &split.mem, false, false) != cases[i].want)
			fail_msg("case %u", i);
		assert_int_equal(split.vq.live, !cases[i].want);
		if (!split.vq.live) {
			assert_int_equal(split_rig_pop(), 0);
			assert_false(virtq_kicks_on(&split.vq));
			assert_false(virtq_publish(&split.vq));
		}
	}
}

/* ---- chains ---- */

static const struct chain_case {
	const char *name;
	uint16_t head;
	struct vring_desc desc[4], table[4];
	int want;
	uint16_t nr_out, nr_in;
	uint32_t out_len, in_len;
} chain_cases[] = {
	{ "one", 0, { { DATA_GPA, 1, 0, 9 } }, { { 0 } }, 1, 1, 0, 1, 0 },
	{ "out, in",
	  3,
	  { { DATA_GPA, 7, WRITE, 0 }, { 0 }, { 0 }, { DATA_GPA, 5, NEXT, 0 } },
	  { { 0 } },
	  1,
	  1,
	  1,
	  5,
	  7 },
	{ "to the last byte", 0, { { MEM_SIZE - 1, 1, 0, 0 } }, { { 0 } }, 1, 1, 0, 1, 0 },
	{ "all of memory", 0, { { 0, MEM_SIZE, 0, 0 } }, { { 0 } }, 1, 1, 0, MEM_SIZE, 0 },
	{ "zero length anywhere", 0, { { ~0ull, 0, 0, 0 } }, { { 0 } }, 1, 0, 0, 0, 0 },
	{ "zero length between",
	  0,
	  { { DATA_GPA, 3, NEXT, 1 }, { 1, 0, NEXT | WRITE, 2 }, { DATA_GPA, 4, 0, 0 } },
	  { { 0 } },
	  1,
	  2,
	  0,
	  7,
	  0 },
	{ "as long as the ring",
	  0,
	  { { 0, 1, NEXT, 1 }, { 0, 1, NEXT, 2 }, { 0, 1, NEXT, 3 }, { 0, 1, 0, 0 } },
	  { { 0 } },
	  1,
	  4,
	  0,
	  4,
	  0 },
	{ "indirect, its write flag ignored",
	  0,
	  { { TABLE_GPA, 32, INDIRECT | WRITE, 0 } },
	  { { DATA_GPA, 2, NEXT, 1 }, { DATA_GPA, 6, WRITE, 0 } },
	  1,
	  1,
	  1,
	  2,
	  6 },
	{ "indirect as the last",
	  0,
	  { { DATA_GPA, 2, NEXT, 1 }, { TABLE_GPA, 16, INDIRECT, 0 } },
	  { { DATA_GPA, 3, 0, 0 } },
	  1,
	  2,
	  0,
	  5,
	  0 },
	{ "a misaligned indirect table",
	  0,
	  { { TABLE_GPA + 3, 16, INDIRECT, 0 } },
	  { { 0 } },
	  1,
	  0,
	  0,
	  0,
	  0 },
	{ .name = "head out of range", .head = 4, .want = -EPROTO },
	{ .name = "head far out of range", .head = 0xffff, .want = -EPROTO },
	{ "next out of range", 0, { { 0, 1, NEXT, 4 } }, .want = -EPROTO },
	{ "loop of one", 0, { { 0, 1, NEXT, 0 } }, .want = -EPROTO },
	{ "loop of empty ones", 0, { { 0, 0, NEXT, 1 }, { 0, 0, NEXT, 0 } }, .want = -EPROTO },
	{ "loop behind the start",
	  0,
	  { { 0, 1, NEXT, 1 }, { 0, 1, NEXT, 2 }, { 0, 1, NEXT, 1 } },
	  .want = -EPROTO },
	{ "beyond memory", 0, { { MEM_SIZE, 1, 0, 0 } }, .want = -EPROTO },
	{ "across the end", 0, { { MEM_SIZE - 1, 2, 0, 0 } }, .want = -EPROTO },
	{ "wrapping", 0, { { ~0ull, 2, 0, 0 } }, .want = -EPROTO },
	{ "wrapping into memory", 0, { { ~0ull - 9, 4096, 0, 0 } }, .want = -EPROTO },
	{ "longest length", 0, { { DATA_GPA, ~0u, 0, 0 } }, .want = -EPROTO },
	{ "readable after writable",
	  0,
	  { { DATA_GPA, 1, WRITE | NEXT, 1 }, { DATA_GPA, 1, 0, 0 } },
	  .want = -EPROTO },
	{ "indirect with next", 0, { { TABLE_GPA, 16, INDIRECT | NEXT, 0 } }, .want = -EPROTO },
	{ "indirect in indirect",
	  0,
	  { { TABLE_GPA, 16, INDIRECT, 0 } },
	  { { TABLE_GPA, 16, INDIRECT, 0 } },
	  .want = -EPROTO },
	{ "empty table", 0, { { TABLE_GPA, 0, INDIRECT, 0 } }, .want = -EPROTO },
	{ "part of an entry", 0, { { TABLE_GPA, 24, INDIRECT, 0 } }, .want = -EPROTO },
	{ "table beyond memory", 0, { { MEM_SIZE - 16, 32, INDIRECT, 0 } }, .want = -EPROTO },
	{ "table too long", 0, { { 0, 1025 * 16, INDIRECT, 0 } }, .want = -EPROTO },
	{ "table of 4 GiB", 0, { { 0, ~0u & ~15u, INDIRECT, 0 } }, .want = -EPROTO },
	{ "next beyond the table",
	  0,
	  { { TABLE_GPA, 16, INDIRECT, 0 } },
	  { { 0, 1, NEXT, 1 } },
	  .want = -EPROTO },
	{ "loop in the table",
	  0,
	  { { TABLE_GPA, 32, INDIRECT, 0 } },
	  { { 0, 1, NEXT, 1 }, { 0, 1, NEXT, 0 } },
	  .want = -EPROTO },
	{ "readable in the table after writable",
	  0,
	  { { DATA_GPA, 1, WRITE | NEXT, 1 }, { TABLE_GPA, 16, INDIRECT, 0 } },
	  { { DATA_GPA, 1, 0, 0 } },
	  .want = -EPROTO },
};

static void test_chains(void **state)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(chain_cases); i++) {
		const struct chain_case *c = &chain_cases[i];

		split_rig_start(4, false);
		memcpy(split.desc, c->desc, sizeof(c->desc));
		memcpy(split.table, c->table, sizeof(c->table));
		split_rig_make_avail(c->head);
		if (split_rig_pop() != c->want)
			fail_msg("%s: not %d", c->name, c->want);
		if (c->want == 1) {
			if (split.chain.head != c->head || split.chain.nr_out != c->nr_out ||
			    split.chain.nr_in != c->nr_in || split.chain.out_len != c->out_len ||
			    split.chain.in_len != c->in_len)
				fail_msg("%s: a wrong chain", c->name);
			assert_int_equal(iov_size(split.iov, c->nr_out), c->out_len);
			assert_int_equal(split_rig_pop(), 0);
		} else {
			/* Broken until reset, whatever the driver does. */
			split.desc[0] = (struct vring_desc){ DATA_GPA, 1, 0, 0 };
			split_rig_make_avail(0);
			assert_int_equal(split_rig_pop(), -EPROTO);
			assert_false(virtq_has_avail(&split.vq));
			assert_false(virtq_kicks_on(&split.vq));
		}
	}
	assert_true(split.vq.counters.broken > 20);
}

/* Chains whose bytes do not fit in 32 bits, with as much memory as it takes for one long buffer. */
static void test_over_4g(void **state)
{
	struct guestmem big;

	need_memory(3 * GIB);
	assert_int_equal(guestmem_init(&big, 2 * GIB, NULL), 0);
	for (unsigned int write = 0; write < 2; write++)
		for (uint32_t excess = 0; excess < 2; excess++) {
			const uint16_t flags = write ? WRITE : 0;
			struct vring_desc *desc = guestmem_ptr(&big, DESC_GPA, 64);
			struct vring_avail *avail = guestmem_ptr(&big, AVAIL_GPA, 64);

			split_rig_start(4, false);
			assert_int_equal(virtq_start(&split.vq, &big, false, false), 0);
			desc[0] = (struct vring_desc){ 0, 1u << 31, flags | NEXT, 1 };
			desc[1] = (struct vring_desc){ 0, 0x7fffffff, flags | NEXT, 2 };
			desc[2] = (struct vring_desc){ 0, excess, flags, 0 };
			*avail = (struct vring_avail){ .idx = 1 };
			assert_int_equal(split_rig_pop(), excess ? -EPROTO : 1);
			if (!excess)
				assert_int_equal(write ? split.chain.in_len : split.chain.out_len,
						 ~0u);
		}
	guestmem_destroy(&big);
}

/* 1023 descriptors of the ring and a full indirect table: more than any iovec that is asked for. */
static void test_too_many_buffers(void **state)
{
	for (uint16_t direct = 0; direct <= VIRTQ_SIZE_MAX; direct += 341) {
		split_rig_start(VIRTQ_SIZE_MAX, false);
		for (uint16_t i = 0; i < VIRTQ_SIZE_MAX; i++) {
			split.desc[i] = (struct vring_desc){ DATA_GPA, 1, NEXT, (uint16_t)(i + 1) };
			split.table[i] = split.desc[i];
		}
		split.table[VIRTQ_SIZE_MAX - 1].flags = 0;
		split.desc[direct] =
			(struct vring_desc){ TABLE_GPA, VIRTQ_SIZE_MAX * 16, INDIRECT, 0 };
		split_rig_make_avail(0);
		assert_int_equal(split_rig_pop(), direct ? -EPROTO : 1);
		if (!direct)
			assert_int_equal(split.chain.nr_out, VIRTQ_SIZE_MAX);
	}
	/* A caller with a shorter iovec is told so, and may come back with a longer one. */
	split_rig_start(4, false);
	for (uint16_t i = 0; i < 4; i++)
		split.desc[i] =
			(struct vring_desc){ DATA_GPA, 1, i < 3 ? NEXT : 0, (uint16_t)(i + 1) };
	split_rig_make_avail(0);
	for (unsigned int room = 0; room < 4; room++)
		assert_int_equal(virtq_pop(&split.vq, &split.chain, split.iov, room), -ENOBUFS);
	assert_int_equal(virtq_pop(&split.vq, &split.chain, split.iov, 4), 1);
	assert_int_equal(split_rig_pop(), 0);
}

/* ---- indices ---- */

/* How far the driver may run ahead: never more chains in flight than the ring has entries. */
static void test_avail_index(void **state)
{
	static const struct {
		uint16_t size, popped, pushed, idx;
		int want;
	} cases[] = {
		{ 4, 0, 0, 4, 1 },
		{ 4, 4, 0, 4, 0 },
		{ 4, 4, 4, 8, 1 },
		{ 4, 4, 2, 6, 1 },
		{ 1024, 1024, 1024, 2048, 1 },
		{ 1, 0, 0, 1, 1 },
		{ 4, 0, 0, 5, -EPROTO },
		{ 4, 0, 0, 0x8000, -EPROTO },
		{ 4, 0, 0, 0xffff, -EPROTO },
		{ 4, 2, 0, 1, -EPROTO },
		{ 4, 4, 0, 5, -EPROTO },
		{ 4, 4, 2, 7, -EPROTO },
		{ 4, 4, 4, 9, -EPROTO },
		{ 4, 3, 3, 2, -EPROTO },
		{ 1, 1, 0, 2, -EPROTO },
		{ 1024, 1024, 0, 1025, -EPROTO },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		split_rig_start(cases[i].size, false);
		for (uint16_t j = 0; j < cases[i].size; j++) {
			split.desc[j] = (struct vring_desc){ DATA_GPA, 1, 0, 0 };
			split.avail->ring[j] = j;
		}
		split.avail->idx = cases[i].popped;
		for (uint16_t j = 0; j < cases[i].popped; j++)
			assert_int_equal(split_rig_pop(), 1);
		for (uint16_t j = 0; j < cases[i].pushed; j++)
			split_rig_give(j, 0);
		assert_int_equal(virtq_publish(&split.vq), cases[i].pushed > 0);
		split.avail->idx = cases[i].idx;
		if (split_rig_pop() != cases[i].want)
			fail_msg("case %u", i);
		assert_int_equal(split.vq.counters.broken > 0, cases[i].want < 0);
		split.vq.counters.broken = 0;
	}
}

static void test_unpop(void **state)
{
	split_rig_start(4, false);
	split.vq.last_avail = split.vq.avail_idx = split.vq.used_idx = split.vq.published = 0xfffe;
	split.avail->idx = 0xfffe; /* so that the index wraps on the way */
	for (uint16_t i = 0; i < 4; i++) {
		split.desc[i] = (struct vring_desc){ DATA_GPA + i, 1, 0, 0 };
		split_rig_make_avail(i);
	}
	for (unsigned int n = 0; n <= 4; n++) {
		for (uint16_t i = 0; i < 4; i++) {
			assert_int_equal(split_rig_pop(), 1);
			assert_int_equal(split.chain.head, i);
		}
		assert_int_equal(split_rig_pop(), 0);
		split_rig_put_back(n);
		for (uint16_t i = (uint16_t)(4 - n); i < 4; i++) {
			assert_true(virtq_has_avail(&split.vq));
			assert_int_equal(split_rig_pop(), 1);
			assert_int_equal(split.chain.head, i);
		}
		assert_false(virtq_has_avail(&split.vq));
		split_rig_put_back(4);
	}
}

/* ---- interrupts and kicks ---- */

/* Batches of all sizes, far beyond 65536 chains: an interrupt exactly when the driver wants one. */
static void test_interrupts(void **state)
{
	uint16_t used = 0;

	for (unsigned int event_idx = 0; event_idx < 2; event_idx++) {
		srand(1);
		split_rig_start(64, event_idx);
		split.desc[0] = (struct vring_desc){ DATA_GPA, 1, 0, 0 };
		used = 0;
		for (unsigned int chains = 0; chains < 200000;) {
			const uint16_t n = (uint16_t)(rand() % 65);
			const uint16_t event = (uint16_t)(used - 3 + rand() % 70);
			bool want = false;

			split.avail->ring[64] = event;
			split.avail->flags = rand() % 2 ? VRING_AVAIL_F_NO_INTERRUPT : 0;
			for (uint16_t i = 0; i < n; i++) {
				split_rig_make_avail(0);
				assert_int_equal(split_rig_pop(), 1);
				split_rig_give(0, i);
				want |= (uint16_t)(used + i) == event;
			}
			if (!event_idx)
				want = n && !split.avail->flags;
			assert_int_equal(split.used->idx, used);
			assert_int_equal(virtq_publish(&split.vq), want);
			used = (uint16_t)(used + n);
			assert_int_equal(split.used->idx, used);
			if (n)
				assert_int_equal(split.used->ring[(uint16_t)(used - 1) % 64].len,
						 n - 1);
			assert_false(virtq_publish(&split.vq));
			chains += n;
		}
	}
	assert_true(split.vq.counters.interrupts > 1000 && split.vq.counters.suppressed > 1000);
}

/* The driver's decision whether to kick, for the chain that it has just added (2.7.10). */
static bool driver_kicks(bool event_idx, uint16_t old)
{
	uint16_t event;

	memcpy(&event, &split.used->ring[split.vq.size], sizeof(event));
	return event_idx ? vring_need_event(event, split.avail->idx, old) : !split.used->flags;
}

static void test_kicks(void **state)
{
	for (unsigned int event_idx = 0; event_idx < 2; event_idx++) {
		unsigned int kicks = 0;

		split_rig_start(2, event_idx);
		split.desc[0] = (struct vring_desc){ DATA_GPA, 1, 0, 0 };
		for (unsigned int i = 0; i < 70000; i++) {
			const bool on = i % 3 == 0;

			/* Asking for kicks tells of a chain that came before, and only then. */
			if (on)
				assert_false(virtq_kicks_on(&split.vq));
			else
				virtq_kicks_off(&split.vq);
			split_rig_make_avail(0);
			kicks += driver_kicks(event_idx, (uint16_t)(split.avail->idx - 1));
			if (on)
				assert_true(
					driver_kicks(event_idx, (uint16_t)(split.avail->idx - 1)));
			assert_true(virtq_kicks_on(&split.vq));
			virtq_kicks_off(&split.vq);
			assert_int_equal(split_rig_pop(), 1);
			split_rig_give(0, 0);
			assert_int_equal(virtq_publish(&split.vq), i % 65536 == 0 || !event_idx);
		}
		/* No kick where none was asked for, but for a hint that the index meets again. */
		assert_true(kicks >= 23334 && kicks <= 23336);
	}
	assert_int_equal(split.vq.counters.kicks, 0);
	virtq_ack_kick(&split.vq);
	assert_int_equal(split.vq.counters.kicks, 0);
}

/* The device writes nothing into the rings of a broken queue, nor of one that is reset. */
static void test_hands_off(void **state)
{
	struct vring_used before;

	split_rig_start(4, false);
	split_rig_make_avail(9);
	assert_int_equal(split_rig_pop(), -EPROTO);
	memset(split.used, 0, sizeof(*split.used));
	before = *split.used;
	virtq_kicks_off(&split.vq);
	assert_false(virtq_kicks_on(&split.vq));
	assert_memory_equal(split.used, &before, sizeof(before));
	virtq_reset(&split.vq);
	virtq_kicks_off(&split.vq);
	assert_false(virtq_kicks_on(&split.vq));
	assert_int_equal(split_rig_pop(), 0);
	assert_memory_equal(split.used, &before, sizeof(before));
	assert_int_equal(split.vq.counters.broken, 1); /* the counters outlive a reset */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_start, split_rig_setup, split_rig_teardown),
		cmocka_unit_test_setup_teardown(test_chains, split_rig_setup, split_rig_teardown),
		cmocka_unit_test_setup_teardown(test_over_4g, split_rig_setup, split_rig_teardown),
		cmocka_unit_test_setup_teardown(test_too_many_buffers, split_rig_setup,
						split_rig_teardown),
		cmocka_unit_test_setup_teardown(test_avail_index, split_rig_setup,
						split_rig_teardown),
		cmocka_unit_test_setup_teardown(test_unpop, split_rig_setup, split_rig_teardown),
		cmocka_unit_test_setup_teardown(test_interrupts, split_rig_setup,
						split_rig_teardown),
		cmocka_unit_test_setup_teardown(test_kicks, split_rig_setup, split_rig_teardown),
		cmocka_unit_test_setup_teardown(test_hands_off, split_rig_setup,
						split_rig_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
