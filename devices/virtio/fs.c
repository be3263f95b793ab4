/* virtio-fs: the device that carries the requests of the FUSE server. */
#include "devices/virtio/fs.h"

#include <errno.h>
#include <linux/fuse.h>
#include <linux/virtio_fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "devices/virtio/fuse.h"
#include "devices/virtio/workers.h"

enum { HIPRIO, REQUESTS, NR_QUEUES };

#define QUEUE_SIZE 1024 /* a read of FUSE_MAX_TRANSFER bytes has a buffer a page */
#define WORKERS	   4

struct fs_counters {
	uint64_t requests,
		errors;	    /* errors: answered with one, such as of a file that is not there */
	uint64_t malformed; /* broke the protocol */
	uint64_t read_bytes, written_bytes;
	uint64_t inodes, descriptors; /* known to the guest, and held for it, now */
};

static const struct counter_desc counter_desc[] = {
	COUNTER(struct fs_counters, requests),	    COUNTER(struct fs_counters, errors),
	COUNTER(struct fs_counters, malformed),	    COUNTER(struct fs_counters, read_bytes),
	COUNTER(struct fs_counters, written_bytes), COUNTER(struct fs_counters, inodes),
	COUNTER(struct fs_counters, descriptors),   COUNTER_END,
};

struct fs {
	struct virtio_dev dev;
	struct virtq vq[NR_QUEUES];
	struct virtio_fs_config config;
	struct fuse *fuse;
	struct virtio_workers *workers[NR_QUEUES];
	pthread_mutex_t lock; /* of the counters: two queues have workers */
	struct fs_counters counters;
};

/* A worker's own. */
struct work {
	struct fuse_result result;
	_Alignas(8) char buffer[]; /* the server's: fuse_buffer_size bytes */
};

static struct fs *to_fs(struct virtio_dev *dev)
{
	return container_of(dev, struct fs, dev);
}

static uint32_t serve(void *arg, void *own, const struct virtq_chain *chain, struct iovec *iov)
{
	struct fs *fs = arg;
	struct work *w = own;

	return fuse_serve(fs->fuse, (struct fuse_buffer *)w->buffer, iov, chain->nr_out,
			  iov + chain->nr_out, chain->nr_in, &w->result);
}

static void count(void *arg, void *own)
{
	struct fs *fs = arg;
	const struct fuse_result *r = &((struct work *)own)->result;

	hold(&fs->lock);
	fs->counters.requests++;
	fs->counters.errors += r->error != 0;
	fs->counters.malformed += r->malformed;
	fs->counters.read_bytes += r->out;
	fs->counters.written_bytes += r->in;
}

static void refresh(struct counter_group *group)
{
	struct fs *fs = container_of(group, struct fs, dev.own);

	fuse_usage(fs->fuse, &fs->counters.inodes, &fs->counters.descriptors);
}

static int activate(struct virtio_dev *dev)
{
	for (unsigned int i = 0; i < NR_QUEUES; i++)
		virtio_workers_start(to_fs(dev)->workers[i]);
	return 0;
}

static void pause_workers(struct virtio_dev *dev)
{
	for (unsigned int i = 0; i < NR_QUEUES; i++)
		virtio_workers_stop(to_fs(dev)->workers[i]);
}

static void reset(struct virtio_dev *dev)
{
	pause_workers(dev);
	fuse_reset(to_fs(dev)->fuse);
}

static void destroy(struct virtio_dev *dev)
{
	struct fs *fs = to_fs(dev);

	for (unsigned int i = 0; i < NR_QUEUES; i++)
		virtio_workers_destroy(fs->workers[i]);
	virtio_destroy(dev);
	fuse_destroy(fs->fuse);
	pthread_mutex_destroy(&fs->lock);
	free(fs);
}

static const struct virtio_ops ops = {
	.activate = activate,
	.reset = reset,
	.pause = pause_workers,
	.resume = activate,
	.destroy = destroy,
};

/* ---- --fs ---- */

static enum fuse_access access_of(const struct virtio_fs_options *o)
{
	return o->frozen ? FUSE_FROZEN : o->readonly ? FUSE_READ_ONLY : FUSE_READ_WRITE;
}

static int create_workers(struct fs *fs, const struct virtio_fs_options *options,
			  const struct thread_guard *guard)
{
	struct virtio_workers_params params = {
		.dev = &fs->dev,
		.room = (unsigned int)(sizeof(struct work) + fuse_buffer_size),
		.kind = THREAD_FS,
		.fd = fuse_root(fs->fuse),
		.writable = access_of(options) == FUSE_READ_WRITE,
		.guard = guard,
		.serve = serve,
		.count = count,
		.arg = fs,
	};
	int ret = 0;

	for (unsigned int i = 0; !ret && i < NR_QUEUES; i++) {
		params.queue = i;
		params.nr = i == HIPRIO ? 1 : WORKERS;
		ret = virtio_workers_create(&fs->workers[i], &params);
	}
	return ret;
}

static int create(struct device **out, const struct device_env *env, const void *options)
{
	const struct virtio_fs_options *o = options;
	const char *tag = o->tag ? o->tag : env->name;
	struct fs *fs = device_alloc(env, sizeof(*fs));
	int ret;

	if (!fs)
		return -ENOMEM;
	pthread_mutex_init(&fs->lock, NULL);
	memcpy(fs->config.tag, tag, MIN(strlen(tag), sizeof(fs->config.tag)));
	fs->config.num_request_queues = NR_QUEUES - REQUESTS;
	for (unsigned int i = 0; i < NR_QUEUES; i++)
		fs->vq[i].size_max = QUEUE_SIZE;
	fs->dev = (struct virtio_dev){
		.ops = &ops,
		.device_id = VIRTIO_ID_FS,
		.pci_class = 0x018000, /* mass storage, other */
		.vq = fs->vq,
		.nr_vqs = NR_QUEUES,
		.config = &fs->config,
		.config_len = sizeof(fs->config),
		.own = { .desc = counter_desc, .base = &fs->counters, .refresh = refresh },
	};
	ret = virtio_init(&fs->dev, env) ?:
	      fuse_create(&fs->fuse, o->dir, access_of(o)) ?:
	      create_workers(fs, o, env->guard);
	if (!ret && o->owner.given)
		fuse_set_owner(fs->fuse, o->owner.uid, o->owner.gid);
	return virtio_plug(out, &fs->dev, env, &o->virtio, ret);
}

/* Of the @n-th. */
static void tag_of(char tag[40], const struct virtio_fs_options *o, unsigned int n)
{
	if (o->tag)
		snprintf(tag, 40, "%s", o->tag);
	else
		snprintf(tag, 40, "fs%u", n); /* the device's name */
}

static int check_options(const void *values, const char *text, const void *const *others,
			 unsigned int nr)
{
	const struct virtio_fs_options *o = values;
	char own[40], other[40];

	if (!o->dir)
		return option_bad_value("--fs", text, "a directory");
	if (o->tag && strlen(o->tag) > sizeof(((struct virtio_fs_config *)0)->tag))
		return option_bad_value("tag", o->tag, "at most 36 bytes");
	tag_of(own, o, nr);
	for (unsigned int i = 0; i < nr; i++) {
		tag_of(other, others[i], i);
		if (!strcmp(own, other))
			return option_bad_value("tag", own, "one that no other --fs has");
	}
	return 0;
}

#define AT(field) offsetof(struct virtio_fs_options, field)
static const struct option keys[] = {
	{ "dir", OPTION_TEXT, AT(dir), "DIR", "the directory", .wanted = "a directory" },
	{ "tag", OPTION_TEXT, AT(tag), "NAME", "what the guest mounts it by (fs0, fs1 ...)",
	  .wanted = "a name" },
	{ "ro", OPTION_SWITCH, AT(readonly), "on|off", "the guest may only read" },
	{ "frozen", OPTION_SWITCH, AT(frozen), "on|off",
	  "the same, and the host changes nothing in it either: what the\nguest knows it does not ask again" },
	{ "owner", OPTION_USER, AT(owner), "UID[:GID]",
	  "whose the files are there that are yours here (yours)" },
	VIRTIO_OPTIONS(AT(virtio)),
	{ 0 },
};

static const struct option_group fs_options = {
	.name = "fs",
	.value = "DIR",
	.help = "directory DIR of the host, by virtio-fs (may be given several times)",
	.size = sizeof(struct virtio_fs_options),
	.max = 16,
	.check = check_options,
	.of = (const struct option_rows[]){ { keys, 0 }, { 0 } },
};

static struct device_file file_of(const void *values)
{
	const struct virtio_fs_options *o = values;

	return (struct device_file){ .path = o->dir,
				     .written = access_of(o) == FUSE_READ_WRITE,
				     .directory = true };
}

const struct device_kind virtio_fs_kind = { .options = &fs_options,
					    .file = file_of,
					    .create = create };
