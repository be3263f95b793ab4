/*
 * A vCPU that plays with avail->idx whenever the device looks: each consumer of each queue works in turns that end, so
 * that a reset comes through, and so does the loss of the right to touch memory. Where a turn did not end they would
 * wait for ever. And what else every device stands from its driver: any features, broken rings again and again.
 */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <linux/virtio_blk.h>
#include <linux/virtio_console.h>

#include "devices/net/test/netbe_pair.h"
#include "devices/virtio/blk.h"
#include "devices/virtio/console.h"
#include "devices/virtio/fs.h"
#include "devices/virtio/net.h"
#include "devices/virtio/rng.h"
#include "devices/virtio/test/vdriver.h"
#include "vmm/base/test/messages.h"
#include "vmm/base/test/unit.h"

#define SIZE	   64u /* of each ring */
#define QUEUES_MAX 4
#define CTRL	   NET_F(CTRL_VQ)

static struct vdriver d;
static struct virtio_dev *dev;
static struct netbe_pair pair;
static struct loop *loop; /* of the console's machine */
static char path[] = "/tmp/minivmm-test-turns-XXXXXX";

/* ---- the devices ---- */

static void create_blk(void)
{
	const struct virtio_blk_options options = { .path = path };
	int fd;

	strcpy(path + strlen(path) - 6, "XXXXXX");
	fd = mkstemp(path);
	assert_int_equal(ftruncate(fd, 1 << 20), 0);
	close(fd);
	assert_int_equal(vdriver_create(&d, &virtio_blk_kind, "disk0", &options), 0);
}

static void release_blk(void)
{
	unlink(path);
}

static void create_rng(void)
{
	const struct virtio_rng_options options = { .on = true };

	assert_int_equal(vdriver_create(&d, &virtio_rng_kind, "rng0", &options), 0);
}

static void create_fs(void)
{
	const struct virtio_fs_options options = { .dir = "/", .readonly = true };

	assert_int_equal(vdriver_create(&d, &virtio_fs_kind, "fs0", &options), 0);
}

static size_t output(void *arg, const struct iovec *iov, unsigned int n)
{
	return iov_size(iov, n);
}

/* More than the guest can take. */
static size_t input(void *arg, void *buf, size_t len)
{
	memset(buf, 'x', len);
	return len;
}

static void create_console(void)
{
	static const struct virtio_console_ops ops = { .output = output, .input = input };

	assert_int_equal(loop_create(&loop, "main"), 0);
	assert_int_equal(loop_start(loop, THREAD_MAIN, NULL), 0);
	assert_int_equal(virtio_console_create(&d.device, &dev, &d.env, loop, "port", &ops, NULL),
			 0);
}

static void release_console(void)
{
	loop_destroy(loop);
}

static void create_net(void)
{
	const struct virtio_net_options options = { .queue_size = SIZE,
						    .mac = { 0x52, 0x54, 0, 0, 0, 1 } };

	netbe_pair_init(&pair);
	assert_int_equal(virtio_net_create(&d.device, &d.env, &pair.be, &options), 0);
}

static void release_net(void)
{
	netbe_pair_destroy(&pair);
}

/* What each chain of a queue has: bytes to be read, and room. */
struct play {
	uint32_t out, in;
	void (*fill)(uint8_t *out, unsigned int chain);
};

static void read_sector(uint8_t *out, unsigned int chain)
{
	const struct virtio_blk_outhdr h = { .type = VIRTIO_BLK_T_IN, .sector = chain };

	memcpy(out, &h, sizeof(h));
}

static void say_ready_or_open(uint8_t *out, unsigned int chain)
{
	const struct virtio_console_control c = {
		.event = chain % 2 ? VIRTIO_CONSOLE_PORT_OPEN : VIRTIO_CONSOLE_DEVICE_READY,
		.value = 1,
	};

	memcpy(out, &c, sizeof(c));
}

static const struct subject {
	void (*create)(void);
	void (*release)(void); /* what the device stood on, after it; or NULL */
	uint64_t features;
	unsigned int queues, flipped; /* bits: those of which each is looked into */
	struct play play[QUEUES_MAX];
} subjects[] = {
	{ create_blk, release_blk, 0, 1, 1, { { 16, 513, read_sector } } },
	{ create_rng, NULL, 0, 1, 1, { { 0, 16, NULL } } },
	{ create_fs, NULL, 0, 3, 3, { { 8, 64, NULL }, { 8, 64, NULL } } },
	/* Nothing is said that nobody asked for. */
	{ create_console,
	  release_console,
	  BIT_ULL(VIRTIO_CONSOLE_F_MULTIPORT),
	  15,
	  11,
	  { { 0, 8, NULL }, { 8, 0, NULL }, { 0, 64, NULL }, { 8, 0, say_ready_or_open } } },
	/* Buffers that are no use for a frame, and frames that are none. */
	{ create_net, release_net, CTRL, 7, 7, { { 8, 0, NULL }, { 8, 0, NULL }, { 2, 1, NULL } } },
};

/* ---- the vCPU, which is at it whenever the device looks ---- */

enum { HONEST, FULL, FLIP };
static _Atomic int mode;
static _Atomic unsigned int looks[QUEUES_MAX];
static uint32_t taken
	[QUEUES_MAX]; /* bits: chains that the device has; under the lock that it pops and pushes under */

static void set_idx(const struct virtq *vq, uint16_t idx)
{
	if (vq->live)
		__atomic_store_n(&vq->avail->idx, idx, __ATOMIC_RELEASE);
}

int __real_virtq_pop(struct virtq *vq, struct virtq_chain *chain, struct iovec *iov,
		     unsigned int max_iov);
int __wrap_virtq_pop(struct virtq *vq, struct virtq_chain *chain, struct iovec *iov,
		     unsigned int max_iov);
void __real_virtq_push(struct virtq *vq, const struct virtq_chain *chain, uint32_t written);
void __wrap_virtq_push(struct virtq *vq, const struct virtq_chain *chain, uint32_t written);
bool __real_virtq_kicks_on(struct virtq *vq);
bool __wrap_virtq_kicks_on(struct virtq *vq);

/* The first chain from @from on that the device does not have. */
static uint16_t next_free(uint32_t in_hand, uint16_t from)
{
	while (in_hand & BIT(from % (SIZE / 2)))
		from++;
	return from % (SIZE / 2);
}

/*
 * Always as full as it may be; or one chain that is there when asked for kicks, and gone when it is to be taken. No
 * chain twice at once, whose buffers two workers would write to.
 */
int __wrap_virtq_pop(struct virtq *vq, struct virtq_chain *chain, struct iovec *iov,
		     unsigned int max_iov)
{
	uint32_t *in_hand = &taken[vq - dev->vq];
	int ret;

	looks[vq - dev->vq]++;
	if (mode != HONEST && vq->live) {
		vq->avail->ring[vq->last_avail % SIZE] = 2 * next_free(*in_hand, vq->last_avail);
		set_idx(vq, mode == FULL ? (uint16_t)(vq->used_idx + SIZE) : vq->last_avail);
	}
	ret = __real_virtq_pop(vq, chain, iov, max_iov);
	if (ret > 0)
		*in_hand |= BIT(chain->head / 2);
	return ret;
}

void __wrap_virtq_push(struct virtq *vq, const struct virtq_chain *chain, uint32_t written)
{
	taken[vq - dev->vq] &= ~BIT(chain->head / 2);
	__real_virtq_push(vq, chain, written);
}

bool __wrap_virtq_kicks_on(struct virtq *vq)
{
	if (mode == FLIP)
		set_idx(vq, (uint16_t)(vq->last_avail + 1));
	return __real_virtq_kicks_on(vq);
}

static void fill_ring(unsigned int q, const struct play *p)
{
	struct vdriver_queue *vq = &d.queue[q];

	for (uint16_t i = 0; i < vq->size / 2; i++) {
		const uint16_t head = (uint16_t)(2 * i);
		const struct vdriver_buf b = vdriver_buf(&d, p->out + p->in);

		if (p->fill)
			p->fill(b.host, i);
		if (p->out)
			vdriver_set_desc(&d, q, head, b.gpa, p->out, p->in ? VRING_DESC_F_NEXT : 0,
					 (uint16_t)(head + 1));
		if (p->in)
			vdriver_set_desc(&d, q, p->out ? (uint16_t)(head + 1) : head,
					 b.gpa + p->out, p->in, VRING_DESC_F_WRITE, 0);
	}
}

static void nothing(void *arg)
{
}

/* Until the device has looked into those rings again and again. */
static void await_looks(unsigned int queues)
{
	for (unsigned int q = 0; q < dev->nr_vqs; q++) {
		const unsigned int before = looks[q];

		while (queues & BIT(q) && looks[q] - before < 4 * SIZE)
			usleep(100);
	}
}

/* While it may not touch memory (Bus Master Enable) it looks no more; then it goes on by itself. */
static void hold_still(const struct subject *s)
{
	unsigned int before[QUEUES_MAX];

	virtio_set_dma(dev, false);
	for (unsigned int q = 0; q < dev->nr_vqs; q++)
		before[q] = looks[q];
	usleep(10000); /* time to do what it must not */
	for (unsigned int q = 0; q < dev->nr_vqs; q++)
		assert_int_equal(looks[q], before[q]);
	virtio_set_dma(dev, true);
	await_looks(s->queues);
}

static void play(const struct subject *s, int end)
{
	memset(taken, 0, sizeof(taken));
	vdriver_start_sized(&d, s->features, SIZE);
	for (unsigned int q = 0; q < dev->nr_vqs; q++)
		if (s->queues & BIT(q))
			fill_ring(q, &s->play[q]);
	mode = FULL;
	for (unsigned int q = 0; q < dev->nr_vqs; q++)
		vdriver_force_kick(&d, q);
	await_looks(s->queues);
	hold_still(s);
	mode = end;
	if (end == FLIP)
		await_looks(s->flipped);
	if (s->create == create_console)
		loop_call(loop, nothing, NULL); /* so would signals and the timeout */
	assert_false(virtio_get_status(dev) & VIRTIO_CONFIG_S_NEEDS_RESET);
	vdriver_reset(&d);
	mode = HONEST;
}

/* Whatever a driver breaks, and however often, is said the 1st, 2nd, 4th, 8th ... time. */
static void break_again_and_again(const struct subject *s)
{
	const unsigned int q = s->queues > 1 ? 1 : 0; /* one that is looked at when it is kicked */
	unsigned int lines = 0;

	messages_begin();
	for (unsigned int i = 0; i < 100; i++) {
		d.next_gpa = 0x100000;
		vdriver_start_sized(&d, s->features, SIZE);
		vdriver_make_avail(&d, q, 0xffff);
		vdriver_force_kick(&d, q);
		vdriver_wait_needs_reset(&d);
		vdriver_reset(&d);
	}
	for (const char *c = messages_end(); *c; c++)
		lines += *c == '\n';
	assert_int_equal(lines, 7); /* 1 ... 64 */
}

/* Any subset of what is offered works, bits without what they rest on, too. */
static void accept_anything(void)
{
	unsigned int seed = 1;

	for (unsigned int i = 0; i < 500; i++) {
		const uint64_t any = (uint64_t)rand_r(&seed) << 32 ^ (uint64_t)rand_r(&seed) << 8 ^
				     (uint64_t)rand_r(&seed);

		d.next_gpa = 0x100000;
		vdriver_start_sized(&d, dev->device_features & any, (uint16_t)BIT(i % 7));
		for (unsigned int q = 0; q < dev->nr_vqs; q++)
			vdriver_force_kick(&d, q);
		vdriver_reset(&d);
	}
	assert_int_equal(dev->counters.needs_resets, 0);
}

static void test_turns(void **state)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(subjects); i++) {
		vdriver_init(&d, 16 * MIB);
		subjects[i].create();
		dev = d.dev;
		accept_anything();
		play(&subjects[i], FULL);
		play(&subjects[i], FLIP);
		break_again_and_again(&subjects[i]);
		vdriver_destroy(&d);
		if (subjects[i].release)
			subjects[i].release();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_turns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
