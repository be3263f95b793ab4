/* Taps of a network namespace of the test's own. */
#ifndef DEVICES_NET_TEST_TAP_RIG_H
#define DEVICES_NET_TEST_TAP_RIG_H

#include "devices/net/tap.h"

extern const struct netbe_wish one_pair;

/* A tap or tun of our own, -1 with errno where the kernel refuses. */
int make_tap(const char *name, int flags);

int tap_setup(void **state);
void need_taps(void);
int open_tap(const char *name, int fd, struct netbe **be);

#define SINGLE (IFF_TAP | IFF_NO_PI | IFF_VNET_HDR)
#define MULTI  (SINGLE | IFF_MULTI_QUEUE)

/* A tap that stays, and is closed. */
void make_persistent(const char *name, int flags);

#endif
