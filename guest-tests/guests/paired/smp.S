/*
 * Where a started processor begins, in real mode, at the start of a page: it takes a place
 * in the list, leaves its APIC id there, counts itself in and halts.
 */
	.section .rodata, "a"
	.code16
	.globl	smp_start, smp_end, smp_count, smp_ids
smp_start:
	cli
	movw	%cs, %ax
	movw	%ax, %ds
	movl	$1, %eax
	cpuid
	shrl	$24, %ebx		/* initial APIC id */
	movw	$1, %si
	lock xaddw %si, smp_next - smp_start
	movb	%bl, smp_ids - smp_start(%si)
	lock incw smp_count - smp_start
1:	hlt
	jmp	1b

	.balign	2
smp_next:
	.word	0
smp_count:
	.word	0
smp_ids:
	.skip	256
smp_end:
