/*
 * A network card in front of fake kernels with vhost, for unit tests (net_rig.h, fake_vhost.h). In order: vhost_begin(), the
 * options that a case wants, vhost_create() or vhost_start(), vhost_end().
 */
#ifndef DEVICES_VIRTIO_TEST_VHOST_RIG_H
#define DEVICES_VIRTIO_TEST_VHOST_RIG_H

#include "devices/virtio/test/fake_vhost.h"
#include "devices/virtio/test/net_rig.h"

#define NEEDED	 (F(MRG_RXBUF) | F(GUEST_CSUM))
#define FEATURES (NEEDED | F(MAC) | F(STATUS) | F(CTRL_VQ) | F(CTRL_MAC_ADDR) | INDIRECT)

extern struct fake_vhost kernel[NETBE_MAX_PAIRS];
extern struct virtio_net_options options;
extern unsigned int nr_pairs, machine_transport;
extern bool no_tap; /* behind the card is something else */

/* So many pairs, with a kernel each, whose descriptors are options.vhost.fds. */
void vhost_begin(unsigned int pairs);

/* The card as @options say, which takes the descriptors; -errno. The second form fails the test, or if a word is said. */
int vhost_try(void);
void vhost_create(void);

/* With a driver that has @features, whose first rings the kernel has. */
void vhost_start_card(uint64_t features);

/* The card ends, all is accounted for and closed. */
void vhost_end(void);

/* The kernel has the rings of pair @i, for the @times-th time. */
void wait_given(unsigned int i, uint64_t times);

/* By the kernel alone. */
void frame_each_way(unsigned int i, uint32_t seed);

#endif
