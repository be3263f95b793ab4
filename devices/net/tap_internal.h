/* What the halves of the tap backend share: tap.c (its queues, and frames) and tap_link.c (its interface). */
#ifndef DEVICES_NET_TAP_INTERNAL_H
#define DEVICES_NET_TAP_INTERNAL_H

#include <net/if.h>

#include "devices/net/ifstats.h"
#include "devices/net/tap.h"

#define OUR_NETNS "/proc/self/ns/net"

struct tap {
	struct netbe be;
	char ifname[IFNAMSIZ];
	unsigned int mtu; /* wished for, or 0 */
	struct ifstats stats;
	struct ifstats_values first; /* what had been counted before */
	uint64_t last_qdisc,
		qdisc; /* what that had dropped when last seen, and since the start: it may be replaced */
	struct steering *steering; /* or NULL */
	int life[2];		   /* of a macvtap, or -1 */
};

/* Have be.link_fd readable whenever an interface changes, in whatever way. -errno with a message. */
int must_check tap_link_watch(struct tap *tap);

/*
 * Have the interface as the options say, @made: it is new; and know its MTU and its counters. -errno with a message.
 */
int must_check tap_link_configure(struct tap *tap, const struct netbe_tap_options *config,
				  bool made);

#endif
