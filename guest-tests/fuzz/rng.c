/* devices/virtio/rng.c, with the core and the queues below it. */
#include "guest-tests/fuzz/fuzz.h"

#include "devices/virtio/rng.h"

void fuzz_one(struct fuzz *f)
{
	const struct virtio_rng_options options = { .on = true };
	struct fuzz_driver d;

	fuzz_driver_init(&d, "rng0");
	fuzz_check(!fuzz_driver_create(&d, &virtio_rng_kind, &options));
	fuzz_driver_start(&d, f);
	while (f->left)
		fuzz_driver_act(&d, f);
	fuzz_driver_destroy(&d);
}
