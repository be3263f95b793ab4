/* A guest without KVM to load kernels into, and kernels made by hand. */
#include "boot/test/guest.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmm/base/test/parent.h"
#include "vmm/base/test/unit.h"
#include "vmm/x86/memmap.h"

#define PAGE 4096u

static void add_region(struct guestmem *mem, uint64_t gpa, uint64_t len)
{
	uint8_t *all = mmap(NULL, len + 2 * PAGE, PROT_NONE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	assert_true(all != MAP_FAILED);
	assert_int_equal(mprotect(all + PAGE, len, PROT_READ | PROT_WRITE), 0);
	mem->region[mem->nr_regions++] = (struct guestmem_region){ gpa, len, all + PAGE };
}

void guest_init(struct guest *g, uint64_t size)
{
	*g = (struct guest){ .cmdline = "" };
	add_region(&g->mem, 0, MIN(size, MEMMAP_HOLE_START));
	if (size > MEMMAP_HOLE_START)
		add_region(&g->mem, MEMMAP_HOLE_END, size - MEMMAP_HOLE_START);
}

void guest_destroy(struct guest *g)
{
	for (unsigned int i = 0; i < g->mem.nr_regions; i++)
		munmap(g->mem.region[i].host - PAGE, g->mem.region[i].len + 2 * PAGE);
}

void guest_wipe(struct guest *g)
{
	for (unsigned int i = 0; i < g->mem.nr_regions; i++)
		madvise(g->mem.region[i].host, g->mem.region[i].len, MADV_DONTNEED);
}

bool guest_is_zero(const struct guest *g, uint64_t from, uint64_t to)
{
	const uint8_t *p;

	if (from >= to)
		return true;
	/* The code of the reset is not zero, wherever it is. */
	if (from < BOOT_RESET_CODE && to >= BOOT_HIGH_MEMORY)
		return guest_is_zero(g, from, BOOT_RESET_CODE) &&
		       guest_is_zero(g, BOOT_HIGH_MEMORY, to);
	p = guestmem_ptr(&g->mem, from, to - from);
	assert_non_null(p);
	return p[0] == 0 && memcmp(p, p + 1, to - from - 1) == 0;
}

int file_with(const void *bytes, size_t len, char path[32])
{
	int fd = memfd_create("file", MFD_CLOEXEC);

	need_proc();
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, bytes, len, 0), len);
	snprintf(path, 32, "/proc/self/fd/%d", fd);
	return fd;
}

int guest_load(struct guest *g, const void *kernel, size_t len)
{
	char path[32];
	int fd = file_with(kernel, len, path);
	const struct boot_source src = {
		.kernel = path,
		.initrd = g->initrd,
		.cmdline = g->cmdline,
		.rsdp = GUEST_RSDP,
	};
	int ret;

	forget_message();
	ret = boot_load(&g->mem, &src, &g->entry);
	close(fd);
	return ret;
}

const struct boot_params *guest_zero_page(const struct guest *g)
{
	return guestmem_ptr(&g->mem, BOOT_ZERO_PAGE, sizeof(struct boot_params));
}

void bzimage_make(struct bzimage *image)
{
	memset(image, 0xcc, sizeof(*image));
	image->h = (struct setup_header){
		.setup_sects = BZIMAGE_SETUP_LEN / 512 - 1,
		.syssize = BZIMAGE_CODE_LEN / 16,
		.boot_flag = 0xaa55,
		.jump = 0x6aeb, /* the whole header: up to 0x26c */
		.header = 0x53726448,
		.version = 0x020f,
		.loadflags = LOADED_HIGH,
		.initrd_addr_max = 0x7fffffff,
		.kernel_alignment = 0x200000,
		.xloadflags = XLF_KERNEL_64,
		.cmdline_size = 2047,
		.payload_offset = 16,
		.payload_length = BZIMAGE_CODE_LEN - 16,
		.pref_address = BOOT_HIGH_MEMORY,
		.init_size = BZIMAGE_INIT_SIZE,
	};
	for (unsigned int i = 0; i < BZIMAGE_CODE_LEN; i++)
		image->code[i] = (uint8_t)(i % 251 + 1);
}

void elf_make(struct elf_image *image)
{
	*image = (struct elf_image){
		.eh = {
			.e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB,
				     EV_CURRENT },
			.e_type = ET_EXEC,
			.e_machine = EM_X86_64,
			.e_version = EV_CURRENT,
			.e_entry = ELF_ENTRY,
			.e_phoff = offsetof(struct elf_image, ph),
			.e_ehsize = sizeof(Elf64_Ehdr),
			.e_phentsize = sizeof(Elf64_Phdr),
			.e_phnum = ARRAY_SIZE(image->ph),
		},
		.ph = {
			{
				.p_type = PT_LOAD,
				.p_offset = offsetof(struct elf_image, code),
				.p_vaddr = 0xffffffff80000000ull + ELF_CODE,
				.p_paddr = ELF_CODE,
				.p_filesz = sizeof(image->code),
				.p_memsz = ELF_CODE_MEM,
			},
			{
				.p_type = PT_NOTE,
				.p_offset = offsetof(struct elf_image, note),
				.p_filesz = sizeof(image->note),
				.p_memsz = sizeof(image->note),
				.p_align = 4,
			},
			{
				.p_type = PT_LOAD,
				.p_offset = offsetof(struct elf_image, data),
				.p_paddr = ELF_DATA,
				.p_filesz = sizeof(image->data),
				.p_memsz = ELF_END - ELF_DATA,
			},
		},
		.note = { { 4, 8, 18 }, "Xen", { (uint32_t)ELF_PVH, 0 } },
	};
	memset(image->code, 0xc0, sizeof(image->code));
	memset(image->data, 0xda, sizeof(image->data));
}
