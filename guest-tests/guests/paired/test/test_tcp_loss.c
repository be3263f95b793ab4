/* TCP: what is lost on the line, on either side of it, and full rings. */
#include "guest-tests/guests/paired/counters.h"
#include "guest-tests/guests/paired/lib.h"
#include "guest-tests/guests/paired/services.h"
#include "guest-tests/guests/paired/tcp_internal.h"
#include "guest-tests/guests/paired/test/tcp_peer.h"
#include "vmm/base/test/unit.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(selective_acknowledgements, peer_fresh),
		cmocka_unit_test_setup(retransmission, peer_fresh),
		cmocka_unit_test_setup(syn_ack_is_repeated_not_for_ever, peer_fresh),
		cmocka_unit_test_setup(fast_retransmission, peer_fresh),
		cmocka_unit_test_setup(closed_window, peer_fresh),
		cmocka_unit_test_setup(full_ring, peer_fresh),
		cmocka_unit_test_setup(full_ring_delays_a_syn_ack, peer_fresh),
		cmocka_unit_test_setup(full_ring_delays_many, peer_fresh),
		cmocka_unit_test_setup(full_ring_delays_a_probe, peer_fresh),
	};

	return cmocka_run_group_tests(tests, peer_start, NULL);
}
