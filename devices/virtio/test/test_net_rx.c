/* virtio-net, receiving: buffers too few or too strange, and frames that this driver must not get. */
#include <string.h>
#include <unistd.h>

#include "devices/virtio/test/net_rig.h"
#include "vmm/base/test/unit.h"

/* ---- too few buffers ---- */

static void test_starved(void **state)
{
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

/*
 * The driver has some buffers out, sees no need to post more, and a frame comes that is larger than all of
 * them: it must not stop the card. Linux with a ring of 64: 38 buffers of 1536 bytes, a frame of 65,000.
 */
static void test_never_fits(void **state)
{
	static const struct {
		uint16_t size;
		unsigned int nr;
		uint32_t buffer;
		size_t frame;
	} cases[] = {
		{ 64, 38, 1536, 65000 }, { 32, 17, 1536, 30000 }, { 64, 1, 100, 1514 },
		{ 64, 63, 1000, 65000 }, { 32, 31, 60, 1900 },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		vdriver_start_sized(&d, i % 2 ? USUAL : USUAL & ~EVENT_IDX, cases[i].size);
		for (unsigned int n = 0; n < cases[i].nr; n++)
			post_plain(cases[i].buffer);
		vdriver_kick(&d, RX);
		peer_send(make_frame(cases[i].frame, i));
		wait_counter("rx", "held", i + 1);
		peer_send(make_frame(60, i)); /* behind it */
		assert_got(collect(), HDR + 60);
		assert_int_equal(counter("rx", "drop_too_big"), i + 1);
		vdriver_reset(&d);
	}
	start(USUAL);
	check_alive();
	assert_int_equal(rx_accounted(), 2 * ARRAY_SIZE(cases) + 1);
}

/* A held frame has as long to wait as another, whatever the one before had left of its time. */
static void test_each_waits_in_full(void **state)
{
	uint64_t held = 0, begun;
	uint32_t i;

	do {
		start(USUAL);
		for (i = 0; i < 20; i++) {
			d.next_gpa = mark;
			post_plain(100);
			vdriver_kick(&d, RX);
			begun = now_ns();
			peer_send(make_frame(1000, i));
			wait_counter("rx", "held", ++held);
			usleep(30000);
			post_plain(1000);
			vdriver_kick(&d, RX);
			while (counter("rx", "packets") + counter("rx", "drop_too_big") < held)
				usleep(1000);
			if (now_ns() - begun > 400 * 1000000ull)
				break; /* this host is too busy to tell: once more */
			assert_got(collect(), HDR + 1000);
		}
		if (i < 20)
			vdriver_reset(&d);
	} while (i < 20);
}

/* The driver that comes after a reset has the time that the last one had. */
static void test_never_fits_the_next_either(void **state)
{
	for (unsigned int i = 0; i < 3; i++) {
		start(USUAL);
		post_plain(100);
		vdriver_kick(&d, RX);
		if (!i)
			peer_send(make_frame(3000, 3));
		wait_counter("rx", "held", 1);
		if (i < 2)
			vdriver_reset(&d);
	}
	wait_counter("rx", "drop_too_big", 1);
	peer_send(make_frame(60, 1));
	assert_got(collect(), HDR + 60);
	check_alive();
}

/* Lengths are the guest's: their sum may exceed 32 bits. */
static void test_sums(void **state)
{
	static const struct {
		uint32_t len[3];
		size_t frame;
	} cases[] = {
		/* 2^32 + 60: 60 with 32 bits, and a frame of 1000 would end in memory that is no buffer */
		{ { 100, 0xffffffd8u, 0 }, 1000 },
		{ { 0x80000000u, 0x80000000u, 100 }, 1000 },
		{ { 0xffffffffu, 0xffffffffu, 3 }, 65535 },
		{ { 0xfffff000u, 0x1000u, 0xfffff000u }, 60 },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct vdriver_buf b = vdriver_buf(&d, 32 * MIB);
		const size_t len = make_frame(cases[i].frame, i);
		struct vdriver_buf part[300];
		size_t at;

		start(USUAL);
		/* Chains of the same 16 MiB over and over; the first begins the memory that is looked at. */
		for (unsigned int c = 0; c < 3 && cases[i].len[c]; c++) {
			unsigned int nr = 0;

			for (uint32_t left = cases[i].len[c], n; left; left -= n, nr++) {
				n = MIN(left, (uint32_t)(16 * MIB));
				part[nr] = vdriver_part(b, c || nr ? (uint32_t)(16 * MIB) : 0, n);
				part[nr].len = n;
			}
			vdriver_add_indirect(&d, RX, part, 0, nr);
		}
		vdriver_kick(&d, RX);
		peer_send(len);
		for (size_t left = len; left;) {
			const struct vring_used_elem e = vdriver_wait(&d, RX);

			assert_true(e.len <= left);
			left -= e.len;
		}
		at = MIN(len, (size_t)cases[i].len[0]);
		memset(b.host + 10, 0, 2);
		assert_memory_equal(b.host, frame, at);
		assert_memory_equal(b.host + 16 * MIB, frame + at, len - at);
		vdriver_reset(&d);
		d.next_gpa = 0x100000;
	}
	assert_int_equal(counter("rx", "packets"), ARRAY_SIZE(cases));
}

/* ---- frames that are not for the guest, or not for this driver ---- */

static void test_filtered(void **state)
{
	struct vdriver_buf cmd, ack;

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

/* What frames ask of a driver, what drivers take, and what becomes of the frame: its flags, or none. */
enum { DROPPED = 0xff };

static const struct {
	const char *name;
	uint8_t flags, gso_type;
	uint64_t needs;
} asks[] = {
	{ "nothing", 0, 0, 0 },
	{ "a checksum", VIRTIO_NET_HDR_F_NEEDS_CSUM, 0, F(GUEST_CSUM) },
	{ "TSO4", VIRTIO_NET_HDR_F_NEEDS_CSUM, VIRTIO_NET_HDR_GSO_TCPV4, F(GUEST_TSO4) },
	{ "TSO6", VIRTIO_NET_HDR_F_NEEDS_CSUM, VIRTIO_NET_HDR_GSO_TCPV6, F(GUEST_TSO6) },
	{ "TSO4 with ECN", VIRTIO_NET_HDR_F_NEEDS_CSUM,
	  VIRTIO_NET_HDR_GSO_TCPV4 | VIRTIO_NET_HDR_GSO_ECN, F(GUEST_TSO4) | F(GUEST_ECN) },
	{ "UFO", VIRTIO_NET_HDR_F_NEEDS_CSUM, VIRTIO_NET_HDR_GSO_UDP, F(GUEST_UFO) },
	{ "USO", VIRTIO_NET_HDR_F_NEEDS_CSUM, VIRTIO_NET_HDR_GSO_UDP_L4, F(GUEST_USO4) },
	{ "what nobody knows", 0, 0x20, BIT_ULL(63) },
};

static const uint64_t takes[] = {
	0,
	F(GUEST_CSUM),
	F(GUEST_CSUM) | F(GUEST_TSO4),
	F(GUEST_CSUM) | F(GUEST_TSO6),
	F(GUEST_CSUM) | F(GUEST_TSO4) | F(GUEST_ECN),
	SEGMENTS,
	F(GUEST_TSO4) | F(GUEST_ECN), /* rest on GUEST_CSUM: as good as none */
};

static size_t make_asking(unsigned int i, size_t len)
{
	len = make_frame(len, i);
	frame[0] = asks[i].flags;
	frame[1] = asks[i].gso_type;
	return len;
}

static bool is_taken(unsigned int ask, uint64_t features)
{
	if (!(features & F(GUEST_CSUM)))
		features = 0;
	return !(asks[ask].needs & ~features) && (!asks[ask].flags || features & F(GUEST_CSUM));
}

/* A sentinel says when the frame before it has met its fate. */
static void expect_fate(unsigned int ask, uint64_t features, size_t len)
{
	const uint64_t dropped = counter("rx", "drop_offload");

	peer_send(make_frame(60, 99));
	if (is_taken(ask, features)) {
		make_asking(ask, len - HDR);
		assert_got(collect(), len);
	}
	make_frame(60, 99);
	assert_got(collect(), HDR + 60);
	if (counter("rx", "drop_offload") > dropped + !is_taken(ask, features))
		fail_msg("%s", asks[ask].name);
}

/* Each kind of frame, to each kind of driver; sent to it, and left behind by one that took everything. */
static void test_offloads(void **state)
{
	unsigned int dropped = 0;

	for (unsigned int t = 0; t < ARRAY_SIZE(takes); t++)
		for (unsigned int i = 0; i < ARRAY_SIZE(asks); i++) {
			size_t len;

			start(USUAL | takes[t]);
			for (unsigned int n = 0; n < 8; n++)
				post_plain(1600);
			vdriver_kick(&d, RX);
			len = make_asking(i, 1500);
			peer_send(len);
			expect_fate(i, takes[t], len);
			vdriver_reset(&d);

			/* Waiting in the backend. */
			len = make_asking(i, 1500);
			peer_send(len);
			start(USUAL | takes[t]);
			for (unsigned int n = 0; n < 8; n++)
				post_plain(1600);
			vdriver_kick(&d, RX);
			expect_fate(i, takes[t], len);
			vdriver_reset(&d);
			d.next_gpa = 0x100000;
			dropped += 2 * !is_taken(i, takes[t]);
		}
	assert_int_equal(counter("rx", "drop_offload"), dropped);
}

/* A frame that is held for a driver with offloads, which goes, or changes its mind. */
static void test_offloads_of_held(void **state)
{
	for (unsigned int i = 1; i < 5; i++)
		for (unsigned int by_reset = 0; by_reset < 2; by_reset++) {
			const uint64_t held = counter("rx", "held"),
				       dropped = counter("rx", "drop_offload");

			start(USUAL | SEGMENTS | F(CTRL_GUEST_OFFLOADS));
			post_plain(100);
			vdriver_kick(&d, RX);
			peer_send(make_asking(i, 1500));
			wait_counter("rx", "held", held + 1);
			if (by_reset) {
				vdriver_reset(&d);
				start(USUAL);
				post_plain(100);
			} else {
				assert_int_equal(control((uint8_t[10]){ 5, 0 }, 10, 2), 0);
			}
			post_plain(2000);
			vdriver_kick(&d, RX);
			peer_send(make_frame(60, 1));
			assert_got(collect(), HDR + 60);
			assert_int_equal(counter("rx", "drop_offload"), dropped + 1);
			vdriver_reset(&d);
			d.next_gpa = 0x100000;
		}
}

/* What the host found out about a checksum is for drivers with GUEST_CSUM only (5.1.6.4.1). */
static void test_data_valid(void **state)
{
	static const size_t rooms[] = { 1600, 30, HDR }; /* in one buffer, in many, held */

	for (unsigned int csum = 0; csum < 3; csum++)
		for (unsigned int r = 0; r < ARRAY_SIZE(rooms); r++) {
			start(csum ? USUAL | F(GUEST_CSUM) | F(CTRL_GUEST_OFFLOADS) : USUAL);
			if (csum == 2) /* negotiated, but switched off */
				assert_int_equal(control((uint8_t[10]){ 5, 0 }, 10, 2), 0);
			for (unsigned int n = 0; n < 100 && rooms[r] > HDR; n++)
				post_plain(rooms[r]);
			if (rooms[r] == HDR)
				post_plain(HDR);
			vdriver_kick(&d, RX);
			const uint64_t held = counter("rx", "held");
			size_t len = make_frame(1500, r);
			frame[0] = VIRTIO_NET_HDR_F_DATA_VALID;
			peer_send(len);
			if (rooms[r] == HDR) {
				wait_counter("rx", "held", held + 1);
				post_plain(1600);
				vdriver_kick(&d, RX);
			}
			if (csum != 1)
				frame[0] = 0;
			assert_got(collect(), len);
			vdriver_reset(&d);
			d.next_gpa = 0x100000;
		}
}

/* No frame longer than the MTU that the driver was told, 1400 here; segments to be may be (5.1.4.1). */
static void test_mtu(void **state)
{
	static const struct {
		size_t len;
		uint16_t type, behind_tag;
		uint8_t gso_type;
		bool passes;
	} cases[] = {
		{ 1414, 0x0800, 0, 0, true },
		{ 1415, 0x0800, 0x8100, 0, false },
		{ 1418, 0x8100, 0, 0, true }, /* a VLAN's tag is part of the header */
		{ 1419, 0x8100, 0x0800, 0, false },
		{ 1418, 0x88a8, 0, 0, true },
		{ 1422, 0x88a8, 0x8100, 0, true }, /* and so is one behind it */
		{ 1422, 0x8100, 0x8100, 0, true },
		{ 1423, 0x88a8, 0x8100, 0, false },
		{ 9014, 0x0800, 0, 0, false },
		{ 65000, 0x0800, 0, VIRTIO_NET_HDR_GSO_TCPV4, true },
		{ 65000, 0x0800, 0, VIRTIO_NET_HDR_GSO_ECN, false },
	};

	for (unsigned int told = 0; told < 2; told++)
		for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
			const uint64_t dropped = counter("rx", "drop_mtu");
			const bool passes = cases[i].passes || !told;

			start(USUAL | SEGMENTS | (told ? F(MTU) : 0));
			post_plain(70000);
			post_plain(70000);
			vdriver_kick(&d, RX);
			size_t len = make_frame(cases[i].len, i);
			frame[HDR + 12] = (uint8_t)(cases[i].type >> 8);
			frame[HDR + 13] = (uint8_t)cases[i].type;
			frame[HDR + 16] = (uint8_t)(cases[i].behind_tag >> 8);
			frame[HDR + 17] = (uint8_t)cases[i].behind_tag;
			frame[1] = cases[i].gso_type;
			peer_send(len);
			if (passes)
				assert_got(collect(), len);
			peer_send(make_frame(60, 1));
			assert_got(collect(), HDR + 60);
			assert_int_equal(counter("rx", "drop_mtu"), dropped + !passes);
			vdriver_reset(&d);
			d.next_gpa = 0x100000;
		}
}

#define TEST(name, setup) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_starved, setup),
		TEST(test_held, setup),
		TEST(test_held_over_reset, setup),
		TEST(test_too_big, setup),
		TEST(test_never_fits, setup),
		TEST(test_each_waits_in_full, setup),
		TEST(test_never_fits_the_next_either, setup),
		TEST(test_sums, setup),
		TEST(test_filtered, setup),
		TEST(test_offloads, setup),
		TEST(test_offloads_of_held, setup),
		TEST(test_data_valid, setup),
		TEST(test_mtu, setup),
	};
	const struct CMUnitTest packed[] = {
		TEST(test_starved, setup),
		TEST(test_held, setup),
		TEST(test_held_over_reset, setup),
		TEST(test_too_big, setup),
		TEST(test_never_fits, setup),
		TEST(test_each_waits_in_full, setup),
		TEST(test_never_fits_the_next_either, setup),
		TEST(test_filtered, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) +
	       cmocka_run_group_tests(packed, vdriver_use_packed, NULL);
}
