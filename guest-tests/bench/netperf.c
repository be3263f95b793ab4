/* netserver's part in a test: netperf's control connection (netperf 2.7), seen from the client's side. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "guest-tests/guests/paired/netperf.h"
#include "guest-tests/bench/netperf.h"

/* netserver ends a connection test by itself, that much later. */
#define PATIENCE_S 30

static uint32_t message[NETPERF_WORDS];

static void put_word(unsigned int index, uint32_t value)
{
	message[NETPERF_HEAD + index] = htonl(value);
}

static uint64_t get_word(unsigned int index)
{
	return ntohl(message[NETPERF_HEAD + index]);
}

static bool failed(const char *what)
{
	fprintf(stderr, "crr: netserver: %s: %s\n", what, errno ? strerror(errno) : "refused");
	return false;
}

static int dial(const struct client_opts *o, uint32_t port, int type)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
				  .sin_port = htons((uint16_t)port),
				  .sin_addr = o->host };
	struct timeval patience = { .tv_sec = (time_t)(o->seconds_ns / 1000000000u) + PATIENCE_S };
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof(to))) {
		close(fd);
		return -1;
	}
	return fd;
}

static bool expect(int control, uint32_t type)
{
	errno = 0;
	return recv(control, message, sizeof(message), MSG_WAITALL) == sizeof(message) &&
	       ntohl(message[0]) == type && !message[1];
}

/* netperf has two ways to ask: TCP_CC has kept the old one. */
static bool ask_cc(int control, int32_t length)
{
	message[0] = htonl(NETPERF_DO_TCP_CC);
	put_word(CC_REQUEST_SECONDS, (uint32_t)length);
	return send(control, message, sizeof(message), MSG_NOSIGNAL) == sizeof(message) &&
	       expect(control, NETPERF_TCP_CC_RESPONSE);
}

static bool ask_omni(int control, const struct client_opts *o, int32_t length)
{
	bool stream = o->test == TEST_STREAM || o->test == TEST_UDP_STREAM;

	message[0] = htonl(NETPERF_DO_OMNI);
	if (!stream && o->test != TEST_MAERTS) {
		put_word(REQUEST_REQUEST_SIZE, o->request);
		put_word(REQUEST_RESPONSE_SIZE, o->response);
	}
	put_word(REQUEST_FLAGS, o->test == TEST_CRR ? FLAG_CONNECT_TEST : 0);
	put_word(REQUEST_SECONDS, (uint32_t)length);
	put_word(REQUEST_PROTOCOL, opts_udp(o) ? IPPROTO_UDP : IPPROTO_TCP);
	put_word(REQUEST_DIRECTION,
		 (o->test == TEST_MAERTS ? 0 : DIRECTION_RECEIVE) | (stream ? 0 : DIRECTION_SEND));
	return send(control, message, sizeof(message), MSG_NOSIGNAL) == sizeof(message) &&
	       expect(control, NETPERF_OMNI_RESPONSE);
}

int netperf_begin(struct client_opts *o)
{
	/* Seconds, warm-up included; or below 0 the number of transactions or bytes. */
	int32_t length =
		o->count ? -(int32_t)o->count
			 : (int32_t)((o->warmup_ns + o->seconds_ns + 999999999u) / 1000000000u);
	int control = dial(o, o->netperf, SOCK_STREAM);
	bool cc = o->test == TEST_CC;

	if (control < 0) {
		failed("no control connection");
		return -1;
	}
	memset(message, 0, sizeof(message));
	if (cc ? !ask_cc(control, length) : !ask_omni(control, o, length)) {
		failed("no answer to the request");
		close(control);
		return -1;
	}
	o->port = (uint32_t)get_word(cc ? CC_RESPONSE_DATA_PORT : RESPONSE_DATA_PORT);
	return control;
}

/* An empty datagram says that it was the last. */
static void end_datagrams(const struct client_opts *o)
{
	int fd = dial(o, o->port, SOCK_DGRAM);

	if (fd >= 0) {
		send(fd, "", 0, 0);
		close(fd);
	}
}

bool netperf_end(int control, const struct client_opts *o, const struct load_result *r,
		 struct out *out)
{
	bool bytes = o->test == TEST_STREAM || o->test == TEST_UDP_STREAM, came, agree;
	uint64_t ours = bytes || o->test == TEST_MAERTS ? r->bytes_all : r->transactions_all,
		 theirs;

	if (opts_udp(o))
		end_datagrams(o);
	came = expect(control, o->test == TEST_CC ? NETPERF_TCP_CC_RESPONSE : NETPERF_OMNI_RESULTS);
	close(control);
	if (!came)
		return failed("no results");
	if (o->test == TEST_CC)
		theirs = get_word(CC_RESULTS_TRANSACTIONS);
	else if (bytes)
		theirs = get_word(RESULTS_RECEIVED_HIGH) << 32 | get_word(RESULTS_RECEIVED_LOW);
	else if (o->test == TEST_MAERTS)
		theirs = get_word(RESULTS_SENT_HIGH) << 32 | get_word(RESULTS_SENT_LOW);
	else
		theirs = get_word(RESULTS_TRANSACTIONS);
	out_number(out, "netserver", (double)theirs, 0);
	/* A stream to us is cut off by its end, datagrams may be lost. */
	agree = ours && (o->test == TEST_MAERTS	      ? theirs >= ours
			 : o->test == TEST_UDP_STREAM ? theirs && theirs <= ours
						      : theirs == ours);
	if (!agree)
		fprintf(stderr, "crr: netserver has counted %llu, and we %llu\n",
			(unsigned long long)theirs, (unsigned long long)ours);
	return agree;
}
