/* A network card for unit tests. */
#include "devices/virtio/test/net_rig.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vmm/base/test/unit.h"

const uint8_t mac[6] = { 0x52, 0x54, 0, 0x12, 0x34, 0x56 };

struct vdriver d;
struct virtio_dev *dev;
struct netbe_pair pair;
uint64_t mark;
uint8_t frame[HDR + MAX_FRAME + 70000], got[HDR + MAX_FRAME + 70000];

/* The receive buffers by the heads of their chains. */
static struct {
	struct vdriver_buf part[MAX_PARTS];
	unsigned int nr;
} posted[NETBE_MAX_PAIRS][VIRTQ_SIZE_MAX];

static unsigned int queues = 1, on, ctrl = CTRL;

/* ---- the machine ---- */

void use_pair(unsigned int i)
{
	on = i;
}

void use_queues(uint64_t features)
{
	ctrl = features & (F(MQ) | F(RSS)) ? dev->nr_vqs - 1 : CTRL;
	mark = d.next_gpa;
}

void start(uint64_t features)
{
	vdriver_start(&d, features);
	use_queues(features);
}

void create(uint64_t features, uint16_t queue_size, unsigned int poll_us)
{
	struct virtio_net_options params = { .queue_size = queue_size, .poll_us = poll_us };

	memcpy(params.mac, mac, 6);
	create_with(features, &params);
}

void create_with(uint64_t features, const struct virtio_net_options *options)
{
	vdriver_init(&d, 64 * MIB);
	netbe_pair_init_queues(&pair, queues);
	pair.be.features = features;
	pair.be.mtu = 1400;
	d.env.name = "net0";
	assert_int_equal(virtio_net_create(&d.device, &d.env, &pair.be, options), 0);
	dev = d.dev;
}

int setup(void **state)
{
	create(OFFLOADS, 256, 0);
	return 0;
}

int setup_polling(void **state)
{
	create(OFFLOADS, 256, 50);
	return 0;
}

int setup_long_rings(void **state)
{
	create(OFFLOADS, VIRTQ_SIZE_MAX, 0);
	return 0;
}

int setup_queues(void **state)
{
	queues = 4;
	create(OFFLOADS, 64, 0);
	return 0;
}

int setup_rss(void **state)
{
	queues = 4;
	create(OFFLOADS | F(RSS) | F(HASH_REPORT), 64, 0);
	return 0;
}

int teardown(void **state)
{
	d.device->ops->stop(d.device);
	netbe_pair_check_ledger(&d.counters);
	queues = 1;
	on = 0;
	vdriver_destroy(&d);
	netbe_pair_destroy(&pair);
	return 0;
}

uint64_t counter(const char *group, const char *name)
{
	return vdriver_counter(&d, group, name);
}

void wait_counter(const char *group, const char *name, uint64_t at_least)
{
	for (unsigned int ms = 0; counter(group, name) < at_least; ms++) {
		if (ms == VDRIVER_TIMEOUT_MS)
			fail_msg("%s.%s stays %llu", group, name,
				 (unsigned long long)counter(group, name));
		usleep(1000);
	}
}

uint64_t rx_accounted(void)
{
	return counter("rx", "packets") + counter("rx", "drop_too_big") +
	       counter("rx", "drop_filtered") + counter("rx", "drop_offload") +
	       counter("rx", "drop_mtu") + counter("rx", "drop_runt");
}

uint64_t tx_accounted(void)
{
	return counter("tx", "packets") + counter("tx", "drop_malformed") +
	       counter("tx", "drop_bad_header") + counter("tx", "drop_down") +
	       counter("tx", "drop_error");
}

/* ---- frames ---- */

size_t make_frame(size_t len, uint32_t seed)
{
	memset(frame, 0, HDR);
	for (size_t i = 0; i < len; i++)
		frame[HDR + i] = (uint8_t)(i * 31 + (i >> 8) + seed);
	memcpy(frame + HDR, mac, 6);
	if (len >= 18)
		memcpy(frame + HDR + 14, &seed, sizeof(seed));
	return HDR + len;
}

static void peer_wait(short events)
{
	struct pollfd p = { .fd = pair.peers[on], .events = events };

	if (poll(&p, 1, VDRIVER_TIMEOUT_MS) != 1)
		fail_msg("the card neither sends nor takes frames");
}

void peer_send(size_t len)
{
	while (send(pair.peers[on], frame, len, 0) < 0) {
		assert_int_equal(errno, EAGAIN);
		peer_wait(POLLOUT);
	}
}

size_t peer_recv(void)
{
	ssize_t n;

	peer_wait(POLLIN);
	n = recv(pair.peers[on], got, sizeof(got), 0);
	assert_true(n > 0);
	return (size_t)n;
}

/* Buffers of the given lengths, @total bytes in all. */
static unsigned int make_parts(struct vdriver_buf *part, const uint32_t *split, size_t total)
{
	unsigned int nr = 0;

	for (size_t left = total; left; nr++) {
		const uint32_t len =
			*split == REST ? (uint32_t)left : (uint32_t)MIN(left, (size_t)*split++);

		assert_true(nr < MAX_PARTS);
		part[nr] = vdriver_buf(&d, len);
		left -= len;
	}
	return nr;
}

void post(const uint32_t *split, size_t total, bool indirect)
{
	struct vdriver_buf part[MAX_PARTS];
	const unsigned int nr = make_parts(part, split, total);
	const uint16_t head = indirect ? vdriver_add_indirect(&d, 2 * on, part, 0, nr)
				       : vdriver_add(&d, 2 * on, part, 0, nr);

	memcpy(posted[on][head].part, part, sizeof(part));
	posted[on][head].nr = nr;
}

void post_plain(size_t total)
{
	static const uint32_t whole[] = { REST };

	post(whole, total, false);
}

size_t collect(void)
{
	struct virtio_net_hdr_v1 h = { .num_buffers = 1 };
	size_t len = 0;

	for (unsigned int i = 0; i < h.num_buffers; i++) {
		const struct vring_used_elem e = vdriver_wait(&d, 2 * on);
		uint32_t left = e.len;

		for (unsigned int p = 0; left; p++) {
			const uint32_t n = MIN(left, posted[on][e.id].part[p].len);

			assert_true(p < posted[on][e.id].nr && len + n <= sizeof(got));
			memcpy(got + len, posted[on][e.id].part[p].host, n);
			len += n;
			left -= n;
		}
		assert_true(len >= HDR);
		memcpy(&h, got, sizeof(h));
		assert_true(h.num_buffers == 1 ||
			    (virtio_has_feature(dev, VIRTIO_NET_F_MRG_RXBUF) && h.num_buffers));
	}
	memset(got + offsetof(struct virtio_net_hdr_v1, num_buffers), 0, 2);
	return len;
}

void assert_got(size_t len, size_t expected)
{
	assert_int_equal(len, expected);
	assert_memory_equal(got, frame, len);
}

void transmit(const uint32_t *split, size_t len, bool indirect)
{
	struct vdriver_buf part[MAX_PARTS];
	const unsigned int nr = make_parts(part, split, len);
	size_t at = 0;

	for (unsigned int i = 0; i < nr; at += part[i++].len)
		memcpy(part[i].host, frame + at, part[i].len);
	if (indirect)
		vdriver_add_indirect(&d, 2 * on + 1, part, nr, 0);
	else
		vdriver_add(&d, 2 * on + 1, part, nr, 0);
}

void transmit_plain(size_t len)
{
	static const uint32_t whole[] = { REST };

	transmit(whole, len, false);
}

void check_alive(void)
{
	size_t len = make_frame(100, 0xa11fe);

	transmit_plain(len);
	vdriver_kick(&d, 2 * on + 1);
	vdriver_wait(&d, 2 * on + 1);
	assert_got(peer_recv(), len);
	len = make_frame(200, 0xa11fe);
	post_plain(2048);
	vdriver_kick(&d, 2 * on);
	peer_send(len);
	assert_got(collect(), len);
}

uint8_t control(const uint8_t *bytes, uint32_t len, uint32_t split)
{
	struct vdriver_buf b[3] = { vdriver_buf(&d, len + 1), vdriver_buf(&d, len + 1),
				    vdriver_buf(&d, 2) };

	split = MIN(split, len);
	memcpy(b[0].host, bytes, split);
	memcpy(b[1].host, bytes + split, len - split);
	b[0].len = split;
	b[1].len = len - split;
	b[2].host[0] = 0xee;
	vdriver_add(&d, ctrl, b, 2, 1);
	vdriver_kick(&d, ctrl);
	assert_int_equal(vdriver_wait(&d, ctrl).len, 1);
	assert_int_equal(b[2].host[1], 0);
	return b[2].host[0];
}
