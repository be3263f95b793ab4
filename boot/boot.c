/* How a kernel gets in: choose the loader, place initrd and command line, set up the first CPU. */
#include <elf.h>
#include <errno.h>
#include <string.h>

#include "boot/boot.h"
#include "boot/kernel.h"
#include "boot/x86/params.h"
#include "vmm/base/log.h"
#include "vmm/x86/memmap.h"

#define PAGE 4096ull

/* Page table entry bits (Intel SDM volume 3, 4.5) */
#define PTE_PRESENT BIT_ULL(0)
#define PTE_WRITE   BIT_ULL(1)
#define PTE_LARGE   BIT_ULL(7)

int boot_no_room(const struct boot_file *f, const struct guestmem *mem, uint64_t at, uint64_t len)
{
	log_error(
		"kernel '%s' needs %llu KiB of RAM at %#llx, the guest has %llu KiB below 3 GiB (give it more memory)",
		f->path, (unsigned long long)(len / KIB + (len % KIB != 0)), (unsigned long long)at,
		(unsigned long long)(boot_low_ram(mem) / KIB));
	return -ENOMEM;
}

static int load_kernel(const char *path, const struct guestmem *mem, struct boot_kernel *kernel)
{
	unsigned char magic[SELFMAG] = { 0 };
	struct boot_file f;
	int ret;

	ret = boot_file_open(&f, "kernel", path);
	if (ret)
		return ret;
	ret = boot_file_read(&f, 0, magic, MIN(f.size, sizeof(magic)));
	if (!ret && memcmp(magic, ELFMAG, SELFMAG) == 0)
		ret = elf_load(&f, mem, kernel);
	else if (!ret)
		ret = bzimage_load(&f, mem, kernel);
	boot_file_close(&f);
	return ret;
}

/* As high as it may lie, so that the kernel has the memory behind itself to grow into. */
static int load_initrd(const char *path, const struct guestmem *mem,
		       const struct boot_kernel *kernel, struct boot_params_in *in)
{
	uint64_t limit = ALIGN_DOWN(MIN(kernel->initrd_limit, boot_low_ram(mem)), PAGE);
	uint64_t bottom = ALIGN_UP(kernel->end, PAGE);
	uint64_t room = limit > bottom ? limit - bottom : 0;
	struct boot_file f;
	void *to;
	int ret;

	ret = boot_file_open(&f, "initrd", path);
	if (ret)
		return ret;
	in->initrd_size = f.size;
	in->initrd = ALIGN_DOWN(limit - f.size, PAGE);
	to = f.size <= room ? guestmem_ptr(mem, in->initrd, f.size) : NULL;
	if (!to) {
		log_error(
			"initrd '%s' is too large for the memory: it has %llu KiB, the kernel leaves room for %llu KiB (give the guest more memory)",
			path, (unsigned long long)(ALIGN_UP(f.size, KIB) / KIB),
			(unsigned long long)(room / KIB));
		ret = -ENOMEM;
	} else {
		ret = boot_file_read(&f, 0, to, f.size);
	}
	boot_file_close(&f);
	return ret;
}

static int write_cmdline(const char *cmdline, const struct guestmem *mem,
			 const struct boot_kernel *kernel)
{
	size_t limit = MIN(kernel->cmdline_limit, (uint32_t)BOOT_CMDLINE_MAX - 1);
	size_t len = strlen(cmdline);

	if (len > limit) {
		log_error("the kernel's command line is too long: %zu bytes, this kernel takes %zu",
			  len, limit);
		return -E2BIG;
	}
	return guestmem_write(mem, BOOT_CMDLINE, cmdline, len + 1);
}

/* Map the first 4 GiB to themselves: one PML4, one PDPT, four directories of 2 MiB pages. */
static int write_page_tables(const struct guestmem *mem)
{
	const unsigned int entries = PAGE / sizeof(uint64_t);
	const uint64_t table = PTE_PRESENT | PTE_WRITE;
	uint64_t *pml4 = guestmem_ptr(mem, BOOT_PAGE_TABLES, 6 * PAGE);
	uint64_t *pdpt = pml4 + entries, *pd = pdpt + entries;

	if (!pml4)
		return -EFAULT;
	pml4[0] = (BOOT_PAGE_TABLES + PAGE) | table;
	for (unsigned int i = 0; i < 4; i++)
		pdpt[i] = (BOOT_PAGE_TABLES + (2 + i) * PAGE) | table;
	for (unsigned int i = 0; i < 4 * entries; i++)
		pd[i] = i * 2 * MIB | PTE_LARGE | table;
	return 0;
}

static int write_gdt(const struct guestmem *mem, struct boot_entry *entry)
{
	/* Flat and accessed; code is 64-bit or 32-bit. The TSS is busy, at 0 and of the least size,
	 * two entries long in long mode (Intel SDM volume 3, 3.4.5 and 8.2). */
	const uint64_t gdt[] = {
		0,
		0,
		entry->long_mode ? 0x00af9b000000ffffull : 0x00cf9b000000ffffull,
		0x00cf93000000ffffull,
		0x00008b0000000067ull,
		0,
	};

	entry->gdt_base = BOOT_GDT;
	entry->gdt_limit = sizeof(gdt) - 1;
	return guestmem_write(mem, BOOT_GDT, gdt, sizeof(gdt));
}

int boot_load(const struct guestmem *mem, const struct boot_source *src, struct boot_entry *entry)
{
	struct boot_params_in in = { .cmdline = BOOT_CMDLINE, .rsdp = src->rsdp };
	struct boot_kernel kernel = { 0 };
	int ret;

	ret = load_kernel(src->kernel, mem, &kernel);
	if (!ret && src->initrd)
		ret = load_initrd(src->initrd, mem, &kernel, &in);
	if (!ret)
		ret = write_cmdline(src->cmdline, mem, &kernel);
	if (ret)
		return ret;

	*entry = (struct boot_entry){ .rip = kernel.entry, .long_mode = !kernel.pvh };
	if (kernel.pvh) {
		entry->protocol = "pvh";
		entry->rbx = BOOT_PVH_INFO;
		ret = boot_write_start_info(mem, &in);
	} else {
		entry->protocol = "linux64";
		entry->rsi = BOOT_ZERO_PAGE;
		entry->rsp = BOOT_STACK;
		entry->cr3 = BOOT_PAGE_TABLES;
		ret = boot_write_zero_page(mem, &kernel.header, &in);
		if (!ret)
			ret = write_page_tables(mem);
	}
	if (!ret)
		ret = write_gdt(mem, entry);
	if (!ret)
		log_info("kernel '%s': %s entry at %#llx, initrd %llu KiB at %#llx", src->kernel,
			 entry->protocol, (unsigned long long)entry->rip,
			 (unsigned long long)(in.initrd_size / KIB), (unsigned long long)in.initrd);
	return ret;
}
