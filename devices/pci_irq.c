/*
 * How a PCI function interrupts: MSI-X, and INTA for drivers without it (PCI Local Bus 3.0, 6.8.2 and
 * 2.2.6).
 *
 * No interrupt is lost between a raise and a change of masks: a raise that sees the vector unmasked
 * goes out at once; one that sees it masked looks again under irq_lock, under which masks change and
 * pending bits are delivered. A raise that races with masking may still go out, as a message already
 * on its way would on a real bus.
 */
#include "devices/pci.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <linux/pci_regs.h>

#include "vmm/base/log.h"

#define MIN_BAR_SIZE 4096u

/* ---- INTA; irq_lock held ---- */

static void drive_intx(struct pci_func *func)
{
	const bool level = atomic_load(&func->intx) && !func->intx_disabled &&
			   !atomic_load(&func->msix_enabled);

	irq_set_level(func->irqchip, func->intx_gsi, &func->intx_line, level);
}

void pci_intx_set(struct pci_func *func, bool level)
{
	pthread_mutex_lock(&func->irq_lock);
	atomic_store(&func->intx, level);
	drive_intx(func);
	pthread_mutex_unlock(&func->irq_lock);
}

/* ---- MSI-X ---- */

/* Bring one vector in line with its masks and message; irq_lock held. */
static void sync_vector(struct pci_func *func, struct pci_msix_vector *vec)
{
	bool masked = !atomic_load(&func->msix_enabled) || func->msix_masked ||
		      vec->control & PCI_MSIX_ENTRY_CTRL_MASKBIT;

	/* The message is routed no earlier than here: a driver writes it in pieces, masked. */
	if (!masked && irq_set_msi(&vec->irq, vec->address, vec->data))
		masked = true; /* as good as: the next write to the vector tries again */
	atomic_store(&vec->masked, masked);
	if (!masked && vec->pending) {
		vec->pending = false;
		irq_raise(&vec->irq);
	}
}

void pci_irq_sync(struct pci_func *func)
{
	const uint16_t control =
		func->msix ? pci_config_get16(func, func->msix_cap + PCI_MSIX_FLAGS) : 0;

	pthread_mutex_lock(&func->irq_lock);
	func->intx_disabled = pci_config_get16(func, PCI_COMMAND) & PCI_COMMAND_INTX_DISABLE;
	func->msix_masked = control & PCI_MSIX_FLAGS_MASKALL;
	atomic_store(&func->msix_enabled, control & PCI_MSIX_FLAGS_ENABLE);
	for (unsigned int v = 0; v < func->nr_vectors; v++)
		sync_vector(func, &func->msix[v]);
	drive_intx(func);
	pthread_mutex_unlock(&func->irq_lock);
}

void pci_msix_raise(struct pci_func *func, unsigned int v)
{
	struct pci_msix_vector *vec;

	if (v >= func->nr_vectors)
		return;
	vec = &func->msix[v];
	if (likely(!atomic_load_explicit(&vec->masked, memory_order_acquire))) {
		irq_raise(&vec->irq);
		return;
	}
	pthread_mutex_lock(&func->irq_lock);
	if (atomic_load(&vec->masked))
		vec->pending = true;
	else
		irq_raise(&vec->irq);
	pthread_mutex_unlock(&func->irq_lock);
}

void pci_msix_clear_pending(struct pci_func *func)
{
	pthread_mutex_lock(&func->irq_lock);
	for (unsigned int v = 0; v < func->nr_vectors; v++)
		func->msix[v].pending = false;
	pthread_mutex_unlock(&func->irq_lock);
}

/* ---- the BAR with table and pending bits: aligned dwords and qwords only ---- */

/* The dword at @offset of the BAR; irq_lock held. */
static uint32_t read_dword(const struct pci_func *func, uint64_t offset)
{
	const uint64_t v = offset / PCI_MSIX_ENTRY_SIZE;
	uint32_t bits = 0;

	if (v < func->nr_vectors) {
		const struct pci_msix_vector *vec = &func->msix[v];

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
	if (offset < func->msix_pba)
		return 0;
	const uint64_t first = (offset - func->msix_pba) * 8;
	for (unsigned int i = 0; i < 32 && first + i < func->nr_vectors; i++)
		bits |= (uint32_t)func->msix[first + i].pending << i;
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
	struct pci_func *func = dev;
	uint64_t value;

	if (!is_legal(offset, size))
		return 0;
	pthread_mutex_lock(&func->irq_lock);
	value = read_dword(func, offset);
	if (size == 8)
		value |= (uint64_t)read_dword(func, offset + 4) << 32;
	pthread_mutex_unlock(&func->irq_lock);
	return value;
}

static void msix_write(void *dev, uint64_t offset, unsigned int size, uint64_t value)
{
	struct pci_func *func = dev;
	const uint64_t v = offset / PCI_MSIX_ENTRY_SIZE;
	const unsigned int field = offset % PCI_MSIX_ENTRY_SIZE;

	if (!is_legal(offset, size) || v >= func->nr_vectors)
		return;
	pthread_mutex_lock(&func->irq_lock);
	write_dword(&func->msix[v], field, (uint32_t)value);
	if (size == 8)
		write_dword(&func->msix[v], field + 4, (uint32_t)(value >> 32));
	sync_vector(func, &func->msix[v]);
	pthread_mutex_unlock(&func->irq_lock);
}

static const struct bus_ops msix_ops = { .read = msix_read, .write = msix_write };

/* ---- life ---- */

int pci_func_add_msix(struct pci_func *func, unsigned int bar, unsigned int nr)
{
	uint8_t cap[PCI_CAP_MSIX_SIZEOF] = { 0 };
	const uint16_t flags = (uint16_t)(nr - 1);
	uint32_t pba = MIN_BAR_SIZE / 2, table;

	func->msix = calloc(nr, sizeof(*func->msix));
	if (!func->msix) {
		log_error("%s: cannot have %u MSI-X vectors: %s", func->name, nr, strerror(ENOMEM));
		return -ENOMEM;
	}
	func->nr_vectors = nr;
	for (unsigned int v = 0; v < nr; v++) {
		func->msix[v].irq.fd = -1;
		func->msix[v].control = PCI_MSIX_ENTRY_CTRL_MASKBIT;
		atomic_init(&func->msix[v].masked, true);
	}
	while (pba < nr * PCI_MSIX_ENTRY_SIZE)
		pba *= 2;
	func->msix_pba = pba;
	pci_func_set_bar(func, bar, 2 * pba, false, &msix_ops, func);
	table = bar;
	pba |= bar;
	memcpy(cap + PCI_MSIX_FLAGS, &flags, sizeof(flags));
	memcpy(cap + PCI_MSIX_TABLE, &table, sizeof(table));
	memcpy(cap + PCI_MSIX_PBA, &pba, sizeof(pba));
	func->msix_cap = pci_func_add_cap(func, PCI_CAP_ID_MSIX, cap, sizeof(cap));
	func->writable[func->msix_cap + PCI_MSIX_FLAGS + 1] =
		(PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL) >> 8;
	return 0;
}

int pci_irq_init(struct pci_func *func, struct irqchip *irqchip)
{
	func->irqchip = irqchip;
	for (unsigned int v = 0; v < func->nr_vectors; v++) {
		const int ret = irq_init_msi(&func->msix[v].irq, irqchip);

		if (ret)
			return ret;
	}
	return 0;
}

void pci_irq_destroy(struct pci_func *func)
{
	for (unsigned int v = 0; v < func->nr_vectors; v++)
		if (func->msix[v].irq.fd >= 0)
			irq_destroy(&func->msix[v].irq);
}
