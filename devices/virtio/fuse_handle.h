/*
 * Files and directories that a guest has open: its handles (fh of FUSE), each a descriptor of ours.
 *
 * A handle from the guest is judged: one that is not open, or is of the other kind, is -EBADF. Closing one that is
 * in use lets the user finish. From any thread.
 */
#ifndef DEVICES_VIRTIO_FUSE_HANDLE_H
#define DEVICES_VIRTIO_FUSE_HANDLE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "vmm/base/util.h"

struct handle_table;
struct inode;
struct inode_table;

struct handle {
	int fd;
	struct inode *inode; /* what it is open on; in use as long as it is open */
	bool dir;
	pthread_mutex_t lock; /* of a directory's position */
	uint32_t users, generation;
	bool open;
};

/* Room for @max handles, which all tables of the process have together, on what is of @inodes. -ENOMEM. */
int must_check handle_table_create(struct handle_table **out, unsigned int max,
				   struct inode_table *inodes);

/* All of them are closed; one that is in use lets its user finish. */
void handle_table_reset(struct handle_table *t);

/* Likewise; nothing may be in use. */
void handle_table_destroy(struct handle_table *t);

/* A handle for @fd, which is closed with it, open on @inode, which is put back then. -ENFILE, and neither is taken. */
int must_check handle_open(struct handle_table *t, int fd, struct inode *inode, bool dir,
			   uint64_t *fh);

/* The handle @fh, until handle_put(). -EBADF. */
int must_check handle_get(struct handle_table *t, uint64_t fh, bool dir, struct handle **out);
void handle_put(struct handle_table *t, struct handle *h);

/* -EBADF. */
int must_check handle_close(struct handle_table *t, uint64_t fh, bool dir);

#endif
