/* A tap interface as net backend. */
#ifndef DEVICES_NET_TAP_H
#define DEVICES_NET_TAP_H

#include "devices/net/netbe.h"

struct tap_fds {
	unsigned int nr;
	int fd[NETBE_MAX_PAIRS];
};

struct netbe_tap_options {
	const char *tap;    /* existing, or made with that name; NULL with a bridge: any name */
	const char *bridge; /* put the tap on it, or NULL */
	struct tap_fds fds; /* the queues of an open tap, or none; closed with the backend */
};

extern const struct option netbe_tap_keys[];

/* "3" or "3:4:5", different descriptors, one for each queue, into the struct tap_fds at @at. -EINVAL. */
int must_check tap_parse_fds(void *at, const char *text);
#define TAP_FDS_WANTED "up to 8 different descriptors, numbers from 0 to 1048576, as in 3:4"

/*
 * A tap that does not exist is made, brought up, and is gone when minivmm ends; an existing one is left as it was
 * found. Without a wish for an MTU it has its own, or the bridge's. Errors say what is wrong with it (busy, forbidden,
 * made with other flags or for one queue, shared with another program).
 */
extern const struct netbe_kind netbe_tap;

/*
 * The queues of a macvtap, which are the backend's also where this fails, as life[] is: when the backend has closed
 * life[0], life[1] is to end. -errno with a message.
 */
int must_check netbe_tap_adopt(struct netbe **out, const struct tap_fds *fds,
			       const struct netbe_wish *wish, const int life[2]);

#endif
