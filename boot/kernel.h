/* The loaders, and what they find out about a kernel; inside boot/ only. */
#ifndef BOOT_KERNEL_H
#define BOOT_KERNEL_H

#include <asm/bootparam.h>
#include <stdbool.h>
#include <stdint.h>

#include "boot/file.h"
#include "vmm/base/guestmem.h"

struct boot_kernel {
	bool pvh;		/* enter by PVH, else by the 64-bit Linux protocol */
	uint64_t entry;		/* physical address */
	uint64_t end;		/* RAM from 1 MiB to here is the kernel's until it knows its map */
	uint64_t initrd_limit;	/* the initrd lies below */
	uint32_t cmdline_limit; /* bytes, the terminating 0 not counted */
	struct setup_header header; /* for the zero page; unused with PVH */
};

/*
 * Check @f and load it below the hole of @mem, at 1 MiB or above; RAM must be as guestmem_init()
 * left it: zero. -ENOEXEC for a file that is no usable kernel, -ENOMEM where the guest's memory is
 * too small for it, other -errno from reading; always with a message.
 */
int must_check bzimage_load(const struct boot_file *f, const struct guestmem *mem,
			    struct boot_kernel *kernel);
int must_check elf_load(const struct boot_file *f, const struct guestmem *mem,
			struct boot_kernel *kernel);

/* Say that @len bytes at @at are not all RAM below the hole; returns -ENOMEM. */
int must_check boot_no_room(const struct boot_file *f, const struct guestmem *mem, uint64_t at,
			    uint64_t len);

/* RAM below the hole, in bytes: where everything that belongs to booting is put. */
static inline uint64_t boot_low_ram(const struct guestmem *mem)
{
	return mem->region[0].len;
}

#endif
