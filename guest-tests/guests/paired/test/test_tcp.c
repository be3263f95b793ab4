/* Unit tests of TCP: a peer made by hand, whose clock and line the tests own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "guest-tests/guests/paired/checksum.h"
#include "guest-tests/guests/paired/counters.h"
#include "guest-tests/guests/paired/ip.h"
#include "guest-tests/guests/paired/lib.h"
#include "guest-tests/guests/paired/services.h"
#include "guest-tests/guests/paired/tcp_internal.h"
#include "guest-tests/guests/paired/test/hosted.h"

#define PEER	 0x0a000001u
#define US	 1000000u
#define SENT_MAX 16384

/* What the guest has sent. */
static struct sent {
	uint16_t to_port;
	uint32_t seq, ack, window, length;
	uint8_t flags;
	uint32_t options_length;
	uint8_t options[40];
	uint8_t data[1500];
} sent[SENT_MAX];
static unsigned sent_count, sent_read;
static uint16_t port = 40000; /* the peer's; a new one in each test */

void hosted_sent(const uint8_t *frame, uint32_t length)
{
	const uint8_t *ip = frame + NET_ETH_HEADER, *tcp = ip + IP_HEADER;
	uint32_t header = (tcp[12] >> 4) * 4u;
	uint64_t sum =
		checksum_pseudo(net.address, PEER, IP_TCP, length - NET_ETH_HEADER - IP_HEADER);

	if (get_be32(ip + 16) != PEER || ip[9] != IP_TCP || sent_count == SENT_MAX)
		return;
	assert_int_equal(checksum_fold(checksum_add(0, ip, IP_HEADER)), 0xffff);
	assert_int_equal(checksum_fold(checksum_add(sum, tcp, length - NET_ETH_HEADER - IP_HEADER)),
			 0xffff);
	struct sent *s = &sent[sent_count++];

	*s = (struct sent){ .to_port = get_be16(tcp + 2),
			    .seq = get_be32(tcp + 4),
			    .ack = get_be32(tcp + 8),
			    .window = get_be16(tcp + 14),
			    .flags = tcp[13],
			    .length = length - NET_ETH_HEADER - IP_HEADER - header };
	assert_true(s->length <= sizeof(s->data));
	s->options_length = header - TCP_HEADER;
	memcpy(s->options, tcp + TCP_HEADER, s->options_length);
	memcpy(s->data, tcp + header, s->length);
}

/* Sends one segment to the guest, with options if there are any, and lets the guest work. */
static void segment_with(uint16_t to, uint8_t flags, uint32_t seq, uint32_t ack, uint32_t window,
			 const void *data, uint32_t length, const uint8_t *options,
			 uint32_t options_length)
{
	uint8_t bytes[NET_ETH_HEADER + IP_HEADER + 60 + 1500] = { 0 }, *ip = bytes + NET_ETH_HEADER;
	uint8_t *tcp = ip + IP_HEADER;
	uint32_t header = TCP_HEADER + options_length;

	memcpy(bytes, net.mac, 6);
	put_be16(bytes + 12, 0x0800);
	ip[0] = 0x45;
	put_be16(ip + 2, (uint16_t)(IP_HEADER + header + length));
	ip[8] = 64;
	ip[9] = IP_TCP;
	put_be32(ip + 12, PEER);
	put_be32(ip + 16, net.address);
	uint16_t sum = (uint16_t)~checksum_fold(checksum_add(0, ip, IP_HEADER));

	memcpy(ip + 10, &sum, 2);
	put_be16(tcp, port);
	put_be16(tcp + 2, to);
	put_be32(tcp + 4, seq);
	put_be32(tcp + 8, ack);
	tcp[12] = (uint8_t)(header / 4 << 4);
	tcp[13] = flags;
	put_be16(tcp + 14, (uint16_t)window);
	if (options_length > 0)
		memcpy(tcp + TCP_HEADER, options, options_length);
	if (length > 0)
		memcpy(tcp + header, data, length);
	sum = (uint16_t)~checksum_fold(checksum_add(
		checksum_pseudo(PEER, net.address, IP_TCP, header + length), tcp, header + length));
	memcpy(tcp + 16, &sum, 2);
	uint32_t total = NET_ETH_HEADER + IP_HEADER + header + length;
	struct net_frame frame = {
		.data = { bytes }, .length = { total }, .count = 1, .total = total
	};

	ip_receive(&frame);
	tcp_flush();
}

static void segment(uint16_t to, uint8_t flags, uint32_t seq, uint32_t ack, const void *data,
		    uint32_t length)
{
	segment_with(to, flags, seq, ack, 65535, data, length, NULL, 0);
}

static struct sent *next_sent(void)
{
	assert_true(sent_read < sent_count);
	return &sent[sent_read++];
}

static void nothing_sent(void)
{
	assert_int_equal(sent_read, sent_count);
}

/* Moves the clock on, in small steps as the main loop would. */
static void wait_us(uint64_t us)
{
	for (uint64_t end = hosted_us + us; hosted_us < end;) {
		hosted_us += us < 5000 ? us : 5000;
		tcp_timers();
		tcp_flush();
	}
}

/* Connects; *seq and *ack are then the peer's next sequence number and the guest's. */
static void connect_to(uint16_t to, uint32_t *seq, uint32_t *ack)
{
	port++;
	*seq = 1000;
	segment(to, TCP_SYN, *seq, 0, NULL, 0);
	struct sent *s = next_sent();

	assert_int_equal(s->flags, TCP_SYN | TCP_ACK);
	assert_int_equal(s->ack, *seq + 1);
	*seq += 1;
	*ack = s->seq + 1;
	segment(to, TCP_ACK, *seq, *ack, NULL, 0);
	nothing_sent();
}

/* The connection is not there any more: a reset answers. */
static void is_gone(uint16_t to, uint32_t seq, uint32_t ack)
{
	segment(to, TCP_ACK, seq, ack, NULL, 0);
	struct sent *s = next_sent();

	assert_int_equal(s->flags, TCP_RST);
	assert_int_equal(s->seq, ack);
}

static void expect_segment(uint8_t flags, uint32_t seq, uint32_t ack, const char *data)
{
	struct sent *s = next_sent();

	assert_int_equal(s->flags & ~TCP_PSH, flags);
	assert_int_equal(s->seq, seq);
	assert_int_equal(s->ack, ack);
	assert_int_equal(s->length, strlen(data));
	assert_memory_equal(s->data, data, s->length);
}

static void peer_closes(void **state)
{
	uint32_t seq, ack;

	(void)state;
	connect_to(PORT_ECHO, &seq, &ack);
	segment(PORT_ECHO, TCP_ACK | TCP_PSH, seq, ack, "hello", 5);
	expect_segment(TCP_ACK, ack, seq + 5, "hello"); /* with the acknowledgement */
	segment(PORT_ECHO, TCP_ACK | TCP_FIN, seq + 5, ack + 5, NULL, 0);
	expect_segment(TCP_ACK | TCP_FIN, ack + 5, seq + 6, "");
	segment(PORT_ECHO, TCP_ACK, seq + 6, ack + 6, NULL, 0);
	nothing_sent();
	is_gone(PORT_ECHO, seq + 6, ack + 6);
}

static void data_and_fin_at_once(void **state)
{
	uint32_t seq, ack;

	(void)state;
	connect_to(PORT_ECHO, &seq, &ack);
	segment(PORT_ECHO, TCP_ACK | TCP_FIN, seq, ack, "bye", 3);
	expect_segment(TCP_ACK | TCP_FIN, ack, seq + 4, "bye");
	segment(PORT_ECHO, TCP_RST, seq + 4, 0, NULL, 0);
	is_gone(PORT_ECHO, seq, ack);
}

static void we_close(void **state)
{
	uint32_t seq, ack;

	(void)state;
	connect_to(PORT_ONCE, &seq, &ack);
	segment(PORT_ONCE, TCP_ACK, seq, ack, "x", 1);
	expect_segment(TCP_ACK | TCP_FIN, ack, seq + 1, "x");
	segment(PORT_ONCE, TCP_ACK, seq + 1, ack + 2, NULL, 0); /* FIN_WAIT_2 */
	nothing_sent();
	segment(PORT_ONCE, TCP_ACK | TCP_FIN, seq + 1, ack + 2, NULL, 0);
	expect_segment(TCP_ACK, ack + 2, seq + 2, "");
	/*
	 * TIME_WAIT: a repeated FIN is acknowledged again, a reset does not end it, an old SYN is
	 * refused.
	 */
	segment(PORT_ONCE, TCP_ACK | TCP_FIN, seq + 1, ack + 2, NULL, 0);
	expect_segment(TCP_ACK, ack + 2, seq + 2, "");
	segment(PORT_ONCE, TCP_RST, seq + 2, 0, NULL, 0);
	nothing_sent();
	segment(PORT_ONCE, TCP_SYN, seq - 100, 0, NULL, 0);
	expect_segment(TCP_ACK, ack + 2, seq + 2, "");
	/* A new one, behind all that was before, begins a new connection. */
	segment(PORT_ONCE, TCP_SYN, seq + 1000, 0, NULL, 0);
	struct sent *s = next_sent();

	assert_int_equal(s->flags, TCP_SYN | TCP_ACK);
	assert_true(seq_before(ack + 2, s->seq));
	segment(PORT_ONCE, TCP_RST, seq + 1001, 0, NULL, 0);
}

static void time_wait_ends(void **state)
{
	uint32_t seq, ack;

	(void)state;
	connect_to(PORT_ONCE, &seq, &ack);
	segment(PORT_ONCE, TCP_ACK, seq, ack, "x", 1);
	next_sent();
	segment(PORT_ONCE, TCP_ACK | TCP_FIN, seq + 1, ack + 2, NULL, 0);
	expect_segment(TCP_ACK, ack + 2, seq + 2, "");
	wait_us(61 * US);
	nothing_sent();
	is_gone(PORT_ONCE, seq + 2, ack + 2);
}

static void both_close_at_once(void **state)
{
	uint32_t seq, ack;

	(void)state;
	connect_to(PORT_ONCE, &seq, &ack);
	segment(PORT_ONCE, TCP_ACK, seq, ack, "x", 1);
	expect_segment(TCP_ACK | TCP_FIN, ack, seq + 1, "x");
	segment(PORT_ONCE, TCP_ACK | TCP_FIN, seq + 1, ack, NULL, 0); /* has not seen ours */
	expect_segment(TCP_ACK, ack + 2, seq + 2, "");
	segment(PORT_ONCE, TCP_ACK, seq + 2, ack + 2, NULL, 0);
	segment(PORT_ONCE, TCP_ACK | TCP_FIN, seq + 1, ack + 2, NULL,
		0); /* still answered: TIME_WAIT */
	expect_segment(TCP_ACK, ack + 2, seq + 2, "");
}

static void no_service(void **state)
{
	struct sent *s;

	(void)state;
	port++;
	segment(81, TCP_SYN, 77, 0, NULL, 0);
	s = next_sent();
	assert_int_equal(s->flags, TCP_RST | TCP_ACK);
	assert_int_equal(s->ack, 78);
	segment(81, TCP_ACK, 77, 1234, "abc", 3);
	s = next_sent();
	assert_int_equal(s->flags, TCP_RST);
	assert_int_equal(s->seq, 1234);
	segment(81, TCP_RST, 77, 0, NULL, 0); /* never a reset for a reset */
	segment(81, 0, 77, 0, NULL, 0);
	segment(PORT_ECHO, TCP_FIN, 77, 0, NULL, 0);
	nothing_sent();
}

static void gaps_and_overlaps(void **state)
{
	uint32_t seq, ack;

	(void)state;
	connect_to(PORT_ECHO, &seq, &ack);
	segment(PORT_ECHO, TCP_ACK, seq + 6, ack, "ghi", 3);
	expect_segment(TCP_ACK, ack, seq, "");
	segment(PORT_ECHO, TCP_ACK, seq + 3, ack, "defg", 4); /* overlaps what is ahead */
	expect_segment(TCP_ACK, ack, seq, "");
	segment(PORT_ECHO, TCP_ACK, seq + 3, ack, "defghi", 6); /* all known */
	expect_segment(TCP_ACK, ack, seq, "");
	segment(PORT_ECHO, TCP_ACK | TCP_FIN, seq + 11, ack, "l", 1); /* the end, ahead */
	expect_segment(TCP_ACK, ack, seq, "");
	segment(PORT_ECHO, TCP_ACK, seq, ack, "abcd", 4);
	expect_segment(TCP_ACK, ack, seq + 9, "abcdefghi");
	segment(PORT_ECHO, TCP_ACK, seq, ack + 9, "abcd", 4); /* old */
	expect_segment(TCP_ACK, ack + 9, seq + 9, "");
	segment(PORT_ECHO, TCP_ACK, seq + 7, ack + 9, "hijk", 4); /* old front, new end */
	expect_segment(TCP_ACK | TCP_FIN, ack + 9, seq + 13, "jkl");
	segment(PORT_ECHO, TCP_RST, seq + 13, 0, NULL, 0);
}

static void outside_the_window(void **state)
{
	uint32_t seq, ack;
	uint64_t before = counters.tcp_unacceptable;

	(void)state;
	connect_to(PORT_ECHO, &seq, &ack);
	segment(PORT_ECHO, TCP_ACK, seq + 70000, ack, "x", 1);
	expect_segment(TCP_ACK, ack, seq, "");
	segment(PORT_ECHO, TCP_ACK, seq - 100000000, ack, "x", 1);
	expect_segment(TCP_ACK, ack, seq, "");
	segment(PORT_ECHO, TCP_RST, seq + 70000, 0, NULL, 0);
	nothing_sent();
	segment(PORT_ECHO, TCP_RST, seq + 1, 0, NULL, 0); /* inside, but not exact */
	expect_segment(TCP_ACK, ack, seq, "");
	segment(PORT_ECHO, TCP_SYN, seq + 5, 0, NULL, 0);
	expect_segment(TCP_ACK, ack, seq, "");
	segment(PORT_ECHO, TCP_ACK, seq, ack + 1, "x", 1); /* acknowledges what was not sent */
	expect_segment(TCP_ACK, ack, seq, "");
	segment(PORT_ECHO, 0, seq, 0, "x", 1); /* no acknowledgement at all */
	nothing_sent();
	assert_true(counters.tcp_unacceptable > before);
	segment(PORT_ECHO, TCP_ACK, seq, ack, "alive", 5);
	expect_segment(TCP_ACK, ack, seq + 5, "alive");
	segment(PORT_ECHO, TCP_RST, seq + 5, 0, NULL, 0);
	is_gone(PORT_ECHO, seq + 5, ack);
}

static void time_stamps(void **state)
{
	uint8_t syn[20] = { 2, 4, 5, 180, 1, 3, 3, 7, 1, 1, 8, 10, 0, 0, 1, 0, 0, 0, 0, 0 };
	uint8_t now[12] = { 1, 1, 8, 10, 0, 0, 1, 1, 0, 0, 0, 0 };
	uint8_t old[12] = { 1, 1, 8, 10, 0, 0, 0, 255, 0, 0, 0, 0 };
	uint32_t seq = 5000, ack;

	(void)state;
	port++;
	segment_with(PORT_ECHO, TCP_SYN, seq++, 0, 65535, NULL, 0, syn, sizeof(syn));
	ack = next_sent()->seq + 1;
	segment_with(PORT_ECHO, TCP_ACK, seq, ack, 512, "a", 1, now, sizeof(now));
	expect_segment(TCP_ACK, ack, seq + 1, "a");
	segment_with(PORT_ECHO, TCP_ACK, seq + 1, ack + 1, 512, "b", 1, old, sizeof(old));
	expect_segment(TCP_ACK, ack + 1, seq + 1, ""); /* PAWS: not taken */
	segment_with(PORT_ECHO, TCP_ACK, seq + 1, ack + 1, 512, "b", 1, now, sizeof(now));
	expect_segment(TCP_ACK, ack + 1, seq + 2, "b");
	segment(PORT_ECHO, TCP_RST, seq + 2, 0, NULL, 0);
}

static void expect_blocks(uint32_t seq, const uint32_t *starts, uint32_t count)
{
	struct sent *s = next_sent();

	assert_int_equal(s->options_length, count > 0 ? 4 + 8 * count : 0);
	for (uint32_t i = 0; i < count; i++) {
		assert_int_equal(s->options[2], TCP_OPTION_SACK);
		assert_int_equal(s->options[3], 2 + 8 * count);
		assert_int_equal(get_be32(s->options + 4 + 8 * i), seq + starts[i]);
		assert_int_equal(get_be32(s->options + 8 + 8 * i), seq + starts[i] + 10);
	}
}

/* What lies behind gaps is told, the latest first, to who wants to know. */
static void selective_acknowledgements(void **state)
{
	uint8_t syn[4] = { 1, 1, TCP_OPTION_SACK_OK, 2 };
	uint32_t seq = 5000, ack;
	char data[100];

	(void)state;
	memset(data, 'x', sizeof(data));
	port++;
	segment_with(PORT_DISCARD, TCP_SYN, seq++, 0, 65535, NULL, 0, syn, sizeof(syn));
	struct sent *s = next_sent();

	assert_memory_equal(s->options + s->options_length - 4, syn, sizeof(syn));
	ack = s->seq + 1;
	segment(PORT_DISCARD, TCP_ACK, seq, ack, NULL, 0);
	segment(PORT_DISCARD, TCP_ACK, seq + 100, ack, data, 10);
	expect_blocks(seq, (uint32_t[]){ 100 }, 1);
	segment(PORT_DISCARD, TCP_ACK, seq + 300, ack, data, 10);
	expect_blocks(seq, (uint32_t[]){ 300, 100 }, 2);
	segment(PORT_DISCARD, TCP_ACK, seq + 200, ack, data, 10);
	expect_blocks(seq, (uint32_t[]){ 200, 100, 300 }, 3);
	segment(PORT_DISCARD, TCP_ACK, seq + 500, ack, data, 10);
	expect_blocks(seq, (uint32_t[]){ 500, 200, 100 }, 3);
	segment(PORT_DISCARD, TCP_ACK, seq, ack, data, 100); /* closes the first gap */
	s = next_sent();
	assert_int_equal(s->ack, seq + 110);
	for (uint32_t at = 110; at < 500; at += 10)
		segment(PORT_DISCARD, TCP_ACK, seq + at, ack, data, 10);
	s = &sent[sent_count - 1];
	assert_int_equal(s->ack, seq + 510);
	assert_int_equal(s->options_length, 0);
	segment(PORT_DISCARD, TCP_RST, seq + 510, 0, NULL, 0);
}

static void retransmission(void **state)
{
	uint64_t last, gap = 0;
	uint32_t seq, ack;
	unsigned repeats = 0;

	(void)state;
	connect_to(PORT_ECHO, &seq, &ack);
	segment(PORT_ECHO, TCP_ACK, seq, ack, "lost", 4);
	expect_segment(TCP_ACK, ack, seq + 4, "lost");
	last = hosted_us;
	/* Again and again, at growing distances, then not any more. */
	for (int i = 0; i < 20 * 60; i++) {
		wait_us(US);
		while (sent_read < sent_count) {
			expect_segment(TCP_ACK, ack, seq + 4, "lost");
			assert_true(hosted_us - last + US >= gap);
			gap = hosted_us - last;
			last = hosted_us;
			repeats++;
		}
	}
	assert_true(repeats >= 5 && repeats <= 20);
	is_gone(PORT_ECHO, seq + 4, ack);
}

static void syn_ack_is_repeated_not_for_ever(void **state)
{
	unsigned repeats = 0;

	(void)state;
	port++;
	segment(PORT_ECHO, TCP_SYN, 1, 0, NULL, 0);
	uint32_t ack = next_sent()->seq + 1;

	for (int i = 0; i < 300; i++) {
		wait_us(US);
		for (; sent_read < sent_count; repeats++)
			assert_int_equal(next_sent()->flags, TCP_SYN | TCP_ACK);
	}
	assert_true(repeats >= 3 && repeats <= 10);
	is_gone(PORT_ECHO, 2, ack);
}

static void fast_retransmission(void **state)
{
	uint32_t seq, ack;
	unsigned full = 0;

	(void)state;
	port++;
	segment(PORT_CHARGEN, TCP_SYN, 1000, 0, NULL, 0);
	ack = next_sent()->seq + 1;
	seq = 1001;
	segment(PORT_CHARGEN, TCP_ACK, seq, ack, NULL, 0);
	for (full = 0; sent_read < sent_count; full++)
		next_sent();
	assert_true(full >= 4); /* the initial window */
	for (int i = 0; i < 2; i++)
		segment(PORT_CHARGEN, TCP_ACK, seq, ack, NULL, 0);
	nothing_sent();
	segment(PORT_CHARGEN, TCP_ACK, seq, ack, NULL, 0); /* the third in a row */
	struct sent *s = next_sent();

	assert_int_equal(s->seq, ack);
	assert_true(s->length > 0);
	segment(PORT_CHARGEN, TCP_RST, seq, 0, NULL, 0);
}

static void closed_window(void **state)
{
	uint32_t seq, ack;
	bool probed = false;

	(void)state;
	connect_to(PORT_ECHO, &seq, &ack);
	segment_with(PORT_ECHO, TCP_ACK, seq, ack, 0, "held back", 9, NULL, 0);
	expect_segment(TCP_ACK, ack, seq + 9, "");
	/* Probed for ever, as long as the peer answers. */
	for (int i = 0; i < 30; i++) {
		wait_us(61 * US);
		for (; sent_read < sent_count; probed = true) {
			struct sent *s = next_sent();

			assert_int_equal(s->seq, ack);
			assert_true(s->length <= 1);
		}
		segment_with(PORT_ECHO, TCP_ACK, seq + 9, ack, 0, NULL, 0, NULL, 0);
		sent_read = sent_count;
	}
	assert_true(probed);
	segment_with(PORT_ECHO, TCP_ACK, seq + 9, ack, 1000, NULL, 0, NULL, 0);
	expect_segment(TCP_ACK, ack, seq + 9, "held back");
	segment(PORT_ECHO, TCP_RST, seq + 9, 0, NULL, 0);
}

static void full_ring(void **state)
{
	uint32_t seq, ack;

	(void)state;
	connect_to(PORT_ECHO, &seq, &ack);
	hosted_buffers_left = 0;
	segment(PORT_ECHO, TCP_ACK, seq, ack, "wait", 4);
	nothing_sent();
	hosted_buffers_left = UINT32_MAX;
	tcp_flush();
	expect_segment(TCP_ACK, ack, seq + 4, "wait");
	segment(PORT_ECHO, TCP_RST, seq + 4, 0, NULL, 0);
}

/* What finds no buffer goes out when there is one, not when a timer remembers it. */
static void full_ring_delays_a_syn_ack(void **state)
{
	uint64_t now = hosted_us, lost = counters.tx_lost;

	(void)state;
	port++;
	hosted_buffers_left = 0;
	segment(PORT_ECHO, TCP_SYN, 1000, 0, NULL, 0);
	segment(PORT_ECHO, TCP_SYN, 1000, 0, NULL,
		0); /* and it is one, however often it was asked for */
	nothing_sent();
	hosted_buffers_left = UINT32_MAX;
	tcp_flush();
	struct sent *s = next_sent();

	assert_int_equal(s->flags, TCP_SYN | TCP_ACK);
	nothing_sent();
	assert_int_equal(hosted_us, now);
	assert_int_equal(counters.tx_lost, lost);
	segment(PORT_ECHO, TCP_RST, 1001, 0, NULL, 0);
}

/* Every connection of a burst larger than the ring gets its answer, in order. */
static void full_ring_delays_many(void **state)
{
	enum { BURST = 1000 };
	uint16_t first = (uint16_t)(port + 1);

	(void)state;
	hosted_buffers_left = 3;
	for (uint32_t i = 0; i < BURST; i++) {
		port++;
		segment(PORT_ECHO, TCP_SYN, 1000, 0, NULL, 0);
	}
	for (uint32_t i = 0; i < BURST; i++) {
		if (sent_read == sent_count) {
			hosted_buffers_left = 7;
			tcp_flush();
		}
		struct sent *s = next_sent();

		assert_int_equal(s->to_port, first + i);
		assert_int_equal(s->flags, TCP_SYN | TCP_ACK);
	}
	nothing_sent();
	hosted_buffers_left = UINT32_MAX;
	for (uint32_t i = 0; i < BURST; i++) {
		port = (uint16_t)(first + i);
		segment(PORT_ECHO, TCP_RST, 1001, 0, NULL, 0);
	}
}

/* A timer's segment waits for its buffer too: the probe of a closed window. */
static void full_ring_delays_a_probe(void **state)
{
	uint64_t lost = counters.tx_lost;
	uint32_t seq, ack;

	(void)state;
	connect_to(PORT_ECHO, &seq, &ack);
	segment_with(PORT_ECHO, TCP_ACK, seq, ack, 0, "wait", 4, NULL, 0);
	expect_segment(TCP_ACK, ack, seq + 4, "");
	hosted_buffers_left = 0;
	wait_us(5 * US);
	nothing_sent();
	hosted_buffers_left = UINT32_MAX;
	wait_us(20000);
	expect_segment(TCP_ACK, ack, seq + 4, "w");
	assert_int_equal(counters.tx_lost, lost);
	segment(PORT_ECHO, TCP_RST, seq + 4, 0, NULL, 0);
}

static void cookies(void **state)
{
	uint64_t before = counters.tcp_cookies_sent;
	uint32_t seq, ack, old_seq, old_ack;
	uint16_t old_port;

	(void)state;
	connect_to(PORT_ECHO, &old_seq, &old_ack);
	old_port = port;
	for (int i = 0; i < 9200; i++) {
		port++;
		segment(PORT_ECHO, TCP_SYN, 1000, 0, NULL, 0);
		assert_int_equal(next_sent()->flags, TCP_SYN | TCP_ACK);
	}
	assert_true(counters.tcp_cookies_sent - before >= 900);
	/* A wrong answer, a changed one, then the right one. */
	seq = 1001;
	ack = sent[sent_count - 1].seq + 1;
	segment(PORT_ECHO, TCP_ACK, seq, ack ^ 0x10, NULL, 0);
	assert_int_equal(next_sent()->flags, TCP_RST);
	segment(PORT_ECHO, TCP_ACK, seq + 1, ack, NULL, 0);
	assert_int_equal(next_sent()->flags, TCP_RST);
	segment(PORT_ECHO, TCP_ACK, seq, ack, "cookie", 6);
	expect_segment(TCP_ACK, ack, seq + 6, "cookie");
	segment(PORT_ECHO, TCP_RST, seq + 6, 0, NULL, 0);
	/* What was established before is not hurt. */
	port = old_port;
	segment(PORT_ECHO, TCP_ACK, old_seq, old_ack, "there", 5);
	expect_segment(TCP_ACK, old_ack, old_seq + 5, "there");
	segment(PORT_ECHO, TCP_RST, old_seq + 5, 0, NULL, 0);
	port = (uint16_t)(old_port + 2001);
	for (int i = 0; i < 200; i++)
		wait_us(US);
	sent_count = sent_read = 0;
}

static void broken_headers(void **state)
{
	uint8_t options[40];
	uint32_t seq, ack;

	(void)state;
	connect_to(PORT_ECHO, &seq, &ack);
	/* Every length and kind of option, with everything behind it missing or there. */
	for (uint32_t kind = 0; kind < 12; kind++)
		for (uint32_t length = 0; length < 256; length += 3)
			for (uint32_t size = 4; size <= sizeof(options); size += 12) {
				memset(options, 1, sizeof(options));
				options[size - 2] = (uint8_t)kind;
				options[size - 1] = (uint8_t)length;
				segment_with(PORT_ECHO, TCP_ACK, seq, ack, 65535, NULL, 0, options,
					     size);
			}
	sent_count = sent_read = 0;
	segment(PORT_ECHO, TCP_ACK, seq, ack, "alive", 5);
	expect_segment(TCP_ACK, ack, seq + 5, "alive");
	segment(PORT_ECHO, TCP_RST, seq + 5, 0, NULL, 0);
}

/* Whatever comes, in whatever order: no fault (the sanitizers look), and new connections work. */
static void anything(void **state)
{
	static const uint16_t ports[] = { PORT_ECHO,	PORT_ONCE, PORT_DISCARD,
					  PORT_CHARGEN, PORT_HTTP, 81 };
	uint8_t data[1400];
	uint32_t seq, ack;
	uint16_t first = (uint16_t)(port + 1);

	(void)state;
	srand(7);
	memset(data, 'x', sizeof(data));
	for (int i = 0; i < 60000; i++) {
		uint16_t to = ports[(uint32_t)rand() % ARRAY_SIZE(ports)];
		uint32_t last =
			sent_count > 0 ? sent[sent_count - 1].seq + sent[sent_count - 1].length : 0;
		uint32_t known = sent_count > 0 ? sent[sent_count - 1].ack : 0;
		uint8_t flags = (uint8_t)(rand() & 0x1f);

		port = (uint16_t)(first + rand() % 8);
		if (rand() % 4 != 0)
			flags = rand() % 3 ? TCP_ACK : TCP_SYN;
		segment_with(to, flags, known + (uint32_t)(rand() % 5 ? 0 : rand() % 3000 - 1500),
			     last + (uint32_t)(rand() % 5 ? 0 : rand() % 3000 - 1500),
			     (uint32_t)(rand() % 3 ? 65535 : rand() % 2000), data,
			     (uint32_t)(rand() % 2 ? 0 : rand() % 1400), NULL, 0);
		if (rand() % 50 == 0)
			wait_us((uint64_t)(rand() % 400000));
		if (sent_count > SENT_MAX / 2) {
			sent[0] = sent[sent_count - 1];
			sent_count = 1;
		}
	}
	port = (uint16_t)(first + 8);
	sent_count = sent_read = 0;
	connect_to(PORT_ECHO, &seq, &ack);
	segment(PORT_ECHO, TCP_ACK, seq, ack, "alive", 5);
	expect_segment(TCP_ACK, ack, seq + 5, "alive");
}

/* Forgets what was sent, so that tests do not see each other's. */
static int fresh(void **state)
{
	(void)state;
	sent_count = sent_read = 0;
	return 0;
}

static int start(void **state)
{
	(void)state;
	hosted_us = US;
	return tcp_start() && echo_start() && http_start() ? 0 : -1;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(peer_closes, fresh),
		cmocka_unit_test_setup(data_and_fin_at_once, fresh),
		cmocka_unit_test_setup(we_close, fresh),
		cmocka_unit_test_setup(time_wait_ends, fresh),
		cmocka_unit_test_setup(both_close_at_once, fresh),
		cmocka_unit_test_setup(no_service, fresh),
		cmocka_unit_test_setup(gaps_and_overlaps, fresh),
		cmocka_unit_test_setup(outside_the_window, fresh),
		cmocka_unit_test_setup(time_stamps, fresh),
		cmocka_unit_test_setup(selective_acknowledgements, fresh),
		cmocka_unit_test_setup(retransmission, fresh),
		cmocka_unit_test_setup(syn_ack_is_repeated_not_for_ever, fresh),
		cmocka_unit_test_setup(fast_retransmission, fresh),
		cmocka_unit_test_setup(closed_window, fresh),
		cmocka_unit_test_setup(full_ring, fresh),
		cmocka_unit_test_setup(full_ring_delays_a_syn_ack, fresh),
		cmocka_unit_test_setup(full_ring_delays_many, fresh),
		cmocka_unit_test_setup(full_ring_delays_a_probe, fresh),
		cmocka_unit_test_setup(cookies, fresh),
		cmocka_unit_test_setup(broken_headers, fresh),
		cmocka_unit_test_setup(anything, fresh),
	};

	return cmocka_run_group_tests(tests, start, NULL);
}
