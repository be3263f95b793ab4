/* virtio-rng, driven as a guest would. */
#include <pthread.h>

#include <unistd.h>

#include "devices/virtio/test/vdriver.h"
#include "devices/virtio/rng.h"
#include "vmm/base/test/unit.h"

#define EVENT_IDX BIT_ULL(VIRTIO_RING_F_EVENT_IDX)
#define INDIRECT  BIT_ULL(VIRTIO_RING_F_INDIRECT_DESC)

static struct vdriver d;
static struct virtio_dev *dev;

static int setup(void **state)
{
	static const struct virtio_rng_options options = { .on = true };

	vdriver_init(&d, 16 * MIB);
	assert_int_equal(vdriver_create(&d, &virtio_rng_kind, "rng0", &options), 0);
	dev = d.dev;
	return 0;
}

static int teardown(void **state)
{
	vdriver_destroy(&d);
	return 0;
}

static unsigned int count_zeroes(const uint8_t *p, unsigned int len)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < len; i++)
		n += p[i] == 0;
	return n;
}

/* Of 512 random bytes 2 are zero; more than 64 would be a miracle. */
static void assert_random(struct vdriver_buf b)
{
	assert_true(count_zeroes(b.host, b.len) < b.len / 8);
}

static void assert_untouched(struct vdriver_buf b)
{
	assert_int_equal(count_zeroes(b.host, b.len), b.len);
}

static void check_answers(uint64_t features)
{
	vdriver_start(&d, features);
	for (unsigned int i = 0; i < 300; i++) {
		struct vdriver_buf b = vdriver_buf(&d, 512);
		uint16_t head = vdriver_add(&d, 0, &b, 0, 1);

		vdriver_kick(&d, 0);
		struct vring_used_elem e = vdriver_wait(&d, 0);
		assert_int_equal(e.id, head);
		assert_int_equal(e.len, 512);
		assert_random(b);
	}
}

static void test_answers(void **state)
{
	check_answers(0);
}

static void test_answers_event_idx(void **state)
{
	check_answers(EVENT_IDX);
}

static void test_scattered_and_indirect(void **state)
{
	struct vdriver_buf b[3];

	vdriver_start(&d, INDIRECT);
	for (unsigned int i = 0; i < 3; i++)
		b[i] = vdriver_buf(&d, 700 + i);
	vdriver_add_indirect(&d, 0, b, 0, 3);
	vdriver_kick(&d, 0);
	assert_int_equal(vdriver_wait(&d, 0).len, 700 + 701 + 702);
	for (unsigned int i = 0; i < 3; i++)
		assert_random(b[i]);
}

/* Chains that wait before DRIVER_OK need no kick of their own. */
static void test_available_before_driver_ok(void **state)
{
	struct vdriver_buf b = vdriver_buf(&d, 64);

	vdriver_negotiate(&d, 0);
	vdriver_setup_queue(&d, 0, 8);
	vdriver_add(&d, 0, &b, 0, 1);
	vdriver_driver_ok(&d);
	assert_int_equal(vdriver_wait(&d, 0).len, 64);
}

/* What comes while it may not touch memory waits, also for a driver that comes meanwhile. */
static void test_holds_still_without_dma(void **state)
{
	for (unsigned int round = 0; round < 4; round++) {
		struct vdriver_buf b = vdriver_buf(&d, 64);
		struct vring_used_elem e;

		if (round % 2) {
			virtio_set_dma(dev, false);
			vdriver_start(&d, 0);
		} else {
			vdriver_start(&d, 0);
			virtio_set_dma(dev, false);
			virtio_set_dma(dev, false); /* as it is */
		}
		vdriver_add(&d, 0, &b, 0, 1);
		vdriver_force_kick(&d, 0);
		usleep(10000); /* time to do what it must not */
		assert_untouched(b);
		assert_false(vdriver_take(&d, 0, &e));
		assert_int_equal(d.queue[0].avail->idx, 1);
		if (round == 3) { /* a reset ends it as well, and the memory stays as it is */
			vdriver_reset(&d);
			virtio_set_dma(dev, true);
			assert_untouched(b);
			continue;
		}
		virtio_set_dma(dev, true);
		assert_int_equal(vdriver_wait(&d, 0).len, 64);
		vdriver_reset(&d);
	}
}

static void test_long_request_is_cut(void **state)
{
	struct vdriver_buf b = vdriver_buf(&d, 8 * MIB);

	vdriver_start(&d, 0);
	vdriver_add(&d, 0, &b, 0, 1);
	vdriver_kick(&d, 0);
	assert_int_equal(vdriver_wait(&d, 0).len, 4096);
	assert_random(vdriver_part(b, 0, 4096));
	assert_untouched(vdriver_part(b, 4096, 8 * MIB - 4096));
}

static void test_readable_buffer_is_not_written(void **state)
{
	struct vdriver_buf b = vdriver_buf(&d, 512);

	vdriver_start(&d, 0);
	vdriver_add(&d, 0, &b, 1, 0);
	vdriver_kick(&d, 0);
	assert_int_equal(vdriver_wait(&d, 0).len, 0);
	assert_untouched(b);
}

static void test_empty_buffer(void **state)
{
	struct vdriver_buf b = vdriver_part(vdriver_buf(&d, 16), 0, 0);

	vdriver_start(&d, 0);
	vdriver_add(&d, 0, &b, 0, 1);
	vdriver_kick(&d, 0);
	assert_int_equal(vdriver_wait(&d, 0).len, 0);
}

/* The device is broken, and lives on after a reset. */
static void assert_broken_until_reset(void)
{
	struct vring_used_elem e;

	vdriver_force_kick(&d, 0);
	vdriver_wait_needs_reset(&d);
	assert_int_equal(dev->counters.needs_resets, 1);
	assert_false(vdriver_take(&d, 0, &e));
	vdriver_reset(&d);
	check_answers(0);
}

static void test_head_out_of_range(void **state)
{
	vdriver_start(&d, 0);
	vdriver_make_avail(&d, 0, d.queue[0].size);
	assert_broken_until_reset();
}

static void test_loop_in_chain(void **state)
{
	vdriver_start(&d, 0);
	vdriver_set_desc(&d, 0, 0, 0x1000, 16, VRING_DESC_F_WRITE | VRING_DESC_F_NEXT, 1);
	vdriver_set_desc(&d, 0, 1, 0x2000, 16, VRING_DESC_F_WRITE | VRING_DESC_F_NEXT, 0);
	vdriver_make_avail(&d, 0, 0);
	assert_broken_until_reset();
}

static void test_buffer_beyond_memory(void **state)
{
	vdriver_start(&d, 0);
	vdriver_set_desc(&d, 0, 0, 16 * MIB - 8, 16, VRING_DESC_F_WRITE, 0);
	vdriver_make_avail(&d, 0, 0);
	assert_broken_until_reset();
}

static void test_avail_index_jumps(void **state)
{
	vdriver_start(&d, 0);
	__atomic_store_n(&d.queue[0].avail->idx, (uint16_t)(d.queue[0].size + 1), __ATOMIC_RELEASE);
	assert_broken_until_reset();
}

static void test_queue_outside_memory(void **state)
{
	vdriver_negotiate(&d, 0);
	vdriver_setup_queue(&d, 0, 8);
	virtio_set_queue(dev, 0, VIRTIO_QUEUE_READY, 0);
	virtio_set_queue(dev, 0, VIRTIO_QUEUE_DEVICE_HI, 1);
	virtio_set_queue(dev, 0, VIRTIO_QUEUE_READY, 1);
	vdriver_driver_ok(&d);
	vdriver_wait_needs_reset(&d);
	assert_false(dev->active);
	vdriver_reset(&d);
	check_answers(0);
}

/* A driver that is never done adding requests must not keep the device from being reset. */
static void *flood(void *stop)
{
	struct vdriver_queue *vq = &d.queue[0];

	for (uint16_t n = 0; !__atomic_load_n((bool *)stop, __ATOMIC_RELAXED);) {
		/* As many as the ring holds, again and again. */
		n = (uint16_t)(__atomic_load_n(&vq->used->idx, __ATOMIC_RELAXED) + vq->size);
		__atomic_store_n(&vq->avail->idx, n, __ATOMIC_RELEASE);
		vdriver_force_kick(&d, 0);
	}
	return NULL;
}

static void test_reset_under_flood(void **state)
{
	bool stop = false;
	pthread_t thread;

	vdriver_start_sized(&d, 0, 4);
	for (uint16_t i = 0; i < 4; i++) {
		vdriver_set_desc(&d, 0, i, 0x1000, 16, VRING_DESC_F_WRITE, 0);
		d.queue[0].avail->ring[i] = i;
	}
	__atomic_store_n(&d.queue[0].avail->idx, 4, __ATOMIC_RELEASE);
	assert_int_equal(pthread_create(&thread, NULL, flood, &stop), 0);
	vdriver_force_kick(&d, 0);
	while (__atomic_load_n(&d.queue[0].used->idx, __ATOMIC_ACQUIRE) < 1000)
		sched_yield();
	virtio_set_status(dev, 0);
	assert_int_equal(virtio_get_status(dev), 0);
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	vdriver_reset(&d);
	check_answers(EVENT_IDX);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_answers),
		TEST(test_answers_event_idx),
		TEST(test_scattered_and_indirect),
		TEST(test_available_before_driver_ok),
		TEST(test_holds_still_without_dma),
		TEST(test_long_request_is_cut),
		TEST(test_readable_buffer_is_not_written),
		TEST(test_empty_buffer),
		TEST(test_head_out_of_range),
		TEST(test_loop_in_chain),
		TEST(test_buffer_beyond_memory),
		TEST(test_avail_index_jumps),
		TEST(test_queue_outside_memory),
		TEST(test_reset_under_flood),
	};
	const struct CMUnitTest packed[] = {
		TEST(test_answers),
		TEST(test_answers_event_idx),
		TEST(test_scattered_and_indirect),
		TEST(test_available_before_driver_ok),
	};

	return cmocka_run_group_tests_name("virtio-rng", tests, NULL, NULL) +
	       cmocka_run_group_tests_name("packed", packed, vdriver_use_packed, NULL);
}
