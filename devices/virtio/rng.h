/*
 * virtio-rng (virtio 1.2, 5.4): entropy from the host's getrandom(2).
 *
 * A request is filled up to 4 KiB; the rest of a longer buffer is left as it is, which the used length
 * tells. Works on a thread of its own.
 */
#ifndef DEVICES_VIRTIO_RNG_H
#define DEVICES_VIRTIO_RNG_H

#include "devices/virtio/core.h"
#include "vmm/base/thread.h"

/* --rng. */
extern const struct device_kind virtio_rng_kind;

/* Create the device, named @name ("rng0", which must outlive it), and its thread behind @guard. -errno
 * with a message. */
int must_check virtio_rng_create(struct virtio_dev **out, const char *name,
				 const struct guestmem *mem, const struct thread_guard *guard);

/* Its transport no longer calls it. Safe on NULL. */
void virtio_rng_destroy(struct virtio_dev *dev);

#endif
