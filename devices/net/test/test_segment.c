/* Checksums and segments: what is no whole datagram first. */
#include "devices/net/segment.h"

#include <string.h>

#include "vmm/base/test/unit.h"
#include "vmm/base/util.h"

#define LEN 100u

static uint8_t frame[LEN];

/* A TCP segment in an IPv4 datagram that ends with the frame; its sums are right. */
static void make(void)
{
	struct net_packet p;

	memset(frame, 0, sizeof(frame));
	memcpy(frame + 12, "\x08\x00\x45\x00\x00\x56", 6); /* 86 bytes */
	frame[14 + 9] = NET_IP_TCP;
	memcpy(frame + 14 + 12, "\x0a\x00\x00\x01\x0a\x00\x00\x02", 8);
	frame[34 + 12] = 0x50;
	for (unsigned int i = 54; i < LEN; i++)
		frame[i] = (uint8_t)(i * 7);
	assert_true(net_packet_parse(&p, frame, LEN, false));
	net_packet_set_ip_checksum(&p, frame);
	net_packet_set_checksum(&p, frame, true);
}

static void test_what_is_no_whole_datagram_is_none(void **state)
{
	/* A byte of the frame, and what makes it wrong there. */
	static const struct {
		unsigned int at;
		uint8_t value;
	} bad[] = {
		{ 12, 0x86 },		    /* another type */
		{ 13, 0x06 }, { 14, 0x65 }, /* version 6 */
		{ 14, 0x44 },		    /* a header of 16 bytes */
		{ 16, 0x01 },		    /* longer than the frame */
		{ 17, 0x57 }, { 17, 19 },   /* shorter than its header */
		{ 17, 0 },
	};
	struct net_packet p;

	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		make();
		frame[bad[i].at] = bad[i].value;
		assert_false(net_packet_parse(&p, frame, LEN, false));
	}
	make();
	frame[14] = 0x4f; /* a header longer than what is there */
	for (size_t len = 0; len < 14 + 60; len++)
		assert_false(net_packet_parse(&p, frame, len, true));
	make();
	for (size_t len = 0; len < LEN; len++)
		assert_false(net_packet_parse(&p, frame, len, false));
}

static void test_only_a_whole_transport_header_has_a_checksum(void **state)
{
	struct net_packet p;

	make();
	frame[14 + 6] = 0x20; /* more fragments */
	assert_true(net_packet_parse(&p, frame, LEN, false));
	assert_int_equal(p.checksum, 0);
	frame[14 + 6] = 0;
	frame[14 + 7] = 1; /* a later fragment */
	assert_true(net_packet_parse(&p, frame, LEN, false));
	assert_int_equal(p.checksum, 0);
	make();
	frame[17] = 39; /* 19 bytes of TCP */
	assert_true(net_packet_parse(&p, frame, LEN, false));
	assert_int_equal(p.checksum, 0);
	assert_int_equal(net_segment_headers(&p, frame), 0);
	frame[14 + 9] = NET_IP_UDP;
	frame[17] = 27; /* 7 of UDP */
	assert_true(net_packet_parse(&p, frame, LEN, false));
	assert_int_equal(p.checksum, 0);
	make();
	frame[34 + 12] = 0x40; /* a TCP header of 16 bytes, and one of 60 in 66 */
	assert_true(net_packet_parse(&p, frame, LEN, false));
	assert_int_equal(net_segment_headers(&p, frame), 0);
	frame[34 + 12] = 0xf0;
	assert_int_equal(net_segment_headers(&p, frame), 34 + 60);
}

static void test_every_changed_bit_is_found(void **state)
{
	struct net_packet p;

	make();
	assert_true(net_packet_parse(&p, frame, LEN, false));
	assert_true(net_packet_ip_is_good(&p, frame) && net_packet_transport_is_good(&p, frame));
	for (unsigned int bit = 14 * 8; bit < LEN * 8; bit++) {
		frame[bit / 8] ^= (uint8_t)BIT(bit % 8);
		assert_true(!net_packet_ip_is_good(&p, frame) ||
			    !net_packet_transport_is_good(&p, frame));
		frame[bit / 8] ^= (uint8_t)BIT(bit % 8);
	}
}

static void test_a_udp_sum_of_zero_is_none_and_never_made(void **state)
{
	struct net_packet p;
	uint16_t sum;

	make();
	frame[14 + 9] = NET_IP_UDP;
	memset(frame + 34, 0, LEN - 34);
	assert_true(net_packet_parse(&p, frame, LEN, false));
	assert_true(net_packet_transport_is_good(&p, frame));
	for (unsigned int v = 0; v < 0x10000; v++) {
		frame[98] = (uint8_t)(v >> 8);
		frame[99] = (uint8_t)v;
		net_packet_set_checksum(&p, frame, true);
		memcpy(&sum, frame + p.checksum, sizeof(sum));
		assert_int_not_equal(sum, 0);
		assert_true(net_packet_transport_is_good(&p, frame));
	}
}

static void test_odd_and_tagged_datagrams_are_summed(void **state)
{
	struct net_packet p;
	uint8_t tagged[LEN + 4];

	make();
	memcpy(tagged, frame, 12);
	memcpy(tagged + 12, "\x81\x00\x00\x05", 4);
	memcpy(tagged + 16, frame + 12, LEN - 12);
	assert_true(net_packet_parse(&p, tagged, sizeof(tagged), false));
	assert_int_equal(p.ip, 18);
	assert_true(net_packet_transport_is_good(&p, tagged));
	for (uint8_t len = 40; len < 86; len++) {
		make();
		frame[17] = len;
		assert_true(net_packet_parse(&p, frame, LEN, false));
		net_packet_set_checksum(&p, frame, true);
		assert_true(net_packet_transport_is_good(&p, frame));
		frame[14 + len - 1] ^= 1;
		assert_false(net_packet_transport_is_good(&p, frame));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_no_whole_datagram_is_none),
		cmocka_unit_test(test_only_a_whole_transport_header_has_a_checksum),
		cmocka_unit_test(test_every_changed_bit_is_found),
		cmocka_unit_test(test_a_udp_sum_of_zero_is_none_and_never_made),
		cmocka_unit_test(test_odd_and_tagged_datagrams_are_summed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
