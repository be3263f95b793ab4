/*
 * The Toeplitz hash of a received frame's addresses and ports (virtio 1.2, 5.1.6.4.3), as a card tells it to its driver;
 * steering.h's program computes the same.
 */
#ifndef DEVICES_NET_RXHASH_H
#define DEVICES_NET_RXHASH_H

#include <stddef.h>
#include <stdint.h>

/* Places in a frame, from its destination address on (IEEE 802.3, RFC 791, RFC 8200). */
enum {
	FRAME_ETHERTYPE = 12,
	FRAME_IP = 14,
	FRAME_IPV4_FRAGMENT = FRAME_IP + 6,
	FRAME_IPV4_PROTOCOL = FRAME_IP + 9,
	FRAME_IPV4_SOURCE = FRAME_IP + 12,
	FRAME_IPV4_END = FRAME_IP + 20,
	FRAME_IPV6_NEXT_HEADER = FRAME_IP + 6,
	FRAME_IPV6_SOURCE = FRAME_IP + 8,
	FRAME_IPV6_END = FRAME_IP + 40,
};
#define FRAME_MORE_OR_OFFSET 0x3fff /* of FRAME_IPV4_FRAGMENT: more fragments, or not the first */

#define RXHASH_KEY_MAX 40u /* bytes: as many as the longest input, IPv6 with ports, makes use of */
#define RXHASH_BITS    (8u * (RXHASH_KEY_MAX - 4u)) /* of input at most */
#define RXHASH_LOOKS \
	78u /* bytes of a frame that it looks at: Ethernet, IPv4 with all options, ports */

struct rxhash {
	uint32_t types; /* VIRTIO_NET_RSS_HASH_TYPE_: what is hashed; 0: nothing */
	uint32_t window
		[RXHASH_BITS]; /* for each bit of the input, the key's 32 bits from there on */
};

/* @key is 0 beyond its length. */
void rxhash_init(struct rxhash *h, uint32_t types, const uint8_t key[RXHASH_KEY_MAX]);

/*
 * Of the frame whose first @len bytes are at @frame: VIRTIO_NET_HASH_REPORT_, which is NONE (and *@value 0) where none of
 * the types fits, or its headers do not end in there.
 */
uint16_t rxhash_frame(const struct rxhash *h, const uint8_t *frame, size_t len, uint32_t *value);

#endif
