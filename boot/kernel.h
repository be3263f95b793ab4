/* The loaders, what they find out about a kernel, and the architecture's part in it; inside boot/ only. */
#ifndef BOOT_KERNEL_H
#define BOOT_KERNEL_H

#include <asm/bootparam.h>
#include <stdbool.h>
#include <stdint.h>

#include "boot/file.h"
#include "vmm/base/guestmem.h"

struct boot_entry;

struct boot_kernel {
	bool pvh;		/* enter by PVH, else by the 64-bit Linux protocol */
	uint64_t entry;		/* physical address */
	uint64_t end;		/* RAM from 1 MiB to here is the kernel's until it knows its map */
	uint64_t initrd_limit;	/* the initrd lies below */
	uint32_t cmdline_limit; /* bytes, the terminating 0 not counted */
	struct setup_header header; /* for the zero page; unused with PVH */
};

/* What the kernel is told; guest physical addresses and bytes. */
struct boot_params_in {
	const char *cmdline;
	uint64_t initrd;
	uint64_t initrd_size; /* 0: none */
	uint64_t rsdp;
};

/*
 * Check @f and load it below the hole of @mem, at boot_arch.bottom or above; RAM must be as guestmem_init()
 * left it: zero. -ENOEXEC for a file that is no usable kernel, -ENOMEM where the guest's memory is
 * too small for it, other -errno from reading; always with a message.
 */
int must_check bzimage_load(const struct boot_file *f, const struct guestmem *mem,
			    struct boot_kernel *kernel);
int must_check elf_load(const struct boot_file *f, const struct guestmem *mem,
			struct boot_kernel *kernel);

/* Say that @len bytes at @at are not all RAM below the hole, and whether they could be; returns -ENOMEM. */
int must_check boot_no_room(const struct boot_file *f, const struct guestmem *mem, uint64_t at,
			    uint64_t len);

/* RAM below the hole, in bytes: where everything that belongs to booting is put. */
static inline uint64_t boot_low_ram(const struct guestmem *mem)
{
	return mem->region[0].len;
}

/* ---- the architecture's part: boot/x86/ ---- */

extern const struct boot_arch {
	const char *name;
	uint16_t elf_machine;
	uint64_t bottom;      /* kernels lie here or above */
	uint64_t low_ram_max; /* where the hole begins */
} boot_arch;

/* Look among the notes of an ELF segment, which lies in the file, for an entry point of the
 * architecture's: 1 with kernel->entry set, 0 without one, or -errno with a message. */
int must_check boot_elf_notes(const struct boot_file *f, uint64_t offset, uint64_t len,
			      uint64_t align, struct boot_kernel *kernel);

/* What an ELF kernel does not say of itself and the zero page needs. */
void boot_elf_defaults(struct boot_kernel *kernel);

/* Write command line, memory map and tables, and say where to start. -E2BIG for a command line that
 * is too long, with a message. */
int must_check boot_start(const struct guestmem *mem, const struct boot_kernel *kernel,
			  const struct boot_params_in *in, struct boot_entry *entry);

#endif
