/* The stream backend, over a socketpair whose other end is the test's. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "devices/net/stream.h"
#include "vmm/base/iov.h"
#include "vmm/base/test/messages.h"
#include "vmm/base/test/unit.h"

#define MAX_FRAME 65553u

static const struct netbe_wish one = { .pairs = 1 }, small = { .pairs = 1, .mtu = 1400 };
static struct netbe *be;
static int peer;
static uint8_t room[NETBE_HDR_LEN + MAX_FRAME + 100];

static int open_fd(int fd)
{
	const struct netbe_stream_options options = { .fd = fd, .host_loopback = true };

	return netbe_stream.open(&be, &options, &one);
}

static int setup(void **state)
{
	int fd[2];

	signal(SIGPIPE, SIG_IGN); /* as in minivmm */
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, fd))
		return -1;
	peer = fd[1];
	fcntl(peer, F_SETFL, O_NONBLOCK);
	return open_fd(fd[0]);
}

static int teardown(void **state)
{
	be->ops->close(be);
	if (peer >= 0)
		close(peer);
	return 0;
}

/* A byte that tells frame and place. */
static uint8_t byte_of(unsigned int frame, size_t at)
{
	return (uint8_t)(frame * 31 + at + (at >> 8));
}

static ssize_t take(void)
{
	const struct iovec iov = { room, sizeof(room) };

	memset(room, 0xee, sizeof(room));
	return be->ops->recv(be, 0, &iov, 1);
}

static void took(unsigned int frame, size_t len)
{
	static const uint8_t none[NETBE_HDR_LEN];

	assert_int_equal(take(), NETBE_HDR_LEN + len);
	assert_memory_equal(room, none, sizeof(none));
	for (size_t i = 0; i < len; i++)
		assert_int_equal(room[NETBE_HDR_LEN + i], byte_of(frame, i));
	assert_int_equal(room[NETBE_HDR_LEN + len], 0xee);
}

/* Bytes of the test's: frames behind each other. */
static uint8_t wire[1 << 20];
static size_t wire_len;

static void put(unsigned int frame, uint32_t len)
{
	const uint32_t be_len = htonl(len);

	memcpy(wire + wire_len, &be_len, sizeof(be_len));
	wire_len += sizeof(be_len);
	for (size_t i = 0; i < len && len <= MAX_FRAME; i++)
		wire[wire_len++] = byte_of(frame, i);
}

static void say(const void *bytes, size_t len)
{
	assert_int_equal(write(peer, bytes, len), len);
}

/* ---- what the other end may do wrong ---- */

static void a_frame_that_is_too_long_is_no_frame(void **state)
{
	static const uint32_t bad[] = { MAX_FRAME + 1, 0x10000000, 0x80000000, UINT32_MAX };

	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		wire_len = 0;
		put(1, 60);
		put(2, bad[i]);
		say(wire, wire_len);
		say(wire, 60);
		took(1, 60); /* what came before it is good */
		assert_int_equal(take(), -EPROTO);
		assert_int_equal(take(), -EPROTO);
		teardown(state);
		setup(state);
	}
	/* Judged as soon as the length is here, without a byte of the frame. */
	wire_len = 0;
	put(2, MAX_FRAME + 1);
	say(wire, 4);
	assert_int_equal(take(), -EPROTO);
}

static void the_shortest_and_the_longest_are_frames(void **state)
{
	static const uint32_t lens[] = { 0, 1, 13, 14, 60, MAX_FRAME, 0, 1514 };

	wire_len = 0;
	for (unsigned int i = 0; i < ARRAY_SIZE(lens); i++)
		put(i, lens[i]);
	say(wire, wire_len);
	for (unsigned int i = 0; i < ARRAY_SIZE(lens); i++)
		took(i, lens[i]);
	assert_int_equal(take(), -EAGAIN);
}

static void an_end_amid_a_frame_loses_it(void **state)
{
	static const size_t cuts[] = { 1, 3, 4, 5, 63 };

	for (unsigned int i = 0; i < ARRAY_SIZE(cuts); i++) {
		wire_len = 0;
		put(7, 100);
		say(wire, wire_len);
		say(wire, cuts[i]);
		close(peer);
		peer = -1;
		took(7, 100);
		assert_int_equal(take(), -EIO);
		assert_int_equal(take(), -EBADFD);
		teardown(state);
		setup(state);
	}
}

/* Bytes that were never read make a close a reset. */
static void a_reset_is_an_end(void **state)
{
	uint8_t frame[NETBE_HDR_LEN + 60] = { 0 };
	const struct iovec iov = { frame, sizeof(frame) };

	assert_int_equal(be->ops->send(be, 0, &iov, 1), 0);
	close(peer);
	peer = -1;
	assert_int_equal(take(), -EBADFD);
	/* No more goes out, and no signal comes of it. */
	assert_int_equal(be->ops->send(be, 0, &iov, 1), -EIO);
}

/* One that only reads no more may still send. */
static void half_an_end_is_no_end(void **state)
{
	uint8_t frame[NETBE_HDR_LEN + 60] = { 0 };
	const struct iovec iov = { frame, sizeof(frame) };

	shutdown(peer, SHUT_RD);
	assert_int_equal(be->ops->send(be, 0, &iov, 1), -EIO);
	wire_len = 0;
	put(1, 60);
	say(wire, wire_len);
	took(1, 60);
	assert_int_equal(take(), -EAGAIN);
}

/* Two cards on one socket would each get parts of frames. */
static void a_copy_of_a_descriptor_is_no_other(void **state)
{
	const int copy = dup(peer);
	const struct netbe_stream_options a = { .fd = peer }, b = { .fd = copy },
					  c = { .fd = be->fd[0] }, none = { .fd = -1 };

	assert_true(netbe_stream.same(&a, &a));
	assert_true(netbe_stream.same(&a, &b));
	assert_false(netbe_stream.same(&a, &c));
	assert_false(netbe_stream.same(&none, &none));
	close(copy);
}

/* ---- to the card ---- */

/* Cut at every place, a piece at a time. */
static void frames_come_in_pieces(void **state)
{
	static const uint32_t lens[] = { 60, 0, 1, 17, 200 };

	wire_len = 0;
	for (unsigned int i = 0; i < ARRAY_SIZE(lens); i++)
		put(i, lens[i]);
	for (size_t piece = 1; piece < wire_len; piece++) {
		unsigned int frame = 0;

		for (size_t at = 0; at < wire_len; at += piece) {
			ssize_t n;

			say(wire + at, MIN(piece, wire_len - at));
			while ((n = take()) >= 0) {
				assert_int_equal(n, NETBE_HDR_LEN + lens[frame]);
				for (size_t i = 0; i < lens[frame]; i++)
					assert_int_equal(room[NETBE_HDR_LEN + i],
							 byte_of(frame, i));
				frame++;
			}
			assert_int_equal(n, -EAGAIN);
		}
		assert_int_equal(frame, ARRAY_SIZE(lens));
	}
}

static void many_frames_come_at_once(void **state)
{
	for (unsigned int round = 0; round < 20; round++) {
		wire_len = 0;
		for (unsigned int i = 0; i < 700; i++)
			put(i, i % 150);
		say(wire, wire_len);
		for (unsigned int i = 0; i < 700; i++)
			took(i, i % 150);
		assert_int_equal(take(), -EAGAIN);
	}
}

/* The largest one after the other, by a writer that never waits for them to be taken. */
static void large_frames_come_through_a_small_socket(void **state)
{
	unsigned int frame = 0;
	size_t at = 0;

	wire_len = 0;
	for (unsigned int i = 0; i < 10; i++)
		put(i, MAX_FRAME - i);
	while (frame < 10) {
		const ssize_t sent = at < wire_len ? write(peer, wire + at, wire_len - at) : 0;
		ssize_t n;

		at += (size_t)MAX(sent, 0);
		while ((n = take()) >= 0) {
			assert_int_equal(n, NETBE_HDR_LEN + MAX_FRAME - frame);
			for (size_t i = 0; i < MAX_FRAME - frame; i++)
				if (room[NETBE_HDR_LEN + i] != byte_of(frame, i))
					fail_msg("frame %u, byte %zu", frame, i);
			frame++;
		}
		assert_int_equal(n, -EAGAIN);
	}
	assert_int_equal(at, wire_len);
}

/* The guest's buffers may be of any kind; what does not fit is lost, and the next frame is whole. */
static void a_frame_goes_into_scattered_buffers(void **state)
{
	struct iovec iov[40];

	wire_len = 0;
	put(1, 300);
	put(2, 60);
	say(wire, wire_len);
	for (unsigned int i = 0; i < 40; i++)
		iov[i] = (struct iovec){ room + 7 * i, 7 };
	assert_int_equal(be->ops->recv(be, 0, iov, 40), NETBE_HDR_LEN + 300);
	for (size_t i = 0; i < 280 - NETBE_HDR_LEN; i++)
		assert_int_equal(room[NETBE_HDR_LEN + i], byte_of(1, i));
	took(2, 60);
}

/* ---- from the card ---- */

static uint8_t frame_bytes[NETBE_HDR_LEN + MAX_FRAME + 1];

/* Frame number @frame of @len bytes, in buffers of @piece bytes. */
static int send_in(unsigned int frame, size_t len, size_t piece)
{
	static struct iovec iov[1024];
	const size_t whole = NETBE_HDR_LEN + len;
	int n = 0;

	memset(frame_bytes, 0, NETBE_HDR_LEN);
	for (size_t i = 0; i < len; i++)
		frame_bytes[NETBE_HDR_LEN + i] = byte_of(frame, i);
	for (size_t at = 0; at < whole; at += piece)
		iov[n++] = (struct iovec){ frame_bytes + at, MIN(piece, whole - at) };
	return be->ops->send(be, 0, iov, n);
}

static void expect(const uint8_t *at, unsigned int frame, uint32_t len)
{
	uint32_t got;

	memcpy(&got, at, sizeof(got));
	assert_int_equal(ntohl(got), len);
	for (size_t i = 0; i < len; i++)
		if (at[4 + i] != byte_of(frame, i))
			fail_msg("frame %u of %u bytes: byte %zu", frame, len, i);
}

static void frames_go_out_behind_their_length(void **state)
{
	static const size_t lens[] = { 14, 15, 33, 34, 35, 60, 1514, 9000 };

	for (unsigned int i = 0; i < ARRAY_SIZE(lens); i++)
		for (size_t piece = lens[i] > 1000 ? 11 : 1; piece < 80; piece++) {
			assert_int_equal(send_in(i, lens[i], piece), 0);
			assert_int_equal(read(peer, wire, sizeof(wire)), 4 + lens[i]);
			expect(wire, i, (uint32_t)lens[i]);
		}
	/* Of as many buffers as a ring has. */
	assert_int_equal(send_in(3, 1024 - NETBE_HDR_LEN, 1), 0);
	assert_int_equal(read(peer, wire, sizeof(wire)), 4 + 1024 - NETBE_HDR_LEN);
	expect(wire, 3, 1024 - NETBE_HDR_LEN);
}

static void what_is_no_plain_frame_stays_here(void **state)
{
	assert_int_equal(send_in(1, MAX_FRAME, 70000), 0);
	assert_int_equal(read(peer, wire, sizeof(wire)), 4 + MAX_FRAME);
	assert_int_equal(send_in(1, MAX_FRAME + 1, 70000), -EMSGSIZE);
	for (unsigned int i = 0; i < 3; i++) {
		struct virtio_net_hdr_v1 hdr = { .flags = i == 0 };
		const struct iovec iov[] = { { &hdr, sizeof(hdr) }, { room, 60 } };

		hdr.gso_type = i == 1 ? VIRTIO_NET_HDR_GSO_TCPV4 : i == 2 ? 0xff : 0;
		assert_int_equal(be->ops->send(be, 0, iov, 2), -EINVAL);
	}
	assert_int_equal(read(peer, wire, sizeof(wire)), -1);
	assert_int_equal(be->features, 0); /* so that no driver asks for such a thing */
	assert_int_equal(be->ops->set_features(be, 0), 0);
	assert_int_equal(be->ops->set_features(be, NET_F(GUEST_CSUM)), -EINVAL);
}

/* A reader that is slow, or does not read at all: no wait, no loss, no frame in parts among others. */
static void what_the_socket_does_not_take_waits(void **state)
{
	static const size_t lens[] = { 60, MAX_FRAME, 1514, 0, 9000, 40000 };
	unsigned int sent = 0, got = 0, blocked = 0;
	size_t have = 0;

	while (got < 500) {
		ssize_t n;
		int ret = 0;

		/* What is in the guest's buffers may change once it was taken. */
		while (sent < 500 && !ret) {
			ret = send_in(sent, lens[sent % ARRAY_SIZE(lens)], 70000);
			memset(frame_bytes, 0x55, sizeof(frame_bytes));
			sent += !ret;
		}
		if (sent == 500)
			ret = be->ops->flush(be, 0);
		assert_true(ret == 0 || ret == -EAGAIN);
		blocked += ret == -EAGAIN;
		n = read(peer, wire + have, 30000 + sent % 7);
		have += (size_t)MAX(n, 0);
		while (have >= 4) {
			const uint32_t len = (uint32_t)lens[got % ARRAY_SIZE(lens)];

			if (have < 4 + len)
				break;
			expect(wire, got++, len);
			have -= 4 + len;
			memmove(wire, wire + 4 + len, have);
		}
	}
	assert_int_equal(sent, 500);
	assert_true(blocked > 100);
	assert_int_equal(have, 0);
	assert_int_equal(be->ops->flush(be, 0), 0);
}

/* ---- the host's loopback ---- */

static int send_to(uint16_t ethertype, const char *address, size_t len)
{
	uint8_t frame[NETBE_HDR_LEN + 60] = { 0 };
	const struct iovec iov = { frame, NETBE_HDR_LEN + len };
	const uint16_t type = htons(ethertype);

	memcpy(frame + NETBE_HDR_LEN + 12, &type, sizeof(type));
	inet_pton(AF_INET, address, frame + NETBE_HDR_LEN + 30);
	return be->ops->send(be, 0, &iov, 1);
}

static void the_loopback_can_be_closed(void **state)
{
	const struct netbe_stream_options options = { .fd = dup(be->fd[0]) };

	assert_int_equal(send_to(0x0800, "127.0.0.1", 60), 0);
	teardown(state);
	peer = -1;
	assert_int_equal(netbe_stream.open(&be, &options, &one), 0);
	assert_int_equal(send_to(0x0800, "127.0.0.1", 60), -EACCES);
	assert_int_equal(send_to(0x0800, "127.255.2.3", 34), -EACCES);
	assert_int_equal(send_to(0x0800, "0.0.0.0", 60), -EACCES);
	assert_int_equal(send_to(0x0800, "0.1.2.3", 60), -EACCES);
	assert_int_equal(send_to(0x0800, "10.0.2.2", 60), -EIO); /* it goes on, and finds nobody */
	assert_int_equal(send_to(0x0800, "128.0.0.1", 60), -EIO);
	assert_int_equal(send_to(0x0806, "127.0.0.1", 60), -EIO);
}

/* ---- opening ---- */

static void what_is_no_stream_is_one_line(void **state)
{
	struct netbe *none = NULL;
	char text[200];
	const int null = open("/dev/null", O_RDWR), tcp = socket(AF_INET, SOCK_STREAM, 0);
	const int fds[] = { 12345, null, socket(AF_UNIX, SOCK_DGRAM, 0),
			    socket(AF_UNIX, SOCK_STREAM, 0), tcp };
	const char *said;

	for (unsigned int i = 0; i < ARRAY_SIZE(fds); i++) {
		const struct netbe_stream_options options = { .fd = fds[i] };

		messages_begin();
		const int ret = netbe_stream.open(&none, &options, &one);
		said = messages_end();
		snprintf(text, sizeof(text), "stream=%d is not a connected stream socket", fds[i]);
		if (!ret || !strstr(said, text) || strchr(said, '\n') != said + strlen(said) - 1)
			fail_msg("%d: '%s'", ret, said);
		if (i)
			close(fds[i]);
	}
	assert_null(none);
}

static void a_socket_has_a_path(void **state)
{
	struct netbe_stream_options options = { .fd = -1 };
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	const int server = socket(AF_UNIX, SOCK_STREAM, 0);
	char dir[] = "/tmp/test_stream.XXXXXX", path[200];
	struct netbe *other = NULL;
	const char *said;
	uint8_t mac[6];
	int ends[2];

	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/s", dir);
	options.socket = path;
	messages_begin();
	assert_int_equal(netbe_stream.open(&other, &options, &one), -ENOENT);
	said = messages_end();
	assert_non_null(strstr(said, "cannot connect to socket '/tmp/"));
	assert_non_null(strstr(said, "start its other end first"));
	strcpy(a.sun_path, path);
	assert_int_equal(bind(server, (struct sockaddr *)&a, sizeof(a)), 0);
	messages_begin();
	assert_int_equal(netbe_stream.open(&other, &options, &one), -ECONNREFUSED);
	messages_end();
	/* A listener that accepts nobody is no hang. */
	assert_int_equal(listen(server, 1), 0);
	assert_int_equal(netbe_stream.open(&other, &options, &small), 0);
	assert_int_equal(other->mtu, 1400);
	memcpy(mac, other->mac, sizeof(mac));
	ends[0] = accept(server, NULL, NULL);
	other->ops->close(other);
	assert_int_equal(netbe_stream.open(&other, &options, &one), 0);
	assert_memory_equal(mac, other->mac, sizeof(mac)); /* the same path, the same card */
	other->ops->close(other);
	close(ends[0]);
	struct netbe *waiting[10];
	unsigned int nr = 0;
	int ret;

	messages_begin();
	while (!(ret = netbe_stream.open(&waiting[nr], &options, &one)))
		assert_true(++nr < 10);
	messages_end();
	assert_int_equal(ret, -EAGAIN);
	for (unsigned int i = 0; i < nr; i++)
		waiting[i]->ops->close(waiting[i]);
	close(server);
	unlink(path);
	rmdir(dir);
	memset(path, 'x', 150);
	path[150] = '\0';
	messages_begin();
	assert_int_equal(netbe_stream.open(&other, &options, &one), -ENAMETOOLONG);
	messages_end();
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_frame_that_is_too_long_is_no_frame),
		TEST(the_shortest_and_the_longest_are_frames),
		TEST(an_end_amid_a_frame_loses_it),
		TEST(a_reset_is_an_end),
		TEST(half_an_end_is_no_end),
		TEST(a_copy_of_a_descriptor_is_no_other),
		TEST(frames_come_in_pieces),
		TEST(many_frames_come_at_once),
		TEST(large_frames_come_through_a_small_socket),
		TEST(a_frame_goes_into_scattered_buffers),
		TEST(frames_go_out_behind_their_length),
		TEST(what_is_no_plain_frame_stays_here),
		TEST(what_the_socket_does_not_take_waits),
		TEST(the_loopback_can_be_closed),
		cmocka_unit_test(what_is_no_stream_is_one_line),
		cmocka_unit_test(a_socket_has_a_path),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
