/*
 * Which received frames a card passes to its guest: those for its addresses and modes, which the driver
 * sets through the control queue (virtio 1.2, 5.1.6.5.1 and 5.1.6.5.2), and of these only what the driver
 * has said to cope with. A frame may have been on its way since before it said so.
 */
#ifndef DEVICES_NET_FILTER_H
#define DEVICES_NET_FILTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "devices/net/netbe.h"

/* What the driver may have in received frames. */
#define NET_GUEST_OFFLOADS                                                              \
	(NET_F(GUEST_CSUM) | NET_F(GUEST_TSO4) | NET_F(GUEST_TSO6) | NET_F(GUEST_ECN) | \
	 NET_F(GUEST_USO4) | NET_F(GUEST_USO6))

#define NET_FILTER_LOOKS 18u /* bytes at the start of a frame that tell what becomes of it */

#define NET_FILTER_MACS 64u /* of each kind; a longer table means: all of that kind */

struct net_filter_table {
	unsigned int nr;
	bool overflow; /* the driver's table was longer than ours: accept all */
	uint8_t mac[NET_FILTER_MACS][6];
};

struct net_filter {
	uint64_t features; /* negotiated */
	uint64_t offloads; /* VIRTIO_NET_F_GUEST_* that are on */
	unsigned int mtu;
	uint8_t mac[6];
	bool promisc, allmulti, alluni, nomulti, nouni, nobcast;
	struct net_filter_table uni, multi;
};

/* As after a reset: promiscuous until the driver says otherwise. @features were negotiated; @mtu is what
 * the driver was told where VIRTIO_NET_F_MTU is among them. */
void net_filter_init(struct net_filter *f, const uint8_t mac[6], unsigned int mtu,
		     uint64_t features);

/* Whether the frame that starts at @frame (14 bytes at least) is for the guest. */
bool net_filter_accepts(const struct net_filter *f, const uint8_t *frame);

/* Whether the driver copes with what the header asks of it (5.1.6.4). */
bool net_filter_offload_is_on(const struct net_filter *f, const struct virtio_net_hdr_v1 *hdr);

/*
 * Whether a frame of @len bytes, of which the first NET_FILTER_LOOKS or all stand at @frame, is within the MTU that the
 * driver was told (5.1.4.1). A VLAN's tag is part of the header, and so is a second one.
 */
bool net_filter_within_mtu(const struct net_filter *f, const struct virtio_net_hdr_v1 *hdr,
			   const uint8_t *frame, size_t len);

/* The driver's offloads, less those that lack what they rest on (5.1.3.1). */
uint64_t net_filter_offloads(uint64_t features);

/*
 * A command of class VIRTIO_NET_CTRL_RX or VIRTIO_NET_CTRL_MAC, its data in @iov, which may still change.
 * -EINVAL leaves all as it was.
 */
int must_check net_filter_command(struct net_filter *f, uint8_t class, uint8_t command,
				  const struct iovec *iov, unsigned int n);

#endif
