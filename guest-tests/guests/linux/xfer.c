/*
 * Traffic whose every byte is checked, for either end of a link under test.
 *
 *   xfer serve PORT                   answer the three below, for ever
 *   xfer send ADDRESS PORT BYTES      send a pseudo-random stream; the server checks it
 *   xfer fetch ADDRESS PORT BYTES     have the server send one; checked here
 *   xfer short ADDRESS PORT COUNT     so many connections, eight at once, a small request and answer on each
 *   xfer flood ADDRESS PORT COUNT     so many UDP datagrams of 1400 bytes, whoever takes them
 *
 * Sizes take K and M. Each client prints one line and ends with 0 only if all was right.
 * Both ends are the same architecture, so the request goes over the wire as it lies in memory.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SEND = 1, FETCH, SHORT };
enum { BLOCK = 64 * 1024, WORKERS = 8, TIMEOUT_S = 60 };

struct request {
	uint64_t verb;
	uint64_t seed;
	uint64_t bytes;
};

struct stream {
	uint64_t state;
	uint64_t words[BLOCK / sizeof(uint64_t)];
};

/* The next block of the stream (xorshift64, never stuck because the state is never zero). */
static const char *stream_next(struct stream *s)
{
	for (size_t i = 0; i < BLOCK / sizeof(uint64_t); i++) {
		s->state ^= s->state << 13;
		s->state ^= s->state >> 7;
		s->state ^= s->state << 17;
		s->words[i] = s->state;
	}
	return (const char *)s->words;
}

static bool write_all(int fd, const void *data, size_t length)
{
	for (const char *p = data; length;) {
		ssize_t n = send(fd, p, length, MSG_NOSIGNAL);

		if (n <= 0)
			return false;
		p += n;
		length -= (size_t)n;
	}
	return true;
}

static bool read_all(int fd, void *data, size_t length)
{
	for (char *p = data; length;) {
		ssize_t n = recv(fd, p, length, 0);

		if (n == 0)
			errno = ECONNRESET;
		if (n <= 0)
			return false;
		p += n;
		length -= (size_t)n;
	}
	return true;
}

static bool stream_send(int fd, uint64_t seed, uint64_t bytes)
{
	struct stream s = { .state = seed };

	for (uint64_t left = bytes; left;) {
		size_t n = left < BLOCK ? (size_t)left : BLOCK;

		if (!write_all(fd, stream_next(&s), n))
			return false;
		left -= n;
	}
	return true;
}

/* Returns how many bytes from the start arrived and are right. */
static uint64_t stream_check(int fd, uint64_t seed, uint64_t bytes)
{
	static char got[BLOCK];
	struct stream s = { .state = seed };
	uint64_t done = 0;

	while (done < bytes) {
		size_t n = bytes - done < BLOCK ? (size_t)(bytes - done) : BLOCK;
		const char *want = stream_next(&s);

		if (!read_all(fd, got, n))
			return done;
		for (size_t i = 0; i < n; i++) {
			if (got[i] != want[i]) {
				errno = EBADMSG;
				return done + i;
			}
		}
		done += n;
	}
	return done;
}

static void set_timeouts(int fd)
{
	struct timeval limit = { .tv_sec = TIMEOUT_S };

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
}

static void answer(int fd)
{
	struct request rq;
	uint64_t right;

	set_timeouts(fd);
	if (!read_all(fd, &rq, sizeof(rq)))
		return;
	switch (rq.verb) {
	case SEND:
		right = stream_check(fd, rq.seed, rq.bytes);
		write_all(fd, &right, sizeof(right));
		break;
	case FETCH:
		stream_send(fd, rq.seed, rq.bytes);
		break;
	case SHORT:
		write_all(fd, &rq, sizeof(rq));
		break;
	}
}

static int serve(uint16_t port)
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_port = htons(port) };
	int listener = socket(AF_INET, SOCK_STREAM, 0);
	int one = 1;

	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (listener < 0 || bind(listener, (struct sockaddr *)&addr, sizeof(addr)) ||
	    listen(listener, 128)) {
		perror("xfer: cannot listen");
		return 1;
	}
	/* Several workers, so that a connection whose peer vanished does not hold up the next. */
	for (int i = 1; i < WORKERS; i++) {
		if (fork() == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			break;
		}
	}
	for (;;) {
		int fd = accept(listener, NULL, NULL);

		if (fd >= 0) {
			answer(fd);
			close(fd);
		}
	}
}

static int dial(const struct sockaddr_in *to)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (fd < 0)
		return -1;
	set_timeouts(fd);
	if (connect(fd, (const struct sockaddr *)to, sizeof(*to))) {
		close(fd);
		return -1;
	}
	return fd;
}

static int transfer(const struct sockaddr_in *to, uint64_t verb, uint64_t bytes)
{
	struct request rq = { .verb = verb, .seed = 0x9e3779b97f4a7c15 ^ bytes, .bytes = bytes };
	const char *name = verb == SEND ? "send" : "fetch";
	uint64_t right = 0;
	int fd = dial(to);

	if (fd < 0) {
		perror("xfer: cannot connect");
		return 1;
	}
	errno = 0;
	if (write_all(fd, &rq, sizeof(rq))) {
		if (verb == FETCH)
			right = stream_check(fd, rq.seed, bytes);
		else if (stream_send(fd, rq.seed, bytes) && !read_all(fd, &right, sizeof(right)))
			right = 0;
	}
	if (right != bytes) {
		printf("xfer: %s: only the first %llu of %llu bytes are right: %s\n", name,
		       (unsigned long long)right, (unsigned long long)bytes, strerror(errno));
		return 1;
	}
	printf("xfer: %s: %llu bytes, all right\n", name, (unsigned long long)bytes);
	return 0;
}

static int one_short(const struct sockaddr_in *to, uint64_t seed)
{
	struct request rq = { .verb = SHORT, .seed = seed }, back = { 0 };
	int fd = dial(to);
	char more;

	if (fd < 0)
		return -1;
	if (!write_all(fd, &rq, sizeof(rq)) || !read_all(fd, &back, sizeof(back)) ||
	    recv(fd, &more, 1, 0) != 0) {
		close(fd);
		return -1;
	}
	close(fd);
	if (memcmp(&rq, &back, sizeof(rq)) != 0) {
		errno = EBADMSG;
		return -1;
	}
	return 0;
}

/* Worker w of WORKERS takes every WORKERS-th connection. */
static int shorts_of(const struct sockaddr_in *to, uint64_t w, uint64_t count)
{
	for (uint64_t i = w; i < count; i += WORKERS) {
		if (one_short(to, i)) {
			printf("xfer: short: connection %llu: %s\n", (unsigned long long)i,
			       strerror(errno));
			return 1;
		}
	}
	return 0;
}

static int shorts(const struct sockaddr_in *to, uint64_t count)
{
	int failed = 0, status;

	for (uint64_t w = 0; w < WORKERS; w++) {
		pid_t pid = fork();

		if (pid == 0)
			_exit(shorts_of(to, w, count));
		failed |= pid < 0;
	}
	while (wait(&status) > 0)
		failed |= status != 0;
	if (!failed)
		printf("xfer: short: %llu connections, none failed\n", (unsigned long long)count);
	return failed;
}

static int flood(const struct sockaddr_in *to, uint64_t count)
{
	static const char datagram[1400];
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	uint64_t sent = 0;

	if (fd < 0)
		return 1;
	for (uint64_t i = 0; i < count; i++) {
		if (sendto(fd, datagram, sizeof(datagram), 0, (const struct sockaddr *)to,
			   sizeof(*to)) > 0)
			sent++;
	}
	printf("xfer: flood: %llu of %llu datagrams sent\n", (unsigned long long)sent,
	       (unsigned long long)count);
	return sent ? 0 : 1;
}

static uint64_t number(const char *text)
{
	char *end;
	uint64_t n = strtoull(text, &end, 10);

	return *end == 'K' ? n << 10 : *end == 'M' ? n << 20 : n;
}

int main(int argc, char **argv)
{
	struct sockaddr_in to = { .sin_family = AF_INET };
	const char *verb = argc > 1 ? argv[1] : "";

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc == 3 && !strcmp(verb, "serve"))
		return serve((uint16_t)number(argv[2]));
	if (argc != 5 || inet_pton(AF_INET, argv[2], &to.sin_addr) != 1) {
		fprintf(stderr, "usage: xfer serve PORT | send|fetch|short|flood ADDRESS PORT N\n");
		return 2;
	}
	to.sin_port = htons((uint16_t)number(argv[3]));
	if (!strcmp(verb, "send"))
		return transfer(&to, SEND, number(argv[4]));
	if (!strcmp(verb, "fetch"))
		return transfer(&to, FETCH, number(argv[4]));
	if (!strcmp(verb, "short"))
		return shorts(&to, number(argv[4]));
	if (!strcmp(verb, "flood"))
		return flood(&to, number(argv[4]));
	fprintf(stderr, "xfer: unknown verb '%s'\n", verb);
	return 2;
}
