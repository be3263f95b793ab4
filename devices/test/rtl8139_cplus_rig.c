#include "devices/test/rtl8139_cplus_rig.h"

#include <string.h>

#include "devices/net/segment.h"
#include "vmm/base/test/unit.h"

size_t make_ip(uint8_t protocol, size_t header, size_t len, uint32_t seed)
{
	uint8_t *ip = sent + HDR + ETH_IP, *transport = ip + 20;

	fill_frame(len, seed);
	sent[HDR + 12] = 8;
	sent[HDR + 13] = 0;
	memset(ip, 0, 20 + header);
	ip[0] = 0x45;
	ip[2] = (uint8_t)((len - ETH_IP) >> 8);
	ip[3] = (uint8_t)(len - ETH_IP);
	ip[8] = 64;
	ip[9] = protocol;
	memcpy(ip + 12, "\x0a\x00\x00\x02\x0a\x00\x00\x01", 8);
	memcpy(transport, "\x12\x34\x56\x78", 4);
	if (protocol == NET_IP_TCP) {
		memcpy(transport + 4, "\xff\xff\xff\xf0", 4); /* a sequence number about to wrap */
		transport[12] = (uint8_t)(header / 4 << 4);
		transport[13] = 0x19; /* ACK, PSH, FIN */
	} else {
		transport[4] = (uint8_t)((len - ETH_IP - 20) >> 8);
		transport[5] = (uint8_t)(len - ETH_IP - 20);
	}
	return len;
}

void assert_sums_good(size_t len)
{
	struct net_packet p;

	assert_true(net_packet_parse(&p, received + HDR, len, false));
	assert_true(net_packet_ip_is_good(&p, received + HDR));
	assert_true(p.checksum);
	assert_true(net_packet_transport_is_good(&p, received + HDR));
}
