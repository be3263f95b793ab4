/* A SYN flood: connections that are begun and never followed up. */
#include <errno.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "guest-tests/bench/flood.h"

/* The Internet checksum (RFC 1071) of what follows on @sum. */
static uint16_t checksum(const uint8_t *data, size_t length, uint32_t sum)
{
	for (size_t i = 0; i + 1 < length; i += 2)
		sum += (uint32_t)data[i] << 8 | data[i + 1];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static uint32_t words(in_addr_t address)
{
	return (ntohl(address) >> 16) + (ntohl(address) & 0xffff);
}

int flood_run(const struct client_opts *o)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_addr = o->host };
	int fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW), rc = fd < 0 ? -errno : 0;
	struct {
		struct iphdr ip;
		struct tcphdr tcp;
	} syn;

	for (uint32_t i = 0; !rc && i < o->count; i++) {
		syn.ip =
			(struct iphdr){ .version = 4,
					.ihl = 5,
					.ttl = 64,
					.protocol = IPPROTO_TCP,
					.saddr = htonl(0x0b000001 + i % 0xffffff), /* 11.0.0.1 on */
					.daddr = o->host.s_addr };
		syn.tcp = (struct tcphdr){ .source = htons((uint16_t)(1024 + i % 60000)),
					   .dest = htons((uint16_t)o->port),
					   .seq = htonl(i * 7919),
					   .doff = 5,
					   .syn = 1,
					   .window = htons(1000) };
		syn.tcp.check = htons(checksum((const uint8_t *)&syn.tcp, sizeof(syn.tcp),
					       words(syn.ip.saddr) + words(syn.ip.daddr) +
						       IPPROTO_TCP + sizeof(syn.tcp)));
		if (sendto(fd, &syn, sizeof(syn), 0, (struct sockaddr *)&to, sizeof(to)) < 0 &&
		    errno != ENOBUFS)
			rc = -errno;
	}
	if (rc)
		fprintf(stderr, "crr: cannot flood %s: %s\n", o->host_text, strerror(-rc));
	if (fd >= 0)
		close(fd);
	return rc;
}
