/* A file server that speaks FUSE: the verbs for files that are open, attributes, and whole file systems. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "devices/virtio/fuse_host.h"
#include "devices/virtio/fuse_internal.h"

#ifndef SYS_fchmodat2 /* Linux 6.6 */
#define SYS_fchmodat2 452
#endif

/* ---- open files ---- */

int fuse_reply_open(struct fuse_call *c, int fd, struct inode *inode, bool dir)
{
	struct fuse_open_out *out = fuse_reply(c, sizeof(*out));
	const int ret = handle_open(c->f->handles, fd, inode, dir, &out->fh);

	if (ret) {
		close(fd);
		inode_put(c->f->inodes, inode);
		return ret;
	}
	/* What the guest has in its cache stays good while the file's time and size do (AUTO_INVAL_DATA). */
	out->open_flags = dir ? FOPEN_CACHE_DIR : FOPEN_KEEP_CACHE;
	if (!dir && host_closes_silently(fd))
		out->open_flags |= FOPEN_NOFLUSH;
	return 0;
}

int fuse_reply_open_same(struct fuse_call *c, int fd, bool dir)
{
	struct inode *inode;
	int ret;

	if (fd < 0)
		return fd;
	ret = inode_get(c->f->inodes, c->inode->id, &inode); /* once more, for the handle */
	if (ret) {
		close(fd);
		return ret;
	}
	return fuse_reply_open(c, fd, inode, dir);
}

FUSE_VERB(open)
{
	const struct fuse_open_in *in = c->arg;
	const int flags = (int)in->flags & (O_ACCMODE | O_TRUNC);

	if (c->f->access != FUSE_READ_WRITE && flags != O_RDONLY)
		return -EROFS;
	return fuse_reply_open_same(c, inode_open(c->f->inodes, c->inode, flags), false);
}

/* The first @len bytes of the guest's list; entries that are left over are cut off. */
static int cut(struct iovec *iov, unsigned int n, size_t len)
{
	unsigned int i;

	for (i = 0; i < n && len; i++) {
		iov[i].iov_len = MIN(iov[i].iov_len, len);
		len -= iov[i].iov_len;
	}
	return (int)MIN(i, (unsigned int)IOV_MAX);
}

FUSE_VERB(read)
{
	const struct fuse_read_in *in = c->arg;
	const size_t len = MIN((size_t)in->size, c->out_len);
	ssize_t n = 0;

	if (len)
		n = preadv(c->fd, c->out, cut(c->out, c->nr_out, len), (off_t)in->offset);
	if (n < 0)
		return -errno;
	c->in_place = true;
	c->reply_len = (size_t)n;
	c->result->out = (uint32_t)n;
	return 0;
}

/*
 * As the guest's file is open now. What comes from the guest's pages (a mapping) goes where it says, whatever file they
 * are written through; so no file is open for appending here.
 */
static int write_flags(const struct fuse_write_in *in)
{
	const bool from_pages = in->write_flags & FUSE_WRITE_CACHE;

	return (in->flags & O_APPEND && !from_pages ? RWF_APPEND : 0) |
	       ((in->flags & O_SYNC) == O_SYNC ? RWF_SYNC
		: in->flags & O_DSYNC	       ? RWF_DSYNC
					       : 0);
}

FUSE_VERB(write)
{
	const struct fuse_write_in *in = c->arg;
	const size_t fixed = sizeof(*c->header) + sizeof(*in);
	struct fuse_write_out *out;
	ssize_t n = 0;

	if (in->size > c->in_len - fixed || in->offset > INT64_MAX) {
		c->result->malformed = true;
		return -EPROTO;
	}
	if (in->size)
		n = pwritev2(c->fd, c->in, cut(c->in, c->nr_in, in->size), (off_t)in->offset,
			     write_flags(in));
	if (n < 0)
		return -errno;
	out = fuse_reply(c, sizeof(*out));
	out->size = (uint32_t)n;
	c->result->in = (uint32_t)n;
	return 0;
}

/* What a file system says only when a file is closed (quota, a network's): said by closing a second descriptor. */
FUSE_VERB(flush)
{
	const int fd = fcntl(c->fd, F_DUPFD_CLOEXEC, 0);

	return fd < 0 || close(fd) < 0 ? -errno : 0;
}

FUSE_VERB(release)
{
	const struct fuse_release_in *in = c->arg;

	return handle_close(c->f->handles, in->fh, c->header->opcode == FUSE_RELEASEDIR);
}

FUSE_VERB(fsync)
{
	const struct fuse_fsync_in *in = c->arg;

	return (in->fsync_flags & FUSE_FSYNC_FDATASYNC ? fdatasync(c->fd) : fsync(c->fd)) < 0
		       ? -errno
		       : 0;
}

FUSE_VERB(lseek)
{
	const struct fuse_lseek_in *in = c->arg;
	struct fuse_lseek_out *out;
	off_t at;

	if (in->whence != SEEK_DATA && in->whence != SEEK_HOLE)
		return -EINVAL; /* all other positions are the guest's own */
	at = lseek(c->fd, (off_t)in->offset, (int)in->whence);
	if (at < 0)
		return -errno;
	out = fuse_reply(c, sizeof(*out));
	out->offset = (uint64_t)at;
	return 0;
}

FUSE_VERB(fallocate)
{
	const struct fuse_fallocate_in *in = c->arg;

	return fallocate(c->fd, (int)in->mode, (off_t)in->offset, (off_t)in->length) < 0 ? -errno
											 : 0;
}

FUSE_VERB(copy_file_range)
{
	const struct fuse_copy_file_range_in *in = c->arg;
	off_t from = (off_t)in->off_in, to = (off_t)in->off_out;
	struct handle *dst;
	int ret = handle_get(c->f->handles, in->fh_out, false, &dst);
	ssize_t n;

	if (ret)
		return ret;
	/* A copy that takes for ever would hold up whoever ends the machine. */
	n = copy_file_range(c->fd, &from, dst->fd, &to, MIN(in->len, (uint64_t)64 * MIB), 0);
	if (n < 0)
		ret = -errno;
	else
		((struct fuse_write_out *)fuse_reply(c, sizeof(struct fuse_write_out)))->size =
			(uint32_t)n;
	handle_put(c->f->handles, dst);
	return ret;
}

/* ---- attributes ---- */

FUSE_VERB(getattr)
{
	struct fuse_attr_out *out;
	struct statx st;
	const int ret = host_statx(c->inode->fd, &st);

	if (ret)
		return ret;
	out = fuse_reply(c, sizeof(*out));
	out->attr_valid = fuse_valid_secs(c->f);
	fuse_fill_attr(c->f, &out->attr, &st);
	return 0;
}

/* Change something by a descriptor for reading, or, where only that is allowed, for writing. */
static int open_to_change(struct fuse_call *c)
{
	const int fd = inode_open(c->f->inodes, c->inode, O_RDONLY);

	return fd == -EACCES && c->inode->type == S_IFREG
		       ? inode_open(c->f->inodes, c->inode, O_WRONLY)
		       : fd;
}

static int set_mode(struct fuse_call *c, uint32_t mode)
{
	int fd, ret;

	if (!syscall(SYS_fchmodat2, c->inode->fd, "", fuse_mode(mode), AT_EMPTY_PATH))
		return 0;
	if (errno != ENOSYS)
		return -errno;
	fd = open_to_change(c);
	if (fd < 0) /* before Linux 6.6 there is no way but by a path */
		return fd == -ENXIO ? -EOPNOTSUPP : fd;
	ret = fchmod(fd, fuse_mode(mode)) < 0 ? -errno : 0;
	close(fd);
	return ret;
}

static int set_size(struct fuse_call *c, const struct fuse_setattr_in *in)
{
	struct handle *h;
	int fd, ret;

	if (in->valid & FATTR_FH) {
		ret = handle_get(c->f->handles, in->fh, false, &h);
		if (ret)
			return ret;
		ret = ftruncate(h->fd, (off_t)in->size) < 0 ? -errno : 0;
		handle_put(c->f->handles, h);
		return ret;
	}
	fd = inode_open(c->f->inodes, c->inode, O_WRONLY);
	if (fd < 0)
		return fd;
	ret = ftruncate(fd, (off_t)in->size) < 0 ? -errno : 0;
	close(fd);
	return ret;
}

static int set_times(struct fuse_call *c, const struct fuse_setattr_in *in)
{
	struct timespec t[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_nsec = UTIME_OMIT } };

	if (in->valid & FATTR_ATIME)
		t[0] = (struct timespec){ (time_t)in->atime, (long)in->atimensec };
	if (in->valid & FATTR_ATIME_NOW)
		t[0].tv_nsec = UTIME_NOW;
	if (in->valid & FATTR_MTIME)
		t[1] = (struct timespec){ (time_t)in->mtime, (long)in->mtimensec };
	if (in->valid & FATTR_MTIME_NOW)
		t[1].tv_nsec = UTIME_NOW;
	return utimensat(c->inode->fd, "", t, AT_EMPTY_PATH) < 0 ? -errno : 0;
}

FUSE_VERB(setattr)
{
	const struct fuse_setattr_in *in = c->arg;
	int ret = 0;

	if (in->valid & FATTR_MODE)
		ret = set_mode(c, in->mode);
	if (!ret && in->valid & (FATTR_UID | FATTR_GID) &&
	    fchownat(c->inode->fd, "",
		     in->valid & FATTR_UID ? fuse_id(&c->f->uid, in->uid) : (uid_t)-1,
		     in->valid & FATTR_GID ? fuse_id(&c->f->gid, in->gid) : (gid_t)-1,
		     AT_EMPTY_PATH) < 0)
		ret = -errno;
	if (!ret && in->valid & FATTR_SIZE)
		ret = set_size(c, in);
	if (!ret && in->valid & (FATTR_ATIME | FATTR_MTIME | FATTR_ATIME_NOW | FATTR_MTIME_NOW))
		ret = set_times(c, in);
	return ret ? ret : fuse_do_getattr(c);
}

/*
 * ---- extended attributes: user.*, of regular files and directories that can be opened ----
 *
 * The others give rights on the host, or are the host's own. -EOPNOTSUPP, not -ENODATA: ls asks for two of each file
 * until it hears that there are none.
 */

static bool is_users(const char *name)
{
	return !strncmp(name, "user.", 5);
}

/* Those of @list that are shown, at its start; their length. */
static size_t keep_users(char *list, size_t len)
{
	size_t kept = 0, n;

	for (size_t at = 0; at < len; at += n) {
		n = strlen(list + at) + 1;
		if (!is_users(list + at))
			continue;
		memmove(list + kept, list + at, n);
		kept += n;
	}
	return kept;
}

/* For reading. What may not be opened has no attributes for the guest, as a link or a device has none. */
static int open_attributes(struct fuse_call *c)
{
	const int fd = inode_open(c->f->inodes, c->inode, O_RDONLY);

	return fd == -EACCES || fd == -ENXIO || fd == -EPERM ? -ENODATA : fd;
}

/* The answer to both questions for contents: the size alone, where that was asked. */
static int reply_attributes(struct fuse_call *c, uint32_t asked, ssize_t n)
{
	if (n < 0)
		return -errno;
	if (!asked)
		((struct fuse_getxattr_out *)fuse_reply(c, sizeof(struct fuse_getxattr_out)))
			->size = (uint32_t)n;
	else
		c->reply_len = (size_t)n;
	return 0;
}

FUSE_VERB(getxattr)
{
	const struct fuse_getxattr_in *in = c->arg;
	const size_t room = MIN((size_t)in->size, (size_t)FUSE_REPLY_MAX);
	const int fd = is_users(c->name[0]) ? open_attributes(c) : -EOPNOTSUPP;
	int ret;

	if (fd < 0)
		return fd;
	ret = reply_attributes(c, in->size, fgetxattr(fd, c->name[0], c->reply, room));
	close(fd);
	return ret;
}

FUSE_VERB(listxattr)
{
	const struct fuse_getxattr_in *in = c->arg;
	const int fd = open_attributes(c);
	ssize_t n;
	int ret;

	if (fd == -ENODATA)
		return reply_attributes(c, in->size, 0);
	if (fd < 0)
		return fd;
	n = flistxattr(fd, (char *)c->reply, FUSE_REPLY_MAX);
	if (n > 0)
		n = (ssize_t)keep_users((char *)c->reply, (size_t)n);
	ret = in->size && n > (ssize_t)in->size ? -ERANGE : reply_attributes(c, in->size, n);
	close(fd);
	return ret;
}

static int change_attribute(struct fuse_call *c, const void *value, size_t len, int flags)
{
	int fd, ret;

	if (!is_users(c->name[0]))
		return -EOPNOTSUPP;
	fd = open_to_change(c);
	if (fd < 0)
		return fd == -ENXIO ? -EPERM : fd;
	if (value)
		ret = fsetxattr(fd, c->name[0], value, len, flags) < 0 ? -errno : 0;
	else
		ret = fremovexattr(fd, c->name[0]) < 0 ? -errno : 0;
	close(fd);
	return ret;
}

FUSE_VERB(setxattr)
{
	const struct fuse_setxattr_in *in = c->arg;

	if (in->size > c->rest_len) {
		c->result->malformed = true;
		return -EPROTO;
	}
	return change_attribute(c, c->rest, in->size, (int)in->flags);
}

FUSE_VERB(removexattr)
{
	return change_attribute(c, NULL, 0, 0);
}

/* ---- whole file systems ---- */

FUSE_VERB(statfs)
{
	struct fuse_statfs_out *out;
	struct statvfs s;

	if (fstatvfs(c->inode->fd, &s) < 0)
		return -errno;
	out = fuse_reply(c, sizeof(*out));
	out->st = (struct fuse_kstatfs){
		.blocks = s.f_blocks,
		.bfree = s.f_bfree,
		.bavail = s.f_bavail,
		.files = s.f_files,
		.ffree = s.f_ffree,
		.bsize = (uint32_t)s.f_bsize,
		.namelen = FUSE_NAME_MAX,
		.frsize = (uint32_t)s.f_frsize,
	};
	return 0;
}

FUSE_VERB(syncfs)
{
	const int fd = inode_open(c->f->inodes, c->inode, O_RDONLY);
	int ret;

	if (fd < 0)
		return fd;
	ret = syncfs(fd) < 0 ? -errno : 0;
	close(fd);
	return ret;
}
