/*
 * An initramfs made in memory: a cpio archive ("newc", Documentation/driver-api/early-userspace/buffer-format.rst of
 * Linux) that the kernel unpacks before it starts /init.
 *
 * Additions that fail are remembered: one look at the end, by initramfs_finish(), is enough.
 */
#ifndef BOOT_INITRAMFS_H
#define BOOT_INITRAMFS_H

#include <stddef.h>
#include <stdint.h>

#include "vmm/base/util.h"

struct initramfs {
	uint8_t *data;
	size_t len, room;
	uint32_t next_ino;
	int error;
};

void initramfs_init(struct initramfs *fs);

/* A directory, or a file with its contents. @path without a leading '/'; parents first. */
void initramfs_dir(struct initramfs *fs, const char *path);
void initramfs_file(struct initramfs *fs, const char *path, uint32_t mode, const void *data,
		    size_t len);

/* A character device. */
void initramfs_device(struct initramfs *fs, const char *path, uint32_t major, uint32_t minor);

/* The end: 0 with data and len for the kernel, or -ENOMEM, -EFBIG (a file of 4 GiB or more). */
int must_check initramfs_finish(struct initramfs *fs);

void initramfs_destroy(struct initramfs *fs);

#endif
