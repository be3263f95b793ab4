/* The file behind a disk. */
#include "devices/virtio/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <linux/falloc.h>
#include <linux/fs.h>

#include "devices/virtio/image.h"
#include "vmm/base/iov.h"
#include "vmm/base/log.h"

#define ZEROES_SIZE (64 * KIB)
#define ZEROES_IOVS 16

/* The size of the open file in bytes, and of its blocks; -errno with a message. */
static int get_size(struct disk *disk, int fd, const char *path)
{
	struct stat st;
	int block = DISK_SECTOR;

	if (fstat(fd, &st) < 0)
		goto fail;
	if (S_ISBLK(st.st_mode)) {
		if (ioctl(fd, BLKGETSIZE64, &disk->size) < 0 || ioctl(fd, BLKSSZGET, &block) < 0)
			goto fail;
	} else if (S_ISREG(st.st_mode)) {
		disk->size = (uint64_t)st.st_size;
	} else {
		return log_fail(
			-EINVAL,
			"cannot use '%s' as a disk: it is neither a file nor a block device", path);
	}
	disk->block = (uint32_t)block;
	return 0;
fail:
	return log_fail(-errno, "cannot find the size of disk '%s': %s", path, strerror(errno));
}

static int check_size(const char *path, uint64_t size)
{
	if (size && size % DISK_SECTOR == 0)
		return 0;
	return log_fail(-EINVAL,
			"cannot use disk '%s': its size, %llu bytes, is not a multiple of %u%s",
			path, (unsigned long long)size, DISK_SECTOR,
			size ? " (truncate -s %512 rounds it up)" : " above 0");
}

/*
 * Locks as QEMU has them: of an open file one byte for each permission that its user makes use of, and one for each that he
 * shares with nobody, both from read to resize.
 */
#define USED	 100
#define UNSHARED 200
enum { READ, WRITE, WRITE_SAME, RESIZE, NR_PERMISSIONS };

static struct flock bytes(short type, off_t first, off_t nr)
{
	return (struct flock){
		.l_type = type, .l_whence = SEEK_SET, .l_start = first, .l_len = nr
	};
}

static bool is_locked(int fd, off_t first, off_t nr)
{
	struct flock lock = bytes(F_WRLCK, first, nr);

	return fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

/* Two readers are no clash. A file system without such locks has no others who hold them. */
static bool clashes_with_qemu(int fd, bool readonly)
{
	const off_t first = readonly ? WRITE : READ;
	const struct flock used = bytes(F_RDLCK, USED, readonly ? WRITE : RESIZE),
			   unshared = bytes(F_RDLCK, UNSHARED + first, NR_PERMISSIONS - first);

	if (fcntl(fd, F_OFD_SETLK, &used) < 0 || fcntl(fd, F_OFD_SETLK, &unshared) < 0)
		return false;
	return is_locked(fd, UNSHARED, used.l_len) || is_locked(fd, USED + first, unshared.l_len);
}

static void unlock_file(int fd)
{
	const struct flock all = bytes(F_UNLCK, 0, 0);

	fcntl(fd, F_OFD_SETLK, &all);
	flock(fd, LOCK_UN);
}

static int lock_file(int fd, const char *path, bool readonly)
{
	bool taken = flock(fd, (readonly ? LOCK_SH : LOCK_EX) | LOCK_NB) < 0;

	if (taken && errno != EWOULDBLOCK) {
		/* A file system without locks is no reason not to work. */
		log_warn("cannot lock disk '%s': %s", path, strerror(errno));
		return 0;
	}
	if (!taken && clashes_with_qemu(fd, readonly)) {
		unlock_file(fd);
		taken = true;
	}
	if (!taken)
		return 0;
	return log_fail(-EBUSY, "cannot use disk '%s': it is in use by another disk or program%s",
			path,
			readonly ? " that writes to it" : " (readers share a disk: all use ',ro')");
}

static int open_path(const char *path, bool readonly)
{
	/* O_NONBLOCK: a FIFO is to be refused, not waited for. */
	const int fd = open(path, (readonly ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NONBLOCK);
	const int err = errno;

	if (fd >= 0)
		return fd;
	return log_fail(-err, "cannot open disk '%s': %s%s", path, strerror(err),
			!readonly && (err == EACCES || err == EROFS || err == EPERM)
				? " (',ro' opens it for reading only)"
				: "");
}

/* A descriptor from the user: is it open as this disk needs it? */
static int adopt(int fd, bool readonly)
{
	const int flags = fcntl(fd, F_GETFL);

	if (!is_inherited(fd))
		return log_fail(-errno, "cannot use disk fd=%d: %s", fd, strerror(errno));
	if (flags & (O_PATH | O_APPEND | O_DIRECT) || (flags & O_ACCMODE) == O_WRONLY ||
	    (!readonly && (flags & O_ACCMODE) != O_RDWR))
		return log_fail(
			-EACCES,
			"cannot use disk fd=%d: it is not open for reading%s (O_APPEND, O_DIRECT and O_PATH will not do)",
			fd, readonly ? "" : " and writing (',ro' only reads)");
	fcntl(fd, F_SETFD, FD_CLOEXEC);
	return fd;
}

static const char *disk_path(const struct disk *disk)
{
	return disk->path ? disk->path : disk->name;
}

int disk_open(struct disk *disk, const char *path, int fd, bool readonly, bool raw)
{
	int err;

	*disk = (struct disk){ .path = path };
	fd = path ? open_path(path, readonly) : adopt(fd, readonly);
	if (fd < 0)
		return fd;
	snprintf(disk->name, sizeof(disk->name), "fd=%d", fd);
	path = disk_path(disk);
	err = get_size(disk, fd, path);
	if (!err && !readonly)
		err = image_check_writable(fd, path);
	if (!err && !raw)
		err = image_check_raw(fd, path, disk->size);
	if (!err) /* the size after: rounding up helps no image in a format */
		err = check_size(path, disk->size) ?: lock_file(fd, path, readonly);
	if (err) {
		close(fd);
		return err;
	}
	image_warn_in_use(fd, path, readonly);
	disk->fd = fd;
	return 0;
}

void disk_close(struct disk *disk)
{
	/* Closing alone would leave it locked where the parent has the same open. */
	unlock_file(disk->fd);
	close(disk->fd);
}

/* The guest is told of an error, and no more; whoever can mend it is told here. */
static int failed(struct disk *disk, const char *what, int err)
{
	if (log_due(&disk->errors))
		log_warn("cannot %s disk '%s': %s (the guest sees an error of its own disk)", what,
			 disk_path(disk), strerror(err));
	return -err;
}

static int transfer(struct disk *disk, struct iovec *iov, unsigned int n, uint64_t offset,
		    bool write)
{
	const char *what = write ? "write to" : "read";

	while (n) {
		const ssize_t done =
			TEMP_FAILURE_RETRY(write ? pwritev(disk->fd, iov, (int)n, (off_t)offset)
						 : preadv(disk->fd, iov, (int)n, (off_t)offset));

		if (done < 0)
			return failed(disk, what, errno);
		if (done == 0)
			return failed(disk, what, EIO); /* the file has shrunk */
		offset += (uint64_t)done;
		iov_skip(&iov, &n, (size_t)done);
	}
	return 0;
}

int disk_read(struct disk *disk, struct iovec *iov, unsigned int n, uint64_t offset)
{
	return transfer(disk, iov, n, offset, false);
}

int disk_write(struct disk *disk, struct iovec *iov, unsigned int n, uint64_t offset)
{
	return transfer(disk, iov, n, offset, true);
}

int disk_flush(struct disk *disk)
{
	return fdatasync(disk->fd) < 0 ? failed(disk, "flush", errno) : 0;
}

static int change_range(struct disk *disk, const char *what, int mode, uint64_t offset,
			uint64_t len)
{
	/* A device takes its blocks as a whole. */
	if (offset % disk->block || len % disk->block)
		return -EOPNOTSUPP;
	mode |= FALLOC_FL_KEEP_SIZE;
	if (TEMP_FAILURE_RETRY(fallocate(disk->fd, mode, (off_t)offset, (off_t)len)) == 0)
		return 0;
	return errno == EOPNOTSUPP ? -EOPNOTSUPP : failed(disk, what, errno);
}

int disk_discard(struct disk *disk, uint64_t offset, uint64_t len)
{
	const uint64_t start = ALIGN_UP(offset, (uint64_t)disk->block);
	const uint64_t end = ALIGN_DOWN(offset + len, (uint64_t)disk->block);

	/* Of a block in part nothing can be given back, nor need be. */
	return start < end ? change_range(disk, "discard", FALLOC_FL_PUNCH_HOLE, start, end - start)
			   : 0;
}

int disk_write_zeroes(struct disk *disk, uint64_t offset, uint64_t len, bool unmap)
{
	static uint8_t zeroes[ZEROES_SIZE]; /* only ever read */
	int err = change_range(disk, "zero", unmap ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE,
			       offset, len);

	if (err != -EOPNOTSUPP)
		return err;
	/* It cannot be had cheaply. */
	for (err = 0; len && !err;) {
		struct iovec iov[ZEROES_IOVS];
		unsigned int n = 0;
		uint64_t part = 0;

		for (; n < ZEROES_IOVS && part < len; n++) {
			iov[n] = (struct iovec){ zeroes, MIN(len - part, ZEROES_SIZE) };
			part += iov[n].iov_len;
		}
		err = disk_write(disk, iov, n, offset);
		offset += part;
		len -= part;
	}
	return err;
}
