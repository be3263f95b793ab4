/* The RTL8139C+'s own rings: transmit, checksums and large send, good and hostile. */
#include <string.h>

#include "devices/net/segment.h"
#include "devices/test/rtl8139_cplus_rig.h"
#include "vmm/base/test/unit.h"

/* ---- transmit ---- */

/* Descriptors that are no frame are given back with an error and counted, and the card goes on. */
static void assert_malformed(unsigned int first, unsigned int nr)
{
	const uint64_t before = count_of("tx", "drop_malformed");

	put(R_ISR, 2, 0xffff);
	put(R_TPPOLL, 1, 0x40);
	wait_count("tx", "drop_malformed", before + 1);
	for (unsigned int i = 0; i < nr; i++)
		wait_given_back(TX_RING, first + i);
	wait_isr(TER);
	assert_false(host_has());
	check_cplus_alive();
}

static void test_a_frame_shorter_than_a_header_is_given_back(void **state)
{
	start_cplus(0);
	set_desc(TX_RING, 0, OWN | FIRST | LAST | 13, 0, TX_BUFFER);
	assert_malformed(0, 1);
	start_cplus(0);
	set_desc(TX_RING, 0, OWN | FIRST | LAST, 0, TX_BUFFER);
	assert_malformed(0, 1);
}

static void test_a_buffer_beyond_memory_is_given_back(void **state)
{
	static const uint64_t bad[] = { BEYOND, RIG_MEMORY - 10, UINT64_MAX, UINT64_MAX - 59,
					1ull << 63 };

	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		start_cplus(0);
		set_desc(TX_RING, 0, OWN | FIRST | LAST | 60, 0, bad[i]);
		assert_malformed(0, 1);
		assert_int_equal(count_of("tx", "packets"), i + 1);
	}
}

static void test_a_frame_without_a_first_descriptor_is_given_back(void **state)
{
	start_cplus(0);
	set_desc(TX_RING, 0, OWN | LAST | 60, 0, TX_BUFFER);
	assert_malformed(0, 1);
}

static void test_a_frame_that_begins_amid_another_leaves_only_itself(void **state)
{
	size_t len;

	start_cplus(0);
	len = fill_frame(80, 7);
	memcpy(at(TX_BUFFER), sent + HDR, len);
	set_desc(TX_RING, 0, OWN | FIRST | 60, 0, TX_BUFFER);
	set_desc(TX_RING, 1, OWN | FIRST | LAST | (uint32_t)len, 0, TX_BUFFER);
	put(R_TPPOLL, 1, 0x40);
	assert_int_equal(host_recv(), len);
	assert_memory_equal(received + HDR, sent + HDR, len);
	wait_given_back(TX_RING, 1);
	assert_int_equal(count_of("tx", "drop_malformed"), 1);
	assert_true(opts1_of(TX_RING, 0) == (FIRST | 60)); /* the error is said in the last one */
	assert_false(opts1_of(TX_RING, 1) & TX_BAD);
	check_cplus_alive();
}

static void test_a_ring_full_of_one_frame_without_end_is_given_back(void **state)
{
	start_cplus(0);
	for (unsigned int i = 0; i < RING; i++)
		set_desc(TX_RING, i, OWN | (i ? 0 : FIRST) | 60 | (i == RING - 1 ? EOR : 0), 0,
			 TX_BUFFER);
	assert_malformed(0, RING);
}

static void test_a_ring_of_one_descriptor_that_never_ends_is_given_back(void **state)
{
	start_cplus(0);
	set_desc(TX_RING, 0, OWN | FIRST | EOR | 60, 0, TX_BUFFER);
	assert_malformed(0, 1);
}

static void test_a_frame_longer_than_any_is_given_back(void **state)
{
	start_cplus(0);
	set_desc(TX_RING, 0, OWN | FIRST | 65535, 0, TX_BUFFER);
	set_desc(TX_RING, 1, OWN | LAST | 65535, 0, TX_BUFFER);
	assert_malformed(0, 2);
}

static void test_half_a_frame_waits_for_its_rest(void **state)
{
	size_t len;

	start_cplus(0);
	len = fill_frame(160, 3);
	memcpy(at(TX_BUFFER), sent + HDR, len);
	set_desc(TX_RING, 0, OWN | FIRST | 60, 0, TX_BUFFER);
	put(R_TPPOLL, 1, 0x40);
	check_cplus_alive(); /* nothing of it goes; the driver has thought again */
	assert_int_equal(count_of("tx", "packets"), 1);
	start_cplus(0);
	len = fill_frame(160, 4);
	memcpy(at(TX_BUFFER), sent + HDR, len);
	set_desc(TX_RING, 0, OWN | FIRST | 60, 0, TX_BUFFER);
	put(R_TPPOLL, 1, 0x40);
	set_desc(TX_RING, 1, OWN | 0, 0, BEYOND); /* no bytes, from nowhere */
	set_desc(TX_RING, 2, OWN | LAST | 100, 0, TX_BUFFER + 60);
	put(R_TPPOLL, 1, 0x40);
	assert_int_equal(host_recv(), len);
	assert_memory_equal(received + HDR, sent + HDR, len);
}

static void test_a_ring_beyond_memory_stops_until_the_driver_begins_anew(void **state)
{
	static const uint64_t bad[] = { BEYOND, UINT64_MAX, 1ull << 40 };

	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		start_cplus(0);
		put(R_TNPDS, 4, (uint32_t)bad[i]);
		put(R_TNPDS + 4, 4, (uint32_t)(bad[i] >> 32));
		put(R_TPPOLL, 1, 0x40);
		wait_isr(SERR);
		put(R_TPPOLL, 1, 0x40);
		start_cplus(0);
		put(R_RDSAR, 4, (uint32_t)bad[i]);
		put(R_RDSAR + 4, 4, (uint32_t)(bad[i] >> 32));
		host_send(fill_frame(60, 1));
		wait_isr(SERR);
		assert_int_equal(count_of("rx", "drop_off"), i + 1);
		check_cplus_alive();
	}
	assert_int_equal(count_of("chip", "ring_faults"), 2 * ARRAY_SIZE(bad));
}

static void test_the_backend_that_takes_no_more_leaves_the_frame_in_the_ring(void **state)
{
	size_t len;

	start_cplus(0);
	netbe_pair_fail(&chip_pair.send_fault, EAGAIN, 1);
	len = fill_frame(300, 9);
	guest_send(len, 0, 0);
	assert_int_equal(count_of("tx", "blocked"), 1);
	assert_int_equal(host_recv(), len);
	assert_memory_equal(received + HDR, sent + HDR, len);
}

static void test_a_reset_drops_the_frame_that_waits(void **state)
{
	start_cplus(0);
	netbe_pair_fail(&chip_pair.send_fault, EAGAIN, UINT32_MAX);
	memcpy(at(TX_BUFFER), chip_mac, 6);
	set_desc(TX_RING, 0, OWN | FIRST | LAST | 60, 0, TX_BUFFER);
	put(R_TPPOLL, 1, 0x40);
	wait_count("tx", "blocked", 1);
	put(R_CR, 1, RST);
	wait_count("tx", "drop_reset", 1);
	netbe_pair_fail(&chip_pair.send_fault, EAGAIN, 0);
	assert_true(opts1_of(TX_RING, 0) & OWN); /* no longer the card's to give back */
	assert_false(host_has());
	check_cplus_alive();
}

static void test_what_the_backend_refuses_is_counted_by_its_cause(void **state)
{
	static const struct {
		int err;
		const char *cause;
	} faults[] = { { EINVAL, "drop_bad_header" },
		       { EMSGSIZE, "drop_bad_header" },
		       { EIO, "drop_down" },
		       { ENOBUFS, "drop_error" } };

	start_cplus(0);
	for (unsigned int i = 0; i < ARRAY_SIZE(faults); i++) {
		const uint64_t before = count_of("tx", faults[i].cause);

		netbe_pair_fail(&chip_pair.send_fault, faults[i].err, 1);
		assert_true(guest_send(fill_frame(60, i), 0, 0) & TX_BAD);
		assert_int_equal(count_of("tx", faults[i].cause), before + 1);
		wait_isr(TER);
	}
	assert_int_equal(count_of("tx", "packets"), 0);
	check_cplus_alive();
}

static void test_a_backend_that_is_gone_is_no_link(void **state)
{
	start_cplus(0);
	assert_true(get(R_BMSR, 2) & 4);
	assert_int_equal(get(R_MSR, 1) & 4, 0);
	close(chip_pair.peer);
	chip_pair.peer = -1;
	wait_isr(LINK);
	assert_false(get(R_BMSR, 2) & 4);
	assert_int_equal(get(R_MSR, 1) & 4, 4);
	assert_true(guest_send(fill_frame(60, 1), 0, 0) & TX_BAD);
	assert_int_equal(count_of("tx", "drop_down"), 1);
	assert_int_equal(count_of("rx", "backend_errors"), 0); /* no frame was lost by it */
}

static void test_frames_of_all_kinds_of_descriptors_arrive(void **state)
{
	static const uint32_t split[][3] = {
		{ 60, 0, 0 }, { 14, 46, 0 }, { 1, 1, 1498 }, { 1514, 0, 0 }
	};
	unsigned int n = 0;

	start_cplus(0);
	for (unsigned int round = 0; round < 100; round++) {
		const uint32_t *parts = split[round % ARRAY_SIZE(split)];
		const size_t len = fill_frame(parts[0] + parts[1] + parts[2], round);
		const unsigned int first = n;
		unsigned int nr = 1 + !!parts[1] + !!parts[2];
		uint32_t done = 0;

		memcpy(at(TX_BUFFER), sent + HDR, len);
		for (unsigned int i = 0; i < nr; i++) {
			set_desc(TX_RING, n,
				 OWN | (i ? 0 : FIRST) | (i == nr - 1 ? LAST : 0) |
					 (n == RING - 1 ? EOR : 0) | parts[i],
				 0, TX_BUFFER + done);
			done += parts[i];
			n = (n + 1) % RING;
		}
		put(R_TPPOLL, 1, 0x40);
		assert_int_equal(host_recv(), len);
		assert_memory_equal(received + HDR, sent + HDR, len);
		wait_given_back(TX_RING, (first + nr - 1) % RING);
	}
	assert_int_equal(count_of("tx", "packets"), 100);
	wait_isr(TOK | TDU);
}

static void test_the_high_priority_ring_goes_too(void **state)
{
	const size_t len = fill_frame(99, 5);

	start_cplus(0);
	memcpy(at(TX_BUFFER), sent + HDR, len);
	set_desc(HIGH_RING, 0, OWN | FIRST | LAST | (uint32_t)len, 0, TX_BUFFER);
	put(R_TPPOLL, 1, 0x80);
	assert_int_equal(host_recv(), len);
	assert_memory_equal(received + HDR, sent + HDR, len);
	wait_given_back(HIGH_RING, 0);
}

/* ---- checksums and large send ---- */

static void test_sums_are_made_here(void **state)
{
	start_cplus(0);
	for (size_t len = 60; len < 1514; len += 101) {
		guest_send(make_ip(NET_IP_TCP, 20, len, (uint32_t)len), IPCS | TCPCS, 0);
		assert_int_equal(host_recv(), len);
		assert_int_equal(received[0], 0);
		assert_sums_good(len);
		assert_memory_equal(received + HDR + 54, sent + HDR + 54, len - 54);
		guest_send(make_ip(NET_IP_UDP, 8, len, (uint32_t)len), IPCS | UDPCS, 0);
		assert_int_equal(host_recv(), len);
		assert_sums_good(len);
	}
}

static void test_sums_are_left_to_a_backend_that_makes_them(void **state)
{
	struct virtio_net_hdr_v1 hdr;

	start_cplus(0);
	guest_send(make_ip(NET_IP_TCP, 20, 200, 1), IPCS | TCPCS, 0);
	assert_int_equal(host_recv(), 200);
	memcpy(&hdr, received, sizeof(hdr));
	assert_int_equal(hdr.flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
	assert_int_equal(hdr.csum_start, 34);
	assert_int_equal(hdr.csum_offset, 16);
}

static void test_sums_of_what_has_none_change_nothing(void **state)
{
	size_t len;

	start_cplus(0);
	/* No IP, a cut header, a length beyond the frame, a fragment, a protocol without one. */
	for (unsigned int kind = 0; kind < 5; kind++) {
		len = make_ip(NET_IP_TCP, 20, 100, kind);
		uint8_t *ip = sent + HDR + ETH_IP;

		switch (kind) {
		case 0:
			sent[HDR + 12] = 0x86;
			break;
		case 1:
			ip[0] = 0x44;
			break;
		case 2:
			ip[2] = 1;
			break;
		case 3:
			ip[6] = 0x20;
			break;
		case 4:
			ip[9] = 47;
			break;
		}
		guest_send(len, TCPCS | UDPCS, 0);
		assert_int_equal(host_recv(), len);
		assert_memory_equal(received + HDR, sent + HDR, len);
	}
	/* The shortest that is asked for, too. */
	guest_send(fill_frame(14, 1), IPCS | TCPCS | UDPCS, 0);
	assert_int_equal(host_recv(), 14);
}

/* Send @len bytes in segments of @mss and put them together again. */
static void check_large_send(size_t len, uint32_t mss, size_t options)
{
	const size_t headers = ETH_IP + 20 + 20 + options;
	size_t done = 0;
	unsigned int n = 0;

	make_ip(NET_IP_TCP, 20 + options, len, mss);
	if (options)
		memset(sent + HDR + ETH_IP + 40, 1, options);
	sent[HDR + ETH_IP + 20 + 13] |= 0x80; /* CWR: once */
	guest_send(len, LGSEN | mss << 16, 0);
	for (; done < len - headers; n++) {
		const size_t part = host_recv() - headers;
		const uint8_t *tcp = received + HDR + ETH_IP + 20;
		const bool last = done + part == len - headers;

		assert_true(part == mss || last);
		assert_sums_good(part + headers);
		assert_int_equal(tcp[13], 0x10 | (last ? 0x09 : 0) | (n ? 0 : 0x80));
		assert_int_equal((uint32_t)tcp[4] << 24 | tcp[5] << 16 | tcp[6] << 8 | tcp[7],
				 (uint32_t)(0xfffffff0 + done));
		assert_int_equal(received[HDR + ETH_IP + 5], n & 0xff);
		assert_memory_equal(received + HDR + headers, sent + HDR + headers + done, part);
		done += part;
	}
	assert_false(host_has());
}

static void test_a_large_send_is_cut_here(void **state)
{
	start_cplus(0);
	check_large_send(3000, 1448, 12);
	check_large_send(54 + 2896, 1448, 0); /* no rest */
	check_large_send(54 + 100, 1448, 0);  /* one segment */
	check_large_send(65535, 1460, 0);
	check_large_send(2000, 7, 0); /* more than one turn of the thread */
}

static void test_a_large_send_is_left_to_a_backend_that_cuts(void **state)
{
	struct virtio_net_hdr_v1 hdr;
	struct net_packet p;

	start_cplus(0);
	guest_send(make_ip(NET_IP_TCP, 20, 60000, 1), LGSEN | 1460 << 16, 0);
	assert_int_equal(host_recv(), 60000);
	memcpy(&hdr, received, sizeof(hdr));
	assert_int_equal(hdr.flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
	assert_int_equal(hdr.gso_type, VIRTIO_NET_HDR_GSO_TCPV4);
	assert_int_equal(hdr.gso_size, 1460);
	assert_int_equal(hdr.hdr_len, 54);
	assert_true(net_packet_parse(&p, received + HDR, 60000, false));
	assert_true(net_packet_ip_is_good(&p, received + HDR));
	/* Where the sender answers a mark, cutting is another offload. */
	check_large_send(3000, 1000, 0);
}

static void test_a_large_send_of_what_cannot_be_cut_goes_whole(void **state)
{
	size_t len;

	start_cplus(0);
	len = fill_frame(1000, 1);
	guest_send(len, LGSEN | 100 << 16, 0);
	assert_int_equal(host_recv(), len);
	assert_memory_equal(received + HDR, sent + HDR, len);
	len = make_ip(NET_IP_UDP, 8, 1000, 1);
	guest_send(len, LGSEN | 100 << 16, 0);
	assert_int_equal(host_recv(), len);
	/* A TCP header that says it is longer than there is. */
	len = make_ip(NET_IP_TCP, 20, 60, 1);
	sent[HDR + ETH_IP + 20 + 12] = 0xf0;
	guest_send(len, LGSEN | 1 << 16, 0);
	assert_int_equal(host_recv(), len);
	/* Segments of nothing: no large send. */
	len = make_ip(NET_IP_TCP, 20, 600, 1);
	guest_send(len, LGSEN, 0);
	assert_int_equal(host_recv(), len);
	assert_false(host_has());
}

/* Where no backend does it: the card is on its own. */
static void test_what_loops_back_is_finished_here(void **state)
{
	const size_t headers = ETH_IP + 20 + 20, len = headers + 2 * 1000 + 500;

	start_cplus(0);
	put(R_TCR, 4, 3 << 17);
	guest_send(make_ip(NET_IP_TCP, 20, len, 1), LGSEN | 1000 << 16, 0);
	guest_send(make_ip(NET_IP_UDP, 8, 300, 1), IPCS | UDPCS, 0);
	for (unsigned int n = 0; n < 4; n++) {
		const size_t part = n == 3 ? 300 : headers + (n < 2 ? 1000 : 500);

		wait_given_back(RX_RING, n);
		assert_int_equal(opts1_of(RX_RING, n) & 0x1fff, part + 4);
		memcpy(received + HDR, at(RX_BUFFER + n * 2048), part);
		assert_sums_good(part);
	}
	assert_false(host_has());
}

static void test_a_large_send_goes_on_where_the_backend_took_no_more(void **state)
{
	start_cplus(0);
	netbe_pair_fail(&chip_pair.send_fault, EAGAIN, 3);
	check_large_send(9000, 1448, 0);
	assert_int_equal(count_of("tx", "blocked"), 3);
}

static void test_a_tag_is_put_in(void **state)
{
	static const uint8_t tag[] = { 0x81, 0, 0x61, 0x23 };
	const size_t len = fill_frame(100, 1);

	start_cplus(0);
	guest_send(len, 0, TAG_TX | 0x2361);
	assert_int_equal(host_recv(), len + 4);
	assert_memory_equal(received + HDR, sent + HDR, 12);
	assert_memory_equal(received + HDR + 12, tag, 4);
	assert_memory_equal(received + HDR + 16, sent + HDR + 12, len - 12);
	make_ip(NET_IP_TCP, 20, len, 1);
	guest_send(len, IPCS | TCPCS, TAG_TX | 0x2361);
	assert_int_equal(host_recv(), len + 4);
	assert_sums_good(len + 4);
}

int main(void)
{
#define TEST(name)	   cmocka_unit_test_setup_teardown(name, chip_setup, chip_teardown)
#define WITH_OFFLOAD(name) cmocka_unit_test_setup_teardown(name, chip_setup_offload, chip_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_a_frame_shorter_than_a_header_is_given_back),
		TEST(test_a_buffer_beyond_memory_is_given_back),
		TEST(test_a_frame_without_a_first_descriptor_is_given_back),
		TEST(test_a_frame_that_begins_amid_another_leaves_only_itself),
		TEST(test_a_ring_full_of_one_frame_without_end_is_given_back),
		TEST(test_a_ring_of_one_descriptor_that_never_ends_is_given_back),
		TEST(test_a_frame_longer_than_any_is_given_back),
		TEST(test_half_a_frame_waits_for_its_rest),
		TEST(test_a_ring_beyond_memory_stops_until_the_driver_begins_anew),
		TEST(test_the_backend_that_takes_no_more_leaves_the_frame_in_the_ring),
		TEST(test_a_reset_drops_the_frame_that_waits),
		TEST(test_what_the_backend_refuses_is_counted_by_its_cause),
		TEST(test_a_backend_that_is_gone_is_no_link),
		TEST(test_frames_of_all_kinds_of_descriptors_arrive),
		TEST(test_the_high_priority_ring_goes_too),
		TEST(test_sums_are_made_here),
		WITH_OFFLOAD(test_sums_are_left_to_a_backend_that_makes_them),
		TEST(test_sums_of_what_has_none_change_nothing),
		TEST(test_a_large_send_is_cut_here),
		WITH_OFFLOAD(test_a_large_send_is_left_to_a_backend_that_cuts),
		TEST(test_a_large_send_of_what_cannot_be_cut_goes_whole),
		WITH_OFFLOAD(test_what_loops_back_is_finished_here),
		TEST(test_a_large_send_goes_on_where_the_backend_took_no_more),
		TEST(test_a_tag_is_put_in),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
