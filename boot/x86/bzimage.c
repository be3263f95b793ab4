/*
 * bzImage by the 64-bit boot protocol (Linux, Documentation/arch/x86/boot.rst).
 *
 *   file:  boot sector + setup code, (setup_sects + 1) * 512 bytes, never run here
 *          protected-mode code, syssize * 16 bytes, copied to guest memory; entry at its byte 0x200
 *          anything (signatures), ignored
 */
#include <string.h>

#include "boot/kernel.h"
#include "vmm/x86/memmap.h"

#define SETUP_HEADER	   0x1f1u /* offset in the file */
#define SETUP_SECTS_OF_OLD 4	  /* what setup_sects 0 stands for */
#define SECTOR		   512ull
#define PARAGRAPH	   16ull /* the unit of syssize */
#define BOOT_FLAG	   0xaa55
#define HDRS		   0x53726448u /* "HdrS" */
#define VERSION_XLOADFLAGS 0x020c      /* 2.12: the first that tells 64-bit kernels */
#define ENTRY_64	   0x200u      /* in the protected-mode code */

/* Read the setup header; bytes behind its own end, as its jump instruction tells it, become 0. */
static int read_header(const struct boot_file *f, struct setup_header *h)
{
	size_t len;
	int ret;

	if (f->size < SETUP_HEADER + sizeof(*h))
		return boot_file_bad(f, "neither a bzImage nor an ELF kernel");
	ret = boot_file_read(f, SETUP_HEADER, h, sizeof(*h));
	if (ret)
		return ret;
	if (h->boot_flag != BOOT_FLAG || h->header != HDRS)
		return boot_file_bad(f, "neither a bzImage nor an ELF kernel");
	if (h->version < VERSION_XLOADFLAGS)
		return boot_file_bad(f, "boot protocol %u.%02u is older than 2.12 (Linux 3.8)",
				     h->version >> 8, h->version & 0xffu);

	len = offsetof(struct setup_header, header) + (h->jump >> 8);
	if (len < offsetof(struct setup_header, handover_offset))
		return boot_file_bad(f, "its setup header ends before init_size");
	if (len < sizeof(*h))
		memset((uint8_t *)h + len, 0, sizeof(*h) - len);
	return 0;
}

static int check_header(const struct boot_file *f, const struct setup_header *h, uint64_t setup_len,
			uint64_t code_len)
{
	if (!(h->loadflags & LOADED_HIGH))
		return boot_file_bad(f, "it is a zImage; a bzImage is needed");
	if (!(h->xloadflags & XLF_KERNEL_64))
		return boot_file_bad(f, "it is a 32-bit kernel; a 64-bit one is needed");
	if (code_len <= ENTRY_64)
		return boot_file_bad(f, "%llu bytes of code have no 64-bit entry",
				     (unsigned long long)code_len);
	if (f->size < setup_len || f->size - setup_len < code_len)
		return boot_file_bad(f, "truncated: %llu bytes, the header asks for %llu",
				     (unsigned long long)f->size,
				     (unsigned long long)(setup_len + code_len));
	if ((uint64_t)h->payload_offset + h->payload_length > code_len)
		return boot_file_bad(f, "its payload reaches past the end of its code");
	if (h->relocatable_kernel && !IS_POWER_OF_2(h->kernel_alignment))
		return boot_file_bad(f, "kernel_alignment %#x is not a power of two",
				     h->kernel_alignment);
	if (!h->relocatable_kernel && h->pref_address < BOOT_HIGH_MEMORY)
		return boot_file_bad(f, "not relocatable, and pref_address %#llx is below 1 MiB",
				     (unsigned long long)h->pref_address);
	return 0;
}

int bzimage_load(const struct boot_file *f, const struct guestmem *mem, struct boot_kernel *kernel)
{
	struct setup_header *h = &kernel->header;
	uint64_t low = boot_low_ram(mem);
	uint64_t setup_len, code_len, load, run, need;
	void *code;
	int ret;

	ret = read_header(f, h);
	if (ret)
		return ret;
	setup_len = ((h->setup_sects ? h->setup_sects : SETUP_SECTS_OF_OLD) + 1) * SECTOR;
	code_len = h->syssize * PARAGRAPH;
	/* Some builders round syssize up and write no padding; the RAM is zero where it would be. */
	if (f->size > setup_len && f->size - setup_len < code_len &&
	    code_len - (f->size - setup_len) < PARAGRAPH)
		code_len = f->size - setup_len;
	ret = check_header(f, h, setup_len, code_len);
	if (ret)
		return ret;

	/*
	 * The kernel unpacks itself into init_size bytes from where it runs: from its load address,
	 * but never below pref_address. One that cannot be relocated is loaded at 1 MiB and moves
	 * itself to pref_address.
	 */
	need = MAX((uint64_t)h->init_size, code_len);
	load = BOOT_HIGH_MEMORY;
	run = MAX(h->pref_address, BOOT_HIGH_MEMORY);
	if (run < low && h->relocatable_kernel) {
		run = ALIGN_UP(run, (uint64_t)h->kernel_alignment);
		load = run;
	}
	code = guestmem_ptr(mem, load, code_len);
	if (run >= low || low - run < need || !code)
		return boot_no_room(f, mem, run, need);
	ret = boot_file_read(f, setup_len, code, code_len);
	if (ret)
		return ret;

	kernel->pvh = false;
	kernel->entry = load + ENTRY_64;
	kernel->end = MAX(run + need, load + code_len);
	kernel->initrd_limit = h->initrd_addr_max + 1ull;
	kernel->cmdline_limit = h->cmdline_size;
	return 0;
}
