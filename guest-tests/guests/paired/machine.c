/*
 * Boot information (Linux: Documentation/arch/x86/boot.rst and zero-page.rst; PVH:
 * Xen's public/arch-x86/hvm/start_info.h), page tables, and memory for everything.
 */
#include "guest-tests/guests/paired/cpu.h"
#include "guest-tests/guests/paired/lib.h"
#include "guest-tests/guests/paired/machine.h"
#include "guest-tests/guests/paired/ring0.h"

#define PAGE_SIZE      4096ull
#define LARGE_PAGE     0x200000ull
#define GIB	       0x40000000ull
#define PTE_USER_RW    0x007ull
#define PTE_UNCACHED   0x018ull /* PWT and PCD */
#define PTE_LARGE      0x080ull
#define PTE_ADDRESS    0x000ffffffffff000ull
#define TABLES_AT_HAND 8

#define PVH_MAGIC 0x336ec578u

struct pvh_info {
	uint32_t magic, version, flags, module_count;
	uint64_t modules, cmdline, rsdp, memory_map;
	uint32_t memory_map_entries, reserved;
};

struct pvh_region {
	uint64_t start, size;
	uint32_t type, reserved;
};

/* struct boot_params, by offset. */
#define ZERO_PAGE_RSDP	       0x070
#define ZERO_PAGE_EXT_CMDLINE  0x0c8
#define ZERO_PAGE_E820_ENTRIES 0x1e8
#define ZERO_PAGE_CMDLINE      0x228
#define ZERO_PAGE_E820_TABLE   0x2d0
#define ZERO_PAGE_E820_MAX     128
#define ZERO_PAGE_E820_SIZEOF  20
#define ZERO_PAGE_SIZE	       4096

#define COPIES	   (256 * GIB) /* where each processor sees the first 2 MiB of all */
#define COPIES_MIN (2 * LARGE_PAGE)
#define COPIED	   0xe0000ull /* from there on: firmware's tables, the kernel, and what it has taken */

extern uint64_t page_root[512], page_pdpt[512], page_pd[512];
extern const char kernel_end[];

struct machine machine = { .cpus = 1 };

static uint64_t alloc_next, alloc_end;
/* Tables for the first gigabytes, so that mapping does not need memory before memory is known. */
static uint64_t tables_at_hand[TABLES_AT_HAND][512] __attribute__((aligned(4096)));
static unsigned tables_taken;

static uint64_t *new_table(void)
{
	if (tables_taken < TABLES_AT_HAND)
		return tables_at_hand[tables_taken++];
	uint64_t *table = machine_alloc(PAGE_SIZE);

	if (table != NULL)
		memset(table, 0, PAGE_SIZE);
	return table;
}

static void *map(uint64_t address, uint64_t size, uint64_t flags)
{
	uint64_t end;

	if (__builtin_add_overflow(address, size, &end) || end > 512 * GIB)
		return NULL;
	for (uint64_t at = address & ~(LARGE_PAGE - 1); at < end; at += LARGE_PAGE) {
		uint64_t *entry = &page_pdpt[at / GIB];
		uint64_t *table = (uint64_t *)(*entry & PTE_ADDRESS);

		if (*entry == 0) {
			table = new_table();
			if (table == NULL)
				return NULL;
			*entry = (uint64_t)table | PTE_USER_RW;
		}
		entry = &table[at % GIB / LARGE_PAGE];
		if (*entry == 0)
			*entry = at | PTE_LARGE | PTE_USER_RW | flags;
	}
	cpu_compiler_barrier();
	return (void *)address;
}

void *machine_map(uint64_t address, uint64_t size)
{
	return map(address, size, 0);
}

void *machine_map_registers(uint64_t address, uint64_t size)
{
	return map(address, size, PTE_UNCACHED);
}

void *machine_alloc(uint64_t size)
{
	uint64_t start = alloc_next;

	size = (size + PAGE_SIZE - 1) & ~(PAGE_SIZE - 1);
	if (size > alloc_end - start)
		return NULL;
	alloc_next = start + size;
	return machine_map(start, size);
}

uint64_t machine_available(void)
{
	return alloc_end - alloc_next;
}

uint64_t machine_page_tables(uint32_t cpu)
{
	const uint64_t *copies = (const uint64_t *)(page_pdpt[COPIES / GIB] & PTE_ADDRESS);

	return (copies[cpu] & PTE_ADDRESS) + (uint64_t)page_root;
}

void *machine_of(uint32_t cpu, const volatile void *variable)
{
	return (void *)(cpu == machine.cpu ? (uint64_t)variable
					   : COPIES + cpu * LARGE_PAGE + (uint64_t)variable);
}

/* Where our object is in the copy at base. */
static void *in_copy(uint64_t base, const void *object)
{
	return (void *)(base + (uint64_t)object);
}

static void make_copy(uint32_t cpu, uint64_t base, uint64_t size)
{
	uint64_t *root = in_copy(base, page_root), *pdpt = in_copy(base, page_pdpt);
	uint64_t *first = in_copy(base, page_pd);
	uint64_t end = alloc_next < LARGE_PAGE ? alloc_next : LARGE_PAGE;

	memcpy((void *)(base + COPIED), (void *)COPIED, end - COPIED);
	*(uint32_t *)in_copy(base, &machine.cpu) = cpu;
	*(uint64_t *)in_copy(base, &alloc_next) = base + LARGE_PAGE;
	*(uint64_t *)in_copy(base, &alloc_end) = base + size;
	root[0] += base;
	for (uint32_t i = 0; i < 512; i++)
		if (pdpt[i] != 0 && (pdpt[i] & PTE_ADDRESS) < LARGE_PAGE)
			pdpt[i] += base;
	first[0] = base | PTE_LARGE | PTE_USER_RW;
}

bool machine_divide(uint32_t count)
{
	uint64_t *copies = new_table(), top = alloc_end & ~(LARGE_PAGE - 1);
	uint64_t share = (alloc_end - alloc_next) / count & ~(LARGE_PAGE - 1);

	if (copies == NULL || share < COPIES_MIN ||
	    machine_map(top - (count - 1) * share, (count - 1) * share) == NULL)
		return false;
	for (uint32_t i = 0; i < count; i++)
		copies[i] = (i == 0 ? 0 : top - i * share) | PTE_LARGE | PTE_USER_RW;
	page_pdpt[COPIES / GIB] = (uint64_t)copies | PTE_USER_RW;
	machine.cpus = count;
	for (uint32_t i = 1; i < count; i++)
		make_copy(i, top - i * share, share);
	alloc_end = top - (count - 1) * share;
	return true;
}

static void add_region(uint64_t start, uint64_t size, uint32_t type)
{
	if (machine.region_count < MACHINE_REGIONS)
		machine.regions[machine.region_count++] =
			(struct machine_region){ start, size, type };
}

static void copy_cmdline(uint64_t address)
{
	if (address == 0)
		return;
	for (uint32_t i = 0; i < MACHINE_CMDLINE_MAX - 1; i++) {
		const char *from = machine_map(address + i, 1);

		if (from == NULL || *from == '\0')
			return;
		machine.cmdline[i] = *from;
	}
}

static bool read_pvh(uint64_t address)
{
	const struct pvh_info *info = machine_map(address, sizeof(*info));

	if (info == NULL || info->magic != PVH_MAGIC || info->version < 1)
		return false;
	const struct pvh_region *map =
		machine_map(info->memory_map, info->memory_map_entries * sizeof(struct pvh_region));

	if (map == NULL)
		return false;
	for (uint32_t i = 0; i < info->memory_map_entries; i++)
		add_region(map[i].start, map[i].size, map[i].type);
	machine.rsdp = info->rsdp;
	copy_cmdline(info->cmdline);
	return true;
}

static bool read_zero_page(uint64_t address)
{
	const uint8_t *page = machine_map(address, ZERO_PAGE_SIZE);

	if (page == NULL)
		return false;
	uint8_t entries = page[ZERO_PAGE_E820_ENTRIES];
	uint32_t cmdline, cmdline_high;

	if (entries > ZERO_PAGE_E820_MAX)
		entries = ZERO_PAGE_E820_MAX;
	for (uint32_t i = 0; i < entries; i++) {
		const uint8_t *entry = page + ZERO_PAGE_E820_TABLE + i * ZERO_PAGE_E820_SIZEOF;
		struct machine_region region;

		__builtin_memcpy(&region, entry, ZERO_PAGE_E820_SIZEOF);
		add_region(region.start, region.size, region.type);
	}
	__builtin_memcpy(&machine.rsdp, page + ZERO_PAGE_RSDP, 8);
	__builtin_memcpy(&cmdline, page + ZERO_PAGE_CMDLINE, 4);
	__builtin_memcpy(&cmdline_high, page + ZERO_PAGE_EXT_CMDLINE, 4);
	copy_cmdline((uint64_t)cmdline_high << 32 | cmdline);
	return true;
}

bool machine_read(uint32_t protocol, uint64_t info)
{
	if (!(protocol == BOOT_PVH ? read_pvh(info) : read_zero_page(info)))
		return false;
	for (uint32_t i = 0; i < machine.region_count; i++) {
		const struct machine_region *r = &machine.regions[i];
		uint64_t kernel = (uint64_t)kernel_end;

		if (r->type == MACHINE_RAM && r->start <= kernel && r->start + r->size > kernel) {
			alloc_next = kernel;
			alloc_end = r->start + r->size;
		}
	}
	return alloc_end != 0;
}
