/* What the parts of the FUSE server share: fuse.c (requests and answers), fuse_names.c and fuse_files.c (the verbs). */
#ifndef DEVICES_VIRTIO_FUSE_INTERNAL_H
#define DEVICES_VIRTIO_FUSE_INTERNAL_H

#include <linux/fuse.h>

#include "devices/virtio/fuse.h"
#include "devices/virtio/fuse_handle.h"
#include "devices/virtio/fuse_inode.h"

#define FUSE_REPLY_MAX (64u * 1024) /* an answer that is no file's contents */

struct fuse {
	struct inode_table *inodes;
	struct handle_table *handles;
	int root_fd; /* the inode table's */
	enum fuse_access access;
	_Atomic bool by_number;	   /* in this session nothing is opened */
	pthread_mutex_t positions; /* of directories that are read by number */
	struct id_pair {
		uint32_t here, there;
		bool one_way; /* of a guest that changes none: whose are @there's stay @there's */
	} uid, gid;
};

/* A file's owner on one side, as the other side has it. */
static inline uint32_t fuse_id(const struct id_pair *p, uint32_t id)
{
	if (id == p->here)
		return p->there;
	return id == p->there && !p->one_way ? p->here : id;
}

/* One request, judged as far as its kind allows, and its answer. */
struct fuse_call {
	struct fuse *f;
	const struct fuse_in_header *header;
	struct inode *inode;   /* of header->nodeid, where its kind has one */
	struct handle *handle; /* likewise, of the fh that the fixed part begins with */
	int fd;		       /* the handle's; the inode's own where nothing is opened */
	const void *arg;       /* the fixed part, whole */
	const char *name[2];   /* as many as its kind has; one component each */
	const uint8_t *rest;   /* what follows */
	size_t rest_len;

	uint8_t *reply; /* room for FUSE_REPLY_MAX bytes */
	size_t reply_len;

	/* The guest's own buffers: contents to write behind the request, room for contents behind the header. */
	struct iovec *in, *out;
	unsigned int nr_in, nr_out;
	size_t in_len, out_len;
	bool in_place; /* reply_len bytes are already in @out */
	struct fuse_result *result;
};

/* Verbs return 0 or -errno; some serve two kinds of request. */
#define FUSE_VERB(name) int fuse_do_##name(struct fuse_call *c)

FUSE_VERB(lookup);
FUSE_VERB(readlink);
FUSE_VERB(symlink);
FUSE_VERB(mknod);
FUSE_VERB(mkdir);
FUSE_VERB(remove);
FUSE_VERB(rename);
FUSE_VERB(link);
FUSE_VERB(create);
FUSE_VERB(opendir);
FUSE_VERB(readdir);

FUSE_VERB(getattr);
FUSE_VERB(setattr);
FUSE_VERB(open);
FUSE_VERB(read);
FUSE_VERB(write);
FUSE_VERB(flush);
FUSE_VERB(release);
FUSE_VERB(fsync);
FUSE_VERB(statfs);
FUSE_VERB(syncfs);
FUSE_VERB(getxattr);
FUSE_VERB(listxattr);
FUSE_VERB(setxattr);
FUSE_VERB(removexattr);
FUSE_VERB(lseek);
FUSE_VERB(fallocate);
FUSE_VERB(copy_file_range);

/* The next @len bytes of the answer, zeroed; the callers' answers fit. */
void *fuse_reply(struct fuse_call *c, size_t len);

/* How long the guest may believe what it is told, in seconds: the host's files change as well. */
static inline uint64_t fuse_valid_secs(const struct fuse *f)
{
	return f->access == FUSE_FROZEN ? 24 * 60 * 60 : 1;
}

void fuse_fill_attr(struct fuse *f, struct fuse_attr *attr, const struct statx *st);
void fuse_fill_entry(struct fuse *f, struct fuse_entry_out *e, const struct inode *inode,
		     const struct statx *st);

/* The permission bits of @mode that a file of the host may get. */
unsigned int fuse_mode(uint32_t mode);

/* Open a handle for @fd (taken, or closed) on the inode in use @inode (likewise) and answer with it. */
int fuse_reply_open(struct fuse_call *c, int fd, struct inode *inode, bool dir);

/* The same for the request's own inode; an @fd that is an error is the answer. */
int fuse_reply_open_same(struct fuse_call *c, int fd, bool dir);

#endif
