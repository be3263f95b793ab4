/* Checksums and segmentation of IPv4 frames in software. */
#include "devices/net/segment.h"

#include <string.h>

#include <linux/if_ether.h>

#define IP_HEADER   20u
#define IP_LENGTH   2
#define IP_ID	    4
#define IP_FRAGMENT 6
#define IP_PROTOCOL 9
#define IP_CHECKSUM 10
#define IP_SOURCE   12

#define TCP_HEADER   20u
#define TCP_SEQUENCE 4
#define TCP_OFFSET   12
#define TCP_FLAGS    13
#define TCP_CHECKSUM 16
#define TCP_FIN	     0x01
#define TCP_PSH	     0x08
#define TCP_CWR	     0x80

#define UDP_HEADER   8u
#define UDP_CHECKSUM 6

static uint32_t get16(const uint8_t *p)
{
	return (uint32_t)p[0] << 8 | p[1];
}

static void put16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static uint32_t get32(const uint8_t *p)
{
	return get16(p) << 16 | get16(p + 2);
}

static void put32(uint8_t *p, uint32_t v)
{
	put16(p, v >> 16);
	put16(p + 2, v);
}

/* ---- sums: of 16-bit words in the host's order, so that what is stored is right in any (RFC 1071, 2B) ---- */

static uint64_t add(uint64_t sum, const uint8_t *p, size_t len)
{
	uint32_t word;
	uint16_t half;

	for (; len >= sizeof(word); p += sizeof(word), len -= sizeof(word)) {
		memcpy(&word, p, sizeof(word));
		sum += word;
	}
	if (len >= sizeof(half)) {
		memcpy(&half, p, sizeof(half));
		sum += half;
		p += sizeof(half);
		len -= sizeof(half);
	}
	if (len) {
		const uint8_t last[2] = { *p, 0 };

		memcpy(&half, last, sizeof(half));
		sum += half;
	}
	return sum;
}

static uint16_t fold(uint64_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

static uint64_t pseudo_header(const uint8_t *ip, uint8_t protocol, size_t len)
{
	uint8_t rest[4] = { 0, protocol };

	put16(rest + 2, (uint32_t)len);
	return add(add(0, ip + IP_SOURCE, 8), rest, sizeof(rest));
}

/* ---- one frame ---- */

static size_t checksum_of(const struct net_packet *p, const uint8_t *ip)
{
	const size_t len = p->end - p->transport;

	if (get16(ip + IP_FRAGMENT) & 0x3fff)
		return 0;
	if (p->protocol == NET_IP_TCP && len >= TCP_HEADER)
		return p->transport + TCP_CHECKSUM;
	if (p->protocol == NET_IP_UDP && len >= UDP_HEADER)
		return p->transport + UDP_CHECKSUM;
	return 0;
}

bool net_packet_parse(struct net_packet *p, const uint8_t *frame, size_t len, bool whole)
{
	size_t at = 2 * ETH_ALEN;

	if (len >= at + 6 && get16(frame + at) == ETH_P_8021Q)
		at += 4;
	if (len < at + 2 + IP_HEADER || get16(frame + at) != ETH_P_IP)
		return false;
	p->ip = at + 2;
	const uint8_t *ip = frame + p->ip;
	const size_t header = (ip[0] & 0xfu) * 4, room = len - p->ip;
	const size_t length = whole ? room : get16(ip + IP_LENGTH);

	if (ip[0] >> 4 != 4 || header < IP_HEADER || length < header || length > room ||
	    length > UINT16_MAX)
		return false;
	p->transport = p->ip + header;
	p->end = p->ip + length;
	p->protocol = ip[IP_PROTOCOL];
	p->checksum = checksum_of(p, ip);
	return true;
}

bool net_packet_ip_is_good(const struct net_packet *p, const uint8_t *frame)
{
	return fold(add(0, frame + p->ip, p->transport - p->ip)) == 0xffff;
}

bool net_packet_transport_is_good(const struct net_packet *p, const uint8_t *frame)
{
	const size_t len = p->end - p->transport;
	const uint64_t sum = pseudo_header(frame + p->ip, p->protocol, len);

	if (p->protocol == NET_IP_UDP && !get16(frame + p->checksum))
		return true;
	return fold(add(sum, frame + p->transport, len)) == 0xffff;
}

bool net_packet_has_cwr(const struct net_packet *p, const uint8_t *frame)
{
	return frame[p->transport + TCP_FLAGS] & TCP_CWR;
}

void net_packet_set_length(const struct net_packet *p, uint8_t *frame)
{
	put16(frame + p->ip + IP_LENGTH, (uint32_t)(p->end - p->ip));
}

void net_packet_set_ip_checksum(const struct net_packet *p, uint8_t *frame)
{
	uint16_t sum = 0;

	memcpy(frame + p->ip + IP_CHECKSUM, &sum, sizeof(sum));
	sum = (uint16_t)~fold(add(0, frame + p->ip, p->transport - p->ip));
	memcpy(frame + p->ip + IP_CHECKSUM, &sum, sizeof(sum));
}

void net_packet_set_checksum(const struct net_packet *p, uint8_t *frame, bool in_full)
{
	const size_t len = p->end - p->transport;
	uint16_t sum = fold(pseudo_header(frame + p->ip, p->protocol, len));

	memcpy(frame + p->checksum, &sum, sizeof(sum));
	if (!in_full)
		return;
	/* The field holds the pseudo header's part while the rest is added to it. */
	sum = (uint16_t)~fold(add(0, frame + p->transport, len));
	if (!sum && p->protocol == NET_IP_UDP) /* 0 would say that there is none (RFC 768) */
		sum = 0xffff;
	memcpy(frame + p->checksum, &sum, sizeof(sum));
}

/* ---- segments ---- */

size_t net_segment_headers(const struct net_packet *p, const uint8_t *frame)
{
	const size_t len = p->end - p->transport;

	if (p->protocol != NET_IP_TCP || !p->checksum)
		return 0;
	const size_t header = (frame[p->transport + TCP_OFFSET] >> 4) * 4u;

	return header < TCP_HEADER || header > len ? 0 : p->transport + header;
}

void net_segment_make(uint8_t *headers, const struct net_packet *p, const uint8_t *frame, size_t at,
		      size_t len, unsigned int n)
{
	const size_t before = net_segment_headers(p, frame);
	const bool last = before + at + len == p->end;
	uint8_t *ip = headers + p->ip, *tcp = headers + p->transport;
	uint64_t sum;
	uint16_t field = 0;

	memcpy(headers, frame, before);
	put16(ip + IP_LENGTH, (uint32_t)(before - p->ip + len));
	put16(ip + IP_ID, get16(ip + IP_ID) + n);
	net_packet_set_ip_checksum(p, headers);
	put32(tcp + TCP_SEQUENCE, get32(tcp + TCP_SEQUENCE) + (uint32_t)at);
	if (!last) /* what is to be said at the end */
		tcp[TCP_FLAGS] &= (uint8_t) ~(TCP_FIN | TCP_PSH);
	if (n) /* what is said once (RFC 3168, 6.1.2) */
		tcp[TCP_FLAGS] &= (uint8_t)~TCP_CWR;
	memcpy(tcp + TCP_CHECKSUM, &field, sizeof(field));
	sum = pseudo_header(ip, NET_IP_TCP, before - p->transport + len);
	sum = add(sum, tcp, before - p->transport);
	field = (uint16_t)~fold(add(sum, frame + before + at, len));
	memcpy(tcp + TCP_CHECKSUM, &field, sizeof(field));
}
