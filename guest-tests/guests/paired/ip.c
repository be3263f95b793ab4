/*
 * Ethernet (RFC 894), ARP (RFC 826), IPv4 (RFC 791, no options or fragments sent) and ICMP
 * echo (RFC 792).
 */
#include "guest-tests/guests/paired/checksum.h"
#include "guest-tests/guests/paired/counters.h"
#include "guest-tests/guests/paired/fragment.h"
#include "guest-tests/guests/paired/ip.h"
#include "guest-tests/guests/paired/lib.h"

#define ETH_SOURCE 6
#define ETH_TYPE   12
#define ETH_IP	   0x0800
#define ETH_ARP	   0x0806

#define ARP_SIZE      28
#define ARP_OPERATION 6
#define ARP_SENDER    8
#define ARP_SENDER_IP 14
#define ARP_TARGET    18
#define ARP_TARGET_IP 24
#define ARP_REQUEST   1
#define ARP_REPLY     2

#define IP_TOTAL       2
#define IP_ID	       4
#define IP_FRAGMENT    6
#define IP_TTL	       8
#define IP_PROTOCOL    9
#define IP_CHECKSUM    10
#define IP_SOURCE      12
#define IP_DESTINATION 16
#define IP_DONT_SPLIT  0x4000
#define IP_MORE	       0x2000
#define IP_OFFSET_MASK 0x1fff
#define IP_SPLIT_MASK  (IP_MORE | IP_OFFSET_MASK)

#define ICMP_HEADER 8
#define ICMP_ECHO   8

static ip_receiver receivers[256]; /* by protocol */

static uint8_t *out_frame; /* of the datagram between ip_begin() and ip_send() */
static uint16_t out_id;

static const uint8_t broadcast[6] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };

static void put_ethernet(uint8_t *frame, const uint8_t *to, uint16_t type)
{
	memcpy(frame, to, 6);
	memcpy(frame + ETH_SOURCE, net.mac, 6);
	put_be16(frame + ETH_TYPE, type);
}

static void send_arp(uint16_t operation, const uint8_t *to, const uint8_t *target,
		     uint32_t target_ip)
{
	static const uint8_t head[6] = { 0, 1, 8, 0, 6, 4 }; /* Ethernet, IPv4, their lengths */
	uint8_t *frame = net_frame_buffer(NET_ETH_HEADER + ARP_SIZE), *arp = frame + NET_ETH_HEADER;
	struct net_offload none = { 0 };

	if (frame == NULL) {
		counters.tx_lost++;
		return;
	}
	put_ethernet(frame, to, ETH_ARP);
	memcpy(arp, head, sizeof(head));
	put_be16(arp + ARP_OPERATION, operation);
	memcpy(arp + ARP_SENDER, net.mac, 6);
	put_be32(arp + ARP_SENDER_IP, net.address);
	memcpy(arp + ARP_TARGET, target, 6);
	put_be32(arp + ARP_TARGET_IP, target_ip);
	net_send(NET_ETH_HEADER + ARP_SIZE, &none);
}

void ip_announce(void)
{
	static const uint8_t unknown[6];

	send_arp(ARP_REQUEST, broadcast, unknown, net.address);
}

static void receive_arp(const uint8_t *arp, uint32_t length)
{
	if (length < ARP_SIZE || get_be16(arp + ARP_OPERATION) != ARP_REQUEST ||
	    get_be32(arp + ARP_TARGET_IP) != net.address)
		return;
	counters.arp_replies++;
	send_arp(ARP_REPLY, arp + ARP_SENDER, arp + ARP_SENDER, get_be32(arp + ARP_SENDER_IP));
}

uint8_t *ip_begin(const struct ip_peer *to, uint8_t protocol, uint32_t room)
{
	out_frame = net_frame_buffer(NET_ETH_HEADER + IP_HEADER + room);
	if (out_frame == NULL) {
		counters.tx_ring_full++;
		return NULL;
	}
	uint8_t *ip = out_frame + NET_ETH_HEADER;

	put_ethernet(out_frame, to->mac, ETH_IP);
	ip[0] = 0x45;
	ip[1] = 0;
	put_be16(ip + IP_FRAGMENT, IP_DONT_SPLIT);
	ip[IP_TTL] = 64;
	ip[IP_PROTOCOL] = protocol;
	put_be32(ip + IP_SOURCE, net.address);
	put_be32(ip + IP_DESTINATION, to->address);
	return ip + IP_HEADER;
}

void ip_send(uint32_t length, uint32_t checksum_offset, uint32_t header, uint32_t segment)
{
	uint8_t *ip = out_frame + NET_ETH_HEADER, *transport = ip + IP_HEADER;
	struct net_offload offload = { 0 };
	uint16_t sum;

	put_be16(ip + IP_TOTAL, (uint16_t)(IP_HEADER + length));
	put_be16(ip + IP_ID, out_id);
	/* A cut datagram takes as many numbers as it makes pieces. */
	out_id = (uint16_t)(out_id + (segment != 0 ? length / segment + 1 : 1));
	memset(ip + IP_CHECKSUM, 0, 2);
	sum = (uint16_t)~checksum_fold(checksum_add(0, ip, IP_HEADER));
	memcpy(ip + IP_CHECKSUM, &sum, 2);

	if (checksum_offset != IP_NO_CHECKSUM) {
		uint64_t pseudo = checksum_pseudo(net.address, get_be32(ip + IP_DESTINATION),
						  ip[IP_PROTOCOL], length);

		/* The device adds the rest to what it finds in place. */
		sum = checksum_fold(pseudo);
		if (!net.checksums) {
			memset(transport + checksum_offset, 0, 2);
			sum = (uint16_t)~checksum_fold(checksum_add(pseudo, transport, length));
			if (sum == 0) /* which UDP takes for none */
				sum = 0xffff;
		} else {
			offload.checksum_start = NET_ETH_HEADER + IP_HEADER;
			offload.checksum_offset = (uint16_t)checksum_offset;
		}
		memcpy(transport + checksum_offset, &sum, 2);
	}
	if (segment != 0) {
		offload.segment = (uint16_t)segment;
		offload.headers = (uint16_t)(NET_ETH_HEADER + IP_HEADER + header);
	}
	net_send(NET_ETH_HEADER + IP_HEADER + length, &offload);
}

void ip_frame_skip(struct net_frame *frame, uint32_t bytes)
{
	frame->data[0] += bytes;
	frame->length[0] -= bytes;
	frame->total -= bytes;
}

void ip_frame_limit(struct net_frame *frame, uint32_t total)
{
	if (total >= frame->total)
		return;
	frame->total = total;
	for (uint32_t i = 0; i < frame->count; i++) {
		frame->length[i] = min_u32(frame->length[i], total);
		total -= frame->length[i];
	}
}

bool ip_checksum_good(const struct ip_peer *from, const struct net_frame *frame, uint8_t protocol)
{
	uint64_t sum = checksum_pseudo(from->address, net.address, protocol, frame->total);

	/* All pieces but the last have an even length: headers and buffers have. */
	for (uint32_t i = 0; i < frame->count; i++)
		sum = checksum_add(sum, frame->data[i], frame->length[i]);
	return checksum_fold(sum) == 0xffff;
}

static void receive_icmp(const struct ip_peer *from, const struct net_frame *frame)
{
	const uint8_t *request = frame->data[0];
	uint32_t length = frame->total;

	if (frame->count != 1 || length < ICMP_HEADER || request[0] != ICMP_ECHO || request[1] != 0)
		return;
	if (checksum_fold(checksum_add(0, request, length)) != 0xffff) {
		counters.rx_bad_checksum++;
		return;
	}
	if (length > NET_MTU - IP_HEADER) {
		counters.tx_too_large++;
		return;
	}
	uint8_t *reply = ip_begin(from, IP_ICMP, length);

	if (reply == NULL) {
		counters.tx_lost++;
		return;
	}
	memcpy(reply, request, length);
	memset(reply, 0, 4); /* type 0, code 0, checksum */
	uint16_t sum = (uint16_t)~checksum_fold(checksum_add(0, reply, length));

	memcpy(reply + 2, &sum, 2);
	counters.icmp_echoes++;
	ip_send(length, IP_NO_CHECKSUM, 0, 0);
}

void ip_serve(uint8_t protocol, ip_receiver receive)
{
	receivers[protocol] = receive;
}

/* True when the fragment has completed its datagram, which frame then holds. */
static bool receive_fragment(const uint8_t *ip, struct net_frame *frame)
{
	uint16_t word = get_be16(ip + IP_FRAGMENT);
	struct fragment fragment = { .source = get_be32(ip + IP_SOURCE),
				     .id = get_be16(ip + IP_ID),
				     .protocol = ip[IP_PROTOCOL],
				     .more = word & IP_MORE,
				     .offset = (word & IP_OFFSET_MASK) * 8u };

	return fragment_receive(&fragment, frame);
}

static void receive_ip(struct net_frame *frame, const uint8_t *source_mac)
{
	const uint8_t *ip = frame->data[0];
	uint32_t header, total;
	struct ip_peer from;

	if (frame->length[0] < IP_HEADER || ip[0] >> 4 != 4) {
		counters.rx_bad_frame++;
		return;
	}
	header = (ip[0] & 15u) * 4;
	total = get_be16(ip + IP_TOTAL);
	if (header < IP_HEADER || total < header || total > frame->total ||
	    header > frame->length[0] || get_be32(ip + IP_DESTINATION) != net.address) {
		counters.rx_bad_frame++;
		return;
	}
	if (checksum_fold(checksum_add(0, ip, header)) != 0xffff) {
		counters.rx_bad_checksum++;
		return;
	}
	uint8_t protocol = ip[IP_PROTOCOL];

	from.address = get_be32(ip + IP_SOURCE);
	memcpy(from.mac, source_mac, 6);
	ip_frame_limit(frame, total); /* short frames are padded */
	ip_frame_skip(frame, header);
	if (get_be16(ip + IP_FRAGMENT) & IP_SPLIT_MASK && !receive_fragment(ip, frame))
		return;
	if (receivers[protocol] != NULL)
		receivers[protocol](&from, frame);
	else if (protocol == IP_ICMP)
		receive_icmp(&from, frame);
	else
		counters.rx_bad_frame++;
}

void ip_receive(struct net_frame *frame)
{
	const uint8_t *eth = frame->data[0];

	if (frame->length[0] < NET_ETH_HEADER) {
		counters.rx_bad_frame++;
		return;
	}
	ip_frame_skip(frame, NET_ETH_HEADER);
	/* A bridge floods frames for others; a group address never starts a conversation. */
	bool for_us = memcmp(eth, net.mac, 6) == 0;

	if (get_be16(eth + ETH_TYPE) == ETH_ARP && (for_us || memcmp(eth, broadcast, 6) == 0))
		receive_arp(frame->data[0], frame->length[0]);
	else if (get_be16(eth + ETH_TYPE) == ETH_IP && for_us)
		receive_ip(frame, eth + ETH_SOURCE);
	else
		counters.rx_bad_frame++;
}
