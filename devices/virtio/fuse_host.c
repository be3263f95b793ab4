/* How the FUSE server reaches the host's files. */
#include "devices/virtio/fuse_host.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "vmm/base/util.h"

int host_openat(int dir, const char *name, int flags, unsigned int mode)
{
	struct open_how how = {
		.flags = (uint64_t)(flags | O_NOFOLLOW | O_CLOEXEC),
		.mode = mode,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS,
	};
	const long fd = syscall(SYS_openat2, dir, name, &how, sizeof(how));

	return fd < 0 ? -errno : (int)fd;
}

int host_statx(int fd, struct statx *st)
{
	return statx(fd, "", AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS | STATX_BTIME,
		     st) < 0
		       ? -errno
		       : 0;
}

uint64_t host_device(const struct statx *st)
{
	return (uint64_t)st->stx_dev_major << 32 | st->stx_dev_minor;
}

struct host_identity host_identity(const struct statx *st)
{
	struct host_identity id = { .dev = host_device(st), .ino = st->stx_ino };

	if (st->stx_mask & STATX_BTIME)
		id.birth = (uint64_t)st->stx_btime.tv_sec * 1000000000u + st->stx_btime.tv_nsec;
	return id;
}

bool host_same(const struct host_identity *a, const struct host_identity *b)
{
	return a->ino == b->ino && a->dev == b->dev && a->birth == b->birth;
}

int host_identify(int fd, struct host_identity *id)
{
	struct statx st;
	const int ret = host_statx(fd, &st);

	if (!ret)
		*id = host_identity(&st);
	return ret;
}

int host_is(int fd, const struct host_identity *id)
{
	struct host_identity now;
	const int ret = host_identify(fd, &now);

	return ret ? ret : host_same(&now, id) ? 0 : -ESTALE;
}

int host_error(int dir, const char *name, const struct host_identity *id, int err)
{
	const int fd = host_openat(dir, name, O_PATH, 0);

	if (fd == -ENOENT || (fd >= 0 && host_is(fd, id)))
		err = -ESTALE;
	close_fd(fd);
	return err;
}

/* Whether the file system behind @fd is one of @types. */
static bool is_one_of(int fd, const uint32_t *types, size_t nr)
{
	struct statfs fs;

	if (fstatfs(fd, &fs) < 0)
		return false;
	for (size_t i = 0; i < nr; i++)
		if ((uint32_t)fs.f_type == types[i])
			return true;
	return false;
}

bool host_is_pseudo(int fd)
{
	static const uint32_t pseudo[] = {
		PROC_SUPER_MAGIC,    SYSFS_MAGIC,    DEBUGFS_MAGIC,	 TRACEFS_MAGIC,
		SECURITYFS_MAGIC,    SELINUX_MAGIC,  DEVPTS_SUPER_MAGIC, CGROUP_SUPER_MAGIC,
		CGROUP2_SUPER_MAGIC, BPF_FS_MAGIC,   PSTOREFS_MAGIC,	 EFIVARFS_MAGIC,
		NSFS_MAGIC,	     BINFMTFS_MAGIC,
	};

	return is_one_of(fd, pseudo, ARRAY_SIZE(pseudo));
}

bool host_closes_silently(int fd)
{
	static const uint32_t local[] = {
		EXT4_SUPER_MAGIC,      XFS_SUPER_MAGIC, BTRFS_SUPER_MAGIC,
		F2FS_SUPER_MAGIC,      TMPFS_MAGIC,	RAMFS_MAGIC,
		OVERLAYFS_SUPER_MAGIC, SQUASHFS_MAGIC,	EROFS_SUPER_MAGIC_V1,
	};

	return is_one_of(fd, local, ARRAY_SIZE(local));
}
