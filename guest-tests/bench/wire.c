/*
 * The other end of a card on a stream socket, for tests and comparisons: what comes from there, each frame behind its
 * length, goes to a tap, and the other way round.
 *
 *   wire SOCKET TAP [cut]    listens at SOCKET for one connection; ends with it. With `cut` what it sends is cut into
 *                            pieces anywhere, and it reads as little at a time
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define MAX_FRAME 65553u

static bool cut;

static void die(const char *what)
{
	fprintf(stderr, "wire: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int open_tap(const char *name)
{
	struct ifreq ifr = { .ifr_flags = IFF_TAP | IFF_NO_PI };
	const int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK);

	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	if (fd < 0 || ioctl(fd, TUNSETIFF, &ifr) < 0)
		die(name);
	return fd;
}

static int accept_at(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	const int s = socket(AF_UNIX, SOCK_STREAM, 0);
	int fd;

	snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	if (bind(s, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(s, 1) < 0)
		die(path);
	fd = accept(s, NULL, NULL);
	if (fd < 0)
		die("accept");
	close(s);
	return fd;
}

/* How much of @len to move at once. */
static size_t piece(size_t len)
{
	const size_t some = 1 + (size_t)rand() % 700;

	return cut && some < len ? some : len;
}

/* Frames that wait in the tap go out, whole; it waits where the other end is slow, as a wire does not: the tap drops. */
static void from_tap(int tap, int stream)
{
	static uint8_t frame[4 + MAX_FRAME];
	ssize_t n;

	while ((n = read(tap, frame + 4, MAX_FRAME)) > 0) {
		const uint32_t len = htonl((uint32_t)n);
		const size_t whole = 4 + (size_t)n;

		memcpy(frame, &len, 4);
		for (size_t at = 0; at < whole; at += (size_t)n) {
			n = send(stream, frame + at, piece(whole - at), MSG_NOSIGNAL);
			if (n < 0)
				exit(0);
		}
	}
}

static void to_tap(int stream, int tap)
{
	static uint8_t in[256 * 1024];
	static size_t have;
	const ssize_t n = recv(stream, in + have, piece(sizeof(in) - have), MSG_DONTWAIT);
	size_t at = 0;
	uint32_t len;

	if (n == 0 || (n < 0 && errno != EAGAIN))
		exit(0);
	have += n > 0 ? (size_t)n : 0;
	for (; have - at >= 4; at += 4 + len) {
		memcpy(&len, in + at, 4);
		len = ntohl(len);
		if (len > MAX_FRAME) {
			fprintf(stderr, "wire: a frame of %u bytes\n", len);
			exit(2);
		}
		if (have - at - 4 < len)
			break;
		if (write(tap, in + at + 4, len) < 0)
			fprintf(stderr, "wire: the tap refuses a frame of %u bytes: %s\n", len,
				strerror(errno));
	}
	memmove(in, in + at, have - at);
	have -= at;
}

int main(int argc, char **argv)
{
	struct pollfd p[2] = { { .events = POLLIN }, { .events = POLLIN } };

	if (argc < 3) {
		fputs("usage: wire SOCKET TAP [cut]\n", stderr);
		return 1;
	}
	cut = argc > 3;
	p[0].fd = open_tap(argv[2]);
	p[1].fd = accept_at(argv[1]);
	while (poll(p, 2, -1) >= 0 || errno == EINTR) {
		if (p[0].revents)
			from_tap(p[0].fd, p[1].fd);
		if (p[1].revents)
			to_tap(p[1].fd, p[0].fd);
	}
	return 1;
}
