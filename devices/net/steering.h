/*
 * Receive-side scaling of a multi-queue tap (virtio 1.2, 5.1.6.5.7): which queue takes a frame for the guest follows from
 * a hash of its addresses and ports, by a BPF program that the kernel runs for each frame (TUNSETSTEERINGEBPF).
 *
 * Program and table are loaded at the start, for which bpf(2) wants CAP_BPF or root; from then on what the guest's driver asks
 * for is written into the table, which is mapped.
 */
#ifndef DEVICES_NET_STEERING_H
#define DEVICES_NET_STEERING_H

#include <stdint.h>

#include <linux/virtio_net.h>

#include "devices/net/rxhash.h"
#include "vmm/base/util.h"

#define STEERING_KEY_MAX   RXHASH_KEY_MAX
#define STEERING_TABLE_MAX 128u /* entries; a power of two */
/* What can be hashed: 5.1.6.4.3. */
#define STEERING_TYPES                                                    \
	(VIRTIO_NET_RSS_HASH_TYPE_IPv4 | VIRTIO_NET_RSS_HASH_TYPE_TCPv4 | \
	 VIRTIO_NET_RSS_HASH_TYPE_UDPv4 | VIRTIO_NET_RSS_HASH_TYPE_IPv6 | \
	 VIRTIO_NET_RSS_HASH_TYPE_TCPv6 | VIRTIO_NET_RSS_HASH_TYPE_UDPv6)

/* What a driver asks for, of which the caller has made sure. */
struct steering_rule {
	uint32_t types;			    /* of STEERING_TYPES */
	unsigned int entries;		    /* of the table: a power of two */
	uint16_t unclassified;		    /* the queue of frames that no type fits */
	uint16_t table[STEERING_TABLE_MAX]; /* queues, by the hash's lowest bits */
	uint8_t key[STEERING_KEY_MAX];	    /* 0 beyond its length */
};

struct steering;

/* Load what steers. -errno without a message: the tap's own flow steering remains. */
int must_check steering_create(struct steering **out);
void steering_destroy(struct steering *steering);

/*
 * Have the tap that @fd is a queue of steered by @rule from now on, or, where that is NULL, by its own flow steering. A frame
 * on its way meanwhile may go by either. -errno.
 */
int steering_apply(struct steering *steering, int fd, const struct steering_rule *rule);

/* Whether the tap that @fd is a queue of can be steered, and let go of what steered it before. -errno. */
int steering_probe(int fd);

/* The program's descriptor, for tests. */
int steering_program(const struct steering *steering);

#endif
