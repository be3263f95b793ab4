/* The RTL8139C+'s own rings: receive, and both ways at once. */
#include <string.h>

#include "devices/net/segment.h"
#include "devices/test/rtl8139_cplus_rig.h"
#include "vmm/base/test/unit.h"

/* ---- receive ---- */

static void test_without_descriptors_frames_are_missed_and_counted(void **state)
{
	start_cplus(0);
	for (unsigned int i = 0; i < RING + 10; i++)
		host_send(fill_frame(60, i));
	wait_count("rx", "drop_missed", 10);
	assert_int_equal(count_of("rx", "packets"), RING);
	assert_int_equal(get(R_MPC, 4), 10);
	wait_isr(RDU | ROK);
	put(R_MPC, 4, 0x1234);
	assert_int_equal(get(R_MPC, 4), 0);
	/* What was received stands where it stood. */
	for (unsigned int i = 0; i < RING; i++) {
		fill_frame(60, i);
		assert_memory_equal(at(RX_BUFFER + i * 2048), sent + HDR, 60);
	}
	check_cplus_alive();
}

static void test_a_receive_buffer_beyond_memory_stops_the_receiver(void **state)
{
	start_cplus(0);
	set_desc(RX_RING, 0, OWN | 1536, 0, BEYOND);
	host_send(fill_frame(60, 1));
	wait_isr(SERR);
	assert_int_equal(count_of("rx", "drop_off"), 1);
	assert_true(opts1_of(RX_RING, 0) & OWN);
	check_cplus_alive();
}

static void test_a_buffer_that_only_begins_in_memory_takes_what_fits_there(void **state)
{
	start_cplus(0);
	set_desc(RX_RING, 0, OWN | 1536, 0, RIG_MEMORY - 64);
	host_send(fill_frame(60, 1));
	wait_given_back(RX_RING, 0);
	host_send(fill_frame(60, 2));
	wait_given_back(RX_RING, 1);
	start_cplus(0);
	set_desc(RX_RING, 0, OWN | 1536, 0, RIG_MEMORY - 63);
	host_send(fill_frame(60, 1));
	wait_isr(SERR);
}

static void test_buffers_of_no_size_never_hold_a_frame(void **state)
{
	start_cplus(0);
	for (unsigned int i = 0; i < RING; i++)
		set_desc(RX_RING, i, OWN | (i == RING - 1 ? EOR : 0), 0, BEYOND);
	host_send(fill_frame(60, 1));
	wait_count("rx", "drop_too_big", 1);
	check_cplus_alive();
}

static void test_a_frame_goes_into_as_many_buffers_as_it_takes(void **state)
{
	const size_t len = fill_frame(1000, 77);
	uint8_t all[1004];

	start_cplus(0);
	for (unsigned int i = 0; i < 4; i++)
		set_desc(RX_RING, i, OWN | 300, 0, RX_BUFFER + i * 2048);
	host_send(len);
	for (unsigned int i = 0; i < 4; i++) {
		wait_given_back(RX_RING, i);
		memcpy(all + 300 * i, at(RX_BUFFER + i * 2048), i < 3 ? 300 : 104);
		assert_int_equal(!!(opts1_of(RX_RING, i) & FIRST), i == 0);
		assert_int_equal(!!(opts1_of(RX_RING, i) & LAST), i == 3);
	}
	assert_int_equal(opts1_of(RX_RING, 3) & 0x1fff, len + 4);
	assert_memory_equal(all, sent + HDR, len);
	assert_memory_equal(all + len, "\0\0\0\0", 4);
}

static void test_frames_that_are_too_long_or_short_are_counted(void **state)
{
	start_cplus(0);
	host_send(fill_frame(13, 1));
	host_send(fill_frame(
		8188, 1)); /* 8191 is the longest that can be said, with its check sequence */
	host_send(fill_frame(66000, 1));
	wait_count("rx", "drop_too_big", 2);
	assert_int_equal(count_of("rx", "drop_runt"), 1);
	check_cplus_alive();
}

static void test_a_short_frame_is_padded_as_on_a_wire(void **state)
{
	const uint8_t none[42] = { 0 };

	start_cplus(0);
	memset(at(RX_BUFFER), 0xee, 100);
	host_send(fill_frame(18, 1));
	wait_given_back(RX_RING, 0);
	assert_int_equal(opts1_of(RX_RING, 0) & 0x1fff, 64);
	assert_memory_equal(at(RX_BUFFER), sent + HDR, 18);
	assert_memory_equal(at(RX_BUFFER + 18), none, 42);
	assert_int_equal(*(uint8_t *)at(RX_BUFFER + 64), 0xee);
}

static void test_only_what_is_for_the_guest_comes_in(void **state)
{
	/* The address of a frame, the modes, and what it then is: the descriptor's bits, or 0. */
	static const struct {
		uint8_t to[6];
		unsigned int rcr;
		uint32_t mar;
		uint32_t what;
	} frames[] = {
		{ { 0x52, 0x54, 0, 0x12, 0x34, 0x57 }, APM | AB | AM, UINT32_MAX, 0 },
		{ { 0x52, 0x54, 0, 0x12, 0x34, 0x56 }, AB | AM, UINT32_MAX, 0 },
		{ { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff }, APM | AM, UINT32_MAX, 0 },
		{ { 0x01, 0x00, 0x5e, 0, 0, 1 }, APM | AB, UINT32_MAX, 0 },
		{ { 0x01, 0x00, 0x5e, 0, 0, 1 }, APM | AB | AM, 0, 0 },
		{ { 0x52, 0x54, 0, 0x12, 0x34, 0x56 }, APM, 0, BIT(25) },
		{ { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff }, AB, 0, BIT(24) },
		{ { 0x01, 0x00, 0x5e, 0, 0, 1 }, AM, UINT32_MAX, BIT(26) },
		{ { 0x52, 0x54, 0, 0x12, 0x34, 0x57 },
		  AAP,
		  0,
		  0x80000000 /* accepted, and no more */ },
	};
	uint64_t filtered = 0;

	for (unsigned int i = 0; i < ARRAY_SIZE(frames); i++) {
		start_cplus(0);
		put(R_RCR, 4, frames[i].rcr);
		put(R_MAR, 4, frames[i].mar);
		put(R_MAR + 4, 4, frames[i].mar);
		fill_frame(60, i);
		memcpy(sent + HDR, frames[i].to, 6);
		host_send(60);
		if (frames[i].what) {
			wait_given_back(RX_RING, 0);
			assert_int_equal(opts1_of(RX_RING, 0) >> 24 & 7, frames[i].what >> 24 & 7);
		} else {
			wait_count("rx", "drop_filtered", ++filtered);
			assert_true(opts1_of(RX_RING, 0) & OWN);
		}
	}
	assert_int_equal(count_of("rx", "drop_filtered"), filtered);
}

static void test_the_multicast_hash_is_the_one_that_drivers_compute(void **state)
{
	/* 01:00:5e:00:00:01 has bit 31 by Linux's ether_crc() >> 26. */
	start_cplus(0);
	put(R_RCR, 4, AM);
	put(R_MAR, 4, BIT(31));
	put(R_MAR + 4, 4, 0);
	fill_frame(60, 1);
	memcpy(sent + HDR, "\x01\x00\x5e\x00\x00\x01", 6);
	host_send(60);
	wait_given_back(RX_RING, 0);
	put(R_MAR, 4, ~BIT(31));
	put(R_MAR + 4, 4, UINT32_MAX);
	host_send(60);
	wait_count("rx", "drop_filtered", 1);
}

static void test_sums_of_received_frames_are_judged(void **state)
{
	struct net_packet p;
	size_t len;

	start_cplus(RXCSUM);
	for (unsigned int i = 0; i < 6; i++) {
		const bool udp = i % 2, bad_ip = i / 2 == 1, bad = i / 2 == 2;

		len = udp ? make_ip(NET_IP_UDP, 8, 300 + i, i)
			  : make_ip(NET_IP_TCP, 20, 300 + i, i);
		assert_true(net_packet_parse(&p, sent + HDR, len, false));
		net_packet_set_ip_checksum(&p, sent + HDR);
		net_packet_set_checksum(&p, sent + HDR, true);
		sent[HDR + ETH_IP + 8] += bad_ip; /* its time to live */
		sent[HDR + 200] += bad;
		host_send(len);
		wait_given_back(RX_RING, i);
		const uint32_t what = opts1_of(RX_RING, i) >> 13 & 0x1f;

		assert_int_equal(what >> 3, bad_ip ? 3 : udp ? 2 : 1);
		assert_int_equal(what & 7, bad_ip ? 4 : !bad ? 0 : udp ? 2 : 1);
	}
	len = fill_frame(100, 1);
	host_send(len);
	wait_given_back(RX_RING, 6);
	assert_int_equal(opts1_of(RX_RING, 6) >> 13 & 0x1f, 0);
}

static void test_a_received_tag_is_taken_out_where_that_is_on(void **state)
{
	const size_t len = fill_frame(100, 1);

	memcpy(sent + HDR + 12, "\x81\x00\x61\x23", 4);
	start_cplus(0);
	host_send(len);
	wait_given_back(RX_RING, 0);
	assert_int_equal(opts1_of(RX_RING, 0) & 0x1fff, len + 4);
	assert_memory_equal(at(RX_BUFFER), sent + HDR, len);
	start_cplus(RXVLAN);
	host_send(len);
	wait_given_back(RX_RING, 0);
	assert_int_equal(opts1_of(RX_RING, 0) & 0x1fff, len);
	assert_int_equal(opts2_of(RX_RING, 0), TAG_RX | 0x2361);
	assert_memory_equal(at(RX_BUFFER), sent + HDR, 12);
	assert_memory_equal(at(RX_BUFFER + 12), sent + HDR + 16, len - 16);
}

static void test_what_the_backend_left_unfinished_is_dropped(void **state)
{
	start_cplus(0);
	fill_frame(100, 1);
	sent[0] = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	host_send(100);
	fill_frame(100, 1);
	sent[1] = VIRTIO_NET_HDR_GSO_TCPV4;
	host_send(100);
	wait_count("rx", "drop_offload", 2);
	assert_int_equal(atomic_load(&chip_pair.features), 0);
	check_cplus_alive();
}

static void test_a_backend_that_fails_is_left_alone_for_a_while(void **state)
{
	start_cplus(0);
	netbe_pair_fail(&chip_pair.recv_fault, ENOBUFS, 3);
	host_send(fill_frame(60, 1));
	wait_given_back(RX_RING, 0);
	assert_int_equal(count_of("rx", "backend_errors"), 3);
}

static void test_without_a_receiver_frames_wait_in_the_backend(void **state)
{
	start_cplus(0);
	put(R_CR, 1, TE);
	host_send(fill_frame(60, 1));
	guest_send(fill_frame(60, 2), 0, 0);
	assert_int_equal(host_recv(), 60);
	assert_true(opts1_of(RX_RING, 0) & OWN);
	put(R_CR, 1, TE | RE);
	wait_given_back(RX_RING, 0);
	assert_int_equal(count_of("rx", "packets"), 1);
}

static void test_without_bus_mastering_nothing_moves(void **state)
{
	start_cplus(0);
	set_master(false);
	host_send(fill_frame(60, 1));
	memcpy(at(TX_BUFFER), sent + HDR, 60);
	set_desc(TX_RING, 0, OWN | FIRST | LAST | 60, 0, TX_BUFFER);
	put(R_TPPOLL, 1, 0x40);
	usleep(20000); /* time to do wrong */
	assert_true(opts1_of(TX_RING, 0) & OWN);
	assert_true(opts1_of(RX_RING, 0) & OWN);
	assert_false(host_has());
	set_master(true);
	wait_given_back(TX_RING, 0);
	wait_given_back(RX_RING, 0);
	assert_int_equal(host_recv(), 60);
}

static void test_frames_loop_back_inside(void **state)
{
	const size_t len = fill_frame(500, 3);

	start_cplus(0);
	put(R_TCR, 4, 3 << 17);
	guest_send(len, 0, 0);
	wait_given_back(RX_RING, 0);
	assert_memory_equal(at(RX_BUFFER), sent + HDR, len);
	assert_false(host_has());
}

static void test_tally_counters_are_dumped(void **state)
{
	const uint8_t *tally = at(TALLY);
	uint64_t tx_ok, rx_ok;

	check_cplus_alive();
	put(R_DTCCR + 4, 4, 0);
	put(R_DTCCR, 4, TALLY | 8);
	assert_int_equal(get(R_DTCCR, 4), TALLY);
	memcpy(&tx_ok, tally, 8);
	memcpy(&rx_ok, tally + 8, 8);
	assert_int_equal(tx_ok, 1);
	assert_int_equal(rx_ok, 1);
	/* Not into nowhere, and not without bus mastering. */
	put(R_DTCCR, 4, 0xffffff00 | 8);
	assert_int_equal(get(R_DTCCR, 4), 0xffffff00);
	wait_isr(SERR);
	set_master(false);
	put(R_DTCCR, 4, TALLY | 8);
	assert_int_equal(get(R_DTCCR, 4), TALLY | 8);
	set_master(true);
	check_cplus_alive();
}

static void test_a_flood_both_ways_is_accounted_for(void **state)
{
	const unsigned int frames = 5000;
	unsigned int in = 0, out = 0, rx = 0;

	start_cplus(0);
	for (unsigned int i = 0; i < frames; i++) {
		host_send(fill_frame(60 + i % 1400, i));
		in++;
		if (i % 7 == 0) {
			guest_send(60, 0, 0);
			out += host_has() ? (host_recv(), 1) : 0;
		}
		while (!(opts1_of(RX_RING, rx) & OWN)) {
			set_desc(RX_RING, rx, OWN | (rx == RING - 1 ? EOR : 0) | 1536, 0,
				 RX_BUFFER + rx * 2048);
			rx = (rx + 1) % RING;
		}
	}
	for (unsigned int ms = 0; count_of("rx", "packets") + count_of("rx", "drop_missed") < in;
	     ms++) {
		assert_true(ms < 20000);
		usleep(1000);
	}
	while (host_has()) {
		host_recv();
		out++;
	}
	assert_int_equal(out, count_of("tx", "packets"));
	assert_int_equal(count_of("rx", "packets") + count_of("rx", "drop_missed"), in);
	assert_int_equal(get(R_MPC, 4), count_of("rx", "drop_missed"));
}

int main(void)
{
#define TEST(name)	   cmocka_unit_test_setup_teardown(name, chip_setup, chip_teardown)
#define WITH_OFFLOAD(name) cmocka_unit_test_setup_teardown(name, chip_setup_offload, chip_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_without_descriptors_frames_are_missed_and_counted),
		TEST(test_a_receive_buffer_beyond_memory_stops_the_receiver),
		TEST(test_a_buffer_that_only_begins_in_memory_takes_what_fits_there),
		TEST(test_buffers_of_no_size_never_hold_a_frame),
		TEST(test_a_frame_goes_into_as_many_buffers_as_it_takes),
		TEST(test_frames_that_are_too_long_or_short_are_counted),
		TEST(test_a_short_frame_is_padded_as_on_a_wire),
		TEST(test_only_what_is_for_the_guest_comes_in),
		TEST(test_the_multicast_hash_is_the_one_that_drivers_compute),
		TEST(test_sums_of_received_frames_are_judged),
		TEST(test_a_received_tag_is_taken_out_where_that_is_on),
		TEST(test_what_the_backend_left_unfinished_is_dropped),
		TEST(test_a_backend_that_fails_is_left_alone_for_a_while),
		TEST(test_without_a_receiver_frames_wait_in_the_backend),
		TEST(test_without_bus_mastering_nothing_moves),
		TEST(test_frames_loop_back_inside),
		TEST(test_tally_counters_are_dumped),
		TEST(test_a_flood_both_ways_is_accounted_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
