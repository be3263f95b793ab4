/*
 * A virtio device as its driver sees it, whatever carries it: register access (virtio
 * 1.2, chapters 2, 4.1 and 4.2), and split queues (2.7).
 */
#ifndef VIRTIO_H
#define VIRTIO_H

#include <stdbool.h>
#include <stdint.h>

#include "guest-tests/guests/paired/irq.h"

#define VIRTIO_ID_NET 1

#define VIRTIO_ACKNOWLEDGE 1
#define VIRTIO_DRIVER	   2
#define VIRTIO_DRIVER_OK   4
#define VIRTIO_FEATURES_OK 8
#define VIRTIO_NEEDS_RESET 64
#define VIRTIO_FAILED	   128

#define VIRTIO_F_EVENT_IDX 29
#define VIRTIO_F_VERSION_1 32

struct virtio_device;

struct virtio_queue_addresses {
	uint64_t desc, avail, used;
	uint16_t size;
};

/* What a transport does. Register accesses take their offset and size from the specification. */
struct virtio_transport {
	uint8_t (*status)(struct virtio_device *dev);
	void (*set_status)(struct virtio_device *dev, uint8_t status);
	/* Where these registers are, of 32 bits: the halves of the device's features and the driver's, and which is seen. */
	uint32_t features_sel, features, driver_sel, driver_features;
	/* The largest size the device allows for a queue, 0 for a queue that it lacks. */
	uint16_t (*queue_max)(struct virtio_device *dev, uint16_t queue);
	/* Sets a queue up and enables it, and tells where its doorbell is. */
	void (*queue_enable)(struct virtio_device *dev, uint16_t queue,
			     const struct virtio_queue_addresses *at, struct irq_write *doorbell);
	/*
	 * Connects the interrupt of queues 2 * pair and the next to this processor's device vector, and acknowledging to
	 * ring 0's entry; without MSI-X there is one for all queues.
	 */
	void (*route_interrupt)(struct virtio_device *dev, uint32_t pair);
};

struct virtio_device {
	const struct virtio_transport *transport;
	uint64_t regs;	 /* virtio-mmio's registers, virtio-pci's common configuration */
	uint64_t config; /* the device's own */
	uint32_t gsi;
	/* virtio-pci only */
	uint32_t pci_address; /* as port 0xcf8 takes it */
	uint64_t notify, isr;
	uint32_t notify_multiplier;
	uint64_t msix; /* its table, or 0 */
	uint32_t vectors;
};

/* Each finds the first network card, and returns false if there is none. */
bool virtio_mmio_find(struct virtio_device *dev);
bool virtio_pci_find(struct virtio_device *dev);
/* Looks everywhere: the command line first, then PCI. */
bool virtio_find(struct virtio_device *dev);

/* What the device offers; and a byte of its configuration. */
uint64_t virtio_features(const struct virtio_device *dev);
uint8_t virtio_config8(const struct virtio_device *dev, uint32_t offset);

/* A 64-bit register, in halves. */
void virtio_write64(const struct virtio_device *dev, uint32_t reg, uint64_t value);

/* Resets the device and waits until it says that it is done; false if it never does. */
bool virtio_reset(struct virtio_device *dev);
/*
 * Resets the device and agrees on features: of those wanted, the ones offered. False if the device
 * is not a virtio 1.x device or refuses. Queues come next, then virtio_go().
 */
bool virtio_begin(struct virtio_device *dev, uint64_t wanted, uint64_t *agreed);
void virtio_go(struct virtio_device *dev);

struct virtq_desc {
	uint64_t address;
	uint32_t length;
	uint16_t flags, next;
};

#define VIRTQ_DESC_NEXT	    1
#define VIRTQ_DESC_WRITE    2
#define VIRTQ_DESC_INDIRECT 4

struct virtq_avail {
	uint16_t flags, idx;
	uint16_t ring[]; /* and behind it used_event */
};

#define VIRTQ_AVAIL_NO_INTERRUPT 1

struct virtq_used_elem {
	uint32_t id, length;
};

struct virtq_used {
	uint16_t flags, idx;
	struct virtq_used_elem ring[]; /* and behind it avail_event */
};

#define VIRTQ_USED_NO_NOTIFY 1

struct virtq {
	struct virtq_desc *desc;
	volatile struct virtq_avail *avail;
	volatile struct virtq_used *used;
	struct irq_write doorbell;
	uint16_t size;
	uint16_t avail_idx; /* what the driver has made available, published by virtq_publish() */
	uint16_t published;
	uint16_t last_used; /* used entries below are taken */
	bool event_idx;
};

/*
 * Allocates a queue's rings, of at most max entries, and enables it. False without memory or where
 * the device lacks it.
 */
bool virtq_setup(struct virtq *q, struct virtio_device *dev, uint16_t queue, uint16_t max,
		 bool event_idx);

/*
 * After a reset of the device: empties the rings of a queue that was set up before, and enables it
 * again.
 */
void virtq_clear(struct virtq *q, bool event_idx);
void virtq_enable(struct virtq *q, struct virtio_device *dev, uint16_t queue);

/* Makes the chain that starts at desc available; the device sees it from virtq_publish() on. */
static inline void virtq_add(struct virtq *q, uint16_t desc)
{
	q->avail->ring[q->avail_idx++ & (q->size - 1)] = desc;
}

/* Publishes what was added; true if the device wants its doorbell rung. */
bool virtq_publish(struct virtq *q);

/* Takes the next used entry; false if there is none. */
static inline bool virtq_take(struct virtq *q, struct virtq_used_elem *elem)
{
	if (q->used->idx == q->last_used)
		return false;
	__asm__ volatile("" : : : "memory"); /* idx before the entry: x86 keeps loads in order */
	const volatile struct virtq_used_elem *from = &q->used->ring[q->last_used & (q->size - 1)];

	elem->id = from->id;
	elem->length = from->length;
	q->last_used++;
	return true;
}

/*
 * Wants an interrupt for the (count + 1)th entry from now, or none; true if so many entries have
 * come already.
 */
bool virtq_want_interrupt(struct virtq *q, uint16_t count);
void virtq_want_no_interrupt(struct virtq *q);

#endif
