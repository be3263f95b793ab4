/* TCP: connections that open and close, windows, cookies and nonsense. */
#include <stdlib.h>

#include "guest-tests/guests/paired/counters.h"
#include "guest-tests/guests/paired/lib.h"
#include "guest-tests/guests/paired/services.h"
#include "guest-tests/guests/paired/tcp_internal.h"
#include "guest-tests/guests/paired/test/tcp_peer.h"
#include "vmm/base/test/unit.h"

static void peer_closes(void **state)
{
	uint32_t seq, ack;

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

	connect_to(PORT_ECHO, &seq, &ack);
	segment(PORT_ECHO, TCP_ACK | TCP_FIN, seq, ack, "bye", 3);
	expect_segment(TCP_ACK | TCP_FIN, ack, seq + 4, "bye");
	segment(PORT_ECHO, TCP_RST, seq + 4, 0, NULL, 0);
	is_gone(PORT_ECHO, seq, ack);
}

static void we_close(void **state)
{
	uint32_t seq, ack;

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

static void cookies(void **state)
{
	uint64_t before = counters.tcp_cookies_sent;
	uint32_t seq, ack, old_seq, old_ack;
	uint16_t old_port;

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(peer_closes, peer_fresh),
		cmocka_unit_test_setup(data_and_fin_at_once, peer_fresh),
		cmocka_unit_test_setup(we_close, peer_fresh),
		cmocka_unit_test_setup(time_wait_ends, peer_fresh),
		cmocka_unit_test_setup(both_close_at_once, peer_fresh),
		cmocka_unit_test_setup(no_service, peer_fresh),
		cmocka_unit_test_setup(gaps_and_overlaps, peer_fresh),
		cmocka_unit_test_setup(outside_the_window, peer_fresh),
		cmocka_unit_test_setup(time_stamps, peer_fresh),
		cmocka_unit_test_setup(cookies, peer_fresh),
		cmocka_unit_test_setup(broken_headers, peer_fresh),
		cmocka_unit_test_setup(anything, peer_fresh),
	};

	return cmocka_run_group_tests(tests, peer_start, NULL);
}
