/*
 * Net backends: where a network card's frames go to and come from.
 *
 * A frame is preceded by a struct virtio_net_hdr_v1 (12 bytes; virtio 1.2, 5.1.6), in both
 * directions. One thread at a time uses a backend's send and recv.
 */
#ifndef DEVICES_NET_NETBE_H
#define DEVICES_NET_NETBE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "vmm/base/util.h"

struct netbe;

struct netbe_ops {
	/*
	 * Take one frame, header first, into @iov; its length, of which what did not fit is lost. Or
	 * -EAGAIN: none waits; another -errno: a fault that may pass.
	 */
	ssize_t (*recv)(struct netbe *be, const struct iovec *iov, int n);

	/* Hand over one frame, header first. 0; -EAGAIN: it cannot be taken now, wait for EPOLLOUT;
	 * another -errno: this frame cannot be sent. */
	int (*send)(struct netbe *be, const struct iovec *iov, int n);

	/* The guest copes with received frames that are as TUN_F_* say: set before the first frame
	 * and on every change. -errno. */
	int (*set_offload)(struct netbe *be, unsigned int tun_f);

	void (*close)(struct netbe *be);
};

struct netbe {
	const struct netbe_ops *ops;
	int fd;		      /* EPOLLIN: recv() has something; EPOLLOUT: send() can go on */
	unsigned int offload; /* TUN_F_* that it is able to do, both ways */
	unsigned int mtu;     /* 0: not known */
};

/* The header that stands before every frame. */
#define NETBE_HDR_LEN 12

struct netbe_tap_config {
	const char
		*tap; /* existing, or made with that name; NULL with a bridge: a name of its own */
	const char *bridge; /* enslave the tap to it, or NULL */
	int fd;		    /* an open tap, or -1; closed with the backend */
	unsigned int mtu;   /* set on the tap, or 0 */
};

/*
 * Open a tap. One that does not exist is made, brought up, and is gone when minivmm ends; an existing
 * one is left as it was found. -errno with a message that says what is wrong with it (busy, forbidden,
 * made with other flags).
 */
int must_check netbe_tap_open(struct netbe **out, const struct netbe_tap_config *config);

#endif
