/* RTL8139: the C+ rings, bad cases first. */
#include "devices/test/rtl8139_rig.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "devices/net/segment.h"

#define IPCS   BIT(18)
#define UDPCS  BIT(17)
#define TCPCS  BIT(16)
#define LGSEN  BIT(27)
#define TX_BAD BIT(23)
#define TAG_TX BIT(17)
#define TAG_RX BIT(16)
#define RXCSUM 0x20
#define RXVLAN 0x40
#define BEYOND (RIG_MEMORY + 0x1000)
#define ETH_IP 14

/* ---- frames with an IPv4 datagram ---- */

/* Of @len bytes in all, with the transport's header of @header bytes; sums are wrong. Its payload is by @seed. */
static size_t make_ip(uint8_t protocol, size_t header, size_t len, uint32_t seed)
{
	uint8_t *ip = sent + HDR + ETH_IP, *transport = ip + 20;

	fill_frame(len, seed);
	sent[HDR + 12] = 8;
	sent[HDR + 13] = 0;
	memset(ip, 0, 20 + header);
	ip[0] = 0x45;
	ip[2] = (uint8_t)((len - ETH_IP) >> 8);
	ip[3] = (uint8_t)(len - ETH_IP);
	ip[8] = 64;
	ip[9] = protocol;
	memcpy(ip + 12, "\x0a\x00\x00\x02\x0a\x00\x00\x01", 8);
	memcpy(transport, "\x12\x34\x56\x78", 4);
	if (protocol == NET_IP_TCP) {
		memcpy(transport + 4, "\xff\xff\xff\xf0", 4); /* a sequence number about to wrap */
		transport[12] = (uint8_t)(header / 4 << 4);
		transport[13] = 0x19; /* ACK, PSH, FIN */
	} else {
		transport[4] = (uint8_t)((len - ETH_IP - 20) >> 8);
		transport[5] = (uint8_t)(len - ETH_IP - 20);
	}
	return len;
}

/* Whether both sums of what the peer got are right. */
static void assert_sums_good(size_t len)
{
	struct net_packet p;

	assert_true(net_packet_parse(&p, received + HDR, len, false));
	assert_true(net_packet_ip_is_good(&p, received + HDR));
	assert_true(p.checksum);
	assert_true(net_packet_transport_is_good(&p, received + HDR));
}

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
	(void)state;
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

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		start_cplus(0);
		set_desc(TX_RING, 0, OWN | FIRST | LAST | 60, 0, bad[i]);
		assert_malformed(0, 1);
		assert_int_equal(count_of("tx", "packets"), i + 1);
	}
}

static void test_a_frame_without_a_first_descriptor_is_given_back(void **state)
{
	(void)state;
	start_cplus(0);
	set_desc(TX_RING, 0, OWN | LAST | 60, 0, TX_BUFFER);
	assert_malformed(0, 1);
}

static void test_a_frame_that_begins_amid_another_leaves_only_itself(void **state)
{
	size_t len;

	(void)state;
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
	(void)state;
	start_cplus(0);
	for (unsigned int i = 0; i < RING; i++)
		set_desc(TX_RING, i, OWN | (i ? 0 : FIRST) | 60 | (i == RING - 1 ? EOR : 0), 0,
			 TX_BUFFER);
	assert_malformed(0, RING);
}

static void test_a_ring_of_one_descriptor_that_never_ends_is_given_back(void **state)
{
	(void)state;
	start_cplus(0);
	set_desc(TX_RING, 0, OWN | FIRST | EOR | 60, 0, TX_BUFFER);
	assert_malformed(0, 1);
}

static void test_a_frame_longer_than_any_is_given_back(void **state)
{
	(void)state;
	start_cplus(0);
	set_desc(TX_RING, 0, OWN | FIRST | 65535, 0, TX_BUFFER);
	set_desc(TX_RING, 1, OWN | LAST | 65535, 0, TX_BUFFER);
	assert_malformed(0, 2);
}

static void test_half_a_frame_waits_for_its_rest(void **state)
{
	size_t len;

	(void)state;
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

	(void)state;
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

	(void)state;
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
	(void)state;
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

	(void)state;
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
	(void)state;
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
}

static void test_frames_of_all_kinds_of_descriptors_arrive(void **state)
{
	static const uint32_t split[][3] = {
		{ 60, 0, 0 }, { 14, 46, 0 }, { 1, 1, 1498 }, { 1514, 0, 0 }
	};
	unsigned int n = 0;

	(void)state;
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

	(void)state;
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
	(void)state;
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

	(void)state;
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

	(void)state;
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
	(void)state;
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

	(void)state;
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

	(void)state;
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

static void test_a_large_send_goes_on_where_the_backend_took_no_more(void **state)
{
	(void)state;
	start_cplus(0);
	netbe_pair_fail(&chip_pair.send_fault, EAGAIN, 3);
	check_large_send(9000, 1448, 0);
	assert_int_equal(count_of("tx", "blocked"), 3);
}

static void test_a_tag_is_put_in(void **state)
{
	static const uint8_t tag[] = { 0x81, 0, 0x61, 0x23 };
	const size_t len = fill_frame(100, 1);

	(void)state;
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

/* ---- receive ---- */

static void test_without_descriptors_frames_are_missed_and_counted(void **state)
{
	(void)state;
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
	(void)state;
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
	(void)state;
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
	(void)state;
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

	(void)state;
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
	(void)state;
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

	(void)state;
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

	(void)state;
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
	(void)state;
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

	(void)state;
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

	(void)state;
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
	(void)state;
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
	(void)state;
	start_cplus(0);
	netbe_pair_fail(&chip_pair.recv_fault, ENOBUFS, 3);
	host_send(fill_frame(60, 1));
	wait_given_back(RX_RING, 0);
	assert_int_equal(count_of("rx", "backend_errors"), 3);
}

static void test_without_a_receiver_frames_wait_in_the_backend(void **state)
{
	(void)state;
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
	(void)state;
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

	(void)state;
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

	(void)state;
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

	(void)state;
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
		TEST(test_a_large_send_goes_on_where_the_backend_took_no_more),
		TEST(test_a_tag_is_put_in),
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
