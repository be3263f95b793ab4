/*
 * A queue pair of a network card, and the way of a frame between it and the backend (virtio 1.2, 5.1.6).
 *
 * One I/O thread moves the frames of both directions, straight between the backend and the guest's
 * buffers. When the guest has no receive buffers the backend is left alone and its own queue fills; when
 * the backend takes no more, the frame stays in the guest's ring. No frame is lost in between without
 * being counted.
 *
 * A frame is judged (whether it is for the guest, and as the driver can take it) once it stands in the
 * guest's buffers: the backend gives it up in one piece only, and to look at it elsewhere first would be a
 * copy of every frame. The buffers of one that is turned down serve the next and are not reported used;
 * until a buffer is, the device may write to it what it likes (2.7.4.2), and the guest may be promiscuous
 * whenever it wants: there is nothing in it that is not meant for its eyes.
 */
#ifndef DEVICES_VIRTIO_NET_PAIR_H
#define DEVICES_VIRTIO_NET_PAIR_H

#include "devices/net/filter.h"
#include "devices/net/netbe.h"
#include "devices/virtio/core.h"
#include "vmm/base/thread.h"

struct net_pair;
struct loop;

struct net_pair_params {
	const char *name;	/* of the thread */
	unsigned int index;	/* pair of the backend; its queues are 2 * index and the next */
	struct virtio_dev *dev; /* the card, for its features, its queues and its interrupts */
	struct netbe *be;	/* the card's */
	const struct net_filter *filter; /* changed by the card, on the pair's thread */
	uint64_t poll_ns;		 /* busy-poll for so long after work */
	const struct thread_guard *guard;
};

/* The pair and its thread, which sleeps until net_pair_start(). -errno, with a message. */
int must_check net_pair_create(struct net_pair **out, const struct net_pair_params *params);

/* Safe on NULL. */
void net_pair_destroy(struct net_pair *pair);

/* The queues are live: move frames, from now on or (when it returns) no longer. */
int must_check net_pair_start(struct net_pair *pair);
void net_pair_stop(struct net_pair *pair);

/* Go on after net_pair_stop() where the queues are as they were. */
int must_check net_pair_resume(struct net_pair *pair);

/* Where the card watches its control queue. */
struct loop *net_pair_loop(struct net_pair *pair);

#endif
