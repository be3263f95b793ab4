/* What a kernel is told: the memory map, and Linux's zero page or PVH's start info. */

#include "boot/x86/params.h"
#include "vmm/x86/memmap.h"

#define MEMORY_MAP_MAX	 5
#define LOADER_UNDEFINED 0xff /* type_of_loader: no identifier is registered for us */

enum { MEMORY_RAM = 1, MEMORY_RESERVED = 2 }; /* of e820, and the same of PVH */

/* Xen, xen/include/public/arch-x86/hvm/start_info.h */
#define START_INFO_MAGIC   0x336ec578u
#define START_INFO_VERSION 1

struct hvm_start_info {
	uint32_t magic;
	uint32_t version;
	uint32_t flags;
	uint32_t nr_modules;
	uint64_t modlist_paddr;
	uint64_t cmdline_paddr;
	uint64_t rsdp_paddr;
	uint64_t memmap_paddr;
	uint32_t memmap_entries;
	uint32_t reserved;
};

struct hvm_modlist_entry {
	uint64_t paddr;
	uint64_t size;
	uint64_t cmdline_paddr;
	uint64_t reserved;
};

struct hvm_memmap_table_entry {
	uint64_t addr;
	uint64_t size;
	uint32_t type;
	uint32_t reserved;
};

struct start_info_page {
	struct hvm_start_info info;
	struct hvm_modlist_entry module;
	struct hvm_memmap_table_entry memmap[MEMORY_MAP_MAX];
};
_Static_assert(sizeof(struct hvm_start_info) == 56, "layout of version 1");
_Static_assert(BOOT_PVH_INFO + sizeof(struct start_info_page) <= BOOT_ZERO_PAGE, "they overlap");
_Static_assert(sizeof(struct boot_params) == 4096, "the zero page is a page");

static unsigned int memory_map(const struct guestmem *mem, struct boot_e820_entry *map)
{
	unsigned int n = 0;

	map[n++] = (struct boot_e820_entry){ 0, BOOT_LOW_END, MEMORY_RAM };
	/* The ACPI tables are in here. */
	map[n++] = (struct boot_e820_entry){ BOOT_LOW_END, BOOT_HIGH_MEMORY - BOOT_LOW_END,
					     MEMORY_RESERVED };
	map[n++] = (struct boot_e820_entry){ BOOT_HIGH_MEMORY, boot_low_ram(mem) - BOOT_HIGH_MEMORY,
					     MEMORY_RAM };
	/* Linux distrusts an ECAM window that the firmware does not reserve. */
	map[n++] = (struct boot_e820_entry){ MEMMAP_ECAM_BASE, MEMMAP_ECAM_SIZE, MEMORY_RESERVED };
	if (mem->nr_regions > 1)
		map[n++] = (struct boot_e820_entry){ mem->region[1].gpa, mem->region[1].len,
						     MEMORY_RAM };
	return n;
}

int boot_write_zero_page(const struct guestmem *mem, const struct setup_header *header,
			 const struct boot_params_in *in)
{
	struct boot_params bp = { .hdr = *header };

	bp.hdr.type_of_loader = LOADER_UNDEFINED;
	bp.hdr.cmd_line_ptr = (uint32_t)BOOT_CMDLINE;
	bp.hdr.ramdisk_image = (uint32_t)in->initrd;
	bp.hdr.ramdisk_size = (uint32_t)in->initrd_size;
	bp.hdr.setup_data = 0; /* a list that only a boot loader may start */
	bp.acpi_rsdp_addr = in->rsdp;
	bp.e820_entries = (uint8_t)memory_map(mem, bp.e820_table);
	return guestmem_write(mem, BOOT_ZERO_PAGE, &bp, sizeof(bp));
}

int boot_write_start_info(const struct guestmem *mem, const struct boot_params_in *in)
{
	struct boot_e820_entry map[MEMORY_MAP_MAX];
	struct start_info_page page = {
		.info = {
			.magic = START_INFO_MAGIC,
			.version = START_INFO_VERSION,
			.nr_modules = in->initrd_size ? 1 : 0,
			.modlist_paddr = BOOT_PVH_INFO + offsetof(struct start_info_page, module),
			.cmdline_paddr = BOOT_CMDLINE,
			.rsdp_paddr = in->rsdp,
			.memmap_paddr = BOOT_PVH_INFO + offsetof(struct start_info_page, memmap),
			.memmap_entries = memory_map(mem, map),
		},
		.module = { .paddr = in->initrd, .size = in->initrd_size },
	};

	for (unsigned int i = 0; i < page.info.memmap_entries; i++) {
		page.memmap[i].addr = map[i].addr;
		page.memmap[i].size = map[i].size;
		page.memmap[i].type = map[i].type;
	}
	return guestmem_write(mem, BOOT_PVH_INFO, &page, sizeof(page));
}
