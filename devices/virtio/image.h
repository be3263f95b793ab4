/*
 * What a disk's file is besides a row of sectors: an image in another format or packed, a device that takes no
 * writes, something that the host has in use.
 *
 * A guest that was given such an image as a raw disk sees its headers as data and overwrites them. Only
 * formats are known here whose mark no raw disk has at that place; LUKS, file systems, tar archives and
 * partition tables are what raw disks hold. The mark is looked for at every start, so a guest that
 * writes one to its disk has shut itself out until 'raw' is said, and nothing else.
 */
#ifndef DEVICES_VIRTIO_IMAGE_H
#define DEVICES_VIRTIO_IMAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/base/util.h"

/* Refuse the open file @fd of @size bytes where it is an image in a format: -EINVAL with a message. */
int must_check image_check_raw(int fd, const char *path, uint64_t size);

/* Refuse what would open for writing and then fail each write: -EROFS with a message. */
int must_check image_check_writable(int fd, const char *path);

/* Warn, with one line, where the host has @fd mounted, in use or behind a loop device. */
void image_warn_in_use(int fd, const char *path, bool readonly);

#endif
