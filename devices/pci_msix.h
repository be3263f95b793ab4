/*
 * MSI-X (PCI Local Bus 3.0, 6.8.2): a function's vectors, the table in which the driver gives each its
 * message and its mask, and the pending bits.
 *
 * A vector is an interrupt (irq.h) and is masked as one: by its own mask, by the function's, while MSI-X
 * is off and while the function may not be a bus master. What is raised meanwhile stays pending in the
 * interrupt, so raising takes no lock and may be done by whoever holds its eventfd. A raise that races with
 * masking may still go out, as a message already on its way would on a real bus.
 */
#ifndef DEVICES_PCI_MSIX_H
#define DEVICES_PCI_MSIX_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "vmm/base/bus.h"
#include "vmm/base/irq.h"

struct pci_msix_vector {
	struct irq irq;
	uint64_t address;
	uint32_t data;
	uint32_t control;
};

struct pci_msix {
	pthread_mutex_t lock;		/* of the table and @open; a leaf */
	bool open;			/* nothing but its own mask keeps a vector back */
	struct pci_msix_vector *vector; /* nr of them, or NULL */
	unsigned int nr;
	unsigned int pba; /* offset of the pending bits in their BAR; the table is at 0 */
};

/* @nr (1-2048) vectors, all masked and without a source. -ENOMEM. */
int must_check pci_msix_init(struct pci_msix *msix, unsigned int nr);

/* The BAR with table and pending bits: its size, and who answers. */
uint64_t pci_msix_bar_size(const struct pci_msix *msix);
extern const struct bus_ops pci_msix_ops; /* of a struct pci_msix */

/* Give every vector its source; -errno with a message. Before the guest runs. */
int must_check pci_msix_connect(struct pci_msix *msix, struct irqchip *irqchip);

/* Undo both, also half-done or zeroed. Nothing raises a vector any more. */
void pci_msix_destroy(struct pci_msix *msix);

/* Nothing (@open) or something keeps all vectors back. */
void pci_msix_gate(struct pci_msix *msix, bool open);

/* Raise vector @v, from any thread. One that does not exist (VIRTIO_MSI_NO_VECTOR) is ignored. */
static inline void pci_msix_raise(struct pci_msix *msix, unsigned int v)
{
	if (likely(v < msix->nr))
		irq_raise(&msix->vector[v].irq);
}

/* Forget what is pending: the device was reset. */
void pci_msix_clear_pending(struct pci_msix *msix);

#endif
