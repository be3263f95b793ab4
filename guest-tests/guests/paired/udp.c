/* UDP (RFC 768). */
#include "guest-tests/guests/paired/counters.h"
#include "guest-tests/guests/paired/lib.h"
#include "guest-tests/guests/paired/udp.h"

#define UDP_HEADER   8
#define UDP_LENGTH   4
#define UDP_CHECKSUM 6
#define UDP_SERVICES 32

static struct {
	uint16_t port;
	udp_service service;
} services[UDP_SERVICES];

static void receive(const struct ip_peer *from, struct net_frame *frame)
{
	const uint8_t *udp = frame->data[0];

	/* It is in one piece, or was put together. */
	if (frame->count != 1 || frame->total < UDP_HEADER ||
	    get_be16(udp + UDP_LENGTH) < UDP_HEADER || get_be16(udp + UDP_LENGTH) > frame->total) {
		counters.rx_bad_frame++;
		return;
	}
	ip_frame_limit(frame, get_be16(udp + UDP_LENGTH));
	if (!frame->checksum_good && get_be16(udp + UDP_CHECKSUM) != 0 &&
	    !ip_checksum_good(from, frame, IP_UDP)) {
		counters.rx_bad_checksum++;
		return;
	}
	counters.udp_received++;
	struct udp_datagram datagram = { .from = *from,
					 .from_port = get_be16(udp),
					 .port = get_be16(udp + 2),
					 .data = udp + UDP_HEADER,
					 .length = frame->total - UDP_HEADER };

	for (uint32_t i = 0; i < UDP_SERVICES; i++) {
		if (services[i].service != NULL && services[i].port == datagram.port) {
			services[i].service(&datagram);
			return;
		}
	}
	counters.udp_no_port++;
}

bool udp_listen(uint16_t port, udp_service service)
{
	uint32_t slot = UDP_SERVICES;

	for (uint32_t i = 0; i < UDP_SERVICES; i++) {
		if (services[i].service != NULL && services[i].port == port)
			slot = i;
		else if (services[i].service == NULL && slot == UDP_SERVICES)
			slot = i;
	}
	if (slot == UDP_SERVICES)
		return false;
	services[slot].port = port;
	services[slot].service = service;
	ip_serve(IP_UDP, receive);
	return true;
}

void udp_answer(const struct udp_datagram *to, const void *data, uint32_t length)
{
	if (length > UDP_ANSWER_MAX) {
		counters.tx_too_large++;
		return;
	}
	uint8_t *udp = ip_begin(&to->from, IP_UDP, UDP_HEADER + length);

	if (udp == NULL) {
		counters.tx_lost++;
		return;
	}
	put_be16(udp, to->port);
	put_be16(udp + 2, to->from_port);
	put_be16(udp + UDP_LENGTH, (uint16_t)(UDP_HEADER + length));
	memcpy(udp + UDP_HEADER, data, length);
	ip_send(UDP_HEADER + length, UDP_CHECKSUM, UDP_HEADER, 0);
}
