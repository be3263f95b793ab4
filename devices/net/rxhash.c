/* The Toeplitz hash of a received frame. */
#include "devices/net/rxhash.h"

#include <linux/virtio_net.h>
#include <stdbool.h>

#define PORTS 4u /* bytes */
#define TCP   6
#define UDP   17

/* Where the addresses are, and behind which the ports; the types of its IP version, those of IPv6 as if they were IPv4's. */
struct place {
	uint8_t protocol;
	unsigned int source, end, ports;
	uint32_t types;
	uint16_t first_report;
};

static uint16_t get16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

/* The key's 32 bits from bit @at on, and 0 beyond its end. */
static uint32_t key_bits(const uint8_t *key, unsigned int at)
{
	uint64_t bits = 0;

	for (unsigned int i = 0; i < 5; i++)
		bits = bits << 8 | (at / 8 + i < RXHASH_KEY_MAX ? key[at / 8 + i] : 0u);
	return (uint32_t)(bits >> (8 - at % 8));
}

void rxhash_init(struct rxhash *h, uint32_t types, const uint8_t key[RXHASH_KEY_MAX])
{
	h->types = types;
	for (unsigned int i = 0; i < RXHASH_BITS; i++)
		h->window[i] = key_bits(key, i);
}

static bool find(const struct rxhash *h, const uint8_t *frame, size_t len, struct place *p)
{
	const unsigned int type = len >= FRAME_IP ? get16(frame + FRAME_ETHERTYPE) : 0;

	if (type == 0x0800 && len >= FRAME_IPV4_END) {
		const bool whole = !(get16(frame + FRAME_IPV4_FRAGMENT) & FRAME_MORE_OR_OFFSET);

		*p = (struct place){ .protocol = whole ? frame[FRAME_IPV4_PROTOCOL] : 0,
				     .source = FRAME_IPV4_SOURCE,
				     .end = FRAME_IPV4_END,
				     .ports = FRAME_IP + 4u * (frame[FRAME_IP] & 0xf),
				     .types = h->types,
				     .first_report = VIRTIO_NET_HASH_REPORT_IPv4 };
		return true;
	}
	if (type == 0x86dd && len >= FRAME_IPV6_END) {
		*p = (struct place){ .protocol = frame[FRAME_IPV6_NEXT_HEADER],
				     .source = FRAME_IPV6_SOURCE,
				     .end = FRAME_IPV6_END,
				     .ports = FRAME_IPV6_END,
				     .types = h->types >> 3,
				     .first_report = VIRTIO_NET_HASH_REPORT_IPv6 };
		return true;
	}
	return false;
}
_Static_assert(VIRTIO_NET_RSS_HASH_TYPE_IPv6 == VIRTIO_NET_RSS_HASH_TYPE_IPv4 << 3 &&
		       VIRTIO_NET_RSS_HASH_TYPE_UDPv6 == VIRTIO_NET_RSS_HASH_TYPE_UDPv4 << 3,
	       "types of both versions in the same order");

static uint32_t add(const uint32_t *window, const uint8_t *input, unsigned int len)
{
	uint32_t hash = 0;

	for (unsigned int i = 0; i < len; i++)
		for (unsigned int bit = 0; bit < 8; bit++)
			hash ^= input[i] & 0x80u >> bit ? window[8 * i + bit] : 0;
	return hash;
}

uint16_t rxhash_frame(const struct rxhash *h, const uint8_t *frame, size_t len, uint32_t *value)
{
	struct place p;
	unsigned int kind = 0; /* of report: IP, TCP, UDP */

	*value = 0;
	if (!h->types || !find(h, frame, len, &p))
		return VIRTIO_NET_HASH_REPORT_NONE;
	if (p.protocol == TCP && p.types & VIRTIO_NET_RSS_HASH_TYPE_TCPv4)
		kind = 1;
	else if (p.protocol == UDP && p.types & VIRTIO_NET_RSS_HASH_TYPE_UDPv4)
		kind = 2;
	else if (!(p.types & VIRTIO_NET_RSS_HASH_TYPE_IPv4))
		return VIRTIO_NET_HASH_REPORT_NONE;
	if (kind && len < p.ports + PORTS)
		return VIRTIO_NET_HASH_REPORT_NONE;
	*value = add(h->window, frame + p.source, p.end - p.source);
	if (kind)
		*value ^= add(h->window + 8 * (p.end - p.source), frame + p.ports, PORTS);
	return (uint16_t)(p.first_report + kind);
}
