/*
 * vhost-net: a queue pair's rings in the hands of the host's kernel, which moves the frames between them and a tap by
 * itself (uapi linux/vhost.h).
 *
 * One descriptor of /dev/vhost-net is one pair. What needs rights, memory or a thread comes to be when it is opened;
 * later the rings are given to the kernel and taken back, any number of times. In between nobody else may touch them.
 * Descriptors that the guest writes are judged by the kernel then, with vhost_open()'s memory as all that there is.
 */
#ifndef DEVICES_NET_VHOST_H
#define DEVICES_NET_VHOST_H

#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <stdint.h>

#include "devices/net/netbe.h"
#include "devices/net/tap.h"
#include "vmm/base/guestmem.h"

enum vhost_mode { VHOST_UNSAID, VHOST_ON, VHOST_OFF, VHOST_AUTO };

struct vhost_options {
	unsigned int mode;  /* enum vhost_mode */
	struct tap_fds fds; /* open already, one for each pair, or none */
};

/* Their rows, at @base bytes into the struct that has them. */
extern const struct option vhost_keys[];

/* Whether it is asked for at all, and whether nothing else will do. */
bool vhost_wanted(const struct vhost_options *options);
bool vhost_insisted(const struct vhost_options *options);

struct vhost {
	int fd;		   /* -1: there is none */
	int err_fd;	   /* an event: the kernel has found a ring that it can't go on with */
	uint64_t features; /* that the kernel knows, of the rings */
};
#define VHOST_NONE ((struct vhost){ .fd = -1, .err_fd = -1 })

/* The features that whoever works on the rings must know; the others are the tap's. */
#define VHOST_RING_FEATURES                                                        \
	(BIT_ULL(VIRTIO_F_VERSION_1) | BIT_ULL(VIRTIO_F_RING_PACKED) |             \
	 BIT_ULL(VIRTIO_RING_F_EVENT_IDX) | BIT_ULL(VIRTIO_RING_F_INDIRECT_DESC) | \
	 NET_F(MRG_RXBUF))

/*
 * What the driver must have: without, received headers are to have num_buffers 1 and no flags (5.1.6.4.1), and the
 * kernel leaves both as they come.
 */
#define VHOST_NEEDS (NET_F(MRG_RXBUF) | NET_F(GUEST_CSUM))

enum vhost_way { VHOST_RX, VHOST_TX }; /* of a ring, as the kernel numbers them */

struct vhost_ring {
	uint16_t size, next; /* entries; where the next chain is to be taken from */
	void *desc, *avail, *used;
	int kick, call; /* events: the driver's; to interrupt it, or -1 */
};

#define VHOST_WHY 192 /* bytes of a reason */

/*
 * Have @fd, which is inherited and becomes close-on-exec, or where that is -1 /dev/vhost-net, for rings in @mem. What is
 * no such thing stays open, whatever it is; what the kernel refuses does not. The kernel polls them for @poll_us after
 * work. -errno, and why in @why.
 */
int must_check vhost_open(struct vhost *v, int fd, const struct guestmem *mem, unsigned int poll_us,
			  char why[VHOST_WHY]);

/* Safe on one that is not open. */
void vhost_close(struct vhost *v);

/*
 * The kernel has both rings, for a driver that has @features, and the tap's queue @tap_fd. -errno, *@what of it; then it
 * has neither.
 */
int must_check vhost_start(struct vhost *v, const struct vhost_ring rings[2], uint64_t features,
			   int tap_fd, const char **what);

/*
 * It touches them no more when this returns; frames that found no buffer are in the tap's queue again. Where it refuses,
 * its descriptor is closed.
 */
void vhost_stop(struct vhost *v);

/* While it has the ring or after that: where it would take the next chain from. -errno. */
int must_check vhost_next(const struct vhost *v, enum vhost_way way, uint16_t *next);

/* While it has the ring: what it is to interrupt the driver by, from now on. -errno. */
int must_check vhost_set_call(const struct vhost *v, enum vhost_way way, int call);

#endif
