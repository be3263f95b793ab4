/*
 * The network card as the protocols see it: frames in, frames out, with the offloads it has
 * agreed to.
 */
#ifndef NET_H
#define NET_H

#include <stdbool.h>
#include <stdint.h>

#define NET_ETH_HEADER 14
#define NET_MTU	       1500
/* The longest frame: one IP datagram, to be segmented by the device. */
#define NET_FRAME_MAX  (NET_ETH_HEADER + 65535)

/* A received frame: its pieces in order, all headers in the first. */
#define NET_PIECES 20
struct net_frame {
	const uint8_t *data[NET_PIECES];
	uint32_t length[NET_PIECES];
	uint32_t count;
	uint32_t total;
	bool checksum_good; /* no need to look at the transport's checksum */
};

/* What the device does for frames to be sent. */
struct net_offload {
	uint16_t checksum_start; /* from the frame's start; 0: the checksum is complete */
	uint16_t checksum_offset;
	uint16_t segment; /* TCP payload in each segment; 0: not to be segmented */
	uint16_t headers; /* length of all headers, with segment */
};

struct net {
	uint8_t mac[6];
	uint32_t address; /* host order */
	bool checksums;	  /* the device completes TCP and UDP checksums */
	bool segments;	  /* the device segments TCP over IPv4 */
};
extern struct net net;

/*
 * A buffer for a frame of up to length (at most NET_FRAME_MAX) bytes, to be passed to net_send(); NULL while the
 * ring is full, or while all buffers of that size are under way.
 */
uint8_t *net_frame_buffer(uint32_t length);
/*
 * Whether a frame of up to NET_SMALL_FRAME bytes would find a buffer. Received frames are handed up, and timers
 * run, only while it is so: what answers at once (one frame at most) never finds the ring full.
 */
bool net_has_room(void);
#define NET_SMALL_FRAME 4084
/* Frames that the card had no buffer for, where it counts them. */
uint32_t net_missed(void);

/*
 * Queues the frame in the buffer that net_frame_buffer() gave last. The device learns of it by
 * net_flush().
 */
void net_send(uint32_t length, const struct net_offload *offload);

#endif
