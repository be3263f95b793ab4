/*
 * The server's side of netperf: TCP_CRR, TCP_RR, TCP_CC, TCP_STREAM, TCP_SENDFILE, TCP_MAERTS, UDP_RR and
 * UDP_STREAM.
 */
#include "guest-tests/guests/paired/clock.h"
#include "guest-tests/guests/paired/lib.h"
#include "guest-tests/guests/paired/machine.h"
#include "guest-tests/guests/paired/netperf.h"
#include "guest-tests/guests/paired/services.h"

#define SESSIONS	    1024 /* netperf's own way to have many at a time is to be started as often */
#define FIRST_PORT	    20000
#define BUFFER		    (512u * 1024) /* what it says its socket buffers are */
#define NEVER		    UINT64_MAX
#define US		    1000000ull
/*
 * A timed test in which data comes in is ended by the client's FIN or empty datagram; so much later
 * by the guest, in case that is lost. netperf leaves connection tests without a word.
 */
#define PATIENCE_US	    (20 * US)
#define PATIENCE_CONNECT_US (1 * US)
#define SIZE_LIMIT	    0x40000000u

/* One of netperf's older messages: where its words are. */
static const struct older {
	uint32_t request,
		response; /* types; results have the response's, as netserver sends them */
	uint32_t direction, flags;
	uint8_t seconds, port;					 /* of the request */
	uint8_t told_seconds, told_recv, told_send, told_port;	 /* of the response */
	uint8_t received, receives, transactions, elapsed, cpus; /* of the results; 0xff: none */
} older[] = {
	{ NETPERF_DO_TCP_STREAM, NETPERF_DO_TCP_STREAM + 1, DIRECTION_RECEIVE, 0, 8, 13, 4, 0, 5, 6,
	  0, 2, 0xff, 3, 7 },
	{ NETPERF_DO_TCP_CC, NETPERF_TCP_CC_RESPONSE, 0, FLAG_CONNECT_TEST, CC_REQUEST_SECONDS, 14,
	  3, 0, 4, CC_RESPONSE_DATA_PORT, 0xff, 1, CC_RESULTS_TRANSACTIONS, 3, 7 },
};

struct session {
	struct tcp_conn *control; /* NULL: free */
	uint8_t message[NETPERF_MESSAGE];
	uint32_t got; /* bytes of message */

	bool running;
	const struct older *older; /* begun by one of the older messages, or NULL */
	uint16_t port;
	bool udp;
	uint32_t direction, flags, request_size, response_size;
	uint64_t start, end; /* clock_us() time; end may be NEVER */
	uint64_t
		units_left; /* of a test that is not timed: bytes to send, or transactions; 0 otherwise */
	uint64_t received, sent, receives, sends, transactions;
	struct tcp_conn *data; /* the connection of a test that has one */
};

static struct session *sessions;
static uint32_t sessions_used; /* the first of them have been in use */

uint32_t netperf_seconds(uint64_t us)
{
	uint32_t exponent = 127 + 23;
	uint64_t value = us / US, rest = us % US;

	if (us == 0)
		return 0;
	while (value < 0x800000) {
		rest *= 2;
		value = value * 2 + rest / US;
		rest %= US;
		exponent--;
	}
	while (value >= 0x1000000) {
		value /= 2;
		exponent++;
	}
	return exponent << 23 | ((uint32_t)value & 0x7fffff);
}

uint64_t netperf_double(uint64_t value)
{
	uint32_t exponent = 1023 + 52;

	if (value == 0)
		return 0;
	for (; value < 1ull << 52; value *= 2)
		exponent--;
	for (; value >= 1ull << 53; value /= 2)
		exponent++;
	return (uint64_t)exponent << 52 | (value & ((1ull << 52) - 1));
}

static uint32_t word(const struct session *s, uint32_t index)
{
	return get_be32(s->message + 4 * (NETPERF_HEAD + index));
}

static void put_word(uint8_t *message, uint32_t index, uint32_t value)
{
	put_be32(message + 4 * (NETPERF_HEAD + index), value);
}

static void send_message(struct session *s, uint8_t *message, uint32_t type, uint32_t error)
{
	put_be32(message, type);
	put_be32(message + 4, error);
	/* A client that lets answers pile up is none. */
	if (tcp_send(s->control, message, NETPERF_MESSAGE) != NETPERF_MESSAGE)
		tcp_abort(s->control);
}

static struct session *session_of_port(uint16_t port)
{
	for (uint32_t i = 0; i < sessions_used; i++)
		if (sessions[i].control != NULL && sessions[i].running && sessions[i].port == port)
			return &sessions[i];
	return NULL;
}

static bool is_rr(const struct session *s)
{
	return s->direction == (DIRECTION_SEND | DIRECTION_RECEIVE);
}

static void stop_listening(struct session *s)
{
	if (s->port == 0)
		return;
	if (s->udp)
		udp_listen(s->port, NULL);
	else
		tcp_listen(s->port, NULL);
	s->port = 0;
}

static void put_omni_results(const struct session *s, uint8_t *results)
{
	put_word(results, RESULTS_RECEIVED_HIGH, (uint32_t)(s->received >> 32));
	put_word(results, RESULTS_RECEIVED_LOW, (uint32_t)s->received);
	put_word(results, RESULTS_RECV_CALLS, (uint32_t)s->receives);
	put_word(results, RESULTS_RECV_BUF, BUFFER);
	put_word(results, RESULTS_SENT_HIGH, (uint32_t)(s->sent >> 32));
	put_word(results, RESULTS_SENT_LOW, (uint32_t)s->sent);
	put_word(results, RESULTS_SEND_CALLS, (uint32_t)s->sends);
	put_word(results, RESULTS_SEND_BUF, BUFFER);
	put_word(results, RESULTS_TRANSACTIONS, (uint32_t)s->transactions);
	put_word(results, RESULTS_ELAPSED, netperf_seconds(clock_us() - s->start));
	put_word(results, RESULTS_CPUS, 1);
}

static void put_older_results(const struct session *s, uint8_t *results)
{
	uint64_t received = netperf_double(s->received);

	put_word(results, s->older->receives, (uint32_t)s->receives);
	put_word(results, s->older->elapsed, netperf_seconds(clock_us() - s->start));
	put_word(results, s->older->cpus, 1);
	if (s->older->transactions != 0xff)
		put_word(results, s->older->transactions, (uint32_t)s->transactions);
	if (s->older->received != 0xff) {
		put_word(results, s->older->received, (uint32_t)(received >> 32));
		put_word(results, s->older->received + 1u, (uint32_t)received);
	}
}

static void finish(struct session *s)
{
	uint8_t results[NETPERF_MESSAGE] = { 0 };

	if (s->older != NULL)
		put_older_results(s, results);
	else
		put_omni_results(s, results);
	s->running = false;
	if (s->data != NULL)
		tcp_close(s->data);
	s->data = NULL;
	/* Not the port: a connection test's last connections may still be coming. */
	send_message(s, results, s->older != NULL ? s->older->response : NETPERF_OMNI_RESULTS, 0);
}

/* The data connection. words.a: bytes of the current request that are still to come */

static void send_stream(struct session *s, struct tcp_conn *conn)
{
	uint64_t offered;
	uint32_t taken;

	do {
		offered = PATTERN_SIZE;
		if (s->end == NEVER && s->units_left < offered)
			offered = s->units_left;
		taken = tcp_send(conn, pattern_bytes(), (uint32_t)offered);
		s->sent += taken;
		s->sends++;
		if (s->end == NEVER) {
			s->units_left -= taken;
			if (s->units_left == 0) {
				finish(s);
				return;
			}
		}
	} while (taken == offered);
}

/* A transaction of a connection test ends with its connection; the last one of a counted test ends that too. */
static void count_and_close(struct session *s, struct tcp_conn *conn)
{
	s->transactions++;
	tcp_close(conn);
	if (s->end == NEVER && s->transactions >= s->units_left)
		finish(s);
}

static void data_opened(struct tcp_conn *conn)
{
	struct session *s = session_of_port(tcp_port(conn));

	if (s == NULL) {
		tcp_abort(conn);
		return;
	}
	tcp_words(conn)->a = s->request_size;
	if (s->flags & FLAG_CONNECT_TEST) {
		if (s->direction == 0) /* nothing but connections */
			count_and_close(s, conn);
		return;
	}
	s->data = conn;
	if (s->direction == DIRECTION_SEND)
		send_stream(s, conn);
}

/* One request is there: answer it. */
static void respond(struct session *s, struct tcp_conn *conn)
{
	uint32_t left = s->response_size;

	while (left > 0) {
		uint32_t n = min_u32(left, PATTERN_SIZE);

		if (tcp_send(conn, pattern_bytes(), n) != n) {
			tcp_abort(conn); /* no client leaves so much unread */
			s->data = NULL;
			return;
		}
		left -= n;
	}
	s->sent += s->response_size;
	s->sends++;
	if (s->flags & FLAG_CONNECT_TEST)
		count_and_close(s, conn);
	else
		s->transactions++;
}

static uint32_t data_received(struct tcp_conn *conn, const uint8_t *data, uint32_t length)
{
	struct session *s = session_of_port(tcp_port(conn));
	struct tcp_words *words = tcp_words(conn);
	uint32_t left = length;

	if (s == NULL || tcp_closing(conn))
		return length;
	s->received += length;
	s->receives++;
	if (!is_rr(s))
		return length;
	while (left >= words->a && !tcp_closing(conn)) {
		left -= words->a;
		words->a = s->request_size;
		respond(s, conn);
	}
	words->a -= left;
	return length;
}

static void data_writable(struct tcp_conn *conn)
{
	struct session *s = session_of_port(tcp_port(conn));

	if (s != NULL && s->data == conn && s->direction == DIRECTION_SEND)
		send_stream(s, conn);
}

static void data_ended(struct tcp_conn *conn)
{
	struct session *s = session_of_port(tcp_port(conn));

	tcp_close(conn);
	if (s != NULL && s->data == conn)
		finish(s);
}

static void data_gone(struct tcp_conn *conn)
{
	struct session *s = session_of_port(tcp_port(conn));

	if (s != NULL && s->data == conn) {
		s->data = NULL;
		finish(s);
	}
}

static const struct tcp_service data_service = {
	.opened = data_opened,
	.received = data_received,
	.writable = data_writable,
	.ended = data_ended,
	.gone = data_gone,
};

static void data_datagram(const struct udp_datagram *datagram)
{
	struct session *s = session_of_port(datagram->port);

	if (s == NULL)
		return;
	if (datagram->length == 0) { /* how netperf says that it was the last */
		finish(s);
		return;
	}
	s->received += datagram->length;
	s->receives++;
	if (is_rr(s)) {
		udp_answer(datagram, pattern_bytes(), s->response_size);
		s->sent += s->response_size;
		s->sends++;
		s->transactions++;
	}
}

static uint32_t size_word(const struct session *s, uint32_t index, uint32_t otherwise)
{
	uint32_t size = word(s, index);

	return size == 0 || size > SIZE_LIMIT ? otherwise : size;
}

/* Listens, and starts the clock. length: seconds, or below 0 how many transactions or bytes. */
static bool start(struct session *s, uint32_t port, int32_t length)
{
	stop_listening(s);
	if (port > UINT16_MAX)
		return false;
	s->received = s->sent = s->receives = s->sends = s->transactions = 0;
	s->data = NULL;
	s->port = (uint16_t)(port != 0 ? port : FIRST_PORT + (uint32_t)(s - sessions));
	if (s->udp ? !udp_listen(s->port, data_datagram) : !tcp_listen(s->port, &data_service)) {
		s->port = 0;
		return false;
	}
	s->start = clock_us();
	s->end = NEVER;
	s->units_left = length < 0 ? (uint64_t) - (int64_t)length : 0;
	if (length > 0)
		s->end = s->start + (uint64_t)length * US;
	if (length > 0 && (s->flags & FLAG_CONNECT_TEST))
		s->end += PATIENCE_CONNECT_US;
	else if (length > 0 && s->direction != DIRECTION_SEND)
		s->end += PATIENCE_US;
	s->running = true;
	return true;
}

/* Begins a test that one of the older messages asks for; false if this is none. */
static bool begin_older(struct session *s, uint32_t type, uint8_t *response)
{
	s->older = NULL;
	for (uint32_t i = 0; i < sizeof(older) / sizeof(older[0]); i++)
		if (older[i].request == type)
			s->older = &older[i];
	if (s->older == NULL)
		return false;
	s->udp = false;
	s->direction = s->older->direction;
	s->flags = s->older->flags;
	if (!start(s, word(s, s->older->port), (int32_t)word(s, s->older->seconds)))
		return false;
	put_word(response, s->older->told_recv, BUFFER);
	put_word(response, s->older->told_seconds, word(s, s->older->seconds));
	put_word(response, s->older->told_send, BUFFER);
	put_word(response, s->older->told_port, s->port);
	return true;
}

/* Begins a test. False if it is one that is not served here. */
static bool begin(struct session *s, uint8_t *response)
{
	uint32_t protocol = word(s, REQUEST_PROTOCOL);
	int32_t length = (int32_t)word(s, REQUEST_SECONDS);

	s->older = NULL;
	s->direction = word(s, REQUEST_DIRECTION) & (DIRECTION_SEND | DIRECTION_RECEIVE);
	s->flags = word(s, REQUEST_FLAGS);
	s->request_size = size_word(s, REQUEST_REQUEST_SIZE, 1);
	s->response_size = size_word(s, REQUEST_RESPONSE_SIZE, 1);
	s->udp = protocol == IP_UDP;
	/* Sending UDP at a client without being asked is not served. */
	if ((protocol != IP_TCP && protocol != IP_UDP) ||
	    (s->udp && !(s->direction & DIRECTION_RECEIVE)) ||
	    !start(s, word(s, REQUEST_DATA_PORT), length))
		return false;
	put_word(response, RESPONSE_RECV_BUF, BUFFER);
	put_word(response, RESPONSE_RECEIVE_SIZE,
		 is_rr(s) ? s->request_size : size_word(s, REQUEST_RECEIVE_SIZE, PATTERN_SIZE));
	put_word(response, RESPONSE_RECV_WIDTH, 1);
	put_word(response, RESPONSE_SEND_BUF, BUFFER);
	put_word(response, RESPONSE_SEND_SIZE,
		 is_rr(s) ? s->response_size : size_word(s, REQUEST_SEND_SIZE, PATTERN_SIZE));
	put_word(response, RESPONSE_SEND_WIDTH, 1);
	put_word(response, RESPONSE_FLAGS, FLAG_NO_DELAY); /* and no CPU measurement */
	put_word(response, RESPONSE_SECONDS, (uint32_t)length);
	put_word(response, RESPONSE_DATA_PORT, s->port);
	return true;
}

static void handle_message(struct session *s)
{
	uint8_t response[NETPERF_MESSAGE] = { 0 };
	uint32_t type = get_be32(s->message);

	if (type == NETPERF_DEBUG_ON || type == NETPERF_DEBUG_OFF)
		send_message(s, response, NETPERF_DEBUG_OK, 0);
	else if (type == NETPERF_CPU_CALIBRATE)
		send_message(s, response, NETPERF_CPU_CALIBRATE, 0);
	else if (type == NETPERF_DO_OMNI && !s->running && begin(s, response))
		send_message(s, response, NETPERF_OMNI_RESPONSE, 0);
	else if (!s->running && begin_older(s, type, response))
		send_message(s, response, s->older->response, 0);
	else
		send_message(s, response, NETPERF_OMNI_RESPONSE, NETPERF_ERROR_UNKNOWN);
}

/* The control connection. words.pointer: its session */

static void control_opened(struct tcp_conn *conn)
{
	uint32_t i = 0;

	while (i < sessions_used && sessions[i].control != NULL)
		i++;
	if (i == SESSIONS) {
		tcp_abort(conn);
		return;
	}
	sessions_used = max_u32(sessions_used, i + 1);
	memset(&sessions[i], 0, sizeof(sessions[i]));
	sessions[i].control = conn;
	tcp_words(conn)->pointer = &sessions[i];
}

static uint32_t control_received(struct tcp_conn *conn, const uint8_t *data, uint32_t length)
{
	struct session *s = tcp_words(conn)->pointer;

	for (uint32_t left = length; left > 0 && !tcp_closing(conn);) {
		uint32_t n = min_u32(left, NETPERF_MESSAGE - s->got);

		memcpy(s->message + s->got, data, n);
		s->got += n;
		data += n;
		left -= n;
		if (s->got == NETPERF_MESSAGE) {
			s->got = 0;
			handle_message(s);
		}
	}
	return length;
}

static void control_gone(struct tcp_conn *conn)
{
	struct session *s = tcp_words(conn)->pointer;

	if (s == NULL)
		return;
	s->running = false;
	stop_listening(s);
	if (s->data != NULL)
		tcp_abort(s->data);
	s->data = NULL;
	s->control = NULL;
}

static const struct tcp_service control_service = {
	.opened = control_opened,
	.received = control_received,
	.ended = tcp_close,
	.gone = control_gone,
};

uint64_t netperf_timers(uint64_t now)
{
	uint64_t next = NEVER;

	for (uint32_t i = 0; i < sessions_used; i++) {
		struct session *s = &sessions[i];

		if (s->control == NULL || !s->running)
			continue;
		if (s->end <= now)
			finish(s);
		else if (s->end < next)
			next = s->end;
	}
	return next;
}

bool netperf_start(void)
{
	sessions = machine_alloc(SESSIONS * sizeof(*sessions));
	return sessions != NULL && tcp_listen(PORT_NETPERF, &control_service);
}
