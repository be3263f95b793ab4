/* A card in front of a stream socket: the other end is slow, breaks off, breaks the framing, reads nothing. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "devices/net/stream.h"
#include "devices/virtio/test/net_rig.h"
#include "vmm/base/test/messages.h"
#include "vmm/base/test/unit.h"

static int peer;

static int begin(void **state)
{
	const struct virtio_net_options params = { .queue_size = 256 };
	struct netbe_stream_options options = { .host_loopback = true };
	const struct netbe_wish wish = { .pairs = 1 };
	struct netbe *be;
	int fd[2];

	signal(SIGPIPE, SIG_IGN);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
	peer = fd[1];
	options.fd = fd[0];
	vdriver_init(&d, 64 * MIB);
	assert_int_equal(netbe_stream.open(&be, &options, &wish), 0);
	d.env.name = "net0";
	assert_int_equal(virtio_net_create(&d.device, &d.env, be, &params), 0);
	dev = d.dev;
	return 0;
}

static int end(void **state)
{
	d.device->ops->stop(d.device);
	if (peer >= 0)
		close(peer);
	vdriver_destroy(&d);
	return 0;
}

/* make_frame()'s, as it stands on the wire: the length in place of the header's last four bytes. */
static const uint8_t *on_wire(size_t len, size_t *wire_len)
{
	const uint32_t be_len = htonl((uint32_t)(len - HDR));

	memcpy(frame + HDR - 4, &be_len, 4);
	*wire_len = len - HDR + 4;
	return frame + HDR - 4;
}

static void read_all(uint8_t *to, size_t len)
{
	while (len) {
		const ssize_t n = read(peer, to, len);

		assert_true(n > 0);
		to += n;
		len -= (size_t)n;
	}
}

static uint16_t link_status(void)
{
	return (uint16_t)virtio_read_config(dev, offsetof(struct virtio_net_config, status), 2);
}

/* No offload is offered: nobody on the other side could do it. */
static void nothing_is_left_to_the_other_end(void **state)
{
	const uint64_t offered = dev->device_features;

	assert_false(offered & (OFFLOADS | F(HOST_USO) | F(GUEST_USO4) | F(GUEST_USO6) |
				F(CTRL_GUEST_OFFLOADS)));
	assert_true(offered & F(MRG_RXBUF));
	start(USUAL);
	make_frame(60, 1);
	frame[0] = VIRTIO_NET_HDR_F_NEEDS_CSUM; /* a driver that wants it all the same */
	transmit_plain(HDR + 60);
	vdriver_kick(&d, TX);
	vdriver_wait(&d, TX);
	assert_int_equal(counter("tx", "drop_bad_header"), 1);
}

static void frames_pass_in_pieces(void **state)
{
	static const size_t lens[] = { 14, 60, 1514, 9000, 65000 };

	start(USUAL);
	for (unsigned int i = 0; i < 50; i++) {
		const size_t len = make_frame(lens[i % 5], i);
		uint8_t first[4];
		size_t n, wire_len;

		for (unsigned int k = 0; k < 40; k++)
			post_plain(2000);
		vdriver_kick(&d, RX);
		const uint8_t *bytes = on_wire(len, &wire_len);
		for (size_t at = 0; at < wire_len; at += n) {
			const ssize_t written =
				write(peer, bytes + at, MIN(wire_len - at, (size_t)1 + i * 97));

			assert_true(written > 0);
			n = (size_t)written;
		}
		memset(frame, 0, HDR);
		assert_got(len, collect());
		/* Back, as it is on the wire. */
		transmit_plain(len);
		vdriver_kick(&d, TX);
		read_all(first, 4);
		uint32_t told;
		memcpy(&told, first, 4);
		assert_int_equal(ntohl(told), len - HDR);
		read_all(got, len - HDR);
		assert_memory_equal(got, frame + HDR, len - HDR);
		vdriver_wait(&d, TX);
		vdriver_reset(&d);
		d.next_gpa = 0x100000;
		start(USUAL);
	}
	assert_int_equal(counter("rx", "packets"), 50);
	assert_int_equal(counter("tx", "packets"), 50);
}

static uint64_t cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* It is told once, to the user and to the guest, and costs nothing from then on. */
static void lost_for_good(const char *words, unsigned int frames)
{
	const char *said;

	vdriver_wait_config(&d);
	said = messages_end();
	if (!strstr(said, words) || strchr(said, '\n') != said + strlen(said) - 1)
		fail_msg("it says '%s'", said);
	assert_int_equal(link_status(), 0);
	const uint64_t before = cpu_ns();
	usleep(200000);
	assert_true(cpu_ns() - before < 100000000);
	messages_begin();
	for (unsigned int i = 0; i < 10; i++) {
		transmit_plain(make_frame(100, i));
		vdriver_kick(&d, TX);
		vdriver_wait(&d, TX);
	}
	assert_string_equal(messages_end(), "");
	assert_int_equal(counter("tx", "drop_down"), 10);
	assert_int_equal(counter("rx", "backend_errors"), frames);
	/* The next driver finds it so. */
	vdriver_reset(&d);
	start(USUAL);
	assert_int_equal(link_status(), 0);
}

/* A driver waits for frames, and the other end is heard. */
static void listening(void)
{
	start(USUAL);
	assert_int_equal(link_status(), VIRTIO_NET_S_LINK_UP);
	post_plain(100);
	vdriver_kick(&d, RX);
	messages_begin();
}

static void hang_up(unsigned int frames)
{
	close(peer);
	peer = -1;
	lost_for_good("is gone; the guest's frames are dropped from now on", frames);
}

static void an_other_end_that_closes(void **state)
{
	listening();
	hang_up(0);
}

static void an_other_end_that_closes_amid_a_frame(void **state)
{
	listening();
	assert_int_equal(write(peer, "\0\0\0\x40", 4), 4);
	hang_up(1);
}

static void an_other_end_that_breaks_the_framing(void **state)
{
	listening();
	assert_int_equal(write(peer, "GET / HTTP/1.1\r\n", 16), 16);
	lost_for_good("sends what is no frame; the guest's frames are dropped from now on", 1);
}

/* Frames of no length and of one byte are counted, and the next one is good. */
static void runts_are_counted(void **state)
{
	static const uint8_t runts[] = { 0, 0, 0, 0, 0, 0, 0, 1, 7, 0, 0, 0, 0 };
	size_t wire_len;
	size_t len;

	start(USUAL);
	post_plain(2000);
	vdriver_kick(&d, RX);
	assert_int_equal(write(peer, runts, sizeof(runts)), sizeof(runts));
	len = make_frame(60, 3);
	const uint8_t *bytes = on_wire(len, &wire_len);
	assert_int_equal(write(peer, bytes, wire_len), wire_len);
	memset(frame, 0, HDR);
	assert_got(len, collect());
	assert_int_equal(counter("rx", "drop_runt"), 3);
}

/*
 * Nobody reads: the frames wait in the ring, the card does not, and a driver that comes anew finds the wire whole: the
 * frame that was under way when the old one went is finished first.
 */
static void an_other_end_that_reads_nothing(void **state)
{
	unsigned int offered = 0, read_back = 0;

	start(USUAL);
	while (!counter("tx", "blocked")) {
		transmit_plain(make_frame(60000, offered++));
		vdriver_kick(&d, TX);
		usleep(10000);
		assert_true(offered < 64);
	}
	const uint64_t before = cpu_ns();
	usleep(200000);
	assert_true(cpu_ns() - before < 100000000);
	vdriver_reset(&d);
	const uint64_t taken = counter("tx", "packets");
	assert_true(taken > 0 && taken <= offered);
	d.next_gpa = 0x100000;
	start(USUAL);
	transmit_plain(make_frame(70, 1000));
	vdriver_kick(&d, TX);
	for (; read_back <= taken; read_back++) {
		const bool last = read_back == taken;
		const size_t len = make_frame(last ? 70 : 60000, last ? 1000 : read_back);
		uint32_t told;

		read_all((uint8_t *)&told, sizeof(told));
		assert_int_equal(ntohl(told), len - HDR);
		read_all(got, len - HDR);
		assert_memory_equal(got, frame + HDR, len - HDR);
	}
	vdriver_wait(&d, TX);
	assert_int_equal(counter("tx", "packets"), taken + 1);
	assert_int_equal(tx_accounted(), taken + 1);
}

/* The end of the last frame goes out, though the guest has no other. */
static void the_end_of_the_last_frame_is_not_forgotten(void **state)
{
	start(USUAL);
	for (unsigned int i = 0; i < 8; i++)
		transmit_plain(make_frame(60000, i));
	vdriver_kick(&d, TX);
	for (unsigned int i = 0; i < 8; i++) {
		const size_t len = make_frame(60000, i);

		read_all(got, 4);
		read_all(got, len - HDR);
		assert_memory_equal(got, frame + HDR, len - HDR);
	}
	for (unsigned int i = 0; i < 8; i++)
		vdriver_wait(&d, TX);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_other_end_that_closes),
		TEST(an_other_end_that_closes_amid_a_frame),
		TEST(an_other_end_that_breaks_the_framing),
		TEST(an_other_end_that_reads_nothing),
		TEST(runts_are_counted),
		TEST(nothing_is_left_to_the_other_end),
		TEST(frames_pass_in_pieces),
		TEST(the_end_of_the_last_frame_is_not_forgotten),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
