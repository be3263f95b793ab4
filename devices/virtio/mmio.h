/*
 * The virtio MMIO transport, version 2 (virtio 1.2, 4.2): a page of registers around a virtio device.
 */
#ifndef DEVICES_VIRTIO_MMIO_H
#define DEVICES_VIRTIO_MMIO_H

#include "devices/virtio/core.h"
#include "vmm/base/bus.h"
#include "vmm/base/irq.h"

/* Put @dev on the bus, a page at @base, interrupting on pin @gsi, until virtio_detach(). -errno with a message. */
int must_check virtio_mmio_create(struct virtio_dev *dev, uint64_t base, unsigned int gsi,
				  struct bus *mmio, struct irqchip *irqchip);

#endif
