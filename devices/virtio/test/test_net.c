/* virtio-net: frames through good and hostile rings, in front of a backend that fails on demand. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "devices/virtio/test/net_rig.h"
#include "vmm/base/test/unit.h"

/* ---- frames of every size, in chains split in every odd way ---- */

static const uint32_t splits[][MAX_PARTS] = {
	{ REST },
	{ 12, REST },
	{ 1, REST },
	{ 11, 1, 1, REST },
	{ 13, REST },
	{ 10, 2, 14, REST },
	{ 26, 1, REST },
	{ 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, REST },
	{ 12, 4096, 4096, 4096, 4096, 4096, 4096, REST },
};

static size_t next_size(size_t size)
{
	if (size < 300 || (size >= 1480 && size < 1540))
		return size + 1;
	return size == MAX_FRAME ? size + 1 : MIN(size + 389, MAX_FRAME + 0ul);
}

static void every_size(uint64_t features)
{
	static const uint32_t buffer_sizes[] = { 1526, 65562, 60, 4096, 9000 };
	unsigned int round = 0;

	start(features);
	for (size_t size = MIN_FRAME; size <= MAX_FRAME; size = next_size(size), round++) {
		const size_t len = make_frame(size, round);
		const uint32_t *split = splits[round % ARRAY_SIZE(splits)];
		const uint32_t buffer = buffer_sizes[round % ARRAY_SIZE(buffer_sizes)];

		d.next_gpa = mark;
		transmit(split, len, round % 2);
		vdriver_kick(&d, TX);
		assert_int_equal(vdriver_wait(&d, TX).len, 0);
		assert_got(peer_recv(), len);

		if (features & F(MRG_RXBUF) && len / buffer < 200)
			for (size_t room = 0; room < len; room += buffer)
				post(split, buffer, round % 2 || len > buffer);
		else
			post(split, len, round % 2); /* fits to the byte */
		vdriver_kick(&d, RX);
		peer_send(len);
		assert_got(collect(), len);
		assert_int_equal(d.queue[RX].pending, 0);
	}
	assert_int_equal(counter("tx", "packets"), round);
	assert_int_equal(counter("rx", "packets"), round);
	assert_true(counter("rx", "first_packet") && counter("tx", "first_packet"));
}

static void test_sizes(void **state)
{
	every_size(USUAL);
}

static void test_sizes_no_event_idx(void **state)
{
	every_size(USUAL & ~EVENT_IDX);
}

static void test_sizes_not_mergeable(void **state)
{
	every_size(USUAL & ~F(MRG_RXBUF));
}

static void test_sizes_plain(void **state)
{
	every_size(0);
}

/* More buffers than one readv takes. */
static void test_many_parts(void **state)
{
	const size_t len = make_frame(2000, 1);
	struct vdriver_buf part[1024];

	for (unsigned int merge = 0; merge < 2; merge++) {
		start(merge ? F(MRG_RXBUF) : 0);
		struct vdriver_buf all = vdriver_buf(&d, 4096);
		for (uint32_t i = 0; i < 1024; i++)
			part[i] = vdriver_part(all, i * 2, 2);
		assert_int_equal(all.len, 4096);
		part[1023] = vdriver_part(all, 2046, 2050);
		vdriver_add_indirect(&d, RX, part, 0, 1024);
		vdriver_kick(&d, RX);
		peer_send(len);
		assert_int_equal(vdriver_wait(&d, RX).len, len);
		assert_int_equal(all.host[10], 1);
		all.host[10] = 0;
		assert_memory_equal(all.host, frame, len);
		vdriver_reset(&d);
	}
}

/* ---- hostile rings ---- */

static void expect_needs_reset(void)
{
	vdriver_wait_needs_reset(&d);
	vdriver_reset(&d);
	start(USUAL);
	check_alive();
}

/* More receive chains than the ring has entries, each of one byte. */
static void test_overfull_receive_ring(void **state)
{
	start(USUAL);
	for (unsigned int i = 0; i < VIRTQ_SIZE_MAX; i++)
		post_plain(1);
	vdriver_kick(&d, RX);
	peer_send(make_frame(60, 1));
	for (unsigned int i = 0; i < 72; i++)
		vdriver_wait(&d, RX);
	for (unsigned int i = 0; i < 500; i++)
		vdriver_make_avail(&d, RX, (uint16_t)i);
	vdriver_force_kick(&d, RX);
	peer_send(make_frame(60, 1));
	expect_needs_reset();
}

static void test_broken_rings(void **state)
{
	start(USUAL);
	for (unsigned int q = RX; q <= CTRL; q++) {
		vdriver_make_avail(&d, q, 0xffff);
		vdriver_force_kick(&d, q);
		if (q == RX)
			peer_send(make_frame(60, 1));
		vdriver_wait_needs_reset(&d);
		vdriver_reset(&d);
		start(USUAL);
		if (q == RX) { /* the frame has waited */
			post_plain(100);
			vdriver_kick(&d, RX);
			assert_got(collect(), HDR + 60);
		}
		check_alive();
	}
	assert_int_equal(counter("device", "needs_resets"), 3);
	assert_int_equal(counter("device", "resets"), 3);
}

/* The longest chain there is: a ring of direct buffers that ends in a table. */
static void test_endless_chain(void **state)
{
	struct vdriver_buf table;

	start(USUAL);
	table = vdriver_buf(&d, VIRTQ_SIZE_MAX * 16);
	for (uint16_t i = 0; i < VIRTQ_SIZE_MAX; i++) {
		struct vring_desc desc = { table.gpa, 1, VRING_DESC_F_NEXT, (uint16_t)(i + 1) };

		vdriver_set_desc(&d, TX, i, desc.addr, desc.len, desc.flags, desc.next);
		memcpy(table.host + i * 16u, &desc, 16);
	}
	memset(table.host + table.len - 4, 0, 4);
	vdriver_set_desc(&d, TX, VIRTQ_SIZE_MAX - 1, table.gpa, table.len, VRING_DESC_F_INDIRECT,
			 0);
	vdriver_make_avail(&d, TX, 0);
	vdriver_kick(&d, TX);
	expect_needs_reset();
}

/* Chains on the receive ring that are no buffers go back unused. */
static void test_no_buffers(void **state)
{
	struct vdriver_buf b, none;

	start(USUAL);
	b = vdriver_buf(&d, 100);
	none = vdriver_part(b, 0, 0);
	vdriver_add(&d, RX, &b, 1, 0);
	vdriver_add(&d, RX, &none, 0, 1);
	vdriver_add(&d, RX, (struct vdriver_buf[]){ b, b }, 1, 1);
	vdriver_kick(&d, RX);
	peer_send(make_frame(60, 1));
	for (unsigned int i = 0; i < 3; i++)
		assert_int_equal(vdriver_wait(&d, RX).len, 0);
	post_plain(100);
	vdriver_kick(&d, RX);
	assert_got(collect(), HDR + 60);
}

/*
 * While it may not touch memory, frames wait on both sides, and nothing is forgotten: buffers that it has taken
 * ahead, the address that the driver gave it.
 */
static void test_holds_still_without_dma(void **state)
{
	static const uint8_t other[] = {
		VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, 2, 9, 9, 9, 9, 9
	};
	static const uint8_t own[] = {
		VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, 2, 1, 1, 1, 1, 1
	};
	struct vring_used_elem e;
	size_t len;

	start(USUAL);
	for (unsigned int i = 0; i < 5; i++)
		post_plain(3000);
	vdriver_kick(&d, RX);
	peer_send(make_frame(60, 1));
	assert_got(collect(), HDR + 60);
	assert_int_equal(control(own, sizeof(own), 2), VIRTIO_NET_OK);
	for (unsigned int round = 0; round < 3; round++) {
		virtio_set_dma(dev, false);
		len = make_frame(1000, round);
		memcpy(frame + HDR, own + 2, 6);
		peer_send(len);
		transmit_plain(len);
		vdriver_force_kick(&d, TX);
		usleep(10000); /* time to do what it must not */
		assert_false(vdriver_take(&d, RX, &e));
		assert_false(vdriver_take(&d, TX, &e));
		virtio_set_dma(dev, true);
		assert_got(collect(), len);
		assert_int_equal(vdriver_wait(&d, TX).len, 0);
		assert_got(peer_recv(), len);
		assert_memory_equal(dev->config, own + 2, 6);
	}
	virtio_set_dma(dev, false);
	vdriver_reset(&d);
	assert_memory_equal(dev->config, mac, 6);
	start(USUAL);
	virtio_set_dma(dev, true);
	assert_int_equal(control(other, sizeof(other), 2), VIRTIO_NET_OK);
	vdriver_reset(&d);
	start(USUAL);
	check_alive();
}

/* A queue that the driver takes back is not written to, nor are the buffers that the card has taken ahead of it. */
static void test_queue_taken_back(void **state)
{
	struct vdriver_buf b[4];
	struct vring_used_elem e;

	start(USUAL);
	for (unsigned int i = 0; i < ARRAY_SIZE(b); i++) {
		b[i] = vdriver_buf(&d, 1024);
		vdriver_add(&d, RX, &b[i], 0, 1);
	}
	vdriver_kick(&d, RX);
	peer_send(make_frame(60, 1));
	assert_int_equal(vdriver_wait(&d, RX).len, HDR + 60);
	virtio_set_queue(dev, RX, VIRTIO_QUEUE_READY, 0);
	peer_send(make_frame(1000, 2));
	for (unsigned int i = 0; i < 2;
	     i++) { /* after the second it has looked at what came before the first */
		transmit_plain(HDR + 60);
		vdriver_kick(&d, TX);
		assert_int_equal(vdriver_wait(&d, TX).len, 0);
		assert_int_equal(peer_recv(), HDR + 60);
	}
	assert_false(vdriver_take(&d, RX, &e));
	for (unsigned int i = 1; i < ARRAY_SIZE(b); i++)
		for (unsigned int k = 0; k < b[i].len; k++)
			assert_int_equal(b[i].host[k], 0);
	/* The next driver gets it. */
	vdriver_reset(&d);
	start(USUAL);
	post_plain(2000);
	vdriver_kick(&d, RX);
	assert_got(collect(), HDR + 1000);
}

/* Dependent features (5.1.3.1) without what they depend on do nothing, and the device is not broken by them. */
static void test_dependent_features(void **state)
{
	static const uint64_t sets[] = {
		F(GUEST_TSO4),
		F(GUEST_TSO6),
		F(GUEST_TSO4) | F(GUEST_TSO6) | F(GUEST_ECN),
		F(GUEST_CSUM) | F(GUEST_ECN),
		F(HOST_TSO4),
		F(HOST_TSO6),
		F(CSUM) | F(HOST_ECN),
		F(CTRL_RX),
		F(CTRL_MAC_ADDR),
		F(CTRL_GUEST_OFFLOADS),
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(sets); i++) {
		start(sets[i]);
		check_alive();
		assert_int_equal(virtio_get_status(dev) & VIRTIO_CONFIG_S_NEEDS_RESET, 0);
		vdriver_reset(&d);
	}
}

static void test_malformed_transmit(void **state)
{
	struct vdriver_buf b;

	start(USUAL);
	b = vdriver_buf(&d, 100);
	for (uint32_t len = 0; len <= 26; len++) {
		const struct vdriver_buf shorter = vdriver_part(b, 0, len);

		vdriver_add(&d, TX, &shorter, 1, 0);
	}
	vdriver_add(&d, TX, &b, 0, 1);
	vdriver_add(&d, TX, (struct vdriver_buf[]){ b, b }, 1, 1);
	vdriver_kick(&d, TX);
	for (unsigned int i = 0; i < 29; i++)
		assert_int_equal(vdriver_wait(&d, TX).len, 0);
	assert_int_equal(counter("tx", "drop_malformed"), 28);
	assert_int_equal(peer_recv(), 26);
	check_alive();
	assert_int_equal(tx_accounted(), 30);
}

/* ---- a backend that fails ---- */

/* EAGAIN, injected and by a full socket: nothing lost, nothing overtaken. */
static void blocked_transmit(uint64_t features)
{
	uint32_t sent = 0, received = 0, seed;

	start(features);
	for (unsigned int round = 0; round < 30; round++) {
		const size_t size = round % 2 ? 40000 : 100;
		const uint64_t blocked = counter("tx", "blocked");

		d.next_gpa = mark;
		if (round % 3)
			netbe_pair_fail(&pair.send_fault, EAGAIN, 1 + round % 7);
		for (unsigned int i = 0; i < 20; i++) {
			transmit_plain(make_frame(size, sent++));
			vdriver_kick(&d, TX);
		}
		if (round % 2 || round % 3)
			wait_counter("tx", "blocked", blocked + 1);
		for (unsigned int i = 0; i < 20; i++) {
			assert_int_equal(peer_recv(), HDR + size);
			memcpy(&seed, got + HDR + 14, sizeof(seed));
			assert_int_equal(seed, received++);
		}
		for (unsigned int i = 0; i < 20; i++)
			vdriver_wait(&d, TX);
	}
	assert_int_equal(counter("tx", "packets"), sent);
	assert_int_equal(tx_accounted(), sent);
}

static void test_blocked_transmit(void **state)
{
	blocked_transmit(USUAL);
}

static void test_blocked_transmit_no_event_idx(void **state)
{
	blocked_transmit(0);
}

static void test_transmit_errors(void **state)
{
	static const struct {
		int err;
		const char *counter;
	} cases[] = {
		{ EIO, "drop_down" },	       { ENOBUFS, "drop_error" },
		{ ENOMEM, "drop_error" },      { EFAULT, "drop_error" },
		{ EINVAL, "drop_bad_header" }, { EMSGSIZE, "drop_bad_header" },
	};

	start(USUAL);
	for (uint32_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const uint64_t before = counter("tx", cases[i].counter);

		netbe_pair_fail(&pair.send_fault, cases[i].err, 3);
		for (uint32_t j = 0; j < 5; j++)
			transmit_plain(make_frame(100, j));
		vdriver_kick(&d, TX);
		for (uint32_t j = 0; j < 5; j++)
			vdriver_wait(&d, TX);
		assert_int_equal(counter("tx", cases[i].counter), before + 3);
		for (uint32_t j = 3; j < 5; j++) {
			make_frame(100, j);
			assert_got(peer_recv(), HDR + 100);
		}
		check_alive();
	}
	assert_int_equal(tx_accounted(), ARRAY_SIZE(cases) * 6);
}

static void test_receive_errors(void **state)
{
	static const int errs[] = { EIO, ENOBUFS, ENOMEM, EFAULT, EAGAIN };

	start(USUAL);
	for (uint32_t i = 0; i < ARRAY_SIZE(errs); i++) {
		netbe_pair_fail(&pair.recv_fault, errs[i], 3);
		check_alive();
	}
	assert_int_equal(counter("rx", "backend_errors"), 12);
	assert_int_equal(rx_accounted(), ARRAY_SIZE(errs));
}

/* The tap is deleted under the card: said by an error, or by the end of the peer. */
static void test_backend_gone(void **state)
{
	start(USUAL);
	for (unsigned int round = 0; round < 3; round++) {
		if (round == 0) {
			close(pair.peer);
			pair.peer = -1;
		} else {
			netbe_pair_fail(&pair.features_fault, EBADFD, 2);
			vdriver_reset(&d);
			start(USUAL);
		}
		post_plain(100);
		vdriver_kick(&d, RX);
		for (unsigned int i = 0; i < 10; i++) {
			transmit_plain(make_frame(100, i));
			vdriver_kick(&d, TX);
			vdriver_wait(&d, TX);
		}
		assert_int_equal(counter("tx", "drop_down"), 10 * (round + 1));
	}
	assert_int_equal(counter("rx", "packets"), 0);
	assert_int_equal(counter("rx", "backend_errors"), 0); /* no frame was lost by it */
}

/* ---- resets under traffic ---- */

static struct {
	atomic_bool stop;
	atomic_uint sent, received;
} traffic;

static void *flood(void *arg)
{
	static uint8_t bytes[HDR + 9000];
	static const size_t sizes[] = { 60, 1514, 9000, 14, 5 };
	struct pollfd p = { .fd = pair.peer, .events = POLLOUT };

	memcpy(bytes + HDR, mac, 6);
	for (unsigned int i = 0; !atomic_load(&traffic.stop); i++) {
		if (send(pair.peer, bytes, HDR + sizes[i % ARRAY_SIZE(sizes)], 0) > 0)
			atomic_fetch_add(&traffic.sent, 1);
		else
			poll(&p, 1, 10);
	}
	return NULL;
}

static void *drain(void *arg)
{
	static uint8_t bytes[HDR + 2000];
	struct pollfd p = { .fd = pair.peer, .events = POLLIN };

	while (!atomic_load(&traffic.stop)) {
		while (recv(pair.peer, bytes, sizeof(bytes), 0) > 0)
			atomic_fetch_add(&traffic.received, 1);
		poll(&p, 1, 10);
	}
	return NULL;
}

/* Keep the receive ring full, and transmit what fits. */
static void exchange(void)
{
	struct vring_used_elem e;

	while (vdriver_take(&d, RX, &e))
		;
	while (vdriver_take(&d, TX, &e))
		;
	if (d.next_gpa > mark + 32 * MIB)
		return;
	while (d.queue[RX].nr_free)
		post_plain(1526);
	vdriver_kick(&d, RX);
	while (d.queue[TX].nr_free > 200)
		transmit_plain(HDR + 1000);
	vdriver_kick(&d, TX);
}

static void test_resets_under_traffic(void **state)
{
	pthread_t flooder, drainer;

	memset(&traffic, 0, sizeof(traffic));
	make_frame(1000, 0);
	assert_int_equal(pthread_create(&flooder, NULL, flood, NULL), 0);
	assert_int_equal(pthread_create(&drainer, NULL, drain, NULL), 0);
	for (unsigned int round = 0; round < 200; round++) {
		const uint64_t before = counter("rx", "packets"), sent = counter("tx", "packets");

		d.next_gpa = 0x100000;
		start(round % 2 ? USUAL : USUAL & ~(EVENT_IDX | F(MRG_RXBUF)));
		do
			exchange();
		while (round % 8 == 0 && (counter("rx", "packets") < before + 100 ||
					  counter("tx", "packets") < sent + 100));
		vdriver_reset(&d);
		assert_int_equal(d.dev->active, false);
	}
	atomic_store(&traffic.stop, true);
	pthread_join(flooder, NULL);
	pthread_join(drainer, NULL);

	/* The last frames on their way; then the books must balance. */
	d.next_gpa = 0x100000;
	start(USUAL);
	for (unsigned int ms = 0; rx_accounted() < traffic.sent && ms < VDRIVER_TIMEOUT_MS; ms++) {
		struct vring_used_elem e;

		while (vdriver_take(&d, RX, &e))
			;
		if (d.next_gpa > mark + 32 * MIB)
			d.next_gpa = mark;
		while (d.queue[RX].nr_free)
			post_plain(1526);
		vdriver_kick(&d, RX);
		usleep(1000);
	}
	vdriver_reset(&d);
	while (recv(pair.peer, got, sizeof(got), 0) > 0)
		traffic.received++;
	assert_int_equal(rx_accounted(), traffic.sent);
	assert_int_equal(counter("tx", "packets"), traffic.received);
	assert_int_equal(counter("device", "resets"), 201);
	assert_int_equal(counter("device", "needs_resets"), 0);
}

#define TEST(name, setup) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_sizes, setup),
		TEST(test_sizes_no_event_idx, setup),
		TEST(test_sizes_not_mergeable, setup_polling),
		TEST(test_sizes_plain, setup),
		TEST(test_many_parts, setup),
		TEST(test_overfull_receive_ring, setup_long_rings),
		TEST(test_broken_rings, setup),
		TEST(test_endless_chain, setup_long_rings),
		TEST(test_no_buffers, setup),
		TEST(test_holds_still_without_dma, setup),
		TEST(test_queue_taken_back, setup),
		TEST(test_dependent_features, setup),
		TEST(test_malformed_transmit, setup),
		TEST(test_blocked_transmit, setup),
		TEST(test_blocked_transmit_no_event_idx, setup_polling),
		TEST(test_transmit_errors, setup),
		TEST(test_receive_errors, setup),
		TEST(test_backend_gone, setup),
		TEST(test_resets_under_traffic, setup),
		TEST(test_resets_under_traffic, setup_polling),
	};
	const struct CMUnitTest packed[] = {
		TEST(test_sizes, setup),
		TEST(test_sizes_no_event_idx, setup),
		TEST(test_sizes_not_mergeable, setup_polling),
		TEST(test_many_parts, setup),
		TEST(test_no_buffers, setup),
		TEST(test_holds_still_without_dma, setup),
		TEST(test_queue_taken_back, setup),
		TEST(test_blocked_transmit, setup),
		TEST(test_transmit_errors, setup),
		TEST(test_receive_errors, setup),
		TEST(test_resets_under_traffic, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) +
	       cmocka_run_group_tests(packed, vdriver_use_packed, NULL);
}
