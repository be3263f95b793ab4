/*
 * The ways in: from 32-bit protected mode (PVH, Linux's 32-bit protocol) and from long
 * mode (Linux's 64-bit protocol), down to ring 3, where everything else runs.
 *
 * Ring 0 does as little as possible here: on some hosts KVM emulates it, instruction by
 * instruction. So the page tables lie ready in the image, mapping the first 2 MiB for both rings,
 * and C code extends them in ring 3.
 */
#include "guest-tests/guests/paired/ring0.h"

#define PVH_NOTE 18			/* XEN_ELFNOTE_PHYS32_ENTRY */
#define PTE_PRESENT_RW_USER 7
#define PTE_LARGE 0x80

	.section .head, "ax"
	.code32
	.globl entry_32, entry_pvh
entry_32:				/* at the image's start; ESI = struct boot_params */
	movl	$BOOT_LINUX, %edi
	jmp	to_long_mode
entry_pvh:				/* EBX = struct hvm_start_info */
	movl	%ebx, %esi
	movl	$BOOT_PVH, %edi
to_long_mode:
	cli
	cld
	lgdtl	boot_gdtr
	movl	$page_root, %ebx
	.globl	further_entry
further_entry:				/* of a further processor; EBX = its page tables */
	movl	$CR4_PAE, %eax
	movl	%eax, %cr4
	movl	%ebx, %cr3
	movl	$MSR_EFER, %ecx
	rdmsr
	orl	$EFER_LME, %eax
	wrmsr
	movl	$(CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_PG), %eax
	movl	%eax, %cr0
	ljmpl	$SEL_CODE0, $common_64

	.org 0x200			/* offset of the 64-bit entry by the boot protocol */
	.code64
	.globl entry_64
entry_64:				/* RSI = struct boot_params, paging is on */
	cli
	cld
	movl	$ring0_frame, %esp
	movl	$BOOT_LINUX, %edi
	movl	$page_root, %eax
	movq	%rax, %cr3
	lgdt	boot_gdtr
	pushq	$SEL_CODE0
	leaq	common_64(%rip), %rax
	pushq	%rax
	lretq
common_64:
	movl	$SEL_DATA3, %eax
	movl	%eax, %ds
	movl	%eax, %es
	lidt	ring0_idtr		/* empty until ring 3 has filled it */
	movl	$SEL_TSS, %eax
	ltr	%ax
	movl	$ring0_frame, %esp
	iretq

/* Ring 3 begins: EDI = boot protocol, RSI = what it passed. */
	.text
	.globl	ring3_entry
ring3_entry:
	movl	%edi, %r8d
	movl	$image_end, %edi
	movl	$kernel_end, %ecx
	subl	%edi, %ecx
	xorl	%eax, %eax
	rep stosb
	movl	%r8d, %edi
	call	kernel_main		/* does not return */
	ud2

	.section .note.pvh, "a", @note
	.balign	4
	.long	2f - 1f
	.long	4f - 3f
	.long	PVH_NOTE
1:	.asciz	"Xen"
2:	.balign	4
3:	.long	entry_pvh
4:	.balign	4

	.data
	.balign	4096
	.globl	page_root, page_pdpt, page_pd
page_root:
	.quad	page_pdpt + PTE_PRESENT_RW_USER
	.balign	4096
page_pdpt:
	.quad	page_pd + PTE_PRESENT_RW_USER
	.balign	4096
page_pd:
	.quad	PTE_LARGE + PTE_PRESENT_RW_USER
	.balign	4096

	.bss
	.globl	ring0_tss, ring3_stack_end, fault_stack_end
	.balign	4096
ring0_tss:
	.space	TSS_SIZE
	.balign	16
	.space	4096
fault_stack_end:
	.space	16384
ring3_stack_end:
