/* Kernel and initrd files, read straight into guest memory. */
#ifndef BOOT_FILE_H
#define BOOT_FILE_H

#include <stdint.h>

#include "vmm/base/util.h"

struct boot_file {
	const char *what; /* "kernel" or "initrd", for messages */
	const char *path;
	uint64_t size; /* when it was opened */
	int fd;
};

/* Open a regular file that is not empty. -errno with a message. */
int must_check boot_file_open(struct boot_file *f, const char *what, const char *path);
void boot_file_close(struct boot_file *f);

/* Read exactly [offset, offset + len). -EIO where the file ends before, other -errno where the host
 * fails, with a message; @dst may then be partly written. */
int must_check boot_file_read(const struct boot_file *f, uint64_t offset, void *dst, uint64_t len);

/* Whether it begins as an ELF file: 1 or 0. -errno as boot_file_read(). */
int must_check boot_file_is_elf(const struct boot_file *f);

/* Say what is wrong with the file's contents; returns -ENOEXEC. */
int must_check boot_file_bad(const struct boot_file *f, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

#endif
