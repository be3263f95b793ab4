/* MSI-X: the table, the pending bits, and which vectors are open (PCI Local Bus 3.0, 6.8.2). */
#include "devices/pci_msix.h"

#include <errno.h>
#include <stdlib.h>

#include <linux/pci_regs.h>

#define MIN_BAR_SIZE 4096u

/* Bring one vector in line with its masks and message; under the lock. */
static void sync_vector(struct pci_msix *msix, struct pci_msix_vector *vec)
{
	bool masked = !msix->open || vec->control & PCI_MSIX_ENTRY_CTRL_MASKBIT;

	/* The message is routed no earlier than here: a driver writes it in pieces, masked. What KVM refuses
	 * stays masked: the next write to the vector tries again. */
	if (!masked && irq_set_msi(&vec->irq, vec->address, vec->data))
		masked = true;
	irq_mask(&vec->irq, masked);
}

void pci_msix_gate(struct pci_msix *msix, bool open)
{
	hold(&msix->lock);
	if (msix->open == open)
		return;
	msix->open = open;
	for (unsigned int v = 0; v < msix->nr; v++)
		sync_vector(msix, &msix->vector[v]);
}

void pci_msix_clear_pending(struct pci_msix *msix)
{
	hold(&msix->lock);
	for (unsigned int v = 0; v < msix->nr; v++)
		if (irq_pending(&msix->vector[v].irq))
			event_clear(msix->vector[v].irq.fd);
}

/* ---- the BAR with table and pending bits: aligned dwords and qwords only ---- */

/* The dword at @offset of the BAR; under the lock. */
static uint32_t read_dword(const struct pci_msix *msix, uint64_t offset)
{
	const uint64_t v = offset / PCI_MSIX_ENTRY_SIZE;
	uint32_t bits = 0;

	if (v < msix->nr) {
		const struct pci_msix_vector *vec = &msix->vector[v];

		switch (offset % PCI_MSIX_ENTRY_SIZE) {
		case PCI_MSIX_ENTRY_LOWER_ADDR:
			return (uint32_t)vec->address;
		case PCI_MSIX_ENTRY_UPPER_ADDR:
			return (uint32_t)(vec->address >> 32);
		case PCI_MSIX_ENTRY_DATA:
			return vec->data;
		default:
			return vec->control;
		}
	}
	if (offset < msix->pba)
		return 0;
	const uint64_t first = (offset - msix->pba) * 8;
	for (unsigned int i = 0; i < 32 && first + i < msix->nr; i++)
		bits |= (uint32_t)irq_pending(&msix->vector[first + i].irq) << i;
	return bits;
}

static void write_dword(struct pci_msix_vector *vec, unsigned int field, uint32_t value)
{
	switch (field) {
	case PCI_MSIX_ENTRY_LOWER_ADDR:
		vec->address = (vec->address & ~0xffffffffull) | (value & ~3u);
		break;
	case PCI_MSIX_ENTRY_UPPER_ADDR:
		vec->address = (vec->address & 0xffffffffull) | (uint64_t)value << 32;
		break;
	case PCI_MSIX_ENTRY_DATA:
		vec->data = value;
		break;
	default:
		vec->control = value & PCI_MSIX_ENTRY_CTRL_MASKBIT;
		break;
	}
}

static bool is_legal(uint64_t offset, unsigned int size)
{
	return (size == 4 || size == 8) && offset % size == 0;
}

static uint64_t msix_read(void *dev, uint64_t offset, unsigned int size)
{
	struct pci_msix *msix = dev;
	if (!is_legal(offset, size))
		return 0;
	hold(&msix->lock);
	return read_dword(msix, offset) |
	       (size == 8 ? (uint64_t)read_dword(msix, offset + 4) << 32 : 0);
}

static void msix_write(void *dev, uint64_t offset, unsigned int size, uint64_t value)
{
	struct pci_msix *msix = dev;
	const uint64_t v = offset / PCI_MSIX_ENTRY_SIZE;
	const unsigned int field = offset % PCI_MSIX_ENTRY_SIZE;

	if (!is_legal(offset, size) || v >= msix->nr)
		return;
	hold(&msix->lock);
	write_dword(&msix->vector[v], field, (uint32_t)value);
	if (size == 8)
		write_dword(&msix->vector[v], field + 4, (uint32_t)(value >> 32));
	sync_vector(msix, &msix->vector[v]);
}

const struct bus_ops pci_msix_ops = { .read = msix_read, .write = msix_write };

/* ---- life ---- */

int pci_msix_init(struct pci_msix *msix, unsigned int nr)
{
	pthread_mutex_init(&msix->lock, NULL);
	msix->vector = calloc(nr, sizeof(*msix->vector));
	if (!msix->vector)
		return -ENOMEM;
	msix->nr = nr;
	for (unsigned int v = 0; v < nr; v++) {
		msix->vector[v].irq.fd = -1;
		msix->vector[v].control = PCI_MSIX_ENTRY_CTRL_MASKBIT;
	}
	msix->pba = MIN_BAR_SIZE / 2;
	while (msix->pba < nr * PCI_MSIX_ENTRY_SIZE)
		msix->pba *= 2;
	return 0;
}

uint64_t pci_msix_bar_size(const struct pci_msix *msix)
{
	return 2 * msix->pba;
}

int pci_msix_connect(struct pci_msix *msix, struct irqchip *irqchip)
{
	int ret = 0;

	for (unsigned int v = 0; v < msix->nr && !ret; v++)
		ret = irq_init_msi(&msix->vector[v].irq, irqchip);
	return ret;
}

void pci_msix_destroy(struct pci_msix *msix)
{
	for (unsigned int v = 0; v < msix->nr; v++)
		irq_destroy(&msix->vector[v].irq);
	free(msix->vector);
	msix->vector = NULL;
	msix->nr = 0;
}
