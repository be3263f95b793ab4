/* Queues of both kinds whose rings are random, or rewritten by the guest while they are read. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

#include "devices/virtio/test/packed_rig.h"
#include "devices/virtio/test/split_rig.h"
#include "vmm/base/test/unit.h"

static uint64_t random_state;
static atomic_bool stop_scribbling;

static uint32_t rnd(uint32_t below)
{
	random_state = random_state * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)((random_state >> 33) % below);
}

/* What holds for each chain, however it was made. */
static void check_chain(const struct guestmem *mem, const struct virtq_chain *chain,
			const struct iovec *iov)
{
	const unsigned int n = chain->nr_out + chain->nr_in;
	const uint8_t *base = mem->region[0].host;

	assert_true(n <= VIRTQ_SIZE_MAX);
	for (unsigned int i = 0; i < n; i++) {
		const uint64_t offset = (uint64_t)((uint8_t *)iov[i].iov_base - base);

		assert_true(iov[i].iov_len > 0 && offset < MEM_SIZE);
		assert_true(iov[i].iov_len <= MEM_SIZE - offset);
	}
	assert_int_equal(iov_size(iov, chain->nr_out), chain->out_len);
	assert_int_equal(iov_size(iov + chain->nr_out, chain->nr_in), chain->in_len);
}

/* ---- split ---- */

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

static struct vring_desc random_split_desc(unsigned int table_size, bool may_nest)
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

static void check_split(void)
{
	check_chain(&split.mem, &split.chain, split.iov);
	assert_true(split.chain.head < split.vq.size);
}

static void test_random_split_rings(void **state)
{
	unsigned int good = 0, broken = 0;

	random_state = 42;
	for (unsigned int round = 0; round < 200000; round++) {
		const uint16_t size = (uint16_t)(1u << rnd(5));
		unsigned int in_flight = 0, steps = 0;
		int ret;

		split_rig_start(size, rnd(2));
		for (unsigned int i = 0; i < size; i++) {
			split.desc[i] = random_split_desc(size, true);
			split.avail->ring[i] = (uint16_t)(rnd(64) ? rnd(size) : rnd(0x10000));
		}
		for (unsigned int i = 0; i < 16; i++)
			split.table[i] = random_split_desc(16, !rnd(32));
		split.avail->idx = (uint16_t)(rnd(16) ? rnd(size + 1u) : rnd(0x10000));
		while ((ret = split_rig_pop()) > 0 && steps++ < 64) {
			check_split();
			good++;
			assert_true(++in_flight <= size);
			if (!rnd(4)) {
				virtq_unpop(&split.vq, &split.chain);
				in_flight--;
			} else if (!rnd(2)) {
				virtq_push(&split.vq, &split.chain, rnd(100));
				in_flight--;
				split.avail->idx = (uint16_t)(split.avail->idx + rnd(3));
			}
		}
		if (ret == 0)
			assert_int_equal(split.vq.last_avail, split.avail->idx);
		else if (ret == -EPROTO)
			broken++;
		else
			assert_int_equal(ret, 1);
		assert_int_equal(split_rig_pop() == -EPROTO, ret == -EPROTO || split.vq.broken);
	}
	assert_true(good > 50000 && broken > 50000);
}

static void *scribble_split(void *arg)
{
	uint64_t x = 7;

	while (!atomic_load(&stop_scribbling)) {
		x = x * 6364136223846793005ull + 1442695040888963407ull;
		struct vring_desc *d =
			x >> 60 & 1 ? &split.desc[x >> 40 & 7] : &split.table[x >> 40 & 7];
		const uint64_t gpa = x >> 50 & 1 ? DATA_GPA : MEM_SIZE - 8;

		__atomic_store_n(&d->addr, x >> 61 ? gpa : TABLE_GPA, __ATOMIC_RELAXED);
		__atomic_store_n(&d->len, (uint32_t)(x >> 33 & 0x30), __ATOMIC_RELAXED);
		__atomic_store_n(&d->flags, (uint16_t)(x >> 55 & 7), __ATOMIC_RELAXED);
		__atomic_store_n(&d->next, (uint16_t)(x >> 45 & 7), __ATOMIC_RELAXED);
	}
	return NULL;
}

/* The guest rewrites descriptors while they are read. */
static void test_rewritten_split_rings(void **state)
{
	unsigned int good = 0, broken = 0;
	pthread_t thread;

	split_rig_start(8, true);
	atomic_store(&stop_scribbling, false);
	assert_int_equal(pthread_create(&thread, NULL, scribble_split, NULL), 0);
	for (unsigned int i = 0; good < 100000 || broken < 1000; i++) {
		int ret;

		split_rig_make_avail((uint16_t)(i % 8));
		ret = split_rig_pop();
		if (ret == 1) {
			check_split();
			virtq_push(&split.vq, &split.chain, 0);
			good++;
		} else {
			assert_int_equal(ret, -EPROTO);
			split_rig_start(8, true);
			broken++;
		}
	}
	atomic_store(&stop_scribbling, true);
	pthread_join(thread, NULL);
}

/* ---- packed ---- */

static struct vring_packed_desc random_packed_desc(bool may_nest)
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

static void check_packed(void)
{
	check_chain(&packed.mem, &packed.chain, packed.iov);
	assert_in_range(packed.chain.nr_entries, 1, packed.vq.size);
}

static void test_random_packed_rings(void **state)
{
	unsigned int good = 0, broken = 0;

	random_state = 42;
	for (unsigned int round = 0; round < 200000; round++) {
		const uint16_t size = (uint16_t)(1 + rnd(33));
		unsigned int in_hand = 0, steps = 0;
		int ret;

		packed_rig_start(size, rnd(2));
		for (unsigned int i = 0; i < 16; i++)
			packed.table[i] = random_packed_desc(false);
		for (unsigned int i = 0; i < size; i++) {
			packed.ring[i] = random_packed_desc(true);
			if (rnd(16))
				packed.ring[i].flags |= AVAIL;
			if (!rnd(16))
				packed.ring[i].flags |= USED;
		}
		while ((ret = packed_rig_pop()) > 0 && steps++ < 64) {
			check_packed();
			good++;
			in_hand += packed.chain.nr_entries;
			assert_true(in_hand <= size);
			if (!rnd(4)) {
				virtq_unpop(&packed.vq, &packed.chain);
				in_hand -= packed.chain.nr_entries;
			} else if (!rnd(2)) {
				virtq_push(&packed.vq, &packed.chain, rnd(100));
				in_hand -= packed.chain.nr_entries;
				packed.ring[rnd(size)].flags ^= AVAIL | USED;
			}
		}
		broken += ret == -EPROTO;
		assert_true(ret == 0 || ret == 1 || ret == -EPROTO);
		assert_int_equal(packed_rig_pop() == -EPROTO, ret == -EPROTO || packed.vq.broken);
		assert_true(packed.vq.last_avail < size && packed.vq.used_idx < size);
	}
	assert_true(good > 50000 && broken > 50000);
}

static void *scribble_packed(void *arg)
{
	uint64_t x = 7;

	while (!atomic_load(&stop_scribbling)) {
		x = x * 6364136223846793005ull + 1442695040888963407ull;
		struct vring_packed_desc *d =
			x >> 60 & 1 ? &packed.ring[x >> 40 & 7] : &packed.table[x >> 40 & 7];
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
static void test_rewritten_packed_rings(void **state)
{
	unsigned int good = 0, broken = 0;
	pthread_t thread;

	packed_rig_start(8, true);
	atomic_store(&stop_scribbling, false);
	assert_int_equal(pthread_create(&thread, NULL, scribble_packed, NULL), 0);
	while (good < 100000 || broken < 1000) {
		const int ret = packed_rig_pop();

		if (ret == 1) {
			check_packed();
			virtq_push(&packed.vq, &packed.chain, 0);
			good++;
			if (good % 4 == 0)
				(void)!virtq_publish(&packed.vq);
		} else if (ret) {
			assert_int_equal(ret, -EPROTO);
			assert_int_equal(
				packed_rig_start_at(8, RING_GPA, DRIVER_GPA, DEVICE_GPA, true), 0);
			broken++;
		}
	}
	atomic_store(&stop_scribbling, true);
	pthread_join(thread, NULL);
}

#define TEST(kind, f) cmocka_unit_test_setup_teardown(f, kind##_rig_setup, kind##_rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(split, test_random_split_rings),
		TEST(split, test_rewritten_split_rings),
		TEST(packed, test_random_packed_rings),
		TEST(packed, test_rewritten_packed_rings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
