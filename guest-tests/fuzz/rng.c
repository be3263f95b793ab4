/* devices/virtio/rng.c, with the core and the queues below it. */
#include "guest-tests/fuzz/fuzz.h"

#include "devices/virtio/rng.h"

void fuzz_one(struct fuzz *f)
{
	struct fuzz_driver d;
	struct virtio_dev *dev;

	fuzz_driver_init(&d);
	fuzz_check(!virtio_rng_create(&dev, "rng0", &d.mem, NULL));
	fuzz_driver_attach(&d, dev, true);
	fuzz_driver_start(&d, f);
	while (f->left)
		fuzz_driver_act(&d, f);
	fuzz_check_memory(&d.mem);
	virtio_rng_destroy(dev);
}
