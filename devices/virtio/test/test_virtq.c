/* Split queues: rings good, bad, hostile and random. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "devices/virtio/virtq.h"

#define MEM_SIZE  (1 * MIB)
#define DESC_GPA  0x1000ull
#define AVAIL_GPA 0x8000ull
#define USED_GPA  0xa000ull
#define TABLE_GPA 0x10000ull
#define DATA_GPA  0x40000ull

#define NEXT	 VRING_DESC_F_NEXT
#define WRITE	 VRING_DESC_F_WRITE
#define INDIRECT VRING_DESC_F_INDIRECT

/* A queue, and the driver's side of it. */
struct fixture {
	struct guestmem mem;
	struct virtq vq;
	struct vring_desc *desc, *table;
	struct vring_avail *avail;
	struct vring_used *used;
	struct iovec iov[VIRTQ_SIZE_MAX];
	struct virtq_chain chain;
};

static struct fixture f;

static int setup(void **state)
{
	(void)state;
	memset(&f, 0, sizeof(f));
	assert_int_equal(guestmem_init(&f.mem, MEM_SIZE, NULL), 0);
	assert_int_equal(virtq_init(&f.vq, VIRTQ_SIZE_MAX), 0);
	f.desc = guestmem_ptr(&f.mem, DESC_GPA, 1);
	f.table = guestmem_ptr(&f.mem, TABLE_GPA, 1);
	f.avail = guestmem_ptr(&f.mem, AVAIL_GPA, 1);
	f.used = guestmem_ptr(&f.mem, USED_GPA, 1);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	virtq_destroy(&f.vq);
	guestmem_destroy(&f.mem);
	return 0;
}

static void start(uint16_t size, bool event_idx)
{
	virtq_reset(&f.vq);
	memset(f.avail, 0, sizeof(*f.avail) + size * 2u + 2);
	memset(f.used, 0, sizeof(*f.used) + size * sizeof(f.used->ring[0]) + 2);
	f.vq.size = size;
	f.vq.desc_addr = DESC_GPA;
	f.vq.driver_addr = AVAIL_GPA;
	f.vq.device_addr = USED_GPA;
	assert_int_equal(virtq_start(&f.vq, &f.mem, event_idx, false), 0);
}

static void make_avail(uint16_t head)
{
	f.avail->ring[f.avail->idx % f.vq.size] = head;
	f.avail->idx++;
}

static int pop(void)
{
	return virtq_pop(&f.vq, &f.chain, f.iov, VIRTQ_SIZE_MAX);
}

static void give(uint16_t head, uint32_t written)
{
	virtq_push(&f.vq, &(struct virtq_chain){ .head = head }, written);
}

static void put_back(unsigned int n)
{
	while (n--)
		virtq_unpop(&f.vq, &f.chain);
}

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

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		virtq_reset(&f.vq);
		assert_int_equal(f.vq.size, VIRTQ_SIZE_MAX);
		f.vq.size = cases[i].size;
		f.vq.desc_addr = cases[i].desc;
		f.vq.driver_addr = cases[i].avail;
		f.vq.device_addr = cases[i].used;
		if (virtq_start(&f.vq, &f.mem, false, false) != cases[i].want)
			fail_msg("case %u", i);
		assert_int_equal(f.vq.live, !cases[i].want);
		if (!f.vq.live) {
			assert_int_equal(pop(), 0);
			assert_false(virtq_kicks_on(&f.vq));
			assert_false(virtq_publish(&f.vq));
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
	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(chain_cases); i++) {
		const struct chain_case *c = &chain_cases[i];

		start(4, false);
		memcpy(f.desc, c->desc, sizeof(c->desc));
		memcpy(f.table, c->table, sizeof(c->table));
		make_avail(c->head);
		if (pop() != c->want)
			fail_msg("%s: not %d", c->name, c->want);
		if (c->want == 1) {
			if (f.chain.head != c->head || f.chain.nr_out != c->nr_out ||
			    f.chain.nr_in != c->nr_in || f.chain.out_len != c->out_len ||
			    f.chain.in_len != c->in_len)
				fail_msg("%s: a wrong chain", c->name);
			assert_int_equal(iov_size(f.iov, c->nr_out), c->out_len);
			assert_int_equal(pop(), 0);
		} else {
			/* Broken until reset, whatever the driver does. */
			f.desc[0] = (struct vring_desc){ DATA_GPA, 1, 0, 0 };
			make_avail(0);
			assert_int_equal(pop(), -EPROTO);
			assert_false(virtq_has_avail(&f.vq));
			assert_false(virtq_kicks_on(&f.vq));
		}
	}
	assert_true(f.vq.counters.broken > 20);
}

/* Chains whose bytes do not fit in 32 bits, with as much memory as it takes for one long buffer. */
static void test_over_4g(void **state)
{
	struct guestmem big;

	(void)state;
	assert_int_equal(guestmem_init(&big, 2 * GIB, NULL), 0);
	for (unsigned int write = 0; write < 2; write++)
		for (uint32_t excess = 0; excess < 2; excess++) {
			const uint16_t flags = write ? WRITE : 0;
			struct vring_desc *desc = guestmem_ptr(&big, DESC_GPA, 64);
			struct vring_avail *avail = guestmem_ptr(&big, AVAIL_GPA, 64);

			start(4, false);
			assert_int_equal(virtq_start(&f.vq, &big, false, false), 0);
			desc[0] = (struct vring_desc){ 0, 1u << 31, flags | NEXT, 1 };
			desc[1] = (struct vring_desc){ 0, 0x7fffffff, flags | NEXT, 2 };
			desc[2] = (struct vring_desc){ 0, excess, flags, 0 };
			*avail = (struct vring_avail){ .idx = 1 };
			assert_int_equal(pop(), excess ? -EPROTO : 1);
			if (!excess)
				assert_int_equal(write ? f.chain.in_len : f.chain.out_len, ~0u);
		}
	guestmem_destroy(&big);
}

/* 1023 descriptors of the ring and a full indirect table: more than any iovec that is asked for. */
static void test_too_many_buffers(void **state)
{
	(void)state;
	for (uint16_t direct = 0; direct <= VIRTQ_SIZE_MAX; direct += 341) {
		start(VIRTQ_SIZE_MAX, false);
		for (uint16_t i = 0; i < VIRTQ_SIZE_MAX; i++) {
			f.desc[i] = (struct vring_desc){ DATA_GPA, 1, NEXT, (uint16_t)(i + 1) };
			f.table[i] = f.desc[i];
		}
		f.table[VIRTQ_SIZE_MAX - 1].flags = 0;
		f.desc[direct] = (struct vring_desc){ TABLE_GPA, VIRTQ_SIZE_MAX * 16, INDIRECT, 0 };
		make_avail(0);
		assert_int_equal(pop(), direct ? -EPROTO : 1);
		if (!direct)
			assert_int_equal(f.chain.nr_out, VIRTQ_SIZE_MAX);
	}
	/* A caller with a shorter iovec is told so, and may come back with a longer one. */
	start(4, false);
	for (uint16_t i = 0; i < 4; i++)
		f.desc[i] = (struct vring_desc){ DATA_GPA, 1, i < 3 ? NEXT : 0, (uint16_t)(i + 1) };
	make_avail(0);
	for (unsigned int room = 0; room < 4; room++)
		assert_int_equal(virtq_pop(&f.vq, &f.chain, f.iov, room), -ENOBUFS);
	assert_int_equal(virtq_pop(&f.vq, &f.chain, f.iov, 4), 1);
	assert_int_equal(pop(), 0);
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

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		start(cases[i].size, false);
		for (uint16_t j = 0; j < cases[i].size; j++) {
			f.desc[j] = (struct vring_desc){ DATA_GPA, 1, 0, 0 };
			f.avail->ring[j] = j;
		}
		f.avail->idx = cases[i].popped;
		for (uint16_t j = 0; j < cases[i].popped; j++)
			assert_int_equal(pop(), 1);
		for (uint16_t j = 0; j < cases[i].pushed; j++)
			give(j, 0);
		assert_int_equal(virtq_publish(&f.vq), cases[i].pushed > 0);
		f.avail->idx = cases[i].idx;
		if (pop() != cases[i].want)
			fail_msg("case %u", i);
		assert_int_equal(f.vq.counters.broken > 0, cases[i].want < 0);
		f.vq.counters.broken = 0;
	}
}

static void test_unpop(void **state)
{
	(void)state;
	start(4, false);
	f.vq.last_avail = f.vq.avail_idx = f.vq.used_idx = f.vq.published = 0xfffe;
	f.avail->idx = 0xfffe; /* so that the index wraps on the way */
	for (uint16_t i = 0; i < 4; i++) {
		f.desc[i] = (struct vring_desc){ DATA_GPA + i, 1, 0, 0 };
		make_avail(i);
	}
	for (unsigned int n = 0; n <= 4; n++) {
		for (uint16_t i = 0; i < 4; i++) {
			assert_int_equal(pop(), 1);
			assert_int_equal(f.chain.head, i);
		}
		assert_int_equal(pop(), 0);
		put_back(n);
		for (uint16_t i = (uint16_t)(4 - n); i < 4; i++) {
			assert_true(virtq_has_avail(&f.vq));
			assert_int_equal(pop(), 1);
			assert_int_equal(f.chain.head, i);
		}
		assert_false(virtq_has_avail(&f.vq));
		put_back(4);
	}
}

/* ---- interrupts and kicks ---- */

/* Batches of all sizes, far beyond 65536 chains: an interrupt exactly when the driver wants one. */
static void test_interrupts(void **state)
{
	uint16_t used = 0;

	(void)state;
	for (unsigned int event_idx = 0; event_idx < 2; event_idx++) {
		srand(1);
		start(64, event_idx);
		f.desc[0] = (struct vring_desc){ DATA_GPA, 1, 0, 0 };
		used = 0;
		for (unsigned int chains = 0; chains < 200000;) {
			const uint16_t n = (uint16_t)(rand() % 65);
			const uint16_t event = (uint16_t)(used - 3 + rand() % 70);
			bool want = false;

			f.avail->ring[64] = event;
			f.avail->flags = rand() % 2 ? VRING_AVAIL_F_NO_INTERRUPT : 0;
			for (uint16_t i = 0; i < n; i++) {
				make_avail(0);
				assert_int_equal(pop(), 1);
				give(0, i);
				want |= (uint16_t)(used + i) == event;
			}
			if (!event_idx)
				want = n && !f.avail->flags;
			assert_int_equal(f.used->idx, used);
			assert_int_equal(virtq_publish(&f.vq), want);
			used = (uint16_t)(used + n);
			assert_int_equal(f.used->idx, used);
			if (n)
				assert_int_equal(f.used->ring[(uint16_t)(used - 1) % 64].len,
						 n - 1);
			assert_false(virtq_publish(&f.vq));
			chains += n;
		}
	}
	assert_true(f.vq.counters.interrupts > 1000 && f.vq.counters.suppressed > 1000);
}

/* The driver's decision whether to kick, for the chain that it has just added (2.7.10). */
static bool driver_kicks(bool event_idx, uint16_t old)
{
	uint16_t event;

	memcpy(&event, &f.used->ring[f.vq.size], sizeof(event));
	return event_idx ? vring_need_event(event, f.avail->idx, old) : !f.used->flags;
}

static void test_kicks(void **state)
{
	(void)state;
	for (unsigned int event_idx = 0; event_idx < 2; event_idx++) {
		unsigned int kicks = 0;

		start(2, event_idx);
		f.desc[0] = (struct vring_desc){ DATA_GPA, 1, 0, 0 };
		for (unsigned int i = 0; i < 70000; i++) {
			const bool on = i % 3 == 0;

			/* Asking for kicks tells of a chain that came before, and only then. */
			if (on)
				assert_false(virtq_kicks_on(&f.vq));
			else
				virtq_kicks_off(&f.vq);
			make_avail(0);
			kicks += driver_kicks(event_idx, (uint16_t)(f.avail->idx - 1));
			if (on)
				assert_true(driver_kicks(event_idx, (uint16_t)(f.avail->idx - 1)));
			assert_true(virtq_kicks_on(&f.vq));
			virtq_kicks_off(&f.vq);
			assert_int_equal(pop(), 1);
			give(0, 0);
			assert_int_equal(virtq_publish(&f.vq), i % 65536 == 0 || !event_idx);
		}
		/* No kick where none was asked for, but for a hint that the index meets again. */
		assert_true(kicks >= 23334 && kicks <= 23336);
	}
	assert_int_equal(f.vq.counters.kicks, 0);
	virtq_ack_kick(&f.vq);
	assert_int_equal(f.vq.counters.kicks, 0);
}

/* The device writes nothing into the rings of a broken queue, nor of one that is reset. */
static void test_hands_off(void **state)
{
	struct vring_used before;

	(void)state;
	start(4, false);
	make_avail(9);
	assert_int_equal(pop(), -EPROTO);
	memset(f.used, 0, sizeof(*f.used));
	before = *f.used;
	virtq_kicks_off(&f.vq);
	assert_false(virtq_kicks_on(&f.vq));
	assert_memory_equal(f.used, &before, sizeof(before));
	virtq_reset(&f.vq);
	virtq_kicks_off(&f.vq);
	assert_false(virtq_kicks_on(&f.vq));
	assert_int_equal(pop(), 0);
	assert_memory_equal(f.used, &before, sizeof(before));
	assert_int_equal(f.vq.counters.broken, 1); /* the counters outlive a reset */
}

/* ---- random and rewritten rings ---- */

static uint64_t random_state;

static uint32_t rnd(uint32_t below)
{
	random_state = random_state * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)((random_state >> 33) % below);
}

static uint64_t random_gpa(void)
{
	switch (rnd(8)) {
	case 0:
		return MEM_SIZE - rnd(64);
	case 1:
		return ~0ull - rnd(4096);
	case 2:
		return TABLE_GPA + rnd(64);
	default:
		return DATA_GPA + rnd(0x10000);
	}
}

static struct vring_desc random_desc(unsigned int table_size, bool may_nest)
{
	static const uint16_t flags[] = { 0, NEXT, NEXT, NEXT, WRITE, WRITE | NEXT, WRITE | NEXT };
	struct vring_desc d = {
		.addr = random_gpa(),
		.len = rnd(16) ? rnd(5000) : 0u - rnd(3),
		.flags = flags[rnd(ARRAY_SIZE(flags))],
		.next = (uint16_t)(rnd(16) ? rnd(table_size) : rnd(0x10000)),
	};

	if (may_nest && !rnd(6)) {
		d.addr = rnd(16) ? TABLE_GPA : random_gpa();
		d.len = rnd(16) ? 16 * (1 + rnd(16)) : rnd(400);
		d.flags = (uint16_t)(INDIRECT | (rnd(16) ? 0 : NEXT));
	}
	return d;
}

/* What holds for each chain, however it was made. */
static void check_chain(void)
{
	const unsigned int n = f.chain.nr_out + f.chain.nr_in;
	const uint8_t *base = f.mem.region[0].host;

	assert_true(n <= VIRTQ_SIZE_MAX);
	assert_true(f.chain.head < f.vq.size);
	for (unsigned int i = 0; i < n; i++) {
		const uint64_t offset = (uint64_t)((uint8_t *)f.iov[i].iov_base - base);

		assert_true(f.iov[i].iov_len > 0 && offset < MEM_SIZE);
		assert_true(f.iov[i].iov_len <= MEM_SIZE - offset);
	}
	assert_int_equal(iov_size(f.iov, f.chain.nr_out), f.chain.out_len);
	assert_int_equal(iov_size(f.iov + f.chain.nr_out, f.chain.nr_in), f.chain.in_len);
}

static void test_random_rings(void **state)
{
	unsigned int good = 0, broken = 0;

	(void)state;
	random_state = 42;
	for (unsigned int round = 0; round < 200000; round++) {
		const uint16_t size = (uint16_t)(1u << rnd(5));
		unsigned int in_flight = 0, steps = 0;
		int ret;

		start(size, rnd(2));
		for (unsigned int i = 0; i < size; i++) {
			f.desc[i] = random_desc(size, true);
			f.avail->ring[i] = (uint16_t)(rnd(64) ? rnd(size) : rnd(0x10000));
		}
		for (unsigned int i = 0; i < 16; i++)
			f.table[i] = random_desc(16, !rnd(32));
		f.avail->idx = (uint16_t)(rnd(16) ? rnd(size + 1u) : rnd(0x10000));
		while ((ret = pop()) > 0 && steps++ < 64) {
			check_chain();
			good++;
			assert_true(++in_flight <= size);
			if (!rnd(4)) {
				virtq_unpop(&f.vq, &f.chain);
				in_flight--;
			} else if (!rnd(2)) {
				virtq_push(&f.vq, &f.chain, rnd(100));
				in_flight--;
				f.avail->idx = (uint16_t)(f.avail->idx + rnd(3));
			}
		}
		if (ret == 0)
			assert_int_equal(f.vq.last_avail, f.avail->idx);
		else if (ret == -EPROTO)
			broken++;
		else
			assert_int_equal(ret, 1);
		assert_int_equal(pop() == -EPROTO, ret == -EPROTO || f.vq.broken);
	}
	assert_true(good > 50000 && broken > 50000);
}

static atomic_bool stop_scribbling;

static void *scribble(void *arg)
{
	uint64_t x = 7;

	(void)arg;
	while (!atomic_load(&stop_scribbling)) {
		x = x * 6364136223846793005ull + 1442695040888963407ull;
		struct vring_desc *d = x >> 60 & 1 ? &f.desc[x >> 40 & 7] : &f.table[x >> 40 & 7];
		const uint64_t gpa = x >> 50 & 1 ? DATA_GPA : MEM_SIZE - 8;

		__atomic_store_n(&d->addr, x >> 61 ? gpa : TABLE_GPA, __ATOMIC_RELAXED);
		__atomic_store_n(&d->len, (uint32_t)(x >> 33 & 0x30), __ATOMIC_RELAXED);
		__atomic_store_n(&d->flags, (uint16_t)(x >> 55 & 7), __ATOMIC_RELAXED);
		__atomic_store_n(&d->next, (uint16_t)(x >> 45 & 7), __ATOMIC_RELAXED);
	}
	return NULL;
}

/* The guest rewrites descriptors while they are read. */
static void test_rewritten_rings(void **state)
{
	unsigned int good = 0, broken = 0;
	pthread_t thread;

	(void)state;
	start(8, true);
	atomic_store(&stop_scribbling, false);
	assert_int_equal(pthread_create(&thread, NULL, scribble, NULL), 0);
	for (unsigned int i = 0; good < 100000 || broken < 1000; i++) {
		int ret;

		make_avail((uint16_t)(i % 8));
		ret = pop();
		if (ret == 1) {
			check_chain();
			virtq_push(&f.vq, &f.chain, 0);
			good++;
		} else {
			assert_int_equal(ret, -EPROTO);
			start(8, true);
			broken++;
		}
	}
	atomic_store(&stop_scribbling, true);
	pthread_join(thread, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_start, setup, teardown),
		cmocka_unit_test_setup_teardown(test_chains, setup, teardown),
		cmocka_unit_test_setup_teardown(test_over_4g, setup, teardown),
		cmocka_unit_test_setup_teardown(test_too_many_buffers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_avail_index, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unpop, setup, teardown),
		cmocka_unit_test_setup_teardown(test_interrupts, setup, teardown),
		cmocka_unit_test_setup_teardown(test_kicks, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hands_off, setup, teardown),
		cmocka_unit_test_setup_teardown(test_random_rings, setup, teardown),
		cmocka_unit_test_setup_teardown(test_rewritten_rings, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
