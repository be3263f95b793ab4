/*
 * Small datagrams, and right behind them one large segment as a card with segmentation offload gets it:
 *
 *	burst INTERFACE MAC ADDRESS DATAGRAMS BYTES
 *
 * What is sent is for nobody: the guest may refuse it, and must go on.
 */
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <linux/virtio_net.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static struct {
	struct virtio_net_hdr v;
	struct ether_header eth;
	struct iphdr ip;
	union {
		struct udphdr udp;
		struct tcphdr tcp;
	};
	char data[65536];
} __attribute__((packed)) f;

static uint16_t checksum(const void *data, size_t len)
{
	const uint8_t *p = data;
	uint32_t sum = 0;

	for (size_t i = 0; i < len; i += 2)
		sum += (uint32_t)p[i] << 8 | p[i + 1];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons((uint16_t)~sum);
}

/* The frame is @len bytes long from its Ethernet header on. */
static int send_frame(int s, uint8_t protocol, size_t len)
{
	const size_t headers = sizeof(f.eth) + sizeof(f.ip);

	f.ip.protocol = protocol;
	f.ip.tot_len = htons((uint16_t)(len - sizeof(f.eth)));
	f.ip.check = 0;
	f.ip.check = checksum(&f.ip, sizeof(f.ip));
	if (protocol == IPPROTO_TCP) {
		f.tcp = (struct tcphdr){
			.source = htons(7), .dest = htons(9), .doff = 5, .ack = 1
		};
		f.v = (struct virtio_net_hdr){
			.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
			.gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
			.gso_size = 1460,
			.hdr_len = (uint16_t)(headers + sizeof(f.tcp)),
			.csum_start = (uint16_t)headers,
			.csum_offset = offsetof(struct tcphdr, check),
		};
	} else {
		f.udp = (struct udphdr){ .source = htons(7),
					 .dest = htons(9),
					 .len = htons((uint16_t)(len - headers)) };
	}
	return send(s, &f, sizeof(f.v) + len, 0) == (ssize_t)(sizeof(f.v) + len) ? 0 : -1;
}

int main(int argc, char **argv)
{
	const int on = 1, s = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_IP));
	struct sockaddr_ll to = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_IP) };
	int ret = 0;

	if (argc != 6 || sscanf(argv[2], "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", &f.eth.ether_dhost[0],
				&f.eth.ether_dhost[1], &f.eth.ether_dhost[2], &f.eth.ether_dhost[3],
				&f.eth.ether_dhost[4], &f.eth.ether_dhost[5]) != 6) {
		fprintf(stderr, "usage: burst INTERFACE MAC ADDRESS DATAGRAMS BYTES\n");
		return 2;
	}
	to.sll_ifindex = (int)if_nametoindex(argv[1]);
	f.eth.ether_shost[0] = 2;
	f.eth.ether_type = htons(ETH_P_IP);
	f.ip = (struct iphdr){ .version = 4, .ihl = 5, .ttl = 64 };
	f.ip.daddr = inet_addr(argv[3]);
	f.ip.saddr = f.ip.daddr ^ htonl(3); /* 10.0.1.1 of 10.0.1.2 */
	if (s < 0 || setsockopt(s, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof(on)) ||
	    bind(s, (const struct sockaddr *)&to, sizeof(to)))
		ret = -1;
	for (int i = atoi(argv[4]); i > 0 && !ret; i--)
		ret = send_frame(s, IPPROTO_UDP, 60);
	if (!ret)
		ret = send_frame(s, IPPROTO_TCP, (size_t)atoi(argv[5]));
	if (ret)
		perror("burst");
	return ret ? 1 : 0;
}
