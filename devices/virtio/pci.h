/*
 * The virtio PCI transport, modern only (virtio 1.2, 4.1): a PCI function around a virtio device.
 *
 * Interrupts are MSI-X, with a vector for each queue and one for configuration changes, or INTA and
 * the ISR register while the driver has not turned MSI-X on.
 */
#ifndef DEVICES_VIRTIO_PCI_H
#define DEVICES_VIRTIO_PCI_H

#include "devices/pci.h"
#include "devices/virtio/core.h"

struct virtio_pci;

/*
 * Put @dev on the host's bus; it must outlive the transport. -errno with a message.
 */
int must_check virtio_pci_create(struct virtio_pci **out, struct virtio_dev *dev,
				 struct pci_host *host);

/* The guest no longer runs and the device is quiet (reset), but not destroyed yet. Safe on NULL. */
void virtio_pci_destroy(struct virtio_pci *vpci);

#endif
