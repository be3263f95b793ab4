/* Images in other formats, read-only devices, and files that the host has in use. */
#include "devices/virtio/image.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <linux/fs.h>

#include "vmm/base/log.h"

/* ---- formats ---- */

struct format {
	const char *name;
	int64_t offset; /* of the mark; negative: from the end */
	const char *mark;
	unsigned int len;
	const char *unpack; /* the command, of what is packed and no image */
};

#define MARK(text) text, sizeof(text) - 1

static const struct format formats[] = {
	{ "qcow2", 0, MARK("QFI\xfb") },
	{ "QED", 0, MARK("QED\0") },
	{ "VMDK", 0, MARK("KDMV") },
	{ "VMDK", 0, MARK("COWD") },
	{ "VMDK", 0, MARK("\xbe\xba\xfe\xca\0\0\0\0") }, /* SE sparse */
	{ "VMDK", 0, MARK("# Disk DescriptorFile") },
	{ "VHDX", 0, MARK("vhdxfile") },
	{ "VHD", 0, MARK("conectix") },	   /* growing or differencing */
	{ "VHD", -512, MARK("conectix") }, /* fixed: a raw disk with a sector behind it */
	{ "VHD", -511, MARK("conectix") }, /* the same, by Virtual PC before 2004 */
	{ "VDI", 64, MARK("\x7f\x10\xda\xbe") },
	{ "Parallels", 0, MARK("WithoutFreeSpace") },
	{ "Parallels", 0, MARK("WithouFreSpacExt") },
	{ "Bochs", 0, MARK("Bochs Virtual HD Image") },
	{ "cloop", 0, MARK("#!/bin/sh\n#V2.0 Format") },
	{ "DMG", -512, MARK("koly") },
	/* Whatever is in there, its users mean what is in there. */
	{ "gzip", 0, MARK("\x1f\x8b\x08"), "gzip -d" },
	{ "xz", 0,
	  MARK("\xfd"
	       "7zXZ\0"),
	  "xz -d" },
	{ "zstd", 0, MARK("\x28\xb5\x2f\xfd"), "zstd -d" },
	{ "bzip2", 4, MARK("1AY&SY"), "bzip2 -d" },
	{ "lz4", 0, MARK("\x04\x22\x4d\x18"), "lz4 -d" },
	{ "zip", 0, MARK("PK\3\4"), "unzip" },
	{ "7z", 0, MARK("7z\xbc\xaf\x27\x1c"), "7z x" },
	{ "rar", 0, MARK("Rar!\x1a\x07"), "unrar x" },
	{ "lzip", 0, MARK("LZIP"), "lzip -d" },
	{ "lzop", 0, MARK("\x89LZO\0\r\n\x1a\n"), "lzop -d" },
	{ "img2simg", 0, MARK("\x3a\xff\x26\xed"), "simg2img" },
};

static bool has_mark(int fd, uint64_t size, const struct format *f)
{
	char bytes[32];
	const int64_t at = f->offset < 0 ? (int64_t)size + f->offset : f->offset;

	return at >= 0 && pread(fd, bytes, f->len, at) == (ssize_t)f->len &&
	       !memcmp(bytes, f->mark, f->len);
}

int image_check_raw(int fd, const char *path, uint64_t size)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(formats); i++) {
		const struct format *f = &formats[i];

		if (!has_mark(fd, size, f))
			continue;
		if (f->unpack)
			return log_fail(-EINVAL,
					"cannot use '%s' as a disk: it is packed by %s "
					"(%s '%s' unpacks it; ',raw' takes the file as it is)",
					path, f->name, f->unpack, path);
		return log_fail(
			-EINVAL,
			"cannot use '%s' as a disk: it is a %s image, and disks are raw "
			"(qemu-img convert -O raw '%s' '%s.raw' makes it one; ',raw' takes the file as it is)",
			path, f->name, path, path);
	}
	return 0;
}

/* ---- read-only ---- */

int image_check_writable(int fd, const char *path)
{
	const int seals = fcntl(fd, F_GET_SEALS);
	int readonly = 0;

	if (ioctl(fd, BLKROGET, &readonly) < 0)
		readonly = 0; /* a regular file */
	if (!readonly && (seals < 0 || !(seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE))))
		return 0;
	return log_fail(-EROFS, "cannot open disk '%s': %s (',ro' opens it for reading only)", path,
			readonly ? "the device is read-only"
				 : "the file is sealed against writing");
}

/* ---- in use by the host ---- */

/* The line in the file at @path, without its end; false where there is none. */
static bool read_line(const char *path, char *line, int size)
{
	FILE *f = fopen(path, "re");
	const bool good = f && fgets(line, size, f);

	if (good)
		line[strcspn(line, "\n")] = '\0';
	if (f)
		fclose(f);
	return good;
}

/* Whether one of the kernel's loop devices, of which @backing is an entry in /sys, makes a disk of @st. */
static bool is_behind(const char *backing, const struct stat *st, bool readonly)
{
	char path[4096], ro[128], value[8];
	struct stat other;

	if (!read_line(backing, path, sizeof(path)) || stat(path, &other) < 0 ||
	    other.st_dev != st->st_dev || other.st_ino != st->st_ino)
		return false;
	/* Two who only read do each other no harm. */
	snprintf(ro, sizeof(ro), "%.*s/ro", (int)strcspn(backing + 11, "/") + 11, backing);
	return !readonly || !read_line(ro, value, sizeof(value)) || *value == '0';
}

static void warn_of_loop(const struct stat *st, const char *path, bool readonly)
{
	glob_t found;

	if (glob("/sys/block/loop*/loop/backing_file", 0, NULL, &found))
		return;
	for (size_t i = 0; i < found.gl_pathc; i++) {
		const char *name = found.gl_pathv[i] + strlen("/sys/block/");

		if (!is_behind(found.gl_pathv[i], st, readonly))
			continue;
		log_warn(
			"disk '%s' is also behind /dev/%.*s: what host and guest write there destroys each other's data",
			path, (int)strcspn(name, "/"), name);
		break;
	}
	globfree(&found);
}

void image_warn_in_use(int fd, const char *path, bool readonly)
{
	struct stat st;
	char again[32];
	int other;

	if (fstat(fd, &st) < 0)
		return;
	if (S_ISREG(st.st_mode)) {
		warn_of_loop(&st, path, readonly);
		return;
	}
	/* The kernel lets nobody else in, with O_EXCL, while it has the device or a part of it mounted or claimed. */
	snprintf(again, sizeof(again), "/proc/self/fd/%d", fd);
	other = open(again, O_RDONLY | O_EXCL | O_CLOEXEC | O_NONBLOCK);
	if (other >= 0)
		close(other);
	else if (errno == EBUSY)
		log_warn(
			"disk '%s' is mounted or otherwise in use by the host: what host and guest write there destroys each other's data",
			path);
}
