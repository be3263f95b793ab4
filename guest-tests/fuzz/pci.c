/* devices/pci*.c: configuration space by both ways, BARs that move and collide, MSI-X and INTA. */
#include "guest-tests/fuzz/fuzz.h"

#include <linux/pci_regs.h>

#include "devices/test/pci_machine.h"
#include "vmm/x86/memmap.h"

#define NR_FUNCS   3u
#define NR_VECTORS 5u

static uint64_t bar_read(void *dev, uint64_t offset, unsigned int size)
{
	const struct pci_bar *bar = dev;

	fuzz_check(offset + size <= bar->size);
	return 0;
}

static void bar_write(void *dev, uint64_t offset, unsigned int size, uint64_t value)
{
	const struct pci_bar *bar = dev;

	fuzz_check(offset + size <= bar->size);
}

static const struct bus_ops bar_ops = { bar_read, bar_write };

static void on_mapped(struct pci_func *func, struct pci_bar *bar, struct bus *bus, bool on)
{
	if (on)
		fuzz_check(!bus_doorbell_add(bus, bar->range.base, BUS_DOORBELL_ANY, 0));
	else
		bus_doorbell_remove(bus, bar->range.base, BUS_DOORBELL_ANY);
}

static void add_function(struct pci_machine *m, struct pci_func *func)
{
	pci_func_init(func, "fuzz", 0x1af4, 0x1041, 0x020000, 1);
	pci_func_set_bar(func, 0, 4096, false, &bar_ops, &func->bar[0]);
	func->bar[0].mapped = on_mapped;
	fuzz_check(!pci_func_add_msix(func, 1, NR_VECTORS));
	pci_func_set_bar(func, 2, 32, true, &bar_ops, &func->bar[2]);
	fuzz_check(!pci_host_add(m->host, func));
}

/* Where a BAR is, and some more. */
static void touch_bar(struct fuzz *f, struct pci_machine *m)
{
	const unsigned int slot = 1 + fuzz_below(f, NR_FUNCS), n = fuzz_below(f, 3);
	const struct pci_bar *bar = &pci_host_func(m->host, slot)->bar[n];

	fuzz_access(f, bar->io ? &m->pio : &m->mmio, cfg_bar(m, slot, n), bar->size + 8);
}

static void touch_config(struct fuzz *f, struct pci_machine *m)
{
	const uint32_t where = (uint32_t)fuzz_int(f, 2);

	/* Most often a function that is there and the registers that do something. */
	fuzz_access(f, &m->mmio,
		    MEMMAP_ECAM_BASE + ((where & 3) << 15) + (where & 0x8000 ? where & 0xffc : 0),
		    0x100);
}

static void touch_ports(struct fuzz *f, struct pci_machine *m)
{
	bus_write(&m->pio, PORT_PCI_ADDRESS, 4, fuzz_int(f, 4));
	fuzz_access(f, &m->pio, PORT_PCI_ADDRESS, 8);
}

void fuzz_one(struct fuzz *f)
{
	static struct pci_func func[NR_FUNCS];
	struct pci_machine m;

	pci_machine_init(&m);
	for (unsigned int i = 0; i < NR_FUNCS; i++)
		add_function(&m, &func[i]);
	while (f->left) {
		const unsigned int act = fuzz_below(f, 16);
		struct pci_func *one = &func[act % NR_FUNCS];

		switch (act) {
		case 0 ... 5:
			touch_config(f, &m);
			break;
		case 6 ... 9:
			touch_bar(f, &m);
			break;
		case 10:
			touch_ports(f, &m);
			break;
		case 11:
			fuzz_access(f, &m.mmio, MEMMAP_ECAM_BASE, MEMMAP_ECAM_SIZE);
			break;
		case 12 ... 13:
			pci_msix_raise(&one->msix, fuzz_below(f, NR_VECTORS + 1));
			break;
		case 14:
			pci_intx_set(one, fuzz_below(f, 2));
			break;
		default:
			pci_msix_clear_pending(&one->msix);
			break;
		}
	}
	for (unsigned int i = 0; i < NR_FUNCS; i++)
		pci_func_destroy(&func[i]);
	pci_machine_destroy(&m);
}
