/* Files that are opened as disks and should not be, or not without a word. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/loop.h>

#include "devices/virtio/disk.h"
#include "vmm/base/test/parent.h"
#include "vmm/base/test/unit.h"

#define SIZE (64 * KIB)

static char path[64];
static int file;

static int setup(void **state)
{
	snprintf(path, sizeof(path), "/tmp/minivmm-test-image-XXXXXX");
	file = mkstemp(path);
	return file < 0 || ftruncate(file, SIZE) < 0;
}

static int teardown(void **state)
{
	close(file);
	return unlink(path);
}

static int opens(bool readonly, bool raw)
{
	struct disk disk;
	const int err = disk_open(&disk, path, -1, readonly, raw);

	if (!err)
		disk_close(&disk);
	return err;
}

static void mark(const void *bytes, size_t len, off_t at)
{
	assert_int_equal(ftruncate(file, 0), 0);
	assert_int_equal(ftruncate(file, SIZE), 0);
	assert_int_equal(pwrite(file, bytes, len, at), (ssize_t)len);
}

struct sample {
	const char *bytes;
	size_t len;
	off_t at;
};
#define SAMPLE(text, at)                   \
	{                                  \
		text, sizeof(text) - 1, at \
	}

/* The first bytes as the formats' own tools write them. */
static void test_formats_are_refused(void **state)
{
	static const struct sample samples[] = {
		SAMPLE("QFI\xfb\0\0\0\x03", 0),
		SAMPLE("QFI\xfb\0\0\0\x01", 0),
		SAMPLE("QED\0\0\0\1\0", 0),
		SAMPLE("KDMV\1\0\0\0\3\0\0\0", 0),
		SAMPLE("COWD\1\0\0\0", 0),
		SAMPLE("\xbe\xba\xfe\xca\0\0\0\0\0\0\0\0\1\0\2\0", 0),
		SAMPLE("# Disk DescriptorFile\nversion=1\n", 0),
		SAMPLE("vhdxfileq\0e\0m\0u\0", 0),
		SAMPLE("conectix\0\0\0\2\0\1\0\0", 0),
		SAMPLE("conectix\0\0\0\2\0\1\0\0", SIZE - 512),
		SAMPLE("conectix\0\0\0\2\0\1\0\0", SIZE - 511),
		SAMPLE("\x7f\x10\xda\xbe\1\0\1\0", 64),
		SAMPLE("WithoutFreeSpace\2\0\0\0", 0),
		SAMPLE("WithouFreSpacExt\2\0\0\0", 0),
		SAMPLE("Bochs Virtual HD Image\0", 0),
		SAMPLE("#!/bin/sh\n#V2.0 Format\nmodprobe cloop", 0),
		SAMPLE("koly\0\0\0\4\0\0\2\0", SIZE - 512),
		SAMPLE("\x1f\x8b\x08\x08\0\0\0\0\0\x03", 0),
		SAMPLE("\xfd"
		       "7zXZ\0\0\4",
		       0),
		SAMPLE("\x28\xb5\x2f\xfd\x04\x58", 0),
		SAMPLE("BZh91AY&SY", 0),
		SAMPLE("\x04\x22\x4d\x18\x64\x40", 0),
		SAMPLE("PK\3\4\x14\0", 0),
		SAMPLE("7z\xbc\xaf\x27\x1c\0\4", 0),
		SAMPLE("Rar!\x1a\x07\1\0", 0),
		SAMPLE("LZIP\1\x0c", 0),
		SAMPLE("\x89LZO\0\r\n\x1a\n\x10\x40", 0),
		SAMPLE("\x3a\xff\x26\xed\1\0\0\0", 0),
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(samples); i++) {
		mark(samples[i].bytes, samples[i].len, samples[i].at);
		assert_int_equal(opens(false, false), -EINVAL);
		assert_int_equal(opens(true, false), -EINVAL);
		assert_int_equal(opens(false, true), 0);
		assert_int_equal(opens(true, true), 0);
	}
}

/* Marks of what raw disks hold, and marks in the wrong place. */
static void test_raw_disks_are_taken(void **state)
{
	static const struct sample samples[] = {
		SAMPLE("", 0),
		SAMPLE("LUKS\xba\xbe\0\2", 0),
		SAMPLE("\x55\xaa", 510),
		SAMPLE("EFI PART", 512),
		SAMPLE("\x53\xef", 1080),
		SAMPLE("hsqs", 0),
		SAMPLE("\x1f\x8b", 0),
		SAMPLE("BZh9", 0),
		SAMPLE("\x01"
		       "CD001\1",
		       0x8000), /* ISO 9660 */
		SAMPLE("#!/bin/sh\necho payload\n", 0),
		SAMPLE("QFI\xfb", 512),
		SAMPLE("conectix", SIZE - 1024),
		SAMPLE("\x7f\x10\xda\xbe", 0),
		SAMPLE("QFI\xfa", 0),
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(samples); i++) {
		mark(samples[i].bytes, samples[i].len, samples[i].at);
		assert_int_equal(opens(false, false), 0);
	}
}

/* Not an odd size is what is wrong with it; and a file shorter than a mark has none. */
static void test_odd_sizes(void **state)
{
	mark("KDMV", 4, 0);
	for (off_t size = 513; size > 0; size -= 128) {
		assert_int_equal(ftruncate(file, size), 0);
		assert_int_equal(opens(false, false), -EINVAL);
		assert_int_equal(opens(false, true), size % 512 ? -EINVAL : 0);
	}
	assert_int_equal(ftruncate(file, 0), 0);
	assert_int_equal(opens(false, false), -EINVAL);
}

static void test_sealed_file(void **state)
{
	const int fd = memfd_create("disk", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	char name[32];
	struct disk disk;

	need_proc();
	assert_true(fd >= 0 && ftruncate(fd, SIZE) == 0);
	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	assert_int_equal(disk_open(&disk, name, -1, false, false), 0);
	disk_close(&disk);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), 0);
	assert_int_equal(disk_open(&disk, name, -1, false, false), -EROFS);
	assert_int_equal(disk_open(&disk, name, -1, true, false), 0);
	disk_close(&disk);
	close(fd);
}

/* A device on @file with blocks of @size bytes, gone when it is closed: its descriptor, or -1. */
static int loop_device(char name[32], uint32_t size)
{
	struct loop_config config = { .fd = (uint32_t)file,
				      .block_size = size,
				      .info.lo_flags = LO_FLAGS_AUTOCLEAR };
	const int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	const int number = control < 0 ? -1 : ioctl(control, LOOP_CTL_GET_FREE);
	int fd = -1;

	close_fd(control);
	snprintf(name, 32, "/dev/loop%d", number);
	if (number >= 0)
		fd = open(name, O_RDWR | O_CLOEXEC);
	if (fd >= 0 && ioctl(fd, LOOP_CONFIGURE, &config) < 0) {
		close(fd);
		fd = -1;
	}
	return fd;
}

static void assert_bytes(const struct disk *disk, uint64_t from, uint64_t to, uint8_t value)
{
	uint8_t byte;

	for (; from < to; from++) {
		assert_int_equal(pread(disk->fd, &byte, 1, (off_t)from), 1);
		assert_int_equal(byte, value);
	}
}

/* What is not made of whole blocks is zeroed, too, and given back as far as it goes. */
static void test_large_blocks(void **state)
{
	static uint8_t ones[SIZE];
	struct iovec iov = { ones, SIZE };
	struct disk disk;
	char name[32];
	const int fd = loop_device(name, 4096);

	if (fd < 0)
		skip(); /* no right to one, or a Linux before 5.8 */
	memset(ones, 1, SIZE);
	assert_int_equal(disk_open(&disk, name, -1, false, true), 0);
	assert_int_equal(disk.block, 4096);
	assert_int_equal(disk_write(&disk, &iov, 1, 0), 0);
	assert_int_equal(disk_write_zeroes(&disk, 512, 1024, true), 0);
	assert_int_equal(disk_write_zeroes(&disk, 8192, 4608, false), 0);
	assert_bytes(&disk, 0, 512, 1);
	assert_bytes(&disk, 512, 1536, 0);
	assert_bytes(&disk, 1536, 8192, 1);
	assert_bytes(&disk, 8192, 12800, 0);
	assert_bytes(&disk, 12800, SIZE, 1);
	assert_int_equal(disk_discard(&disk, 16384 + 512, 7168), 0);
	assert_bytes(&disk, 12800, SIZE, 1);
	assert_int_equal(disk_discard(&disk, 16384 + 512, 8192), 0);
	assert_bytes(&disk, 12800, 20480, 1);
	assert_bytes(&disk, 24576, SIZE, 1);
	assert_int_equal(disk.errors, 0);
	disk_close(&disk);
	close(fd);
}

/* What the guest's buffers are aligned to is not in our hands. */
static void test_unfit_descriptors(void **state)
{
	static const int flags[] = { O_RDWR | O_DIRECT, O_RDWR | O_APPEND, O_PATH, O_WRONLY,
				     O_RDONLY };
	struct disk disk;

	for (unsigned int i = 0; i < ARRAY_SIZE(flags); i++) {
		const int fd = open(path, flags[i]);

		if (fd < 0)
			continue; /* a file system without O_DIRECT */
		assert_int_equal(disk_open(&disk, NULL, fd, false, false), -EACCES);
		assert_true(fcntl(fd, F_GETFD) >= 0); /* still the user's */
		close(fd);
	}
}

/* A number that the user believes to be open. */
static void test_own_descriptor(void **state)
{
	const int fd = open(path, O_RDWR | O_CLOEXEC);
	struct disk disk;

	assert_int_equal(disk_open(&disk, NULL, fd, false, false), -EBADF);
	assert_int_equal(close(fd), 0);
}

static bool byte_is_locked(int fd, off_t byte)
{
	struct flock lock = { .l_type = F_WRLCK, .l_start = byte, .l_len = 1 };

	assert_int_equal(fcntl(fd, F_OFD_GETLK, &lock), 0);
	return lock.l_type != F_UNLCK;
}

/* QEMU holds byte 100 + n for a permission that it uses, and 200 + n for one that it does not share. */
static void test_qemu_has_it(void **state)
{
	static const struct {
		off_t byte;
		bool reads, writes; /* whether we may */
	} locks[] = {
		{ 100, true, false }, { 101, false, false }, { 103, false, false },
		{ 104, true, true },  { 200, false, false }, { 201, true, false },
		{ 203, true, true },  { 0, true, true },
	};
	struct disk disk;

	for (unsigned int i = 0; i < ARRAY_SIZE(locks); i++) {
		struct flock lock = { .l_type = F_RDLCK, .l_start = locks[i].byte, .l_len = 1 };

		assert_int_equal(fcntl(file, F_OFD_SETLK, &lock), 0);
		assert_int_equal(opens(true, true), locks[i].reads ? 0 : -EBUSY);
		assert_int_equal(opens(false, true), locks[i].writes ? 0 : -EBUSY);
		lock.l_type = F_UNLCK;
		assert_int_equal(fcntl(file, F_OFD_SETLK, &lock), 0);
	}
	for (unsigned int readonly = 0; readonly < 2; readonly++) {
		assert_int_equal(disk_open(&disk, path, -1, readonly, true), 0);
		assert_true(byte_is_locked(file, 100));
		assert_true(byte_is_locked(file, 101) == !readonly);
		assert_true(byte_is_locked(file, 200) == !readonly);
		assert_true(byte_is_locked(file, 201) && byte_is_locked(file, 203));
		disk_close(&disk);
		assert_false(byte_is_locked(file, 100) || byte_is_locked(file, 201));
	}
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_formats_are_refused), TEST(test_raw_disks_are_taken),
		TEST(test_odd_sizes),		TEST(test_sealed_file),
		TEST(test_large_blocks),	TEST(test_unfit_descriptors),
		TEST(test_own_descriptor),	TEST(test_qemu_has_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
