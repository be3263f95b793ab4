/*
 * client.c - what the guest's tests need on the host and no common tool does.
 *
 *	guest-client netperf HOST TEST SECONDS [REQUEST [RESPONSE]]
 *		one test by netperf's control protocol: TCP_CRR, TCP_RR, UDP_RR, TCP_STREAM
 *		or TCP_MAERTS; prints transactions=N or bytes=N, and what the guest counts
 *	guest-client flood HOST PORT COUNT
 *		that many SYNs from as many addresses, never followed up; needs CAP_NET_RAW
 *	guest-client many HOST PORT COUNT
 *		that many connections at once to an echo service, each used before and
 *		after all others are open
 *
 * Exit status 0 if everything went as it should, 1 if not, 2 for a wrong command line.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "../netperf.h"

#define CONTROL_PORT 12865
#define TIMEOUT_S    30
#define BUFFER	     65536

static uint8_t buffer[BUFFER];

static int failed(const char *what)
{
	fprintf(stderr, "guest-client: %s: %s\n", what, errno ? strerror(errno) : "wrong answer");
	return 1;
}

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static int open_socket(const char *host, uint16_t port, int type)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(port) };
	struct timeval patience = { .tv_sec = TIMEOUT_S };
	int on = 1, fd = socket(AF_INET, type, 0);

	if (fd < 0 || inet_pton(AF_INET, host, &to.sin_addr) != 1)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (type == SOCK_STREAM)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static bool read_all(int fd, void *to, size_t length)
{
	return length == 0 || recv(fd, to, length, MSG_WAITALL) == (ssize_t)length;
}

static bool write_all(int fd, const void *from, size_t length)
{
	return send(fd, from, length, MSG_NOSIGNAL) == (ssize_t)length;
}

/* netperf */

static uint32_t message[NETPERF_WORDS];

static void put_word(uint32_t index, uint32_t value)
{
	message[NETPERF_HEAD + index] = htonl(value);
}

static uint64_t get_word(uint32_t index)
{
	return ntohl(message[NETPERF_HEAD + index]);
}

static bool expect(int control, uint32_t type)
{
	errno = 0;
	return read_all(control, message, sizeof(message)) && ntohl(message[0]) == type &&
	       message[1] == 0;
}

/* One request and response; count how much came back. */
static bool transact(int fd, bool udp, size_t request, size_t response)
{
	if (!write_all(fd, buffer, request))
		return false;
	return udp ? recv(fd, buffer, BUFFER, 0) == (ssize_t)response
		   : read_all(fd, buffer, response);
}

static int netperf(const char *host, const char *test, unsigned seconds, uint32_t request,
		   uint32_t response)
{
	bool crr = strcmp(test, "TCP_CRR") == 0, udp = strcmp(test, "UDP_RR") == 0;
	bool stream = strcmp(test, "TCP_STREAM") == 0, maerts = strcmp(test, "TCP_MAERTS") == 0;
	bool rr = crr || udp || strcmp(test, "TCP_RR") == 0;
	uint64_t transactions = 0, bytes = 0, end;
	int control, data = -1;

	if (!rr && !stream && !maerts) {
		fprintf(stderr, "guest-client: there is no test '%s'\n", test);
		return 2;
	}
	control = open_socket(host, CONTROL_PORT, SOCK_STREAM);
	if (control < 0)
		return failed("control connection");
	message[0] = htonl(NETPERF_DO_OMNI);
	put_word(REQUEST_REQUEST_SIZE, rr ? request : 0);
	put_word(REQUEST_RESPONSE_SIZE, rr ? response : 0);
	put_word(REQUEST_FLAGS, crr ? FLAG_CONNECT_TEST : 0);
	put_word(REQUEST_SECONDS, seconds);
	put_word(REQUEST_PROTOCOL, udp ? IPPROTO_UDP : IPPROTO_TCP);
	put_word(REQUEST_DIRECTION,
		 (maerts ? 0 : DIRECTION_RECEIVE) | (stream ? 0 : DIRECTION_SEND));
	if (!write_all(control, message, sizeof(message)) ||
	    !expect(control, NETPERF_OMNI_RESPONSE))
		return failed("request");

	uint16_t port = (uint16_t)get_word(RESPONSE_DATA_PORT);

	end = now_ms() + seconds * 1000;
	if (!crr && (data = open_socket(host, port, udp ? SOCK_DGRAM : SOCK_STREAM)) < 0)
		return failed("data connection");
	while (rr && now_ms() < end) {
		if (crr && (data = open_socket(host, port, SOCK_STREAM)) < 0)
			return failed("data connection");
		errno = 0;
		if (!transact(data, udp, request, response))
			return failed("transaction");
		if (crr) {
			/* The server closes first. */
			if (recv(data, buffer, 1, 0) != 0)
				return failed("end of the connection");
			close(data);
		}
		transactions++;
	}
	while (stream && now_ms() < end) {
		if (!write_all(data, buffer, BUFFER))
			return failed("stream");
		bytes += BUFFER;
	}
	for (ssize_t n; maerts; bytes += (uint64_t)n) {
		n = recv(data, buffer, BUFFER, 0);
		if (n < 0)
			return failed("stream");
		if (n == 0)
			break;
	}
	if (udp && send(data, buffer, 0, 0) < 0)
		return failed("last datagram");
	if (data >= 0 && !crr && !udp)
		shutdown(data, SHUT_WR);
	if (!expect(control, NETPERF_OMNI_RESULTS))
		return failed("results");
	uint64_t theirs =
		rr	 ? get_word(RESULTS_TRANSACTIONS)
		: stream ? get_word(RESULTS_RECEIVED_HIGH) << 32 | get_word(RESULTS_RECEIVED_LOW)
			 : get_word(RESULTS_SENT_HIGH) << 32 | get_word(RESULTS_SENT_LOW);
	uint64_t ours = rr ? transactions : bytes;

	printf("%s=%llu guest=%llu\n", rr ? "transactions" : "bytes", (unsigned long long)ours,
	       (unsigned long long)theirs);
	close(data);
	close(control);
	/* What was sent at the very end of a stream to us may have been cut off. */
	errno = 0;
	if (ours == 0 || (maerts ? theirs < ours : theirs != ours))
		return failed("count");
	return 0;
}

/* SYN flood */

static uint16_t checksum(const void *data, size_t length, uint32_t sum)
{
	const uint8_t *p = data;

	for (; length > 1; p += 2, length -= 2)
		sum += (uint32_t)p[0] << 8 | p[1];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static int flood(const char *host, uint16_t port, unsigned count)
{
	struct sockaddr_in to = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_RAW, IPPROTO_RAW);
	struct {
		struct iphdr ip;
		struct tcphdr tcp;
	} packet;

	if (fd < 0 || inet_pton(AF_INET, host, &to.sin_addr) != 1)
		return failed("raw socket");
	for (unsigned i = 0; i < count; i++) {
		uint32_t from = htonl(0x0b000001 + i % 0xffffff); /* 11.0.0.1 and on */
		uint32_t sum = IPPROTO_TCP + sizeof(packet.tcp);

		memset(&packet, 0, sizeof(packet));
		packet.ip = (struct iphdr){ .version = 4,
					    .ihl = 5,
					    .ttl = 64,
					    .protocol = IPPROTO_TCP,
					    .saddr = from,
					    .daddr = to.sin_addr.s_addr };
		packet.tcp.source = htons((uint16_t)(1024 + i % 60000));
		packet.tcp.dest = htons(port);
		packet.tcp.seq = htonl(i * 7919);
		packet.tcp.doff = 5;
		packet.tcp.syn = 1;
		packet.tcp.window = htons(1000);
		sum += ntohl(from) >> 16;
		sum += ntohl(from) & 0xffff;
		sum += ntohl(to.sin_addr.s_addr) >> 16;
		sum += ntohl(to.sin_addr.s_addr) & 0xffff;
		packet.tcp.check = htons(checksum(&packet.tcp, sizeof(packet.tcp), sum));
		if (sendto(fd, &packet, sizeof(packet), 0, (struct sockaddr *)&to, sizeof(to)) <
			    0 &&
		    errno != ENOBUFS)
			return failed("flood");
	}
	printf("flooded=%u\n", count);
	close(fd);
	return 0;
}

/* Many connections */

static bool echo(int fd, uint32_t value)
{
	uint32_t back = 0;

	return write_all(fd, &value, sizeof(value)) && read_all(fd, &back, sizeof(back)) &&
	       back == value;
}

static int many(const char *host, uint16_t port, unsigned count)
{
	struct rlimit files = { count + 64, count + 64 };
	int *fds = calloc(count, sizeof(*fds));

	if (fds == NULL || setrlimit(RLIMIT_NOFILE, &files) < 0)
		return failed("descriptors");
	for (unsigned i = 0; i < count; i++) {
		fds[i] = open_socket(host, port, SOCK_STREAM);
		if (fds[i] < 0 || !echo(fds[i], i))
			return failed("a connection");
	}
	for (unsigned i = 0; i < count; i++)
		if (!echo(fds[i], ~i))
			return failed("a connection among all others");
	printf("connections=%u\n", count);
	for (unsigned i = 0; i < count; i++)
		close(fds[i]);
	free(fds);
	return 0;
}

int main(int argc, char **argv)
{
	unsigned number = argc > 4 ? (unsigned)strtoul(argv[4], NULL, 10) : 0;
	uint32_t request = argc > 5 ? (uint32_t)strtoul(argv[5], NULL, 10) : 1;
	uint32_t response = argc > 6 ? (uint32_t)strtoul(argv[6], NULL, 10) : request;

	if (number > 0 && strcmp(argv[1], "netperf") == 0 && request <= BUFFER &&
	    response <= BUFFER)
		return netperf(argv[2], argv[3], number, request, response);
	if (number > 0 && strcmp(argv[1], "flood") == 0)
		return flood(argv[2], (uint16_t)atoi(argv[3]), number);
	if (number > 0 && strcmp(argv[1], "many") == 0)
		return many(argv[2], (uint16_t)atoi(argv[3]), number);
	fprintf(stderr, "usage: guest-client netperf HOST TEST SECONDS [REQUEST [RESPONSE]] | "
			"flood HOST PORT COUNT | many HOST PORT COUNT\n");
	return 2;
}
