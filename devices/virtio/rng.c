/* virtio-rng: entropy from the host. */
#include "devices/virtio/rng.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>

#include "vmm/base/counters.h"
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
	struct counter_group group;
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

	(void)events;
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

static const struct virtio_ops ops = {
	.activate = activate,
	.reset = reset,
	.pause = reset,
	.resume = activate,
	.destroy = virtio_rng_destroy,
};

static void cannot_create(const char *name, int err)
{
	log_error("cannot create %s: %s", name, strerror(-err));
}

int virtio_rng_create(struct virtio_dev **out, const char *name, const struct guestmem *mem,
		      const struct thread_guard *guard)
{
	struct virtio_rng *rng = calloc(1, sizeof(*rng));
	int err;

	if (!rng) {
		cannot_create(name, -ENOMEM);
		return -ENOMEM;
	}
	err = virtq_init(&rng->vq, QUEUE_SIZE);
	if (err) {
		cannot_create(name, err);
		goto err_free;
	}
	err = loop_create(&rng->loop, name);
	if (err)
		goto err_vq;
	rng->kick = (struct loop_watch){ .fd = rng->vq.kick_fd, .ready = on_kick, .arg = rng };
	err = loop_start(rng->loop, THREAD_RNG, guard);
	if (err)
		goto err_loop;
	rng->dev = (struct virtio_dev){
		.ops = &ops,
		.name = name,
		.device_id = VIRTIO_ID_RNG,
		.vq = &rng->vq,
		.nr_vqs = 1,
		.mem = mem,
	};
	virtio_init(&rng->dev);
	rng->group = (struct counter_group){ .name = name,
					     .desc = counter_desc,
					     .base = &rng->counters };
	counters_register(&rng->group);
	*out = &rng->dev;
	return 0;

err_loop:
	loop_destroy(rng->loop);
err_vq:
	virtq_destroy(&rng->vq);
err_free:
	free(rng);
	return err;
}

void virtio_rng_destroy(struct virtio_dev *dev)
{
	if (!dev)
		return;
	struct virtio_rng *rng = to_rng(dev);
	virtio_destroy(dev);
	counters_unregister(&rng->group);
	loop_destroy(rng->loop);
	virtq_destroy(&rng->vq);
	free(rng);
}

/* ---- --rng ---- */

struct options {
	bool on;
	unsigned int transport;
};

static int create_device(struct device **out, const struct device_env *env, const void *options)
{
	const struct options *o = options;
	struct virtio_dev *dev;
	int ret;

	if (!o->on)
		return 0;
	ret = virtio_rng_create(&dev, env->name, env->mem, env->guard);
	return ret ? ret : virtio_plug(out, dev, env, o->transport);
}

static const struct option keys[] = {
	{ "rng", OPTION_SWITCH, offsetof(struct options, on), "on|off", "whether there is one",
	  .preset = "on" },
	DEVICE_TRANSPORT_OPTION(offsetof(struct options, transport), NULL,
				"what stands between (--transport)"),
	{ 0 },
};

static const struct option_group rng_options = {
	.name = "rng",
	.help = "entropy device",
	.size = sizeof(struct options),
	.max = 1,
	.alone = true,
	.of = (const struct option_rows[]){ { keys, 0 }, { 0 } },
};

const struct device_kind virtio_rng_kind = { .options = &rng_options, .create = create_device };
