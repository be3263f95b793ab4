/* Packed queues: rings good, bad and hostile. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "devices/virtio/test/packed_rig.h"
#include "vmm/base/test/unit.h"

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

	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		if (packed_rig_start_at(cases[i].size, cases[i].ring, cases[i].driver,
					cases[i].device, false) != cases[i].want)
			fail_msg("case %u", i);
		assert_int_equal(packed.vq.live, !cases[i].want);
		if (!packed.vq.live) {
			assert_int_equal(packed_rig_pop(), 0);
			assert_false(virtq_kicks_on(&packed.vq));
			assert_false(virtq_publish(&packed.vq));
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
	/* Each at every place of the ring, so that chains go over its end. */
	for (unsigned int i = 0; i < ARRAY_SIZE(chain_cases) * 4; i++) {
		const struct chain_case *c = &chain_cases[i / 4];

		packed_rig_start(4, false);
		memcpy(packed.table, c->table, sizeof(c->table));
		for (unsigned int skip = 0; skip < i % 4; skip++) {
			packed_rig_make_plain(0, 1);
			assert_int_equal(packed_rig_pop(), 1);
			packed_rig_give(0, 1, 0);
		}
		assert_int_equal(virtq_publish(&packed.vq), i % 4 > 0);
		for (unsigned int j = 0; j < 4 && (c->ring[j].len || c->ring[j].flags); j++)
			packed_rig_make_avail(c->ring[j]);
		if (packed_rig_pop() != c->want)
			fail_msg("%s: not %d", c->name, c->want);
		if (c->want == 1) {
			if (packed.chain.head != c->id ||
			    packed.chain.nr_entries != c->nr_entries ||
			    packed.chain.nr_out != c->nr_out || packed.chain.nr_in != c->nr_in ||
			    packed.chain.out_len != c->out_len || packed.chain.in_len != c->in_len)
				fail_msg("%s: a wrong chain", c->name);
			assert_int_equal(iov_size(packed.iov, c->nr_out), c->out_len);
			assert_int_equal(packed_rig_pop(), 0);
		} else {
			/* Broken until reset, whatever the driver does. */
			packed_rig_make_plain(0, 1);
			assert_int_equal(packed_rig_pop(), -EPROTO);
			assert_false(virtq_has_avail(&packed.vq));
			assert_false(virtq_kicks_on(&packed.vq));
		}
	}
	assert_true(packed.vq.counters.broken > 40);
}

/* A full ring whose first entry is a full table; and an iovec that is too short. */
static void test_too_many_buffers(void **state)
{
	for (uint16_t direct = 0; direct < VIRTQ_SIZE_MAX; direct += 341) {
		packed_rig_start(VIRTQ_SIZE_MAX, false);
		for (uint16_t i = 0; i < VIRTQ_SIZE_MAX; i++)
			packed.table[i] = (struct vring_packed_desc){ DATA_GPA, 1, 0, 0 };
		for (uint16_t i = 0; i < direct; i++)
			packed_rig_make_avail((struct vring_packed_desc){ DATA_GPA, 1, 0, NEXT });
		packed_rig_make_avail(
			(struct vring_packed_desc){ TABLE_GPA, VIRTQ_SIZE_MAX * 16, 0, INDIRECT });
		assert_int_equal(packed_rig_pop(), direct ? -EPROTO : 1);
		if (!direct)
			assert_int_equal(packed.chain.nr_out, VIRTQ_SIZE_MAX);
	}
	packed_rig_start(4, false);
	packed_rig_make_plain(1, 4);
	for (unsigned int room = 0; room < 4; room++)
		assert_int_equal(virtq_pop(&packed.vq, &packed.chain, packed.iov, room), -ENOBUFS);
	assert_int_equal(virtq_pop(&packed.vq, &packed.chain, packed.iov, 4), 1);
	assert_int_equal(packed_rig_pop(), 0);
}

/* A driver that makes available again what is in our hands: never more than the ring has entries. */
static void test_in_our_hands(void **state)
{
	for (unsigned int taken = 1; taken <= 4; taken++) {
		packed_rig_start(4, false);
		for (unsigned int i = 0; i < 4; i++)
			packed_rig_make_plain((uint16_t)i, 1);
		for (unsigned int i = 0; i < taken; i++)
			assert_int_equal(packed_rig_pop(), 1);
		for (unsigned int i = 0; i < 4 - taken; i++)
			assert_int_equal(packed_rig_pop(), 1);
		assert_int_equal(packed_rig_pop(), 0);
		packed_rig_make_plain(0, 1); /* over one that has not been used */
		assert_int_equal(packed_rig_pop(), -EPROTO);
	}
	/* A chain may take what is free, and no more. */
	for (unsigned int nr = 1; nr <= 3; nr++) {
		packed_rig_start(4, false);
		packed_rig_make_plain(0, 2);
		assert_int_equal(packed_rig_pop(), 1);
		packed_rig_make_plain(1, nr);
		assert_int_equal(packed_rig_pop(), nr <= 2 ? 1 : -EPROTO);
	}
}

/* An entry whose flags say that it is used, or of the lap before, is none. */
static void test_laps(void **state)
{
	packed_rig_start(3, false);
	for (unsigned int i = 0; i < 1000; i++) {
		const uint16_t now = packed.avail_wrap ? AVAIL : USED;

		for (uint16_t flags = 0; flags < 4; flags++) {
			const uint16_t bits =
				(uint16_t)((flags & 1 ? AVAIL : 0) | (flags & 2 ? USED : 0));

			packed.ring[packed.next_avail] =
				(struct vring_packed_desc){ DATA_GPA, 1, 1, bits };
			assert_int_equal(virtq_has_avail(&packed.vq), bits == now);
			if (bits != now)
				assert_int_equal(packed_rig_pop(), 0);
		}
		packed_rig_make_plain(1, 1);
		assert_int_equal(packed_rig_pop(), 1);
		packed_rig_give(1, 1, 0);
		assert_true(virtq_publish(&packed.vq));
		assert_true(packed_rig_is_used());
		packed_rig_advance(&packed.next_used, &packed.used_wrap, 1);
	}
}

static void test_unpop(void **state)
{
	packed_rig_start(5, false);
	for (uint16_t i = 0; i < 1000; i++) {
		const unsigned int nr = 1 + i % 5;

		packed_rig_make_plain(i, nr);
		for (unsigned int times = 0; times < 3; times++) {
			assert_int_equal(packed_rig_pop(), 1);
			assert_int_equal(packed.chain.head, i);
			assert_int_equal(packed_rig_pop(), 0);
			virtq_unpop(&packed.vq, &packed.chain);
			assert_true(virtq_has_avail(&packed.vq));
		}
		assert_int_equal(packed_rig_pop(), 1);
		virtq_push(&packed.vq, &packed.chain, 0);
		assert_true(virtq_publish(&packed.vq));
	}
}

/* How many chains wait, wherever the ring ends, and however many are in our hands. */
static void test_waiting(void **state)
{
	packed_rig_start(7, false);
	for (unsigned int i = 0; i < 1000; i++) {
		const unsigned int nr = i % 4;

		assert_int_equal(virtq_waiting(&packed.vq), 0);
		for (uint16_t j = 0; j < nr; j++)
			packed_rig_make_plain(j, 1 + i % 2);
		for (unsigned int left = nr; left; left--) {
			assert_int_equal(virtq_waiting(&packed.vq), left);
			assert_int_equal(packed_rig_pop(), 1);
			virtq_push(&packed.vq, &packed.chain, 0);
		}
		assert_int_equal(virtq_publish(&packed.vq), nr > 0);
	}
	/* A driver at play: no more than the ring has room for. */
	for (unsigned int i = 0; i < 7; i++)
		packed.ring[i].flags = packed.avail_wrap ? AVAIL : USED;
	assert_true(virtq_waiting(&packed.vq) <= 7);
}

/* ---- used entries ---- */

/* Chains of all lengths given back in any order: each id once, its bytes, and nothing before it is published. */
static void test_used(void **state)
{
	struct virtq_chain taken[64];
	uint16_t entries[64];
	unsigned int laps = 0;

	srand(1);
	packed_rig_start(61, false);
	while (laps < 2000) {
		unsigned int nr = 0, room = 61, published = 0;

		while (room && nr < 64) {
			const unsigned int n = 1 + (unsigned int)rand() % MIN(room, 7u);

			entries[nr] = (uint16_t)n;
			packed_rig_make_plain((uint16_t)nr, n);
			assert_int_equal(packed_rig_pop(), 1);
			assert_int_equal(packed.chain.nr_entries, n);
			taken[nr++] = packed.chain;
			room -= n;
		}
		for (unsigned int i = nr; i--;) { /* shuffled */
			const unsigned int j = (unsigned int)rand() % (i + 1);
			const struct virtq_chain c = taken[j];

			taken[j] = taken[i];
			taken[i] = c;
		}
		for (unsigned int i = 0; i < nr; i++) {
			virtq_push(&packed.vq, &taken[i], taken[i].head * 3u);
			assert_false(published == i && packed_rig_is_used());
			if (rand() % 4 && i + 1 < nr)
				continue;
			assert_true(virtq_publish(&packed.vq));
			for (; published <= i; published++) {
				const struct vring_packed_desc *d = &packed.ring[packed.next_used];

				assert_true(packed_rig_is_used());
				assert_int_equal(d->id, taken[published].head);
				assert_int_equal(d->len, d->id * 3u);
				assert_int_equal(!!(d->flags & WRITE), d->len > 0);
				packed_rig_advance(&packed.next_used, &packed.used_wrap,
						   entries[d->id]);
			}
			assert_int_equal(packed.next_used, packed.vq.used_idx);
		}
		laps++;
	}
}

/* ---- interrupts and kicks ---- */

/* Batches of all sizes over many laps: an interrupt exactly when the driver wants one (2.8.10). */
static void test_interrupts(void **state)
{
	for (unsigned int event_idx = 0; event_idx < 2; event_idx++) {
		unsigned int at = 0; /* of the used entries, without end */

		srand(1);
		packed_rig_start(61, event_idx);
		while (at < 200000) {
			const unsigned int n = (unsigned int)rand() % 62;
			const unsigned int event = at + (unsigned int)rand() % 70;
			const unsigned int mode = (unsigned int)rand() % 4;
			bool want;

			packed.driver->flags = (uint16_t)mode;
			packed.driver->off_wrap = (uint16_t)(event % 61 | !(event / 61 % 2) << 15);
			for (unsigned int i = 0; i < n; i++) {
				packed_rig_make_plain(1, 1);
				assert_int_equal(packed_rig_pop(), 1);
				packed_rig_give(1, 1, i);
			}
			if (event_idx && mode == VRING_PACKED_EVENT_FLAG_DESC)
				want = event < at + n;
			else
				want = mode != VRING_PACKED_EVENT_FLAG_DISABLE;
			assert_int_equal(virtq_publish(&packed.vq), n && want);
			assert_false(virtq_publish(&packed.vq));
			at += n;
		}
	}
	assert_true(packed.vq.counters.interrupts > 1000 && packed.vq.counters.suppressed > 1000);
}

/* The driver's decision whether to kick, for the entry that it has just added. */
static bool driver_kicks(void)
{
	uint16_t event = packed.device->off_wrap & 0x7fff;

	if (packed.device->flags != VRING_PACKED_EVENT_FLAG_DESC)
		return packed.device->flags == VRING_PACKED_EVENT_FLAG_ENABLE;
	if (packed.device->off_wrap >> 15 != packed.avail_wrap)
		event = (uint16_t)(event - packed.vq.size);
	return vring_need_event(event, packed.next_avail, (uint16_t)(packed.next_avail - 1));
}

static void test_kicks(void **state)
{
	for (unsigned int event_idx = 0; event_idx < 2; event_idx++) {
		packed_rig_start(3, event_idx);
		for (unsigned int i = 0; i < 70000; i++) {
			const bool on = i % 3 == 0;

			/* Asking for kicks tells of a chain that came before, and only then. */
			if (on)
				assert_false(virtq_kicks_on(&packed.vq));
			else
				virtq_kicks_off(&packed.vq);
			packed_rig_make_plain(0, 1);
			assert_int_equal(driver_kicks(), on);
			assert_true(virtq_kicks_on(&packed.vq));
			virtq_kicks_off(&packed.vq);
			assert_int_equal(packed_rig_pop(), 1);
			packed_rig_give(0, 1, 0);
			assert_true(virtq_publish(&packed.vq));
		}
	}
}

/* The device writes nothing into the rings of a broken queue, nor of one that is reset. */
static void test_hands_off(void **state)
{
	struct vring_packed_desc before[4];

	packed_rig_start(4, true);
	packed_rig_make_avail((struct vring_packed_desc){ MEM_SIZE, 1, 0, 0 });
	assert_int_equal(packed_rig_pop(), -EPROTO);
	memcpy(before, packed.ring, sizeof(before));
	for (unsigned int reset = 0; reset < 2; reset++) {
		virtq_kicks_off(&packed.vq);
		assert_false(virtq_kicks_on(&packed.vq));
		assert_int_equal(packed_rig_pop(), reset ? 0 : -EPROTO);
		assert_false(virtq_publish(&packed.vq));
		assert_memory_equal(packed.ring, before, sizeof(before));
		assert_int_equal(packed.device->flags, 0);
		virtq_reset(&packed.vq);
	}
	assert_int_equal(packed.vq.counters.broken, 1); /* the counters outlive a reset */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_start, packed_rig_setup, packed_rig_teardown),
		cmocka_unit_test_setup_teardown(test_chains, packed_rig_setup, packed_rig_teardown),
		cmocka_unit_test_setup_teardown(test_too_many_buffers, packed_rig_setup,
						packed_rig_teardown),
		cmocka_unit_test_setup_teardown(test_in_our_hands, packed_rig_setup,
						packed_rig_teardown),
		cmocka_unit_test_setup_teardown(test_laps, packed_rig_setup, packed_rig_teardown),
		cmocka_unit_test_setup_teardown(test_unpop, packed_rig_setup, packed_rig_teardown),
		cmocka_unit_test_setup_teardown(test_waiting, packed_rig_setup,
						packed_rig_teardown),
		cmocka_unit_test_setup_teardown(test_used, packed_rig_setup, packed_rig_teardown),
		cmocka_unit_test_setup_teardown(test_interrupts, packed_rig_setup,
						packed_rig_teardown),
		cmocka_unit_test_setup_teardown(test_kicks, packed_rig_setup, packed_rig_teardown),
		cmocka_unit_test_setup_teardown(test_hands_off, packed_rig_setup,
						packed_rig_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
