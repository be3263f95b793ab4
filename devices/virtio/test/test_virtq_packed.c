/* Packed queues: rings good, bad, hostile and random. */
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

#define MEM_SIZE   (1 * MIB)
#define RING_GPA   0x1000ull
#define DRIVER_GPA 0x8000ull
#define DEVICE_GPA 0x8010ull
#define TABLE_GPA  0x10000ull
#define DATA_GPA   0x40000ull

#define NEXT	 VRING_DESC_F_NEXT
#define WRITE	 VRING_DESC_F_WRITE
#define INDIRECT VRING_DESC_F_INDIRECT
#define AVAIL	 BIT(VRING_PACKED_DESC_F_AVAIL)
#define USED	 BIT(VRING_PACKED_DESC_F_USED)

/* A queue, and the driver's side of it. */
struct fixture {
	struct guestmem mem;
	struct virtq vq;
	struct vring_packed_desc *ring, *table;
	struct vring_packed_desc_event *driver, *device;
	uint16_t next_avail, next_used; /* positions */
	bool avail_wrap, used_wrap;
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
	f.ring = guestmem_ptr(&f.mem, RING_GPA, 1);
	f.table = guestmem_ptr(&f.mem, TABLE_GPA, 1);
	f.driver = guestmem_ptr(&f.mem, DRIVER_GPA, 1);
	f.device = guestmem_ptr(&f.mem, DEVICE_GPA, 1);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	virtq_destroy(&f.vq);
	guestmem_destroy(&f.mem);
	return 0;
}

static int start_at(uint16_t size, uint64_t ring, uint64_t driver, uint64_t device, bool event_idx)
{
	virtq_reset(&f.vq);
	f.vq.size = size;
	f.vq.desc_addr = ring;
	f.vq.driver_addr = driver;
	f.vq.device_addr = device;
	return virtq_start(&f.vq, &f.mem, event_idx, true);
}

static void start(uint16_t size, bool event_idx)
{
	memset(f.ring, 0, size * sizeof(*f.ring));
	memset(f.driver, 0, sizeof(*f.driver));
	memset(f.device, 0, sizeof(*f.device));
	f.next_avail = f.next_used = 0;
	f.avail_wrap = f.used_wrap = true;
	assert_int_equal(start_at(size, RING_GPA, DRIVER_GPA, DEVICE_GPA, event_idx), 0);
}

static void advance(uint16_t *at, bool *wrap, unsigned int n)
{
	while (n--)
		if (++*at == f.vq.size) {
			*at = 0;
			*wrap = !*wrap;
		}
}

/* The next entry of the ring, available. */
static void make_avail(struct vring_packed_desc d)
{
	d.flags = (uint16_t)(d.flags | (f.avail_wrap ? AVAIL : USED));
	f.ring[f.next_avail] = d;
	advance(&f.next_avail, &f.avail_wrap, 1);
}

static void make_plain(uint16_t id, unsigned int nr)
{
	for (unsigned int i = 0; i < nr; i++)
		make_avail(
			(struct vring_packed_desc){ DATA_GPA + i, 1, id, i + 1 < nr ? NEXT : 0 });
}

static int pop(void)
{
	return virtq_pop(&f.vq, &f.chain, f.iov, VIRTQ_SIZE_MAX);
}

static void give(uint16_t id, uint16_t nr_entries, uint32_t written)
{
	virtq_push(&f.vq, &(struct virtq_chain){ .head = id, .nr_entries = nr_entries }, written);
}

/* The driver looks at its next used entry. */
static bool is_used(void)
{
	const uint16_t flags = f.ring[f.next_used].flags;

	return !(flags & AVAIL) == !(flags & USED) && !(flags & USED) != f.used_wrap;
}

/* ---- starting ---- */

static void test_start(void **state)
{
	static const struct {
		uint16_t size;
		uint64_t ring, driver, device;
		int want;
	} cases[] = {
		{ 1, RING_GPA, DRIVER_GPA, DEVICE_GPA, 0 },
		{ 1024, RING_GPA, DRIVER_GPA, DEVICE_GPA, 0 },
		{ 3, RING_GPA, DRIVER_GPA, DEVICE_GPA,
		  0 }, /* no power of two: 2.8.10.1 asks for none */
		{ 1023, RING_GPA, DRIVER_GPA, DEVICE_GPA, 0 },
		{ 16, MEM_SIZE - 256, DRIVER_GPA, DEVICE_GPA, 0 }, /* ends with the memory */
		{ 16, RING_GPA, MEM_SIZE - 4, DEVICE_GPA, 0 },
		{ 16, RING_GPA, DRIVER_GPA, MEM_SIZE - 4, 0 },
		{ 0, RING_GPA, DRIVER_GPA, DEVICE_GPA, -EINVAL },
		{ 1025, RING_GPA, DRIVER_GPA, DEVICE_GPA, -EINVAL },
		{ 32768, RING_GPA, DRIVER_GPA, DEVICE_GPA, -EINVAL },
		{ 65535, RING_GPA, DRIVER_GPA, DEVICE_GPA, -EINVAL },
		{ 16, RING_GPA + 8, DRIVER_GPA, DEVICE_GPA, -EINVAL },
		{ 16, RING_GPA, DRIVER_GPA + 2, DEVICE_GPA, -EINVAL },
		{ 16, RING_GPA, DRIVER_GPA, DEVICE_GPA + 2, -EINVAL },
		{ 16, MEM_SIZE - 240, DRIVER_GPA, DEVICE_GPA, -EINVAL },
		{ 16, RING_GPA, MEM_SIZE, DEVICE_GPA, -EINVAL },
		{ 16, RING_GPA, DRIVER_GPA, MEM_SIZE, -EINVAL },
		{ 16, ~0ull - 15, DRIVER_GPA, DEVICE_GPA, -EINVAL },
		{ 16, RING_GPA, ~0ull - 3, DEVICE_GPA, -EINVAL },
	};

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		if (start_at(cases[i].size, cases[i].ring, cases[i].driver, cases[i].device,
			     false) != cases[i].want)
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
	struct vring_packed_desc ring[4],
		table[4]; /* the first that have a flag or a length, available */
	int want;
	uint16_t id, nr_entries, nr_out, nr_in;
	uint32_t out_len, in_len;
} chain_cases[] = {
	{ "one", { { DATA_GPA, 1, 9, 0 } }, { { 0 } }, 1, 9, 1, 1, 0, 1, 0 },
	{ "the last one's id counts",
	  { { DATA_GPA, 5, 7, NEXT }, { DATA_GPA, 7, 0xffff, WRITE } },
	  { { 0 } },
	  1,
	  0xffff,
	  2,
	  1,
	  1,
	  5,
	  7 },
	{ "as long as the ring",
	  { { 0, 1, 0, NEXT }, { 0, 1, 0, NEXT }, { 0, 1, 0, NEXT }, { 0, 1, 3, 0 } },
	  { { 0 } },
	  1,
	  3,
	  4,
	  4,
	  0,
	  4,
	  0 },
	{ "zero length between",
	  { { DATA_GPA, 3, 0, NEXT }, { 1, 0, 0, NEXT | WRITE }, { DATA_GPA, 4, 1, 0 } },
	  { { 0 } },
	  1,
	  1,
	  3,
	  2,
	  0,
	  7,
	  0 },
	{ "indirect, in order, no flag but write heeded",
	  { { TABLE_GPA, 48, 5, INDIRECT | WRITE } },
	  { { DATA_GPA, 2, 77, 0 }, { DATA_GPA, 6, 0, NEXT | WRITE }, { DATA_GPA, 1, 0, WRITE } },
	  1,
	  5,
	  1,
	  1,
	  2,
	  2,
	  7 },
	{ "indirect as the last",
	  { { DATA_GPA, 2, 0, NEXT }, { TABLE_GPA, 16, 4, INDIRECT } },
	  { { DATA_GPA, 3, 0, 0 } },
	  1,
	  4,
	  2,
	  2,
	  0,
	  5,
	  0 },
	{ "a misaligned indirect table",
	  { { TABLE_GPA + 3, 16, 2, INDIRECT } },
	  { { 0 } },
	  1,
	  2,
	  1,
	  0,
	  0,
	  0,
	  0 },
	{ "longer than the ring",
	  { { 0, 1, 0, NEXT }, { 0, 1, 0, NEXT }, { 0, 1, 0, NEXT }, { 0, 1, 0, NEXT } },
	  .want = -EPROTO },
	{ "beyond memory", { { MEM_SIZE, 1, 0, 0 } }, .want = -EPROTO },
	{ "across the end", { { MEM_SIZE - 1, 2, 0, 0 } }, .want = -EPROTO },
	{ "wrapping", { { ~0ull, 2, 0, 0 } }, .want = -EPROTO },
	{ "longest length", { { DATA_GPA, ~0u, 0, 0 } }, .want = -EPROTO },
	{ "readable after writable",
	  { { DATA_GPA, 1, 0, WRITE | NEXT }, { DATA_GPA, 1, 0, 0 } },
	  .want = -EPROTO },
	{ "indirect with next",
	  { { TABLE_GPA, 16, 0, INDIRECT | NEXT }, { DATA_GPA, 1, 0, 0 } },
	  .want = -EPROTO },
	{ "empty table", { { TABLE_GPA, 0, 0, INDIRECT } }, .want = -EPROTO },
	{ "part of an entry", { { TABLE_GPA, 24, 0, INDIRECT } }, .want = -EPROTO },
	{ "table beyond memory", { { MEM_SIZE - 16, 32, 0, INDIRECT } }, .want = -EPROTO },
	{ "table too long", { { 0, 1025 * 16, 0, INDIRECT } }, .want = -EPROTO },
	{ "table of 4 GiB", { { 0, ~0u & ~15u, 0, INDIRECT } }, .want = -EPROTO },
	{ "readable in the table after writable",
	  { { DATA_GPA, 1, 0, WRITE | NEXT }, { TABLE_GPA, 16, 0, INDIRECT } },
	  { { DATA_GPA, 1, 0, 0 } },
	  .want = -EPROTO },
	{ "a bad one in the table",
	  { { TABLE_GPA, 32, 0, INDIRECT } },
	  { { DATA_GPA, 1, 0, 0 }, { MEM_SIZE, 1, 0, 0 } },
	  .want = -EPROTO },
};

static void test_chains(void **state)
{
	(void)state;
	/* Each at every place of the ring, so that chains go over its end. */
	for (unsigned int i = 0; i < ARRAY_SIZE(chain_cases) * 4; i++) {
		const struct chain_case *c = &chain_cases[i / 4];

		start(4, false);
		memcpy(f.table, c->table, sizeof(c->table));
		for (unsigned int skip = 0; skip < i % 4; skip++) {
			make_plain(0, 1);
			assert_int_equal(pop(), 1);
			give(0, 1, 0);
		}
		assert_int_equal(virtq_publish(&f.vq), i % 4 > 0);
		for (unsigned int j = 0; j < 4 && (c->ring[j].len || c->ring[j].flags); j++)
			make_avail(c->ring[j]);
		if (pop() != c->want)
			fail_msg("%s: not %d", c->name, c->want);
		if (c->want == 1) {
			if (f.chain.head != c->id || f.chain.nr_entries != c->nr_entries ||
			    f.chain.nr_out != c->nr_out || f.chain.nr_in != c->nr_in ||
			    f.chain.out_len != c->out_len || f.chain.in_len != c->in_len)
				fail_msg("%s: a wrong chain", c->name);
			assert_int_equal(iov_size(f.iov, c->nr_out), c->out_len);
			assert_int_equal(pop(), 0);
		} else {
			/* Broken until reset, whatever the driver does. */
			make_plain(0, 1);
			assert_int_equal(pop(), -EPROTO);
			assert_false(virtq_has_avail(&f.vq));
			assert_false(virtq_kicks_on(&f.vq));
		}
	}
	assert_true(f.vq.counters.broken > 40);
}

/* A full ring whose first entry is a full table; and an iovec that is too short. */
static void test_too_many_buffers(void **state)
{
	(void)state;
	for (uint16_t direct = 0; direct < VIRTQ_SIZE_MAX; direct += 341) {
		start(VIRTQ_SIZE_MAX, false);
		for (uint16_t i = 0; i < VIRTQ_SIZE_MAX; i++)
			f.table[i] = (struct vring_packed_desc){ DATA_GPA, 1, 0, 0 };
		for (uint16_t i = 0; i < direct; i++)
			make_avail((struct vring_packed_desc){ DATA_GPA, 1, 0, NEXT });
		make_avail(
			(struct vring_packed_desc){ TABLE_GPA, VIRTQ_SIZE_MAX * 16, 0, INDIRECT });
		assert_int_equal(pop(), direct ? -EPROTO : 1);
		if (!direct)
			assert_int_equal(f.chain.nr_out, VIRTQ_SIZE_MAX);
	}
	start(4, false);
	make_plain(1, 4);
	for (unsigned int room = 0; room < 4; room++)
		assert_int_equal(virtq_pop(&f.vq, &f.chain, f.iov, room), -ENOBUFS);
	assert_int_equal(virtq_pop(&f.vq, &f.chain, f.iov, 4), 1);
	assert_int_equal(pop(), 0);
}

/* A driver that makes available again what is in our hands: never more than the ring has entries. */
static void test_in_our_hands(void **state)
{
	(void)state;
	for (unsigned int taken = 1; taken <= 4; taken++) {
		start(4, false);
		for (unsigned int i = 0; i < 4; i++)
			make_plain((uint16_t)i, 1);
		for (unsigned int i = 0; i < taken; i++)
			assert_int_equal(pop(), 1);
		for (unsigned int i = 0; i < 4 - taken; i++)
			assert_int_equal(pop(), 1);
		assert_int_equal(pop(), 0);
		make_plain(0, 1); /* over one that has not been used */
		assert_int_equal(pop(), -EPROTO);
	}
	/* A chain may take what is free, and no more. */
	for (unsigned int nr = 1; nr <= 3; nr++) {
		start(4, false);
		make_plain(0, 2);
		assert_int_equal(pop(), 1);
		make_plain(1, nr);
		assert_int_equal(pop(), nr <= 2 ? 1 : -EPROTO);
	}
}

/* An entry whose flags say that it is used, or of the lap before, is none. */
static void test_laps(void **state)
{
	(void)state;
	start(3, false);
	for (unsigned int i = 0; i < 1000; i++) {
		const uint16_t now = f.avail_wrap ? AVAIL : USED;

		for (uint16_t flags = 0; flags < 4; flags++) {
			const uint16_t bits =
				(uint16_t)((flags & 1 ? AVAIL : 0) | (flags & 2 ? USED : 0));

			f.ring[f.next_avail] = (struct vring_packed_desc){ DATA_GPA, 1, 1, bits };
			assert_int_equal(virtq_has_avail(&f.vq), bits == now);
			if (bits != now)
				assert_int_equal(pop(), 0);
		}
		make_plain(1, 1);
		assert_int_equal(pop(), 1);
		give(1, 1, 0);
		assert_true(virtq_publish(&f.vq));
		assert_true(is_used());
		advance(&f.next_used, &f.used_wrap, 1);
	}
}

static void test_unpop(void **state)
{
	(void)state;
	start(5, false);
	for (uint16_t i = 0; i < 1000; i++) {
		const unsigned int nr = 1 + i % 5;

		make_plain(i, nr);
		for (unsigned int times = 0; times < 3; times++) {
			assert_int_equal(pop(), 1);
			assert_int_equal(f.chain.head, i);
			assert_int_equal(pop(), 0);
			virtq_unpop(&f.vq, &f.chain);
			assert_true(virtq_has_avail(&f.vq));
		}
		assert_int_equal(pop(), 1);
		virtq_push(&f.vq, &f.chain, 0);
		assert_true(virtq_publish(&f.vq));
	}
}

/* How many chains wait, wherever the ring ends, and however many are in our hands. */
static void test_waiting(void **state)
{
	(void)state;
	start(7, false);
	for (unsigned int i = 0; i < 1000; i++) {
		const unsigned int nr = i % 4;

		assert_int_equal(virtq_waiting(&f.vq), 0);
		for (uint16_t j = 0; j < nr; j++)
			make_plain(j, 1 + i % 2);
		for (unsigned int left = nr; left; left--) {
			assert_int_equal(virtq_waiting(&f.vq), left);
			assert_int_equal(pop(), 1);
			virtq_push(&f.vq, &f.chain, 0);
		}
		assert_int_equal(virtq_publish(&f.vq), nr > 0);
	}
	/* A driver at play: no more than the ring has room for. */
	for (unsigned int i = 0; i < 7; i++)
		f.ring[i].flags = f.avail_wrap ? AVAIL : USED;
	assert_true(virtq_waiting(&f.vq) <= 7);
}

/* ---- used entries ---- */

/* Chains of all lengths given back in any order: each id once, its bytes, and nothing before it is published. */
static void test_used(void **state)
{
	struct virtq_chain taken[64];
	uint16_t entries[64];
	unsigned int laps = 0;

	(void)state;
	srand(1);
	start(61, false);
	while (laps < 2000) {
		unsigned int nr = 0, room = 61, published = 0;

		while (room && nr < 64) {
			const unsigned int n = 1 + (unsigned int)rand() % MIN(room, 7u);

			entries[nr] = (uint16_t)n;
			make_plain((uint16_t)nr, n);
			assert_int_equal(pop(), 1);
			assert_int_equal(f.chain.nr_entries, n);
			taken[nr++] = f.chain;
			room -= n;
		}
		for (unsigned int i = nr; i--;) { /* shuffled */
			const unsigned int j = (unsigned int)rand() % (i + 1);
			const struct virtq_chain c = taken[j];

			taken[j] = taken[i];
			taken[i] = c;
		}
		for (unsigned int i = 0; i < nr; i++) {
			virtq_push(&f.vq, &taken[i], taken[i].head * 3u);
			assert_false(published == i && is_used());
			if (rand() % 4 && i + 1 < nr)
				continue;
			assert_true(virtq_publish(&f.vq));
			for (; published <= i; published++) {
				const struct vring_packed_desc *d = &f.ring[f.next_used];

				assert_true(is_used());
				assert_int_equal(d->id, taken[published].head);
				assert_int_equal(d->len, d->id * 3u);
				assert_int_equal(!!(d->flags & WRITE), d->len > 0);
				advance(&f.next_used, &f.used_wrap, entries[d->id]);
			}
			assert_int_equal(f.next_used, f.vq.used_idx);
		}
		laps++;
	}
}

/* ---- interrupts and kicks ---- */

/* Batches of all sizes over many laps: an interrupt exactly when the driver wants one (2.8.10). */
static void test_interrupts(void **state)
{
	(void)state;
	for (unsigned int event_idx = 0; event_idx < 2; event_idx++) {
		unsigned int at = 0; /* of the used entries, without end */

		srand(1);
		start(61, event_idx);
		while (at < 200000) {
			const unsigned int n = (unsigned int)rand() % 62;
			const unsigned int event = at + (unsigned int)rand() % 70;
			const unsigned int mode = (unsigned int)rand() % 4;
			bool want;

			f.driver->flags = (uint16_t)mode;
			f.driver->off_wrap = (uint16_t)(event % 61 | !(event / 61 % 2) << 15);
			for (unsigned int i = 0; i < n; i++) {
				make_plain(1, 1);
				assert_int_equal(pop(), 1);
				give(1, 1, i);
			}
			if (event_idx && mode == VRING_PACKED_EVENT_FLAG_DESC)
				want = event < at + n;
			else
				want = mode != VRING_PACKED_EVENT_FLAG_DISABLE;
			assert_int_equal(virtq_publish(&f.vq), n && want);
			assert_false(virtq_publish(&f.vq));
			at += n;
		}
	}
	assert_true(f.vq.counters.interrupts > 1000 && f.vq.counters.suppressed > 1000);
}

/* The driver's decision whether to kick, for the entry that it has just added. */
static bool driver_kicks(void)
{
	uint16_t event = f.device->off_wrap & 0x7fff;

	if (f.device->flags != VRING_PACKED_EVENT_FLAG_DESC)
		return f.device->flags == VRING_PACKED_EVENT_FLAG_ENABLE;
	if (f.device->off_wrap >> 15 != f.avail_wrap)
		event = (uint16_t)(event - f.vq.size);
	return vring_need_event(event, f.next_avail, (uint16_t)(f.next_avail - 1));
}

static void test_kicks(void **state)
{
	(void)state;
	for (unsigned int event_idx = 0; event_idx < 2; event_idx++) {
		start(3, event_idx);
		for (unsigned int i = 0; i < 70000; i++) {
			const bool on = i % 3 == 0;

			/* Asking for kicks tells of a chain that came before, and only then. */
			if (on)
				assert_false(virtq_kicks_on(&f.vq));
			else
				virtq_kicks_off(&f.vq);
			make_plain(0, 1);
			assert_int_equal(driver_kicks(), on);
			assert_true(virtq_kicks_on(&f.vq));
			virtq_kicks_off(&f.vq);
			assert_int_equal(pop(), 1);
			give(0, 1, 0);
			assert_true(virtq_publish(&f.vq));
		}
	}
}

/* The device writes nothing into the rings of a broken queue, nor of one that is reset. */
static void test_hands_off(void **state)
{
	struct vring_packed_desc before[4];

	(void)state;
	start(4, true);
	make_avail((struct vring_packed_desc){ MEM_SIZE, 1, 0, 0 });
	assert_int_equal(pop(), -EPROTO);
	memcpy(before, f.ring, sizeof(before));
	for (unsigned int reset = 0; reset < 2; reset++) {
		virtq_kicks_off(&f.vq);
		assert_false(virtq_kicks_on(&f.vq));
		assert_int_equal(pop(), reset ? 0 : -EPROTO);
		assert_false(virtq_publish(&f.vq));
		assert_memory_equal(f.ring, before, sizeof(before));
		assert_int_equal(f.device->flags, 0);
		virtq_reset(&f.vq);
	}
	assert_int_equal(f.vq.counters.broken, 1); /* the counters outlive a reset */
}

/* ---- random and rewritten rings ---- */

static uint64_t random_state;

static uint32_t rnd(uint32_t below)
{
	random_state = random_state * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)((random_state >> 33) % below);
}

static struct vring_packed_desc random_desc(bool may_nest)
{
	static const uint16_t flags[] = { 0, NEXT, NEXT, WRITE, WRITE | NEXT };
	struct vring_packed_desc d = {
		.addr = rnd(16) ? DATA_GPA + rnd(0x10000) : MEM_SIZE - rnd(64),
		.len = rnd(16) ? rnd(5000) : 0u - rnd(3),
		.id = (uint16_t)rnd(0x10000),
		.flags = flags[rnd(ARRAY_SIZE(flags))],
	};

	if (may_nest && !rnd(6)) {
		d.addr = rnd(16) ? TABLE_GPA : MEM_SIZE - rnd(64);
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
	assert_in_range(f.chain.nr_entries, 1, f.vq.size);
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
		const uint16_t size = (uint16_t)(1 + rnd(33));
		unsigned int in_hand = 0, steps = 0;
		int ret;

		start(size, rnd(2));
		for (unsigned int i = 0; i < 16; i++)
			f.table[i] = random_desc(false);
		for (unsigned int i = 0; i < size; i++) {
			f.ring[i] = random_desc(true);
			if (rnd(16))
				f.ring[i].flags |= AVAIL;
			if (!rnd(16))
				f.ring[i].flags |= USED;
		}
		while ((ret = pop()) > 0 && steps++ < 64) {
			check_chain();
			good++;
			in_hand += f.chain.nr_entries;
			assert_true(in_hand <= size);
			if (!rnd(4)) {
				virtq_unpop(&f.vq, &f.chain);
				in_hand -= f.chain.nr_entries;
			} else if (!rnd(2)) {
				virtq_push(&f.vq, &f.chain, rnd(100));
				in_hand -= f.chain.nr_entries;
				f.ring[rnd(size)].flags ^= AVAIL | USED;
			}
		}
		broken += ret == -EPROTO;
		assert_true(ret == 0 || ret == 1 || ret == -EPROTO);
		assert_int_equal(pop() == -EPROTO, ret == -EPROTO || f.vq.broken);
		assert_true(f.vq.last_avail < size && f.vq.used_idx < size);
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
		struct vring_packed_desc *d =
			x >> 60 & 1 ? &f.ring[x >> 40 & 7] : &f.table[x >> 40 & 7];
		const uint64_t gpa = x >> 50 & 1 ? DATA_GPA : MEM_SIZE - 8;

		__atomic_store_n(&d->addr, x >> 61 ? gpa : TABLE_GPA, __ATOMIC_RELAXED);
		__atomic_store_n(&d->len, (uint32_t)(x >> 33 & 0x30), __ATOMIC_RELAXED);
		__atomic_store_n(&d->id, (uint16_t)(x >> 45), __ATOMIC_RELAXED);
		__atomic_store_n(&d->flags,
				 (uint16_t)((x >> 55 & 7) | (x >> 30 & 1 ? AVAIL : USED)),
				 __ATOMIC_RELAXED);
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
	while (good < 100000 || broken < 1000) {
		const int ret = pop();

		if (ret == 1) {
			check_chain();
			virtq_push(&f.vq, &f.chain, 0);
			good++;
			if (good % 4 == 0)
				(void)!virtq_publish(&f.vq);
		} else if (ret) {
			assert_int_equal(ret, -EPROTO);
			assert_int_equal(start_at(8, RING_GPA, DRIVER_GPA, DEVICE_GPA, true), 0);
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
		cmocka_unit_test_setup_teardown(test_too_many_buffers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_in_our_hands, setup, teardown),
		cmocka_unit_test_setup_teardown(test_laps, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unpop, setup, teardown),
		cmocka_unit_test_setup_teardown(test_waiting, setup, teardown),
		cmocka_unit_test_setup_teardown(test_used, setup, teardown),
		cmocka_unit_test_setup_teardown(test_interrupts, setup, teardown),
		cmocka_unit_test_setup_teardown(test_kicks, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hands_off, setup, teardown),
		cmocka_unit_test_setup_teardown(test_random_rings, setup, teardown),
		cmocka_unit_test_setup_teardown(test_rewritten_rings, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
