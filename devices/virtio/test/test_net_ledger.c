/* The drop ledger: every hop is flooded until it drops, and the books balance to the frame; and it finds lies. */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "devices/virtio/test/net_rig.h"
#include "vmm/base/test/unit.h"

/* All rows of a way: sent = lost + waiting + unread + delivered + unexplained. */
static void assert_balance(const char *way, uint64_t sent)
{
	uint64_t sum = 0;

	for (struct counter_group *g = d.counters.first; g; g = g->next) {
		if (strcmp(g->name + strlen("net0."), way))
			continue;
		g->refresh(g);
		for (const struct counter_desc *c = g->desc; c->name; c++)
			if (!strncmp(c->name, "lost_", 5) || !strcmp(c->name, "waiting") ||
			    !strcmp(c->name, "unread") || !strcmp(c->name, "delivered") ||
			    !strcmp(c->name, "unexplained"))
				sum += *(const uint64_t *)((const char *)g->base + c->offset);
	}
	assert_int_equal(counter(way, "unexplained"), 0);
	assert_int_equal(counter(way, "sent"), sum);
	assert_int_equal(counter(way, "sent"), sent);
}

/* The host sends until the backend's queue has lost @losses; returns the frames that set out. */
static uint64_t flood_host(size_t len, unsigned int losses)
{
	uint64_t sent = 0;

	for (; losses; sent++)
		if (send(pair.peer, frame, len, 0) < 0) {
			assert_int_equal(errno, EAGAIN);
			atomic_fetch_add(&pair.queue_full, 1);
			losses--;
		}
	return sent;
}

/* What waits in the backend comes through, until the card has accounted for @all. */
static void drain_backend(uint64_t all)
{
	struct vring_used_elem e;

	while (rx_accounted() < all) {
		while (vdriver_take(&d, RX, &e))
			;
		if (d.next_gpa > mark + 32 * MIB)
			d.next_gpa = mark;
		while (d.queue[RX].nr_free)
			post_plain(1526);
		vdriver_kick(&d, RX);
		usleep(1000);
	}
}

static void test_to_guest(void **state)
{
	uint64_t sent = 0;

	start(USUAL | F(MTU));
	wait_counter("rx", "starved", 0);
	peer_send(make_frame(60, 1));
	sent++;
	wait_counter("rx", "starved", 1);

	/* No buffers: the queue fills, then loses; some of it before that, in front of it, too. */
	atomic_store(&pair.qdisc, 7);
	sent += 7 + flood_host(make_frame(200, 1), 13);
	assert_int_equal(counter("to_guest", "lost_no_buffer"), 13); /* while it still starves */
	assert_int_equal(counter("to_guest", "lost_queue_full"), 0);
	assert_int_equal(counter("to_guest", "lost_qdisc"), 7);
	drain_backend(sent - 7 - 13);
	assert_int_equal(counter("to_guest", "lost_no_buffer"), 13);
	assert_balance("to_guest", sent);

	/* Buffers there are, and the queue loses all the same. */
	atomic_fetch_add(&pair.queue_full, 5);
	sent += 5;
	assert_int_equal(counter("to_guest", "lost_queue_full"), 5);
	assert_balance("to_guest", sent);

	/* Causes of the card's own. */
	peer_send(HDR + 13), sent++;
	peer_send(HDR), sent++;
	wait_counter("rx", "drop_runt", 2);
	peer_send(make_frame(1415, 1)), sent++;
	wait_counter("rx", "drop_mtu", 1);
	make_frame(100, 1);
	frame[0] = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	peer_send(HDR + 100), sent++;
	wait_counter("rx", "drop_offload", 1);
	make_frame(MAX_FRAME + 100, 1);
	frame[1] = 0;
	peer_send(HDR + MAX_FRAME + 100), sent++;
	wait_counter("rx", "drop_mtu", 2);
	static const uint8_t no_promisc[] = { VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC, 0 };
	assert_int_equal(control(no_promisc, sizeof(no_promisc), 1), VIRTIO_NET_OK);
	make_frame(60, 1);
	frame[HDR + 5] ^= 1;
	for (unsigned int i = 0; i < 9; i++, sent++)
		peer_send(HDR + 60);
	wait_counter("rx", "drop_filtered", 9);
	assert_int_equal(counter("to_guest", "lost_runt"), 2);
	assert_int_equal(counter("to_guest", "lost_mtu"), 2);
	assert_int_equal(counter("to_guest", "lost_filtered"), 9);
	assert_balance("to_guest", sent);

	/* The backend fails, and a frame is gone each time. */
	atomic_store(&pair.recv_loses, true);
	netbe_pair_fail(&pair.recv_fault, EIO, 3);
	for (unsigned int i = 0; i < 4; i++, sent++)
		peer_send(make_frame(60, i));
	wait_counter("rx", "backend_errors", 3);
	drain_backend(sent - 7 - 13 - 5 - 3);
	assert_int_equal(counter("to_guest", "lost_backend_error"), 3);
	assert_balance("to_guest", sent);
	atomic_store(&pair.recv_loses, false);
	vdriver_reset(&d);

	/* One is held, others wait behind it, the machine ends. */
	d.next_gpa = 0x100000;
	start(USUAL);
	post_plain(100);
	vdriver_kick(&d, RX);
	const uint64_t held = counter("rx", "held");
	peer_send(make_frame(1000, 1)), sent++;
	wait_counter("rx", "held", held + 1);
	for (unsigned int i = 0; i < 20; i++, sent++)
		peer_send(make_frame(60, 1));
	assert_int_equal(counter("to_guest", "waiting"), 1);
	vdriver_reset(&d);
	d.device->ops->stop(d.device);
	assert_int_equal(counter("to_guest", "unread"), 20);
	assert_balance("to_guest", sent);
	assert_int_equal(counter("to_guest", "host_counts"), 1);
}

/* One chain a frame, and it is too short. */
static void test_too_big(void **state)
{
	start(USUAL & ~F(MRG_RXBUF));
	post_plain(100);
	vdriver_kick(&d, RX);
	for (unsigned int i = 1; i <= 5; i++) {
		peer_send(make_frame(89, 1));
		wait_counter("rx", "drop_too_big", i);
	}
	assert_int_equal(counter("to_guest", "lost_too_big"), 5);
	assert_balance("to_guest", 5);
}

static void take_all(unsigned int n)
{
	while (n--)
		vdriver_wait(&d, TX);
}

static void test_from_guest(void **state)
{
	static const int errs[] = { EIO, EINVAL, EMSGSIZE, ENOBUFS, ENOMEM };
	uint64_t sent = 0;

	start(USUAL);
	for (unsigned int i = 0; i < 10; i++, sent++)
		transmit_plain(make_frame(60, i));
	for (uint32_t len = 1; len < HDR + MIN_FRAME; len++, sent++)
		transmit_plain(len);
	vdriver_kick(&d, TX);
	take_all((unsigned int)sent);
	assert_int_equal(counter("from_guest", "lost_malformed"), HDR + MIN_FRAME - 1);
	assert_balance("from_guest", sent);
	for (unsigned int e = 0; e < ARRAY_SIZE(errs); e++) {
		netbe_pair_fail(&pair.send_fault, errs[e], 2);
		for (unsigned int i = 0; i < 5; i++, sent++)
			transmit_plain(make_frame(60, i));
		vdriver_kick(&d, TX);
		take_all(5);
		assert_balance("from_guest", sent);
	}
	assert_int_equal(counter("from_guest", "lost_down"), 2);
	assert_int_equal(counter("from_guest", "lost_bad_header"), 4);
	assert_int_equal(counter("from_guest", "lost_error"), 4);
	assert_int_equal(counter("from_guest", "delivered"), 10 + 15);

	/* The backend takes no more, and the machine ends: the rest stays in the ring. */
	const uint64_t before = counter("tx", "packets");
	for (unsigned int i = 0; i < 100; i++, sent++)
		transmit_plain(make_frame(9000, i));
	vdriver_kick(&d, TX);
	wait_counter("tx", "blocked", 1);
	vdriver_reset(&d);
	const uint64_t through = counter("tx", "packets") - before;
	assert_in_range(through, 1, 99);
	assert_int_equal(counter("from_guest", "waiting"), 100 - through);
	assert_balance("from_guest", sent);
	atomic_store(&pair.discarded, 6);
	assert_int_equal(counter("from_guest", "discarded"), 6);
}

/* The two sides count by themselves: one frame that only one of them has is unexplained. */
static void test_lies(void **state)
{
	start(USUAL);
	check_alive();
	assert_balance("to_guest", 1);
	assert_balance("from_guest", 1);
	vdriver_reset(&d);
	d.device->ops->stop(d.device);
	for (unsigned int i = 0; i < 2; i++) {
		atomic_fetch_add(&pair.passed, i ? -2ull : 1ull);
		assert_int_equal(counter("to_guest", "unexplained"), 1);
		atomic_fetch_add(&pair.taken, i ? -2ull : 1ull);
		assert_int_equal(counter("from_guest", "unexplained"), 1);
	}
	atomic_fetch_add(&pair.passed, 1);
	atomic_fetch_add(&pair.taken, 1);
}

static void test_host_that_does_not_count(void **state)
{
	start(USUAL);
	atomic_store(&pair.no_host, true);
	assert_int_equal(counter("to_guest", "host_counts"), 0);
	assert_int_equal(counter("from_guest", "host_counts"), 0);
	check_alive();
	post_plain(100);
	vdriver_kick(&d, RX);
	for (unsigned int i = 0; i < 10; i++)
		peer_send(HDR);
	wait_counter("rx", "drop_runt", 10);
	vdriver_reset(&d);
	d.device->ops->stop(d.device);
	assert_balance("to_guest", 11);
	assert_balance("from_guest", 1);
}

static atomic_bool stop;

static void *send_and_take(void *arg)
{
	static uint8_t bytes[HDR + 60], room[HDR + 2000];

	memcpy(bytes + HDR, mac, 6);
	while (!atomic_load(&stop)) {
		send(pair.peer, bytes, sizeof(bytes), 0);
		while (recv(pair.peer, room, sizeof(room), 0) > 0)
			;
	}
	return NULL;
}

/* Asked at any time, under traffic, it sees nothing that is not there. */
static void test_under_traffic(void **state)
{
	struct vring_used_elem e;
	pthread_t peer;

	start(USUAL);
	assert_int_equal(pthread_create(&peer, NULL, send_and_take, NULL), 0);
	while (counter("rx", "packets") < 3000 || counter("tx", "packets") < 3000) {
		while (vdriver_take(&d, RX, &e))
			;
		while (vdriver_take(&d, TX, &e))
			;
		if (d.next_gpa > mark + 32 * MIB)
			d.next_gpa = mark;
		while (d.queue[RX].nr_free)
			post_plain(200);
		vdriver_kick(&d, RX);
		while (d.queue[TX].nr_free > 200)
			transmit_plain(HDR + 60);
		vdriver_kick(&d, TX);
		assert_int_equal(counter("to_guest", "unexplained"), 0);
		assert_int_equal(counter("from_guest", "unexplained"), 0);
	}
	atomic_store(&stop, true);
	pthread_join(peer, NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_to_guest),
		TEST(test_too_big),
		TEST(test_from_guest),
		TEST(test_lies),
		TEST(test_host_that_does_not_count),
		TEST(test_under_traffic),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
