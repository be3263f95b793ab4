/*
 * A network card for unit tests: driven as a guest would, good and hostile, in front of a socketpair that
 * fails on demand. One a process; functions fail the running cmocka test.
 */
#ifndef DEVICES_VIRTIO_TEST_NET_RIG_H
#define DEVICES_VIRTIO_TEST_NET_RIG_H

#include "devices/net/test/netbe_pair.h"
#include "devices/virtio/net.h"
#include "devices/virtio/test/vdriver.h"

enum { RX, TX, CTRL };

#define F(bit)	  NET_F(bit)
#define EVENT_IDX BIT_ULL(VIRTIO_RING_F_EVENT_IDX)
#define INDIRECT  BIT_ULL(VIRTIO_RING_F_INDIRECT_DESC)
#define CONTROL	  (F(CTRL_VQ) | F(CTRL_RX) | F(CTRL_RX_EXTRA) | F(CTRL_MAC_ADDR))
#define USUAL	  (F(MRG_RXBUF) | F(MAC) | F(STATUS) | CONTROL | EVENT_IDX | INDIRECT)
#define SEGMENTS  (F(GUEST_CSUM) | F(GUEST_TSO4) | F(GUEST_TSO6) | F(GUEST_ECN))
#define OFFLOADS  (SEGMENTS | F(CSUM) | F(HOST_TSO4) | F(HOST_TSO6) | F(HOST_ECN))
#define HDR	  NETBE_HDR_LEN
#define MIN_FRAME 14u
#define MAX_FRAME 65549u /* 14 + 65535 */
#define MAX_PARTS 64u
#define REST	  0u /* the last part of a split: all that is left */

extern const uint8_t mac[6];
extern struct vdriver d;
extern struct virtio_dev *dev;
extern struct netbe_pair pair;
extern uint64_t mark; /* guest memory from here on is free between rounds */
extern uint8_t frame[HDR + MAX_FRAME + 70000], got[HDR + MAX_FRAME + 70000];

/* The card in front of a backend with @features; it is torn down by teardown(). */
void create(uint64_t features, uint16_t queue_size, unsigned int poll_us);
void create_with(uint64_t features, const struct virtio_net_options *options);
int setup(void **state); /* all OFFLOADS, rings of 256, no polling */
int setup_polling(void **state);
int setup_long_rings(void **state);
int setup_queues(void **state); /* four queue pairs, rings of 64 */
int setup_rss(
	void **state); /* these, and a backend that can be steered, with hashes in its header */
int teardown(void **state);

/* What follows is about queue pair @i, until teardown(). */
void use_pair(unsigned int i);

/* A driver comes that takes @features. */
void start(uint64_t features);

/* A driver that was started by hand has taken @features. */
void use_queues(uint64_t features);

/* The counter "net0.GROUP", NAME; the card's thread may be counting. */
uint64_t counter(const char *group, const char *name);
void wait_counter(const char *group, const char *name, uint64_t at_least);

/* Frames from the backend that have met their fate, and frames of the guest. */
uint64_t rx_accounted(void);
uint64_t tx_accounted(void);

/* @frame is one of @len bytes behind a zeroed header, to @mac; returns both's length. */
size_t make_frame(size_t len, uint32_t seed);

/* The host sends @frame, and receives in @got. */
void peer_send(size_t len);
size_t peer_recv(void);

/* Offer @total bytes of receive buffer in one chain, its parts as long as @split says. */
void post(const uint32_t *split, size_t total, bool indirect);
void post_plain(size_t total);

/* Collect the next received frame in @got; its length with header. */
size_t collect(void);
void assert_got(size_t len, size_t expected);

/* Offer @len bytes of @frame for transmission. */
void transmit(const uint32_t *split, size_t len, bool indirect);
void transmit_plain(size_t len);

/* One control command, its bytes and the ack in buffers split at @split; the ack, or 0xee. */
uint8_t control(const uint8_t *bytes, uint32_t len, uint32_t split);

/* One frame each way: the card lives. */
void check_alive(void);

#endif
