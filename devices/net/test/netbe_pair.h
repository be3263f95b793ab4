/*
 * A net backend for unit tests: one end of a socketpair for each of its queues, that fails on demand. The test holds
 * the other ends, where a frame is a datagram: header first, as in devices/net/netbe.h.
 */
#ifndef DEVICES_NET_TEST_NETBE_PAIR_H
#define DEVICES_NET_TEST_NETBE_PAIR_H

#include <stdatomic.h>

#include "devices/net/netbe.h"
#include "vmm/base/counters.h"

/* The next @left calls fail with @err (positive). Set @err first. */
struct netbe_pair_fault {
	atomic_int err;
	atomic_uint left;
};

struct netbe_pair {
	struct netbe be;
	int peer;		    /* the test's end; non-blocking */
	int peers[NETBE_MAX_PAIRS]; /* those of all queues; the first is @peer */
	struct netbe_pair_fault send_fault, recv_fault, features_fault, steer_fault;
	atomic_bool recv_loses;	   /* the frame that a recv_fault hits */
	_Atomic uint64_t features; /* what was last set */
	struct steering_rule rule; /* what was last set, without entries: none */
	unsigned int header;	   /* the length that was last set, or 0 */
	/* What its host counts: the first two by itself, the others are the test's. */
	_Atomic uint64_t passed, taken, queue_full, qdisc, discarded;
	atomic_bool no_host; /* and it does not tell */
	atomic_bool gone;    /* without a frame: tell by an event on be.link_fd */
	atomic_bool closed;
};

/* The card's end is pair->be, closed by it; pair itself stays the test's. */
void netbe_pair_init(struct netbe_pair *pair);
void netbe_pair_init_queues(struct netbe_pair *pair, unsigned int queues);
void netbe_pair_destroy(struct netbe_pair *pair);

/* Let the next @n calls fail. */
void netbe_pair_fail(struct netbe_pair_fault *fault, int err, unsigned int n);

/* The card has ended: each frame that one side counted the other has, too (devices/net/ledger.h). */
void netbe_pair_check_ledger(const struct counters *counters);

#endif
