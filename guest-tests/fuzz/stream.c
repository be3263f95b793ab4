/*
 * devices/net/stream.c: bytes of every kind in pieces of every size from the other end, frames to it over a socket that is
 * often full. What comes in is what a plain reading of the bytes gives; what goes out are the frames that were taken.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "devices/net/stream.h"
#include "guest-tests/fuzz/fuzz.h"

#define MAX_FRAME 65553u
#define MANY	  (1u << 20)

static struct netbe *be;
static int peer;
static bool gone; /* the other end closed, or broke the framing */

static uint8_t in[MANY]; /* all that the peer wrote, and how far it is read */
static size_t in_len, in_at;
static uint8_t out[MANY]; /* all that it is to get, and how far it has got it */
static size_t out_len, out_at;

static void write_some(struct fuzz *f)
{
	const size_t len = fuzz_below(f, 2) ? fuzz_below(f, 64) : fuzz_int(f, 2);
	uint8_t bytes[4 + UINT16_MAX] = { 0 };
	size_t n, whole = len;
	ssize_t written;

	if (fuzz_below(f, 4)) { /* a good frame */
		const uint32_t be_len = htonl((uint32_t)len);

		memcpy(bytes, &be_len, 4);
		whole += 4;
	}
	memcpy(bytes + whole - len, fuzz_bytes(f, MIN(len, (size_t)64), &n),
	       MIN(len, (size_t)64) ? n : 0);
	if (fuzz_below(f, 4) == 0)
		whole = fuzz_below(f, (unsigned int)whole + 1);
	if (peer < 0 || in_len + whole > MANY)
		return;
	written = write(peer, bytes, whole);
	if (written > 0) {
		memcpy(in + in_len, bytes, (size_t)written);
		in_len += (size_t)written;
	}
}

static void receive(struct fuzz *f)
{
	static uint8_t room[NETBE_HDR_LEN + MAX_FRAME];
	const size_t split = fuzz_below(f, 100);
	const struct iovec iov[] = { { room, split }, { room + split, sizeof(room) - split } };
	const ssize_t got = be->ops->recv(be, 0, iov, 2);
	const size_t left = in_len - in_at;
	uint32_t len = 0;

	if (left >= 4) {
		memcpy(&len, in + in_at, 4);
		len = ntohl(len);
	}
	if (left >= 4 && len > MAX_FRAME) {
		fuzz_check(got == -EPROTO);
		gone = true;
	} else if (left < 4 || left - 4 < len) {
		const int end = left ? -EIO : -EBADFD; /* half a frame is lost first */

		fuzz_check(got == (peer < 0 ? end : -EAGAIN));
		if (peer < 0)
			in_at = in_len;
		gone = peer < 0 && !left;
	} else {
		fuzz_check(got == NETBE_HDR_LEN + (ssize_t)len);
		fuzz_check(!memcmp(room + NETBE_HDR_LEN, in + in_at + 4, len));
		in_at += 4 + len;
	}
}

static void transmit(struct fuzz *f)
{
	static uint8_t frame[NETBE_HDR_LEN + MAX_FRAME + 10];
	const size_t len =
		fuzz_below(f, 2) ? 14 + fuzz_below(f, 100) : MIN(fuzz_int(f, 3), MAX_FRAME + 9);
	const uint32_t be_len = htonl((uint32_t)len);
	const bool bad = !fuzz_below(f, 8);
	const size_t split = fuzz_below(f, 100);
	const struct iovec iov[] = { { frame, MIN(split, NETBE_HDR_LEN + len) },
				     { frame + split,
				       NETBE_HDR_LEN + len - MIN(split, NETBE_HDR_LEN + len) } };
	size_t n;
	int ret;

	memset(frame, 0, NETBE_HDR_LEN);
	memset(frame + NETBE_HDR_LEN, (int)len, len);
	memcpy(frame + NETBE_HDR_LEN, fuzz_bytes(f, 40, &n), MIN(n, len));
	frame[0] = bad;
	if (out_len + 4 + len > MANY)
		return;
	ret = be->ops->send(be, 0, iov, 2);
	fuzz_check(ret <= 0);
	if (ret)
		return;
	fuzz_check(!bad && len <= MAX_FRAME);
	fuzz_check(!(len >= 34 && frame[24] == 8 && !frame[25] &&
		     (frame[42] == 127 ||
		      frame[42] == 0))); /* to the host's loopback, which is closed */
	memcpy(out + out_len, &be_len, 4);
	memcpy(out + out_len + 4, frame + NETBE_HDR_LEN, len);
	out_len += 4 + len;
	memset(frame, 0x55, sizeof(frame));
}

static void drain(size_t max)
{
	static uint8_t bytes[MANY];
	const ssize_t n = peer < 0 ? -1 : read(peer, bytes, MIN(max, sizeof(bytes)));

	if (n <= 0)
		return;
	fuzz_check((size_t)n <= out_len - out_at && !memcmp(bytes, out + out_at, (size_t)n));
	out_at += (size_t)n;
}

void fuzz_one(struct fuzz *f)
{
	struct netbe_stream_options options = { .fd = -1 };
	const struct netbe_wish wish = { .pairs = 1 };
	const int small = 1;
	int fd[2];

	signal(SIGPIPE, SIG_IGN);
	fuzz_check(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd));
	setsockopt(fd[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	peer = fd[1];
	options.fd = fd[0];
	fuzz_check(!netbe_stream.open(&be, &options, &wish));
	gone = false;
	in_len = in_at = out_len = out_at = 0;
	while (f->left && !gone) {
		switch (fuzz_below(f, 8)) {
		case 0 ... 1:
			write_some(f);
			break;
		case 2 ... 3:
			receive(f);
			break;
		case 4 ... 5:
			transmit(f);
			break;
		case 6:
			drain(fuzz_int(f, 2));
			break;
		default:
			if (!fuzz_below(f, 16) && peer >= 0) {
				close(peer);
				peer = -1;
			}
		}
	}
	/* In the end all of it arrives. */
	while (peer >= 0 && out_at < out_len) {
		const int ret = be->ops->flush(be, 0);

		fuzz_check(ret == 0 || ret == -EAGAIN);
		drain(MANY);
	}
	be->ops->close(be);
	if (peer >= 0)
		close(peer);
}
