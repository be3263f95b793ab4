/*
 * What a network card offers its driver, each part of it alone: keys of --net, all on unless they are given.
 *
 * What is switched off takes along what rests on it (virtio 1.2, 5.1.3.1): without checksums there is no
 * segmentation.
 */
#ifndef DEVICES_VIRTIO_NET_SWITCHES_H
#define DEVICES_VIRTIO_NET_SWITCHES_H

#include <stdint.h>

#include "vmm/base/options.h"

enum net_switch { NET_SWITCH_UNSAID, NET_SWITCH_ON, NET_SWITCH_OFF };

struct net_switches {
	unsigned int offload; /* csum, tso and uso */
	unsigned int csum, tso, uso;
	unsigned int mrg, mergeable; /* two names of one */
	unsigned int event_idx, indirect;
};

/* Their rows, at @base bytes into the struct that has them. */
extern const struct option net_switch_keys[];

/* -EINVAL with a message where one that is asked for rests on one that is switched off. */
int must_check net_switches_check(const struct net_switches *switches, const char *text);

/* The VIRTIO_*_F_* bits that are not to be offered. */
uint64_t net_switches_off(const struct net_switches *switches);

#endif
