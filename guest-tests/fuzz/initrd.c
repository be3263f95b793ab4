/* boot/boot.c: where initrd and command line go, behind a good kernel with odd wishes. */
#include "guest-tests/fuzz/fuzz.h"

#include <asm/bootparam.h>
#include <string.h>
#include <sys/mman.h>

#include "boot/boot.h"
#include "boot/x86/acpi.h"
#include "vmm/x86/entry.h"
#include "vmm/x86/memmap.h"

#define CODE 1024u /* bytes of the kernel that are not header */

static void make_kernel(struct fuzz *f, struct setup_header *h)
{
	*h = (struct setup_header){
		.setup_sects = 1,
		.syssize = CODE / 16,
		.boot_flag = 0xaa55,
		.jump = 0x6aeb,
		.header = 0x53726448,
		.version = 0x020f,
		.loadflags = LOADED_HIGH,
		.initrd_addr_max = (uint32_t)~fuzz_int(f, 4),
		.kernel_alignment = BIT(fuzz_below(f, 32)),
		.relocatable_kernel = (uint8_t)fuzz_below(f, 2),
		.xloadflags = XLF_KERNEL_64,
		.cmdline_size = (uint32_t)fuzz_int(f, 3),
		.pref_address = BOOT_HIGH_MEMORY + fuzz_int(f, 4),
		.init_size = (uint32_t)fuzz_int(f, 4),
	};
}

/* The guest finds it whole, in RAM, below the limit and clear of the kernel. */
static void check_initrd(const struct guestmem *mem, const struct setup_header *h, int fd,
			 uint64_t size)
{
	const struct boot_params *bp = guestmem_ptr(mem, BOOT_ZERO_PAGE, sizeof(*bp));
	const uint64_t at = bp->hdr.ramdisk_image, end = at + size;
	const void *copy = guestmem_ptr(mem, at, size);
	void *file = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);

	fuzz_check(bp->hdr.ramdisk_size == size && copy && file != MAP_FAILED);
	fuzz_check(at % 4096 == 0 && end - 1 <= h->initrd_addr_max);
	fuzz_check(at >= MAX(h->pref_address, BOOT_HIGH_MEMORY) + h->init_size ||
		   h->relocatable_kernel);
	fuzz_check(!memcmp(copy, file, size));
	munmap(file, size);
}

void fuzz_one(struct fuzz *f)
{
	uint8_t kernel[2 * 512 + CODE] = { 0 };
	const uint64_t ram = (2 + fuzz_below(f, 15)) * MIB;
	const struct acpi_config acpi = {
		.nr_cpus = (unsigned int)fuzz_int(f, 2),
		.nr_virtio_mmio = fuzz_below(f, MEMMAP_VIRTIO_MMIO_MAX + 1),
		.serial = true,
		.pci = fuzz_below(f, 2),
	};
	struct boot_source src = { 0 };
	struct boot_entry entry;
	struct setup_header h;
	struct guestmem mem;
	uint64_t size;
	char *cmdline;
	size_t len;

	fuzz_memory(&mem, ram, fuzz_below(f, 2));
	if (acpi_build(&mem, &acpi, &src.rsdp))
		return;
	make_kernel(f, &h);
	memcpy(kernel + 0x1f1, &h, sizeof(h));
	src.kernel = fuzz_file(0, kernel, sizeof(kernel), 0);

	len = fuzz_int(f, 3) % 70000;
	cmdline = malloc(len + 1);
	fuzz_check(cmdline);
	memset(cmdline, 'c', len);
	cmdline[len] = 0;
	src.cmdline = cmdline;

	size = fuzz_int(f, 4) % (4 * MIB);
	src.initrd = fuzz_file(1, f->at, f->left, size);
	size = MAX(size, (uint64_t)f->left);
	if (!boot_load(&mem, &src, &entry)) {
		check_initrd(&mem, &h, fuzz_file_fd(1), size);
		fuzz_check(!strcmp(guestmem_ptr(&mem, BOOT_CMDLINE, BOOT_CMDLINE_MAX), cmdline));
		fuzz_check(len <= h.cmdline_size);
	}
	free(cmdline);
}
