/*
 * Which received frames a card passes to its guest: its addresses, and the modes that the driver sets
 * through the control queue (virtio 1.2, 5.1.6.5.1 and 5.1.6.5.2).
 */
#ifndef DEVICES_NET_FILTER_H
#define DEVICES_NET_FILTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/base/util.h"

#define NET_FILTER_MACS 64u /* of each kind; a longer table means: all of that kind */

struct net_filter_table {
	unsigned int nr;
	bool overflow; /* the driver's table was longer than ours: accept all */
	uint8_t mac[NET_FILTER_MACS][6];
};

struct net_filter {
	uint64_t features;
	uint8_t mac[6];
	bool promisc, allmulti, alluni, nomulti, nouni, nobcast;
	struct net_filter_table uni, multi;
};

/* As after a reset: promiscuous until the driver says otherwise. @features were negotiated. */
void net_filter_init(struct net_filter *f, const uint8_t mac[6], uint64_t features);

/* Whether the guest gets the frame that starts at @frame (14 bytes at least). */
bool net_filter_accepts(const struct net_filter *f, const uint8_t *frame);

/* A command of class VIRTIO_NET_CTRL_RX or VIRTIO_NET_CTRL_MAC. -EINVAL leaves all as it was. */
int must_check net_filter_command(struct net_filter *f, uint8_t class, uint8_t command,
				  const uint8_t *data, size_t len);

#endif
