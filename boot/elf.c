/*
 * ELF vmlinux: entered where a note of the architecture's says (PVH), else by the Linux protocol at
 * e_entry, which Linux gives as a physical address.
 */
#include <elf.h>

#include "boot/kernel.h"

#define MAX_PHDRS     64u
#define MAX_NOTES_LEN (64 * KIB)

static int check_ehdr(const struct boot_file *f, const Elf64_Ehdr *eh)
{
	if (eh->e_ident[EI_CLASS] == ELFCLASS32)
		return boot_file_bad(f, "it is a 32-bit kernel; a 64-bit one is needed");
	if (eh->e_ident[EI_CLASS] != ELFCLASS64 || eh->e_ident[EI_DATA] != ELFDATA2LSB ||
	    eh->e_machine != boot_arch.elf_machine)
		return boot_file_bad(f, "this ELF file is not for %s", boot_arch.name);
	if (eh->e_type != ET_EXEC && eh->e_type != ET_DYN)
		return boot_file_bad(f, "this ELF file is no executable (type %u)", eh->e_type);
	if (eh->e_phentsize != sizeof(Elf64_Phdr) || eh->e_phnum == 0 || eh->e_phnum > MAX_PHDRS)
		return boot_file_bad(f,
				     "%u ELF program headers of %u bytes (1 to %u of %zu expected)",
				     eh->e_phnum, eh->e_phentsize, MAX_PHDRS, sizeof(Elf64_Phdr));
	return 0;
}

/* [offset, offset + len) lies in the file. */
static bool in_file(const struct boot_file *f, uint64_t offset, uint64_t len)
{
	return offset <= f->size && len <= f->size - offset;
}

/* The segment lies in the file and in RAM and overlaps none of the ones before it. */
static int check_segment(const struct boot_file *f, const struct guestmem *mem,
			 const Elf64_Phdr *ph, unsigned int n)
{
	const uint64_t low = boot_low_ram(mem);
	const Elf64_Phdr *p = &ph[n];

	if (!in_file(f, p->p_offset, p->p_filesz))
		return boot_file_bad(
			f, "truncated: ELF segment %u reaches past the end of the file", n);
	if (p->p_filesz > p->p_memsz)
		return boot_file_bad(f, "ELF segment %u is larger in the file than in memory", n);
	if (p->p_paddr < boot_arch.bottom)
		return boot_file_bad(f, "ELF segment %u goes to %#llx, below %llu MiB", n,
				     (unsigned long long)p->p_paddr, boot_arch.bottom / MIB);
	if (p->p_paddr > low || p->p_memsz > low - p->p_paddr)
		return boot_no_room(f, mem, p->p_paddr, p->p_memsz);
	for (unsigned int i = 0; i < n; i++)
		if (ph[i].p_type == PT_LOAD && p->p_paddr < ph[i].p_paddr + ph[i].p_memsz &&
		    ph[i].p_paddr < p->p_paddr + p->p_memsz)
			return boot_file_bad(f, "ELF segments %u and %u overlap", i, n);
	return 0;
}

/* 1 where a note names the entry point, else 0, or -errno. */
static int find_entry_note(const struct boot_file *f, const Elf64_Phdr *p,
			   struct boot_kernel *kernel)
{
	if (!in_file(f, p->p_offset, p->p_filesz) || p->p_filesz > MAX_NOTES_LEN)
		return boot_file_bad(f, "its ELF notes are too long or reach past its end");
	return boot_elf_notes(f, p->p_offset, p->p_filesz, p->p_align, kernel);
}

static bool in_segment(const Elf64_Phdr *ph, unsigned int n, uint64_t gpa)
{
	for (unsigned int i = 0; i < n; i++)
		if (ph[i].p_type == PT_LOAD && gpa >= ph[i].p_paddr &&
		    gpa - ph[i].p_paddr < ph[i].p_memsz)
			return true;
	return false;
}

int elf_load(const struct boot_file *f, const struct guestmem *mem, struct boot_kernel *kernel)
{
	Elf64_Phdr ph[MAX_PHDRS];
	Elf64_Ehdr eh;
	int ret;

	if (f->size < sizeof(eh))
		return boot_file_bad(f, "truncated: it ends in the ELF header");
	ret = boot_file_read(f, 0, &eh, sizeof(eh)) ?: check_ehdr(f, &eh);
	if (ret)
		return ret;
	if (!in_file(f, eh.e_phoff, eh.e_phnum * sizeof(ph[0])))
		return boot_file_bad(f, "truncated: its ELF program headers reach past its end");
	ret = boot_file_read(f, eh.e_phoff, ph, eh.e_phnum * sizeof(ph[0]));
	if (ret)
		return ret;

	kernel->pvh = false;
	kernel->entry = eh.e_entry;
	kernel->end = 0;
	for (unsigned int i = 0; i < eh.e_phnum; i++) {
		if (ph[i].p_type == PT_NOTE && !kernel->pvh) {
			ret = find_entry_note(f, &ph[i], kernel);
		} else if (ph[i].p_type == PT_LOAD && ph[i].p_memsz == 0 && ph[i].p_filesz == 0) {
			ph[i].p_type = PT_NULL;
		} else if (ph[i].p_type == PT_LOAD) {
			ret = check_segment(f, mem, ph, i);
			kernel->end = MAX(kernel->end, ph[i].p_paddr + ph[i].p_memsz);
		}
		if (ret < 0)
			return ret;
	}
	if (!in_segment(ph, eh.e_phnum, kernel->entry))
		return boot_file_bad(f, "its entry point %#llx is in none of its ELF segments",
				     (unsigned long long)kernel->entry);

	/* What a segment has beyond its bytes in the file is zero, as fresh RAM is. */
	for (unsigned int i = 0; i < eh.e_phnum; i++) {
		if (ph[i].p_type != PT_LOAD)
			continue;
		ret = boot_file_read(f, ph[i].p_offset,
				     guestmem_ptr(mem, ph[i].p_paddr, ph[i].p_filesz),
				     ph[i].p_filesz);
		if (ret)
			return ret;
	}

	kernel->initrd_limit = boot_low_ram(mem);
	boot_elf_defaults(kernel);
	return 0;
}
