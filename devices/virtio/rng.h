/*
 * virtio-rng (virtio 1.2, 5.4): entropy from the host's getrandom(2).
 *
 * A request is filled up to 4 KiB; the rest of a longer buffer is left as it is, which the used length
 * tells. Works on a thread of its own.
 */
#ifndef DEVICES_VIRTIO_RNG_H
#define DEVICES_VIRTIO_RNG_H

#include "devices/virtio/core.h"

struct virtio_rng_options {
	bool on;
	struct virtio_options virtio;
};

/* --rng. */
extern const struct device_kind virtio_rng_kind;

#endif
