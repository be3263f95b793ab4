#include "devices/test/pci_rig.h"

#include <linux/pci_regs.h>
#include <string.h>

#include "vmm/base/test/unit.h"

static uint64_t fake_read(void *dev, uint64_t offset, unsigned int size)
{
	return ((struct fake *)dev)->tag + offset;
}

static void fake_write(void *dev, uint64_t offset, unsigned int size, uint64_t value)
{
	((struct fake *)dev)->written = value;
}

const struct bus_ops fake_ops = { .read = fake_read, .write = fake_write };

static void fake_mapped(struct pci_func *func, struct pci_bar *bar, struct bus *bus, bool on)
{
	struct fake *f = container_of(func, struct fake, func);

	assert_non_null(bus);
	if (on) {
		f->mapped++;
		f->mapped_at = bar->range.base;
	} else {
		f->unmapped++;
		assert_int_equal(f->mapped_at, bar->range.base);
	}
}

void fake_init(struct fake *f, uint64_t tag)
{
	memset(f, 0, sizeof(*f));
	f->tag = tag;
	pci_func_init(&f->func, "fake", VENDOR, DEVICE, 0x020000, 7);
	pci_func_set_bar(&f->func, MEM_BAR, MEM_SIZE, false, &fake_ops, f);
	pci_func_set_bar(&f->func, IO_BAR, IO_SIZE, true, &fake_ops, f);
	f->func.bar[MEM_BAR].mapped = fake_mapped;
	assert_int_equal(pci_func_add_msix(&f->func, MSIX_BAR, NR_VECTORS), 0);
}

int pci_setup(void **state)
{
	static struct fixture x;

	memset(&x, 0, sizeof(x));
	pci_machine_init(&x.m);
	fake_init(&x.a, 0xa0000000);
	fake_init(&x.b, 0xb0000000);
	assert_int_equal(pci_host_add(x.m.host, &x.a.func), 0);
	assert_int_equal(pci_host_add(x.m.host, &x.b.func), 0);
	*state = &x;
	return 0;
}

int pci_teardown(void **state)
{
	struct fixture *x = *state;

	pci_func_destroy(&x->a.func);
	pci_func_destroy(&x->b.func);
	pci_machine_destroy(&x->m);
	return 0;
}

void set_command(struct fixture *x, unsigned int slot, uint16_t command)
{
	cfg_put(&x->m, slot, PCI_COMMAND, 2, command);
}

void set_bar(struct fixture *x, unsigned int slot, unsigned int bar, uint32_t value)
{
	cfg_put(&x->m, slot, PCI_BASE_ADDRESS_0 + 4 * bar, 4, value);
}

bool answers(struct bus *bus, uint64_t addr)
{
	uint64_t value;

	return bus_read(bus, addr, 4, &value);
}
