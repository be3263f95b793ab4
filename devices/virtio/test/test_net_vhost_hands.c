/* vhost: how a card's rings go to the host's kernel and come back, and that no frame is lost by that. */
#include <errno.h>
#include <pthread.h>
#include <fcntl.h>
#include <linux/vhost.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "devices/virtio/test/vhost_rig.h"
#include "vmm/base/test/messages.h"
#include "vmm/base/test/unit.h"

/* ---- what the kernel is given ---- */

static void the_rings_as_they_are(void **state)
{
	const struct fake_vhost *k = &kernel[0];

	vhost_begin(1);
	options.poll_us = 77;
	vhost_start_card(FEATURES);
	assert_int_equal(k->features, BIT_ULL(VIRTIO_F_VERSION_1) | F(MRG_RXBUF) | INDIRECT);
	assert_int_equal(k->nr_regions, d.mem.nr_regions);
	assert_memory_equal(k->region, d.mem.region, d.mem.nr_regions * sizeof(d.mem.region[0]));
	for (unsigned int q = RX; q <= TX; q++) {
		const struct fake_vhost_ring *r = &k->ring[q];

		assert_int_equal(r->num, 64);
		assert_int_equal(r->base, 0);
		assert_ptr_equal(r->desc, d.queue[q].desc);
		assert_ptr_equal(r->avail, d.queue[q].avail);
		assert_ptr_equal(r->used, d.queue[q].used);
		assert_int_equal(r->kick, dev->vq[q].kick_fd);
		assert_int_equal(r->call, d.queue[q].irq_fd); /* straight to the driver */
		assert_int_equal(r->tap, pair.be.fd[0]);
		assert_true(r->err >= 0);
		assert_int_equal(r->poll, 77);
	}
	frame_each_way(0, 1);
	wait_counter("vhost", "tx_frames", 1);
	wait_counter("vhost", "rx_buffers", 1);
	wait_counter("queue1", "kicks", 1);
	assert_int_equal(counter("queue1", "chains"), 1);
	assert_int_equal(counter("tx", "packets"), 0);
	vhost_end();
}

static void interrupts_move(void **state)
{
	vhost_begin(1);
	vhost_create();
	d.no_events = true; /* as without MSI-X */
	start(FEATURES);
	wait_given(0, 1);
	assert_int_not_equal(kernel[0].ring[RX].call, d.queue[RX].irq_fd);
	frame_each_way(0, 1);
	wait_counter("queue0", "interrupts", 1);
	wait_counter("queue1", "interrupts", 1);
	d.no_events = false;
	virtio_interrupts_moved(dev);
	assert_int_equal(kernel[0].ring[RX].call, d.queue[RX].irq_fd);
	assert_int_equal(kernel[0].ring[TX].call, d.queue[TX].irq_fd);
	frame_each_way(0, 2);
	kernel[0].fails = VHOST_SET_VRING_CALL;
	kernel[0].err = EFAULT;
	virtio_interrupts_moved(dev);
	assert_true(counter("vhost", "errors") > 0);
	vdriver_reset(&d);
	virtio_interrupts_moved(dev); /* of nothing */
	vhost_end();
}

static void kicks_before_the_start(void **state)
{
	vhost_begin(1);
	vhost_create();
	vdriver_force_kick(&d, TX);
	vdriver_force_kick(&d, RX);
	vdriver_negotiate(&d, FEATURES);
	for (unsigned int q = 0; q < 3; q++)
		vdriver_setup_queue(&d, q, 64);
	use_queues(FEATURES);
	transmit_plain(make_frame(100, 1));
	post_plain(2048);
	vdriver_force_kick(&d, TX);
	peer_send(make_frame(200, 2));
	vdriver_driver_ok(&d);
	wait_given(0, 1);
	while (counter("tx", "packets") + counter("vhost", "tx_frames") < 1)
		fake_vhost_work(&kernel[0], &pair), usleep(1000);
	make_frame(100, 1);
	assert_got(peer_recv(), HDR + 100);
	make_frame(200, 2);
	assert_got(collect(), HDR + 200);
	frame_each_way(0, 3);
	vhost_end();
}

/* ---- nothing is lost ---- */

static bool stopping;

static void *worker(void *arg)
{
	while (!__atomic_load_n(&stopping, __ATOMIC_RELAXED)) {
		unsigned int frames = 0;

		for (unsigned int i = 0; i < nr_pairs; i++)
			frames += fake_vhost_work(&kernel[i], &pair);
		if (!frames) /* others want the CPU, and its lock */
			usleep(20);
	}
	return NULL;
}

static void set_address(void)
{
	static const uint8_t command[] = {
		VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, 0x52, 0x54, 0, 0x12, 0x34, 0x56
	};

	assert_int_equal(control(command, sizeof(command), 2), VIRTIO_NET_OK);
}

static void pause_and_go_on(void)
{
	virtio_set_dma(dev, false);
	assert_int_equal(kernel[0].ring[RX].tap, -1);
	assert_int_equal(kernel[0].ring[TX].tap, -1);
	virtio_set_dma(dev, true);
}

/* Frames each way, numbered, while the rings change hands: none is missing, doubled or out of turn. */
static void change_hands(void (*change)(void))
{
	uint32_t sent = 0, received = 0, posted = 0, got_back = 0, peer_sent = 0;
	struct vring_used_elem e;
	const uint64_t start_of_memory = d.next_gpa;
	pthread_t thread;

	stopping = false;
	assert_int_equal(pthread_create(&thread, NULL, worker, NULL), 0);
	for (unsigned int round = 0; round < 200; round++) {
		d.next_gpa = start_of_memory;
		for (unsigned int i = 0; i < 20; i++) {
			transmit_plain(make_frame(60, sent++));
			post_plain(2048);
			posted++;
			vdriver_force_kick(&d, TX);
			vdriver_force_kick(&d, RX);
			peer_send(make_frame(64, peer_sent++));
			if (i == 7)
				change();
		}
		for (; received < sent; received++) {
			peer_recv();
			make_frame(60, received);
			assert_memory_equal(got + HDR, frame + HDR, 60);
		}
		for (; got_back < peer_sent; got_back++) {
			const size_t len = collect();

			make_frame(64, got_back);
			assert_got(len, HDR + 64);
		}
		while (d.queue[TX].pending)
			e = vdriver_wait(&d, TX);
		(void)e;
	}
	__atomic_store_n(&stopping, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	assert_true(counter("vhost", "given") > 100);
	assert_int_equal(counter("vhost", "refusals"), 0);
	/* Whether the card's own thread comes to send any, between two of the kernel's turns, is the scheduler's. */
	assert_true(counter("vhost", "tx_frames") > 0);
	wait_counter("vhost", "tx_frames", sent - counter("tx", "packets"));
	assert_int_equal(counter("vhost", "tx_frames") + counter("tx", "packets"), sent);
}

static void hands_change_under_traffic(void **state)
{
	vhost_begin(1);
	vhost_start_card(FEATURES);
	change_hands(set_address);
	vhost_end();
	vhost_begin(1);
	vhost_start_card(FEATURES | EVENT_IDX);
	change_hands(pause_and_go_on);
	vhost_end();
}

/* A driver leaves and another comes that knows less: what is meant for it waits, and is as it can take it. */
static void another_driver(void **state)
{
	vhost_begin(1);
	vhost_start_card(FEATURES | SEGMENTS);
	assert_int_equal(atomic_load(&pair.features), SEGMENTS);
	frame_each_way(0, 1);
	transmit_plain(make_frame(100, 2)); /* which nobody sends any more */
	vdriver_reset(&d);
	assert_int_equal(kernel[0].ring[RX].tap, -1);
	assert_int_equal(kernel[0].ring[TX].tap, -1);
	assert_int_equal(kernel[0].ring[TX].kick, -1);
	make_frame(100, 3);
	frame[0] = VIRTIO_NET_HDR_F_NEEDS_CSUM; /* from when large ones were on */
	frame[1] = VIRTIO_NET_HDR_GSO_TCPV4;
	peer_send(HDR + 100);
	peer_send(make_frame(300, 4));
	start(INDIRECT | NEEDED);
	post_plain(2048);
	vdriver_force_kick(&d, RX);
	wait_given(0, 2);
	assert_int_equal(kernel[0].features, BIT_ULL(VIRTIO_F_VERSION_1) | INDIRECT | F(MRG_RXBUF));
	make_frame(300, 4);
	assert_got(collect(), HDR + 300);
	assert_int_equal(counter("rx", "drop_offload"), 1);
	frame_each_way(0, 5);
	vhost_end();
}

static void a_tap_that_goes(void **state)
{
	vhost_begin(1);
	vhost_start_card(FEATURES);
	frame_each_way(0, 1);
	messages_begin();
	close(pair.peers[0]);
	pair.peers[0] = pair.peer = open("/dev/null", O_RDWR | O_CLOEXEC);
	vdriver_wait_config(&d); /* the link is down */
	assert_non_null(strstr(messages_end(), "is gone"));
	transmit_plain(make_frame(100, 2));
	vdriver_force_kick(&d, TX);
	vdriver_wait(&d, TX);
	wait_counter("tx", "drop_down", 1);
	assert_int_equal(counter("vhost", "active"), 0);
	vhost_end();
}

static void set_pairs(uint8_t nr)
{
	const uint8_t command[] = { VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, nr, 0 };

	assert_int_equal(control(command, sizeof(command), 2), VIRTIO_NET_OK);
}

/* The kernel has the pairs that read their own queue alone; what waits in another's queue comes out by the thread. */
static void queue_pairs(void **state)
{
	vhost_begin(2);
	vhost_create();
	start(FEATURES | F(MQ));
	check_alive();
	assert_int_equal(counter("vhost0", "given") + counter("vhost1", "given"), 0);
	set_pairs(2);
	wait_given(0, 1);
	wait_given(1, 1);
	assert_int_equal(kernel[1].ring[RX].tap, pair.be.fd[1]);
	assert_ptr_equal(kernel[1].ring[TX].used, d.queue[3].used);
	frame_each_way(0, 1);
	frame_each_way(1, 2);

	/* The second one's queue has a frame when it ceases to receive, and gets another. */
	use_pair(1);
	peer_send(make_frame(100, 3));
	set_pairs(1);
	peer_send(make_frame(100, 4));
	use_pair(0);
	for (uint32_t seed = 3; seed <= 4; seed++) {
		post_plain(2048);
		vdriver_force_kick(&d, 0);
		const size_t len = collect();
		make_frame(100, seed);
		assert_got(len, HDR + 100);
	}
	assert_int_equal(kernel[0].ring[RX].tap, -1);
	assert_int_equal(kernel[1].ring[RX].tap, -1);
	set_pairs(2);
	wait_given(0, 2);
	wait_given(1, 2);
	frame_each_way(1, 5);
	vhost_end();
}

/* RSS is the tap's, whoever moves the frames; a hash the kernel does not tell. */
static void rss(void **state)
{
	const uint32_t types = STEERING_TYPES;
	uint8_t command[2 + 8 + 2 * 2 + 3 + 40] = { VIRTIO_NET_CTRL_MQ,
						    VIRTIO_NET_CTRL_MQ_RSS_CONFIG };

	memcpy(command + 2, &types, sizeof(types));
	command[6] = 1;	 /* two entries */
	command[12] = 1; /* the second is queue 1 */
	command[14] = 2;
	command[16] = 40;
	vhost_begin(2);
	options.rss = true;
	vhost_create();
	assert_true(dev->device_features & F(RSS));
	assert_false(dev->device_features & F(HASH_REPORT));
	start(FEATURES | F(MQ) | F(RSS));
	assert_int_equal(control(command, sizeof(command), 2), VIRTIO_NET_OK);
	assert_int_equal(pair.rule.entries, 2);
	assert_int_equal(counter("ctrl", "rss"), 1);
	for (unsigned int i = 0; i < 2; i++) {
		wait_given(i, 1);
		frame_each_way(i, i);
	}
	/* All to one: the other's rings come back, and what is on its way to it comes to the first. */
	command[12] = 0;
	assert_int_equal(control(command, sizeof(command), 2), VIRTIO_NET_OK);
	assert_int_equal(kernel[1].ring[RX].tap, -1);
	check_alive();
	set_pairs(2);
	assert_int_equal(pair.rule.entries, 0);
	assert_int_equal(pair.header, NETBE_HDR_LEN);
	vhost_end();
}

/* What it has taken from the tap and put into no chain is lost, and known to be. */
static void what_it_loses(void **state)
{
	uint8_t byte;

	vhost_begin(1);
	vhost_start_card(FEATURES);
	for (uint32_t seed = 0; seed < 5; seed++)
		frame_each_way(0, seed);
	for (unsigned int i = 0; i < 2; i++) {
		peer_send(make_frame(100, i));
		assert_int_equal(recv(pair.be.fd[0], &byte, 1, 0), 1);
		atomic_fetch_add(&pair.passed, 1);
	}
	wait_counter("vhost", "rx_buffers", 5);
	assert_int_equal(counter("to_guest", "lost_vhost"), 0); /* it may be about to be told */
	assert_int_equal(counter("to_guest", "delivered"), 7);
	d.device->ops->stop(d.device);
	assert_int_equal(counter("to_guest", "sent"), 7);
	assert_int_equal(counter("to_guest", "lost_vhost"), 2);
	assert_int_equal(counter("to_guest", "delivered"), 5);
	assert_int_equal(counter("from_guest", "delivered"), 5);
	vhost_end();
}

/* More chains than a 16-bit index counts. */
static void counts_go_on(void **state)
{
	struct vring_used_elem e;

	vhost_begin(1);
	vhost_start_card(FEATURES);
	const uint64_t memory = d.next_gpa;
	for (unsigned int i = 0; i < 70000 / 50; i++) {
		d.next_gpa = memory;
		for (unsigned int f = 0; f < 50; f++)
			transmit_plain(make_frame(14, f));
		for (unsigned int f = 0; f < 50;) {
			fake_vhost_work(&kernel[0], &pair);
			while (f < 50 && vdriver_take(&d, TX, &e)) {
				peer_recv();
				f++;
			}
		}
		if (i % 500 == 0)
			wait_counter("vhost", "tx_frames", 50 * i);
	}
	wait_counter("vhost", "tx_frames", 70000);
	assert_int_equal(counter("vhost", "tx_frames"), 70000);
	assert_int_equal(counter("queue1", "chains"), 70000);
	vhost_end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_rings_as_they_are),
		cmocka_unit_test(interrupts_move),
		cmocka_unit_test(kicks_before_the_start),
		cmocka_unit_test(hands_change_under_traffic),
		cmocka_unit_test(another_driver),
		cmocka_unit_test(a_tap_that_goes),
		cmocka_unit_test(queue_pairs),
		cmocka_unit_test(rss),
		cmocka_unit_test(what_it_loses),
		cmocka_unit_test(counts_go_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
