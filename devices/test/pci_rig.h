/* A machine with two PCI functions that do next to nothing: shared by the tests of the bridge and of MSI-X. */
#ifndef DEVICES_TEST_PCI_RIG_H
#define DEVICES_TEST_PCI_RIG_H

#include "devices/test/pci_machine.h"

#define VENDOR	   0x1234
#define DEVICE	   0x5678
#define MEM_BAR	   0u
#define MSIX_BAR   1u
#define IO_BAR	   2u
#define MEM_SIZE   0x4000u
#define IO_SIZE	   32u
#define NR_VECTORS 3u
#define PBA	   0x800u /* in a BAR of 4 KiB */
#define MESSAGE	   0xfee00000u

#define COMMAND_DECODE (PCI_COMMAND_MEMORY | PCI_COMMAND_IO)

/* A function that answers accesses with its own number and remembers where it is mapped. */
struct fake {
	struct pci_func func;
	uint64_t tag;
	uint64_t written;
	unsigned int mapped, unmapped;
	uint64_t mapped_at;
};

extern const struct bus_ops fake_ops;
void fake_init(struct fake *f, uint64_t tag);

/* A machine with two such functions, in slots 1 and 2. */
struct fixture {
	struct pci_machine m;
	struct fake a, b;
};

int pci_setup(void **state);
int pci_teardown(void **state);
void set_command(struct fixture *x, unsigned int slot, uint16_t command);
void set_bar(struct fixture *x, unsigned int slot, unsigned int bar, uint32_t value);
bool answers(struct bus *bus, uint64_t addr);

#define TEST(f) cmocka_unit_test_setup_teardown(f, pci_setup, pci_teardown)

#endif
