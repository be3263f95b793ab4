/* virtio-net: several queue pairs, and a driver that changes its mind about them. */
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "devices/virtio/test/net_rig.h"
#include "vmm/base/test/unit.h"

#define PAIRS	4u
#define MQ_CTRL (2 * PAIRS)

static uint8_t set_pairs(unsigned int n)
{
	return control((uint8_t[4]){ VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET,
				     (uint8_t)n, (uint8_t)(n >> 8) },
		       4, 2);
}

/* A frame from the backend's queue @from, of which each has another content. */
static size_t send_from(unsigned int from, size_t len)
{
	static uint32_t seed;

	len = make_frame(len, ++seed);
	use_pair(from);
	peer_send(len);
	return len;
}

/* It comes in the ring of @to, and is the last that was made. */
static void comes_to(unsigned int to, size_t len)
{
	use_pair(to);
	post_plain(2048);
	vdriver_kick(&d, 2 * to);
	assert_got(collect(), len);
}

static void sends(unsigned int from)
{
	const size_t len = make_frame(100 + from, from);

	use_pair(from);
	transmit_plain(len);
	vdriver_kick(&d, 2 * from + 1);
	vdriver_wait(&d, 2 * from + 1);
	assert_got(peer_recv(), len);
}

/* What the driver may not say, and what it may not say without MQ. */
static void test_bad_commands(void **state)
{
	static const struct {
		const char *name;
		uint32_t len;
		uint8_t bytes[8];
	} cases[] = {
		{ "no pair", 4, { 4, 0, 0, 0 } },
		{ "more than there are", 4, { 4, 0, 5, 0 } },
		{ "many more", 4, { 4, 0, 1, 1 } },
		{ "the most", 4, { 4, 0, 0, 0x80 } },
		{ "beyond", 4, { 4, 0, 0xff, 0xff } },
		{ "a byte", 3, { 4, 0, 2 } },
		{ "nothing", 2, { 4, 0 } },
		{ "RSS, not offered", 8, { 4, 1, 2, 0 } },
		{ "hash report, not offered", 8, { 4, 2, 2, 0 } },
		{ "no such command", 4, { 4, 3, 2, 0 } },
	};
	unsigned int n = 0;

	for (unsigned int mq = 0; mq < 2; mq++) {
		start(USUAL | (mq ? F(MQ) : 0));
		for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++)
			for (uint32_t split = 0; split <= cases[i].len; split++, n++)
				if (control(cases[i].bytes, cases[i].len, split) != VIRTIO_NET_ERR)
					fail_msg("%s, split at %u", cases[i].name, split);
		assert_int_equal(set_pairs(2), mq ? VIRTIO_NET_OK : VIRTIO_NET_ERR);
		assert_int_equal(counter("ctrl", "pairs"), 1 + mq);
		vdriver_reset(&d);
		assert_int_equal(counter("ctrl", "pairs"), 0);
		d.next_gpa = 0x100000;
	}
	assert_int_equal(counter("ctrl", "refused"), n + 1);
}

/* A driver that has set up two pairs is not given a third. */
static void test_queues_not_set_up(void **state)
{
	vdriver_negotiate(&d, USUAL | F(MQ));
	for (unsigned int q = 0; q < 4; q++)
		vdriver_setup_queue(&d, q,
				    (uint16_t)(8u << q)); /* each as long as the driver likes */
	vdriver_setup_queue(&d, 4, 64);			  /* a half */
	vdriver_setup_queue(&d, MQ_CTRL, 64);
	vdriver_driver_ok(&d);
	use_queues(USUAL | F(MQ));
	for (unsigned int n = 1; n <= PAIRS; n++)
		assert_int_equal(set_pairs(n), n <= 2 ? VIRTIO_NET_OK : VIRTIO_NET_ERR);
	assert_int_equal(counter("ctrl", "pairs"), 2);
	for (unsigned int from = 0; from < PAIRS; from++)
		comes_to(from % 2, send_from(from, 60));
	sends(0);
	sends(1);
}

static void test_offer(void **state)
{
	assert_true(virtio_get_device_features(dev, 0) & (uint32_t)F(MQ));
	assert_int_equal(virtio_read_config(dev, 8, 2), PAIRS);
	assert_int_equal(dev->nr_vqs, 2 * PAIRS + 1);
	assert_int_equal(virtio_get_queue(dev, MQ_CTRL, VIRTIO_QUEUE_SIZE_MAX), 64);
}

/* Until it says otherwise, and without MQ, the first pair gets what any queue of the backend has. */
static void test_one_pair(void **state)
{
	for (unsigned int mq = 0; mq < 2; mq++) {
		start(USUAL | (mq ? F(MQ) : 0));
		for (unsigned int from = 0; from < PAIRS; from++)
			comes_to(0, send_from(from, 60 + from));
		sends(0);
		vdriver_reset(&d);
		d.next_gpa = 0x100000;
	}
	assert_int_equal(counter("rx0", "packets"), 2 * PAIRS);
	assert_int_equal(counter("rx", "packets"), 2 * PAIRS);
}

static void test_any_number(void **state)
{
	static const unsigned int numbers[] = { 4, 1, 3, 3, 2, 4, 2, 1 };

	start(USUAL | F(MQ));
	for (unsigned int i = 0; i < ARRAY_SIZE(numbers); i++) {
		const unsigned int n = numbers[i];

		assert_int_equal(set_pairs(n), VIRTIO_NET_OK);
		assert_int_equal(counter("ctrl", "pairs"), n);
		for (unsigned int from = 0; from < PAIRS; from++) {
			comes_to(from % n, send_from(from, 60 + from));
			sends(from); /* queued before the command, for all we know */
		}
	}
	assert_int_equal(counter("rx", "packets"), PAIRS * ARRAY_SIZE(numbers));
	assert_int_equal(counter("tx", "packets"), PAIRS * ARRAY_SIZE(numbers));
	vdriver_reset(&d);
	d.next_gpa = 0x100000;
	start(USUAL | F(MQ)); /* one again */
	comes_to(0, send_from(3, 60));
}

/* Frames that wait for buffers of a pair's come to the one that takes its place, in their order. */
static void test_waiting_frames_move(void **state)
{
	start(USUAL | F(MQ));
	assert_int_equal(set_pairs(PAIRS), VIRTIO_NET_OK);
	use_pair(3);
	for (unsigned int i = 0; i < 5; i++)
		peer_send(make_frame(100 + i, i));
	wait_counter("rx3", "starved", 1);
	assert_int_equal(set_pairs(2), VIRTIO_NET_OK); /* to pair 1 */
	use_pair(1);
	for (unsigned int i = 0; i < 5; i++)
		comes_to(1, make_frame(100 + i, i));
	assert_int_equal(counter("rx", "packets"), 5);
}

/* So does one that is out of the backend already, and held for want of room: also to another driver, without MQ. */
static void test_held_frame_moves(void **state)
{
	for (unsigned int how = 0; how < 2; how++) {
		size_t len;

		start(USUAL | F(MQ));
		assert_int_equal(set_pairs(PAIRS), VIRTIO_NET_OK);
		use_pair(2);
		post_plain(600);
		vdriver_kick(&d, 4);
		len = send_from(2, 1000); /* more than there is */
		wait_counter("rx2", "held", how + 1);
		if (how) {
			vdriver_reset(&d);
			d.next_gpa = 0x100000;
			start(USUAL);
		} else {
			assert_int_equal(set_pairs(1), VIRTIO_NET_OK);
		}
		comes_to(0, len);
		vdriver_reset(&d);
		d.next_gpa = 0x100000;
	}
	assert_int_equal(counter("rx", "packets"), 2);
	assert_int_equal(counter("rx", "drop_too_big"), 0);
}

/* What the filter and the offloads say holds for all pairs. */
static void test_filter_of_all(void **state)
{
	const uint8_t promisc_off[3] = { VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC, 0 };

	start(USUAL | F(MQ));
	assert_int_equal(set_pairs(PAIRS), VIRTIO_NET_OK);
	assert_int_equal(control(promisc_off, 3, 2), VIRTIO_NET_OK);
	for (unsigned int i = 0; i < PAIRS; i++) {
		char name[8];

		snprintf(name, sizeof(name), "rx%u", i);
		make_frame(60, i);
		frame[HDR + 5] ^= 1;
		use_pair(i);
		post_plain(2048);
		vdriver_kick(&d, 2 * i);
		peer_send(HDR + 60);
		wait_counter(name, "drop_filtered", 1);
		peer_send(make_frame(60, i));
		assert_got(collect(), HDR + 60);
	}
}

/* The function is taken off the bus for a while: all goes on where it was. */
static void test_hold_still(void **state)
{
	start(USUAL | F(MQ));
	assert_int_equal(set_pairs(3), VIRTIO_NET_OK);
	for (unsigned int i = 0; i < PAIRS; i++) {
		size_t len;

		virtio_set_dma(dev, false);
		len = send_from(i, 60);
		virtio_set_dma(dev, true);
		comes_to(i % 3, len);
		sends(i);
	}
	assert_int_equal(set_pairs(1), VIRTIO_NET_OK);
}

/* ---- all at once ---- */

#define FRAMES	   4000u /* of each queue of the backend */
#define FRAME_SIZE 200u

static atomic_bool done;
static atomic_uint sent, received;

static void *flood(void *arg)
{
	const int peer = *(const int *)arg;
	uint8_t bytes[HDR + FRAME_SIZE] = { 0 };

	memcpy(bytes + HDR, mac, 6);
	for (uint32_t i = 0; i < FRAMES; i++) {
		struct pollfd p = { .fd = peer, .events = POLLOUT };

		memset(bytes + HDR + 14, (int)(i % 251), sizeof(bytes) - HDR - 14);
		while (send(peer, bytes, sizeof(bytes), 0) < 0)
			poll(&p, 1, 100);
		atomic_fetch_add(&sent, 1);
	}
	return NULL;
}

/* A driver's half on one ring: buffers that go round. */
static void *take_all(void *arg)
{
	const unsigned int q = *(const unsigned int *)arg;
	struct vdriver_buf buf[32];
	uint16_t head[VIRTQ_SIZE_MAX];

	for (unsigned int i = 0; i < ARRAY_SIZE(buf); i++) {
		const uint64_t gpa = 0x2000000 + q * 0x100000ull + i * 2048;

		buf[i] = (struct vdriver_buf){ gpa, 2048, guestmem_ptr(&d.mem, gpa, 2048) };
		head[vdriver_add(&d, q, &buf[i], 0, 1)] = (uint16_t)i;
	}
	vdriver_kick(&d, q);
	while (!atomic_load(&done)) {
		struct pollfd p = { .fd = d.queue[q].irq_fd, .events = POLLIN };
		struct vring_used_elem e;

		while (vdriver_take(&d, q, &e)) {
			const unsigned int i = head[e.id];
			const uint8_t *bytes = buf[i].host + HDR + 14;

			assert_int_equal(e.len, HDR + FRAME_SIZE);
			for (unsigned int b = 1; b < FRAME_SIZE - 14; b++)
				assert_int_equal(bytes[b], bytes[0]);
			atomic_fetch_add(&received, 1);
			head[vdriver_add(&d, q, &buf[i], 0, 1)] = (uint16_t)i;
		}
		vdriver_kick(&d, q);
		poll(&p, 1, 10);
		vdriver_interrupts(&d, q);
	}
	return NULL;
}

/* The number changes all the time while every queue of the backend floods: each frame comes, whole, to some ring. */
static void test_changes_under_traffic(void **state)
{
	static const unsigned int ring[PAIRS] = { 0, 2, 4, 6 };
	pthread_t sender[PAIRS], taker[PAIRS];
	unsigned int n = 0;

	start(USUAL | F(MQ));
	done = false;
	sent = received = 0;
	for (unsigned int i = 0; i < PAIRS; i++) {
		assert_int_equal(pthread_create(&taker[i], NULL, take_all, (void *)&ring[i]), 0);
		assert_int_equal(pthread_create(&sender[i], NULL, flood, &pair.peers[i]), 0);
	}
	while (atomic_load(&received) < PAIRS * FRAMES) {
		d.next_gpa = mark;
		assert_int_equal(set_pairs(1 + n++ % PAIRS), VIRTIO_NET_OK);
		usleep(500);
	}
	for (unsigned int i = 0; i < PAIRS; i++)
		pthread_join(sender[i], NULL);
	atomic_store(&done, true);
	for (unsigned int i = 0; i < PAIRS; i++)
		pthread_join(taker[i], NULL);
	assert_int_equal(received, PAIRS * FRAMES);
	assert_int_equal(counter("rx", "packets"), PAIRS * FRAMES);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_queues, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_bad_commands),
		TEST(test_queues_not_set_up),
		TEST(test_offer),
		TEST(test_one_pair),
		TEST(test_any_number),
		TEST(test_waiting_frames_move),
		TEST(test_held_frame_moves),
		TEST(test_filter_of_all),
		TEST(test_hold_still),
		TEST(test_changes_under_traffic),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
