/* A stream socket as net backend. */
#include "devices/net/stream.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/ethernet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "vmm/base/iov.h"
#include "vmm/base/log.h"

#define LENGTH_LEN sizeof(uint32_t)
#define MAX_FRAME  (ETH_HLEN + 4 + 65535u)
#define MAX_IOV	   1024u /* that writev() takes */

/* Ethernet and IPv4 headers up to the destination. */
#define START_LEN      34u
#define AT_ETHERTYPE   12u
#define AT_DESTINATION 30u

struct stream {
	struct netbe be;
	bool host_loopback;

	/* Received and not yet given to the card: in[in_at] to in[in_end]. Room for many small frames at once. */
	size_t in_at, in_end;
	uint8_t in[2 * (LENGTH_LEN + MAX_FRAME)];

	/* What the socket has not taken yet of a frame: out[out_at] to out[out_end]. */
	size_t out_at, out_end;
	uint8_t out[LENGTH_LEN + MAX_FRAME];
};

static struct stream *to_stream(struct netbe *be)
{
	return container_of(be, struct stream, be);
}

/* ---- to the card ---- */

/* More into in[]; the start of a frame that is there goes to its front. */
static int fill(struct stream *s)
{
	ssize_t n;

	memmove(s->in, s->in + s->in_at, s->in_end - s->in_at);
	s->in_end -= s->in_at;
	s->in_at = 0;
	n = TEMP_FAILURE_RETRY(read(s->be.fd[0], s->in + s->in_end, sizeof(s->in) - s->in_end));
	if (n > 0)
		s->in_end += (size_t)n;
	if (n == 0 || (n < 0 && errno == ECONNRESET)) {
		const bool amid = s->in_end; /* a frame, which is lost */

		s->in_end = 0;
		return amid ? -EIO : -EBADFD;
	}
	return n < 0 ? -errno : 0;
}

static ssize_t stream_recv(struct netbe *be, unsigned int pair, const struct iovec *iov, int n)
{
	static const uint8_t plain[NETBE_HDR_LEN]; /* no offload */
	struct stream *s = to_stream(be);
	uint32_t len;
	int ret;

	for (;;) {
		const size_t have = s->in_end - s->in_at;

		if (have >= LENGTH_LEN) {
			memcpy(&len, s->in + s->in_at, LENGTH_LEN);
			len = ntohl(len);
			if (len > MAX_FRAME)
				return -EPROTO;
			if (have - LENGTH_LEN >= len)
				break;
		}
		ret = fill(s);
		if (ret)
			return ret;
	}
	iov_from_buf(iov, (unsigned int)n, 0, plain, NETBE_HDR_LEN);
	iov_from_buf(iov, (unsigned int)n, NETBE_HDR_LEN, s->in + s->in_at + LENGTH_LEN, len);
	s->in_at += LENGTH_LEN + len;
	return NETBE_HDR_LEN + (ssize_t)len;
}

/* ---- from the card ---- */

/* How many bytes the socket took, or -errno. */
static ssize_t put(const struct stream *s, const struct iovec *iov, int n)
{
	const ssize_t len = TEMP_FAILURE_RETRY(writev(s->be.fd[0], iov, n));

	/* Nobody reads there any more. Whether something still comes from there, recv() finds out. */
	if (len < 0 && (errno == EPIPE || errno == ECONNRESET))
		return -EIO;
	return len < 0 ? -errno : len;
}

static int stream_flush(struct netbe *be, unsigned int pair)
{
	struct stream *s = to_stream(be);

	while (s->out_at < s->out_end) {
		const struct iovec rest = { s->out + s->out_at, s->out_end - s->out_at };
		const ssize_t n = put(s, &rest, 1);

		if (n < 0)
			return (int)n;
		s->out_at += (size_t)n;
	}
	return 0;
}

static bool is_for_host(const uint8_t *start)
{
	const uint8_t net = start
		[AT_DESTINATION]; /* the first byte of 127.0.0.1, and of 0.0.0.0, which means the same */

	return start[AT_ETHERTYPE] == ETHERTYPE_IP >> 8 &&
	       start[AT_ETHERTYPE + 1] == (ETHERTYPE_IP & 0xff) && (net == 127 || net == 0);
}

static int stream_send(struct netbe *be, unsigned int pair, const struct iovec *from, int n)
{
	struct stream *s = to_stream(be);
	struct virtio_net_hdr_v1 hdr;
	struct iovec iov[1 + MAX_IOV], *body = iov + 1;
	unsigned int nr = (unsigned int)n;
	/* Goes out as it was judged, whatever the guest makes of its buffers meanwhile. */
	struct {
		uint32_t len;
		uint8_t start[START_LEN];
	} head;
	size_t len, in_start, whole;
	ssize_t sent;
	int ret = stream_flush(be, pair);

	if (ret)
		return ret;
	if (nr > MAX_IOV)
		return -EMSGSIZE;
	memcpy(body, from, nr * sizeof(*body));
	iov_to_buf(body, nr, 0, &hdr, sizeof(hdr));
	iov_skip(&body, &nr, NETBE_HDR_LEN);
	len = iov_size(body, nr);
	if (len > MAX_FRAME)
		return -EMSGSIZE;
	/* A frame whose end is left to us to make; the driver was offered no such thing. */
	if (hdr.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM || hdr.gso_type != VIRTIO_NET_HDR_GSO_NONE)
		return -EINVAL;
	in_start = iov_to_buf(body, nr, 0, head.start, START_LEN);
	if (!s->host_loopback && in_start == START_LEN && is_for_host(head.start))
		return -EACCES;
	iov_skip(&body, &nr, in_start);
	head.len = htonl((uint32_t)len);
	*--body = (struct iovec){ &head, LENGTH_LEN + in_start };
	whole = LENGTH_LEN + len;
	sent = put(s, body, (int)MIN(nr + 1, MAX_IOV));
	if (sent < 0)
		return (int)sent;
	s->out_at = 0;
	s->out_end = iov_to_buf(body, nr + 1, (size_t)sent, s->out, whole - (size_t)sent);
	return 0;
}

static int stream_set_features(struct netbe *be, uint64_t features)
{
	return features & ~be->features ? -EINVAL : 0;
}

static void stream_close(struct netbe *be)
{
	close_fd(be->fd[0]);
	free(to_stream(be));
}

static const struct netbe_ops stream_ops = {
	.recv = stream_recv,
	.send = stream_send,
	.flush = stream_flush,
	.set_features = stream_set_features,
	.close = stream_close,
};

/* ---- opening ---- */

static int connect_to(struct stream *s, const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int err = 0;

	if (strlen(path) >= sizeof(address.sun_path)) {
		err = ENAMETOOLONG;
	} else {
		strcpy(address.sun_path, path);
		s->be.fd[0] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		if (s->be.fd[0] < 0 ||
		    connect(s->be.fd[0], (struct sockaddr *)&address, sizeof(address)) < 0)
			err = errno;
	}
	if (err)
		log_error("cannot connect to socket '%s': %s%s", path, strerror(err),
			  err == ENOENT || err == ECONNREFUSED
				  ? " (start its other end first: passt --socket PATH)"
				  : "");
	snprintf(s->be.name, sizeof(s->be.name), "socket '%s'", path);
	netbe_pick_mac(&s->be, path);
	return -err;
}

/* A descriptor from the user: is it the end of a connection? */
static int adopt(struct stream *s, int fd)
{
	struct sockaddr_storage peer;
	socklen_t len = sizeof(int), peer_len = sizeof(peer);
	int type = 0, err = 0;

	if (!is_inherited(fd) || getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0)
		err = errno;
	else if (type != SOCK_STREAM)
		err = EPROTOTYPE;
	else if (getpeername(fd, (struct sockaddr *)&peer, &peer_len) < 0)
		err = errno;
	if (!err) {
		s->be.fd[0] = fd;
		if (fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK) < 0 ||
		    fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
			err = errno;
	}
	if (err)
		log_error("stream=%d is not a connected stream socket: %s", fd, strerror(err));
	snprintf(s->be.name, sizeof(s->be.name), "stream %d", fd);
	netbe_pick_mac(&s->be, NULL);
	return -err;
}

static int stream_open(struct netbe **out, const void *options, const struct netbe_wish *wish)
{
	const struct netbe_stream_options *o = options;
	struct stream *s = malloc(sizeof(*s));
	int ret;

	if (!s)
		return -ENOMEM;
	s->be = (struct netbe){ .ops = &stream_ops, .mtu = wish->mtu, .pairs = 1, .fd = { -1 } };
	s->host_loopback = o->host_loopback;
	s->in_at = s->in_end = s->out_at = s->out_end = 0;
	ret = o->socket ? connect_to(s, o->socket) : adopt(s, o->fd);
	if (ret)
		stream_close(&s->be);
	else
		*out = &s->be;
	return ret;
}

static unsigned int stream_wanted(const void *options)
{
	const struct netbe_stream_options *o = options;
	const unsigned int nr = (o->socket != NULL) + (o->fd >= 0);

	/* No other stops those frames: whoever would have them stopped there is told. */
	return nr || o->host_loopback ? nr : 2;
}

/* Whoever listens at a path may take several. */
static bool stream_same(const void *a, const void *b)
{
	const struct netbe_stream_options *x = a, *y = b;

	return x->fd >= 0 && y->fd >= 0 && netbe_is_same_file(x->fd, y->fd);
}

#define AT(field) offsetof(struct netbe_stream_options, field)
const struct option netbe_stream_keys[] = {
	{ "socket", OPTION_TEXT, AT(socket), "PATH",
	  "a Unix socket, each frame behind its length (passt)", .wanted = "a path" },
	{ "stream", OPTION_DESCRIPTOR, AT(fd), "N", "the same, connected already",
	  .max = 1u << 20 },
	{ "host-loopback", OPTION_SWITCH, AT(host_loopback), "on|off",
	  "let pass what is for 127.0.0.0/8 behind such a socket", .preset = "on" },
	{ 0 },
};

_Static_assert(sizeof(struct netbe_stream_options) <= NETBE_OPTIONS_ROOM, "room for options");

const struct netbe_kind netbe_stream = {
	.how = "socket=PATH or stream=N, with or without host-loopback=",
	.wanted = stream_wanted,
	.same = stream_same,
	.open = stream_open,
};
