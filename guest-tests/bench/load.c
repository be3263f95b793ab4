/* The client's load: worker threads that keep connections busy and measure them. */
#include <errno.h>
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "load.h"
#include "pace.h"
#include "util.h"

#define SWEEP_NS 50000000u /* how often timeouts and the stop flag are looked at */
#define BACKOFF_NS \
	10000000u /* a failed connection rests this long: no storm against a dead server */
#define GRACE_NS      2000000000u /* for what is in flight at the end */
#define EVENTS	      256
#define STREAM_BURST  8	 /* sends or receives per event: the clock is looked at in between */
#define SOURCE_TRIES  64 /* busy source ports skipped per connection */
#define SEGMENT_BYTES 1400

enum slot_state { IDLE, SENDING, RECEIVING, CLOSING, STREAMING };

/* One connection's place: the connection changes (crr), the slot stays. */
struct slot {
	struct slot *next; /* in idle or resting */
	int fd;		   /* -1: none */
	enum slot_state state;
	bool fresh; /* nothing sent on this connection yet */
	uint32_t sent, got;
	uint64_t intended; /* latency counts from here */
	uint64_t touched;  /* timeout counts from here */
	uint64_t bytes;	   /* streamed on this connection */
};

struct worker {
	const struct client_opts *o;
	const atomic_int *stop;
	unsigned int index;
	pthread_t thread;
	int rc;
	int epoll;
	char *buffer;
	size_t buffer_size;
	struct slot *slots, *idle;
	struct slot *resting, **resting_tail; /* oldest first */
	uint32_t slot_count, busy;
	uint64_t source_turn;
	struct pace pace;
	uint64_t warm_end, end;		   /* planned */
	uint64_t measure_from, measure_to; /* as it came; 0: not yet */
	uint64_t bytes_closed, bytes_at_start;
	struct load_result *r;
};

static bool is_stream(const struct worker *w)
{
	return w->o->test == TEST_STREAM || w->o->test == TEST_MAERTS;
}

static bool keeps_connection(const struct worker *w)
{
	return w->o->test == TEST_RR || w->o->test == TEST_UDP_RR;
}

static void push_idle(struct worker *w, struct slot *s)
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

static uint64_t delivered_all(const struct worker *w)
{
	uint64_t sum = w->bytes_closed;

	if (!is_stream(w))
		return 0;
	for (uint32_t i = 0; i < w->slot_count; i++)
		if (w->slots[i].fd >= 0)
			sum += delivered(w, &w->slots[i]);
	return sum;
}

static void slot_close(struct worker *w, struct slot *s)
{
	if (s->fd < 0)
		return;
	if (is_stream(w))
		w->bytes_closed += delivered(w, s);
	close(s->fd);
	s->fd = -1;
}

static void slot_fail(struct worker *w, struct slot *s, int why)
{
	w->r->failure[why >= 0 && why < LOAD_FAILURES ? why : EIO]++;
	slot_close(w, s);
	w->busy--;
	s->state = IDLE;
	s->touched = util_now_ns();
	s->next = NULL;
	*w->resting_tail = s;
	w->resting_tail = &s->next;
}

static void slot_done(struct worker *w, struct slot *s)
{
	static const struct linger reset = { .l_onoff = 1 };
	uint64_t now = util_now_ns();
	uint64_t to = w->measure_to ? w->measure_to : w->end;
	bool in_window = w->measure_from && !w->measure_to;

	w->r->transactions_all++;
	if (in_window)
		w->r->transactions++;
	if (w->o->rate ? s->intended >= w->warm_end && s->intended < to : in_window)
		hist_add(&w->r->latency, now - s->intended);
	if (!keeps_connection(w)) {
		if (w->o->close == CLOSE_RESET)
			setsockopt(s->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
		slot_close(w, s);
	}
	w->busy--;
	push_idle(w, s);
}

/* Bind to the next of the source addresses and ports, where any were given. Returns 0 or an errno. */
static int bind_source(struct worker *w, int fd)
{
	const struct client_opts *o = w->o;
	uint64_t turn = w->source_turn++ * o->threads + w->index;
	uint32_t span = o->source_port_low ? o->source_port_high - o->source_port_low + 1 : 1;
	struct sockaddr_in from = { .sin_family = AF_INET };
	int on = 1;

	if (!o->sources && !o->source_port_low)
		return 0;
	if (o->sources)
		from.sin_addr = o->source[turn / span % o->sources];
	if (o->source_port_low) {
		from.sin_port = htons((uint16_t)(o->source_port_low + turn % span));
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
	struct epoll_event event = { .data.ptr = s };
	int on = 1, why;

	s->fd = socket(AF_INET,
		       (o->test == TEST_UDP_RR ? SOCK_DGRAM : SOCK_STREAM) | SOCK_NONBLOCK |
			       SOCK_CLOEXEC,
		       0);
	if (s->fd < 0)
		return errno;
	why = bind_source(w, s->fd);
	if (!why && o->test != TEST_UDP_RR && (o->test == TEST_RR || o->request > SEGMENT_BYTES))
		setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (!why && connect(s->fd, (struct sockaddr *)&to, sizeof(to)) && errno != EINPROGRESS)
		why = errno;
	event.events = o->test == TEST_STREAM	? EPOLLOUT | EPOLLRDHUP
		       : o->test == TEST_MAERTS ? EPOLLIN
						: EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
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
	int tries = w->o->source_port_low ? SOURCE_TRIES : 1;
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
		n = send(s->fd, w->buffer, w->o->request - s->sent, MSG_NOSIGNAL);
		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0) {
			slot_fail(w, s, errno);
			return;
		}
		/* A closed-loop rr measures round trips, not the one connect before them. */
		if (s->fresh && w->o->test == TEST_RR && !w->o->rate)
			s->intended = util_now_ns();
		s->fresh = false;
		s->sent += (uint32_t)n;
	}
	s->state = RECEIVING;
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
		s->got += (uint32_t)n;
	}
	if (s->got > w->o->response)
		slot_fail(w, s, EPROTO);
	else if (w->o->test != TEST_CRR || w->o->close != CLOSE_SERVER || events & EPOLLRDHUP)
		slot_done(w, s);
	else
		s->state = CLOSING;
}

/* Wait for the server's FIN: after a crr response, or after the last byte of a stream. */
static void slot_await_close(struct worker *w, struct slot *s)
{
	ssize_t n = recv(s->fd, w->buffer, w->buffer_size, 0);

	if (n < 0 && errno == EAGAIN)
		return;
	if (n)
		slot_fail(w, s, n < 0 ? errno : EPROTO);
	else
		slot_done(w, s);
}

static void slot_stream(struct worker *w, struct slot *s, uint32_t events)
{
	bool sending = w->o->test == TEST_STREAM;
	ssize_t n;

	if (sending && events & EPOLLRDHUP) {
		slot_fail(w, s, LOAD_EOF);
		return;
	}
	for (int i = 0; i < STREAM_BURST; i++) {
		n = sending ? send(s->fd, w->buffer, w->o->block, MSG_NOSIGNAL)
			    : recv(s->fd, w->buffer, w->buffer_size, 0);
		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0) {
			slot_fail(w, s, n ? errno : LOAD_EOF);
			return;
		}
		s->bytes += (uint64_t)n;
		s->touched = util_now_ns();
	}
}

static void slot_event(struct worker *w, struct slot *s, uint32_t events)
{
	switch (s->state) {
	case IDLE:
		/* Only a kept connection is idle and open: the server must not speak or close now. */
		if (s->fd >= 0 && events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
			slot_close(w, s);
		break;
	case SENDING:
		slot_send(w, s);
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

static void slot_start(struct worker *w, struct slot *s, uint64_t intended, uint64_t now)
{
	bool connected = s->fd >= 0 || w->o->test == TEST_UDP_RR;
	int why;

	s->intended = intended;
	s->touched = now;
	s->sent = s->got = 0;
	s->state = is_stream(w) ? STREAMING : SENDING;
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

/* Start what is due: every idle slot in a closed loop, as many as the pace says in an open one. */
static void start_due(struct worker *w, uint64_t now)
{
	struct slot *s;
	uint64_t intended;

	while (w->resting && now - w->resting->touched >= BACKOFF_NS) {
		s = w->resting;
		w->resting = s->next;
		if (!w->resting)
			w->resting_tail = &w->resting;
		push_idle(w, s);
	}
	while (w->idle && (!w->o->rate || pace_peek(&w->pace) <= now)) {
		intended = w->o->rate ? pace_take(&w->pace) : now;
		s = w->idle;
		w->idle = s->next;
		slot_start(w, s, intended, now);
	}
}

static void sweep(struct worker *w, uint64_t now)
{
	struct slot *s;

	for (uint32_t i = 0; i < w->slot_count; i++) {
		s = &w->slots[i];
		if (s->state != IDLE && now > s->touched + w->o->timeout_ns)
			slot_fail(w, s, s->state == CLOSING ? LOAD_NOCLOSE : ETIMEDOUT);
	}
}

/* The measured time is over: no new transactions; a stream is ended so that its last bytes are counted. */
static void finish(struct worker *w, uint64_t now)
{
	struct epoll_event event = { .events = EPOLLIN };
	struct slot *s;

	/* What fell due since the last look is not late yet. */
	if (w->o->rate)
		start_due(w, now < w->end ? now : w->end - 1);
	w->measure_to = now;
	if (!w->measure_from)
		w->measure_from = now;
	w->r->bytes = delivered_all(w) - w->bytes_at_start;
	w->r->seconds = (double)(now - w->measure_from) / 1e9;
	for (uint32_t i = 0; i < w->slot_count; i++) {
		s = &w->slots[i];
		if (s->state == IDLE) {
			slot_close(w, s);
		} else if (w->o->test == TEST_MAERTS) {
			slot_close(w, s);
			w->busy--;
			s->state = IDLE;
		} else if (w->o->test == TEST_STREAM) {
			event.data.ptr = s;
			shutdown(s->fd, SHUT_WR);
			epoll_ctl(w->epoll, EPOLL_CTL_MOD, s->fd, &event);
			s->state = CLOSING;
		}
	}
}

/* What never got its answer counts as late as it already was: leaving it out would flatter the rest. */
static void count_the_late(struct worker *w, uint64_t now)
{
	uint64_t intended;

	w->r->unfinished = w->busy;
	if (!w->o->rate)
		return;
	for (uint32_t i = 0; i < w->slot_count; i++)
		if (w->slots[i].state != IDLE && w->slots[i].intended >= w->warm_end)
			hist_add(&w->r->latency, now - w->slots[i].intended);
	while ((intended = pace_take(&w->pace)) < w->measure_to) {
		w->r->overdue++;
		if (intended >= w->warm_end)
			hist_add(&w->r->latency, w->measure_to - intended);
	}
}

static void earlier(uint64_t *when, uint64_t other)
{
	if (other < *when)
		*when = other;
}

static int wait_events(struct worker *w, struct epoll_event *events, uint64_t now)
{
	uint64_t wake = now + SWEEP_NS, wait;
	struct timespec timeout;

	if (!w->measure_from)
		earlier(&wake, w->warm_end);
	if (!w->measure_to) {
		earlier(&wake, w->end);
		if (w->resting)
			earlier(&wake, w->resting->touched + BACKOFF_NS);
		if (w->o->rate && w->idle)
			earlier(&wake, pace_peek(&w->pace));
	}
	wait = wake > now ? wake - now : 0;
	timeout.tv_sec = 0;
	timeout.tv_nsec = (long)wait;
	return epoll_pwait2(w->epoll, events, EVENTS, &timeout, NULL);
}

static int worker_loop(struct worker *w)
{
	struct epoll_event events[EVENTS];
	uint64_t now, next_sweep = 0;
	int n;

	for (;;) {
		now = util_now_ns();
		if (!w->measure_from && now >= w->warm_end) {
			w->bytes_at_start = delivered_all(w);
			w->measure_from = now;
		}
		if (!w->measure_to && (now >= w->end || atomic_load(w->stop)))
			finish(w, now);
		if (w->measure_to && (!w->busy || now >= w->measure_to + GRACE_NS))
			break;
		if (!w->measure_to)
			start_due(w, now);
		if (now >= next_sweep) {
			sweep(w, now);
			next_sweep = now + SWEEP_NS;
		}
		n = wait_events(w, events, now);
		if (n < 0 && errno != EINTR) {
			n = -errno;
			fprintf(stderr, "crr: cannot wait for events: %s\n", strerror(-n));
			return n;
		}
		for (int i = 0; i < n; i++)
			slot_event(w, events[i].data.ptr, events[i].events);
	}
	count_the_late(w, now);
	return 0;
}

static void *worker_main(void *arg)
{
	struct worker *w = arg;

	/* The default slack of 50 us would blur an open loop's send times. */
	prctl(PR_SET_TIMERSLACK, 1);
	w->rc = worker_loop(w);
	for (uint32_t i = 0; i < w->slot_count; i++)
		slot_close(w, &w->slots[i]);
	w->r->bytes_all = w->bytes_closed;
	return NULL;
}

static int worker_init(struct worker *w, uint64_t start)
{
	const struct client_opts *o = w->o;

	w->epoll = -1;
	w->slot_count = o->connections / o->threads + (w->index < o->connections % o->threads);
	w->buffer_size = 65536;
	if (w->buffer_size < o->request)
		w->buffer_size = o->request;
	if (w->buffer_size < o->block)
		w->buffer_size = o->block;
	if (w->buffer_size <= o->response)
		w->buffer_size = o->response + 1; /* so that one byte too many is seen */
	w->resting_tail = &w->resting;
	w->warm_end = start + o->warmup_ns;
	w->end = w->warm_end + o->seconds_ns;
	if (o->rate)
		pace_init(&w->pace, start, o->rate, w->index, o->threads);
	w->slots = calloc(w->slot_count, sizeof(*w->slots));
	w->buffer = calloc(1, w->buffer_size);
	w->r = calloc(1, sizeof(*w->r));
	if (!w->slots || !w->buffer || !w->r)
		return -ENOMEM;
	for (uint32_t i = 0; i < w->slot_count; i++) {
		w->slots[i].fd = -1;
		push_idle(w, &w->slots[i]);
	}
	w->epoll = epoll_create1(EPOLL_CLOEXEC);
	return w->epoll < 0 ? -errno : 0;
}

static void worker_free(struct worker *w)
{
	if (w->epoll >= 0)
		close(w->epoll);
	free(w->slots);
	free(w->buffer);
	free(w->r);
}

static void merge(struct load_result *into, const struct load_result *from)
{
	if (from->seconds > into->seconds)
		into->seconds = from->seconds;
	into->transactions += from->transactions;
	into->transactions_all += from->transactions_all;
	into->bytes += from->bytes;
	into->bytes_all += from->bytes_all;
	for (int i = 0; i < LOAD_FAILURES; i++)
		into->failure[i] += from->failure[i];
	into->overdue += from->overdue;
	into->unfinished += from->unfinished;
	hist_merge(&into->latency, &from->latency);
}

int load_run(const struct client_opts *o, const atomic_int *stop, struct load_result *r)
{
	struct worker *workers = calloc(o->threads, sizeof(*workers));
	uint64_t start = util_now_ns(), files = util_raise_file_limit();
	uint32_t made = 0, running = 0;
	int rc = workers ? 0 : -ENOMEM;

	if (!rc && files < o->connections + 16 + o->threads) {
		fprintf(stderr,
			"crr: %u connections need more open files than the %llu allowed here (ulimit -n)\n",
			o->connections, (unsigned long long)files);
		rc = -EMFILE;
		goto out;
	}
	for (; !rc && made < o->threads; made++) {
		workers[made].o = o;
		workers[made].stop = stop;
		workers[made].index = made;
		rc = worker_init(&workers[made], start);
	}
	for (; !rc && running < o->threads; running++)
		rc = -pthread_create(&workers[running].thread, NULL, worker_main,
				     &workers[running]);
	if (rc) {
		/* The thread that could not be created is counted in running: take it back out. */
		running -= running > 0;
		fprintf(stderr, "crr: cannot start %u threads with %u connections: %s\n",
			o->threads, o->connections, strerror(-rc));
	}
	for (uint32_t i = 0; i < running; i++) {
		pthread_join(workers[i].thread, NULL);
		merge(r, workers[i].r);
		if (!rc)
			rc = workers[i].rc;
	}
out:
	for (uint32_t i = 0; i < made; i++)
		worker_free(&workers[i]);
	free(workers);
	return rc;
}

const char *load_failure_name(unsigned int place)
{
	const char *name;

	if (place == LOAD_EOF)
		return "EOF";
	if (place == LOAD_NOCLOSE)
		return "NOCLOSE";
	name = strerrorname_np((int)place);
	return name ? name : "UNKNOWN";
}
