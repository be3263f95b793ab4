/*
 * A stream socket as net backend: each frame behind its length, four bytes, big-endian, as passt and QEMU's
 * `-netdev stream` speak. The other end sees plain Ethernet frames: no offloads.
 *
 * A frame comes to the card when all of it is here, in whatever pieces it came. Of one that the socket took in part the
 * rest is kept (a copy: the guest's buffers are given back) and goes first. An other end that breaks the framing, or
 * closes, is lost for good.
 */
#ifndef DEVICES_NET_STREAM_H
#define DEVICES_NET_STREAM_H

#include "devices/net/netbe.h"

struct netbe_stream_options {
	const char *socket; /* a Unix socket to connect to, or NULL */
	int fd;		    /* a connected stream socket, or -1; closed with the backend */
	bool host_loopback; /* the guest's frames may go to 127.0.0.0/8 and 0.0.0.0/8 */
};

extern const struct option netbe_stream_keys[];
extern const struct netbe_kind netbe_stream;

#endif
