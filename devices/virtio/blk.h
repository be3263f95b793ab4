/*
 * virtio-blk (virtio 1.2, 5.2): a raw file or block device as a disk.
 *
 * Requests run in parallel on a few worker threads, with preadv2/pwritev2 straight from and to guest
 * memory. An error of the file (disk full, truncated under us, gone) is an I/O error in the guest and
 * counted. The disk has a write-back cache that FLUSH empties, the host's page cache; a driver that
 * does not accept FLUSH gets write-through.
 *
 * A disk is locked (flock): one writer, or any number of readers. A reset waits for the requests in
 * flight. Write errors need SIGXFSZ ignored (main does), where a file size limit is set.
 */
#ifndef DEVICES_VIRTIO_BLK_H
#define DEVICES_VIRTIO_BLK_H

#include "devices/virtio/core.h"

struct virtio_blk_options {
	const char *path; /* or NULL: ... */
	int fd;		  /* ... the same, open */
	bool readonly;
	bool raw; /* even where it looks like an image in a format */
	struct virtio_options virtio;
};

/*
 * --disk. Its file is opened when the device is created: -errno with a message also where it is neither regular nor a
 * block device, is empty or not a multiple of 512 bytes long, or is in use.
 */
extern const struct device_kind virtio_blk_kind;

/* Added under the name of the device. */
struct virtio_blk_counters {
	uint64_t reads, writes, flushes, discards, write_zeroes, get_ids; /* good ones */
	uint64_t read_bytes, written_bytes;
	uint64_t errors;      /* answered with VIRTIO_BLK_S_IOERR */
	uint64_t unsupported; /* answered with VIRTIO_BLK_S_UNSUPP */
};

#endif
