/*
 * A queue pair of a network card, and the way of a frame between it and the backend (virtio 1.2, 5.1.6).
 *
 * A card has as many pairs as its backend has queues, but the driver says how many of them are to receive
 * (5.1.6.5.6). A frame that waits in a queue of the backend is never given up for that: a queue whose own pair
 * does not receive is another one's source. (A tap's queue could be detached; what waits in it is then gone.)
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
#include "devices/net/pcap.h"
#include "devices/virtio/core.h"
#include "devices/virtio/net_counters.h"

struct net_pair;
struct loop;
struct vhost;

/* One of the backend's queues as a source of frames, and the frame that is out of it already; one pair reads it. */
struct net_source {
	bool ready;  /* it may have a frame */
	bool paused; /* it failed: leave it alone until due */
	uint64_t
		due; /* by now_ns(), the end of a pause or of the wait of a held frame; 0: neither */
	uint8_t *held;	 /* a whole frame that waits for buffers ... */
	size_t held_len; /* ... unless 0, behind a header of ... */
	unsigned int held_hdr;
	uint64_t waiting; /* 1 while it does, for the ledger */
	bool held_long;	  /* it has waited long enough */
};

struct net_pair_params {
	unsigned int index;	   /* pair of the backend; its queues are 2 * index and the next */
	struct virtio_dev *dev;	   /* the card, for its features, its queues and its interrupts */
	struct netbe *be;	   /* the card's */
	struct net_source *source; /* of each of the backend's queues; the card's */
	struct pcap *pcap;	   /* the card's, or NULL */
	struct vhost *vhost;	   /* the pair's, or NULL */
	uint64_t poll_ns;	   /* busy-poll for so long after work */
	bool impatient;		   /* every doorbell may stop the guest */
};

/* The pair and its thread, which sleeps until net_pair_start(). -errno, with a message. */
int must_check net_pair_create(struct net_pair **out, const struct device_env *env,
			       const struct net_pair_params *params);

/* Safe on NULL. */
void net_pair_destroy(struct net_pair *pair);

/*
 * The queues are live and new: move frames, from now on or (when it returns) no longer. Of the backend's queues those
 * in @sources, a bit each, are read, which no other pair may read.
 */
int must_check net_pair_start(struct net_pair *pair, unsigned int sources);
void net_pair_stop(struct net_pair *pair);

/* Go on after net_pair_stop() where the queues are as they were. */
int must_check net_pair_resume(struct net_pair *pair);

/* While it runs: read these from now on. */
int must_check net_pair_serve(struct net_pair *pair, unsigned int sources);

/*
 * Received frames pass @filter, and the driver is told their @hash where it has VIRTIO_NET_F_HASH_REPORT; this makes copies
 * of both. Before the first start, and on every change.
 */
void net_pair_set_filter(struct net_pair *pair, const struct net_filter *filter,
			 const struct rxhash *hash);

/* While it runs: the driver has its interrupts another way. */
void net_pair_interrupts_moved(struct net_pair *pair);

/* Stopped for good: what is left in its queue of the backend is counted, and lost (unless others have the backend, too). */
void net_pair_finish(struct net_pair *pair);

/* Have it in the card's ledger. */
void net_pair_account(const struct net_pair *pair, struct ledger *ledger);

void net_pair_add_counters(struct net_counters *sum, const struct net_pair *pair);

/* The card's backend is gone: the driver is told that the link is down. Any thread. */
void net_link_down(struct virtio_dev *card);

/* Where the card watches its control queue. */
struct loop *net_pair_loop(struct net_pair *pair);

#endif
