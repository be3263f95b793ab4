/*
 * The inodes that a guest knows of a shared directory: its numbers for files (nodeid of FUSE), and the way back
 * from a number to the file.
 *
 * An inode is remembered by its place (parent and name) and its identity (device, number, time of birth), not by
 * an open descriptor: a guest may know millions. Descriptors (O_PATH) of those used last are kept; the others are
 * found again from the nearest ancestor that has one, one name at a time, never through a symbolic link. Where
 * another file has taken the place meanwhile, the inode is stale (-ESTALE), as on a network file system.
 *
 * Numbers come from the guest and are judged: one that was never given out, or is forgotten, is -ESTALE.
 * All functions may be called from any thread.
 */
#ifndef DEVICES_VIRTIO_FUSE_INODE_H
#define DEVICES_VIRTIO_FUSE_INODE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "vmm/base/util.h"

#define FUSE_NAME_MAX 255u

struct inode_table;

/* What the table shows of an inode; valid between inode_get() and inode_put(). */
struct inode {
	int fd;		    /* O_PATH */
	_Atomic int reader; /* that of inode_reader(), or -1 */
	uint64_t id;   /* the guest's number for it; FUSE_ROOT_ID is the shared directory itself */
	uint32_t type; /* S_IFMT bits */
	bool hidden;   /* of the host's proc, sysfs and their like: to be shown without contents */
};

/*
 * A table for the directory @root_fd (O_PATH), which it closes at the end. It keeps at most @max_fds descriptors, and
 * while all tables of the process have @all_fds no more than it has; and it knows at most @max_inodes inodes. -errno.
 */
int must_check inode_table_create(struct inode_table **out, int root_fd, unsigned int max_fds,
				  unsigned int all_fds, unsigned int max_inodes);
void inode_table_destroy(struct inode_table *t);

/* The guest forgets all but the root. What is in use goes when its user is done. */
void inode_table_reset(struct inode_table *t);

/* Inode @id with a descriptor, until inode_put(). -ESTALE; or the errno of walking there. */
int must_check inode_get(struct inode_table *t, uint64_t id, struct inode **out);
void inode_put(struct inode_table *t, struct inode *inode);

/*
 * Look up @name in directory @dir: the inode, its attributes in *@st, counted as known to the guest once more
 * (until inode_forget()), and in use until inode_put(). -ENOENT; -ENFILE: the guest knows too many; -errno.
 */
int must_check inode_lookup(struct inode_table *t, struct inode *dir, const char *name,
			    struct inode **out, struct statx *st);

/* The guest takes back @n of the times that inode_lookup() told it of @id. */
void inode_forget(struct inode_table *t, uint64_t id, uint64_t n);

/*
 * Open a directory or a regular file itself, with @flags of open(2); a descriptor, or -errno. Nothing else is ever
 * opened (-ENXIO): a device or a FIFO of the host is not the guest's to touch.
 */
int must_check inode_open(struct inode_table *t, struct inode *inode, int flags);

/*
 * A descriptor for reading a directory or a regular file, -ENXIO for all others, or -errno. It is the inode's, which
 * keeps it as long as its own. A directory's position is everybody's.
 */
int must_check inode_reader(struct inode_table *t, struct inode *inode);

/* Give @inode, no directory, another name @to_name in @to. -errno. */
int must_check inode_link(struct inode_table *t, struct inode *inode, struct inode *to,
			  const char *to_name);

/*
 * Before the guest removes or replaces @name in @dir: the file, if the guest knows it, keeps its descriptor, for
 * there will be no way back to it.
 */
void inode_keep(struct inode_table *t, struct inode *dir, const char *name);

/* After the guest moved something to @name in @dir: its place, if the guest knows it. */
void inode_moved(struct inode_table *t, struct inode *dir, const char *name);

/* Files of different file systems must not share a number: the one that the guest sees for @st. */
uint64_t inode_number(struct inode_table *t, const struct statx *st);

/* Inodes known, and descriptors held. */
void inode_table_usage(struct inode_table *t, uint64_t *inodes, uint64_t *fds);

#endif
