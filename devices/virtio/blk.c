/* virtio-blk: requests, and the workers that serve them. */
#include "devices/virtio/blk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <linux/virtio_blk.h>

#include "devices/virtio/disk.h"
#include "devices/virtio/workers.h"
#include "vmm/base/iov.h"

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

struct virtio_blk {
	struct virtio_dev dev;
	struct virtio_blk_config config;
	struct disk disk;
	bool readonly;
	struct virtq vq;
	struct virtio_workers *workers;
	struct virtio_blk_counters counters; /* the workers', one at a time */
};

/* A request without its header and status; each worker has one. */
struct request {
	uint32_t type;
	uint64_t sector;
	struct iovec *out, *in; /* data */
	unsigned int nr_out, nr_in;
	uint64_t out_len, in_len;
	uint64_t done; /* bytes transferred */
	int err;       /* what became of it */
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

static void count(void *arg, void *own)
{
	struct virtio_blk_counters *c = &((struct virtio_blk *)arg)->counters;
	const struct request *r = own;

	if (r->err) {
		if (r->err == -EOPNOTSUPP)
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
 * Used is what is written without a gap from the first byte on (2.7.8.2): the status, which stands behind the data, is
 * counted where that is full.
 */
static uint32_t used(const struct request *r)
{
	const bool gives = r->type == VIRTIO_BLK_T_IN || r->type == VIRTIO_BLK_T_GET_ID;
	const uint64_t data = gives && !r->err ? r->done : 0;

	return (uint32_t)(data + (data == r->in_len));
}

/*
 * The header is the first 16 bytes to read and the status the last byte to write, however the driver has split them
 * over buffers (2.7.4).
 */
static uint32_t serve(void *arg, void *own, const struct virtq_chain *chain, struct iovec *iov)
{
	struct virtio_blk *blk = arg;
	struct request *r = own;
	struct virtio_blk_outhdr header;

	*r = (struct request){
		.out = iov,
		.in = iov + chain->nr_out,
		.nr_out = chain->nr_out,
		.nr_in = chain->nr_in,
		.err = -EINVAL,
	};
	if (!chain->in_len) {
		virtio_fail(&blk->dev, "a request has no room for its status");
		return 0;
	}
	struct iovec *last = &r->in[r->nr_in - 1];
	uint8_t *status = (uint8_t *)last->iov_base + --last->iov_len;
	if (!last->iov_len)
		r->nr_in--;
	r->in_len = chain->in_len - 1;
	if (iov_to_buf(r->out, r->nr_out, 0, &header, sizeof(header)) == sizeof(header)) {
		iov_skip(&r->out, &r->nr_out, sizeof(header));
		r->out_len = chain->out_len - sizeof(header);
		r->type = header.type;
		r->sector = header.sector;
		r->err = do_request(blk, r);
	}
	*status = VIRTIO_BLK_S_OK;
	if (r->err)
		*status = r->err == -EOPNOTSUPP ? VIRTIO_BLK_S_UNSUPP : VIRTIO_BLK_S_IOERR;
	return used(r);
}

/* ---- life ---- */

static struct virtio_blk *to_blk(struct virtio_dev *dev)
{
	return container_of(dev, struct virtio_blk, dev);
}

static int activate(struct virtio_dev *dev)
{
	virtio_workers_start(to_blk(dev)->workers);
	return 0;
}

static void reset(struct virtio_dev *dev)
{
	virtio_workers_stop(to_blk(dev)->workers);
}

static void destroy(struct virtio_dev *dev)
{
	struct virtio_blk *blk = to_blk(dev);

	virtio_workers_destroy(blk->workers);
	virtio_destroy(dev);
	disk_close(&blk->disk);
	free(blk);
}

static const struct virtio_ops ops = {
	.activate = activate,
	.reset = reset,
	.pause = reset,
	.resume = activate,
	.destroy = destroy,
};

static void describe(struct virtio_blk *blk)
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
		.discard_sector_alignment = blk->disk.block / DISK_SECTOR,
		.max_write_zeroes_sectors = RANGE_MAX_SECTORS,
		.max_write_zeroes_seg = 1,
		.write_zeroes_may_unmap = 1,
	};
	blk->vq.size_max = QUEUE_SIZE;
	blk->dev = (struct virtio_dev){
		.ops = &ops,
		.device_id = VIRTIO_ID_BLOCK,
		.pci_class = 0x018000, /* mass storage, other */
		.device_features = features,
		.vq = &blk->vq,
		.nr_vqs = 1,
		.config = &blk->config,
		.config_len = sizeof(blk->config),
		.own = { .desc = counter_desc, .base = &blk->counters },
	};
}

static int create_workers(struct virtio_blk *blk, const struct thread_guard *guard)
{
	const struct virtio_workers_params params = {
		.dev = &blk->dev,
		.nr = WORKERS,
		.room = sizeof(struct request),
		.kind = THREAD_DISK,
		.guard = guard,
		.serve = serve,
		.count = count,
		.arg = blk,
	};

	return virtio_workers_create(&blk->workers, &params);
}

/* ---- --disk ---- */

static int check_options(const void *values, const char *text, const void *const *others,
			 unsigned int nr)
{
	const struct virtio_blk_options *o = values;

	if (!o->path == (o->fd < 0))
		return option_bad_value("--disk", text, "a file, or fd=N");
	/* Of two files the lock tells; a descriptor it does not lock against itself. */
	for (unsigned int i = 0; i < nr; i++)
		if (o->fd >= 0 && o->fd == ((const struct virtio_blk_options *)others[i])->fd)
			return option_bad_value("--disk", text, "a disk of its own");
	return 0;
}

static int create(struct device **out, const struct device_env *env, const void *options)
{
	const struct virtio_blk_options *o = options;
	struct virtio_blk *blk = device_alloc(env, sizeof(*blk));
	int ret;

	if (!blk)
		return -ENOMEM;
	blk->readonly = o->readonly;
	ret = disk_open(&blk->disk, o->path, o->fd, o->readonly, o->raw);
	if (ret) {
		free(blk);
		return ret;
	}
	describe(blk);
	ret = virtio_init(&blk->dev, env) ?: create_workers(blk, env->guard);
	return virtio_plug(out, &blk->dev, env, &o->virtio, ret);
}

#define AT(field) offsetof(struct virtio_blk_options, field)
static const struct option keys[] = {
	{ "file", OPTION_TEXT, AT(path), "FILE", "a raw image or a block device",
	  .wanted = "a file" },
	{ "fd", OPTION_DESCRIPTOR, AT(fd), "N", "the same, open", .max = 1u << 20 },
	{ "ro", OPTION_SWITCH, AT(readonly), "on|off", "the guest may only read" },
	{ "raw", OPTION_SWITCH, AT(raw), "on|off",
	  "take FILE as it is, also if it is a qcow2 or other image" },
	VIRTIO_OPTIONS(AT(virtio)),
	{ 0 },
};

static const struct option_group disk_options = {
	.name = "disk",
	.value = "FILE",
	.help = "disk with the contents of FILE (may be given several times)",
	.size = sizeof(struct virtio_blk_options),
	.max = 8,
	.check = check_options,
	.of = (const struct option_rows[]){ { keys, 0 }, { 0 } },
};

static struct device_file file_of(const void *values)
{
	const struct virtio_blk_options *o = values;

	return (struct device_file){ .path = o->path, .fd = o->fd, .written = !o->readonly };
}

const struct device_kind virtio_blk_kind = { .options = &disk_options,
					     .file = file_of,
					     .create = create };
