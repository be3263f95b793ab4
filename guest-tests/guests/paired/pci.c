/* PCI bus 0, through ports 0xcf8 and 0xcfc. */
#include "guest-tests/guests/paired/cpu.h"
#include "guest-tests/guests/paired/lib.h"
#include "guest-tests/guests/paired/machine.h"
#include "guest-tests/guests/paired/pci.h"

#define PCI_ADDRESS 0xcf8
#define PCI_DATA    0xcfc
#define PCI_ENABLE  0x80000000u
#define PCI_BAR	    0x10
#define FUNCTIONS   256u /* 32 devices of 8 */

uint32_t pci_read(uint32_t function, uint32_t reg)
{
	cpu_out32(PCI_ADDRESS, function | (reg & 0xfc));
	return cpu_in32(PCI_DATA);
}

void pci_write(uint32_t function, uint32_t reg, uint32_t value)
{
	cpu_out32(PCI_ADDRESS, function | (reg & 0xfc));
	cpu_out32(PCI_DATA, value);
}

uint8_t pci_read8(uint32_t function, uint32_t reg)
{
	return (uint8_t)(pci_read(function, reg) >> (8 * (reg & 3)));
}

uint32_t pci_next(uint32_t function)
{
	for (uint32_t n = function == 0 ? 0 : (function >> 8 & 0xff) + 1; n < FUNCTIONS; n++) {
		uint32_t first = PCI_ENABLE | (n & ~7u) << 8, at = PCI_ENABLE | n << 8;

		/* Without the multi-function bit there is only function 0. */
		if (at != first && !(pci_read(first, PCI_HEADER) & 0x800000))
			n |= 7;
		else if (pci_read(at, PCI_ID) != UINT32_MAX)
			return at;
		else if (at == first)
			n |= 7;
	}
	return 0;
}

void pci_enable(uint32_t function)
{
	pci_write(function, PCI_COMMAND,
		  (pci_read(function, PCI_COMMAND) & 0xffff) | COMMAND_IO | COMMAND_MEMORY |
			  COMMAND_MASTER);
}

/* The address that a memory BAR holds; 0 for an I/O BAR or none. */
static uint64_t bar_address(uint32_t function, unsigned bar)
{
	uint32_t low;

	if (bar > 5)
		return 0;
	low = pci_read(function, PCI_BAR + 4 * bar);
	if (low & 1)
		return 0;
	if ((low & 6) == 4 && bar < 5)
		return (uint64_t)pci_read(function, PCI_BAR + 4 * bar + 4) << 32 | (low & ~15u);
	return low & ~15u;
}

uint64_t pci_map(uint32_t function, unsigned bar, uint32_t offset, uint32_t size)
{
	uint64_t base = bar_address(function, bar);

	if (base == 0 || machine_map_registers(base + offset, size) == NULL)
		return 0;
	return base + offset;
}
