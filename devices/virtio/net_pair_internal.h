/* What the halves of a queue pair share: net_pair.c (its thread, and transmission) and net_rx.c (reception). */
#ifndef DEVICES_VIRTIO_NET_PAIR_INTERNAL_H
#define DEVICES_VIRTIO_NET_PAIR_INTERNAL_H

#include "devices/net/rxhash.h"
#include "devices/net/vhost.h"
#include "devices/virtio/net_pair.h"
#include "devices/virtio/rx_window.h"
#include "vmm/base/loop.h"

#define ETH_HEADER 14
#define MAX_BYTES  (ETH_HEADER + 4 + 65535u) /* of the largest frame that a tap hands out ... */
#define MAX_FRAME  (NETBE_HDR_HASH_LEN + MAX_BYTES) /* ... and with the longest header */
#define MAX_UNREAD (1u << 20)
#define BUDGET	   64u /* frames one way before the other way gets its turn, and a publication */

/* "net0.vhost", of a card of several pairs with its index. */
struct net_kernel_counters {
	uint64_t active;   /* 1: the kernel has the rings now */
	uint64_t given;	   /* times that they were given to it */
	uint64_t errors;   /* that it found in them, each of which brought them back */
	uint64_t refusals; /* times that it did not take them */
	uint64_t
		rx_buffers; /* the guest's that it has filled, and frames of the guest's that it has taken */
	uint64_t tx_frames;
};

/* The rings in the hands of the host's kernel. */
struct net_kernel {
	struct net_kernel_counters counters;
	struct counter_group group;
	bool began;	     /* it has taken both, so that it knows where it is in them */
	bool refused;	     /* it did not take this driver's */
	uint16_t counted[2]; /* of each way: up to where its chains are counted */
	uint64_t
		taken_before; /* frames that had come when the driver last said what it copes with */
	struct loop_watch call[2]; /* its interrupts, where the driver's are more than an event */
	struct loop_watch error;
	struct loop_timer timer;
};

struct net_pair {
	struct net_pair_params p;
	struct virtq *rxq, *txq;
	unsigned int rx_queue, tx_queue;
	struct net_counters counters;
	struct net_counter_groups groups;

	/* The I/O thread and what is its own while it runs. */
	struct loop *loop;
	struct loop_watch rx_kick, tx_kick;
	struct loop_watch link; /* the first pair's, of the backend as a whole */
	/* Of each of the backend's queues: to read those that are ours, to write to that of our index. */
	struct backend_queue {
		struct loop_watch watch;
		struct net_pair *pair;
	} backend[NETBE_MAX_PAIRS];
	bool running;
	uint64_t busy_until;
	unsigned int hdr_len;
	struct net_filter filter; /* copies of the card's */
	struct rxhash hash;

	struct net_kernel kernel;

	/* Reception. */
	unsigned int sources;	    /* which of p.source are ours: a bit each */
	unsigned int turn;	    /* which is read first */
	bool rx_wait;		    /* no buffers: leave the backend alone until the guest kicks */
	uint64_t starved_since;	    /* what its queues had lost by then, or LEDGER_NOT_STARVED */
	struct loop_timer rx_timer; /* the first of what our sources wait for */
	struct rx_window window;
	uint8_t *spill; /* MAX_FRAME bytes: where a frame goes on that exceeds the window */

	/* Transmission. */
	bool tx_wait; /* the backend took no more: leave the ring alone until EPOLLOUT */
	bool patient; /* a doorbell does not stop the guest */
	struct {
		struct virtq_counters rx, tx;
	} weighed; /* as they were when it was last seen whether it should be */
	struct iovec tx_iov[VIRTQ_SIZE_MAX];

	/* Of a call to its thread. */
	int error;
	unsigned int new_sources;
	const struct net_filter *new_filter;
	const struct rxhash *new_hash;
};

/* The thread begins to look at the rings and the backend, or leaves them to somebody else. -errno. */
int must_check net_pair_enter(struct net_pair *n);
void net_pair_leave(struct net_pair *n);

/* Watch the backend as the waits say. */
int net_pair_watch_backend(struct net_pair *n);

/* @err came from the backend: is it gone? */
bool net_pair_lose_backend(struct net_pair *n, int err);

/* Move frames from the backend to the guest; how many. */
unsigned int net_rx_work(struct net_pair *n);

/* It does not wait for buffers any longer. */
void net_rx_end_wait(struct net_pair *n);

/* Count what is left in its own queue of the backend. */
void net_rx_count_unread(void *pair);

/* The pair starts, or its sources have changed: look at them all. */
void net_rx_look(struct net_pair *n);

/* The backend's queue @source is readable; the guest has kicked; the timer has expired. */
void net_rx_ready(struct net_pair *n, unsigned int source);
void net_rx_kicked(struct net_pair *n);
void net_rx_expired(void *pair);

/*
 * net_kernel.c, on the pair's thread; all of it does nothing without vhost. Whether the kernel has the rings, or takes
 * them now: all that is pushed must be published.
 */
bool net_kernel_has(struct net_pair *n);

/* The thread has them, in any case. */
void net_kernel_return(struct net_pair *n);

/* The driver, or what it copes with, is another: what is in the tap's queue is for the thread. */
void net_kernel_begin(struct net_pair *n);

/* The driver has its interrupts another way. */
void net_kernel_connect(void *pair);

int must_check net_kernel_init(struct net_pair *n, const struct device_env *env);
void net_kernel_destroy(struct net_pair *n);

#endif
