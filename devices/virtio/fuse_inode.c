/* The inodes that a guest knows of a shared directory, and the way back to each. */
#include "devices/virtio/fuse_inode.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "devices/virtio/fuse_host.h"

#define BUCKETS_MIN 1024u
#define MAX_DEVICES 255u /* file systems below one directory that get numbers of their own */
#define INO_BITS    48	 /* of a number, below the file system's */

struct node {
	struct inode inode; /* fd -1: not at hand */
	struct host_identity identity;
	struct node *parent; /* where it was found last; NULL for the root */
	char *name;
	uint64_t known;		    /* times that the guest was told of it */
	uint32_t children;	    /* nodes whose parent this is */
	uint32_t users;		    /* between get and put */
	bool kept;		    /* no name leads to it: its descriptor stays */
	struct node *next;	    /* in its bucket */
	struct node *older, *newer; /* among those with a descriptor and without users */
};

struct slot {
	struct node *node; /* NULL: free */
	uint32_t generation;
	uint32_t next_free;
};

struct inode_table {
	pthread_mutex_t lock;
	struct node *root;
	struct node **bucket;
	unsigned int nr_buckets;
	struct slot *slot; /* a number is a slot and its generation */
	unsigned int nr_slots, max_slots, first_free, nr_nodes;
	struct node *oldest, *newest;
	unsigned int nr_fds, max_fds, all_fds;
	uint64_t device[MAX_DEVICES];
	unsigned int nr_devices;
};

/* Descriptors are the process's: those of all its tables. */
static _Atomic unsigned int nr_all_fds;

/* ---- the nodes by identity and by number ---- */

static struct node **bucket_of(const struct inode_table *t, const struct host_identity *id)
{
	uint64_t h = (id->ino ^ id->dev * 31) * 0x9e3779b97f4a7c15ull;

	return &t->bucket[(h >> 32) & (t->nr_buckets - 1)];
}

static struct node *find(const struct inode_table *t, const struct host_identity *id)
{
	struct node *n = *bucket_of(t, id);

	while (n && !host_same(&n->identity, id))
		n = n->next;
	return n;
}

static struct node *by_number(const struct inode_table *t, uint64_t id)
{
	const uint32_t i = (uint32_t)id - FUSE_ROOT_ID;

	if (i >= t->nr_slots || !t->slot[i].node || t->slot[i].node->inode.id != id)
		return NULL;
	return t->slot[i].node;
}

/* Twice the buckets; the old ones do as well where there is no memory. */
static void grow_buckets(struct inode_table *t)
{
	const unsigned int nr_old = t->nr_buckets;
	struct node **old = t->bucket, **bucket = calloc(2 * (size_t)nr_old, sizeof(*bucket));

	if (!bucket)
		return;
	t->bucket = bucket;
	t->nr_buckets = 2 * nr_old;
	for (unsigned int i = 0; i < nr_old; i++)
		for (struct node *n = old[i], *next; n; n = next) {
			struct node **at = bucket_of(t, &n->identity);

			next = n->next;
			n->next = *at;
			*at = n;
		}
	free(old);
}

static int take_slot(struct inode_table *t, struct node *n)
{
	unsigned int i = t->first_free;

	if (i == t->nr_slots) {
		const unsigned int more = t->nr_slots ? 2 * t->nr_slots : 64;
		struct slot *slot;

		if (i == t->max_slots)
			return -ENFILE;
		slot = realloc(t->slot, MIN(more, t->max_slots) * sizeof(*slot));
		if (!slot)
			return -ENOMEM;
		t->slot = slot;
		t->nr_slots = MIN(more, t->max_slots);
		for (unsigned int j = i; j < t->nr_slots; j++)
			slot[j] = (struct slot){ .next_free = j + 1 };
	}
	t->first_free = t->slot[i].next_free;
	t->slot[i].node = n;
	n->inode.id = (uint64_t)t->slot[i].generation << 32 | (i + FUSE_ROOT_ID);
	return 0;
}

static void give_slot(struct inode_table *t, const struct node *n)
{
	const unsigned int i = (uint32_t)n->inode.id - FUSE_ROOT_ID;

	t->slot[i] = (struct slot){ NULL, t->slot[i].generation + 1, t->first_free };
	t->first_free = i;
}

/* ---- descriptors: those used last stay ---- */

static void out_of_line(struct inode_table *t, struct node *n)
{
	*(n->older ? &n->older->newer : &t->oldest) = n->newer;
	*(n->newer ? &n->newer->older : &t->newest) = n->older;
	n->older = n->newer = NULL;
}

static void drop_fd(struct inode_table *t, struct node *n)
{
	const unsigned int nr = n->inode.reader < 0 ? 1 : 2;

	close(n->inode.fd);
	close_fd(n->inode.reader);
	n->inode.reader = n->inode.fd = -1;
	t->nr_fds -= nr;
	nr_all_fds -= nr;
}

static void use(struct inode_table *t, struct node *n)
{
	if (!n->users++ && n->inode.fd >= 0)
		out_of_line(t, n);
}

static void release(struct inode_table *t, struct node *n);

static void unuse(struct inode_table *t, struct node *n)
{
	if (--n->users)
		return;
	if (n->inode.fd >= 0) {
		n->older = t->newest;
		*(t->newest ? &t->newest->newer : &t->oldest) = n;
		t->newest = n;
	}
	release(t, n);
}

/* @fd is one of the table's from now on, of a node that is in use. */
static int keep_fd(struct inode_table *t, int fd)
{
	/* Where all tables together have many, one goes for each that comes. */
	const unsigned int most = nr_all_fds < t->all_fds ? t->max_fds : MIN(t->nr_fds, t->max_fds);

	/* A kept one goes only where nothing else is left: its file is stale then. */
	for (int kept = 0; kept < 2; kept++)
		for (struct node *old = t->oldest, *next;
		     old && t->nr_fds >= (kept ? t->max_fds : most); old = next) {
			next = old->newer;
			if (old->kept == kept) {
				out_of_line(t, old);
				drop_fd(t, old);
			}
		}
	t->nr_fds++;
	nr_all_fds++;
	return fd;
}

/* ---- places ---- */

static void leave_place(struct inode_table *t, struct node *n)
{
	struct node *parent = n->parent;

	free(n->name);
	n->name = NULL;
	n->parent = NULL;
	if (!parent)
		return;
	parent->children--;
	release(t, parent);
}

/* Where @n was found now. A place below itself is one that a move on the host has made untrue: not noted. */
static int note_place(struct inode_table *t, struct node *n, struct node *parent, const char *name)
{
	char *copy;

	n->kept = false;
	if (n == t->root || (n->parent == parent && n->name && !strcmp(n->name, name)))
		return 0;
	for (const struct node *p = parent; p; p = p->parent)
		if (p == n)
			return 0;
	copy = strdup(name);
	if (!copy)
		return -ENOMEM;
	parent->children++; /* first: leaving the old place may let go of a parent */
	leave_place(t, n);
	n->parent = parent;
	n->name = copy;
	return 0;
}

/* A node that neither the guest nor anything here needs goes. */
static void release(struct inode_table *t, struct node *n)
{
	struct node **at = bucket_of(t, &n->identity);

	if (n == t->root || n->known || n->children || n->users)
		return;
	while (*at != n)
		at = &(*at)->next;
	*at = n->next;
	if (n->inode.fd >= 0) {
		out_of_line(t, n);
		drop_fd(t, n);
	}
	give_slot(t, n);
	t->nr_nodes--;
	leave_place(t, n);
	free(n);
}

static int add(struct inode_table *t, int fd, const struct statx *st, struct node **out)
{
	struct node *n = calloc(1, sizeof(*n));
	struct node **at;
	int ret;

	if (!n)
		return -ENOMEM;
	n->inode.reader = n->inode.fd = -1;
	n->inode.type = st->stx_mode & S_IFMT;
	n->identity = host_identity(st);
	/* What is mounted there by the host's kernel; a share that is itself such a directory was asked for. */
	n->inode.hidden = t->root && n->identity.dev != t->root->identity.dev && host_is_pseudo(fd);
	ret = take_slot(t, n);
	if (ret) {
		free(n);
		return ret;
	}
	if (++t->nr_nodes > t->nr_buckets)
		grow_buckets(t);
	at = bucket_of(t, &n->identity);
	n->next = *at;
	*at = n;
	*out = n;
	return 0;
}

/* Open @n at its place, below a parent that has a descriptor; it must still be the same file. */
static int reopen(struct inode_table *t, struct node *n)
{
	int fd, ret;

	fd = host_openat(n->parent->inode.fd, n->name, O_PATH, 0);
	if (fd < 0)
		return fd == -ENOENT || fd == -ENOTDIR ? -ESTALE : fd;
	ret = host_is(fd, &n->identity);
	if (ret)
		close(fd);
	else
		n->inode.fd = keep_fd(t, fd);
	return ret;
}

/* The way to @n, from the nearest ancestor that has a descriptor. The nodes on it are in use meanwhile. */
static int walk(struct inode_table *t, struct node *n)
{
	int ret = 0;

	use(t, n);
	while (!ret && n->inode.fd < 0) {
		struct node *top = n;

		while (top->parent && top->parent->inode.fd < 0)
			top = top->parent;
		if (!top->parent) {
			ret = -ESTALE;
			break;
		}
		use(t, top);
		use(t, top->parent);
		ret = reopen(t, top);
		unuse(t, top->parent);
		unuse(t, top);
	}
	if (ret)
		unuse(t, n);
	return ret;
}

/* ---- verbs ---- */

int inode_table_create(struct inode_table **out, int root_fd, unsigned int max_fds,
		       unsigned int all_fds, unsigned int max_inodes)
{
	struct inode_table *t = calloc(1, sizeof(*t));
	struct statx st;
	int ret = t ? host_statx(root_fd, &st) : -ENOMEM;

	if (!ret) {
		pthread_mutex_init(&t->lock, NULL);
		t->max_fds = max_fds;
		t->all_fds = all_fds;
		t->max_slots = max_inodes;
		t->nr_buckets = BUCKETS_MIN;
		t->bucket = calloc(t->nr_buckets, sizeof(*t->bucket));
		/* The first number is the root's. */
		ret = t->bucket ? add(t, root_fd, &st, &t->root) : -ENOMEM;
	}
	if (ret) {
		close(root_fd);
		inode_table_destroy(t);
		return ret;
	}
	t->root->inode.fd = root_fd;
	t->root->users = 1; /* never closed, never forgotten */
	t->device[t->nr_devices++] = host_device(&st);
	*out = t;
	return 0;
}

void inode_table_reset(struct inode_table *t)
{
	hold(&t->lock);
	/* What is only known goes, then the parents that it kept. */
	for (unsigned int i = 0; i < t->nr_slots; i++)
		if (t->slot[i].node) {
			t->slot[i].node->known = 0;
			release(t, t->slot[i].node);
		}
}

void inode_table_destroy(struct inode_table *t)
{
	if (!t)
		return;
	if (t->root) {
		inode_table_reset(t);
		close(t->root->inode.fd);
		close_fd(t->root->inode.reader);
		free(t->root);
	}
	free(t->bucket);
	free(t->slot);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

int inode_get(struct inode_table *t, uint64_t id, struct inode **out)
{
	hold(&t->lock);
	struct node *n = by_number(t, id);
	const int ret = n ? walk(t, n) : -ESTALE;
	if (!ret)
		*out = &n->inode;
	return ret;
}

void inode_put(struct inode_table *t, struct inode *inode)
{
	if (!inode)
		return;
	hold(&t->lock);
	unuse(t, container_of(inode, struct node, inode));
}

/* The node of the file that @fd is open on, found at @name in @dir; @fd is taken or closed. */
static int note(struct inode_table *t, struct node *dir, const char *name, int fd,
		const struct statx *st, struct node **out)
{
	const struct host_identity id = host_identity(st);
	struct node *n = find(t, &id);
	int ret = n ? 0 : add(t, fd, st, &n);

	if (ret) {
		close(fd);
		return ret;
	}
	use(t, n);
	if (n->inode.fd < 0)
		n->inode.fd = keep_fd(t, fd);
	else
		close(fd);
	ret = note_place(t, n, dir, name);
	if (ret)
		unuse(t, n);
	else
		*out = n;
	return ret;
}

int inode_lookup(struct inode_table *t, struct inode *dir, const char *name, struct inode **out,
		 struct statx *st)
{
	const int fd = host_openat(dir->fd, name, O_PATH, 0);
	struct node *n;
	int ret;

	if (fd < 0)
		return fd;
	ret = host_statx(fd, st);
	if (ret) {
		close(fd);
		return ret;
	}
	hold(&t->lock);
	ret = note(t, container_of(dir, struct node, inode), name, fd, st, &n);
	if (!ret) {
		n->known++;
		*out = &n->inode;
	}
	return ret;
}

void inode_forget(struct inode_table *t, uint64_t id, uint64_t n)
{
	hold(&t->lock);
	struct node *node = by_number(t, id);
	if (!node)
		return;
	node->known -= MIN(node->known, n);
	release(t, node);
}

/* Where @n stands: the directory, in use, and the name in it. */
static int place_of(struct inode_table *t, struct node *n, struct node **dir,
		    char name[FUSE_NAME_MAX + 1])
{
	hold(&t->lock);
	*dir = n->parent;
	const int ret = *dir ? walk(t, *dir) : -ESTALE;
	if (!ret)
		strcpy(name, n->name);
	return ret;
}

int inode_open(struct inode_table *t, struct inode *inode, int flags)
{
	struct node *n = container_of(inode, struct node, inode), *dir;
	char name[FUSE_NAME_MAX + 1];
	int fd, ret;

	if (inode->type == S_IFDIR)
		return host_openat(inode->fd, ".", flags | O_DIRECTORY, 0);
	if (inode->type != S_IFREG)
		return -ENXIO;
	ret = place_of(t, n, &dir, name);
	if (ret)
		return ret;
	/* Should another have taken its place: one that blocks or does something when opened does not here. */
	fd = host_openat(dir->inode.fd, name, (flags & ~O_TRUNC) | O_NONBLOCK | O_NOCTTY, 0);
	if (fd < 0)
		fd = host_error(dir->inode.fd, name, &n->identity, fd);
	inode_put(t, &dir->inode);
	if (fd < 0)
		return fd;
	ret = host_is(fd, &n->identity);
	if (!ret && flags & O_TRUNC && ftruncate(fd, 0) < 0)
		ret = -errno;
	if (ret)
		close(fd);
	return ret ? ret : fd;
}

int inode_reader(struct inode_table *t, struct inode *inode)
{
	int fd = inode->reader;

	if (fd >= 0)
		return fd;
	fd = inode_open(t, inode, O_RDONLY);
	if (fd < 0)
		return fd;
	hold(&t->lock);
	if (inode->reader >= 0) { /* another thread was faster */
		close(fd);
		return inode->reader;
	}
	/* The root has it to the end. */
	inode->reader = fd = inode == &t->root->inode ? fd : keep_fd(t, fd);
	return fd;
}

int inode_link(struct inode_table *t, struct inode *inode, struct inode *to, const char *to_name)
{
	struct node *n = container_of(inode, struct node, inode), *dir;
	char name[FUSE_NAME_MAX + 1];
	int fd, ret = place_of(t, n, &dir, name);

	if (ret)
		return ret;
	if (linkat(dir->inode.fd, name, to->fd, to_name, 0) < 0)
		ret = host_error(dir->inode.fd, name, &n->identity, -errno);
	inode_put(t, &dir->inode);
	if (ret)
		return ret;
	/* Another file may have stood there. */
	fd = host_openat(to->fd, to_name, O_PATH, 0);
	if (fd < 0)
		return fd;
	ret = host_is(fd, &n->identity);
	close(fd);
	if (ret)
		unlinkat(to->fd, to_name, 0);
	return ret;
}

/* The node of what stands at @name in @dir now, in use and with a descriptor, if the guest knows it. */
static struct node *known_at(struct inode_table *t, struct inode *dir, const char *name)
{
	const int fd = host_openat(dir->fd, name, O_PATH, 0);
	struct host_identity id;
	struct node *n;

	if (fd < 0)
		return NULL;
	n = host_identify(fd, &id) ? NULL : find(t, &id);
	if (n) {
		use(t, n);
		if (n->inode.fd < 0) {
			n->inode.fd = keep_fd(t, fd);
			return n;
		}
	}
	close(fd);
	return n;
}

void inode_keep(struct inode_table *t, struct inode *dir, const char *name)
{
	hold(&t->lock);
	struct node *n = known_at(t, dir, name);
	if (!n)
		return;
	/* Another of its names, where that is the place that is noted, still leads there. */
	n->kept = n->parent == container_of(dir, struct node, inode) && n->name &&
		  !strcmp(n->name, name);
	unuse(t, n);
}

void inode_moved(struct inode_table *t, struct inode *dir, const char *name)
{
	hold(&t->lock);
	struct node *n = known_at(t, dir, name);
	if (!n)
		return;
	/* Without memory for the name it is found again by the guest's next look. */
	if (note_place(t, n, container_of(dir, struct node, inode), name))
		n->kept = true;
	unuse(t, n);
}

uint64_t inode_number(struct inode_table *t, const struct statx *st)
{
	const uint64_t dev = host_device(st);
	unsigned int i = 0;

	hold(&t->lock);
	while (i < t->nr_devices && t->device[i] != dev)
		i++;
	if (i == t->nr_devices && i < MAX_DEVICES)
		t->device[t->nr_devices++] = dev;
	/* The shared directory's own file system keeps its numbers. */
	return i ? st->stx_ino ^ (uint64_t)i << INO_BITS : st->stx_ino;
}

void inode_table_usage(struct inode_table *t, uint64_t *inodes, uint64_t *fds)
{
	hold(&t->lock);
	*inodes = t->nr_nodes;
	*fds = t->nr_fds;
}
