/* An initramfs made in memory. */
#include "boot/initramfs.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define HEADER_LEN 110u /* "070701" and 13 numbers of 8 hexadecimal digits */

void initramfs_init(struct initramfs *fs)
{
	*fs = (struct initramfs){ .next_ino = 1 };
}

/* Room for @len more bytes, zeroed, up to the next multiple of four. NULL after an error. */
static uint8_t *extend(struct initramfs *fs, size_t len)
{
	const size_t want = ALIGN_UP(fs->len + len, (size_t)4);
	uint8_t *at;

	if (fs->error)
		return NULL;
	if (want > fs->room) {
		const size_t room = MAX(want, 2 * fs->room);
		uint8_t *data = realloc(fs->data, room);

		if (!data) {
			fs->error = -ENOMEM;
			return NULL;
		}
		fs->data = data;
		fs->room = room;
	}
	at = fs->data + fs->len;
	memset(at, 0, want - fs->len);
	fs->len = want;
	return at;
}

static void add(struct initramfs *fs, const char *path, uint32_t mode, const void *data, size_t len,
		uint32_t major, uint32_t minor)
{
	const size_t name_len = strlen(path) + 1;
	const bool is_dir = S_ISDIR(mode);
	char header[HEADER_LEN + 1];
	uint8_t *at;

	if (len > UINT32_MAX)
		fs->error = -EFBIG;
	at = extend(fs, HEADER_LEN + name_len);
	if (!at)
		return;
	/* ino mode uid gid nlink mtime size devmajor devminor rdevmajor rdevminor namesize check */
	snprintf(header, sizeof(header),
		 "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x", fs->next_ino++, mode,
		 0, 0, is_dir ? 2 : 1, 0, (uint32_t)len, 0, 0, major, minor, (uint32_t)name_len, 0);
	memcpy(at, header, HEADER_LEN);
	memcpy(at + HEADER_LEN, path, name_len);
	at = extend(fs, len);
	if (at && len)
		memcpy(at, data, len);
}

void initramfs_dir(struct initramfs *fs, const char *path)
{
	add(fs, path, S_IFDIR | 0755, NULL, 0, 0, 0);
}

void initramfs_file(struct initramfs *fs, const char *path, uint32_t mode, const void *data,
		    size_t len)
{
	add(fs, path, S_IFREG | mode, data, len, 0, 0);
}

void initramfs_device(struct initramfs *fs, const char *path, uint32_t major, uint32_t minor)
{
	add(fs, path, S_IFCHR | 0600, NULL, 0, major, minor);
}

int initramfs_finish(struct initramfs *fs)
{
	add(fs, "TRAILER!!!", 0, NULL, 0, 0, 0);
	return fs->error;
}

void initramfs_destroy(struct initramfs *fs)
{
	free(fs->data);
	initramfs_init(fs);
}
