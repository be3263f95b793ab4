/* crr's server: crr, rr (TCP and UDP), discard, chargen and verify, each on a port of its own. */
#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "guest-tests/bench/pattern.h"
#include "guest-tests/bench/server.h"
#include "guest-tests/bench/util.h"

#define EVENTS 256
#define ACCEPT_BATCH \
	64 /* connections taken per event, so that the established ones get their turn */
#define BURST	      8	 /* receives or sends per event, for the same reason */
#define STOP_MS	      50 /* how often the stop flag is looked at */
#define SEGMENT_BYTES 1400

enum service { CRR, RR, DISCARD, CHARGEN, VERIFY, UDP_RR, HTTP, SERVICES };

/* To whatever is asked: enough for a load generator, and as the paired guest answers for /health. */
static const char http_answer[] =
	"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\nOK\n";

/* What an epoll event points at: a listening socket (or the UDP one), or a connection. */
struct conn {
	int fd;
	enum service service;
	bool listening;
	uint32_t got;	/* bytes of the request that came */
	uint64_t owed;	/* bytes of responses still to be sent */
	uint64_t bytes; /* sent by chargen; of the stream to verify, those that came right */
	bool wrong;	/* and here one did not */
};

struct server {
	const struct server_opts *o;
	const atomic_int *stop;
	struct conn listener[SERVICES];
};

struct worker {
	const struct server *server;
	pthread_t thread;
	int epoll;
	char *buffer, *pattern; /* to receive into, to send from */
	size_t buffer_size;
	struct server_result r;
	int rc;
};

static uint32_t port_of(const struct server_opts *o, enum service service)
{
	const uint32_t ports[SERVICES] = { o->port_crr,	    o->port_rr,	    o->port_discard,
					   o->port_chargen, o->port_verify, o->port_rr,
					   o->port_http };

	return ports[service];
}

static int open_listener(const struct server_opts *o, enum service service)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
				  .sin_port = htons((uint16_t)port_of(o, service)),
				  .sin_addr = o->bind };
	bool udp = service == UDP_RR;
	char text[INET_ADDRSTRLEN];
	int on = 1, rc;
	int fd =
		socket(AF_INET, (udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd >= 0 && (udp || !setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on))) &&
	    !bind(fd, (struct sockaddr *)&at, sizeof(at)) && (udp || !listen(fd, 65535)))
		return fd;
	rc = -errno;
	fprintf(stderr, "crr: cannot serve %s port %u on %s: %s\n", udp ? "UDP" : "TCP",
		port_of(o, service), inet_ntop(AF_INET, &o->bind, text, sizeof(text)),
		strerror(-rc));
	if (fd >= 0)
		close(fd);
	return rc;
}

static void conn_end(struct worker *w, struct conn *c, bool error)
{
	w->r.errors += error;
	close(c->fd);
	free(c);
}

/* Send what is owed. Returns false when the connection is gone. */
static bool conn_answer(struct worker *w, struct conn *c)
{
	const bool http = c->service == HTTP;
	uint32_t response = http ? sizeof(http_answer) - 1 : w->server->o->response, left;
	ssize_t n;

	while (c->owed) {
		left = (uint32_t)((c->owed - 1) % response) + 1; /* of the one that is under way */
		n = send(c->fd,
			 http ? http_answer + response - left
			      : w->pattern + (response - left) % PATTERN_PERIOD,
			 left, MSG_NOSIGNAL);
		if (n < 0 && errno == EAGAIN)
			return true;
		if (n < 0) {
			conn_end(w, c, true);
			return false;
		}
		c->owed -= (uint64_t)n;
		w->r.bytes_out += (uint64_t)n;
	}
	if (c->service == HTTP || (c->service == CRR && c->got >= w->server->o->request)) {
		/* The server closes first, as netserver does: TIME_WAIT stays on this side. */
		conn_end(w, c, false);
		return false;
	}
	return true;
}

/* Count request bytes and owe a response for each request that is complete. */
static void conn_took(struct worker *w, struct conn *c, size_t n)
{
	const struct server_opts *o = w->server->o;
	uint64_t got = c->got + n;

	w->r.bytes_in += n;
	if (c->service == HTTP) {
		c->owed = sizeof(http_answer) - 1;
		w->r.requests++;
		return;
	}
	if (c->service == CRR) {
		c->got = (uint32_t)got;
		if (got >= o->request) {
			c->owed = o->response;
			w->r.requests++;
		}
		return;
	}
	for (; got >= o->request; got -= o->request) {
		c->owed += o->response;
		w->r.requests++;
	}
	c->got = (uint32_t)got;
}

/* Compare with the pattern for as long as all is right; what came right is told at the stream's end. */
static void conn_verify(const struct worker *w, struct conn *c, size_t n)
{
	const char *want = w->pattern + c->bytes % PATTERN_PERIOD;

	for (size_t i = 0; i < n && !c->wrong; i++) {
		c->wrong = w->buffer[i] != want[i];
		c->bytes += !c->wrong;
	}
}

static void conn_tell_right(const struct conn *c)
{
	uint64_t right = htobe64(c->bytes);

	send(c->fd, &right, sizeof(right),
	     MSG_NOSIGNAL); /* nothing was sent before: there is room */
}

/* Returns false when the connection is gone. */
static bool conn_read(struct worker *w, struct conn *c)
{
	ssize_t n;

	for (int i = 0; i < BURST; i++) {
		/* A peer that asks without reading the answers waits: owed stays bounded. */
		if (c->owed)
			return true;
		n = recv(c->fd, w->buffer, w->buffer_size, 0);
		if (n < 0 && errno == EAGAIN)
			return true;
		if (n <= 0) {
			if (!n && c->service == VERIFY)
				conn_tell_right(c);
			conn_end(w, c, n || c->got);
			return false;
		}
		if (c->service == DISCARD || c->service == VERIFY) {
			w->r.bytes_in += (uint64_t)n;
			if (c->service == VERIFY)
				conn_verify(w, c, (size_t)n);
			continue;
		}
		conn_took(w, c, (size_t)n);
		if (c->owed && !conn_answer(w, c))
			return false;
		/* Less than a full buffer: nothing more is there, save the call that would say so. */
		if ((size_t)n < w->buffer_size)
			return true;
	}
	return true;
}

static void conn_chargen(struct worker *w, struct conn *c)
{
	ssize_t n;

	for (int i = 0; i < BURST; i++) {
		n = send(c->fd, w->pattern + c->bytes % PATTERN_PERIOD, w->server->o->block,
			 MSG_NOSIGNAL);
		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0) {
			/* The reader goes away when it has had enough. */
			conn_end(w, c, errno != ECONNRESET && errno != EPIPE);
			return;
		}
		c->bytes += (uint64_t)n;
		w->r.bytes_out += (uint64_t)n;
	}
}

static void conn_event(struct worker *w, struct conn *c, uint32_t events)
{
	struct epoll_event want = { .data.ptr = c };
	bool owed = c->owed != 0;

	if (c->service == CHARGEN) {
		conn_chargen(w, c);
		return;
	}
	if (events & EPOLLOUT && !conn_answer(w, c))
		return;
	if (!c->owed && !conn_read(w, c))
		return;
	if (owed != (c->owed != 0)) {
		want.events = c->owed ? EPOLLOUT : EPOLLIN;
		epoll_ctl(w->epoll, EPOLL_CTL_MOD, c->fd, &want);
	}
}

static void conn_start(struct worker *w, int fd, enum service service)
{
	const struct server_opts *o = w->server->o;
	struct conn *c = calloc(1, sizeof(*c));
	struct epoll_event want = { .events = service == CHARGEN ? EPOLLOUT : EPOLLIN };
	int on = 1;

	if (!c) {
		close(fd);
		w->r.errors++;
		return;
	}
	c->fd = fd;
	c->service = service;
	if (service == RR || o->response > SEGMENT_BYTES)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	/* Under load the request is often here already: one call now saves two later. */
	if (service == CRR && !conn_read(w, c))
		return;
	if (c->owed)
		want.events = EPOLLOUT;
	want.data.ptr = c;
	if (epoll_ctl(w->epoll, EPOLL_CTL_ADD, fd, &want))
		conn_end(w, c, true);
}

static void accept_some(struct worker *w, const struct conn *listener)
{
	int fd;

	for (int i = 0; i < ACCEPT_BATCH; i++) {
		fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd < 0) {
			if (errno == EAGAIN || errno == ECONNABORTED)
				return;
			w->r.accept_errors++;
			/* The connection stays in the queue and so does its event: do not spin on it. */
			usleep(1000);
			return;
		}
		w->r.accepted++;
		conn_start(w, fd, listener->service);
	}
}

static void udp_answer(struct worker *w, const struct conn *c)
{
	const struct server_opts *o = w->server->o;
	struct sockaddr_in from;
	socklen_t length;
	ssize_t n;

	for (int i = 0; i < ACCEPT_BATCH; i++) {
		length = sizeof(from);
		n = recvfrom(c->fd, w->buffer, w->buffer_size, 0, (struct sockaddr *)&from,
			     &length);
		if (n < 0)
			return;
		w->r.bytes_in += (uint64_t)n;
		n = sendto(c->fd, w->pattern, o->response, MSG_NOSIGNAL, (struct sockaddr *)&from,
			   length);
		if (n < 0) {
			w->r.errors++;
			continue;
		}
		w->r.requests++;
		w->r.bytes_out += (uint64_t)n;
	}
}

static void *worker_main(void *arg)
{
	struct worker *w = arg;
	struct epoll_event events[EVENTS];
	struct conn *c;
	int n;

	while (!atomic_load(w->server->stop)) {
		n = epoll_wait(w->epoll, events, EVENTS, STOP_MS);
		if (n < 0 && errno != EINTR) {
			w->rc = -errno;
			fprintf(stderr, "crr: cannot wait for events: %s\n", strerror(-w->rc));
			break;
		}
		for (int i = 0; i < n; i++) {
			c = events[i].data.ptr;
			if (!c->listening)
				conn_event(w, c, events[i].events);
			else if (c->service == UDP_RR)
				udp_answer(w, c);
			else
				accept_some(w, c);
		}
	}
	return NULL;
}

static int worker_init(struct worker *w, struct server *server)
{
	const struct server_opts *o = server->o;
	struct epoll_event want = { .events = EPOLLIN | EPOLLEXCLUSIVE };

	w->server = server;
	w->buffer_size = 65536;
	if (w->buffer_size < o->block)
		w->buffer_size = o->block;
	if (w->buffer_size < o->response)
		w->buffer_size = o->response;
	w->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (w->epoll < 0)
		return -errno;
	w->buffer = malloc(w->buffer_size);
	w->pattern = pattern_new(w->buffer_size);
	if (!w->buffer || !w->pattern)
		return -ENOMEM;
	for (int s = 0; s < SERVICES; s++) {
		want.data.ptr = &server->listener[s];
		if (server->listener[s].fd >= 0 &&
		    epoll_ctl(w->epoll, EPOLL_CTL_ADD, server->listener[s].fd, &want))
			return -errno;
	}
	return 0;
}

static void print_ready(const struct server_opts *o)
{
	static const char *const names[SERVICES] = { "crr",    "rr",	 "discard", "chargen",
						     "verify", "udp_rr", "http" };
	const char *separator = "crr: serving ";

	for (enum service s = 0; s < SERVICES; s++) {
		if (!port_of(o, s))
			continue;
		printf("%s%s %u", separator, names[s], port_of(o, s));
		separator = ", ";
	}
	printf("\n");
	fflush(stdout);
}

static int serve(struct server *server, struct worker *workers, struct server_result *r)
{
	uint32_t running = 0, threads = server->o->threads;
	int rc = 0;

	for (uint32_t i = 0; !rc && i < threads; i++)
		rc = worker_init(&workers[i], server);
	if (!rc)
		print_ready(server->o);
	while (!rc && running < threads) {
		rc = -pthread_create(&workers[running].thread, NULL, worker_main,
				     &workers[running]);
		running += !rc;
	}
	if (rc)
		fprintf(stderr, "crr: cannot start %u server threads: %s\n", threads,
			strerror(-rc));
	for (uint32_t i = 0; i < running; i++) {
		pthread_join(workers[i].thread, NULL);
		r->accepted += workers[i].r.accepted;
		r->requests += workers[i].r.requests;
		r->bytes_in += workers[i].r.bytes_in;
		r->bytes_out += workers[i].r.bytes_out;
		r->errors += workers[i].r.errors;
		r->accept_errors += workers[i].r.accept_errors;
		if (!rc)
			rc = workers[i].rc;
	}
	return rc;
}

int server_run(const struct server_opts *o, const atomic_int *stop, struct server_result *r)
{
	struct worker *workers = calloc(o->threads, sizeof(*workers));
	struct server server = { .o = o, .stop = stop };
	int rc = workers ? 0 : -ENOMEM;

	util_raise_file_limit();
	for (int s = 0; s < SERVICES; s++)
		server.listener[s] = (struct conn){ .fd = -1, .service = s, .listening = true };
	for (enum service s = 0; !rc && s < SERVICES; s++) {
		if (!port_of(o, s))
			continue;
		server.listener[s].fd = open_listener(o, s);
		if (server.listener[s].fd < 0)
			rc = server.listener[s].fd;
	}
	if (!rc)
		rc = serve(&server, workers, r);
	for (int s = 0; s < SERVICES; s++)
		if (server.listener[s].fd >= 0)
			close(server.listener[s].fd);
	for (uint32_t i = 0; workers && i < o->threads; i++) {
		if (workers[i].epoll > 0)
			close(workers[i].epoll);
		free(workers[i].buffer);
		free(workers[i].pattern);
	}
	free(workers);
	return rc;
}
