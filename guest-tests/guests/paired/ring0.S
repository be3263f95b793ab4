/* All of ring 0 after the start: faults, interrupts, the few services of ring0.h. */
#include "guest-tests/guests/paired/ring0.h"

	.text
	.code64

/*
 * A fault is reported by ring 3: throw the frame away and enter ring3_fault(vector, error, rip,
 * cr2) there.
 */
	.globl ring0_faults
	.balign	16
ring0_faults:
vector = 0
	.rept	VECTOR_FAULTS
	.balign	16
	.if !(vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || \
		vector == 21 || vector == 29 || vector == 30)
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
	movl	$ring0_frame + 40, %esp
	pushq	$SEL_DATA3
	pushq	$fault_stack_end - 8
	pushq	$RFLAGS_RING3
	pushq	$SEL_CODE3
	pushq	$ring3_fault
	iretq

	.globl ring0_timer, ring0_device, ring0_spurious, ring0_invalid_opcode
/*
 * Interrupts are taken only by the HLT of RING0_SLEEP. What it was called with still lies on top of
 * the stack, so they return right to ring 3; RAX, RCX and RDX are free.
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
	movb	(%rdx), %al		/* reading clears it */
2:	movl	$IRQ_SEEN_DEVICE, %ecx
	jmp	end_of_interrupt
ring0_timer:
	movl	$IRQ_SEEN_TIMER, %ecx
end_of_interrupt:
	orl	%ecx, ring0_irq_seen
	incq	ring0_irq_count
	movl	$LAPIC_BASE + LAPIC_EOI, %edx
	movl	$0, (%rdx)
	movl	$ring0_frame, %esp
	iretq
ring0_spurious:
	iretq

/*
 * ring0_call(EDI = service, RSI = where, RDX = value): an invalid opcode, because KVM hosts that
 * emulate ring 0 refuse INT there and leave SYSCALL half way, while every host delivers a fault. It
 * costs the same.
 */
	.globl	ring0_call
ring0_call:
	ud2
0:	ret

ring0_invalid_opcode:
	cmpq	$ring0_call, (%rsp)
	jne	ring0_faults + 16 * VECTOR_INVALID_OPCODE
	movq	$0b, (%rsp)		/* behind the UD2 */
	cmpl	$RING0_WRMSR, %edi
	je	1f
	ja	2f
3:	movq	(%rsi), %rdx
	testq	%rdx, %rdx
	jz	7f
	movl	WRITE_VALUE(%rsi), %eax
	cmpl	$2, WRITE_WIDTH(%rsi)
	je	6f
	movl	%eax, (%rdx)
	addq	$WRITE_SIZE, %rsi
	jmp	3b
6:	movw	%ax, (%rdx)
	addq	$WRITE_SIZE, %rsi
	jmp	3b
7:	sti
	hlt
	jmp	7b			/* a spurious interrupt */
1:	movl	%esi, %ecx
	movl	%edx, %eax
	shrq	$32, %rdx
	wrmsr
	iretq
2:	lidt	no_idtr
	ud2

	.bss
	.balign	8
	.globl	ring0_irq_seen, ring0_irq_count, ring0_idt
	.globl	ring0_ack_write, ring0_ack_read, ring0_ack_value
ring0_irq_seen:
	.long	0
ring0_ack_value:
	.long	0
ring0_irq_count:
	.quad	0
ring0_ack_write:
	.quad	0
ring0_ack_read:
	.quad	0
	.balign	16
ring0_idt:
	.space	256 * 16

	.data
/*
 * The stack is empty but for the frame that leads to ring 3, which is always there: the first time,
 * to its start.
 */
	.balign	16
	.globl	ring0_frame
	.space	256 - 40
ring0_frame:
	.quad	ring3_entry, SEL_CODE3, RFLAGS_RING3, ring3_stack_end, SEL_DATA3

	.globl boot_gdtr, ring0_idtr, ring0_gdt
	.word	0, 0, 0
boot_gdtr:
	.word	gdt_end - ring0_gdt - 1
	.quad	ring0_gdt
	.balign	8
	.word	0, 0, 0
ring0_idtr:
	.word	256 * 16 - 1
	.quad	ring0_idt
no_idtr:
	.word	0
	.quad	0

	.balign	8
ring0_gdt:
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
