/* What the halves of a queue pair share: net_pair.c (its thread, and transmission) and net_rx.c (reception). */
#ifndef DEVICES_VIRTIO_NET_PAIR_INTERNAL_H
#define DEVICES_VIRTIO_NET_PAIR_INTERNAL_H

#include "devices/virtio/net_pair.h"
#include "devices/virtio/rx_window.h"
#include "vmm/base/loop.h"

#define ETH_HEADER 14
#define MAX_FRAME  (NETBE_HDR_LEN + ETH_HEADER + 4 + 65535u) /* the largest that a tap hands out */
#define MAX_UNREAD (1u << 20)
#define BUDGET	   64u /* frames one way before the other way gets its turn, and a publication */

struct net_pair {
	struct net_pair_params p;
	struct virtq *rxq, *txq;
	unsigned int rx_queue, tx_queue;
	struct net_counters counters;
	struct net_counter_groups groups;

	/* The I/O thread and what is its own while it runs. */
	struct loop *loop;
	struct loop_watch rx_kick, tx_kick;
	/* Of each of the backend's queues: to read those that are ours, to write to that of our index. */
	struct backend_queue {
		struct loop_watch watch;
		struct net_pair *pair;
	} backend[NETBE_MAX_PAIRS];
	bool running;
	uint64_t busy_until;
	struct net_filter filter; /* a copy of the card's */

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
	struct iovec tx_iov[VIRTQ_SIZE_MAX];

	/* Of a call to its thread. */
	int error;
	unsigned int new_sources;
	const struct net_filter *new_filter;
};

/* Watch the backend as the waits say. */
int net_pair_watch_backend(struct net_pair *n);

/* @err came from the backend: is it gone? */
bool net_pair_lose_backend(struct net_pair *n, int err);

/* Move frames from the backend to the guest; false if there was nothing to do. */
bool net_rx_work(struct net_pair *n);

/* It does not wait for buffers any longer. */
void net_rx_end_wait(struct net_pair *n);

/* Count what is left in its own queue of the backend. */
void net_rx_count_unread(struct net_pair *n);

/* The pair starts, or its sources have changed: look at them all. */
void net_rx_look(struct net_pair *n);

/* The backend's queue @source is readable; the guest has kicked; the timer has expired. */
void net_rx_ready(struct net_pair *n, unsigned int source);
void net_rx_kicked(struct net_pair *n);
void net_rx_expired(struct net_pair *n);

#endif
