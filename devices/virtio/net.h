/*
 * virtio-net (virtio 1.2, 5.1): a network card in front of a net backend. Queues: rx and tx of each pair, then control; where
 * the driver does not take VIRTIO_NET_F_MQ, those of one pair, then control.
 * net_pair.h tells the way of a frame.
 */
#ifndef DEVICES_VIRTIO_NET_H
#define DEVICES_VIRTIO_NET_H

#include <string.h>

#include "devices/net/netbe.h"
#include "devices/virtio/core.h"
#include "devices/net/vhost.h"
#include "devices/virtio/net_switches.h"

enum net_model { NET_MODEL_VIRTIO, NET_MODEL_RTL8139, NET_MODEL_RTL8139C };

/* Of --net, whatever the card's model; what is the transport's and the rings' is of virtio alone. */
struct virtio_net_options {
	unsigned int model;
	struct netbe_options be;
	uint8_t mac[6];	     /* all 0: the backend's */
	unsigned int mtu;    /* for the backend; 0: what it has */
	unsigned int queues; /* pairs; 0: as many as the backend has, at most the vCPUs */
	bool rss;	     /* offer it, where the backend has it */
	unsigned int queue_size;
	unsigned int poll_us;	      /* busy-poll for at most this long after work; 0: never */
	bool impatient;		      /* every doorbell may stop the guest */
	struct net_switches switches; /* what it offers of what there is */
	struct virtio_options virtio;
	struct vhost_options vhost;
	const char *pcap;  /* a file for a capture, or NULL */
	unsigned int snap; /* bytes of each frame in it */
};

/* The address that the user wants; NULL: any. */
static inline const uint8_t *net_options_mac(const struct virtio_net_options *o)
{
	static const uint8_t none[6];

	return memcmp(o->mac, none, sizeof(none)) ? o->mac : NULL;
}

/* --net, and its first kind. */
extern const struct option_group net_options;
extern const struct device_kind virtio_net_kind;

/* Create the card on @be, which becomes its own (also where this fails). -errno with a message. */
int must_check virtio_net_create(struct device **out, const struct device_env *env,
				 struct netbe *be, const struct virtio_net_options *options);

#endif
