/* devices/virtio/blk.c and disk.c: requests good and bad, on a disk of 64 KiB. */
#include "guest-tests/fuzz/fuzz.h"

#include <linux/virtio_blk.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "devices/virtio/blk.h"

#define DISK_SIZE (64 * KIB)

static void request(struct fuzz_driver *d, struct fuzz *f)
{
	static const uint32_t types[] = {
		VIRTIO_BLK_T_IN,     VIRTIO_BLK_T_OUT,	   VIRTIO_BLK_T_FLUSH,
		VIRTIO_BLK_T_GET_ID, VIRTIO_BLK_T_DISCARD, VIRTIO_BLK_T_WRITE_ZEROES,
	};
	const unsigned int type = fuzz_below(f, ARRAY_SIZE(types) + 1);
	const unsigned int shape = fuzz_below(f, 256);
	struct {
		struct virtio_blk_outhdr header;
		struct virtio_blk_discard_write_zeroes segment;
	} r = { 0 };
	uint32_t head_len = sizeof(r.header), out_len = 0, in_len = 1;

	r.header.type = type < ARRAY_SIZE(types) ? types[type] : (uint32_t)fuzz_int(f, 4);
	r.header.sector = fuzz_int(f, shape & 1 ? 8 : 1);
	if (r.header.type == VIRTIO_BLK_T_IN)
		in_len += 512 * (shape >> 4) + (shape & 2);
	else if (r.header.type == VIRTIO_BLK_T_OUT)
		out_len = 512 * (shape >> 4) + (shape & 2);
	else if (r.header.type == VIRTIO_BLK_T_GET_ID)
		in_len += 20;
	else
		head_len += sizeof(r.segment) + (shape & 2);
	r.segment.sector = fuzz_int(f, 1);
	r.segment.num_sectors = (uint32_t)fuzz_int(f, shape & 4 ? 4 : 1);
	r.segment.flags = fuzz_below(f, 3);
	head_len = MIN(head_len, (uint32_t)sizeof(r));
	fuzz_driver_request(d, 0, &r, head_len, out_len, in_len);
}

/* It has its size; where nobody may write, it is as it was. */
static void check_disk(const uint8_t *before, bool readonly)
{
	uint8_t after[DISK_SIZE];
	struct stat st;

	fuzz_check(!fstat(fuzz_file_fd(0), &st) && st.st_size == DISK_SIZE);
	fuzz_check(pread(fuzz_file_fd(0), after, DISK_SIZE, 0) == (ssize_t)DISK_SIZE);
	fuzz_check(!readonly || !memcmp(before, after, DISK_SIZE));
}

void fuzz_one(struct fuzz *f)
{
	struct virtio_blk_options options = { .readonly = fuzz_below(f, 8) == 7 };
	uint8_t contents[DISK_SIZE] = { 0 };
	const uint8_t *start;
	struct fuzz_driver d;
	size_t len;

	options.raw = fuzz_below(f, 8) == 7;
	start = fuzz_bytes(f, fuzz_below(f, 128),
			   &len); /* what it looks like: an image in a format? */
	memcpy(contents, start, len);
	options.path = fuzz_file(0, contents, len, DISK_SIZE);
	fuzz_driver_init(&d, "disk0");
	if (fuzz_driver_create(&d, &virtio_blk_kind, &options))
		return;
	fuzz_driver_start(&d, f);
	while (f->left) {
		if (fuzz_below(f, 2))
			request(&d, f);
		else
			fuzz_driver_act(&d, f);
		fuzz_driver_settle(&d, 0);
	}
	fuzz_driver_destroy(&d);
	check_disk(contents, options.readonly);
}
