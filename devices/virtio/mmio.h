/*
 * The virtio MMIO transport, version 2 (virtio 1.2, 4.2): a page of registers around a virtio device.
 */
#ifndef DEVICES_VIRTIO_MMIO_H
#define DEVICES_VIRTIO_MMIO_H

#include "devices/virtio/core.h"
#include "vmm/base/bus.h"
#include "vmm/base/irq.h"

struct virtio_mmio;

/* Put @dev on the bus, a page at @base, interrupting on pin @gsi. It must outlive the transport.
 * -errno with a message. */
int must_check virtio_mmio_create(struct virtio_mmio **out, struct virtio_dev *dev, uint64_t base,
				  unsigned int gsi, struct bus *mmio, struct irqchip *irqchip);

/* The guest no longer runs and the device is quiet. Safe on NULL. */
void virtio_mmio_destroy(struct virtio_mmio *m);

#endif
