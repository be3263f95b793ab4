/*
 * A host's kernel with vhost-net, for unit tests linked with --wrap=ioctl: it keeps the rules that the kernel keeps, fails
 * on demand, and moves frames when the test says so.
 */
#ifndef DEVICES_VIRTIO_TEST_FAKE_VHOST_H
#define DEVICES_VIRTIO_TEST_FAKE_VHOST_H

#include <pthread.h>

#include "devices/net/vhost.h"

struct netbe_pair;

struct fake_vhost_ring {
	uint16_t num, base, last_used;
	uint64_t desc, avail, used; /* addresses of ours */
	int kick, call, err, tap;   /* -1: none */
	uint64_t poll;
	bool stuck; /* it has met an error: until the next start */
};

struct fake_vhost {
	pthread_mutex_t lock;
	int fd;
	bool owned;
	uint64_t offers, features;
	unsigned int nr_regions;
	struct guestmem_region region[GUESTMEM_MAX_REGIONS];
	struct fake_vhost_ring ring[2];
	unsigned int starts, calls; /* backends that were set; ioctls */

	/* Requests of this number fail with @err, but for the first @spared of them; of SET_BACKEND those that
	 * unbind, too, if @unbinding. */
	unsigned long fails;
	int err;
	unsigned int spared;
	bool unbinding;
};

/* A new one: its descriptor, which the test gives away. Taken back by the next fake_vhost_forget(). */
int fake_vhost_new(struct fake_vhost *f);
void fake_vhost_forget(void);

/* Another thread or nobody has closed it. */
bool fake_vhost_is_closed(const struct fake_vhost *f);

/*
 * Be the kernel's worker for a moment: move what can be moved, in rings that it has; how many frames. What it takes from and
 * gives to @pair's queue is counted there.
 */
unsigned int fake_vhost_work(struct fake_vhost *f, struct netbe_pair *pair);

#endif
