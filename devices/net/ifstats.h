/*
 * What the host's kernel counts of a network interface, through descriptors that are opened once: they work behind the
 * sandbox, and when the interface is in another network namespace than ours.
 *
 * The interface's own counters come from /proc/net/dev, for which the kernel takes no lock of its configuration: any
 * thread may ask at any time. Its queueing disciplines are asked for by netlink, which may wait while somebody makes
 * interfaces: for the main thread.
 */
#ifndef DEVICES_NET_IFSTATS_H
#define DEVICES_NET_IFSTATS_H

#include <net/if.h>
#include <stdint.h>

#include "vmm/base/util.h"

struct ifstats {
	int dev_fd;	/* /proc/net/dev, or -1 */
	int netlink_fd; /* or -1 */
	int index;	/* its name may change, and become another's */
};

#define IFSTATS_NONE ((struct ifstats){ .dev_fd = -1, .netlink_fd = -1 })

/* As the host sees it: what it received came from the guest. */
struct ifstats_values {
	uint64_t rx_packets, rx_errors, rx_dropped;
	uint64_t tx_packets, tx_errors, tx_dropped;
};

/* Of the interface @name in the calling thread's network namespace. -errno without a message; safe to close. */
int must_check ifstats_open(struct ifstats *stats, const char *name);
void ifstats_close(struct ifstats *stats);

/* -errno: the interface is gone. */
int must_check ifstats_read(const struct ifstats *stats, struct ifstats_values *out);

/* Frames that its root queueing discipline has dropped. -errno, -ENOENT where it has none. */
int must_check ifstats_read_qdisc(const struct ifstats *stats, uint64_t *dropped);

#endif
