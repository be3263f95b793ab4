/* A file server that speaks FUSE: requests are judged, served by a table of verbs, answered. */
#include "devices/virtio/fuse.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "devices/virtio/fuse_host.h"
#include "devices/virtio/fuse_internal.h"
#include "vmm/base/iov.h"
#include "vmm/base/log.h"

#define MAX_INODES  (4u << 20)
#define MAX_CACHED  4096u /* descriptors of files that are not open */
#define MAX_HANDLES 65536u
#define REQUEST_MAX \
	(sizeof(struct fuse_in_header) + sizeof(struct fuse_setattr_in) + XATTR_MAX + 4096u)
#define XATTR_MAX 65536u

struct fuse_buffer {
	_Alignas(8) uint8_t request[REQUEST_MAX];
	_Alignas(8) uint8_t reply[FUSE_REPLY_MAX];
	struct iovec iov[1025]; /* a copy of the guest's list, cut to the length at hand */
};

/* ---- answers ---- */

void *fuse_reply(struct fuse_call *c, size_t len)
{
	void *at = c->reply + c->reply_len;

	memset(at, 0, len);
	c->reply_len += len;
	return at;
}

void fuse_fill_attr(struct fuse *f, struct fuse_attr *attr, const struct statx *st)
{
	*attr = (struct fuse_attr){
		.ino = inode_number(f->inodes, st),
		.size = st->stx_size,
		.blocks = st->stx_blocks,
		.atime = (uint64_t)st->stx_atime.tv_sec,
		.atimensec = st->stx_atime.tv_nsec,
		.mtime = (uint64_t)st->stx_mtime.tv_sec,
		.mtimensec = st->stx_mtime.tv_nsec,
		.ctime = (uint64_t)st->stx_ctime.tv_sec,
		.ctimensec = st->stx_ctime.tv_nsec,
		.mode = st->stx_mode,
		.nlink = st->stx_nlink,
		.uid = fuse_id(&f->uid, st->stx_uid),
		.gid = fuse_id(&f->gid, st->stx_gid),
		/* As Linux packs 12 bits of major and 20 of minor into 32. */
		.rdev = (st->stx_rdev_minor & 0xff) | st->stx_rdev_major << 8 |
			(st->stx_rdev_minor & ~0xffu) << 12,
		.blksize = st->stx_blksize,
	};
}

void fuse_fill_entry(struct fuse *f, struct fuse_entry_out *e, const struct inode *inode,
		     const struct statx *st)
{
	e->nodeid = inode->id;
	e->entry_valid = e->attr_valid = fuse_valid_secs(f);
	fuse_fill_attr(f, &e->attr, st);
}

unsigned int fuse_mode(uint32_t mode)
{
	return mode & 01777; /* no set-user-id, no set-group-id */
}

/* ---- session ---- */

static int init(struct fuse_call *c)
{
	const struct fuse_init_in *in = c->arg;
	const bool frozen = c->f->access == FUSE_FROZEN;
	/*
	 * Not FUSE_WRITEBACK_CACHE: a guest that has it does not see what the host changes in a file, writes over that,
	 * and what it wrote is lost when its machine is ended. FUSE_HANDLE_KILLPRIV_V2, or each write asks for an attribute
	 * first: that it takes set-user-id and set-group-id away is the host kernel's doing (fuse_create()).
	 */
	const uint32_t unopened = FUSE_NO_OPEN_SUPPORT | FUSE_NO_OPENDIR_SUPPORT;
	/* Where nothing is opened, nothing is truncated by that. */
	const uint32_t want = FUSE_ASYNC_READ | FUSE_BIG_WRITES | FUSE_AUTO_INVAL_DATA |
			      FUSE_DO_READDIRPLUS | FUSE_READDIRPLUS_AUTO | FUSE_ASYNC_DIO |
			      FUSE_PARALLEL_DIROPS | FUSE_MAX_PAGES | FUSE_CACHE_SYMLINKS |
			      FUSE_HANDLE_KILLPRIV_V2 | (frozen ? unopened : FUSE_ATOMIC_O_TRUNC);
	struct fuse_init_out *out = fuse_reply(c, sizeof(*out));

	out->major = FUSE_KERNEL_VERSION;
	out->minor = FUSE_KERNEL_MINOR_VERSION;
	if (in->major > FUSE_KERNEL_VERSION)
		return 0; /* it asks again, with ours */
	if (in->major < FUSE_KERNEL_VERSION || in->minor < 31)
		return -EPROTO;
	fuse_reset(c->f);
	c->f->by_number = frozen && (in->flags & unopened) == unopened;
	if (c->f->access == FUSE_READ_WRITE)
		umask(0); /* modes are the guest's; not before what is the user's to write to has been opened */
	out->flags = in->flags & want;
	out->max_readahead = MIN(in->max_readahead, FUSE_MAX_TRANSFER);
	out->max_write = FUSE_MAX_TRANSFER;
	out->max_pages = FUSE_MAX_TRANSFER / 4096;
	out->max_background = 64;
	out->congestion_threshold = 48;
	out->time_gran = 1;
	return 0;
}

static int destroy(struct fuse_call *c)
{
	fuse_reset(c->f); /* unmounted; the device may be mounted again without a reset */
	return 0;
}

static int forget(struct fuse_call *c)
{
	const struct fuse_forget_in *in = c->arg;

	inode_forget(c->f->inodes, c->header->nodeid, in->nlookup);
	return 0;
}

static int batch_forget(struct fuse_call *c)
{
	const struct fuse_batch_forget_in *in = c->arg;
	struct fuse_forget_one one;

	for (uint32_t i = 0; i < in->count && c->rest_len >= sizeof(one); i++) {
		memcpy(&one, c->rest, sizeof(one));
		c->rest += sizeof(one);
		c->rest_len -= sizeof(one);
		inode_forget(c->f->inodes, one.nodeid, one.nlookup);
	}
	return 0;
}

/* ---- requests ---- */

enum {
	INODE = 1,    /* the header's nodeid must be known */
	CHANGES = 2,  /* not in a read-only share */
	NO_REPLY = 4, /* the guest expects none */
	/* Answered by -ENOSYS in a read-only share: nothing to do there, the guest need not ask again. */
	OPTIONAL = 8,
	OPEN_FILE = 16, /* its fixed part begins with the handle of one, or of a directory */
	OPEN_DIR = 32,
	/* Answered by -ENOSYS where the guest reads by number, or in a frozen share: it does not ask again. */
	OPENS = 64,
	ATTRIBUTES = 128,
};
_Static_assert(!offsetof(struct fuse_read_in, fh) && !offsetof(struct fuse_write_in, fh) &&
		       !offsetof(struct fuse_flush_in, fh) && !offsetof(struct fuse_fsync_in, fh) &&
		       !offsetof(struct fuse_lseek_in, fh) &&
		       !offsetof(struct fuse_fallocate_in, fh) &&
		       !offsetof(struct fuse_copy_file_range_in, fh_in),
	       "handles come first");

struct verb {
	int (*serve)(struct fuse_call *c);
	uint16_t arg_len;
	uint8_t names, flags;
};

static const struct verb verbs[] = {
	[FUSE_INIT] = { init, sizeof(struct fuse_init_in), 0, 0 },
	[FUSE_DESTROY] = { destroy, 0, 0, 0 },
	[FUSE_FORGET] = { forget, sizeof(struct fuse_forget_in), 0, NO_REPLY },
	[FUSE_BATCH_FORGET] = { batch_forget, sizeof(struct fuse_batch_forget_in), 0, NO_REPLY },

	[FUSE_LOOKUP] = { fuse_do_lookup, 0, 1, INODE },
	[FUSE_READLINK] = { fuse_do_readlink, 0, 0, INODE },
	[FUSE_SYMLINK] = { fuse_do_symlink, 0, 1, INODE | CHANGES },
	[FUSE_MKNOD] = { fuse_do_mknod, sizeof(struct fuse_mknod_in), 1, INODE | CHANGES },
	[FUSE_MKDIR] = { fuse_do_mkdir, sizeof(struct fuse_mkdir_in), 1, INODE | CHANGES },
	[FUSE_UNLINK] = { fuse_do_remove, 0, 1, INODE | CHANGES },
	[FUSE_RMDIR] = { fuse_do_remove, 0, 1, INODE | CHANGES },
	[FUSE_RENAME] = { fuse_do_rename, sizeof(struct fuse_rename_in), 2, INODE | CHANGES },
	[FUSE_RENAME2] = { fuse_do_rename, sizeof(struct fuse_rename2_in), 2, INODE | CHANGES },
	[FUSE_LINK] = { fuse_do_link, sizeof(struct fuse_link_in), 1, INODE | CHANGES },
	[FUSE_CREATE] = { fuse_do_create, sizeof(struct fuse_create_in), 1, INODE | CHANGES },
	[FUSE_OPENDIR] = { fuse_do_opendir, sizeof(struct fuse_open_in), 0, INODE | OPENS },
	[FUSE_READDIR] = { fuse_do_readdir, sizeof(struct fuse_read_in), 0, INODE | OPEN_DIR },
	[FUSE_READDIRPLUS] = { fuse_do_readdir, sizeof(struct fuse_read_in), 0, INODE | OPEN_DIR },
	[FUSE_RELEASEDIR] = { fuse_do_release, sizeof(struct fuse_release_in), 0, 0 },
	[FUSE_FSYNCDIR] = { fuse_do_fsync, sizeof(struct fuse_fsync_in), 0, OPTIONAL | OPEN_DIR },

	[FUSE_GETATTR] = { fuse_do_getattr, sizeof(struct fuse_getattr_in), 0, INODE },
	[FUSE_SETATTR] = { fuse_do_setattr, sizeof(struct fuse_setattr_in), 0, INODE | CHANGES },
	[FUSE_OPEN] = { fuse_do_open, sizeof(struct fuse_open_in), 0, INODE | OPENS },
	[FUSE_READ] = { fuse_do_read, sizeof(struct fuse_read_in), 0, OPEN_FILE },
	[FUSE_WRITE] = { fuse_do_write, sizeof(struct fuse_write_in), 0, CHANGES | OPEN_FILE },
	[FUSE_FLUSH] = { fuse_do_flush, sizeof(struct fuse_flush_in), 0, OPTIONAL | OPEN_FILE },
	[FUSE_RELEASE] = { fuse_do_release, sizeof(struct fuse_release_in), 0, 0 },
	[FUSE_FSYNC] = { fuse_do_fsync, sizeof(struct fuse_fsync_in), 0, OPTIONAL | OPEN_FILE },
	[FUSE_STATFS] = { fuse_do_statfs, 0, 0, INODE },
	[FUSE_SYNCFS] = { fuse_do_syncfs, sizeof(struct fuse_syncfs_in), 0, INODE | OPTIONAL },
	[FUSE_GETXATTR] = { fuse_do_getxattr, sizeof(struct fuse_getxattr_in), 1,
			    INODE | ATTRIBUTES },
	[FUSE_LISTXATTR] = { fuse_do_listxattr, sizeof(struct fuse_getxattr_in), 0,
			     INODE | ATTRIBUTES },
	/* Without FUSE_SETXATTR_EXT the guest sends the first half of the structure only. */
	[FUSE_SETXATTR] = { fuse_do_setxattr, FUSE_COMPAT_SETXATTR_IN_SIZE, 1, INODE | CHANGES },
	[FUSE_REMOVEXATTR] = { fuse_do_removexattr, 0, 1, INODE | CHANGES },
	[FUSE_LSEEK] = { fuse_do_lseek, sizeof(struct fuse_lseek_in), 0, OPEN_FILE },
	[FUSE_FALLOCATE] = { fuse_do_fallocate, sizeof(struct fuse_fallocate_in), 0,
			     CHANGES | OPEN_FILE },
	[FUSE_COPY_FILE_RANGE] = { fuse_do_copy_file_range, sizeof(struct fuse_copy_file_range_in),
				   0, CHANGES | OPEN_FILE },
};

/* The next string of the request, which must end within it. Whether it may be a name is for valid_name(). */
static const char *take_string(struct fuse_call *c)
{
	const char *s = (const char *)c->rest;
	const size_t len = strnlen(s, c->rest_len);

	if (len == c->rest_len)
		return NULL;
	c->rest += len + 1;
	c->rest_len -= len + 1;
	return s;
}

/* One component that stays where it is. */
static int check_name(const char *name)
{
	if (!*name || strchr(name, '/') || !strcmp(name, ".") || !strcmp(name, ".."))
		return -EINVAL;
	return strlen(name) > FUSE_NAME_MAX ? -ENAMETOOLONG : 0;
}

/* Take the request apart as its kind says. -EINVAL and -EPROTO are the guest's breaches of the protocol. */
static int parse(struct fuse_call *c, const struct verb *v, size_t len)
{
	int ret = 0;

	c->arg = c->header + 1;
	if (len < sizeof(*c->header) + v->arg_len)
		return -EPROTO;
	c->rest = (const uint8_t *)c->arg + v->arg_len;
	c->rest_len = len - sizeof(*c->header) - v->arg_len;
	for (unsigned int i = 0; !ret && i < v->names; i++) {
		c->name[i] = take_string(c);
		if (!c->name[i])
			return -EPROTO;
		/* An attribute's name is no file's. */
		if (c->header->opcode < FUSE_SETXATTR || c->header->opcode > FUSE_REMOVEXATTR)
			ret = check_name(c->name[i]);
	}
	return ret;
}

/* What the guest has open, or reads by its number. */
static int find_open(struct fuse_call *c, bool dir)
{
	int ret;

	if (c->f->by_number) {
		ret = c->inode ? 0 : inode_get(c->f->inodes, c->header->nodeid, &c->inode);
		if (ret)
			return ret;
		c->fd = inode_reader(c->f->inodes, c->inode);
		return MIN(c->fd, 0);
	}
	ret = handle_get(c->f->handles, *(const uint64_t *)c->arg, dir, &c->handle);
	if (ret)
		return ret;
	c->fd = c->handle->fd;
	/* Entries are looked up in the handle's directory; the guest may have named another. */
	return dir && c->inode && c->handle->inode != c->inode ? -EBADF : 0;
}

/* What the share is not for: -EROFS, or -ENOSYS where the guest need not ask again. */
static int refuse(const struct fuse *f, const struct verb *v)
{
	if (!v || !v->serve || (f->access != FUSE_READ_WRITE && v->flags & OPTIONAL) ||
	    (f->access == FUSE_FROZEN && v->flags & ATTRIBUTES) ||
	    (f->by_number && v->flags & OPENS))
		return -ENOSYS;
	return f->access != FUSE_READ_WRITE && v->flags & CHANGES ? -EROFS : 0;
}

static int serve(struct fuse_call *c, const struct verb *v, size_t len)
{
	int ret = refuse(c->f, v);

	if (ret)
		return ret;
	ret = parse(c, v, len);
	if (ret) {
		c->result->malformed = ret != -ENAMETOOLONG; /* a program's doing */
		return ret;
	}
	if (v->flags & INODE)
		ret = inode_get(c->f->inodes, c->header->nodeid, &c->inode);
	if (!ret && v->flags & (OPEN_FILE | OPEN_DIR))
		ret = find_open(c, v->flags & OPEN_DIR);
	if (!ret)
		ret = v->serve(c);
	handle_put(c->f->handles, c->handle);
	inode_put(c->f->inodes, c->inode);
	return ret;
}

static uint32_t answer(struct fuse_call *c, struct iovec *out, unsigned int nr_out, size_t room,
		       int error)
{
	struct fuse_out_header h = { .len = sizeof(h),
				     .error = error,
				     .unique = c->header->unique };

	if (!error && c->reply_len > room - sizeof(h)) {
		h.error = -EIO; /* the guest left no room for it */
		c->result->error = h.error;
		c->result->malformed = true;
	} else if (!error) {
		h.len += (uint32_t)c->reply_len;
		if (!c->in_place)
			iov_from_buf(out, nr_out, sizeof(h), c->reply, c->reply_len);
	}
	iov_from_buf(out, nr_out, 0, &h, sizeof(h));
	return h.len;
}

uint32_t fuse_serve(struct fuse *f, struct fuse_buffer *b, struct iovec *in, unsigned int nr_in,
		    struct iovec *out, unsigned int nr_out, struct fuse_result *result)
{
	const size_t in_len = iov_size(in, nr_in), room = iov_size(out, nr_out);
	size_t len = iov_to_buf(in, nr_in, 0, b->request, sizeof(b->request));
	struct fuse_call c = {
		.f = f,
		.header = (const void *)b->request,
		.fd = -1,
		.reply = b->reply,
		.in = in,
		.nr_in = nr_in,
		.out = b->iov,
		.nr_out = MIN(nr_out, (unsigned int)ARRAY_SIZE(b->iov)),
		.result = result,
	};
	const struct verb *v;

	*result = (struct fuse_result){ 0 };
	if (len < sizeof(*c.header) || c.header->len < sizeof(*c.header) ||
	    c.header->len > in_len) {
		*result = (struct fuse_result){ .malformed = true, .error = -EPROTO };
		return 0;
	}
	/* The header's length counts; contents to be written stay where they are. */
	len = MIN(len, (size_t)c.header->len);
	c.in_len = c.header->len;
	result->opcode = c.header->opcode;
	v = c.header->opcode < ARRAY_SIZE(verbs) ? &verbs[c.header->opcode] : NULL;
	if (c.header->opcode == FUSE_WRITE)
		iov_skip(&c.in, &c.nr_in, sizeof(*c.header) + sizeof(struct fuse_write_in));
	/* The answer's contents go behind its header. */
	memcpy(b->iov, out, c.nr_out * sizeof(*out));
	c.out_len =
		room > sizeof(struct fuse_out_header) ? room - sizeof(struct fuse_out_header) : 0;
	iov_skip(&c.out, &c.nr_out, sizeof(struct fuse_out_header));
	result->error = serve(&c, v, len);
	if ((v && v->flags & NO_REPLY) || c.header->opcode == FUSE_INTERRUPT ||
	    room < sizeof(struct fuse_out_header))
		return 0;
	return answer(&c, out, nr_out, room, result->error);
}

/* ---- life ---- */

const size_t fuse_buffer_size = sizeof(struct fuse_buffer);

/* As many descriptors as this process may have. */
static unsigned int descriptors(void)
{
	struct rlimit lim;

	if (getrlimit(RLIMIT_NOFILE, &lim) < 0)
		return 1024;
	if (lim.rlim_cur < lim.rlim_max) {
		lim.rlim_cur = lim.rlim_max;
		if (setrlimit(RLIMIT_NOFILE, &lim) < 0)
			getrlimit(RLIMIT_NOFILE, &lim);
	}
	return (unsigned int)MIN(lim.rlim_cur, (rlim_t)2 * MAX_HANDLES);
}

/* Of those who have not CAP_FSETID, the kernel takes set-user-id and set-group-id from whatever they write to. */
static int take_privileges_away(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct set[2] = { 0 };

	if (syscall(SYS_capget, &head, set) < 0)
		return -errno;
	set[0].effective &= ~(1u << CAP_FSETID);
	set[0].permitted &= ~(1u << CAP_FSETID);
	return syscall(SYS_capset, &head, set) < 0 ? -errno : 0;
}

/* By this call alone is a guest's name looked up: a kernel before Linux 5.6 has it not, and a container may forbid it. */
static int check_lookup(int root_fd, const char *dir)
{
	const int fd = host_openat(root_fd, ".", O_PATH, 0);

	close_fd(fd);
	return fd == -ENOSYS || fd == -EPERM
		       ? log_fail(
				 fd,
				 "cannot share directory '%s': openat2: %s (it takes Linux 5.6, and in a container a seccomp profile with that call)",
				 dir, strerror(-fd))
		       : 0;
}

int fuse_create(struct fuse **out, const char *dir, enum fuse_access access)
{
	struct fuse *f = calloc(1, sizeof(*f));
	unsigned int fds = descriptors();
	int ret;

	if (!f)
		return -ENOMEM;
	f->access = access;
	f->root_fd = -1;
	pthread_mutex_init(&f->positions, NULL);
	/* As FUSE_HANDLE_KILLPRIV_V2 promises. */
	ret = access == FUSE_READ_WRITE ? take_privileges_away() : 0;
	if (!ret) {
		f->root_fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
		ret = f->root_fd < 0 ? -errno : check_lookup(f->root_fd, dir);
		if (ret)
			close_fd(f->root_fd);
	}
	if (!ret) {
		/* Those below are taken already. A quarter of the others is left for what is not a share's. */
		fds -= MIN(fds, (unsigned int)f->root_fd);
		ret = inode_table_create(&f->inodes, f->root_fd, MIN(fds / 4, MAX_CACHED),
					 fds / 8 * 3, MAX_INODES)
			      ?: handle_table_create(&f->handles, fds / 8 * 3, f->inodes);
	}
	if (ret) {
		log_otherwise("cannot share directory '%s': %s", dir, strerror(-ret));
		fuse_destroy(f);
		return ret;
	}
	*out = f;
	return 0;
}

void fuse_set_owner(struct fuse *f, uint32_t uid, uint32_t gid)
{
	f->uid = (struct id_pair){ geteuid(), uid, f->access == FUSE_FROZEN };
	f->gid = (struct id_pair){ getegid(), gid, f->access == FUSE_FROZEN };
}

void fuse_reset(struct fuse *f)
{
	handle_table_reset(f->handles);
	inode_table_reset(f->inodes);
}

void fuse_destroy(struct fuse *f)
{
	if (!f)
		return;
	handle_table_destroy(f->handles);
	inode_table_destroy(f->inodes);
	pthread_mutex_destroy(&f->positions);
	free(f);
}

int fuse_root(const struct fuse *f)
{
	return f->root_fd;
}

void fuse_usage(struct fuse *f, uint64_t *inodes, uint64_t *fds)
{
	inode_table_usage(f->inodes, inodes, fds);
}
