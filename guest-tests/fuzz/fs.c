/* devices/virtio/fs.c: the queues of a shared directory; what requests ask for is fuse.c's. */
#include "guest-tests/fuzz/fuzz.h"

#include <linux/fuse.h>

#include "devices/virtio/fs.h"

static void request(struct fuzz_driver *d, struct fuzz *f, unsigned int q)
{
	struct {
		struct fuse_in_header h;
		uint8_t arg[64];
	} r = { .h = { .opcode = (uint32_t)fuzz_int(f, 1), .nodeid = FUSE_ROOT_ID } };
	const uint32_t len = sizeof(r.h) + fuzz_below(f, sizeof(r.arg) + 1);

	r.h.len = len;
	for (unsigned int i = 0; i < len - sizeof(r.h); i++)
		r.arg[i] = (uint8_t)fuzz_int(f, 1);
	fuzz_driver_request(d, q, &r, len, (uint32_t)fuzz_int(f, 1), (uint32_t)fuzz_int(f, 2));
}

void fuzz_one(struct fuzz *f)
{
	const struct virtio_fs_options options = {
		.dir = fuzz_share(),
		.readonly = fuzz_below(f, 4) == 3,
	};
	struct fuzz_driver d;

	fuzz_driver_init(&d, "fs0");
	fuzz_check(!fuzz_driver_create(&d, &virtio_fs_kind, &options));
	fuzz_driver_start(&d, f);
	while (f->left) {
		if (fuzz_below(f, 2))
			request(&d, f, fuzz_below(f, 2));
		else
			fuzz_driver_act(&d, f);
		for (unsigned int q = 0; q < d.dev->nr_vqs; q++)
			fuzz_driver_settle(&d, q);
	}
	fuzz_driver_destroy(&d);
	fuzz_share_remove();
}
