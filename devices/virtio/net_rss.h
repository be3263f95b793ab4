/*
 * What a driver says of hashes by a network card's control queue: the RSS command (virtio 1.2, 5.1.6.5.7), which of its
 * queue pairs a frame goes to; and that of the hash report alone (5.1.6.5.6.4).
 */
#ifndef DEVICES_VIRTIO_NET_RSS_H
#define DEVICES_VIRTIO_NET_RSS_H

#include <sys/uio.h>

#include "devices/net/steering.h"

/*
 * The rule in a command's data (struct virtio_net_rss_config with all of its table and key), for a
 * card of @pairs queue pairs. How many of these the rule makes use of, from the first on; -EINVAL where it is none.
 */
int must_check net_rss_parse(struct steering_rule *rule, const struct iovec *iov, unsigned int nr,
			     unsigned int pairs);

/* The rule in data that is a struct virtio_net_hash_config, without a table. -EINVAL where it is none. */
int must_check net_hash_parse(struct steering_rule *rule, const struct iovec *iov, unsigned int nr);

#endif
