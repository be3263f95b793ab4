/*
 * Echo, discard and chargen: the services of RFC 862, 863 and 864; and echo once, for
 * connection rates.
 */
#include "guest-tests/guests/paired/lib.h"
#include "guest-tests/guests/paired/machine.h"
#include "guest-tests/guests/paired/services.h"

#define CHARGEN_LINE  74 /* 72 characters and the line's end */
#define CHARGEN_LINES 95

static uint8_t
	*pattern; /* whole cycles of chargen's 95 lines, from the first on, as often as they fit */

const uint8_t *pattern_bytes(void)
{
	return pattern;
}

static void fill_pattern(void)
{
	for (uint32_t i = 0; i < PATTERN_SIZE; i++) {
		uint32_t line = i / CHARGEN_LINE % CHARGEN_LINES, column = i % CHARGEN_LINE;

		if (column < CHARGEN_LINE - 2)
			pattern[i] = (uint8_t)(' ' + (line + column) % CHARGEN_LINES);
		else
			pattern[i] = column == CHARGEN_LINE - 2 ? '\r' : '\n';
	}
}

static uint32_t echo_received(struct tcp_conn *conn, const uint8_t *data, uint32_t length)
{
	/* After tcp_close() nothing can be echoed any more. */
	return tcp_closing(conn) ? length : tcp_send(conn, data, length);
}

static uint32_t echo_room(struct tcp_conn *conn)
{
	return tcp_closing(conn) ? UINT32_MAX : tcp_send_room(conn);
}

/*
 * What comes first is the request, its echo the response; then this side closes, as netserver does
 * in TCP_CRR.
 */
static uint32_t once_received(struct tcp_conn *conn, const uint8_t *data, uint32_t length)
{
	if (!tcp_closing(conn)) {
		tcp_send(conn, data, length);
		tcp_close(conn);
	}
	return length;
}

static uint32_t discard_received(struct tcp_conn *conn, const uint8_t *data, uint32_t length)
{
	return length;
}

/* words.a: where in the pattern's cycle the connection is */
static void chargen_writable(struct tcp_conn *conn)
{
	struct tcp_words *words = tcp_words(conn);
	uint32_t cycle = CHARGEN_LINE * CHARGEN_LINES, taken, offered;

	do {
		offered = cycle - words->a;
		taken = tcp_send(conn, pattern + words->a, offered);
		words->a = (words->a + taken) % cycle;
	} while (taken == offered);
}

static void echo_datagram(const struct udp_datagram *datagram)
{
	udp_answer(datagram, datagram->data, datagram->length);
}

static void discard_datagram(const struct udp_datagram *datagram)
{
}

static void chargen_datagram(const struct udp_datagram *datagram)
{
	udp_answer(datagram, pattern, 6 * CHARGEN_LINE); /* 0 to 512 bytes, says RFC 864 */
}

static const struct tcp_service echo = {
	.received = echo_received,
	.room = echo_room,
	.ended = tcp_close,
};

static const struct tcp_service once = {
	.received = once_received,
	.ended = tcp_close,
};

static const struct tcp_service discard = {
	.received = discard_received,
	.ended = tcp_close,
};

static const struct tcp_service chargen = {
	.opened = chargen_writable,
	.received = discard_received,
	.writable = chargen_writable,
	.ended = tcp_close,
};

bool echo_start(void)
{
	pattern = machine_alloc(PATTERN_SIZE);
	if (pattern == NULL)
		return false;
	fill_pattern();
	return tcp_listen(PORT_ECHO, &echo) && tcp_listen(PORT_ONCE, &once) &&
	       tcp_listen(PORT_DISCARD, &discard) && tcp_listen(PORT_CHARGEN, &chargen) &&
	       udp_listen(PORT_ECHO, echo_datagram) && udp_listen(PORT_DISCARD, discard_datagram) &&
	       udp_listen(PORT_CHARGEN, chargen_datagram);
}
