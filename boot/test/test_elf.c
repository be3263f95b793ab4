/* ELF kernels whole, truncated and altered. */
#include <errno.h>
#include <string.h>

#include "boot/test/guest.h"
#include "vmm/base/test/unit.h"
#include "vmm/x86/memmap.h"

static struct guest guest;
static struct elf_image image;

static int setup(void **state)
{
	guest_init(&guest, 2 * MIB);
	elf_make(&image);
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

static void assert_segments_loaded(void)
{
	const uint64_t code_end = ELF_CODE + sizeof(image.code);
	const uint64_t data_end = ELF_DATA + sizeof(image.data);

	assert_memory_equal(guestmem_ptr(&guest.mem, ELF_CODE, sizeof(image.code)), image.code,
			    sizeof(image.code));
	assert_memory_equal(guestmem_ptr(&guest.mem, ELF_DATA, sizeof(image.data)), image.data,
			    sizeof(image.data));
	assert_true(guest_is_zero(&guest, BOOT_LOW_END, ELF_CODE));
	assert_true(guest_is_zero(&guest, code_end, ELF_DATA));
	assert_true(guest_is_zero(&guest, data_end, 2 * MIB));
}

static void test_note_means_pvh(void **state)
{
	assert_int_equal(load(), 0);
	assert_segments_loaded();
	assert_string_equal(guest.entry.protocol, "pvh");
	assert_false(guest.entry.long_mode);
	assert_int_equal(guest.entry.rip, ELF_PVH);
	assert_int_equal(guest.entry.rbx, BOOT_PVH_INFO);
}

static void test_no_note_means_the_64_bit_entry(void **state)
{
	const struct boot_params *zp = guest_zero_page(&guest);

	image.ph[1].p_type = PT_NULL;
	assert_int_equal(load(), 0);
	assert_segments_loaded();
	assert_string_equal(guest.entry.protocol, "linux64");
	assert_true(guest.entry.long_mode);
	assert_int_equal(guest.entry.rip, ELF_ENTRY);
	assert_int_equal(guest.entry.rsi, BOOT_ZERO_PAGE);
	assert_int_equal(guest.entry.cr3, BOOT_PAGE_TABLES);
	assert_int_equal(zp->hdr.boot_flag, 0xaa55);
	assert_int_equal(zp->hdr.header, 0x53726448);
	assert_int_equal(zp->hdr.type_of_loader, 0xff);
	assert_int_equal(zp->acpi_rsdp_addr, GUEST_RSDP);
	assert_int_equal(zp->hdr.cmd_line_ptr, BOOT_CMDLINE);
}

static void test_notes_of_others_are_passed_over(void **state)
{
	image.note.h.n_type = 17;
	assert_int_equal(load(), 0);
	assert_string_equal(guest.entry.protocol, "linux64");
	image.note.h.n_type = 18;
	memcpy(image.note.owner, "GNU", 4);
	assert_int_equal(load(), 0);
	assert_string_equal(guest.entry.protocol, "linux64");
}

/* The PVH note behind another one, whose end is padded to four or to eight; its entry of four bytes. */
static void test_note_behind_another(void **state)
{
	const Elf64_Nhdr other = { .n_namesz = 5, .n_descsz = 1, .n_type = 1 };
	struct {
		struct elf_image image;
		uint8_t notes[64];
	} file = { .image = image };

	image.note.h.n_descsz = 4;
	image.note.desc[1] = 0xffffffff; /* not the note's */
	for (uint64_t align = 4; align <= 8; align += 4) {
		const size_t second = align == 4 ? 24 : 32;

		file.image.ph[1].p_align = align;
		file.image.ph[1].p_offset = offsetof(__typeof__(file), notes);
		file.image.ph[1].p_filesz = second + sizeof(image.note) - 4;
		memset(file.notes, 0, sizeof(file.notes));
		memcpy(file.notes, &other, sizeof(other));
		memcpy(file.notes + second, &image.note, sizeof(image.note));
		assert_int_equal(guest_load(&guest, &file, sizeof(file)), 0);
		assert_string_equal(guest.entry.protocol, "pvh");
		assert_int_equal(guest.entry.rip, ELF_PVH);
	}
}

static void test_empty_segments_do_not_count(void **state)
{
	image.ph[1] = (Elf64_Phdr){ .p_type = PT_LOAD, .p_paddr = 0 };
	assert_int_equal(load(), 0);
	assert_segments_loaded();
	image.ph[1].p_paddr = ELF_CODE + 8;
	assert_int_equal(load(), 0);
}

static void test_every_truncation_is_an_error(void **state)
{
	for (size_t len = 0; len < sizeof(image); len++) {
		assert_true(guest_load(&guest, &image, len) < 0);
		assert_string_not_equal(last_message(), "");
	}
	assert_true(guest_is_zero(&guest, 0, 2 * MIB));
}

#define FIELD(name, value) \
#name, offsetof(struct elf_image, name), sizeof(image.name), (uint64_t)(value)

static void test_bad_fields_are_named(void **state)
{
	const struct {
		const char *field;
		size_t offset, size;
		uint64_t value;
		int error;
		const char *message;
	} cases[] = {
		{ FIELD(eh.e_ident[EI_CLASS], ELFCLASS32), -ENOEXEC, "32-bit kernel" },
		{ FIELD(eh.e_ident[EI_CLASS], 3), -ENOEXEC, "not for x86-64" },
		{ FIELD(eh.e_ident[EI_DATA], ELFDATA2MSB), -ENOEXEC, "not for x86-64" },
		{ FIELD(eh.e_machine, EM_AARCH64), -ENOEXEC, "not for x86-64" },
		{ FIELD(eh.e_type, ET_REL), -ENOEXEC, "no executable" },
		{ FIELD(eh.e_type, ET_CORE), -ENOEXEC, "no executable" },
		{ FIELD(eh.e_phentsize, 55), -ENOEXEC, "program headers" },
		{ FIELD(eh.e_phnum, 0), -ENOEXEC, "0 ELF program headers" },
		{ FIELD(eh.e_phnum, 65), -ENOEXEC, "65 ELF program headers" },
		{ FIELD(eh.e_phnum, 0xffff), -ENOEXEC, "65535 ELF program headers" },
		{ FIELD(eh.e_phnum, 64), -ENOEXEC, "truncated" },
		{ FIELD(eh.e_phoff, sizeof(image)), -ENOEXEC, "truncated" },
		{ FIELD(eh.e_phoff, UINT64_MAX - 8), -ENOEXEC, "truncated" },
		{ FIELD(ph[0].p_offset, sizeof(image)), -ENOEXEC, "truncated" },
		{ FIELD(ph[0].p_offset, UINT64_MAX), -ENOEXEC, "truncated" },
		{ FIELD(ph[0].p_filesz, UINT64_MAX), -ENOEXEC, "truncated" },
		{ FIELD(ph[0].p_filesz, sizeof(image)), -ENOEXEC, "truncated" },
		{ FIELD(ph[0].p_memsz, 0xff), -ENOEXEC, "larger in the file" },
		{ FIELD(ph[0].p_memsz, 0), -ENOEXEC, "larger in the file" },
		{ FIELD(ph[0].p_paddr, 0), -ENOEXEC, "below 1 MiB" },
		{ FIELD(ph[0].p_paddr, 0xfffff), -ENOEXEC, "below 1 MiB" },
		{ FIELD(ph[0].p_paddr, UINT64_MAX), -ENOMEM, "more memory" },
		{ FIELD(ph[0].p_paddr, 2 * MIB), -ENOMEM, "the guest has 2048 KiB" },
		{ FIELD(ph[0].p_paddr, 2 * MIB - ELF_CODE_MEM + 1), -ENOMEM, "needs 12 KiB" },
		{ FIELD(ph[0].p_memsz, UINT64_MAX), -ENOMEM, "more memory" },
		{ FIELD(ph[0].p_memsz, MIB + 1), -ENOMEM, "needs 1025 KiB of RAM at 0x100000" },
		{ FIELD(ph[0].p_memsz, ELF_DATA - ELF_CODE + 1), -ENOEXEC, "0 and 2 overlap" },
		{ FIELD(ph[2].p_paddr, ELF_CODE), -ENOEXEC, "overlap" },
		{ FIELD(ph[2].p_paddr, ELF_CODE + ELF_CODE_MEM - 1), -ENOEXEC, "overlap" },
		{ FIELD(ph[0].p_type, PT_NULL), -ENOEXEC, "entry point 0x100040" },
		{ FIELD(ph[1].p_offset, UINT64_MAX), -ENOEXEC, "notes" },
		{ FIELD(ph[1].p_filesz, 0x10001), -ENOEXEC, "notes" },
		{ FIELD(ph[1].p_filesz, sizeof(image.note) - 1), -ENOEXEC, "note reaches past" },
		{ FIELD(note.h.n_namesz, 0xffffffff), -ENOEXEC, "note reaches past" },
		{ FIELD(note.h.n_descsz, 0xffffffff), -ENOEXEC, "note reaches past" },
		{ FIELD(note.h.n_descsz, 9), -ENOEXEC, "note reaches past" },
		{ FIELD(note.h.n_descsz, 0), -ENOEXEC, "PVH note has 0 bytes" },
		{ FIELD(note.h.n_descsz, 7), -ENOEXEC, "PVH note has 7 bytes" },
		{ FIELD(note.desc[0], 0), -ENOEXEC, "entry point 0 " },
		{ FIELD(note.desc[0], ELF_CODE + ELF_CODE_MEM), -ENOEXEC, "entry point 0x103000" },
		{ FIELD(note.desc[1], 1), -ENOEXEC, "entry point 0x100100040" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		elf_make(&image);
		memcpy((uint8_t *)&image + cases[i].offset, &cases[i].value, cases[i].size);
		if (load() != cases[i].error)
			fail_msg("%s = %#llx: %s", cases[i].field,
				 (unsigned long long)cases[i].value, last_message());
		assert_said(cases[i].message);
		assert_true(guest_is_zero(&guest, 0, 2 * MIB));
	}
}

static void test_64_bit_entry_must_be_loaded(void **state)
{
	image.ph[1].p_type = PT_NULL;
	image.eh.e_entry = 0xffffffff80000000ull + ELF_ENTRY; /* virtual */
	assert_int_equal(load(), -ENOEXEC);
	assert_said("entry point 0xffffffff80100080");
}

/* Whatever the headers' bytes are: an error, or an entry in RAM and nothing written below 1 MiB but
 * what boot_load() puts there. */
static void test_any_byte_of_the_headers(void **state)
{
	const uint8_t flips[] = { 0xff, 0x7f, 0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80 };
	unsigned int loaded = 0;

	for (size_t i = 0; i < offsetof(struct elf_image, code); i++) {
		for (size_t k = 0; k < ARRAY_SIZE(flips); k++) {
			elf_make(&image);
			((uint8_t *)&image)[i] ^= flips[k];
			if (load() == 0) {
				loaded++;
				assert_true(guest.entry.rip >= BOOT_HIGH_MEMORY);
				assert_non_null(guestmem_ptr(&guest.mem, guest.entry.rip, 1));
				assert_true(guest_is_zero(&guest, BOOT_LOW_END, BOOT_HIGH_MEMORY));
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
		TEST(test_note_means_pvh),
		TEST(test_no_note_means_the_64_bit_entry),
		TEST(test_notes_of_others_are_passed_over),
		TEST(test_note_behind_another),
		TEST(test_empty_segments_do_not_count),
		TEST(test_every_truncation_is_an_error),
		TEST(test_bad_fields_are_named),
		TEST(test_64_bit_entry_must_be_loaded),
		TEST(test_any_byte_of_the_headers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
