/* How an x86 kernel starts: command line, page tables and descriptors, and the first CPU's registers. */
#include <elf.h>
#include <errno.h>
#include <string.h>

#include "boot/kernel.h"
#include "boot/x86/params.h"
#include "vmm/base/log.h"
#include "vmm/x86/entry.h"
#include "vmm/x86/memmap.h"

#define PAGE 4096ull

/* Page table entry bits (Intel SDM volume 3, 4.5) */
#define PTE_PRESENT BIT_ULL(0)
#define PTE_WRITE   BIT_ULL(1)
#define PTE_LARGE   BIT_ULL(7)

const struct boot_arch boot_arch = { "x86-64", EM_X86_64, BOOT_HIGH_MEMORY, MEMMAP_HOLE_START };

static int write_cmdline(const char *cmdline, const struct guestmem *mem,
			 const struct boot_kernel *kernel)
{
	size_t limit = MIN(kernel->cmdline_limit, (uint32_t)BOOT_CMDLINE_MAX - 1);
	size_t len = strlen(cmdline);

	if (len > limit)
		return log_fail(
			-E2BIG,
			"the kernel's command line is too long: %zu bytes, this kernel takes %zu",
			len, limit);
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

/*
 * Linux that finds no better way to reset (hardware-reduced ACPI without EFI, "reboot=bios") starts the BIOS again in
 * real mode, at F000:FFF0. Here it finds an instruction that resets: mov dx, PORT_RESET; mov al, RESET_VALUE;
 * out dx, al; hlt; jmp back to it.
 */
static int write_reset_code(const struct guestmem *mem)
{
	static const uint8_t code[] = {
		0xba, PORT_RESET & 0xff, PORT_RESET >> 8, 0xb0, RESET_VALUE, 0xee, 0xf4, 0xeb, 0xfd
	};
	static const uint16_t none = BOOT_WARM_NONE;
	int ret = guestmem_write(mem, BOOT_WARM_WORD, &none, sizeof(none));

	return ret ? ret : guestmem_write(mem, BOOT_RESET_CODE, code, sizeof(code));
}

int boot_start(const struct guestmem *mem, const struct boot_kernel *kernel,
	       const struct boot_params_in *in, struct boot_entry *entry)
{
	int ret = write_cmdline(in->cmdline, mem, kernel);

	if (ret)
		return ret;
	*entry = (struct boot_entry){ .rip = kernel->entry, .long_mode = !kernel->pvh };
	if (kernel->pvh) {
		entry->protocol = "pvh";
		entry->rbx = BOOT_PVH_INFO;
		ret = boot_write_start_info(mem, in);
	} else {
		entry->protocol = "linux64";
		entry->rsi = BOOT_ZERO_PAGE;
		entry->rsp = BOOT_STACK;
		entry->cr3 = BOOT_PAGE_TABLES;
		ret = boot_write_zero_page(mem, &kernel->header, in) ?: write_page_tables(mem);
	}
	return ret ?: write_gdt(mem, entry) ?: write_reset_code(mem);
}
