/*
 * The virtio MMIO transport, version 2 (virtio 1.2, 4.2): a page of registers around a virtio device.
 */
#ifndef DEVICES_VIRTIO_MMIO_H
#define DEVICES_VIRTIO_MMIO_H

#include "devices/virtio/core.h"
#include "vmm/base/bus.h"
#include "vmm/base/irq.h"

/*
 * Put @dev on the bus, a page at @base, interrupting on pin @gsi, until virtio_detach(). -errno with a message.
 *
 * @page, zeroed, is what the guest sees at @base where KVM lets it read that by itself (struct kvm_window): then only writes
 * are accesses to the bus. NULL: reads are, too. With @page, an interrupt costs no exit to user space: the
 * acknowledgement of a queue's ends in the kernel, and the bit that it acknowledges stands until a reset or until a change of
 * configuration is acknowledged with it. The interrupt is an edge; the bit only says what to look for.
 */
int must_check virtio_mmio_create(struct virtio_dev *dev, uint64_t base, unsigned int gsi,
				  uint8_t *page, struct bus *mmio, struct irqchip *irqchip);

#endif
