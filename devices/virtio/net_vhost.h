/*
 * Whether the host's kernel moves a card's frames (vhost=, devices/net/vhost.h), and why not.
 *
 * The card's threads stay, and are who begins: the kernel has a pair's rings while its driver has that pair read its own
 * queue of the tap and no other, and nothing waits in there from before. For what the kernel is not able to do, or stumbles
 * on, the thread takes the rings back, and gives them away again behind it; so no frame is given up for a change.
 */
#ifndef DEVICES_VIRTIO_NET_VHOST_H
#define DEVICES_VIRTIO_NET_VHOST_H

#include "devices/net/netbe.h"
#include "devices/net/vhost.h"
#include "vmm/base/counters.h"
#include "vmm/base/device.h"

/* What else the user has said that it depends on. */
struct net_vhost_wish {
	const struct vhost_options *options;
	unsigned int transport; /* enum device_transport */
	bool packed, pcap;
	uint64_t features; /* that the card offers without it */
	unsigned int poll_us;
};

struct net_vhost {
	struct vhost pair[NETBE_MAX_PAIRS];
	unsigned int nr; /* that are open */
	bool on;	 /* all of them */

	/* "net0.vhost", where it is not on though it was asked for: one row, "off_REASON": 1. */
	struct counter_desc desc[2];
	uint64_t off;
	struct counter_group group;
};

/*
 * Open what the pairs of @be take, if it was wished for; the descriptors that were given are ours, also where this fails.
 * Where that can't be, -errno with a message, or, if the user has left it to us, off with a warning.
 */
int must_check net_vhost_open(struct net_vhost *v, const struct device_env *env,
			      const struct netbe *be, const struct net_vhost_wish *wish);
/* Safe on a zeroed one. */
void net_vhost_close(struct net_vhost *v);

/* The features that the card can't offer then, of what it otherwise could. */
uint64_t net_vhost_hides(const struct net_vhost *v);

#endif
