/*
 * How the FUSE server reaches the host's files: by one name in a directory that is open, never through a link.
 */
#ifndef DEVICES_VIRTIO_FUSE_HOST_H
#define DEVICES_VIRTIO_FUSE_HOST_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "vmm/base/util.h"

/*
 * openat(2) of one name in the directory @dir, which never leaves it: no symbolic link is followed, not even as the
 * last component, and no magic one. @mode counts with O_CREAT only. A descriptor, or -errno.
 */
int must_check host_openat(int dir, const char *name, int flags, unsigned int mode);

/* Fill in @st for the file behind @fd; -errno. */
int must_check host_statx(int fd, struct statx *st);

/* What makes a file the same file: a number is used again, but hardly with the same time of birth. */
struct host_identity {
	uint64_t dev, ino, birth;
};

struct host_identity host_identity(const struct statx *st);
bool host_same(const struct host_identity *a, const struct host_identity *b);

/* That of the file behind @fd; -errno. */
int must_check host_identify(int fd, struct host_identity *id);

/* 0 if @fd is open on the file @id; else -ESTALE, or -errno. */
int must_check host_is(int fd, const struct host_identity *id);

/*
 * What to say of @err, which a call on @name in @dir gave that was meant for the file @id: -ESTALE if that is not what
 * stands there now, for it may have another name, and the guest looks again.
 */
int host_error(int dir, const char *name, const struct host_identity *id, int err);

/* The number of the file system. */
uint64_t host_device(const struct statx *st);

/* Whether the file system behind @fd shows the host's processes and kernel (proc, sysfs ...). */
bool host_is_pseudo(int fd);

/* Whether closing @fd has nothing to say: on a local file system. A network's may say only then what became of a write. */
bool host_closes_silently(int fd);

#endif
