/*
 * IP reassembly (RFC 791, 3.2), bounded: so many datagrams at once, the oldest gives way. What overlaps, ends twice
 * or reaches too far is given up whole, as RFC 5722 has it for IPv6.
 */
#ifndef FRAGMENT_H
#define FRAGMENT_H

#include <stdbool.h>
#include <stdint.h>

#include "guest-tests/guests/paired/net.h"

/* One fragment: what its IP header says of it. */
struct fragment {
	uint32_t source;
	uint16_t id;
	uint8_t protocol;
	bool more;
	uint32_t offset; /* bytes */
};

/*
 * Takes a fragment, whose payload is in frame. True when it was its datagram's last one missing: frame then holds all
 * of it, until the next call.
 */
bool fragment_receive(const struct fragment *fragment, struct net_frame *frame);

#endif
