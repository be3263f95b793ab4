/* devices/virtio/mmio.c: any access to its registers, around a card whose rings are used meanwhile. */
#include "guest-tests/fuzz/fuzz.h"

#include <string.h>

#include "devices/virtio/mmio.h"
#include "devices/virtio/rng.h"
#include "vmm/x86/memmap.h"

void fuzz_one(struct fuzz *f)
{
	static _Alignas(8) uint8_t page[MEMMAP_VIRTIO_MMIO_STRIDE];
	const bool given = f->left & 1; /* what the guest may read by itself */
	struct fuzz_driver d;
	const struct virtio_rng_options options = { .on = true };
	struct irqchip *irqchip;
	struct bus mmio;

	memset(page, 0, sizeof(page));
	bus_init(&mmio);
	fuzz_driver_init(&d, "rng0");
	fuzz_check(!irqchip_create(&irqchip, -1));
	fuzz_check(!fuzz_driver_create(&d, &virtio_rng_kind, &options));
	fuzz_check(!virtio_mmio_create(d.dev, MEMMAP_VIRTIO_MMIO_BASE, memmap_virtio_mmio_gsi(0),
				       given ? page : NULL, &mmio, irqchip));
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
