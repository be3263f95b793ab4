/*
 * PCI Express host bridge with one bus: configuration mechanism 1 (0xcf8/0xcfc) and ECAM, base
 * address registers that the guest may size and move, MSI-X, INTx.
 *
 * A function describes itself by struct pci_func before it is added to the host. Configuration
 * writes reach only the bits opened in pci_func.writable; what BARs decode and what may interrupt is
 * worked out from them after every write and kept apart.
 *
 * A BAR decodes while the command register says so and it lies in its window. One that
 * would overlap another does not decode (and is counted) until the other has moved away.
 *
 * Locks: the host's covers configuration space and decoding, a function's intx_lock its INTA, and is a
 * leaf, so workers may interrupt while a configuration write waits for them.
 */
#ifndef DEVICES_PCI_H
#define DEVICES_PCI_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "devices/pci_msix.h"
#include "vmm/base/bus.h"
#include "vmm/base/counters.h"
#include "vmm/base/irq.h"

#define PCI_SLOTS    32u
#define PCI_NR_BARS  6u
#define PCI_CFG_SIZE 4096u

struct pci_host;
struct pci_func;

/* Where the bus lies in the machine. */
struct pci_layout {
	struct {
		uint64_t base, size;
	} mem, io, ecam; /* windows of BARs, and configuration space of bus 0 */
	uint16_t ports;	 /* configuration mechanism 1 */
	/* Byte accesses amid the address register are its; it leaves the bus for the bridge. Or NULL. */
	struct bus_range *reset_control;
	unsigned int inta; /* device n's pin A is on pin inta + n % nr_intx */
	unsigned int nr_intx;
};

/* Added as "pci". */
struct pci_counters {
	uint64_t bar_conflicts; /* BARs that the guest put where another device decodes */
};

enum pci_bar_state {
	PCI_BAR_OFF,
	PCI_BAR_ON,	  /* decodes at range.base */
	PCI_BAR_CONFLICT, /* would decode at range.base, were it free */
};

struct pci_bar {
	uint64_t size;		/* 0: no such BAR; a power of two */
	bool io;		/* I/O ports, else 32-bit memory */
	struct bus_range range; /* on its bus while state is PCI_BAR_ON */
	enum pci_bar_state state;
	/* Called with the host's lock held after the BAR began (@on) or ceased to decode on @bus at
	 * range.base: the place to add and remove doorbells. May be NULL. */
	void (*mapped)(struct pci_func *func, struct pci_bar *bar, struct bus *bus, bool on);
};

struct pci_func {
	struct pci_host *host; /* NULL: not added */
	const char *name;
	unsigned int slot;
	uint8_t config[PCI_CFG_SIZE];
	uint8_t writable[PCI_CFG_SIZE]; /* bits that the guest may change */
	unsigned int last_cap;		/* offset of the last capability, or 0 */
	unsigned int end_cap;		/* where the next one goes */
	struct pci_bar bar[PCI_NR_BARS];

	pthread_mutex_t intx_lock;
	struct irqchip *irqchip;
	unsigned int intx_gsi;
	bool intx;	    /* the function asserts INTA (atomic) ... */
	bool intx_disabled; /* ... which the guest has disabled, or MSI-X takes its place ... */
	bool intx_line;	    /* ... and this is what the pin shows */
	bool msix_enabled;  /* atomic */
	struct pci_msix msix;
	unsigned int msix_cap; /* offset of the capability, or 0 */

	/* Optional: bus mastering was turned on or off, with the host's lock held. Off, the function writes and reads no
	 * memory when it returns; it begins off. */
	void (*bus_master)(struct pci_func *func, bool on);

	/* Optional: MSI-X was turned on or off, with the host's lock held. */
	void (*msix_changed)(struct pci_func *func);

	/* Optional: accesses to configuration space within [hook, hook + hook_len) go here instead,
	 * with the host's lock held (virtio's PCI configuration access capability). */
	unsigned int hook, hook_len;
	uint32_t (*hook_read)(struct pci_func *func, unsigned int offset, unsigned int size);
	void (*hook_write)(struct pci_func *func, unsigned int offset, unsigned int size,
			   uint32_t value);
};

/* Create the host bridge, at slot 0, and put it on both buses. -errno with a message. */
int must_check pci_host_create(struct pci_host **out, const struct pci_layout *layout,
			       struct bus *pio, struct bus *mmio, struct irqchip *irqchip,
			       struct counters *counters);

/* The functions have been destroyed. Safe on NULL. */
void pci_host_destroy(struct pci_host *host);

/* The function in @slot, or NULL. */
struct pci_func *pci_host_func(struct pci_host *host, unsigned int slot);

/* Identify a function: ids and class (24 bits). The rest of a type 0 header is filled in, with
 * interrupts on INTA. The subsystem has the same ids. @func is zeroed first; @name stays the
 * caller's. */
void pci_func_init(struct pci_func *func, const char *name, uint16_t vendor, uint16_t device,
		   uint32_t class_code, uint8_t revision);

/* Append a capability of @len bytes, whose first two (id, next) are filled in; its offset. The sum
 * of all must fit in 192 bytes. */
unsigned int pci_func_add_cap(struct pci_func *func, uint8_t id, const void *cap, unsigned int len);

/* Declare a BAR of @size bytes, a power of two (>= 16 for memory, >= 4 for I/O); @ops and @dev
 * answer accesses to it. */
void pci_func_set_bar(struct pci_func *func, unsigned int bar, uint64_t size, bool io,
		      const struct bus_ops *ops, void *dev);

/* MSI-X with @nr (1-2048) vectors; table and pending bits are in BAR @bar, which is declared here.
 * -ENOMEM with a message. */
int must_check pci_func_add_msix(struct pci_func *func, unsigned int bar, unsigned int nr);

/*
 * Put the function in the first free slot; BARs get an address and decode once the guest enables
 * them. Before the guest runs. -errno (-ENOSPC: no slot, address or interrupt is left) with a
 * message.
 */
int must_check pci_host_add(struct pci_host *host, struct pci_func *func);

/* Take the function off its host, if it was added, and release what it holds. The guest no longer
 * runs and nothing raises its interrupts. */
void pci_func_destroy(struct pci_func *func);

/* ---- interrupts; any thread ---- */

/* The function's MSI-X is on (then INTA is not driven). */
static inline bool pci_msix_enabled(const struct pci_func *func)
{
	return __atomic_load_n(&func->msix_enabled, __ATOMIC_ACQUIRE);
}

/* Assert INTA or not. Shows in the status register; the pin follows unless the guest has disabled
 * it or turned MSI-X on. */
void pci_intx_set(struct pci_func *func, bool level);

/* Little-endian registers of configuration space. */
uint16_t pci_config_get16(const struct pci_func *func, unsigned int offset);
uint32_t pci_config_get32(const struct pci_func *func, unsigned int offset);

#endif
