/* How the boot vCPU of an x86 machine starts: what boot/x86/ finds out and vmm/x86/ puts in place. */
#ifndef VMM_X86_ENTRY_H
#define VMM_X86_ENTRY_H

#include <stdbool.h>
#include <stdint.h>

/* Registers not named here are 0, interrupts are off. */
struct boot_entry {
	bool long_mode; /* 64-bit with paging (cr3); else 32-bit protected mode without (PVH) */
	uint64_t rip, rsp, rsi, rbx;
	uint64_t cr3;	   /* identity map of the first 4 GiB, if long_mode */
	uint64_t gdt_base; /* 0x10: flat code, 0x18: flat data (of the mode), 0x20: TSS */
	uint16_t gdt_limit;
	const char *protocol; /* "linux64" or "pvh", for messages and accounts */
};

#endif
