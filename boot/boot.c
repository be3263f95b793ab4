/* How a kernel gets in: choose the loader and place the initrd; the rest is the architecture's. */
#include <errno.h>
#include <string.h>

#include "boot/boot.h"
#include "boot/kernel.h"
#include "vmm/base/log.h"

#define PAGE 4096ull

static int load_kernel(const char *path, const struct guestmem *mem, struct boot_kernel *kernel)
{
	struct boot_file f;
	int ret = boot_file_open(&f, "kernel", path);

	if (ret)
		return ret;
	ret = boot_file_is_elf(&f);
	if (ret >= 0)
		ret = ret ? elf_load(&f, mem, kernel) : bzimage_load(&f, mem, kernel);
	boot_file_close(&f);
	return ret;
}

/* As high as it may lie, so that the kernel has the memory behind itself to grow into. @what is for the message. */
static int place_initrd(uint64_t size, const char *what, const struct guestmem *mem,
			const struct boot_kernel *kernel, struct boot_params_in *in, void **to)
{
	uint64_t limit = ALIGN_DOWN(MIN(kernel->initrd_limit, boot_low_ram(mem)), PAGE);
	uint64_t bottom = ALIGN_UP(kernel->end, PAGE);
	uint64_t room = limit > bottom ? limit - bottom : 0;

	in->initrd_size = size;
	in->initrd = ALIGN_DOWN(limit - size, PAGE);
	*to = size <= room ? guestmem_ptr(mem, in->initrd, size) : NULL;
	if (*to)
		return 0;
	const uint64_t top = MIN(kernel->initrd_limit, boot_arch.low_ram_max);
	const bool ever = size <= top && bottom <= top - size;

	return log_fail(
		-ENOMEM,
		"initrd '%s' is too large for the memory: it has %llu KiB, the kernel leaves room for %llu KiB (%s)",
		what, (unsigned long long)(size / KIB + (size % KIB != 0)),
		(unsigned long long)(room / KIB),
		ever ? "give the guest more memory"
		     : "more memory does not help: it has to lie below 3 GiB and where the kernel finds it; put files on a disk");
}

static int load_initrd(const char *path, const struct guestmem *mem,
		       const struct boot_kernel *kernel, struct boot_params_in *in)
{
	struct boot_file f;
	void *to;
	int ret;

	ret = boot_file_open(&f, "initrd", path);
	if (ret)
		return ret;
	ret = place_initrd(f.size, path, mem, kernel, in, &to) ?: boot_file_read(&f, 0, to, f.size);
	boot_file_close(&f);
	return ret;
}

static int copy_initramfs(const struct boot_source *src, const struct guestmem *mem,
			  const struct boot_kernel *kernel, struct boot_params_in *in)
{
	void *to;
	const int ret = place_initrd(src->initramfs_len, "of the job", mem, kernel, in, &to);

	if (!ret)
		memcpy(to, src->initramfs, src->initramfs_len);
	return ret;
}

int boot_load(const struct guestmem *mem, const struct boot_source *src, struct boot_entry *entry)
{
	struct boot_params_in in = { .cmdline = src->cmdline, .rsdp = src->rsdp };
	struct boot_kernel kernel = { 0 };
	int ret;

	ret = load_kernel(src->kernel, mem, &kernel);
	if (!ret && src->initrd)
		ret = load_initrd(src->initrd, mem, &kernel, &in);
	else if (!ret && src->initramfs)
		ret = copy_initramfs(src, mem, &kernel, &in);
	if (!ret)
		ret = boot_start(mem, &kernel, &in, entry);
	if (!ret)
		log_info("kernel '%s': entry at %#llx, initrd %llu KiB at %#llx", src->kernel,
			 (unsigned long long)kernel.entry,
			 (unsigned long long)(in.initrd_size / KIB), (unsigned long long)in.initrd);
	return ret;
}
