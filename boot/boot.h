/*
 * How a kernel gets in: memory and files in, entry registers out. The loader is chosen by magic.
 */
#ifndef BOOT_BOOT_H
#define BOOT_BOOT_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/base/guestmem.h"

struct boot_source {
	const char *kernel;  /* path: bzImage, or ELF vmlinux */
	const char *initrd;  /* path, or NULL */
	const char *cmdline; /* "" for none */
	uint64_t rsdp;	     /* guest physical address of the ACPI root pointer */
};

/* How the boot vCPU starts; registers not named here are 0, interrupts are off. */
struct boot_entry {
	bool long_mode; /* 64-bit with paging (cr3); else 32-bit protected mode without (PVH) */
	uint64_t rip, rsp, rsi, rbx;
	uint64_t cr3;	   /* identity map of the first 4 GiB, if long_mode */
	uint64_t gdt_base; /* 0x10: flat code, 0x18: flat data (of the mode), 0x20: TSS */
	uint16_t gdt_limit;
	const char *protocol; /* "linux64" or "pvh", for messages and accounts */
};

/*
 * Load the kernel and its initrd, write command line, memory map (e820) and tables, and say where
 * to start. @mem is as guestmem_init() left it: zero. Files are checked, never trusted. -ENOEXEC for
 * what is no 64-bit kernel, -ENOMEM where the memory is too small for kernel or initrd, -E2BIG for a
 * command line that is too long, other -errno for files that cannot be read; always with a message.
 */
int must_check boot_load(const struct guestmem *mem, const struct boot_source *src,
			 struct boot_entry *entry);

#endif
