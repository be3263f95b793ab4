/*
 * virtio-fs (virtio 1.2, 5.11): a directory of the host as a file system of the guest, which mounts it by its tag.
 *
 * Queues: high priority (what the guest forgets) 0, requests 1. Requests are served side by side by a few threads, with
 * file contents straight from and to guest memory; fuse.h tells what they may do.
 */
#ifndef DEVICES_VIRTIO_FS_H
#define DEVICES_VIRTIO_FS_H

#include "devices/virtio/core.h"

struct virtio_fs_options {
	const char *dir;
	const char *tag; /* NULL: the device's name */
	bool readonly, frozen;
	struct option_user owner;
	struct virtio_options virtio;
};

/* --fs. */
extern const struct device_kind virtio_fs_kind;

#endif
