/*
 * A virtqueue as the device sees it (virtio 1.2, 2.6-2.8): verbs instead of ring pointers, whether the ring is split
 * or packed.
 *
 *   virtq_pop()       take the next available chain, as host iovecs
 *   virtq_unpop()     put back the last chain taken, untouched
 *   virtq_push()      give a chain back, not yet seen by the driver
 *   virtq_publish()   let the driver see what was pushed; tells whether to interrupt it
 *   virtq_kicks_off() / virtq_kicks_on()   ask the driver not to kick while we are at work
 *
 * Everything in the ring is the guest's and may be hostile: a descriptor is copied once and the copy
 * is judged, walks are bounded by the ring's size, and a ring that breaks the rules is reported as
 * broken (-EPROTO) and yields nothing more until reset. One thread at a time works on a queue.
 */
#ifndef DEVICES_VIRTIO_VIRTQ_H
#define DEVICES_VIRTIO_VIRTQ_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include <linux/virtio_ring.h>

#include "vmm/base/counters.h"
#include "vmm/base/guestmem.h"
#include "vmm/base/iov.h"
#include "vmm/base/util.h"

#define VIRTQ_SIZE_MAX 1024u /* a device may offer less; also bounds a chain's descriptors */

struct virtq_counters {
	uint64_t kicks;	     /* wake-ups by the driver's doorbell */
	uint64_t chains;     /* chains given back */
	uint64_t interrupts; /* raised */
	uint64_t suppressed; /* publications that the driver wanted no interrupt for */
	uint64_t broken;     /* rings found to break the rules */
};

struct virtq {
	/* For its whole life: any vCPU may ring while another one resets the device. */
	int kick_fd;	   /* eventfd that the doorbell signals */
	uint16_t size_max; /* offered by the device, a power of two */
	struct virtq_counters counters;
	struct counter_group group; /* the machine's accounts of them; its device's to add */

	/* What the driver configures, through the transport; fixed while the queue is live. */
	uint16_t size;
	bool ready;
	uint64_t desc_addr, driver_addr, device_addr; /* descriptors, driver area, device area */

	/* Resolved by virtq_start(). */
	const struct guestmem *mem;
	bool live, broken, event_idx, packed;
	bool unpublished;    /* something was pushed that the driver has not been shown */
	uint16_t last_avail; /* where the next chain is taken from */
	uint16_t used_idx;   /* where the next used one goes */
	union {
		struct { /* split: the two are free-running */
			struct vring_desc *desc;
			struct vring_avail *avail;
			struct vring_used *used;
			uint16_t avail_idx; /* end of the entries known to be available */
			uint16_t published; /* what the driver has seen of used_idx */
		};
		struct { /* packed: the two are positions in the ring, each on a lap */
			struct vring_packed_desc *ring;
			struct vring_packed_desc_event *driver_event, *device_event;
			bool avail_wrap, used_wrap;
			uint16_t taken;	 /* entries in our hands */
			uint16_t pushed; /* entries used and not published */
			uint16_t first_used,
				first_flags; /* where they begin, and what is to stand there */
		};
	};
};

/* A chain taken from the ring. The device-readable part comes first (2.7.4.2). */
struct virtq_chain {
	uint16_t head;		  /* by which the driver knows it */
	uint16_t nr_entries;	  /* of a packed ring that it takes up */
	uint16_t nr_out, nr_in;	  /* iovec entries the device reads from, then those it writes to */
	uint32_t out_len, in_len; /* bytes of each */
};

/* Create with its eventfd; -errno. @size_max is a power of two up to VIRTQ_SIZE_MAX. */
int must_check virtq_init(struct virtq *vq, uint16_t size_max);
void virtq_destroy(struct virtq *vq);

/* Back to the state after virtq_init(); its counters and eventfd stay. */
void virtq_reset(struct virtq *vq);

/*
 * Make the queue live as configured, with the ring features that were negotiated: size within the maximum and, of a
 * split ring, a power of two; rings aligned and wholly in RAM. -EINVAL otherwise.
 */
int must_check virtq_start(struct virtq *vq, const struct guestmem *mem, bool event_idx,
			   bool packed);

/*
 * Take the next available chain; its buffers are written to iov[0..], at most @max_iov of them.
 * 1: taken. 0: none. -EPROTO: the ring is broken. -ENOBUFS: it is sound but has more buffers than
 * @max_iov (>= VIRTQ_SIZE_MAX always suffices); it was not taken.
 * Zero-length buffers are left out of the iovec.
 */
int must_check virtq_pop(struct virtq *vq, struct virtq_chain *chain, struct iovec *iov,
			 unsigned int max_iov);

/* Put back the chain that was the last to be taken; it will be popped again. */
void virtq_unpop(struct virtq *vq, const struct virtq_chain *chain);

/* Give back @chain, @written bytes of it filled in. */
void virtq_push(struct virtq *vq, const struct virtq_chain *chain, uint32_t written);

/* Show the driver all that was pushed. True if it wants an interrupt for it (2.7.7, 2.7.10, 2.8.10). */
bool must_check virtq_publish(struct virtq *vq);

/* True if the driver has made chains available that were not taken. */
bool virtq_has_avail(const struct virtq *vq);

/* How many those are, as far as the ring can be believed. */
uint16_t virtq_waiting(const struct virtq *vq);

/* Ask the driver not to kick (a hint, 2.7.10, 2.8.10). */
void virtq_kicks_off(struct virtq *vq);

/* Ask for a kick on the next chain. True if chains came meanwhile: work on, no kick will come. */
bool must_check virtq_kicks_on(struct virtq *vq);

/* Empty the eventfd after a wake-up, counting it. */
void virtq_ack_kick(struct virtq *vq);

/*
 * Let somebody else (the host's kernel) work on a live split ring, all of which is published; he begins with the chain
 * at the index that is returned. Chains that were taken and not given back are available again.
 */
uint16_t virtq_lend(struct virtq *vq);

/* He has let go of it, and would have taken the chain at @next. What he took and did not give back is taken again. */
void virtq_take_back(struct virtq *vq, uint16_t next);

/* Names of struct virtq_counters' fields. */
extern const struct counter_desc virtq_counter_desc[];

#endif
