/* devices/virtio/mmio.c: any access to its registers, around a card whose rings are used meanwhile. */
#include "guest-tests/fuzz/fuzz.h"

#include "devices/virtio/mmio.h"
#include "devices/virtio/rng.h"
#include "vmm/x86/memmap.h"

void fuzz_one(struct fuzz *f)
{
	struct fuzz_driver d;
	const struct virtio_rng_options options = { .on = true };
	struct irqchip *irqchip;
	struct bus mmio;

	bus_init(&mmio);
	fuzz_driver_init(&d, "rng0");
	fuzz_check(!irqchip_create(&irqchip, -1));
	fuzz_check(!fuzz_driver_create(&d, &virtio_rng_kind, &options));
	fuzz_check(!virtio_mmio_create(d.dev, MEMMAP_VIRTIO_MMIO_BASE, memmap_virtio_mmio_gsi(0),
				       NULL, &mmio, irqchip));
	while (f->left) {
		if (fuzz_below(f, 2))
			fuzz_access(f, &mmio, MEMMAP_VIRTIO_MMIO_BASE, MEMMAP_VIRTIO_MMIO_STRIDE);
		else
			fuzz_driver_act(&d, f);
	}
	virtio_set_status(d.dev, 0);
	fuzz_driver_destroy(&d);
	irqchip_destroy(irqchip);
	fuzz_check(!mmio.nr_ranges && !mmio.nr_doorbells);
	bus_destroy(&mmio);
}
