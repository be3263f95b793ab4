/* What every kernel gets: memory map, initrd, command line, tables; and files that are no good. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "boot/file.h"
#include "boot/test/guest.h"
#include "vmm/base/test/unit.h"
#include "vmm/x86/memmap.h"

static struct bzimage image;
static struct elf_image elf;

static int setup(void **state)
{
	bzimage_make(&image);
	elf_make(&elf);
	return 0;
}

/* ---- memory map ---- */

struct range {
	uint64_t start, end;
	uint32_t type;
};

/* The map of a guest of @size, read as Linux reads it (@pvh: as a PVH kernel does). */
static unsigned int memory_map(uint64_t size, bool pvh, struct range map[8])
{
	struct guest g;
	unsigned int n;

	guest_init(&g, size);
	if (!pvh) {
		const struct boot_params *zp = guest_zero_page(&g);

		assert_int_equal(guest_load(&g, &image, sizeof(image)), 0);
		n = zp->e820_entries;
		assert_in_range(n, 1, 8);
		for (unsigned int i = 0; i < n; i++) {
			const struct boot_e820_entry *e = &zp->e820_table[i];

			map[i] = (struct range){ e->addr, e->addr + e->size, e->type };
		}
	} else {
		uint64_t table;
		uint32_t count;

		assert_int_equal(guest_load(&g, &elf, sizeof(elf)), 0);
		assert_int_equal(guestmem_read(&g.mem, g.entry.rbx + 40, &table, 8), 0);
		assert_int_equal(guestmem_read(&g.mem, g.entry.rbx + 48, &count, 4), 0);
		n = count;
		assert_in_range(n, 1, 8);
		for (unsigned int i = 0; i < n; i++) {
			struct {
				uint64_t addr, size;
				uint32_t type, reserved;
			} e;

			assert_int_equal(
				guestmem_read(&g.mem, table + i * sizeof(e), &e, sizeof(e)), 0);
			assert_int_equal(e.reserved, 0);
			map[i] = (struct range){ e.addr, e.addr + e.size, e.type };
		}
	}
	guest_destroy(&g);
	return n;
}

static void assert_map(uint64_t size, uint64_t low_end, uint64_t high_end)
{
	const struct range expected[] = {
		{ 0, 0x9fc00, 1 },
		{ 0x9fc00, 0x100000, 2 },
		{ 0x100000, low_end, 1 },
		{ 0xe0000000, 0xe0100000, 2 },
		{ 0x100000000, high_end, 1 },
	};
	const unsigned int nr = high_end ? 5 : 4;

	for (int pvh = 0; pvh <= 1; pvh++) {
		struct range map[8];

		assert_int_equal(memory_map(size, pvh, map), nr);
		for (unsigned int i = 0; i < nr; i++) {
			assert_int_equal(map[i].start, expected[i].start);
			assert_int_equal(map[i].end, expected[i].end);
			assert_int_equal(map[i].type, expected[i].type);
		}
	}
}

static void test_memory_map(void **state)
{
	assert_map(16 * MIB, 16 * MIB, 0);
	assert_map(128 * MIB, 128 * MIB, 0);
	assert_map(3 * GIB, 3 * GIB, 0);
	assert_map(3 * GIB + 4096, 3 * GIB, 4 * GIB + 4096);
	assert_map(5 * GIB, 3 * GIB, 6 * GIB);
	assert_map(100 * GIB, 3 * GIB, 101 * GIB);
}

/* ---- initrd ---- */

static void assert_initrd(struct guest *g, uint64_t start, const void *bytes, size_t len)
{
	const struct boot_params *zp = guest_zero_page(g);

	assert_int_equal(zp->hdr.ramdisk_image, start);
	assert_int_equal(zp->hdr.ramdisk_size, len);
	assert_int_equal(zp->ext_ramdisk_image, 0);
	assert_int_equal(zp->ext_ramdisk_size, 0);
	assert_memory_equal(guestmem_ptr(&g->mem, start, len), bytes, len);
}

static void test_initrd_is_as_high_as_it_may_be(void **state)
{
	uint8_t initrd[5000];
	struct guest g;
	char path[32];
	int fd;

	memset(initrd, 0x1d, sizeof(initrd));
	fd = file_with(initrd, sizeof(initrd), path);

	guest_init(&g, 16 * MIB); /* below the end of RAM */
	g.initrd = path;
	assert_int_equal(guest_load(&g, &image, sizeof(image)), 0);
	assert_initrd(&g, 16 * MIB - 8192, initrd, sizeof(initrd));
	assert_true(guest_is_zero(&g, 16 * MIB - 8192 + sizeof(initrd), 16 * MIB));

	image.h.initrd_addr_max = 0x3fffff; /* below what the kernel can reach */
	assert_int_equal(guest_load(&g, &image, sizeof(image)), 0);
	assert_initrd(&g, 4 * MIB - 8192, initrd, sizeof(initrd));
	image.h.initrd_addr_max = 0x3ffffe;
	assert_int_equal(guest_load(&g, &image, sizeof(image)), 0);
	assert_initrd(&g, 4 * MIB - 3 * 4096, initrd, sizeof(initrd));
	guest_destroy(&g);

	guest_init(&g, 5 * GIB); /* below the hole */
	g.initrd = path;
	image.h.initrd_addr_max = 0xffffffff;
	assert_int_equal(guest_load(&g, &image, sizeof(image)), 0);
	assert_initrd(&g, 3 * GIB - 8192, initrd, sizeof(initrd));
	guest_destroy(&g);
	close(fd);
}

static void test_initrd_reaches_pvh_kernels(void **state)
{
	struct {
		uint32_t magic, version, flags, nr_modules;
		uint64_t modules, cmdline, rsdp;
	} info;
	uint64_t module[4];
	struct guest g;
	char path[32], cmdline[6];
	int fd = file_with("initrd", 6, path);

	guest_init(&g, 16 * MIB);
	g.cmdline = "quiet";
	assert_int_equal(guest_load(&g, &elf, sizeof(elf)), 0);
	assert_int_equal(guestmem_read(&g.mem, g.entry.rbx, &info, sizeof(info)), 0);
	assert_int_equal(info.nr_modules, 0);

	g.initrd = path;
	assert_int_equal(guest_load(&g, &elf, sizeof(elf)), 0);
	assert_int_equal(guestmem_read(&g.mem, g.entry.rbx, &info, sizeof(info)), 0);
	assert_int_equal(info.magic, 0x336ec578);
	assert_int_equal(info.version, 1);
	assert_int_equal(info.flags, 0);
	assert_int_equal(info.nr_modules, 1);
	assert_int_equal(info.rsdp, GUEST_RSDP);
	assert_int_equal(guestmem_read(&g.mem, info.cmdline, cmdline, sizeof(cmdline)), 0);
	assert_string_equal(cmdline, "quiet");
	assert_int_equal(guestmem_read(&g.mem, info.modules, module, sizeof(module)), 0);
	assert_int_equal(module[0], 16 * MIB - 4096);
	assert_int_equal(module[1], 6);
	assert_int_equal(module[2], 0);
	assert_int_equal(module[3], 0);
	assert_memory_equal(guestmem_ptr(&g.mem, module[0], 6), "initrd", 6);
	guest_destroy(&g);
	close(fd);
}

static void test_initrd_never_meets_the_kernel(void **state)
{
	const uint64_t room = MIB - BZIMAGE_INIT_SIZE;
	struct guest g;
	char path[32];
	int fd = file_with("", 0, path);

	guest_init(&g, 2 * MIB);
	g.initrd = path;
	assert_int_equal(ftruncate(fd, (off_t)room), 0);
	assert_int_equal(guest_load(&g, &image, sizeof(image)), 0);
	assert_int_equal(guest_zero_page(&g)->hdr.ramdisk_image, MIB + BZIMAGE_INIT_SIZE);

	assert_int_equal(ftruncate(fd, (off_t)room + 1), 0);
	assert_int_equal(guest_load(&g, &image, sizeof(image)), -ENOMEM);
	assert_said(
		"too large for the memory: it has 993 KiB, the kernel leaves room for 992 KiB (give the guest more");
	image.h.initrd_addr_max = 0xffffffff;
	assert_int_equal(ftruncate(fd, (off_t)(3 * GIB - MIB - BZIMAGE_INIT_SIZE)), 0);
	assert_int_equal(guest_load(&g, &image, sizeof(image)), -ENOMEM);
	assert_said("(give the guest more memory)");
	assert_int_equal(ftruncate(fd, (off_t)(3 * GIB - MIB - BZIMAGE_INIT_SIZE + 1)), 0);
	assert_int_equal(guest_load(&g, &image, sizeof(image)), -ENOMEM);
	assert_said("(more memory does not help");
	assert_int_equal(ftruncate(fd, (off_t)(3 * GIB)), 0);
	assert_int_equal(guest_load(&g, &image, sizeof(image)), -ENOMEM);
	assert_said(
		"it has 3145728 KiB, the kernel leaves room for 992 KiB (more memory does not help");
	assert_int_equal(ftruncate(fd, 1ll << 40), 0);
	assert_int_equal(guest_load(&g, &image, sizeof(image)), -ENOMEM);
	assert_said("too large for the memory: it has 1073741824 KiB");
	assert_said("(more memory does not help");

	assert_int_equal(ftruncate(fd, 1), 0);
	image.h.init_size = MIB - 4095; /* ends in the last page */
	assert_int_equal(guest_load(&g, &image, sizeof(image)), -ENOMEM);
	assert_said("room for 0 KiB");
	image.h.init_size = BZIMAGE_INIT_SIZE;
	image.h.initrd_addr_max = 0; /* nothing is low enough */
	assert_int_equal(guest_load(&g, &image, sizeof(image)), -ENOMEM);
	assert_said("room for 0 KiB");
	guest_destroy(&g);
	close(fd);
}

/* ---- command line ---- */

static void assert_cmdline_limit(const void *kernel, size_t kernel_len, size_t limit)
{
	char *cmdline = malloc(limit + 2);
	struct guest g;
	char said[64];

	assert_non_null(cmdline);
	memset(cmdline, 'x', limit + 1);
	cmdline[limit] = 0;
	guest_init(&g, 2 * MIB);
	g.cmdline = cmdline;
	assert_int_equal(guest_load(&g, kernel, kernel_len), 0);
	assert_string_equal((const char *)guestmem_ptr(&g.mem, BOOT_CMDLINE, limit + 1), cmdline);
	assert_true(guest_is_zero(&g, BOOT_CMDLINE + limit, BOOT_HIGH_MEMORY));

	guest_wipe(&g);
	cmdline[limit] = 'x';
	cmdline[limit + 1] = 0;
	assert_int_equal(guest_load(&g, kernel, kernel_len), -E2BIG);
	snprintf(said, sizeof(said), "%zu bytes, this kernel takes %zu", limit + 1, limit);
	assert_said(said);
	assert_true(guest_is_zero(&g, 0, BOOT_HIGH_MEMORY));
	guest_destroy(&g);
	free(cmdline);
}

static void test_command_line_limits(void **state)
{
	assert_cmdline_limit(&image, sizeof(image), 2047);
	image.h.cmdline_size = 0;
	assert_cmdline_limit(&image, sizeof(image), 0);
	image.h.cmdline_size = 0xffffffff; /* there is room for 64 KiB */
	assert_cmdline_limit(&image, sizeof(image), 65535);
	assert_cmdline_limit(&elf, sizeof(elf), 2047);
}

/* ---- processor tables ---- */

/* The physical address of @va by the page tables at @cr3. */
static uint64_t translate(const struct guestmem *mem, uint64_t cr3, uint64_t va)
{
	uint64_t entry = cr3;

	for (unsigned int shift = 39; shift >= 21; shift -= 9) {
		const uint64_t table = entry & ~0xfffull;

		assert_int_equal(guestmem_read(mem, table + (va >> shift & 511) * 8, &entry, 8), 0);
		assert_int_equal(entry & 3, 3); /* present, writable */
		if (entry & 0x80) {
			assert_int_equal(shift, 21);
			return (entry & ~0x1fffffull) | (va & 0x1fffff);
		}
	}
	fail_msg("no large page for %#llx", (unsigned long long)va);
	return 0;
}

static void test_4_gib_are_mapped_to_themselves(void **state)
{
	struct guest g;
	uint64_t next;

	guest_init(&g, 2 * MIB);
	assert_int_equal(guest_load(&g, &image, sizeof(image)), 0);
	for (uint64_t va = 0; va < 4 * GIB; va += 2 * MIB - 4096 * 3)
		assert_int_equal(translate(&g.mem, g.entry.cr3, va), va);
	assert_int_equal(translate(&g.mem, g.entry.cr3, 4 * GIB - 1), 4 * GIB - 1);
	assert_int_equal(guestmem_read(&g.mem, g.entry.cr3 + 4096 + 4 * 8, &next, 8), 0);
	assert_int_equal(next, 0); /* and no more */
	assert_true(guest_is_zero(&g, g.entry.cr3 + 6 * 4096, BOOT_CMDLINE));
	assert_int_equal(translate(&g.mem, g.entry.cr3, g.entry.rsp), BOOT_STACK);
	guest_destroy(&g);
}

static void test_gdt_is_of_the_mode(void **state)
{
	uint64_t gdt[6];
	struct guest g;

	guest_init(&g, 2 * MIB);
	assert_int_equal(guest_load(&g, &image, sizeof(image)), 0);
	assert_int_equal(g.entry.gdt_limit, sizeof(gdt) - 1);
	assert_int_equal(guestmem_read(&g.mem, g.entry.gdt_base, gdt, sizeof(gdt)), 0);
	assert_int_equal(gdt[0], 0);
	assert_int_equal(gdt[2], 0x00af9b000000ffff); /* L, not D */
	assert_int_equal(gdt[3], 0x00cf93000000ffff);
	assert_int_equal(gdt[4] >> 40 & 0xff, 0x8b); /* a busy TSS */

	assert_int_equal(guest_load(&g, &elf, sizeof(elf)), 0);
	assert_int_equal(guestmem_read(&g.mem, g.entry.gdt_base, gdt, sizeof(gdt)), 0);
	assert_int_equal(gdt[2], 0x00cf9b000000ffff); /* D, not L */
	assert_int_equal(g.entry.cr3, 0);
	guest_destroy(&g);
}

/* ---- files ---- */

/* Load @kernel and @initrd by path into a guest of 2 MiB. */
static int load_paths(const char *kernel, const char *initrd)
{
	const struct boot_source src = { .kernel = kernel, .initrd = initrd, .cmdline = "" };
	struct guest g;
	int ret;

	guest_init(&g, 2 * MIB);
	forget_message();
	ret = boot_load(&g.mem, &src, &g.entry);
	guest_destroy(&g);
	return ret;
}

static void test_files_that_are_no_good(void **state)
{
	char dir[] = "/tmp/minivmm-boot-XXXXXX";
	char fifo[64], empty[32], kernel[32];
	int empty_fd = file_with("", 0, empty);
	int kernel_fd = file_with(&image, sizeof(image), kernel);

	assert_non_null(mkdtemp(dir));
	snprintf(fifo, sizeof(fifo), "%s/fifo", dir);
	assert_int_equal(mkfifo(fifo, 0600), 0);

	assert_int_equal(load_paths(kernel, NULL), 0);
	for (int initrd = 0; initrd <= 1; initrd++) {
		const char *what = initrd ? "initrd '/" : "kernel '/";

#define LOAD(path) (initrd ? load_paths(kernel, path) : load_paths(path, NULL))
		assert_int_equal(LOAD("/nonexistent"), -ENOENT);
		assert_said("No such file");
		assert_said(what);
		assert_int_equal(LOAD(dir), -EINVAL);
		assert_said("is a directory");
		assert_said(what);
		assert_int_equal(LOAD(fifo), -EINVAL);
		assert_said("not a regular file");
		assert_int_equal(LOAD("/dev/null"), -EINVAL);
		assert_said("not a regular file");
		assert_int_equal(LOAD(empty), -EINVAL);
		assert_said("is empty");
#undef LOAD
	}
	unlink(fifo);
	rmdir(dir);
	close(empty_fd);
	close(kernel_fd);
}

static void test_file_that_may_not_be_read(void **state)
{
	char path[] = "/tmp/minivmm-boot-XXXXXX";
	const uid_t self = geteuid();
	int fd = mkstemp(path);
	int ret;

	assert_true(fd >= 0);
	assert_int_equal(fchmod(fd, 0), 0);
	if (access(path, R_OK) == 0 && seteuid(65534) < 0) /* whom no mode keeps out */
		skip();
	ret = load_paths(path, NULL);
	assert_int_equal(seteuid(self), 0);
	assert_int_equal(ret, -EACCES);
	assert_said("Permission denied");
	unlink(path);
	close(fd);
}

/* The size is taken once; what the file lacks by then is an error, not a short kernel. */
static void test_file_that_shrinks(void **state)
{
	struct boot_file f;
	uint8_t bytes[64] = { 0 };
	char path[32];
	int fd = file_with(bytes, sizeof(bytes), path);

	assert_int_equal(boot_file_open(&f, "initrd", path), 0);
	assert_int_equal(f.size, sizeof(bytes));
	assert_int_equal(boot_file_read(&f, 0, bytes, f.size), 0);
	assert_int_equal(ftruncate(fd, 10), 0);
	assert_int_equal(boot_file_read(&f, 0, bytes, f.size), -EIO);
	assert_said("at byte 10: the file ends there");
	boot_file_close(&f);
	close(fd);
}

static void test_neither_kind_of_kernel(void **state)
{
	struct guest g;

	guest_init(&g, 2 * MIB);
	assert_int_equal(guest_load(&g, "#!/bin/sh\n", 10), -ENOEXEC);
	assert_said("neither a bzImage nor an ELF kernel");
	memset(&image, 0, sizeof(image));
	assert_int_equal(guest_load(&g, &image, sizeof(image)), -ENOEXEC);
	assert_said("neither a bzImage nor an ELF kernel");
	assert_int_equal(guest_load(&g, "\177ELF", 4), -ENOEXEC);
	assert_said("truncated");
	guest_destroy(&g);
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

/* mov dx, port; mov al, value; out dx, al; and it stays there. Both protocols. */
static void test_reset_as_a_bios_would(void **state)
{
	static const uint8_t code[16] = { 0xba, 0x04, 0x06, 0xb0, 0x01, 0xee, 0xf4, 0xeb, 0xfd };
	static const uint8_t none[2] = { 0xff, 0xff };

	for (unsigned int pvh = 0; pvh < 2; pvh++) {
		struct guest g;

		guest_init(&g, 16 * MIB);
		assert_int_equal(pvh ? guest_load(&g, &elf, sizeof(elf))
				     : guest_load(&g, &image, sizeof(image)),
				 0);
		assert_memory_equal(guestmem_ptr(&g.mem, 0xffff0, 16), code, 16);
		assert_memory_equal(guestmem_ptr(&g.mem, 0x472, 2), none, 2);
		guest_destroy(&g);
	}
	assert_int_equal(PORT_RESET, 0x604);
	assert_int_equal(RESET_VALUE, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_memory_map),
		TEST(test_initrd_is_as_high_as_it_may_be),
		TEST(test_initrd_reaches_pvh_kernels),
		TEST(test_initrd_never_meets_the_kernel),
		TEST(test_command_line_limits),
		TEST(test_4_gib_are_mapped_to_themselves),
		TEST(test_gdt_is_of_the_mode),
		TEST(test_reset_as_a_bios_would),
		TEST(test_files_that_are_no_good),
		TEST(test_file_that_may_not_be_read),
		TEST(test_file_that_shrinks),
		TEST(test_neither_kind_of_kernel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
