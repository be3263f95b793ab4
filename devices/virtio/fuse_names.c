/* A file server that speaks FUSE: the verbs that find, make, move, remove and list names. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "devices/virtio/fuse_host.h"
#include "devices/virtio/fuse_internal.h"

#define DIRENTS 16384 /* bytes of a directory that are read at once */

struct linux_dirent64 {
	uint64_t d_ino;
	int64_t d_off;
	unsigned short d_reclen;
	unsigned char d_type;
	char d_name[];
};

/* Answer with the entry @name of the directory, which the guest knows from now on. */
static int reply_entry(struct fuse_call *c, const char *name)
{
	struct inode *inode;
	struct statx st;
	int ret = inode_lookup(c->f->inodes, c->inode, name, &inode, &st);

	if (ret)
		return ret;
	fuse_fill_entry(c->f, fuse_reply(c, sizeof(struct fuse_entry_out)), inode, &st);
	inode_put(c->f->inodes, inode);
	return 0;
}

FUSE_VERB(lookup)
{
	const int ret = c->inode->hidden ? -ENOENT : reply_entry(c, c->name[0]);

	/* That there is none may be believed as long as that there is one: number 0. */
	if (ret == -ENOENT)
		((struct fuse_entry_out *)fuse_reply(c, sizeof(struct fuse_entry_out)))
			->entry_valid = fuse_valid_secs(c->f);
	return ret == -ENOENT ? 0 : ret;
}

FUSE_VERB(readlink)
{
	const ssize_t n = readlinkat(c->inode->fd, "", (char *)c->reply, FUSE_REPLY_MAX);

	if (n < 0)
		return errno == ENOENT
			       ? -EINVAL
			       : -errno; /* what the kernel says of something that is no link */
	c->reply_len = (size_t)n;
	return 0;
}

FUSE_VERB(symlink)
{
	const char *target = (const char *)c->rest;

	if (!memchr(c->rest, 0, c->rest_len)) {
		c->result->malformed = true;
		return -EPROTO;
	}
	if (symlinkat(target, c->inode->fd, c->name[0]) < 0)
		return -errno;
	return reply_entry(c, c->name[0]);
}

FUSE_VERB(mknod)
{
	const struct fuse_mknod_in *in = c->arg;
	const unsigned int mode = fuse_mode(in->mode);
	int fd;

	switch (in->mode & S_IFMT) {
	case S_IFREG:
		fd = host_openat(c->inode->fd, c->name[0], O_CREAT | O_EXCL | O_WRONLY, mode);
		if (fd < 0)
			return fd;
		close(fd);
		break;
	case S_IFIFO:
	case S_IFSOCK:
		if (mknodat(c->inode->fd, c->name[0], (in->mode & S_IFMT) | mode, 0) < 0)
			return -errno;
		break;
	default:
		return -EPERM; /* a device would be the host's */
	}
	return reply_entry(c, c->name[0]);
}

FUSE_VERB(mkdir)
{
	const struct fuse_mkdir_in *in = c->arg;

	if (mkdirat(c->inode->fd, c->name[0], fuse_mode(in->mode)) < 0)
		return -errno;
	return reply_entry(c, c->name[0]);
}

FUSE_VERB(remove)
{
	const int flags = c->header->opcode == FUSE_RMDIR ? AT_REMOVEDIR : 0;

	inode_keep(c->f->inodes, c->inode, c->name[0]);
	return unlinkat(c->inode->fd, c->name[0], flags) < 0 ? -errno : 0;
}

FUSE_VERB(rename)
{
	/* Of which FUSE_RENAME has the first field. */
	const struct fuse_rename2_in *in = c->arg;
	const unsigned int flags = c->header->opcode == FUSE_RENAME2 ? in->flags : 0;
	struct inode *to;
	int ret;

	if (flags & ~(unsigned int)(RENAME_NOREPLACE | RENAME_EXCHANGE))
		return -EINVAL;
	ret = inode_get(c->f->inodes, in->newdir, &to);
	if (ret)
		return ret;
	if (!(flags & RENAME_EXCHANGE))
		inode_keep(c->f->inodes, to, c->name[1]);
	/* The C library would take another call for it where there are no flags. */
	if (syscall(SYS_renameat2, c->inode->fd, c->name[0], to->fd, c->name[1], flags) < 0)
		ret = -errno;
	else
		inode_moved(c->f->inodes, to, c->name[1]);
	if (!ret && flags & RENAME_EXCHANGE)
		inode_moved(c->f->inodes, c->inode, c->name[0]);
	inode_put(c->f->inodes, to);
	return ret;
}

FUSE_VERB(link)
{
	const struct fuse_link_in *in = c->arg;
	struct inode *from;
	int ret = inode_get(c->f->inodes, in->oldnodeid, &from);

	if (ret)
		return ret;
	ret = inode_link(c->f->inodes, from, c->inode, c->name[0]);
	inode_put(c->f->inodes, from);
	return ret ? ret : reply_entry(c, c->name[0]);
}

FUSE_VERB(create)
{
	const struct fuse_create_in *in = c->arg;
	const int flags = (int)in->flags & O_ACCMODE;
	struct fuse_entry_out *entry = fuse_reply(c, sizeof(*entry));
	struct inode *inode;
	struct statx st;
	int fd, ret;

	/* Made by us it is a regular file; what is there already is looked at before it is opened. */
	fd = host_openat(c->inode->fd, c->name[0], flags | O_CREAT | O_EXCL, fuse_mode(in->mode));
	if (fd < 0 && (fd != -EEXIST || in->flags & O_EXCL))
		return fd;
	ret = inode_lookup(c->f->inodes, c->inode, c->name[0], &inode, &st);
	if (ret) {
		close_fd(fd);
		return ret;
	}
	fuse_fill_entry(c->f, entry, inode, &st);
	if (fd < 0)
		fd = inode_open(c->f->inodes, inode, flags | (in->flags & O_TRUNC));
	ret = fd < 0 ? fd : 0;
	if (ret)
		inode_put(c->f->inodes, inode);
	else
		ret = fuse_reply_open(c, fd, inode, false);
	if (ret) /* the guest is not told of it after all */
		inode_forget(c->f->inodes, entry->nodeid, 1);
	return ret;
}

/* ---- directories ---- */

FUSE_VERB(opendir)
{
	if (c->inode->type != S_IFDIR)
		return -ENOTDIR;
	return fuse_reply_open_same(c, inode_open(c->f->inodes, c->inode, O_RDONLY), true);
}

static bool is_dot(const char *name)
{
	return !strcmp(name, ".") || !strcmp(name, "..");
}

/* The entry in full, known to the guest from now on; number 0 where there is nothing to be known. */
static void fill_plus(struct fuse_call *c, struct fuse_entry_out *e, const char *name)
{
	struct inode *inode;
	struct statx st;

	if (is_dot(name) || inode_lookup(c->f->inodes, c->inode, name, &inode, &st))
		return;
	fuse_fill_entry(c->f, e, inode, &st);
	inode_put(c->f->inodes, inode);
}

/* False if it does not fit any more. */
static bool add_entry(struct fuse_call *c, const struct linux_dirent64 *d, bool plus, size_t room)
{
	const size_t name_len = strlen(d->d_name);
	const size_t fixed = plus ? FUSE_NAME_OFFSET_DIRENTPLUS : FUSE_NAME_OFFSET;
	const size_t len = FUSE_DIRENT_ALIGN(fixed + name_len);
	struct fuse_dirent *dirent;
	void *at;

	if (c->reply_len + len > room)
		return false;
	at = fuse_reply(c, len);
	dirent = plus ? &((struct fuse_direntplus *)at)->dirent : at;
	if (plus)
		fill_plus(c, &((struct fuse_direntplus *)at)->entry_out, d->d_name);
	dirent->ino = d->d_ino;
	dirent->off = (uint64_t)d->d_off;
	dirent->type = d->d_type;
	dirent->namelen = (uint32_t)name_len;
	memcpy(dirent->name, d->d_name, name_len);
	return true;
}

FUSE_VERB(readdir)
{
	const struct fuse_read_in *in = c->arg;
	const bool plus = c->header->opcode == FUSE_READDIRPLUS;
	const size_t size = MIN((size_t)in->size, (size_t)FUSE_REPLY_MAX);
	const size_t room = MIN(size, c->out_len);
	_Alignas(8) char buf[DIRENTS];
	bool more = true;

	hold(c->handle ? &c->handle->lock : &c->f->positions);
	if (lseek(c->fd, (off_t)in->offset, SEEK_SET) < 0)
		return -errno;
	while (more) {
		const long n = syscall(SYS_getdents64, c->fd, buf, sizeof(buf));

		if (n < 0 && !c->reply_len)
			return -errno;
		if (n <= 0)
			break;
		for (long at = 0; more && at < n;) {
			const struct linux_dirent64 *d = (const void *)(buf + at);

			at += d->d_reclen;
			if (!c->inode->hidden || is_dot(d->d_name))
				more = add_entry(c, d, plus, room);
		}
	}
	return 0;
}
