/* Kernel and initrd files, read straight into guest memory. */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "boot/file.h"
#include "vmm/base/log.h"

int boot_file_open(struct boot_file *f, const char *what, const char *path)
{
	const char *wrong = NULL;
	struct stat st;
	int ret;

	f->what = what;
	f->path = path;
	/* O_NONBLOCK: to open a FIFO must not wait for its writer; regular files ignore it. */
	f->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (f->fd < 0 || fstat(f->fd, &st) < 0) {
		ret = -errno;
		if (ret == -EACCES) /* some distributions keep kernels to root */
			log_error("cannot open %s '%s': %s (sudo chmod 0644 '%s')", what, path,
				  strerror(-ret), path);
		else
			log_error("cannot open %s '%s': %s", what, path, strerror(-ret));
		boot_file_close(f);
		return ret;
	}
	if (S_ISDIR(st.st_mode))
		wrong = "it is a directory";
	else if (!S_ISREG(st.st_mode))
		wrong = "it is not a regular file";
	else if (st.st_size == 0)
		wrong = "it is empty";
	if (wrong) {
		log_error("cannot load %s '%s': %s", what, path, wrong);
		boot_file_close(f);
		return -EINVAL;
	}
	f->size = (uint64_t)st.st_size;
	return 0;
}

void boot_file_close(struct boot_file *f)
{
	close_fd(f->fd);
	f->fd = -1;
}

int boot_file_read(const struct boot_file *f, uint64_t offset, void *dst, uint64_t len)
{
	uint8_t *to = dst;

	while (len > 0) {
		const ssize_t n = TEMP_FAILURE_RETRY(pread(f->fd, to, len, (off_t)offset));

		if (n <= 0) {
			int ret = n < 0 ? -errno : -EIO;

			return log_fail(ret, "cannot read %s '%s' at byte %llu: %s", f->what,
					f->path, (unsigned long long)offset,
					n < 0 ? strerror(-ret) : "the file ends there");
		}
		to += n;
		offset += (uint64_t)n;
		len -= (uint64_t)n;
	}
	return 0;
}

int boot_file_is_elf(const struct boot_file *f)
{
	unsigned char magic[SELFMAG] = { 0 };
	const int ret = boot_file_read(f, 0, magic, MIN(f->size, sizeof(magic)));

	return ret ? ret : !memcmp(magic, ELFMAG, SELFMAG);
}

int boot_file_bad(const struct boot_file *f, const char *fmt, ...)
{
	char why[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	return log_fail(-ENOEXEC, "cannot load %s '%s': %s", f->what, f->path, why);
}
