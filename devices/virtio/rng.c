/* virtio-rng: entropy from the host. */
#include "devices/virtio/rng.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>

#include "vmm/base/log.h"
#include "vmm/base/loop.h"

#define QUEUE_SIZE  64
#define MAX_REQUEST 4096
#define BATCH	    16 /* requests between two looks at the stop event */

struct rng_counters {
	uint64_t requests, bytes;
};

static const struct counter_desc counter_desc[] = {
	COUNTER(struct rng_counters, requests),
	COUNTER(struct rng_counters, bytes),
	COUNTER_END,
};

struct virtio_rng {
	struct virtio_dev dev;
	struct virtq vq;
	struct loop *loop;
	struct loop_watch kick;
	int error; /* of begin() */
	struct iovec iov[VIRTQ_SIZE_MAX];
	struct rng_counters counters;
};

/* Bytes filled in: all that the iovec takes, up to MAX_REQUEST. */
static uint32_t fill(const struct iovec *iov, unsigned int n)
{
	uint8_t buf[MAX_REQUEST];
	size_t done = 0, len = MIN(iov_size(iov, n), sizeof(buf));

	while (done < len) {
		ssize_t got = getrandom(buf + done, len - done, 0);

		if (got < 0 && errno != EINTR)
			break;
		if (got > 0)
			done += (size_t)got;
	}
	return (uint32_t)iov_from_buf(iov, n, 0, buf, done);
}

/* A parent's filter may forbid the call: said now, as the guest would only wait. */
static int check_source(const char *name)
{
	uint8_t byte;

	if (getrandom(&byte, 1, GRND_NONBLOCK) == 1 || errno == EAGAIN)
		return 0;
	return log_fail(-errno, "cannot create %s: getrandom: %s", name, strerror(errno));
}

/* Serve what is available, a batch at a time; true if there may be more. */
static bool serve(void *arg)
{
	struct virtio_rng *rng = arg;
	struct virtq_chain chain;
	int ret = 1;

	for (unsigned int i = 0; i < BATCH; i++) {
		ret = virtq_pop(&rng->vq, &chain, rng->iov, ARRAY_SIZE(rng->iov));
		if (ret <= 0)
			break;
		uint32_t n = fill(rng->iov + chain.nr_out, chain.nr_in);
		rng->counters.requests++;
		rng->counters.bytes += n;
		virtq_push(&rng->vq, &chain, n);
	}
	if (ret < 0) {
		virtio_fail(&rng->dev, "its ring is broken");
		return false;
	}
	virtio_publish(&rng->dev, 0);
	return virtq_kicks_on(&rng->vq);
}

static void on_kick(void *arg, uint32_t events)
{
	struct virtio_rng *rng = arg;

	virtq_ack_kick(&rng->vq); /* the loop calls serve() next */
}

static struct virtio_rng *to_rng(struct virtio_dev *dev)
{
	return container_of(dev, struct virtio_rng, dev);
}

/* On the loop's thread. */
static void begin(void *arg)
{
	struct virtio_rng *rng = arg;

	rng->error = loop_watch(rng->loop, &rng->kick, EPOLLIN);
	if (!rng->error)
		loop_set_work(rng->loop, serve, rng);
}

static void end(void *arg)
{
	struct virtio_rng *rng = arg;

	loop_watch(rng->loop, &rng->kick, 0);
	loop_set_work(rng->loop, NULL, NULL);
}

static int activate(struct virtio_dev *dev)
{
	struct virtio_rng *rng = to_rng(dev);

	loop_call(rng->loop, begin, rng);
	return rng->error;
}

static void reset(struct virtio_dev *dev)
{
	loop_call(to_rng(dev)->loop, end, to_rng(dev));
}

static void destroy(struct virtio_dev *dev)
{
	struct virtio_rng *rng = to_rng(dev);

	loop_destroy(rng->loop);
	virtio_destroy(dev);
	free(rng);
}

static const struct virtio_ops ops = {
	.activate = activate,
	.reset = reset,
	.pause = reset,
	.resume = activate,
	.destroy = destroy,
};

/* ---- --rng ---- */

static int create(struct device **out, const struct device_env *env, const void *options)
{
	const struct virtio_rng_options *o = options;
	struct virtio_rng *rng;
	int ret;

	if (!o->on)
		return 0;
	rng = device_alloc(env, sizeof(*rng));
	if (!rng)
		return -ENOMEM;
	rng->vq.size_max = QUEUE_SIZE;
	rng->dev = (struct virtio_dev){
		.ops = &ops,
		.device_id = VIRTIO_ID_RNG,
		.vq = &rng->vq,
		.nr_vqs = 1,
		.own = { .desc = counter_desc, .base = &rng->counters },
	};
	ret = virtio_init(&rng->dev, env) ?: check_source(env->name);
	rng->kick = (struct loop_watch){ .fd = rng->vq.kick_fd, .ready = on_kick, .arg = rng };
	if (!ret)
		ret = loop_create(&rng->loop, env->name)
			      ?: loop_start(rng->loop, THREAD_RNG, env->guard);
	return virtio_plug(out, &rng->dev, env, &o->virtio, ret);
}

static const struct option keys[] = {
	{ "rng", OPTION_SWITCH, offsetof(struct virtio_rng_options, on), "on|off",
	  "whether there is one", .preset = "on" },
	VIRTIO_OPTIONS(offsetof(struct virtio_rng_options, virtio)),
	{ 0 },
};

static const struct option_group rng_options = {
	.name = "rng",
	.help = "entropy device",
	.size = sizeof(struct virtio_rng_options),
	.max = 1,
	.alone = true,
	.of = (const struct option_rows[]){ { keys, 0 }, { 0 } },
};

const struct device_kind virtio_rng_kind = { .options = &rng_options, .create = create };
