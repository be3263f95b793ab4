/*
 * ring0.S - all of ring 0 after the start: faults, interrupts, the few services of ring0.h.
 */
#include "ring0.h"

	.text
	.code64

/* A fault is reported by ring 3: throw the frame away and enter ring3_fault(vector, error, rip, cr2) there. */
	.globl ring0_faults
	.balign	16
ring0_faults:
vector = 0
	.rept	VECTOR_FAULTS
	.balign	16
	.if !(vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21 || vector == 29 || vector == 30)
	pushq	$0			/* these push no error code of their own */
	.endif
	pushq	$vector
	jmp	fault
vector = vector + 1
	.endr
fault:
	popq	%rdi
	popq	%rsi
	popq	%rdx
	movq	%cr2, %rcx
	movl	$ring0_stack_end, %esp
	pushq	$SEL_DATA3
	pushq	$fault_stack_end - 8
	pushq	$RFLAGS_RING3
	pushq	$SEL_CODE3
	pushq	$ring3_fault
	iretq

	.globl ring0_timer, ring0_device, ring0_spurious, ring0_service
/*
 * Interrupts are taken only by the HLT of RING0_IDLE. What it was called with still lies on top of the stack, so they
 * return right to ring 3; RAX, RCX and RDX are free.
 */
ring0_device:
	movq	ring0_ack_write, %rdx
	testq	%rdx, %rdx
	jz	1f
	movl	ring0_ack_value, %eax
	movl	%eax, (%rdx)
	jmp	2f
1:	movq	ring0_ack_read, %rdx
	testq	%rdx, %rdx
	jz	2f
	movb	(%rdx), %al
2:	movl	$IRQ_SEEN_DEVICE_BIT, %ecx
	jmp	end_of_interrupt
ring0_timer:
	movl	$IRQ_SEEN_TIMER_BIT, %ecx
end_of_interrupt:
	orl	%ecx, ring0_irq_seen
	incq	ring0_irq_count
	movl	$LAPIC_BASE + LAPIC_EOI, %edx
	movl	$0, (%rdx)
	movl	$ring0_stack_end - 40, %esp
	iretq
ring0_spurious:
	iretq

ring0_service:
	cmpl	$RING0_WRITE, %eax
	je	1f
	ja	2f
	testq	%rdi, %rdi
	jz	3f
	movl	%esi, (%rdi)
3:	sti
	hlt
	jmp	3b			/* a spurious interrupt */
1:	movl	%esi, (%rdi)
	iretq
2:	cmpl	$RING0_RDMSR, %eax
	je	4f
	cmpl	$RING0_WRMSR, %eax
	je	5f
	cmpl	$RING0_SHUT, %eax
	je	6f
	iretq
4:	rdmsr
	iretq
5:	movl	%esi, %eax
	wrmsr
	iretq
6:	lidt	no_idtr
	ud2

	.data
	.balign	8
	.globl boot_gdtr, ring0_idtr
	.word	0, 0, 0
boot_gdtr:
	.word	gdt_end - gdt - 1
	.quad	gdt
	.balign	8
	.word	0, 0, 0
ring0_idtr:
	.word	256 * 16 - 1
	.quad	ring0_idt
no_idtr:
	.word	0
	.quad	0

	.balign	8
gdt:
	.quad	0
	.quad	0x00cf9b000000ffff	/* SEL_CODE32 */
	.quad	0x00af9b000000ffff	/* SEL_CODE0 */
	.quad	0x00cf93000000ffff	/* SEL_DATA0 */
	.quad	0x00cff3000000ffff	/* SEL_DATA3 */
	.quad	0x00affb000000ffff	/* SEL_CODE3 */
	.word	TSS_SIZE - 1, tss_low	/* SEL_TSS */
	.byte	tss_mid, 0x89, 0, 0
	.quad	0
gdt_end:
