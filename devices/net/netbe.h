/*
 * Net backends: where a network card's frames go to and come from.
 *
 * A frame is preceded by a struct virtio_net_hdr_v1 (12 bytes; virtio 1.2, 5.1.6), in both directions.
 * A backend has a descriptor for each queue pair; one thread at a time uses a pair's send and recv. It
 * speaks of offloads in VIRTIO_NET_F_* bits, whatever its kernel interface calls them.
 */
#ifndef DEVICES_NET_NETBE_H
#define DEVICES_NET_NETBE_H

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include <linux/virtio_net.h>

#include "devices/net/steering.h"
#include "vmm/base/options.h"
#include "vmm/base/util.h"

#ifndef VIRTIO_NET_F_GUEST_USO4 /* virtio 1.2, 5.1.3; Linux headers 6.2 */
#define VIRTIO_NET_F_GUEST_USO4 54
#define VIRTIO_NET_F_GUEST_USO6 55
#define VIRTIO_NET_F_HOST_USO	56
#endif
#ifndef VIRTIO_NET_HDR_GSO_UDP_L4
#define VIRTIO_NET_HDR_GSO_UDP_L4 5
#endif
#define NET_F(bit) BIT_ULL(VIRTIO_NET_F_##bit)

#define NETBE_MAX_PAIRS 8u

/* The header that stands before every frame; and with a hash (5.1.6, struct virtio_net_hdr_v1_hash), after set_header(). */
#define NETBE_HDR_LEN	   12
#define NETBE_HDR_HASH_LEN 20

struct netbe;

/* What the host's side of a backend has counted since it was opened, of frames; independent of what its card counts. */
struct netbe_host {
	/* For the guest. */
	uint64_t qdisc;	     /* lost before they came to the backend's queue */
	uint64_t queue_full; /* lost there */
	uint64_t passed;     /* given to recv() */

	/* Of the guest. */
	uint64_t taken; /* from send() */
	uint64_t
		discarded; /* refused, as the interface is down, or taken and of no use to the host */
};

struct netbe_ops {
	/*
	 * Take one frame, header first, into @iov; its length, of which what did not fit is lost. Or
	 * -EAGAIN: none waits; -EBADFD: there will be no more; -EPROTO: nor after this, which is none;
	 * another -errno: a fault that may pass, with which a frame was lost.
	 */
	ssize_t (*recv)(struct netbe *be, unsigned int pair, const struct iovec *iov, int n);

	/* Hand over one frame, header first. 0; -EAGAIN: it cannot be taken now, wait for EPOLLOUT;
	 * -EBADFD: none will be; another -errno: this frame cannot be sent. */
	int (*send)(struct netbe *be, unsigned int pair, const struct iovec *iov, int n);

	/*
	 * Or NULL. Go on with a frame that send() has taken but not wholly passed on: 0, also where there is
	 * none; -EAGAIN: wait for EPOLLOUT and call it again.
	 */
	int (*flush)(struct netbe *be, unsigned int pair);

	/* The guest copes with received frames that are as VIRTIO_NET_F_GUEST_* say, each with those
	 * that it rests on (5.1.3.1): set before the first frame and on every change. -errno. */
	int (*set_features)(struct netbe *be, uint64_t features);

	/*
	 * Where features have VIRTIO_NET_F_RSS: have queues take frames by @rule, or, NULL, as the backend does by
	 * itself. -errno.
	 */
	int (*steer)(struct netbe *be, const struct steering_rule *rule);

	/*
	 * Where features have VIRTIO_NET_F_HASH_REPORT: a frame's header is @len bytes from now on, NETBE_HDR_LEN or
	 * NETBE_HDR_HASH_LEN; what is behind the first NETBE_HDR_LEN of a received one is the caller's to fill. -errno.
	 */
	int (*set_header)(struct netbe *be, unsigned int len);

	/*
	 * What the host has counted; optional. @qdisc: with that, for which only the main thread may ask.
	 * -errno where it cannot be known. Any thread.
	 */
	int (*host)(struct netbe *be, struct netbe_host *out, bool qdisc);

	/* Asked where link_fd is readable, by one thread: is it gone, without recv() or send() telling? */
	bool (*is_gone)(struct netbe *be);

	void (*close)(struct netbe *be);
};

struct netbe {
	const struct netbe_ops *ops;
	char name[128];		 /* for messages: "tap 'tap0'" */
	uint64_t features;	 /* the offloads that it is able to do, of both directions */
	unsigned int mtu;	 /* 0: not known */
	uint8_t mac[6];		 /* an address for a card that was given none */
	unsigned int pairs;	 /* at least 1 */
	bool is_tap;		 /* its descriptors are a tap's, which vhost-net takes (vhost.h) */
	bool inherited;		 /* others may go on with what it has not delivered at the end */
	int fd[NETBE_MAX_PAIRS]; /* EPOLLIN: recv() has something; EPOLLOUT: send() can go on */
	int link_fd;		 /* EPOLLIN: is_gone() is to be asked; 0: never */
	atomic_bool gone;	 /* carries no more frames */
};

static inline bool netbe_is_gone(const struct netbe *be)
{
	return atomic_load_explicit(&be->gone, memory_order_relaxed);
}

/* Whether what recv() said is the end: with it no frame was lost. */
static inline bool netbe_is_end(int err)
{
	return err == -EBADFD || err == -EBADF;
}

/* What a card would have of its backend. */
struct netbe_wish {
	unsigned int pairs; /* 1 to NETBE_MAX_PAIRS queue pairs */
	bool exactly;	    /* the user said so: fewer will not do */
	unsigned int mtu;   /* or 0: whatever it has */
	bool steer;	    /* RSS, where it can be had */
	const uint8_t *mac; /* the address that the card will have; NULL: the backend's */
};

/*
 * A kind of backend, in its own file: netbe_NAME, and netbe_NAME_keys, which are keys of the card that it carries
 * (--net). netbe.c has the table of them.
 */
struct netbe_kind {
	const char *how; /* to ask for one, for messages: "a tap, fd=N, or bridge=NAME" */
	/* How many backends @options, a struct of the kind's, ask for: more than one is a contradiction. */
	unsigned int (*wanted)(const void *options);
	/* Whether two ask for the same thing, which can't be shared; NULL: there may be as many as are asked for. */
	bool (*same)(const void *a, const void *b);
	/* Open it with as many of the wished-for pairs as it can have, and that MTU; -errno with a message. */
	int (*open)(struct netbe **out, const void *options, const struct netbe_wish *wish);
};

/* The options of all kinds; which is wanted follows from what is given. */
#define NETBE_MAX_KINDS	   4u
#define NETBE_OPTIONS_ROOM 64u /* for those of one */
struct netbe_options {
	_Alignas(8) char of_kind[NETBE_MAX_KINDS][NETBE_OPTIONS_ROOM];
};
extern const struct option_group netbe_options;

/* Exactly one kind must be wanted by @options, given as @text; -EINVAL with a message. */
int must_check netbe_options_check(const struct netbe_options *options, const char *text);

/* Whether two cards would have the same backend. */
bool netbe_options_same(const struct netbe_options *a, const struct netbe_options *b);

/* Whether two descriptors are of one open file: it has two numbers where a parent has copied it. */
bool netbe_is_same_file(int a, int b);

/* Open the backend that checked @options ask for. -errno with a message that says what is wrong with it. */
int must_check netbe_open(struct netbe **out, const struct netbe_options *options,
			  const struct netbe_wish *wish);

/* @be has given @card @err: true if it is gone for good (a tap that was deleted, say), which is said once. */
bool netbe_lost(struct netbe *be, const char *card, int err);

/* Say that @ifname, a @kind, is down, if it is where the socket @sock is. */
void netbe_warn_down(int sock, const char *kind, const char *ifname);

/* Give @be an address of its own: the same for the same @key on this host, or any where that is NULL. */
void netbe_pick_mac(struct netbe *be, const char *key);

#endif
