/*
 * PCI Express host bridge with one bus: configuration mechanism 1 (0xcf8/0xcfc) and ECAM, base
 * address registers that the guest may size and move, MSI-X, INTx.
 *
 * A function describes itself by struct pci_func and fills its configuration space before it is
 * added. Configuration writes reach only the bits that pci_func_writable() has opened; truth about
 * BARs, the command register and MSI-X is kept host-side.
 */
#ifndef DEVICES_PCI_H
#define DEVICES_PCI_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "vmm/bus.h"
#include "vmm/irq.h"

#define PCI_SLOTS    32u
#define PCI_NR_BARS  6u
#define PCI_CFG_SIZE 4096u

struct pci_host;
struct pci_func;

struct pci_msix_vector; /* address, data, control and pending bit of one vector; pci_msix.c */

struct pci_bar {
	uint64_t size;		/* 0: no such BAR; a power of two */
	bool io;		/* I/O ports, else 32-bit memory */
	struct bus_range range; /* on its bus while decoding is on */
	/* Called with the host's lock held after the BAR began (@on) or ceased to decode at
	 * @range.base: the place to add and remove doorbells. May be NULL. */
	void (*mapped)(struct pci_func *func, unsigned int bar, bool on);
};

struct pci_func {
	struct pci_host *host;
	const char *name;
	unsigned int slot;
	uint8_t config[PCI_CFG_SIZE];
	uint8_t writable[PCI_CFG_SIZE]; /* mask: bits that the guest may change by plain writes */
	struct pci_bar bar[PCI_NR_BARS];
	struct pci_msix_vector *msix; /* nr_vectors, or NULL */
	unsigned int nr_vectors;
	unsigned int msix_cap; /* offset of the capability */
	bool intx;	       /* level asserted on INTA */

	/* Optional: reads and writes of configuration space within [cfg_hook, cfg_hook + cfg_hook_len)
	 * go here instead (virtio's PCI configuration access capability). */
	unsigned int cfg_hook, cfg_hook_len;
	uint32_t (*cfg_read)(struct pci_func *func, unsigned int offset, unsigned int size);
	void (*cfg_write)(struct pci_func *func, unsigned int offset, unsigned int size,
			  uint32_t value);
};

/* Create the host bridge, at slot 0, and put it on both buses. -errno with a message. */
int must_check pci_host_create(struct pci_host **out, struct bus *pio, struct bus *mmio,
			       struct irqchip *irqchip);
void pci_host_destroy(struct pci_host *host);

/* Identify a function (type 0 header): ids and class; INTA and the header are filled in. */
void pci_func_init(struct pci_func *func, const char *name, uint16_t vendor, uint16_t device,
		   uint32_t class_code, uint8_t revision, uint16_t subsystem_vendor,
		   uint16_t subsystem);

/* Append a capability of @len bytes (id and next pointer included, filled in); its offset. */
unsigned int pci_func_add_cap(struct pci_func *func, uint8_t id, const void *cap, unsigned int len);

/* Declare a BAR; @ops and @dev answer accesses to it. */
void pci_func_set_bar(struct pci_func *func, unsigned int bar, uint64_t size, bool io,
		      const struct bus_ops *ops, void *dev);

/* MSI-X with @nr vectors; table and pending bits are in BAR @bar, which is declared here. -errno. */
int must_check pci_func_add_msix(struct pci_func *func, unsigned int bar, unsigned int nr);

/* Put the function in the first free slot; BARs get an address and decode once the guest enables
 * them. -ENOSPC without a slot, with a message. Before the guest runs. */
int must_check pci_host_add(struct pci_host *host, struct pci_func *func);

/* The function's MSI-X is on (then INTx must not be used). Any thread. */
bool pci_msix_enabled(const struct pci_func *func);

/* Raise vector @v, or mark it pending while it is masked. Any thread, no lock while unmasked. An
 * out-of-range vector (VIRTIO_MSI_NO_VECTOR) is ignored. */
void pci_msix_raise(struct pci_func *func, unsigned int v);

/* Drive INTA; honours the interrupt disable bit and shows in the status register. Any thread. */
void pci_intx_set(struct pci_func *func, bool level);

/* Release what pci_func_add_msix() took. The guest no longer runs. */
void pci_func_destroy(struct pci_func *func);

#endif
