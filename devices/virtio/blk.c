/* virtio-blk: requests, and the workers that serve them. */
#include "devices/virtio/blk.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include <linux/virtio_blk.h>

#include "devices/virtio/disk.h"
#include "vmm/base/event.h"
#include "vmm/base/log.h"
#include "vmm/base/thread.h"

#define QUEUE_SIZE 256
#define SEG_MAX	   (QUEUE_SIZE - 2) /* a header and a status come with the data */
#define WORKERS	   4

/* Longest discard or zeroing of one segment: bounds the time that a reset may have to wait. */
#define RANGE_MAX_SECTORS ((uint32_t)(64 * MIB / DISK_SECTOR))
#define DISCARD_MAX_SEGS  16

static const struct counter_desc counter_desc[] = {
	COUNTER(struct virtio_blk_counters, reads),
	COUNTER(struct virtio_blk_counters, writes),
	COUNTER(struct virtio_blk_counters, flushes),
	COUNTER(struct virtio_blk_counters, discards),
	COUNTER(struct virtio_blk_counters, write_zeroes),
	COUNTER(struct virtio_blk_counters, get_ids),
	COUNTER(struct virtio_blk_counters, read_bytes),
	COUNTER(struct virtio_blk_counters, written_bytes),
	COUNTER(struct virtio_blk_counters, errors),
	COUNTER(struct virtio_blk_counters, unsupported),
	COUNTER_END,
};

struct worker {
	struct virtio_blk *blk;
	struct thread thread;
	char name[16];
	struct iovec iov[VIRTQ_SIZE_MAX];
};

struct virtio_blk {
	struct virtio_dev dev;
	struct virtio_blk_config config;
	struct disk disk;
	bool readonly;

	pthread_mutex_t lock; /* of what follows, up to the workers */
	pthread_cond_t quiet; /* all are idle */
	struct virtq vq;
	struct virtio_blk_counters counters;
	unsigned int idle; /* workers that wait for work */
	bool active;	   /* the driver has set the queue up */
	bool stop;

	struct worker worker[WORKERS];
	int epoll_fd; /* where they wait: each wake-up is for one of them */
	int wake_fd;  /* an event, as the driver's kick is */
	struct counter_group group;
};

/* A request without its header and status. */
struct request {
	uint32_t type;
	uint64_t sector;
	struct iovec *out, *in; /* data */
	unsigned int nr_out, nr_in;
	uint64_t out_len, in_len;
	uint64_t done; /* bytes transferred */
};

/* ---- requests: 0, -EOPNOTSUPP for VIRTIO_BLK_S_UNSUPP, else -errno for VIRTIO_BLK_S_IOERR ---- */

static bool in_disk(const struct virtio_blk *blk, uint64_t sector, uint64_t sectors)
{
	uint64_t capacity = blk->config.capacity;

	return sector <= capacity && sectors <= capacity - sector;
}

/* Whole sectors, at least one, within the disk. */
static bool transfer_is_valid(const struct virtio_blk *blk, uint64_t sector, uint64_t len)
{
	return len && len % DISK_SECTOR == 0 && in_disk(blk, sector, len / DISK_SECTOR);
}

static int do_in(struct virtio_blk *blk, struct request *r)
{
	if (!transfer_is_valid(blk, r->sector, r->in_len))
		return -EINVAL;
	r->done = r->in_len;
	return disk_read(&blk->disk, r->in, r->nr_in, r->sector * DISK_SECTOR);
}

static int do_out(struct virtio_blk *blk, struct request *r)
{
	if (blk->readonly)
		return -EROFS;
	if (!transfer_is_valid(blk, r->sector, r->out_len))
		return -EINVAL;
	r->done = r->out_len;
	return disk_write(&blk->disk, r->out, r->nr_out, r->sector * DISK_SECTOR);
}

static int do_get_id(struct virtio_blk *blk, struct request *r)
{
	char id[VIRTIO_BLK_ID_BYTES] = { 0 }; /* ends in a zero only if shorter (5.2.6) */

	if (r->in_len < sizeof(id))
		return -EINVAL;
	memcpy(id, blk->dev.name, strnlen(blk->dev.name, sizeof(id)));
	r->done = iov_from_buf(r->in, r->nr_in, 0, id, sizeof(id));
	return 0;
}

/* Discard and write-zeroes: all segments are checked before the first is touched. */
static int do_ranges(struct virtio_blk *blk, struct request *r)
{
	const bool discard = r->type == VIRTIO_BLK_T_DISCARD;
	const uint32_t known_flags = discard ? 0 : VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP;
	struct virtio_blk_discard_write_zeroes seg[DISCARD_MAX_SEGS];
	const uint64_t n = r->out_len / sizeof(seg[0]);
	int err = 0;

	if (!virtio_has_feature(&blk->dev,
				discard ? VIRTIO_BLK_F_DISCARD : VIRTIO_BLK_F_WRITE_ZEROES))
		return -EOPNOTSUPP;
	if (!n || r->out_len % sizeof(seg[0]) || n > (discard ? DISCARD_MAX_SEGS : 1))
		return -EINVAL;
	iov_to_buf(r->out, r->nr_out, 0, seg, (size_t)r->out_len);
	for (uint64_t i = 0; i < n; i++) {
		if (seg[i].flags & ~known_flags)
			return -EOPNOTSUPP; /* 5.2.6.2 */
		if (!seg[i].num_sectors || seg[i].num_sectors > RANGE_MAX_SECTORS ||
		    !in_disk(blk, seg[i].sector, seg[i].num_sectors))
			return -EINVAL;
	}
	for (uint64_t i = 0; i < n && !err; i++) {
		const uint64_t offset = seg[i].sector * DISK_SECTOR;
		const uint64_t len = (uint64_t)seg[i].num_sectors * DISK_SECTOR;

		if (discard)
			err = disk_discard(&blk->disk, offset, len);
		else
			err = disk_write_zeroes(&blk->disk, offset, len, seg[i].flags != 0);
	}
	return err;
}

static int do_request(struct virtio_blk *blk, struct request *r)
{
	int err;

	switch (r->type) {
	case VIRTIO_BLK_T_IN:
		return do_in(blk, r);
	case VIRTIO_BLK_T_GET_ID:
		return do_get_id(blk, r);
	case VIRTIO_BLK_T_FLUSH:
		return disk_flush(&blk->disk);
	case VIRTIO_BLK_T_OUT:
		err = do_out(blk, r);
		break;
	case VIRTIO_BLK_T_DISCARD:
	case VIRTIO_BLK_T_WRITE_ZEROES:
		err = do_ranges(blk, r);
		break;
	default:
		return -EOPNOTSUPP;
	}
	/* A driver that knows no FLUSH expects write-through (5.2.6.2). */
	if (!err && !virtio_has_feature(&blk->dev, VIRTIO_BLK_F_FLUSH))
		err = disk_flush(&blk->disk);
	return err;
}

/* Under the lock. */
static void count(struct virtio_blk_counters *c, const struct request *r, int err)
{
	if (err) {
		if (err == -EOPNOTSUPP)
			c->unsupported++;
		else
			c->errors++;
		return;
	}
	switch (r->type) {
	case VIRTIO_BLK_T_IN:
		c->reads++;
		c->read_bytes += r->done;
		break;
	case VIRTIO_BLK_T_OUT:
		c->writes++;
		c->written_bytes += r->done;
		break;
	case VIRTIO_BLK_T_FLUSH:
		c->flushes++;
		break;
	case VIRTIO_BLK_T_DISCARD:
		c->discards++;
		break;
	case VIRTIO_BLK_T_WRITE_ZEROES:
		c->write_zeroes++;
		break;
	case VIRTIO_BLK_T_GET_ID:
		c->get_ids++;
		break;
	}
}

/*
 * Serve a chain and give it back. Called and returns with the lock held; lets go of it for the I/O. The
 * header is the first 16 bytes to read and the status the last byte to write, however the driver has
 * split them over buffers (2.7.4).
 */
static void serve(struct virtio_blk *blk, const struct virtq_chain *chain, struct iovec *iov)
{
	struct request r = {
		.out = iov,
		.in = iov + chain->nr_out,
		.nr_out = chain->nr_out,
		.nr_in = chain->nr_in,
	};
	struct virtio_blk_outhdr header;
	int err = -EINVAL;

	if (!chain->in_len) {
		virtio_fail(&blk->dev, "a request has no room for its status");
		virtq_push(&blk->vq, chain->head, 0);
		return;
	}
	struct iovec *last = &r.in[r.nr_in - 1];
	uint8_t *status = (uint8_t *)last->iov_base + --last->iov_len;
	if (!last->iov_len)
		r.nr_in--;
	r.in_len = chain->in_len - 1;

	pthread_mutex_unlock(&blk->lock);
	if (iov_to_buf(r.out, r.nr_out, 0, &header, sizeof(header)) == sizeof(header)) {
		iov_skip(&r.out, &r.nr_out, sizeof(header));
		r.out_len = chain->out_len - sizeof(header);
		r.type = header.type;
		r.sector = header.sector;
		err = do_request(blk, &r);
	}
	*status = VIRTIO_BLK_S_OK;
	if (err)
		*status = err == -EOPNOTSUPP ? VIRTIO_BLK_S_UNSUPP : VIRTIO_BLK_S_IOERR;
	pthread_mutex_lock(&blk->lock);

	const bool read_data = !err && r.in_len;
	count(&blk->counters, &r, err);
	virtq_push(&blk->vq, chain->head, read_data ? (uint32_t)r.done + 1 : 1);
}

/* ---- workers ---- */

/* Wakes one worker: edge-triggered, and several that wait at one epoll are woken in turn. */
static int wake_by(struct virtio_blk *blk, int fd)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLET, .data.fd = fd };

	return epoll_ctl(blk->epoll_fd, EPOLL_CTL_ADD, fd, &ev) < 0 ? -errno : 0;
}

/* True if it was the driver. */
static bool wait_for_work(struct virtio_blk *blk)
{
	struct epoll_event ev;

	if (epoll_wait(blk->epoll_fd, &ev, 1, -1) != 1)
		return false;
	if (ev.data.fd == blk->wake_fd)
		event_clear(blk->wake_fd);
	return ev.data.fd != blk->wake_fd;
}

/*
 * Workers wait for kicks and take chains from the queue themselves. One that takes a chain while others
 * are idle asks for kicks, and wakes one of them where there is more already; when all are busy, kicks
 * are for nothing, for each looks again when it is done.
 */
static void work(void *arg)
{
	struct worker *w = arg;
	struct virtio_blk *blk = w->blk;
	struct virtq_chain chain;

	pthread_mutex_lock(&blk->lock);
	while (!blk->stop) {
		int ret = 0;

		if (blk->active)
			ret = virtq_pop(&blk->vq, &chain, w->iov, ARRAY_SIZE(w->iov));
		if (ret > 0) {
			if (!blk->idle)
				virtq_kicks_off(&blk->vq);
			else if (virtq_kicks_on(&blk->vq))
				event_signal(blk->wake_fd);
			serve(blk, &chain, w->iov);
			virtio_publish(&blk->dev, 0);
			continue;
		}
		if (ret < 0)
			virtio_fail(&blk->dev, "its ring is broken");
		else if (blk->active && virtq_kicks_on(&blk->vq))
			event_signal(
				blk->wake_fd); /* not under this lock: it may be a guest's play */
		if (++blk->idle == WORKERS)
			pthread_cond_signal(&blk->quiet);
		pthread_mutex_unlock(&blk->lock);
		const bool kicked = wait_for_work(blk);
		pthread_mutex_lock(&blk->lock);
		blk->idle--;
		if (kicked)
			virtq_ack_kick(&blk->vq);
	}
	pthread_mutex_unlock(&blk->lock);
	event_signal(blk->wake_fd); /* the next one is to see it, too */
}

static struct virtio_blk *to_blk(struct virtio_dev *dev)
{
	return container_of(dev, struct virtio_blk, dev);
}

static int activate(struct virtio_dev *dev)
{
	struct virtio_blk *blk = to_blk(dev);

	pthread_mutex_lock(&blk->lock);
	blk->active = true;
	pthread_mutex_unlock(&blk->lock);
	event_signal(blk->wake_fd);
	return 0;
}

/* Requests in flight end first; what waits in the queue stays there. */
static void reset(struct virtio_dev *dev)
{
	struct virtio_blk *blk = to_blk(dev);

	pthread_mutex_lock(&blk->lock);
	blk->active = false;
	while (blk->idle < WORKERS)
		pthread_cond_wait(&blk->quiet, &blk->lock);
	pthread_mutex_unlock(&blk->lock);
}

static int start_workers(struct virtio_blk *blk, const struct thread_guard *guard)
{
	int err = 0;

	for (unsigned int i = 0; i < WORKERS && !err; i++) {
		struct worker *w = &blk->worker[i];

		w->blk = blk;
		snprintf(w->name, sizeof(w->name), "%s.%u", blk->dev.name, i);
		w->thread = (struct thread){ .kind = THREAD_DISK, .name = w->name, .guard = guard };
		err = thread_start(&w->thread, work, w);
	}
	return err;
}

static void stop_workers(struct virtio_blk *blk)
{
	pthread_mutex_lock(&blk->lock);
	blk->stop = true;
	pthread_mutex_unlock(&blk->lock);
	event_signal(blk->wake_fd);
	for (unsigned int i = 0; i < WORKERS; i++)
		thread_join(&blk->worker[i].thread);
}

static const struct virtio_ops ops = {
	.activate = activate,
	.reset = reset,
	.destroy = virtio_blk_destroy,
};

/* ---- life ---- */

static void describe(struct virtio_blk *blk, const char *name, const struct guestmem *mem)
{
	uint64_t features = BIT_ULL(VIRTIO_BLK_F_SEG_MAX) | BIT_ULL(VIRTIO_BLK_F_BLK_SIZE) |
			    BIT_ULL(VIRTIO_BLK_F_FLUSH);

	if (blk->readonly)
		features |= BIT_ULL(VIRTIO_BLK_F_RO);
	else
		features |= BIT_ULL(VIRTIO_BLK_F_DISCARD) | BIT_ULL(VIRTIO_BLK_F_WRITE_ZEROES);
	blk->config = (struct virtio_blk_config){
		.capacity = blk->disk.size / DISK_SECTOR,
		.seg_max = SEG_MAX,
		.blk_size = DISK_SECTOR,
		.max_discard_sectors = RANGE_MAX_SECTORS,
		.max_discard_seg = DISCARD_MAX_SEGS,
		.discard_sector_alignment = 1,
		.max_write_zeroes_sectors = RANGE_MAX_SECTORS,
		.max_write_zeroes_seg = 1,
		.write_zeroes_may_unmap = 1,
	};
	blk->dev = (struct virtio_dev){
		.ops = &ops,
		.name = name,
		.device_id = VIRTIO_ID_BLOCK,
		.pci_class = 0x018000, /* mass storage, other */
		.device_features = features,
		.vq = &blk->vq,
		.nr_vqs = 1,
		.config = &blk->config,
		.config_len = sizeof(blk->config),
		.mem = mem,
	};
}

static int create_workers(struct virtio_blk *blk, const struct thread_guard *guard)
{
	int err = 0;

	blk->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	blk->wake_fd = event_create();
	if (blk->epoll_fd < 0 || blk->wake_fd < 0)
		err = -errno;
	if (!err)
		err = wake_by(blk, blk->wake_fd);
	if (!err)
		err = wake_by(blk, blk->vq.kick_fd);
	if (err) {
		log_error("cannot wait for requests to %s: %s", blk->dev.name, strerror(-err));
		return err;
	}
	return start_workers(blk, guard);
}

static void release(struct virtio_blk *blk)
{
	stop_workers(blk);
	if (blk->wake_fd >= 0)
		close(blk->wake_fd);
	if (blk->epoll_fd >= 0)
		close(blk->epoll_fd);
	virtq_destroy(&blk->vq);
	disk_close(&blk->disk);
	pthread_cond_destroy(&blk->quiet);
	pthread_mutex_destroy(&blk->lock);
	free(blk);
}

int virtio_blk_create(struct virtio_dev **out, const char *name, const struct guestmem *mem,
		      const struct virtio_blk_options *options)
{
	struct virtio_blk *blk = calloc(1, sizeof(*blk));
	int err;

	if (!blk) {
		log_error("cannot create %s: %s", name, strerror(ENOMEM));
		return -ENOMEM;
	}
	blk->readonly = options->readonly;
	err = disk_open(&blk->disk, options->path, options->readonly);
	if (err) {
		free(blk);
		return err;
	}
	blk->epoll_fd = blk->wake_fd = -1;
	pthread_mutex_init(&blk->lock, NULL);
	pthread_cond_init(&blk->quiet, NULL);
	err = virtq_init(&blk->vq, QUEUE_SIZE);
	if (err)
		log_error("cannot create the queue of %s: %s", name, strerror(-err));
	describe(blk, name, mem);
	if (!err)
		err = create_workers(blk, options->guard);
	if (err) {
		release(blk);
		return err;
	}
	virtio_init(&blk->dev);
	blk->group = (struct counter_group){ .name = name,
					     .desc = counter_desc,
					     .base = &blk->counters };
	counters_register(&blk->group);
	*out = &blk->dev;
	return 0;
}

void virtio_blk_destroy(struct virtio_dev *dev)
{
	if (!dev)
		return;
	struct virtio_blk *blk = to_blk(dev);
	virtio_destroy(dev);
	counters_unregister(&blk->group);
	release(blk);
}

/* ---- --disk ---- */

static int check_options(const void *values, const char *text, const void *const *others,
			 unsigned int nr)
{
	(void)others;
	(void)nr;
	return ((const struct virtio_blk_options *)values)->path
		       ? 0
		       : option_bad_value("--disk", text, "a file");
}

static int create_device(struct device **out, const struct device_env *env, const void *options)
{
	struct virtio_blk_options o = *(const struct virtio_blk_options *)options;
	struct virtio_dev *dev;
	int ret;

	o.guard = env->guard;
	ret = virtio_blk_create(&dev, env->name, env->mem, &o);
	return ret ? ret : virtio_plug(out, dev, env, o.transport);
}

#define AT(field) offsetof(struct virtio_blk_options, field)
static const struct option keys[] = {
	{ "file", OPTION_TEXT, AT(path), "FILE", "a raw image or a block device",
	  .wanted = "a file" },
	{ "ro", OPTION_SWITCH, AT(readonly), "on|off", "the guest may only read (off)" },
	DEVICE_TRANSPORT_OPTION(AT(transport), NULL, "what stands between (--transport)"),
	{ 0 },
};
#undef AT

static const struct option_group disk_options = {
	.name = "disk",
	.value = "FILE",
	.help = "disk with the contents of FILE (may be given several times)",
	.size = sizeof(struct virtio_blk_options),
	.max = 8,
	.check = check_options,
	.of = (const struct option_rows[]){ { keys, 0 }, { 0 } },
};

const struct device_kind virtio_blk_kind = { .options = &disk_options, .create = create_device };
