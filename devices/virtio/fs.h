/*
 * virtio-fs (virtio 1.2, 5.11): a directory of the host as a file system of the guest, which mounts it by its tag.
 *
 * Queues: high priority (what the guest forgets) 0, requests 1. Requests are served side by side by a few threads, with
 * file contents straight from and to guest memory; fuse.h tells what they may do.
 */
#ifndef DEVICES_VIRTIO_FS_H
#define DEVICES_VIRTIO_FS_H

#include "devices/virtio/core.h"
#include "vmm/base/thread.h"

struct virtio_fs_options {
	const char *dir;
	const char *tag; /* NULL: the device's name */
	bool readonly;
	unsigned int transport;
	const struct thread_guard *guard; /* for its threads; the machine's */
};

/* --fs. */
extern const struct device_kind virtio_fs_kind;

/* Create the device, named @name ("fs0", which must outlive it). -errno with a message. */
int must_check virtio_fs_create(struct virtio_dev **out, const char *name,
				const struct guestmem *mem,
				const struct virtio_fs_options *options);

/* Its transport no longer calls it. Safe on NULL. */
void virtio_fs_destroy(struct virtio_dev *dev);

#endif
