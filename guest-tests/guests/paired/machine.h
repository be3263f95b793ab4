/*
 * What the boot loader has told about the machine, and how the kernel reaches its
 * memory.
 */
#ifndef MACHINE_H
#define MACHINE_H

#include <stdbool.h>
#include <stdint.h>

#define MACHINE_REGIONS	    64
#define MACHINE_CMDLINE_MAX 2048
#define MACHINE_RAM	    1 /* E820 type of usable memory; PVH uses the same numbers */

struct machine_region {
	uint64_t start, size;
	uint32_t type;
};

struct machine {
	struct machine_region regions[MACHINE_REGIONS];
	uint32_t region_count;
	uint64_t rsdp; /* 0 where the boot loader does not say */
	char cmdline[MACHINE_CMDLINE_MAX];
	uint32_t cpu, cpus; /* which processor this is, from 0, of so many that have a kernel */
};

extern struct machine machine;

/*
 * Copies what the boot loader passed (protocol: BOOT_ of ring0.h) into machine. False if it makes
 * no sense.
 */
bool machine_read(uint32_t protocol, uint64_t info);

/*
 * Makes [address, address + size) readable and writable at its physical address, uncached for
 * device registers, and returns it as a pointer. NULL only above the 512 GiB that the page tables
 * span, or with no page left for a table.
 */
void *machine_map(uint64_t address, uint64_t size);
void *machine_map_registers(uint64_t address, uint64_t size);

/*
 * Hands out memory behind the kernel, mapped and never given back; page aligned, contents
 * undefined. NULL if it ran out.
 */
void *machine_alloc(uint64_t size);
/* How much machine_alloc() can still hand out. */
uint64_t machine_available(void);

/*
 * Divides what machine_alloc() can still hand out among count processors, and puts a copy of the kernel as it is into the
 * part of each but the first, with page tables that lead there from where the kernel is; all else they have in common.
 * False where memory is too small.
 */
bool machine_divide(uint32_t count);
/* What processor cpu has in place of our variable. */
void *machine_of(uint32_t cpu, const volatile void *variable);
/* The page tables of its copy. */
uint64_t machine_page_tables(uint32_t cpu);

#endif
