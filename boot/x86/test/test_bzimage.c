/* bzImages whole, truncated and altered. */
#include <errno.h>
#include <string.h>

#include "boot/test/guest.h"
#include "vmm/base/test/unit.h"
#include "vmm/x86/memmap.h"

static struct guest guest;
static struct bzimage image;

static int setup(void **state)
{
	guest_init(&guest, 2 * MIB);
	bzimage_make(&image);
	return 0;
}

static int teardown(void **state)
{
	guest_destroy(&guest);
	return 0;
}

static int load(void)
{
	return guest_load(&guest, &image, sizeof(image));
}

static void assert_code_at(uint64_t gpa, const void *code)
{
	assert_memory_equal(guestmem_ptr(&guest.mem, gpa, BZIMAGE_CODE_LEN), code,
			    BZIMAGE_CODE_LEN);
	assert_true(guest_is_zero(&guest, BOOT_LOW_END, gpa));
	assert_true(guest_is_zero(&guest, gpa + BZIMAGE_CODE_LEN, guest.mem.region[0].len));
}

static void test_enters_its_code_by_the_64_bit_protocol(void **state)
{
	const struct boot_params *zp = guest_zero_page(&guest);

	guest.cmdline = "console=ttyS0 quiet";
	assert_int_equal(load(), 0);
	assert_code_at(BOOT_HIGH_MEMORY, image.code);
	assert_true(guest.entry.long_mode);
	assert_string_equal(guest.entry.protocol, "linux64");
	assert_int_equal(guest.entry.rip, BOOT_HIGH_MEMORY + 0x200);
	assert_int_equal(guest.entry.rsi, BOOT_ZERO_PAGE);
	assert_int_equal(guest.entry.cr3, BOOT_PAGE_TABLES);

	assert_int_equal(zp->hdr.type_of_loader, 0xff);
	assert_int_equal(zp->hdr.init_size, BZIMAGE_INIT_SIZE);
	assert_int_equal(zp->hdr.pref_address, BOOT_HIGH_MEMORY);
	assert_int_equal(zp->acpi_rsdp_addr, GUEST_RSDP);
	assert_int_equal(zp->hdr.ramdisk_size, 0);
	assert_string_equal((const char *)guestmem_ptr(&guest.mem, zp->hdr.cmd_line_ptr, 64),
			    "console=ttyS0 quiet");
}

static void test_relocatable_goes_where_it_prefers(void **state)
{
	guest_destroy(&guest);
	guest_init(&guest, 8 * MIB);
	image.h.relocatable_kernel = 1;
	image.h.pref_address = 0x480000;
	assert_int_equal(load(), 0);
	assert_int_equal(guest.entry.rip, 0x600000 + 0x200);
	assert_code_at(0x600000, image.code);

	guest_wipe(&guest);
	image.h.pref_address = 0;
	assert_int_equal(load(), 0);
	assert_int_equal(guest.entry.rip, 0x200000 + 0x200);
}

/* It is loaded at 1 MiB and moves itself: both places have to be RAM. */
static void test_not_relocatable_loads_at_1_mib(void **state)
{
	image.h.pref_address = 0x180000;
	assert_int_equal(load(), 0);
	assert_int_equal(guest.entry.rip, BOOT_HIGH_MEMORY + 0x200);
	image.h.pref_address = 2 * MIB;
	assert_int_equal(load(), -ENOMEM);
}

static void test_setup_sects_0_means_4(void **state)
{
	uint8_t file[5 * 512 + BZIMAGE_CODE_LEN] = { 0 };

	image.h.setup_sects = 0;
	memcpy(file, &image, BZIMAGE_SETUP_LEN);
	memcpy(file + 5 * 512, image.code, BZIMAGE_CODE_LEN);
	assert_int_equal(guest_load(&guest, file, sizeof(file)), 0);
	assert_code_at(BOOT_HIGH_MEMORY, image.code);
	assert_int_equal(load(), -ENOEXEC); /* the same header with one sector only */
}

static void test_what_follows_the_code_is_not_loaded(void **state)
{
	uint8_t file[sizeof(image) + 64];

	memset(file, 0xee, sizeof(file));
	memcpy(file, &image, sizeof(image));
	assert_int_equal(guest_load(&guest, file, sizeof(file)), 0);
	assert_code_at(BOOT_HIGH_MEMORY, image.code);
}

/* Only bytes of the header itself reach the zero page, however long it says it is. */
static void test_header_copy_is_bounded(void **state)
{
	const struct boot_params *zp = guest_zero_page(&guest);
	const size_t behind = 0x1f1 + sizeof(struct setup_header);

	image.h.kernel_info_offset = 0x11223344;
	image.h.jump = 0xffeb;
	assert_int_equal(load(), 0);
	assert_int_equal(zp->hdr.kernel_info_offset, 0x11223344);
	assert_true(guest_is_zero(&guest, BOOT_ZERO_PAGE + behind, BOOT_ZERO_PAGE + 0x2d0));
	assert_int_equal(zp->sentinel, 0);

	image.h.jump = 0x62eb; /* ends with init_size */
	assert_int_equal(load(), 0);
	assert_int_equal(zp->hdr.kernel_info_offset, 0);
	assert_int_equal(zp->hdr.init_size, BZIMAGE_INIT_SIZE);
}

static void test_stale_pointers_in_the_header_are_dropped(void **state)
{
	const struct boot_params *zp = guest_zero_page(&guest);

	image.h.ramdisk_image = 0x1000;
	image.h.ramdisk_size = 0x1000;
	image.h.setup_data = 0x1000;
	image.h.cmd_line_ptr = 0x1000;
	assert_int_equal(load(), 0);
	assert_int_equal(zp->hdr.ramdisk_image, 0);
	assert_int_equal(zp->hdr.ramdisk_size, 0);
	assert_int_equal(zp->hdr.setup_data, 0);
	assert_int_equal(zp->hdr.cmd_line_ptr, BOOT_CMDLINE);
}

/* memtest86+: syssize is rounded up to 16 bytes, and the file is not padded. */
static void test_last_paragraph_may_end_early(void **state)
{
	image.h.payload_length = 0;
	for (size_t missing = 0; missing <= 16; missing++) {
		memset(image.code, 0xaa, sizeof(image.code));
		guest_wipe(&guest);
		if (missing == 16) {
			assert_int_equal(guest_load(&guest, &image, sizeof(image) - missing),
					 -ENOEXEC);
			assert_said("truncated");
			continue;
		}
		assert_int_equal(guest_load(&guest, &image, sizeof(image) - missing), 0);
		const uint8_t *code = guestmem_ptr(&guest.mem, MIB, sizeof(image.code));
		assert_memory_equal(code, image.code, sizeof(image.code) - missing);
		assert_true(guest_is_zero(&guest, MIB + sizeof(image.code) - missing,
					  MIB + sizeof(image.code)));
	}
	/* But not where the kernel says that there is something. */
	image.h.payload_offset = sizeof(image.code) - 8;
	image.h.payload_length = 8;
	assert_int_equal(guest_load(&guest, &image, sizeof(image)), 0);
	assert_int_equal(guest_load(&guest, &image, sizeof(image) - 1), -ENOEXEC);
	assert_said("its payload reaches past the end");
}

static void test_every_truncation_is_an_error(void **state)
{
	for (size_t len = 0; len <= sizeof(image) - 16; len++) {
		assert_true(guest_load(&guest, &image, len) < 0);
		assert_string_not_equal(last_message(), "");
		if (len >= 0x1f1 + sizeof(image.h))
			assert_said("truncated");
	}
	assert_true(guest_is_zero(&guest, 0, 2 * MIB));
}

#define FIELD(name, value) #name, offsetof(struct setup_header, name), sizeof(image.h.name), value

static void test_bad_fields_are_named(void **state)
{
	const struct {
		const char *field;
		size_t offset, size;
		uint64_t value;
		int error;
		const char *message;
	} cases[] = {
		{ FIELD(boot_flag, 0xaa54), -ENOEXEC, "neither a bzImage nor an ELF" },
		{ FIELD(header, 0), -ENOEXEC, "neither a bzImage nor an ELF" },
		{ FIELD(version, 0x020b), -ENOEXEC, "boot protocol 2.11" },
		{ FIELD(version, 0), -ENOEXEC, "boot protocol 0.00" },
		{ FIELD(jump, 0x61eb), -ENOEXEC, "setup header ends" },
		{ FIELD(jump, 0), -ENOEXEC, "setup header ends" },
		{ FIELD(loadflags, 0), -ENOEXEC, "zImage" },
		{ FIELD(xloadflags, 0), -ENOEXEC, "32-bit kernel" },
		{ FIELD(xloadflags, 0xfffe), -ENOEXEC, "32-bit kernel" },
		{ FIELD(setup_sects, 0xff), -ENOEXEC, "truncated" },
		{ FIELD(setup_sects, 2), -ENOEXEC, "truncated" },
		{ FIELD(syssize, 0), -ENOEXEC, "no 64-bit entry" },
		{ FIELD(syssize, 0x20), -ENOEXEC, "no 64-bit entry" },
		{ FIELD(syssize, BZIMAGE_CODE_LEN / 16 + 1), -ENOEXEC, "truncated" },
		{ FIELD(syssize, 0xffffffff), -ENOEXEC, "truncated" },
		{ FIELD(payload_offset, 17), -ENOEXEC, "payload" },
		{ FIELD(payload_offset, 0xffffffff), -ENOEXEC, "payload" },
		{ FIELD(payload_length, 0xffffffff), -ENOEXEC, "payload" },
		{ FIELD(pref_address, 0), -ENOEXEC, "below 1 MiB" },
		{ FIELD(pref_address, 0xfffff), -ENOEXEC, "below 1 MiB" },
		{ FIELD(pref_address, 2 * MIB), -ENOMEM, "needs 32 KiB of RAM at 0x200000" },
		{ FIELD(pref_address, UINT64_MAX), -ENOMEM, "the guest has 2048 KiB" },
		{ FIELD(pref_address, UINT64_MAX - 0x1fffff), -ENOMEM, "the guest has 2048 KiB" },
		{ FIELD(init_size, MIB + 1), -ENOMEM, "needs 1025 KiB of RAM at 0x100000" },
		{ FIELD(init_size, MIB + 1), -ENOMEM, "below 3 GiB (give it more memory)" },
		{ FIELD(pref_address, 3 * GIB), -ENOMEM, "(more memory does not help)" },
		{ FIELD(pref_address, 1ull << 40), -ENOMEM, "(more memory does not help)" },
		{ FIELD(init_size, 0xffffffff), -ENOMEM, "(more memory does not help)" },
		{ FIELD(init_size, 0xffffffff), -ENOMEM, "more memory" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		bzimage_make(&image);
		memcpy((uint8_t *)&image.h + cases[i].offset, &cases[i].value, cases[i].size);
		if (load() != cases[i].error)
			fail_msg("%s = %#llx: %s", cases[i].field,
				 (unsigned long long)cases[i].value, last_message());
		assert_said(cases[i].message);
		assert_true(guest_is_zero(&guest, 0, 2 * MIB));
	}

	bzimage_make(&image);
	image.h.relocatable_kernel = 1;
	for (uint32_t align = 0; align < 0x100; align++) {
		image.h.kernel_alignment = align;
		assert_int_equal(load(), IS_POWER_OF_2(align) ? 0 : -ENOEXEC);
	}
	assert_said("kernel_alignment 0xff");
	image.h.kernel_alignment = 0x80000000;
	assert_int_equal(load(), -ENOMEM);
	image.h.pref_address = UINT64_MAX;
	assert_int_equal(load(), -ENOMEM);
}

static void test_fits_to_the_byte(void **state)
{
	image.h.init_size = MIB;
	assert_int_equal(load(), 0);
	image.h.init_size = 0; /* then its code counts */
	assert_int_equal(load(), 0);
}

/* Whatever the header's bytes are: an error, or an entry in RAM and nothing written elsewhere. */
static void test_any_byte_of_the_header(void **state)
{
	const uint8_t flips[] = { 0xff, 0x7f, 0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80 };
	unsigned int loaded = 0;

	for (size_t i = 0; i < sizeof(image.h); i++) {
		for (size_t k = 0; k < ARRAY_SIZE(flips); k++) {
			bzimage_make(&image);
			((uint8_t *)&image.h)[i] ^= flips[k];
			if (load() == 0) {
				const uint64_t start = guest.entry.rip - 0x200;

				loaded++;
				assert_true(start >= BOOT_HIGH_MEMORY);
				assert_non_null(guestmem_ptr(&guest.mem, start, BZIMAGE_INIT_SIZE));
				assert_true(guest_is_zero(&guest, BOOT_LOW_END, start));
				assert_true(
					guest_is_zero(&guest, start + BZIMAGE_CODE_LEN, 2 * MIB));
				guest_wipe(&guest);
			} else {
				assert_string_not_equal(last_message(), "");
				assert_true(guest_is_zero(&guest, 0, 2 * MIB));
			}
		}
	}
	assert_true(loaded > 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_enters_its_code_by_the_64_bit_protocol),
		TEST(test_relocatable_goes_where_it_prefers),
		TEST(test_not_relocatable_loads_at_1_mib),
		TEST(test_setup_sects_0_means_4),
		TEST(test_what_follows_the_code_is_not_loaded),
		TEST(test_header_copy_is_bounded),
		TEST(test_stale_pointers_in_the_header_are_dropped),
		TEST(test_last_paragraph_may_end_early),
		TEST(test_every_truncation_is_an_error),
		TEST(test_bad_fields_are_named),
		TEST(test_fits_to_the_byte),
		TEST(test_any_byte_of_the_header),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
