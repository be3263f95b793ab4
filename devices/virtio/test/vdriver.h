/*
 * A driver for unit tests: drives a struct virtio_dev as a guest would, over fake guest memory, with a
 * transport that counts interrupts in eventfds.
 *
 *	struct vdriver d;
 *	vdriver_init(&d, 16 * MIB);
 *	vdriver_create(&d, &virtio_rng_kind, "rng0", &options);		d.dev is the device
 *	vdriver_start(&d, BIT_ULL(VIRTIO_RING_F_EVENT_IDX));	features beyond VERSION_1
 *
 *	struct vdriver_buf b = vdriver_buf(&d, 64);
 *	uint16_t head = vdriver_add(&d, 0, &b, 0, 1);		no readable buffers, one writable
 *	vdriver_kick(&d, 0);
 *	struct vring_used_elem e = vdriver_wait(&d, 0);		e.id == head, e.len bytes written
 *
 *	vdriver_destroy(&d);
 *
 * It behaves as drivers do: it kicks only when the device asks for kicks, and sleeps until an interrupt
 * when nothing is used, so that a lost kick or interrupt fails the test (after VDRIVER_TIMEOUT_MS).
 * What a good driver never does is done by hand: the rings are open in struct vdriver_queue, and
 * vdriver_make_avail() offers any head. Functions fail the running cmocka test where they cannot do
 * what they say. One thread at a time, except that different queues may be used by different threads.
 */
#ifndef DEVICES_VIRTIO_TEST_VDRIVER_H
#define DEVICES_VIRTIO_TEST_VDRIVER_H

#include "devices/virtio/core.h"

#define VDRIVER_TIMEOUT_MS 20000
#define VDRIVER_MAX_QUEUES 17

struct vdriver_queue {
	uint16_t size;
	uint64_t desc_gpa, avail_gpa, used_gpa;
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	uint16_t last_used; /* next used entry to take */
	uint16_t kicked;    /* avail index at the last decision whether to kick */
	uint16_t nr_free;   /* free descriptors ... */
	uint16_t *free;	    /* ... and which */
	uint16_t *next;	    /* what follows in the chain; NO_DESC: the last; FREE_DESC: free */
	struct {	    /* in place of the three where rings are packed */
		struct vring_packed_desc *ring;
		struct vring_packed_desc_event *driver_event, *device_event;
		uint16_t next_avail, next_used, nr_free,
			added;	      /* entries; those since the last kick */
		uint16_t *nr_entries; /* of the chain with that id */
		bool avail_wrap, used_wrap;
	} packed;
	int irq_fd;	      /* counts its interrupts */
	unsigned int pending; /* chains made available and not taken back */
};

struct vdriver_buf {
	uint64_t gpa;
	uint32_t len;
	uint8_t *host;
};

struct vdriver {
	struct guestmem mem;
	struct counters counters;
	struct device_env env; /* for those that make a device themselves; its plug attaches */
	struct device *device; /* what vdriver_create() made */
	uint64_t next_gpa;     /* vdriver_alloc() goes on here */
	struct virtio_dev *dev;
	bool event_idx, is_packed; /* as negotiated */
	struct vdriver_queue queue[VDRIVER_MAX_QUEUES];
	int config_irq_fd; /* counts config interrupts */
	bool no_events;	   /* interrupts take more than a signal of irq_fd, as without MSI-X */
};

/* Guest memory of @mem_size bytes, and nothing else yet. */
void vdriver_init(struct vdriver *d, uint64_t mem_size);

/* Give everything back: d->device if there is one (another is gone already); no counters are left then. */
void vdriver_destroy(struct vdriver *d);

/* Make a device of this kind; -errno. */
int vdriver_create(struct vdriver *d, const struct device_kind *kind, const char *name,
		   const void *options);

/* A counter of the device's: "rx", "packets" for net0.rx; "" for the device's own. */
uint64_t vdriver_counter(struct vdriver *d, const char *group, const char *name);

/*
 * From now on devices are asked for packed rings, and drivers take them: a setup of a group of cases that keep their
 * hands off the rings.
 */
int vdriver_use_packed(void **state);

/* Become the transport of @dev. */
void vdriver_attach(struct vdriver *d, struct virtio_dev *dev);

/*
 * The whole initialisation (3.1.1): accept @features and VERSION_1, set up each queue at the size that
 * the device offers (or @size entries), DRIVER_OK. The device is active when they return.
 */
void vdriver_start(struct vdriver *d, uint64_t features);
void vdriver_start_sized(struct vdriver *d, uint64_t features, uint16_t size);

/* Its parts, for starts that are to go wrong: up to FEATURES_OK, one queue, DRIVER_OK. */
void vdriver_negotiate(struct vdriver *d, uint64_t features);
void vdriver_setup_queue(struct vdriver *d, unsigned int q, uint16_t size);
void vdriver_driver_ok(struct vdriver *d);

/* Reset the device; memory stays allocated, chains are forgotten. vdriver_start() may follow. */
void vdriver_reset(struct vdriver *d);

/* @len bytes of zeroed guest memory, aligned to @align (a power of two). Given back by setting
 * next_gpa to what it was. */
uint64_t vdriver_alloc(struct vdriver *d, uint64_t len, uint64_t align);

/* A buffer of @len bytes of guest memory; and a part of a buffer. */
struct vdriver_buf vdriver_buf(struct vdriver *d, uint32_t len);
struct vdriver_buf vdriver_part(struct vdriver_buf b, uint32_t offset, uint32_t len);

/*
 * Make a chain of @nr_out readable, then @nr_in writable buffers available, without a kick; returns its
 * head. The second form puts it into an indirect table.
 */
uint16_t vdriver_add(struct vdriver *d, unsigned int q, const struct vdriver_buf *bufs,
		     unsigned int nr_out, unsigned int nr_in);
uint16_t vdriver_add_indirect(struct vdriver *d, unsigned int q, const struct vdriver_buf *bufs,
			      unsigned int nr_out, unsigned int nr_in);

/* Write descriptor @i of queue @q; no bookkeeping: not to be mixed with vdriver_add(). */
void vdriver_set_desc(struct vdriver *d, unsigned int q, uint16_t i, uint64_t gpa, uint32_t len,
		      uint16_t flags, uint16_t next);

/* Put @head into the avail ring, whatever it is. */
void vdriver_make_avail(struct vdriver *d, unsigned int q, uint16_t head);

/* Kick if the device wants it; true if it did. */
bool vdriver_kick(struct vdriver *d, unsigned int q);

/* Kick regardless. */
void vdriver_force_kick(struct vdriver *d, unsigned int q);

/* Take back the next used chain, if there is one. */
bool vdriver_take(struct vdriver *d, unsigned int q, struct vring_used_elem *elem);

/* All is handled: the next used chain is to interrupt (where the driver has VIRTIO_F_EVENT_IDX; else each does). */
void vdriver_ask_for_interrupt(struct vdriver *d, unsigned int q);

/* Take back the next used chain, sleeping for an interrupt; the test fails if none comes. */
struct vring_used_elem vdriver_wait(struct vdriver *d, unsigned int q);

/* Wait for a config interrupt; the test fails if none comes. */
void vdriver_wait_config(struct vdriver *d);

/* Interrupts of queue @q since the last call (or sleep in vdriver_wait()). */
unsigned int vdriver_interrupts(struct vdriver *d, unsigned int q);

/* Wait until the device has marked itself DEVICE_NEEDS_RESET; the test fails if it does not. */
void vdriver_wait_needs_reset(struct vdriver *d);

#endif
