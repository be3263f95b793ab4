/*
 * A file server that speaks FUSE (linux/fuse.h, protocol 7.31 and later) for one directory of the host; virtio/fs.c
 * carries its requests.
 *
 * The guest is hostile: a request is copied once and the copy is judged; lengths, numbers and handles are checked
 * before they are used; a name is one component, and every path is walked below the directory one name at a time,
 * never through a symbolic link: those are the guest's to follow. Special files are shown, never opened. What the
 * host's proc, sysfs and their like mount below the directory looks empty.
 *
 * Files belong to whoever runs minivmm, with that user's rights; set-user-id, set-group-id and privileged
 * attributes (security.*, trusted.*) are never given to a file of the host, nor are its own shown. Locks stay within the guest. A host before
 * Linux 6.6 changes no mode of what cannot be opened: of a FIFO or a socket (-EOPNOTSUPP).
 */
#ifndef DEVICES_VIRTIO_FUSE_H
#define DEVICES_VIRTIO_FUSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "vmm/base/util.h"

#define FUSE_MAX_TRANSFER (1u << 20) /* bytes of one read or write */

struct fuse;
struct fuse_buffer; /* what a thread needs while it serves */

enum fuse_access {
	FUSE_READ_ONLY, /* every change is -EROFS */
	FUSE_READ_WRITE,
	/*
	 * Read-only, and the host changes nothing below the directory either: the guest may believe for a day what it is
	 * told, and reads a file without having opened it (from Linux 5.1 on); extended attributes are not shown. A file
	 * that is replaced all the same has its old contents as long as it is at hand, then it is -ESTALE.
	 */
	FUSE_FROZEN,
};

/*
 * Serve @dir. With FUSE_READ_WRITE the process has no umask any more: files get the mode that the guest gives them;
 * and this thread, with those that it starts, no CAP_FSETID. -errno with a message.
 */
int must_check fuse_create(struct fuse **out, const char *dir, enum fuse_access access);
void fuse_destroy(struct fuse *f);

/*
 * Before it serves: what belongs to the user and the group of this process belongs to @uid and @gid in the guest, and the
 * other way round - but in a frozen share, where nobody is given anything, what is @uid's here stays @uid's. So a guest's
 * user can have a directory of its own, who is not the one here.
 */
void fuse_set_owner(struct fuse *f, uint32_t uid, uint32_t gid);

/* The directory, an O_PATH descriptor that stays the server's. */
int fuse_root(const struct fuse *f);

/* The session is over: the guest has nothing open and knows no file. Requests under way finish first. */
void fuse_reset(struct fuse *f);

/* Bytes of memory that each thread that serves needs. */
extern const size_t fuse_buffer_size;

/* What became of a request, for accounts. */
struct fuse_result {
	uint32_t opcode;
	int error;	  /* 0 or -errno, as the guest was told */
	uint32_t in, out; /* bytes of file contents written and read */
	bool malformed;	  /* the request broke the protocol */
};

/*
 * Serve one request: @in (device-readable) holds it, @out (device-writable) takes the answer. The bytes of @out that
 * were filled in. From any number of threads, each with its own @b. @in and @out are guest memory and may be changed.
 */
uint32_t fuse_serve(struct fuse *f, struct fuse_buffer *b, struct iovec *in, unsigned int nr_in,
		    struct iovec *out, unsigned int nr_out, struct fuse_result *result);

/* Files that the guest knows, and descriptors that are held for them. */
void fuse_usage(struct fuse *f, uint64_t *inodes, uint64_t *fds);

#endif
