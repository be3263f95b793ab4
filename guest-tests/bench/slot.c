/* One connection of the load: what is sent and expected on it, and when it is done. */
#include <endian.h>
#include <errno.h>
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "guest-tests/bench/pattern.h"
#include "guest-tests/bench/slot.h"
#include "vmm/base/util.h"

#define STREAM_BURST  8	 /* sends or receives per event: the clock is looked at in between */
#define SOURCE_TRIES  64 /* busy source ports skipped per connection */
#define SEGMENT_BYTES 1400

void slot_push_idle(struct worker *w, struct slot *s)
{
	s->state = IDLE;
	s->next = w->idle;
	w->idle = s;
}

/* What this connection has delivered: for a sender, what the other side has acknowledged. */
static uint64_t delivered(const struct worker *w, const struct slot *s)
{
	int queued = 0;

	/* A FIN under way is counted in the queue like a byte. */
	if (w->o->test == TEST_STREAM && ioctl(s->fd, SIOCOUTQ, &queued))
		return s->bytes;
	return s->bytes > (uint64_t)queued ? s->bytes - (uint64_t)queued : 0;
}

uint64_t worker_delivered(const struct worker *w)
{
	uint64_t sum = w->bytes_closed;

	if (!opts_stream(w->o))
		return 0;
	for (uint32_t i = 0; i < w->slot_count; i++)
		if (w->slots[i].fd >= 0)
			sum += delivered(w, &w->slots[i]);
	return sum;
}

void slot_close(struct worker *w, struct slot *s)
{
	if (s->fd < 0)
		return;
	if (opts_stream(w->o))
		w->bytes_closed += delivered(w, s);
	close(s->fd);
	s->fd = -1;
}

void slot_fail(struct worker *w, struct slot *s, int why)
{
	w->reached = true;
	w->r->failure[why >= 0 && why < LOAD_FAILURES ? why : EIO]++;
	slot_close(w, s);
	w->busy--;
	s->state = IDLE;
	s->touched = now_ns();
	s->next = NULL;
	*w->resting_tail = s;
	w->resting_tail = &s->next;
}

static void slot_done(struct worker *w, struct slot *s)
{
	static const struct linger reset = { .l_onoff = 1 };
	uint64_t now = now_ns();
	uint64_t to = w->measure_to ? w->measure_to : w->end;
	bool in_window = w->measure_from && !w->measure_to;

	w->r->transactions_all++;
	if (in_window)
		w->r->transactions++;
	if (w->o->rate ? s->intended >= w->warm_end && s->intended < to : in_window)
		hist_add(&w->r->latency, now - s->intended);
	if (w->o->test != TEST_RR && w->o->test != TEST_UDP_RR) { /* which keep theirs */
		if (w->o->close == CLOSE_RESET)
			setsockopt(s->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
		slot_close(w, s);
	}
	w->busy--;
	slot_push_idle(w, s);
}

/* Bind to the next of the source addresses and ports, where any were given. Returns 0 or an errno. */
static int bind_source(struct worker *w, int fd)
{
	const struct client_opts *o = w->o;
	uint64_t turn = w->source_turn++ * o->threads + w->index;
	uint32_t span = o->source_ports.low ? o->source_ports.high - o->source_ports.low + 1 : 1;
	struct sockaddr_in from = { .sin_family = AF_INET };
	int on = 1;

	if (!o->source.count && !o->source_ports.low)
		return 0;
	if (o->source.count)
		from.sin_addr = o->source.address[turn / span % o->source.count];
	if (o->source_ports.low) {
		from.sin_port = htons((uint16_t)(o->source_ports.low + turn % span));
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	} else {
		/* The port is then chosen at connect, when the whole tuple can be told apart. */
		setsockopt(fd, SOL_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
	}
	return bind(fd, (struct sockaddr *)&from, sizeof(from)) ? errno : 0;
}

/* Returns 0, with s->fd connected or on its way, or an errno. */
static int connect_once(struct worker *w, struct slot *s)
{
	const struct client_opts *o = w->o;
	struct sockaddr_in to = { .sin_family = AF_INET,
				  .sin_port = htons((uint16_t)o->port),
				  .sin_addr = o->host };
	struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
				     .data.ptr = s };
	int on = 1, why;

	s->fd = socket(AF_INET,
		       (opts_udp(o) ? SOCK_DGRAM : SOCK_STREAM) | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (s->fd < 0)
		return errno;
	why = bind_source(w, s->fd);
	if (!why && !opts_udp(o) && (o->test == TEST_RR || o->request > SEGMENT_BYTES))
		setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (!why && connect(s->fd, (struct sockaddr *)&to, sizeof(to)) && errno != EINPROGRESS)
		why = errno;
	if (o->test == TEST_MAERTS)
		event.events = EPOLLIN;
	else if (opts_stream(w->o))
		event.events = EPOLLOUT | EPOLLRDHUP;
	if (!why && epoll_ctl(w->epoll, EPOLL_CTL_ADD, s->fd, &event))
		why = errno;
	if (why) {
		close(s->fd);
		s->fd = -1;
	}
	return why;
}

static int slot_connect(struct worker *w, struct slot *s)
{
	int tries = w->o->source_ports.low ? SOURCE_TRIES : 1;
	int why;

	do
		why = connect_once(w, s);
	while (--tries && (why == EADDRINUSE || why == EADDRNOTAVAIL));
	s->bytes = 0;
	s->fresh = true;
	return why;
}

static void slot_send(struct worker *w, struct slot *s)
{
	ssize_t n;

	while (s->sent < w->o->request) {
		n = send(s->fd, w->pattern + s->sent % PATTERN_PERIOD, w->o->request - s->sent,
			 MSG_NOSIGNAL);
		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0) {
			slot_fail(w, s, errno);
			return;
		}
		/* A closed-loop rr measures round trips, not the one connect before them. */
		if (s->fresh && w->o->test == TEST_RR && !w->o->rate)
			s->intended = now_ns();
		s->fresh = false;
		s->sent += (uint32_t)n;
	}
	s->state = RECEIVING;
}

/* Whether the n bytes just received are those that stand @offset bytes into the stream. */
static bool right(const struct worker *w, uint64_t offset, size_t n)
{
	return !worker_checks(w) || !memcmp(w->buffer, w->pattern + offset % PATTERN_PERIOD, n);
}

static void slot_receive(struct worker *w, struct slot *s, uint32_t events)
{
	ssize_t n;

	while (s->got < w->o->response) {
		n = recv(s->fd, w->buffer, w->buffer_size, 0);
		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0) {
			slot_fail(w, s, n ? errno : LOAD_EOF);
			return;
		}
		if (!right(w, s->got, (size_t)n)) {
			slot_fail(w, s, EBADMSG);
			return;
		}
		s->got += (uint32_t)n;
	}
	if (s->got > w->o->response)
		slot_fail(w, s, EPROTO);
	else if (w->o->test != TEST_CRR || w->o->close != CLOSE_SERVER || events & EPOLLRDHUP)
		slot_done(w, s);
	else
		s->state = CLOSING;
}

/*
 * Wait for the server's FIN: after a crr response, or after the last byte of a stream. A stream that is checked
 * is answered before, by how many bytes came right.
 */
static void slot_await_close(struct worker *w, struct slot *s)
{
	bool answered = w->o->test == TEST_STREAM && worker_checks(w);
	ssize_t n = recv(s->fd, w->buffer, w->buffer_size, 0);

	if (n < 0 && errno == EAGAIN)
		return;
	if (n == sizeof(s->answer) && answered && !s->answer) {
		memcpy(&s->answer, w->buffer, sizeof(s->answer));
		return;
	}
	if (n)
		slot_fail(w, s, n < 0 ? errno : EPROTO);
	else if (answered && be64toh(s->answer) != s->bytes)
		slot_fail(w, s, EBADMSG);
	else
		slot_done(w, s);
}

void slot_end_stream(struct worker *w, struct slot *s)
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = s };

	if (w->o->test != TEST_STREAM) { /* nobody answers: it is over */
		slot_done(w, s);
		return;
	}
	shutdown(s->fd, SHUT_WR);
	epoll_ctl(w->epoll, EPOLL_CTL_MOD, s->fd, &event);
	s->state = CLOSING;
}

static void slot_stream(struct worker *w, struct slot *s, uint32_t events)
{
	bool sending = w->o->test != TEST_MAERTS;
	size_t most = sending ? w->o->block : w->buffer_size;
	ssize_t n;

	if (sending && events & EPOLLRDHUP) {
		slot_fail(w, s, LOAD_EOF);
		return;
	}
	for (int i = 0; i < STREAM_BURST; i++) {
		if (w->o->count && s->bytes + most > w->o->count)
			most = (size_t)(w->o->count - s->bytes);
		if (!most) {
			slot_end_stream(w, s);
			return;
		}
		n = sending ? send(s->fd, w->pattern + s->bytes % PATTERN_PERIOD, most,
				   MSG_NOSIGNAL)
			    : recv(s->fd, w->buffer, most, 0);
		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0 || (!sending && !right(w, s->bytes, (size_t)n))) {
			slot_fail(w, s, n < 0 ? errno : n ? EBADMSG : LOAD_EOF);
			return;
		}
		s->bytes += (uint64_t)n;
		s->touched = now_ns();
	}
}

void slot_event(struct worker *w, struct slot *s, uint32_t events)
{
	w->reached = true;
	switch (s->state) {
	case IDLE:
		/* Only a kept connection is idle and open: the server must not speak or close now. */
		if (s->fd >= 0 && events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
			slot_close(w, s);
		break;
	case SENDING:
		if (w->o->test != TEST_CC) {
			slot_send(w, s);
			break;
		}
		/* Nothing to be said: the server's end may have come with the connection. */
		s->state = CLOSING;
		slot_await_close(w, s);
		break;
	case RECEIVING:
		slot_receive(w, s, events);
		break;
	case CLOSING:
		slot_await_close(w, s);
		break;
	case STREAMING:
		slot_stream(w, s, events);
		break;
	}
}

void slot_start(struct worker *w, struct slot *s, uint64_t intended, uint64_t now)
{
	bool connected = s->fd >= 0 || w->o->test == TEST_UDP_RR;
	int why;

	s->intended = intended;
	s->touched = now;
	s->sent = s->got = 0;
	s->answer = 0;
	s->state = opts_stream(w->o) ? STREAMING : SENDING;
	w->busy++;
	if (s->fd < 0) {
		why = slot_connect(w, s);
		if (why) {
			slot_fail(w, s, why);
			return;
		}
	}
	if (connected)
		slot_send(w, s);
}
