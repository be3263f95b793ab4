/* virtio-net, driven as a guest would, good and hostile, in front of a socketpair that fails on demand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <linux/virtio_net.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "devices/net/test/netbe_pair.h"
#include "devices/virtio/test/vdriver.h"
#include "devices/virtio/net.h"

enum { RX, TX, CTRL };

#define F(bit)	  NET_F(bit)
#define EVENT_IDX BIT_ULL(VIRTIO_RING_F_EVENT_IDX)
#define INDIRECT  BIT_ULL(VIRTIO_RING_F_INDIRECT_DESC)
#define CONTROL	  (F(CTRL_VQ) | F(CTRL_RX) | F(CTRL_RX_EXTRA) | F(CTRL_MAC_ADDR))
#define USUAL	  (F(MRG_RXBUF) | F(MAC) | F(STATUS) | CONTROL | EVENT_IDX | INDIRECT)
#define SEGMENTS  (F(GUEST_CSUM) | F(GUEST_TSO4) | F(GUEST_TSO6) | F(GUEST_ECN))
#define OFFLOADS  (SEGMENTS | F(CSUM) | F(HOST_TSO4) | F(HOST_TSO6) | F(HOST_ECN))
#define HDR	  NETBE_HDR_LEN
#define MIN_FRAME 14u
#define MAX_FRAME 65549u /* 14 + 65535 */
#define MAX_PARTS 64u
#define REST	  0u /* the last part of a split: all that is left */

static const uint8_t mac[6] = { 0x52, 0x54, 0, 0x12, 0x34, 0x56 };

static struct vdriver d;
static struct virtio_dev *dev;
static struct netbe_pair pair;
static bool mergeable;
static uint64_t mark; /* guest memory from here on is free between rounds */

/* The receive buffers by the heads of their chains. */
static struct {
	struct vdriver_buf part[MAX_PARTS];
	unsigned int nr;
} posted[VIRTQ_SIZE_MAX];

static uint8_t frame[HDR + MAX_FRAME + 70000], got[HDR + MAX_FRAME + 70000];

/* ---- the machine ---- */

static void start(uint64_t features)
{
	mergeable = features & F(MRG_RXBUF);
	vdriver_start(&d, features);
	mark = d.next_gpa;
}

static void create(uint64_t features, uint16_t queue_size, unsigned int poll_us)
{
	struct virtio_net_params params = {
		.queue_size = queue_size, .poll_us = poll_us, .offload = true, .mergeable = true
	};

	memcpy(params.mac, mac, 6);
	vdriver_init(&d, 64 * MIB);
	netbe_pair_init(&pair);
	pair.be.features = features;
	pair.be.mtu = 1400;
	assert_int_equal(virtio_net_create(&dev, "net0", &d.mem, &pair.be, &params), 0);
	vdriver_attach(&d, dev);
}

static int setup(void **state)
{
	(void)state;
	create(OFFLOADS, 256, 0);
	return 0;
}

static int setup_polling(void **state)
{
	(void)state;
	create(OFFLOADS, 256, 50);
	return 0;
}

static int setup_long_rings(void **state)
{
	(void)state;
	create(OFFLOADS, VIRTQ_SIZE_MAX, 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	virtio_net_destroy(dev);
	netbe_pair_destroy(&pair);
	vdriver_destroy(&d);
	assert_null(counters_first());
	return 0;
}

/* The counter "net0.GROUP", NAME; the card's thread may be counting. */
static uint64_t counter(const char *group, const char *name)
{
	for (const struct counter_group *g = counters_first(); g; g = g->next)
		for (const struct counter_desc *c = g->desc; c->name; c++)
			if (!strcmp(g->name + strlen("net0."), group) && !strcmp(c->name, name))
				return __atomic_load_n(
					(const uint64_t *)((const char *)g->base + c->offset),
					__ATOMIC_RELAXED);
	fail_msg("no counter %s.%s", group, name);
	return 0;
}

static void wait_counter(const char *group, const char *name, uint64_t at_least)
{
	for (unsigned int ms = 0; counter(group, name) < at_least; ms++) {
		if (ms == VDRIVER_TIMEOUT_MS)
			fail_msg("%s.%s stays %llu", group, name,
				 (unsigned long long)counter(group, name));
		usleep(1000);
	}
}

/* Frames from the backend that have met their fate, and frames of the guest. */
static uint64_t rx_accounted(void)
{
	return counter("rx", "packets") + counter("rx", "drop_too_big") +
	       counter("rx", "drop_filtered") + counter("rx", "drop_runt");
}

static uint64_t tx_accounted(void)
{
	return counter("tx", "packets") + counter("tx", "drop_malformed") +
	       counter("tx", "drop_bad_header") + counter("tx", "drop_down") +
	       counter("tx", "drop_error");
}

/* ---- frames ---- */

/* A frame of @len bytes behind a zeroed header, to @mac; returns both's length. */
static size_t make_frame(size_t len, uint32_t seed)
{
	memset(frame, 0, HDR);
	for (size_t i = 0; i < len; i++)
		frame[HDR + i] = (uint8_t)(i * 31 + (i >> 8) + seed);
	memcpy(frame + HDR, mac, 6);
	if (len >= 18)
		memcpy(frame + HDR + 14, &seed, sizeof(seed));
	return HDR + len;
}

static void peer_wait(short events)
{
	struct pollfd p = { .fd = pair.peer, .events = events };

	if (poll(&p, 1, VDRIVER_TIMEOUT_MS) != 1)
		fail_msg("the card neither sends nor takes frames");
}

static void peer_send(size_t len)
{
	while (send(pair.peer, frame, len, 0) < 0) {
		assert_int_equal(errno, EAGAIN);
		peer_wait(POLLOUT);
	}
}

static size_t peer_recv(void)
{
	ssize_t n;

	peer_wait(POLLIN);
	n = recv(pair.peer, got, sizeof(got), 0);
	assert_true(n > 0);
	return (size_t)n;
}

/* Buffers of the given lengths, @total bytes in all. */
static unsigned int make_parts(struct vdriver_buf *part, const uint32_t *split, size_t total)
{
	unsigned int nr = 0;

	for (size_t left = total; left; nr++) {
		const uint32_t len =
			*split == REST ? (uint32_t)left : (uint32_t)MIN(left, (size_t)*split++);

		assert_true(nr < MAX_PARTS);
		part[nr] = vdriver_buf(&d, len);
		left -= len;
	}
	return nr;
}

/* Offer @total bytes of receive buffer in one chain. */
static void post(const uint32_t *split, size_t total, bool indirect)
{
	struct vdriver_buf part[MAX_PARTS];
	const unsigned int nr = make_parts(part, split, total);
	const uint16_t head = indirect ? vdriver_add_indirect(&d, RX, part, 0, nr)
				       : vdriver_add(&d, RX, part, 0, nr);

	memcpy(posted[head].part, part, sizeof(part));
	posted[head].nr = nr;
}

static void post_plain(size_t total)
{
	static const uint32_t whole[] = { REST };

	post(whole, total, false);
}

/* Collect the next received frame in @got; its length with header. */
static size_t collect(void)
{
	struct virtio_net_hdr_v1 h = { .num_buffers = 1 };
	size_t len = 0;

	for (unsigned int i = 0; i < h.num_buffers; i++) {
		const struct vring_used_elem e = vdriver_wait(&d, RX);
		uint32_t left = e.len;

		for (unsigned int p = 0; left; p++) {
			const uint32_t n = MIN(left, posted[e.id].part[p].len);

			assert_true(p < posted[e.id].nr && len + n <= sizeof(got));
			memcpy(got + len, posted[e.id].part[p].host, n);
			len += n;
			left -= n;
		}
		assert_true(len >= HDR);
		memcpy(&h, got, sizeof(h));
		assert_true(h.num_buffers == 1 || (mergeable && h.num_buffers));
	}
	memset(got + offsetof(struct virtio_net_hdr_v1, num_buffers), 0, 2);
	return len;
}

static void assert_got(size_t len, size_t expected)
{
	assert_int_equal(len, expected);
	assert_memory_equal(got, frame, len);
}

static void transmit(const uint32_t *split, size_t len, bool indirect)
{
	struct vdriver_buf part[MAX_PARTS];
	const unsigned int nr = make_parts(part, split, len);
	size_t at = 0;

	for (unsigned int i = 0; i < nr; at += part[i++].len)
		memcpy(part[i].host, frame + at, part[i].len);
	if (indirect)
		vdriver_add_indirect(&d, TX, part, nr, 0);
	else
		vdriver_add(&d, TX, part, nr, 0);
}

static void transmit_plain(size_t len)
{
	static const uint32_t whole[] = { REST };

	transmit(whole, len, false);
}

/* One frame each way: the card lives. */
static void check_alive(void)
{
	size_t len = make_frame(100, 0xa11fe);

	transmit_plain(len);
	vdriver_kick(&d, TX);
	vdriver_wait(&d, TX);
	assert_got(peer_recv(), len);
	len = make_frame(200, 0xa11fe);
	post_plain(2048);
	vdriver_kick(&d, RX);
	peer_send(len);
	assert_got(collect(), len);
}

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

		if (mergeable && len / buffer < 200)
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
	(void)state;
	every_size(USUAL);
}

static void test_sizes_no_event_idx(void **state)
{
	(void)state;
	every_size(USUAL & ~EVENT_IDX);
}

static void test_sizes_not_mergeable(void **state)
{
	(void)state;
	every_size(USUAL & ~F(MRG_RXBUF));
}

static void test_sizes_plain(void **state)
{
	(void)state;
	every_size(0);
}

/* More buffers than one readv takes. */
static void test_many_parts(void **state)
{
	const size_t len = make_frame(2000, 1);
	struct vdriver_buf part[1024];

	(void)state;
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

/* ---- receive: too few buffers ---- */

static void test_starved(void **state)
{
	(void)state;
	for (unsigned int event_idx = 0; event_idx < 2; event_idx++) {
		start(event_idx ? USUAL : USUAL & ~EVENT_IDX);
		for (uint32_t round = 0; round < 50; round++) {
			const uint64_t starved = counter("rx", "starved");

			d.next_gpa = mark;
			for (uint32_t i = 0; i < 10; i++)
				peer_send(make_frame(60 + i, round * 10 + i));
			/* Each kick brings as many frames as there are buffers. */
			for (uint32_t i = 0; i < 10; i++) {
				post_plain(200);
				if (i % 3 == 2 || i == 9)
					vdriver_kick(&d, RX);
			}
			for (uint32_t i = 0; i < 10; i++)
				assert_got(collect(), make_frame(60 + i, round * 10 + i));
			assert_int_equal(d.queue[RX].pending, 0);
			wait_counter("rx", "starved", starved + 1);
		}
		vdriver_reset(&d);
	}
	assert_int_equal(rx_accounted(), 1000);
}

/* A frame that exceeds the buffers waits for more, whole and in its place. */
static void test_held(void **state)
{
	static const size_t sizes[] = { 1000, 5000, 65535, MAX_FRAME };
	uint64_t held = 0;

	(void)state;
	start(USUAL);
	for (uint32_t i = 0; i < 40; i++) {
		const size_t len = make_frame(sizes[i % 4], i);

		d.next_gpa = mark;
		post_plain(12 + i % 30);
		vdriver_kick(&d, RX);
		peer_send(len);
		wait_counter("rx", "held", ++held);
		peer_send(make_frame(50, i)); /* must not overtake it */
		for (size_t room = 12 + i % 30; room < len; room += 2000) {
			post_plain(2000);
			if (room < 20000)
				vdriver_kick(&d, RX);
		}
		post_plain(100);
		vdriver_kick(&d, RX);
		make_frame(sizes[i % 4], i);
		assert_got(collect(), len);
		make_frame(50, i);
		assert_got(collect(), HDR + 50);
		while (d.queue[RX].pending) { /* what the second frame has left over */
			peer_send(make_frame(20, i));
			collect();
		}
	}
	assert_int_equal(counter("rx", "drop_too_big"), 0);
}

/* A frame held while the driver resets is not lost; nor is it one of a device that is destroyed. */
static void test_held_over_reset(void **state)
{
	const size_t len = make_frame(3000, 3);

	(void)state;
	start(USUAL);
	post_plain(100);
	vdriver_kick(&d, RX);
	peer_send(len);
	wait_counter("rx", "held", 1);
	vdriver_reset(&d);
	start(USUAL);
	post_plain(4000);
	vdriver_kick(&d, RX);
	assert_got(collect(), len);
	assert_int_equal(rx_accounted(), 1);
}

static void test_too_big(void **state)
{
	(void)state;
	/* One chain a frame, and it is too short: the frame is dropped, the chain serves the next. */
	start(USUAL & ~F(MRG_RXBUF));
	post_plain(100);
	vdriver_kick(&d, RX);
	peer_send(make_frame(89, 1));
	wait_counter("rx", "drop_too_big", 1);
	peer_send(make_frame(88, 2));
	assert_got(collect(), HDR + 88);
	vdriver_reset(&d);

	/* A whole ring of one-byte buffers. */
	start(USUAL);
	for (unsigned int i = 0; i < 256; i++)
		post_plain(1);
	vdriver_kick(&d, RX);
	peer_send(make_frame(245, 1));
	wait_counter("rx", "drop_too_big", 2);
	peer_send(make_frame(244, 2));
	for (unsigned int i = 0; i < 256; i++)
		assert_int_equal(vdriver_wait(&d, RX).len, 1);
	vdriver_reset(&d);

	/* Larger than any tap's, with few buffers, some, and more than enough. */
	start(USUAL);
	for (uint32_t room = 100; room <= 70100; room += 35000) {
		post_plain(room);
		vdriver_kick(&d, RX);
		peer_send(make_frame(MAX_FRAME + 5, 3));
		if (room < 70000) {
			wait_counter("rx", "drop_too_big", 3 + room / 35000);
			peer_send(make_frame(60, 1));
		}
		collect();
	}
	assert_int_equal(rx_accounted(), 9);
}

static void test_filtered(void **state)
{
	struct vdriver_buf cmd, ack;

	(void)state;
	start(USUAL);
	cmd = vdriver_buf(&d, 3);
	ack = vdriver_buf(&d, 1);
	memcpy(cmd.host, (uint8_t[]){ VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC, 0 }, 3);
	vdriver_add(&d, CTRL, (struct vdriver_buf[]){ cmd, ack }, 1, 1);
	vdriver_kick(&d, CTRL);
	vdriver_wait(&d, CTRL);
	assert_int_equal(*ack.host, VIRTIO_NET_OK);
	for (unsigned int room = 1; room < 3; room++) {
		/* Judged alike where its first bytes lie behind the buffers. */
		post_plain(room * 13);
		vdriver_kick(&d, RX);
		make_frame(60, 1);
		frame[HDR + 5] ^= 1;
		peer_send(HDR + 60);
		peer_send(13); /* a runt */
		peer_send(1);
		wait_counter("rx", "drop_runt", room * 2);
		assert_int_equal(counter("rx", "drop_filtered"), room);
		peer_send(make_frame(60, 2));
		post_plain(100);
		vdriver_kick(&d, RX);
		assert_got(collect(), HDR + 60);
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
	(void)state;
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
	(void)state;
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

	(void)state;
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

	(void)state;
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

static void test_malformed_transmit(void **state)
{
	struct vdriver_buf b;

	(void)state;
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
	(void)state;
	blocked_transmit(USUAL);
}

static void test_blocked_transmit_no_event_idx(void **state)
{
	(void)state;
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

	(void)state;
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

	(void)state;
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
	(void)state;
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
	assert_true(counter("rx", "backend_errors") <= 3); /* one an activation */
}

/* ---- features and the control queue ---- */

static void test_features(void **state)
{
	static const struct {
		uint64_t features;
		uint64_t set;
	} cases[] = {
		{ 0, 0 },
		{ F(CSUM) | F(HOST_TSO4) | F(HOST_TSO6) | F(HOST_ECN), 0 },
		{ F(GUEST_CSUM), F(GUEST_CSUM) },
		{ F(GUEST_TSO4), 0 }, /* rests on GUEST_CSUM */
		{ F(GUEST_CSUM) | F(GUEST_TSO4), F(GUEST_CSUM) | F(GUEST_TSO4) },
		{ F(GUEST_CSUM) | F(GUEST_ECN), F(GUEST_CSUM) },
		{ F(GUEST_CSUM) | F(GUEST_TSO4) | F(GUEST_TSO6) | F(GUEST_ECN), SEGMENTS },
	};
	uint64_t offered;

	(void)state;
	offered = virtio_get_device_features(dev, 0) | (uint64_t)virtio_get_device_features(dev, 1)
							       << 32;
	assert_int_equal(offered, USUAL | F(MTU) | F(CSUM) | F(GUEST_CSUM) | F(HOST_TSO4) |
					  F(HOST_TSO6) | F(HOST_ECN) | F(GUEST_TSO4) |
					  F(GUEST_TSO6) | F(GUEST_ECN) | F(CTRL_GUEST_OFFLOADS) |
					  BIT_ULL(VIRTIO_F_VERSION_1));
	assert_int_equal(virtio_read_config(dev, 0, 4), 0x12005452);
	assert_int_equal(virtio_read_config(dev, 4, 4), 0x15634); /* link up */
	assert_int_equal(virtio_read_config(dev, 10, 2), 1400);
	virtio_write_config(dev, 0, 1, 0xff);
	assert_int_equal(virtio_read_config(dev, 0, 1), 0x52);
	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		start(cases[i].features);
		assert_int_equal(pair.features, cases[i].set);
		vdriver_reset(&d);
		assert_int_equal(pair.features, 0);
	}
	netbe_pair_fail(&pair.features_fault, EINVAL, 1);
	vdriver_negotiate(&d, 0);
	vdriver_driver_ok(&d);
	vdriver_wait_needs_reset(&d);
	vdriver_reset(&d);
	start(USUAL);
	check_alive();
}

/* One control command, its bytes and the ack in buffers split at @split; the ack, or 0xee. */
static uint8_t control(const uint8_t *bytes, uint32_t len, uint32_t split)
{
	struct vdriver_buf b[3] = { vdriver_buf(&d, 8192), vdriver_buf(&d, 8192),
				    vdriver_buf(&d, 2) };

	split = MIN(split, len);
	memcpy(b[0].host, bytes, split);
	memcpy(b[1].host, bytes + split, len - split);
	b[0].len = split;
	b[1].len = len - split;
	b[2].host[0] = 0xee;
	vdriver_add(&d, CTRL, b, 2, 1);
	vdriver_kick(&d, CTRL);
	assert_int_equal(vdriver_wait(&d, CTRL).len, 1);
	assert_int_equal(b[2].host[1], 0);
	return b[2].host[0];
}

static void test_control(void **state)
{
	static const struct {
		const char *name;
		uint32_t len;
		uint8_t bytes[16], ack;
		int offload; /* afterwards; -1: as it was */
	} cases[] = {
		{ "promiscuous on", 3, { 0, 0, 1 }, VIRTIO_NET_OK, -1 },
		{ "promiscuous perhaps", 3, { 0, 0, 2 }, VIRTIO_NET_ERR, -1 },
		{ "MAC address", 8, { 1, 1, 2, 0, 0, 0, 0, 1 }, VIRTIO_NET_OK, -1 },
		{ "half a MAC address", 5, { 1, 1, 2, 0, 0 }, VIRTIO_NET_ERR, -1 },
		{ "offloads off", 10, { 5, 0 }, VIRTIO_NET_OK, 0 },
		{ "offload checksums", 10, { 5, 0, 2 }, VIRTIO_NET_OK, 2 },
		{ "offload what was not negotiated", 10, { 5, 0, 2, 4 }, VIRTIO_NET_ERR, -1 },
		{ "offload what does not exist",
		  10,
		  { 5, 0, 2, 0, 0, 0, 0, 0, 0, 0x80 },
		  VIRTIO_NET_ERR,
		  -1 },
		{ "offload, short", 9, { 5, 0, 2 }, VIRTIO_NET_ERR, -1 },
		{ "offload, long", 11, { 5, 0, 2 }, VIRTIO_NET_ERR, -1 },
		{ "no such offload command", 10, { 5, 1, 2 }, VIRTIO_NET_ERR, -1 },
		{ "both checksums and TSO4", 10, { 5, 0, 0x82 }, VIRTIO_NET_OK, 0x82 },
		{ "no such class", 3, { 2, 0, 1 }, VIRTIO_NET_ERR, -1 },
		{ "queue pairs", 4, { 4, 0, 1, 0 }, VIRTIO_NET_ERR, -1 },
		{ "class alone", 1, { 0 }, VIRTIO_NET_ERR, -1 },
		{ "nothing", 0, { 0 }, VIRTIO_NET_ERR, -1 },
	};
	uint8_t longest[4098] = { 1 };
	unsigned int refused = 0, done = 0;

	(void)state;
	start(USUAL | F(GUEST_CSUM) | F(GUEST_TSO4) | F(CTRL_GUEST_OFFLOADS));
	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++)
		for (uint32_t split = 0; split <= cases[i].len; split++, done++) {
			const uint64_t before = pair.features;

			d.next_gpa = mark;
			if (control(cases[i].bytes, cases[i].len, split) != cases[i].ack)
				fail_msg("%s, split at %u", cases[i].name, split);
			assert_int_equal(pair.features, cases[i].offload < 0
								? before
								: (uint64_t)cases[i].offload);
			refused += cases[i].ack != VIRTIO_NET_OK;
		}
	netbe_pair_fail(&pair.features_fault, EINVAL, 1);
	assert_int_equal(control((uint8_t[10]){ 5, 0, 2 }, 10, 2), VIRTIO_NET_ERR);

	/* MAC tables up to the longest command, and one byte more. */
	const uint32_t multi = 681, uni = 0;
	memcpy(longest + 2, &uni, 4);
	memcpy(longest + 6, &multi, 4);
	assert_int_equal(control(longest, 4096, 6), VIRTIO_NET_OK);
	assert_int_equal(control(longest, 4097, 6), VIRTIO_NET_ERR);
	assert_int_equal(counter("ctrl", "commands"), done + 3);
	assert_int_equal(counter("ctrl", "refused"), refused + 2);
}

/* A ringful of commands at once, some without room for an answer. */
static void test_control_batch(void **state)
{
	struct vdriver_buf cmd, ack;

	(void)state;
	start(USUAL);
	cmd = vdriver_buf(&d, 3);
	for (unsigned int round = 0; round < 20; round++) {
		for (unsigned int i = 0; i < 40; i++) {
			ack = vdriver_buf(&d, 1);
			vdriver_add(&d, CTRL, (struct vdriver_buf[]){ cmd, ack }, 1, i < 24);
		}
		vdriver_kick(&d, CTRL);
		for (unsigned int i = 0; i < 40; i++)
			assert_int_equal(vdriver_wait(&d, CTRL).len, i < 24);
	}
	assert_int_equal(counter("ctrl", "commands"), 800);
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

	(void)arg;
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

	(void)arg;
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

	(void)state;
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
		TEST(test_starved, setup),
		TEST(test_held, setup),
		TEST(test_held_over_reset, setup),
		TEST(test_too_big, setup),
		TEST(test_filtered, setup),
		TEST(test_overfull_receive_ring, setup_long_rings),
		TEST(test_broken_rings, setup),
		TEST(test_endless_chain, setup_long_rings),
		TEST(test_no_buffers, setup),
		TEST(test_malformed_transmit, setup),
		TEST(test_blocked_transmit, setup),
		TEST(test_blocked_transmit_no_event_idx, setup_polling),
		TEST(test_transmit_errors, setup),
		TEST(test_receive_errors, setup),
		TEST(test_backend_gone, setup),
		TEST(test_features, setup),
		TEST(test_control, setup),
		TEST(test_control_batch, setup),
		TEST(test_resets_under_traffic, setup),
		TEST(test_resets_under_traffic, setup_polling),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
