/*
 * virtio-blk (virtio 1.2, 5.2): a raw file or block device as a disk.
 */
#ifndef DEVICES_VIRTIO_BLK_H
#define DEVICES_VIRTIO_BLK_H

#include "devices/virtio.h"

struct virtio_blk_config_user {
	const char *path;
	bool readonly;
};

/*
 * Open the file and create the device, named @name ("disk0"). Requests run in parallel on worker
 * threads; an error of the file (disk full, vanished, beyond the end) is an I/O error in the guest.
 * -errno with a message.
 */
int must_check virtio_blk_create(struct virtio_dev **out, const char *name,
				 const struct guestmem *mem,
				 const struct virtio_blk_config_user *config);
void virtio_blk_destroy(struct virtio_dev *dev);

#endif
