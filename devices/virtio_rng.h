/*
 * virtio-rng (virtio 1.2, 5.4): entropy from the host's getrandom(2).
 */
#ifndef DEVICES_VIRTIO_RNG_H
#define DEVICES_VIRTIO_RNG_H

#include "devices/virtio.h"

/* -errno with a message. */
int must_check virtio_rng_create(struct virtio_dev **out, const char *name,
				 const struct guestmem *mem);
void virtio_rng_destroy(struct virtio_dev *dev);

#endif
