/* A macvtap on an interface of the host as net backend: the guest is a neighbour on that network, with no bridge. */
#ifndef DEVICES_NET_MACVTAP_H
#define DEVICES_NET_MACVTAP_H

#include "devices/net/netbe.h"

struct netbe_macvtap_options {
	const char *lower; /* the interface that it is made on */
};

extern const struct option netbe_macvtap_keys[];

/*
 * The macvtap is made by netlink, in mode bridge: machines on one interface reach each other, but not the host itself.
 * It has the card's address, and passes frames for no other but broadcast and multicast. Whatever ends minivmm, a
 * process that does nothing else removes it; closing the backend waits until it has.
 */
extern const struct netbe_kind netbe_macvtap;

#endif
