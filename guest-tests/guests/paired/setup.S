/*
 * The real-mode part of guest.bzImage.
 *
 * Boot loaders that know nothing better enter a bzImage in real mode, 512 bytes behind its start
 * (Linux, Documentation/arch/x86/boot.rst). This code asks the BIOS for the memory map and goes on
 * to the image's 32-bit entry at 1 MiB. It uses the segment it was loaded to as its struct
 * boot_params: the header lies in place, the memory map is written over what follows it, so the
 * code keeps clear of that.
 */
#define E820_ENTRIES 0x1e8
#define E820_TABLE 0x2d0
#define E820_MAX 32

	.code16
	.section .setup, "ax"
	.globl setup_start
setup_start:
	.org 0x1f1
	.byte SETUP_SECTS		/* setup_sects */
	.word 0				/* root_flags */
	.long PAYLOAD_PARAGRAPHS	/* syssize */
	.word 0				/* ram_size */
	.word 0				/* vid_mode */
	.word 0				/* root_dev */
	.word 0xaa55			/* boot_flag */
	.byte 0xeb, header_end - 1f	/* jump: its target ends the header */
1:	.ascii "HdrS"
	.word 0x020f			/* version */
	.long 0				/* realmode_swtch */
	.word 0				/* start_sys_seg */
	.word 0				/* kernel_version: none */
	.byte 0				/* type_of_loader */
	.byte 0x01			/* loadflags: LOADED_HIGH */
	.word 0				/* setup_move_size */
	.long 0x100000			/* code32_start */
	.long 0				/* ramdisk_image */
	.long 0				/* ramdisk_size */
	.long 0				/* bootsect_kludge */
	.word 0				/* heap_end_ptr */
	.byte 0				/* ext_loader_ver */
	.byte 0				/* ext_loader_type */
	.long 0				/* cmd_line_ptr */
	.long 0x7fffffff		/* initrd_addr_max */
	.long 0x200000			/* kernel_alignment */
	.byte 0				/* relocatable_kernel */
	.byte 21			/* min_alignment */
	.word 1				/* xloadflags: XLF_KERNEL_64 */
	.long 2047			/* cmdline_size */
	.long 0				/* hardware_subarch */
	.quad 0				/* hardware_subarch_data */
	.long 0				/* payload_offset */
	.long 0				/* payload_length */
	.quad 0				/* setup_data */
	.quad 0x100000			/* pref_address */
	.long INIT_SIZE			/* init_size */
	.long 0				/* handover_offset */
	.long 0				/* kernel_info_offset */
header_end:
	jmp setup

	.org 0x600			/* behind boot_params.e820_table[32] */
setup:
	cli
	cld
	/*
	 * DS is where it was loaded. CS may be that with IP 0x200 (kvmtool), or 0x20 more with IP
	 * 0.
	 */
	movw	%ds, %ax
	movw	%ax, %es
	movw	%ax, %ss
	movl	$0x8000, %esp

	/* INT 15h, EAX=E820h: one region of the memory map per call, until EBX comes back as 0. */
	xorl	%ebx, %ebx
	movw	$E820_TABLE, %di
	xorw	%bp, %bp
next_region:
	movl	$0xe820, %eax
	movl	$0x534d4150, %edx	/* "SMAP" */
	movl	$20, %ecx
	pushw	%bp
	pushw	%di
	int	$0x15
	popw	%di
	popw	%bp
	jc	map_done
	cmpl	$0x534d4150, %eax
	jne	map_done
	addw	$20, %di
	incw	%bp
	testl	%ebx, %ebx
	jz	map_done
	cmpw	$E820_MAX, %bp
	jb	next_region
map_done:
	movw	%bp, %ax
	movb	%al, E820_ENTRIES
	cli				/* a BIOS may have turned them on */

	inb	$0x92, %al		/* A20, for machines that start with it masked */
	orb	$2, %al
	andb	$0xfe, %al
	outb	%al, $0x92

	/*
	 * Protected mode, flat segments as the 32-bit boot protocol wants them, ESI = struct
	 * boot_params.
	 */
	xorl	%esi, %esi
	movw	%ds, %si
	shll	$4, %esi
	leal	gdt(%esi), %eax
	movl	%eax, gdtr + 2
	lgdtl	gdtr
	movl	$1, %eax
	movl	%eax, %cr0
	movw	$0x18, %ax
	movw	%ax, %ds
	movw	%ax, %es
	movw	%ax, %ss
	ljmpl	$0x10, $0x100000

	.balign	8
gdt:
	.quad	0
	.quad	0
	.quad	0x00cf9b000000ffff	/* 0x10: code */
	.quad	0x00cf93000000ffff	/* 0x18: data */
gdtr:
	.word	gdtr - gdt - 1
	.long	0

	.org SETUP_SECTS * 512 + 512
