/* Two buses, a host bridge and what a driver does with them: shared by the tests of PCI functions. */
#ifndef DEVICES_TEST_PCI_MACHINE_H
#define DEVICES_TEST_PCI_MACHINE_H

#include "devices/pci.h"

struct pci_machine {
	struct bus pio, mmio;
	struct irqchip *irqchip;
	struct pci_host *host;
	struct counters counters;
};

/* Both fail the test if they cannot. */
void pci_machine_init(struct pci_machine *m);
void pci_machine_destroy(struct pci_machine *m);

/* An access that must be answered by somebody. */
uint64_t bus_get(struct bus *bus, uint64_t addr, unsigned int size);
void bus_put(struct bus *bus, uint64_t addr, unsigned int size, uint64_t value);

/* Configuration space of the function in @slot, through ECAM. */
uint32_t cfg_get(struct pci_machine *m, unsigned int slot, unsigned int reg, unsigned int size);
void cfg_put(struct pci_machine *m, unsigned int slot, unsigned int reg, unsigned int size,
	     uint32_t value);

/* The next capability with @id behind @from (0: from the start), or 0. Fails the test on a loop. */
unsigned int cfg_find_cap(struct pci_machine *m, unsigned int slot, uint8_t id, unsigned int from);

/* The address that BAR @bar holds. */
uint64_t cfg_bar(struct pci_machine *m, unsigned int slot, unsigned int bar);

/* How often an eventfd was signalled since the last look. */
uint64_t eventfd_take(int fd);

#endif
