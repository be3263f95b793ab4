/*
 * The chains that a card has taken from a receive ring ahead of the frames, with their buffers as one iovec: each
 * chain is looked at once, and a frame is read straight into as many of them as it needs.
 */
#ifndef DEVICES_VIRTIO_RX_WINDOW_H
#define DEVICES_VIRTIO_RX_WINDOW_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "devices/virtio/virtq.h"

#define RX_WINDOW_IOVS (2 * VIRTQ_SIZE_MAX)

struct rx_window {
	struct virtq *vq;
	bool mergeable; /* a frame may go into several chains, else into the first alone */
	struct virtq_chain chain[VIRTQ_SIZE_MAX]; /* not yet filled; their buffers are in iov */
	unsigned int first, nr;			  /* chains first .. first + nr - 1 */
	struct iovec
		iov[RX_WINDOW_IOVS + 1]; /* one more, for what the caller puts behind the end */
	unsigned int first_iov, nr_iov;
	uint64_t bytes;
};

/* Empty, as at the start of the queue. */
void rx_window_init(struct rx_window *w, struct virtq *vq, bool mergeable);

/*
 * Take chains from the ring until there is room for a frame of @want bytes, the ring is empty (0), its chains have
 * more buffers than there is room for (-ENOBUFS) or it is broken (-EPROTO). Chains that are no buffers go back
 * unused.
 */
int must_check rx_window_fill(struct rx_window *w, size_t want);

/* The bytes that one frame may have, and their buffers. */
size_t rx_window_room(const struct rx_window *w);
struct iovec *rx_window_iov(struct rx_window *w, unsigned int *nr);

/* How many chains a frame of @len bytes takes; there is room for it. */
uint16_t rx_window_chains(const struct rx_window *w, size_t len);

/* Give @len bytes at the start to the driver, as one frame. The iovec begins behind them from now on. */
void rx_window_give(struct rx_window *w, size_t len);

#endif
