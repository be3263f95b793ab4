/*
 * The virtio PCI transport, modern only (virtio 1.2, 4.1): a PCI function around a virtio device.
 *
 * Interrupts are MSI-X, with vectors for the queues and one for configuration changes, or INTA and the
 * ISR register while the driver has not turned MSI-X on.
 */
#ifndef DEVICES_VIRTIO_PCI_H
#define DEVICES_VIRTIO_PCI_H

#include "devices/pci.h"
#include "devices/virtio/core.h"

/*
 * Put @dev on the host's bus until virtio_detach(), with @vectors for its queues: one each, or fewer, which drivers then
 * share among them (4.1.5.1.2.1). -errno with a message.
 */
int must_check virtio_pci_create(struct virtio_dev *dev, struct pci_host *host,
				 unsigned int vectors);

#endif
