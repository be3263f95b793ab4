/* Two buses, a host bridge and what a driver does with them: shared by the tests of PCI functions. */
#include "devices/test/pci_machine.h"

#include <linux/pci_regs.h>
#include <unistd.h>

#include "vmm/base/test/unit.h"
#include "vmm/x86/memmap.h"

void pci_machine_init(struct pci_machine *m)
{
	static const struct pci_layout layout = MEMMAP_PCI;

	bus_init(&m->pio);
	bus_init(&m->mmio);
	assert_int_equal(irqchip_create(&m->irqchip, -1), 0);
	m->counters = (struct counters){ 0 };
	assert_int_equal(
		pci_host_create(&m->host, &layout, &m->pio, &m->mmio, m->irqchip, &m->counters), 0);
}

void pci_machine_destroy(struct pci_machine *m)
{
	pci_host_destroy(m->host);
	irqchip_destroy(m->irqchip);
	/* Whoever was on the bus has left. */
	assert_int_equal(m->pio.nr_ranges + m->mmio.nr_ranges, 0);
	assert_int_equal(m->pio.nr_doorbells + m->mmio.nr_doorbells, 0);
	assert_null(m->counters.first);
	bus_destroy(&m->pio);
	bus_destroy(&m->mmio);
}

uint64_t bus_get(struct bus *bus, uint64_t addr, unsigned int size)
{
	uint64_t value = 0;

	assert_true(bus_read(bus, addr, size, &value));
	return value;
}

void bus_put(struct bus *bus, uint64_t addr, unsigned int size, uint64_t value)
{
	assert_true(bus_write(bus, addr, size, value));
}

static uint64_t ecam(unsigned int slot, unsigned int reg)
{
	return MEMMAP_ECAM_BASE + (slot << 15) + reg;
}

uint32_t cfg_get(struct pci_machine *m, unsigned int slot, unsigned int reg, unsigned int size)
{
	return (uint32_t)bus_get(&m->mmio, ecam(slot, reg), size);
}

void cfg_put(struct pci_machine *m, unsigned int slot, unsigned int reg, unsigned int size,
	     uint32_t value)
{
	bus_put(&m->mmio, ecam(slot, reg), size, value);
}

unsigned int cfg_find_cap(struct pci_machine *m, unsigned int slot, uint8_t id, unsigned int from)
{
	unsigned int left = 48; /* as many as fit */
	unsigned int at =
		cfg_get(m, slot, from ? from + PCI_CAP_LIST_NEXT : PCI_CAPABILITY_LIST, 1);

	assert_true(cfg_get(m, slot, PCI_STATUS, 2) & PCI_STATUS_CAP_LIST);
	while (at && cfg_get(m, slot, at, 1) != id) {
		assert_true(left-- > 0);
		assert_true(at >= PCI_STD_HEADER_SIZEOF && at % 4 == 0);
		at = cfg_get(m, slot, at + PCI_CAP_LIST_NEXT, 1);
	}
	return at;
}

uint64_t cfg_bar(struct pci_machine *m, unsigned int slot, unsigned int bar)
{
	const uint32_t reg = cfg_get(m, slot, PCI_BASE_ADDRESS_0 + 4 * bar, 4);

	return reg & PCI_BASE_ADDRESS_SPACE_IO ? reg & PCI_BASE_ADDRESS_IO_MASK
					       : reg & PCI_BASE_ADDRESS_MEM_MASK;
}

uint64_t eventfd_take(int fd)
{
	uint64_t n = 0;

	return read(fd, &n, sizeof(n)) == sizeof(n) ? n : 0;
}
