/* Frames with an IPv4 datagram, and the bits of C+ descriptors that its tests name. */
#ifndef DEVICES_TEST_RTL8139_CPLUS_RIG_H
#define DEVICES_TEST_RTL8139_CPLUS_RIG_H

#include "devices/test/rtl8139_rig.h"

#define IPCS   BIT(18)
#define UDPCS  BIT(17)
#define TCPCS  BIT(16)
#define LGSEN  BIT(27)
#define TX_BAD BIT(23)
#define TAG_TX BIT(17)
#define TAG_RX BIT(16)
#define RXCSUM 0x20
#define RXVLAN 0x40
#define BEYOND (RIG_MEMORY + 0x1000)
#define ETH_IP 14

/* Of @len bytes in all, with the transport's header of @header bytes; sums are wrong. Its payload is by @seed. */
size_t make_ip(uint8_t protocol, size_t header, size_t len, uint32_t seed);

/* Whether both sums of what the peer got are right. */
void assert_sums_good(size_t len);

#endif
