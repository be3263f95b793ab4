/* devices/virtio/pci.c: its BARs and capabilities, around a device whose rings are used meanwhile. */
#include "guest-tests/fuzz/fuzz.h"

#include <linux/pci_regs.h>

#include "devices/test/pci_machine.h"
#include "devices/virtio/pci.h"
#include "devices/virtio/rng.h"
#include "vmm/x86/memmap.h"

#define SLOT 1u

static void touch_bar(struct fuzz *f, struct pci_machine *m, unsigned int bar, uint64_t offset,
		      uint64_t len)
{
	fuzz_access(f, &m->mmio, cfg_bar(m, SLOT, bar) + offset, len);
}

void fuzz_one(struct fuzz *f)
{
	const struct virtio_rng_options options = { .on = true };
	struct pci_machine m;
	struct fuzz_driver d;

	fuzz_driver_init(&d, "rng0");
	pci_machine_init(&m);
	fuzz_check(!fuzz_driver_create(&d, &virtio_rng_kind, &options));
	fuzz_check(!virtio_pci_create(d.dev, m.host, d.dev->nr_vqs));
	cfg_put(&m, SLOT, PCI_COMMAND, 2, PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	while (f->left) {
		switch (fuzz_below(f, 16)) {
		case 0 ... 3:
			touch_bar(f, &m, 0, 0, 64); /* the common structure */
			break;
		case 4:
			touch_bar(f, &m, 0, 0, 0x4000);
			break;
		case 5 ... 6:
			touch_bar(f, &m, 1, 0, 0x1000); /* MSI-X */
			break;
		case 7:
			touch_bar(f, &m, 0, 0x1000 * fuzz_below(f, 4), 16);
			break;
		case 8 ... 10:
			fuzz_access(f, &m.mmio, MEMMAP_ECAM_BASE + (SLOT << 15), 0x100);
			break;
		case 11:
			fuzz_access(f, &m.pio, cfg_bar(&m, SLOT, 2), 16); /* doorbells */
			break;
		default:
			fuzz_driver_act(&d, f);
			break;
		}
	}
	virtio_set_status(d.dev, 0);
	fuzz_driver_destroy(&d);
	pci_machine_destroy(&m);
}
