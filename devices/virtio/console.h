/*
 * virtio-console (virtio 1.2, 5.3) with one named port, no console: a stream of bytes each way between a program in the
 * guest, which finds the port by its name, and the machine.
 *
 * All of it happens on the loop's thread, a bounded amount at a time. The stream is never cut: what the machine does
 * not take stays in the guest's buffers, what the guest has no buffer for stays with the machine.
 */
#ifndef DEVICES_VIRTIO_CONSOLE_H
#define DEVICES_VIRTIO_CONSOLE_H

#include <sys/uio.h>

#include "devices/virtio/core.h"
#include "vmm/base/loop.h"

/* The machine's end of the port; called on the loop's thread. */
struct virtio_console_ops {
	/* Bytes from the guest; how many were taken. Fewer than all: virtio_console_ready() goes on. */
	size_t (*output)(void *arg, const struct iovec *iov, unsigned int n);
	/* Bytes for the guest, at most @len; how many. 0: virtio_console_ready() goes on. */
	size_t (*input)(void *arg, void *buf, size_t len);
};

/* Create the device *@out, behind its transport: *@dev, its port @port (at most 31 bytes). -errno with a message. */
int must_check virtio_console_create(struct device **out, struct virtio_dev **dev,
				     const struct device_env *env, struct loop *loop,
				     const char *port, const struct virtio_console_ops *ops,
				     void *arg);

/* More may be taken, or there may be more; on the loop's thread. */
void virtio_console_ready(struct virtio_dev *dev);

#endif
