/* devices/virtio/mmio.c: any access to its registers, around a card whose rings are used meanwhile. */
#include "guest-tests/fuzz/fuzz.h"

#include "devices/virtio/mmio.h"
#include "devices/virtio/rng.h"
#include "vmm/x86/memmap.h"

void fuzz_one(struct fuzz *f)
{
	struct fuzz_driver d;
	struct virtio_mmio *transport;
	struct irqchip *irqchip;
	struct virtio_dev *dev;
	struct bus mmio;

	bus_init(&mmio);
	fuzz_driver_init(&d);
	fuzz_check(!irqchip_create(&irqchip, -1));
	fuzz_check(!virtio_rng_create(&dev, "rng0", &d.mem, NULL));
	fuzz_check(!virtio_mmio_create(&transport, dev, MEMMAP_VIRTIO_MMIO_BASE,
				       memmap_virtio_mmio_gsi(0), &mmio, irqchip));
	fuzz_driver_attach(&d, dev, false);
	while (f->left) {
		if (fuzz_below(f, 2))
			fuzz_access(f, &mmio, MEMMAP_VIRTIO_MMIO_BASE, MEMMAP_VIRTIO_MMIO_STRIDE);
		else
			fuzz_driver_act(&d, f);
	}
	fuzz_check_memory(&d.mem);
	virtio_set_status(dev, 0);
	virtio_mmio_destroy(transport);
	virtio_rng_destroy(dev);
	irqchip_destroy(irqchip);
	fuzz_check(!mmio.nr_ranges && !mmio.nr_doorbells);
	bus_destroy(&mmio);
}
