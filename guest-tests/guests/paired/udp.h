/* UDP: services by port, answers to where the question came from. */
#ifndef UDP_H
#define UDP_H

#include <stdbool.h>
#include <stdint.h>

#include "guest-tests/guests/paired/ip.h"

/* One received datagram; data is good until the service returns. */
struct udp_datagram {
	struct ip_peer from;
	uint16_t from_port, port;
	const uint8_t *data;
	uint32_t length;
};

typedef void (*udp_service)(const struct udp_datagram *datagram);

/* Serves a port; NULL ends it. False when too many are served. */
bool udp_listen(uint16_t port, udp_service service);

/* Answers a datagram, once, from the port it came to; more than UDP_ANSWER_MAX bytes are not sent, but counted. */
void udp_answer(const struct udp_datagram *to, const void *data, uint32_t length);
#define UDP_ANSWER_MAX 1472

#endif
