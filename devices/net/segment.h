/*
 * Checksums and segmentation of IPv4 frames in software (RFC 791, 793, 1071), for cards that do both and backends that
 * do not.
 */
#ifndef DEVICES_NET_SEGMENT_H
#define DEVICES_NET_SEGMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Where things are in an Ethernet frame with an IPv4 datagram in it. */
struct net_packet {
	size_t ip;	  /* offset of the IPv4 header, behind a VLAN tag if there is one */
	size_t transport; /* offset of what the datagram carries ... */
	size_t end;	  /* ... and where that ends: padding may follow */
	size_t checksum; /* offset of TCP's or UDP's checksum; 0 where it is neither, a fragment, or cut short */
	uint8_t protocol;
};

#define NET_IP_TCP 6
#define NET_IP_UDP 17

/*
 * Look into the frame; false where there is no IPv4 datagram, or less of it than it says. @whole: the datagram ends
 * with the frame, whatever its length field says (large send).
 */
bool net_packet_parse(struct net_packet *p, const uint8_t *frame, size_t len, bool whole);

/* Whether the header's checksum, and the transport's (where p->checksum is set; UDP may have none), are right. */
bool net_packet_ip_is_good(const struct net_packet *p, const uint8_t *frame);
bool net_packet_transport_is_good(const struct net_packet *p, const uint8_t *frame);

/* Its TCP header has CWR set (RFC 3168). */
bool net_packet_has_cwr(const struct net_packet *p, const uint8_t *frame);

/* Make the length field say where the datagram ends. */
void net_packet_set_length(const struct net_packet *p, uint8_t *frame);

/* Write the header's checksum. */
void net_packet_set_ip_checksum(const struct net_packet *p, uint8_t *frame);

/* Write the transport's: in full, or the pseudo header's part alone, to which somebody else adds the rest. */
void net_packet_set_checksum(const struct net_packet *p, uint8_t *frame, bool in_full);

#define NET_SEGMENT_HEADERS (14 + 4 + 60 + 60) /* the longest: Ethernet, VLAN, IPv4, TCP */

/* Bytes before the payload of the TCP segment in @frame; 0 where it has no whole TCP header. */
size_t net_segment_headers(const struct net_packet *p, const uint8_t *frame);

/*
 * Make in @headers (NET_SEGMENT_HEADERS bytes) those of the segment of @len bytes that begins @at bytes into the payload of
 * @frame, with both checksums in full; @n is its number, from 0.
 */
void net_segment_make(uint8_t *headers, const struct net_packet *p, const uint8_t *frame, size_t at,
		      size_t len, unsigned int n);

#endif
