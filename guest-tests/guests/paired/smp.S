/*
 * Where a started processor begins, in real mode, at the start of a page: it goes where the first one went, with page tables
 * of its own.
 */
#include "guest-tests/guests/paired/ring0.h"

	.section .rodata, "a"
	.code16
	.globl	smp_code, smp_code_end, smp_gdtr, smp_page_tables
smp_code:
	cli
	cld
	movw	%cs, %ax
	movw	%ax, %ds
	movl	smp_page_tables - smp_code, %ebx
	lgdtl	smp_gdtr - smp_code
	movl	$(CR0_PE | CR0_MP | CR0_ET | CR0_NE), %eax
	movl	%eax, %cr0
	ljmpl	$SEL_CODE32, $further_entry

	.balign	4
smp_page_tables:
	.long	0
smp_gdtr:
	.word	0
	.long	0
smp_code_end:
