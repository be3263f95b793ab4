/*
 * How a kernel gets in: memory and files in, entry registers out. The loader is chosen by magic.
 */
#ifndef BOOT_BOOT_H
#define BOOT_BOOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/base/guestmem.h"

struct boot_source {
	const char *kernel;    /* path: bzImage, or ELF vmlinux */
	const char *initrd;    /* path, or NULL */
	const void *initramfs; /* or, in its place, an archive in memory */
	size_t initramfs_len;
	const char *cmdline; /* "" for none */
	uint64_t rsdp;	     /* guest physical address of the ACPI root pointer */
};

struct boot_entry; /* how the boot vCPU starts: entry.h of the architecture */

/*
 * Load the kernel and its initrd, write command line, memory map and tables, and say where
 * to start. @mem is as guestmem_init() left it: zero. Files are checked, never trusted. -ENOEXEC for
 * what is no 64-bit kernel, -ENOMEM where the memory is too small for kernel or initrd, -E2BIG for a
 * command line that is too long, other -errno for files that cannot be read; always with a message.
 */
int must_check boot_load(const struct guestmem *mem, const struct boot_source *src,
			 struct boot_entry *entry);

/*
 * The release of the kernel image @path, as uname(2) has it. -ENOEXEC where it does not say; other -errno from
 * reading; with a message.
 */
int must_check boot_kernel_release(const char *path, char *release, size_t room);

/* The modules that every job's kernel needs, and what a network card takes besides; NULL at the end of each. */
extern const char *const boot_agent_modules[], *const boot_agent_net_modules[];

/*
 * Whether a kernel has the module @name, in the folder @dir with all that it depends on or built in, by having it ready
 * to be loaded. -errno with a message.
 */
int must_check boot_module_check(const char *dir, const char *name);

/*
 * An initramfs with the agent as its init and the file @job for it, and the modules that it needs, with those of a
 * network card if @net, from the folder @modules; NULL: the kernel has them built in. *@out is freed with the process.
 * -errno with a message.
 */
int must_check boot_agent_initramfs(const void **out, size_t *len, const char *modules, bool net,
				    const void *job, size_t job_len);

#endif
