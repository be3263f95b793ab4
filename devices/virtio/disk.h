/*
 * The file behind a disk: a regular file or a block device, in sectors of 512 bytes.
 *
 * Reads and writes go through the host's page cache. Functions may be called from several threads at
 * once. Ranges are in bytes and lie within the disk, which the caller has checked; iovecs are used up
 * (changed). They return 0 or -errno; what the host refuses is told, too, now and then.
 */
#ifndef DEVICES_VIRTIO_DISK_H
#define DEVICES_VIRTIO_DISK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "vmm/base/util.h"

#define DISK_SECTOR 512u

struct disk {
	int fd;
	uint64_t size;	 /* bytes */
	uint32_t block;	 /* what a device takes as a whole, in bytes; of a file, a sector */
	uint64_t errors; /* of the host's file */
	const char *path;
	char name[16]; /* where there is no path */
};

/*
 * Open and lock (flock, and as QEMU does) @path, or take @fd where that is NULL: one writer or any number of readers. The lock is the
 * open file's: of an inherited one it outlives a process that is killed, not one that comes to disk_close(). -errno
 * with a message, also where it is neither file nor block device, is empty or not a multiple of 512 bytes long, is in
 * use, is not to be written to, or is an image in a format and @raw does not say to take it as it is.
 */
int must_check disk_open(struct disk *disk, const char *path, int fd, bool readonly, bool raw);
void disk_close(struct disk *disk);

/* Fill the whole iovec; -EIO where the file has become too short for that. */
int must_check disk_read(struct disk *disk, struct iovec *iov, unsigned int n, uint64_t offset);

/* Write the whole iovec. */
int must_check disk_write(struct disk *disk, struct iovec *iov, unsigned int n, uint64_t offset);

/* What was written is on stable storage. */
int must_check disk_flush(struct disk *disk);

/* Give storage back, of whole blocks. -EOPNOTSUPP where the file system or device cannot. */
int must_check disk_discard(struct disk *disk, uint64_t offset, uint64_t len);

/* The range reads as zeroes; @unmap: its storage may be given back. */
int must_check disk_write_zeroes(struct disk *disk, uint64_t offset, uint64_t len, bool unmap);

#endif
