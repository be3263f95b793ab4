/*
 * What the two rings agree on: selectors, vectors, the services that ring 3 asks of ring
 * 0. Included by assembly and C.
 *
 * The kernel proper runs in ring 3 with I/O privilege level 3 and interrupts off; it owns the page
 * tables, the descriptor tables and every device register, all mapped for it. Ring 0 is entered
 * only by a fault, by ring0_call() and, while ring 3 sleeps in RING0_SLEEP, by an interrupt. So an
 * interrupt never meets running C code.
 */
#ifndef RING0_H
#define RING0_H

/* Which structure the boot loader has passed. */
#define BOOT_LINUX 0 /* struct boot_params */
#define BOOT_PVH   1 /* struct hvm_start_info */

/* Offsets in struct irq_write. */
#define WRITE_VALUE 8
#define WRITE_WIDTH 12
#define WRITE_SIZE  16

#define SEL_CODE32 0x08
#define SEL_CODE0  0x10
#define SEL_DATA0  0x18
#define SEL_DATA3  0x23
#define SEL_CODE3  0x2b
#define SEL_TSS	   0x30

#define CR0_PE	     0x1
#define CR0_MP	     0x2
#define CR0_ET	     0x10
#define CR0_NE	     0x20
#define CR0_PG	     0x80000000
#define CR4_PAE	     0x20
#define MSR_EFER     0xc0000080
#define EFER_LME     0x100
#define RFLAGS_RING3 0x3002 /* IOPL 3, interrupts off */

#define VECTOR_INVALID_OPCODE 6
#define VECTOR_FAULTS	      32 /* 0..31 are the processor's */
#define VECTOR_TIMER	      0x40
#define VECTOR_DEVICE	      0x41
#define VECTOR_SPURIOUS	      0x4f

/* Services that ring 3 asks of ring 0. */
#define RING0_SLEEP \
	0 /* make the writes listed at where (struct irq_write), then sleep until an interrupt */
#define RING0_WRMSR 1 /* write the value to the MSR where */
#define RING0_SHUT  2 /* shut the processor down by a triple fault */

#define LAPIC_BASE 0xfee00000
#define LAPIC_EOI  0xb0

/* Bits of ring0_irq_seen: which interrupts came since it was last cleared. */
#define IRQ_SEEN_TIMER	1
#define IRQ_SEEN_DEVICE 2

/* The task state segment with its permission map: 65536 ports and the byte of ones that ends it. */
#define TSS_PORTS 104
#define TSS_SIZE  (TSS_PORTS + 65536 / 8 + 1)

#ifndef __ASSEMBLER__
#include <stdint.h>

/* IRQ_SEEN_ bits, set by the interrupt entries, cleared by ring 3 while interrupts are off. */
extern volatile uint32_t ring0_irq_seen;
/* Interrupts taken since start. */
extern volatile uint64_t ring0_irq_count;
/*
 * How the device's interrupt is acknowledged before the LAPIC's: a 32-bit write of ring0_ack_value
 * to this register (virtio-mmio), or, where that is 0, a byte read from the second one
 * (virtio-pci's ISR); both 0 for MSI-X.
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
/*
 * Ring 3 fills it before its first fault or service. Some KVM hosts lose the I/O privilege level:
 * hence the port map.
 */
extern uint8_t ring0_tss[TSS_SIZE];
extern const char ring0_frame[];
extern uint8_t ring0_gdt[];

/* Entry points for ring0_idt: the faults in steps of 16 bytes, the others one by one. */
extern const char ring0_faults[], ring0_timer[], ring0_device[], ring0_spurious[],
	ring0_invalid_opcode[];

/* Asks ring 0 for a service. */
void ring0_call(uint32_t service, uint64_t where, uint64_t value);
#endif
#endif
