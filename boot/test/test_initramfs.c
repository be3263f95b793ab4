/* The initramfs, read back as the kernel reads it. */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "boot/initramfs.h"
#include "vmm/base/test/unit.h"

/* What stands at @at; the place behind it. */
static size_t entry(const struct initramfs *fs, size_t at, const char **name, uint32_t *mode,
		    const uint8_t **data, uint32_t *len)
{
	unsigned int field[13], name_len;

	assert_int_equal(at % 4, 0);
	assert_true(at + 110 <= fs->len);
	assert_memory_equal(fs->data + at, "070701", 6);
	for (int i = 0; i < 13; i++) {
		char digits[9] = { 0 };

		memcpy(digits, fs->data + at + 6 + 8 * i, 8);
		assert_int_equal(sscanf(digits, "%8x", &field[i]), 1);
	}
	*mode = field[1];
	*len = field[6];
	name_len = field[11];
	*name = (const char *)fs->data + at + 110;
	assert_int_equal(strlen(*name) + 1, name_len);
	at = (at + 110 + name_len + 3) & ~3ul;
	*data = fs->data + at;
	at = (at + *len + 3) & ~3ul;
	assert_true(at <= fs->len);
	return at;
}

static void what_was_put_in_comes_out(void **state)
{
	struct initramfs fs;
	const uint8_t *data;
	const char *name;
	uint32_t mode, len;
	size_t at;

	initramfs_init(&fs);
	initramfs_dir(&fs, "dev");
	initramfs_device(&fs, "dev/console", 5, 1);
	initramfs_file(&fs, "init", 0755,
		       "\x7f"
		       "ELF",
		       4);
	initramfs_file(&fs, "empty", 0644, NULL, 0);
	initramfs_file(&fs, "odd", 0600, "12345", 5);
	assert_int_equal(initramfs_finish(&fs), 0);

	at = entry(&fs, 0, &name, &mode, &data, &len);
	assert_string_equal(name, "dev");
	assert_int_equal(mode, S_IFDIR | 0755);
	at = entry(&fs, at, &name, &mode, &data, &len);
	assert_string_equal(name, "dev/console");
	assert_int_equal(mode, S_IFCHR | 0600);
	at = entry(&fs, at, &name, &mode, &data, &len);
	assert_string_equal(name, "init");
	assert_int_equal(mode, S_IFREG | 0755);
	assert_int_equal(len, 4);
	assert_memory_equal(data,
			    "\x7f"
			    "ELF",
			    4);
	at = entry(&fs, at, &name, &mode, &data, &len);
	assert_string_equal(name, "empty");
	assert_int_equal(len, 0);
	at = entry(&fs, at, &name, &mode, &data, &len);
	assert_string_equal(name, "odd");
	assert_memory_equal(data, "12345", 5);
	at = entry(&fs, at, &name, &mode, &data, &len);
	assert_string_equal(name, "TRAILER!!!");
	assert_int_equal(at, fs.len);
	initramfs_destroy(&fs);
}

static void a_file_larger_than_the_format_is_refused(void **state)
{
	struct initramfs fs;

	initramfs_init(&fs);
	initramfs_file(&fs, "huge", 0644, "", (size_t)UINT32_MAX + 1);
	initramfs_file(&fs, "later", 0644, "x", 1);
	assert_int_equal(initramfs_finish(&fs), -EFBIG);
	initramfs_destroy(&fs);
	assert_null(fs.data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_put_in_comes_out),
		cmocka_unit_test(a_file_larger_than_the_format_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
