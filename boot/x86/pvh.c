/* Entry by PVH, and what the 64-bit Linux protocol needs to know of an ELF kernel without it. */
#include <elf.h>
#include <string.h>

#include "boot/kernel.h"

/* Xen, xen/include/public/elfnote.h: the physical address of PVH's 32-bit entry. */
#define XEN_ELFNOTE_PHYS32_ENTRY 18

/* What Linux says of itself in a bzImage's header, and an ELF file does not. */
#define HDRS		  0x53726448u /* "HdrS" */
#define BOOT_FLAG	  0xaa55
#define BOOT_VERSION	  0x020f
#define KERNEL_ALIGNMENT  (2 * MIB)
#define COMMAND_LINE_SIZE 2048u /* Linux, arch/x86/include/asm/setup.h; the final 0 included */

int boot_elf_notes(const struct boot_file *f, uint64_t offset, uint64_t len, uint64_t align,
		   struct boot_kernel *kernel)
{
	struct {
		Elf64_Nhdr h;
		char owner[sizeof("Xen")];
		uint8_t desc[8];
	} note;
	uint64_t at = 0;
	int ret;

	align = align == 8 ? 8 : 4;
	while (len - at >= sizeof(note.h)) {
		uint64_t left = len - at;
		uint64_t desc, end;

		memset(&note, 0, sizeof(note));
		ret = boot_file_read(f, offset + at, &note, MIN(left, sizeof(note)));
		if (ret)
			return ret;
		desc = ALIGN_UP(sizeof(note.h) + note.h.n_namesz, align);
		end = desc + note.h.n_descsz;
		if (end > left)
			return boot_file_bad(f, "an ELF note reaches past the end of its segment");
		if (note.h.n_type == XEN_ELFNOTE_PHYS32_ENTRY &&
		    note.h.n_namesz == sizeof(note.owner) &&
		    memcmp(note.owner, "Xen", sizeof(note.owner)) == 0) {
			if (note.h.n_descsz != 4 && note.h.n_descsz != 8)
				return boot_file_bad(f, "its PVH note has %u bytes, not 4 or 8",
						     note.h.n_descsz);
			kernel->pvh = true;
			kernel->entry = 0;
			memcpy(&kernel->entry, note.desc, note.h.n_descsz);
			return 1;
		}
		at += MIN(ALIGN_UP(end, align), left);
	}
	return 0;
}

void boot_elf_defaults(struct boot_kernel *kernel)
{
	kernel->cmdline_limit = COMMAND_LINE_SIZE - 1;
	kernel->header = (struct setup_header){
		.boot_flag = BOOT_FLAG,
		.header = HDRS,
		.version = BOOT_VERSION,
		.loadflags = LOADED_HIGH,
		.kernel_alignment = KERNEL_ALIGNMENT,
	};
}
