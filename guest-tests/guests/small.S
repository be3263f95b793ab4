/*
 * The smallest guest: a 64-bit ELF with a PVH note, 32-bit code, no stack. The first letter of its command
 * line says what it does; see run.
 */
	.code32
	.section .note.pvh, "a"
	.long 4, 4, 18			/* name and value sizes, XEN_ELFNOTE_PHYS32_ENTRY */
	.asciz "Xen"
	.long start

	.text
	.globl start
start:
	movl 24(%ebx), %esi		/* struct hvm_start_info: cmdline_paddr */
	movb (%esi), %cl
	cmpb $'s', %cl
	je serial
	cmpb $'e', %cl
	je echo
	cmpb $'o', %cl
	je off
	cmpb $'r', %cl
	je reset
	cmpb $'k', %cl
	je keyboard
	cmpb $'t', %cl
	je triple
	cmpb $'w', %cl
	je warm
	cmpb $'c', %cl
	je chipset
	cmpb $'a', %cl
	je system_port
	cmpb $'f', %cl
	je firmware
	cmpb $'b', %cl
	je big
	cmpb $'m', %cl
	je holes
	cmpb $'i', %cl
	je interrupt
	cmpb $'p', %cl
	je print_forever
	cmpb $'l', %cl
	je loop_forever
	movb $99, %al
	jmp report

serial:					/* say hello, report 42 */
	movl $hello, %esi
1:	movw $0x3fd, %dx
	inb %dx, %al
	testb $0x20, %al		/* transmitter empty */
	jz 1b
	movb (%esi), %al
	incl %esi
	testb %al, %al
	jz 2f
	movw $0x3f8, %dx
	outb %al, %dx
	jmp 1b
2:	movb $42, %al
	jmp report

echo:					/* send back what comes, report 7 after a q */
	movw $0x3fd, %dx
	inb %dx, %al
	testb $1, %al			/* data ready */
	jz echo
	movw $0x3f8, %dx
	inb %dx, %al
	outb %al, %dx
	cmpb $'q', %al
	jne echo
	movb $7, %al
	jmp report

print_forever:
	movw $0x3f8, %dx
	movl $hello, %esi
1:	movb (%esi), %al
	incl %esi
	testb %al, %al
	jz print_forever
	outb %al, %dx
	jmp 1b

off:	movw $0x600, %dx		/* S5 through the sleep control register */
	movb $0x34, %al
	outb %al, %dx
	jmp loop_forever

reset:	movw $0x604, %dx
	movb $1, %al
	outb %al, %dx
	jmp loop_forever

keyboard:
	movb $0xfe, %al
	outb %al, $0x64
	jmp loop_forever

chipset:				/* the reset control register, as Linux does it */
	movw $0xcf9, %dx
	movb $0x02, %al
	outb %al, %dx
	movb $0x0e, %al
	outb %al, %dx
	jmp loop_forever

system_port:
	movb $0x03, %al
	outb %al, $0x92
	jmp loop_forever

firmware:				/* to real mode, and where a PC's CPU starts */
	lgdt gdt_pointer
	ljmp $8, $real - start_of_memory
	.code16
real:	movl %cr0, %eax
	andb $0xfe, %al
	movl %eax, %cr0
	ljmpw $0xf000, $0xfff0
	.code32

warm:	movw $0x1234, 0x472		/* say that it is a reset, then a triple fault */
triple:	lidt no_idt
	ud2

big:	movb $200, %al			/* beyond what a guest may report */
report:	outb %al, $0xf4
loop_forever:
	jmp loop_forever

holes:					/* what nobody answers reads as all ones: 0, else 1 */
	movw $0x9990, %dx
	inl %dx, %eax
	cmpl $-1, %eax
	jne 1f
	movl 0xd0000000, %eax
	cmpl $-1, %eax
	jne 1f
	movl $0, 0xd0000000
	jmp off
1:	movb $1, %al
	jmp report

interrupt:				/* of an RTL8139, the first card: asserted, and left so; report 42 */
	movw $0xcf8, %dx
	movl $0x80000804, %eax		/* its command register: I/O decodes */
	outl %eax, %dx
	movw $0xcfc, %dx
	movw $1, %ax
	outw %ax, %dx
	movw $0xcf8, %dx
	movl $0x80000810, %eax		/* where its registers are */
	outl %eax, %dx
	movw $0xcfc, %dx
	inl %dx, %eax
	andl $~3, %eax
	movl %eax, %ebx
	leal 0x3c(%ebx), %edx		/* IMR: the timer */
	movw $0x4000, %ax
	outw %ax, %dx
	leal 0x54(%ebx), %edx		/* TimerInt, a millisecond from now on */
	movl $33000, %eax
	outl %eax, %dx
	leal 0x48(%ebx), %edx
	xorl %eax, %eax
	outl %eax, %dx
	leal 0x3e(%ebx), %edx		/* ISR */
1:	inw %dx, %ax
	testw $0x4000, %ax
	jz 1b
	movb $42, %al
	jmp report

	.set start_of_memory, 0x100000
gdt:	.quad 0
	.quad 0x00009b100000ffff	/* 16-bit code, at 1 MiB */
gdt_pointer:
	.word 15
	.long gdt
no_idt:	.word 0
	.long 0
hello:	.asciz "hello from a small guest\n"
