/*
 * Workers: a few threads that serve the requests of one queue side by side, for devices whose requests may block
 * (files). They are made with the device and sleep; each waits for the driver's kicks itself.
 */
#ifndef DEVICES_VIRTIO_WORKERS_H
#define DEVICES_VIRTIO_WORKERS_H

#include "devices/virtio/core.h"
#include "vmm/base/thread.h"

struct virtio_workers;

struct virtio_workers_params {
	struct virtio_dev *dev;
	unsigned int queue;
	unsigned int nr;   /* threads, named after the device: "disk0.1" */
	unsigned int room; /* bytes of each worker's own memory for @serve, zeroed */
	enum thread_kind kind;
	int fd;	       /* see struct thread */
	bool writable; /* likewise */
	const struct thread_guard *guard;

	/* Serve a request: buffers to be read, then those to be filled. The bytes filled in. */
	uint32_t (*serve)(void *arg, void *own, const struct virtq_chain *chain, struct iovec *iov);
	/* What was served is counted; one worker at a time. */
	void (*count)(void *arg, void *own);
	void *arg;
};

/* The queue's eventfd must be there. -errno with a message. */
int must_check virtio_workers_create(struct virtio_workers **out,
				     const struct virtio_workers_params *params);

/* The queue is live. */
void virtio_workers_start(struct virtio_workers *w);

/* Requests in flight end first; what waits in the queue stays there. */
void virtio_workers_stop(struct virtio_workers *w);

/* Safe on NULL. */
void virtio_workers_destroy(struct virtio_workers *w);

#endif
