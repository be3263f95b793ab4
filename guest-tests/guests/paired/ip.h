/*
 * Ethernet, ARP, IPv4 and ICMP echo.
 *
 * The kernel is a server: it only ever answers. So an answer goes back to the station that the
 * question's frame came from, host or gateway, and there is no ARP cache and no routing.
 */
#ifndef IP_H
#define IP_H

#include <stdint.h>

#include "guest-tests/guests/paired/net.h"

#define IP_HEADER 20
#define IP_ICMP	  1
#define IP_TCP	  6
#define IP_UDP	  17

struct ip_peer {
	uint32_t address; /* host order */
	uint8_t mac[6];
};

/* Takes a received frame apart and answers it or hands it to whoever serves its protocol. */
void ip_receive(struct net_frame *frame);

/* From now on the payload of this protocol's datagrams goes to @receive. */
typedef void (*ip_receiver)(const struct ip_peer *from, struct net_frame *frame);
void ip_serve(uint8_t protocol, ip_receiver receive);

/* Tells the network where this address lives (a gratuitous ARP request). */
void ip_announce(void);

/*
 * Begins a datagram: returns where its transport header goes, with room for so many bytes of that and of payload,
 * or NULL (counted) while nothing of that size can be sent. ip_send() completes it; nothing else may be sent
 * between.
 */
uint8_t *ip_begin(const struct ip_peer *to, uint8_t protocol, uint32_t room);

#define IP_NO_CHECKSUM UINT32_MAX
/*
 * Sends length bytes of transport header and payload. checksum_offset says where in them TCP's or
 * UDP's checksum goes, or IP_NO_CHECKSUM; with segment not 0 the device cuts the payload behind a
 * header of header bytes to pieces of it.
 */
void ip_send(uint32_t length, uint32_t checksum_offset, uint32_t header, uint32_t segment);

/* Drops bytes at the front of a frame's first piece, or everything behind total bytes. */
void ip_frame_skip(struct net_frame *frame, uint32_t bytes);
void ip_frame_limit(struct net_frame *frame, uint32_t total);

/* Whether the transport checksum over the frame is right. */
bool ip_checksum_good(const struct ip_peer *from, const struct net_frame *frame, uint8_t protocol);

#endif
