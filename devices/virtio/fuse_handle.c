/* Files and directories that a guest has open. */
#include "devices/virtio/fuse_handle.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "devices/virtio/fuse_inode.h"

struct handle_table {
	pthread_mutex_t lock;
	struct handle *handle;
	unsigned int *free; /* a stack of those that are not open */
	unsigned int max, nr_free;
	struct inode_table *inodes;
};

/* Descriptors are the process's: those of all its tables. */
static _Atomic unsigned int nr_all_open;

int handle_table_create(struct handle_table **out, unsigned int max, struct inode_table *inodes)
{
	struct handle_table *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	*t = (struct handle_table){ .max = max, .nr_free = max, .inodes = inodes };
	pthread_mutex_init(&t->lock, NULL);
	t->handle = calloc(max, sizeof(*t->handle));
	t->free = calloc(max, sizeof(*t->free));
	if (!t->handle || !t->free) {
		t->max = 0;
		handle_table_destroy(t);
		return -ENOMEM;
	}
	for (unsigned int i = 0; i < max; i++) {
		t->free[i] = max - 1 - i;
		pthread_mutex_init(&t->handle[i].lock, NULL);
	}
	*out = t;
	return 0;
}

/* Under the lock; the inode goes back outside it. NULL while somebody uses the handle. */
static struct inode *let_go(struct handle_table *t, struct handle *h)
{
	if (h->open || h->users)
		return NULL;
	close(h->fd);
	nr_all_open--;
	h->generation++;
	t->free[t->nr_free++] = (unsigned int)(h - t->handle);
	return h->inode;
}

static struct inode *shut(struct handle_table *t, struct handle *h)
{
	h->open = false;
	return let_go(t, h);
}

void handle_table_reset(struct handle_table *t)
{
	for (unsigned int i = 0; i < t->max; i++) {
		struct inode *inode;

		pthread_mutex_lock(&t->lock);
		inode = t->handle[i].open ? shut(t, &t->handle[i]) : NULL;
		pthread_mutex_unlock(&t->lock);
		inode_put(t->inodes, inode);
	}
}

void handle_table_destroy(struct handle_table *t)
{
	if (!t)
		return;
	handle_table_reset(t);
	for (unsigned int i = 0; i < t->max; i++)
		pthread_mutex_destroy(&t->handle[i].lock);
	pthread_mutex_destroy(&t->lock);
	free(t->handle);
	free(t->free);
	free(t);
}

int handle_open(struct handle_table *t, int fd, struct inode *inode, bool dir, uint64_t *fh)
{
	hold(&t->lock);
	if (!t->nr_free || nr_all_open >= t->max)
		return -ENFILE;
	nr_all_open++;
	const unsigned int i = t->free[--t->nr_free];
	struct handle *h = &t->handle[i];
	h->fd = fd;
	h->inode = inode;
	h->dir = dir;
	h->open = true;
	*fh = (uint64_t)h->generation << 32 | i;
	return 0;
}

static struct handle *find(const struct handle_table *t, uint64_t fh, bool dir)
{
	struct handle *h = (uint32_t)fh < t->max ? &t->handle[(uint32_t)fh] : NULL;

	return h && h->open && h->generation == fh >> 32 && h->dir == dir ? h : NULL;
}

int handle_get(struct handle_table *t, uint64_t fh, bool dir, struct handle **out)
{
	hold(&t->lock);
	*out = find(t, fh, dir);
	if (!*out)
		return -EBADF;
	(*out)->users++;
	return 0;
}

void handle_put(struct handle_table *t, struct handle *h)
{
	if (!h)
		return;
	pthread_mutex_lock(&t->lock);
	h->users--;
	struct inode *inode = let_go(t, h);
	pthread_mutex_unlock(&t->lock);
	inode_put(t->inodes, inode);
}

int handle_close(struct handle_table *t, uint64_t fh, bool dir)
{
	struct inode *inode = NULL;

	pthread_mutex_lock(&t->lock);
	struct handle *h = find(t, fh, dir);
	if (h)
		inode = shut(t, h);
	pthread_mutex_unlock(&t->lock);
	inode_put(t->inodes, inode);
	return h ? 0 : -EBADF;
}
