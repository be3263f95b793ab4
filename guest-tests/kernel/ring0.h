/*
 * ring0.h - what the two rings agree on: selectors, vectors, the services that ring 3 asks of ring 0.
 * Included by assembly and C.
 *
 * The kernel proper runs in ring 3 with I/O privilege level 3 and interrupts off; it owns the page tables, the
 * descriptor tables and every device register, all mapped for it. Ring 0 is entered only by a fault, by INT
 * RING0_GATE and, while ring 3 sleeps in RING0_IDLE, by an interrupt. So an interrupt never meets running C code.
 */
#ifndef RING0_H
#define RING0_H

/* Which structure the boot loader has passed. */
#define BOOT_LINUX 0 /* struct boot_params */
#define BOOT_PVH   1 /* struct hvm_start_info */

#define SEL_CODE32 0x08
#define SEL_CODE0  0x10
#define SEL_DATA0  0x18
#define SEL_DATA3  0x23
#define SEL_CODE3  0x2b
#define SEL_TSS	   0x30

#define CR0_PE	      0x1
#define CR0_MP	      0x2
#define CR0_ET	      0x10
#define CR0_NE	      0x20
#define CR0_PG	      0x80000000
#define CR4_PAE	      0x20
#define MSR_EFER      0xc0000080
#define EFER_LME      0x100
#define RFLAGS_RING3  0x3002 /* IOPL 3, interrupts off */

#define VECTOR_FAULTS	32 /* 0..31 are the processor's */
#define VECTOR_TIMER	0x40
#define VECTOR_DEVICE	0x41
#define VECTOR_SPURIOUS 0x4f
#define RING0_GATE	0x80

/* Services of INT RING0_GATE, by EAX. They keep all registers but RAX, RCX and RDX. */
#define RING0_IDLE   0 /* write ESI to the 32-bit register at RDI unless RDI is 0, sleep until an interrupt */
#define RING0_WRITE  1 /* write ESI to the 32-bit register at RDI */
#define RING0_RDMSR  2 /* MSR ECX to EDX:EAX */
#define RING0_WRMSR  3 /* EDX:ESI to MSR ECX */
#define RING0_SHUT   4 /* shut the processor down by a triple fault */
#define RING0_RESUME 5 /* come back: for measuring */

#define LAPIC_BASE 0xfee00000
#define LAPIC_EOI  0xb0

#ifndef __ASSEMBLER__
#include <stdint.h>

/* Bits of ring0_irq_seen: which interrupts came since it was last cleared. */
#define IRQ_SEEN_TIMER	1u
#define IRQ_SEEN_DEVICE 2u

/* Set by the interrupt entries, cleared by ring 3 while interrupts are off. */
extern volatile uint32_t ring0_irq_seen;
/* Interrupts taken since start. */
extern volatile uint64_t ring0_irq_count;
/*
 * How the device's interrupt is acknowledged before the LAPIC's: a 32-bit write of ring0_ack_value to this register
 * (virtio-mmio), or, where that is 0, a byte read from the second one (virtio-pci's ISR); both 0 for MSI-X.
 */
extern volatile uint64_t ring0_ack_write;
extern volatile uint64_t ring0_ack_read;
extern uint32_t ring0_ack_value;

struct ring0_gate {
	uint16_t offset_low;
	uint16_t selector;
	uint16_t flags;
	uint16_t offset_mid;
	uint32_t offset_high;
	uint32_t reserved;
};
extern struct ring0_gate ring0_idt[256];

/* Entry points for ring0_idt: the faults in steps of 16 bytes, the others one by one. */
extern const char ring0_faults[], ring0_timer[], ring0_device[], ring0_spurious[], ring0_service[];

static inline uint64_t ring0_call(uint32_t service, uint64_t rdi, uint32_t esi)
{
	uint64_t rax = service, rcx, rdx;

	__asm__ volatile("int %[gate]"
			 : "+a"(rax), "=c"(rcx), "=d"(rdx)
			 : [gate] "i"(RING0_GATE), "D"(rdi), "S"(esi)
			 : "memory", "cc");
	return rax;
}

static inline uint64_t ring0_rdmsr(uint32_t msr)
{
	uint64_t rax = RING0_RDMSR, rcx = msr, rdx;

	__asm__ volatile("int %[gate]"
			 : "+a"(rax), "+c"(rcx), "=d"(rdx)
			 : [gate] "i"(RING0_GATE)
			 : "memory", "cc");
	return rdx << 32 | (uint32_t)rax;
}

static inline void ring0_wrmsr(uint32_t msr, uint64_t value)
{
	uint64_t rax = RING0_WRMSR, rcx = msr, rdx = value >> 32;

	__asm__ volatile("int %[gate]"
			 : "+a"(rax), "+c"(rcx), "+d"(rdx)
			 : [gate] "i"(RING0_GATE), "S"((uint32_t)value)
			 : "memory", "cc");
}
#endif
#endif
