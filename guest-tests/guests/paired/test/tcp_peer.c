#include "guest-tests/guests/paired/test/tcp_peer.h"

#include "guest-tests/guests/paired/checksum.h"
#include "guest-tests/guests/paired/lib.h"
#include "guest-tests/guests/paired/services.h"
#include "guest-tests/guests/paired/tcp_internal.h"
#include "vmm/base/test/unit.h"

struct sent sent[SENT_MAX];
unsigned int sent_count, sent_read;
uint16_t port = 40000; /* the peer's; a new one in each test */

void hosted_sent(const uint8_t *frame, uint32_t length)
{
	const uint8_t *ip = frame + NET_ETH_HEADER, *tcp = ip + IP_HEADER;
	uint32_t header = (tcp[12] >> 4) * 4u;
	uint64_t sum =
		checksum_pseudo(net.address, PEER, IP_TCP, length - NET_ETH_HEADER - IP_HEADER);

	if (get_be32(ip + 16) != PEER || ip[9] != IP_TCP || sent_count == SENT_MAX)
		return;
	assert_int_equal(checksum_fold(checksum_add(0, ip, IP_HEADER)), 0xffff);
	assert_int_equal(checksum_fold(checksum_add(sum, tcp, length - NET_ETH_HEADER - IP_HEADER)),
			 0xffff);
	struct sent *s = &sent[sent_count++];

	*s = (struct sent){ .to_port = get_be16(tcp + 2),
			    .seq = get_be32(tcp + 4),
			    .ack = get_be32(tcp + 8),
			    .window = get_be16(tcp + 14),
			    .flags = tcp[13],
			    .length = length - NET_ETH_HEADER - IP_HEADER - header };
	assert_true(s->length <= sizeof(s->data));
	s->options_length = header - TCP_HEADER;
	memcpy(s->options, tcp + TCP_HEADER, s->options_length);
	memcpy(s->data, tcp + header, s->length);
}

void segment_with(uint16_t to, uint8_t flags, uint32_t seq, uint32_t ack, uint32_t window,
		  const void *data, uint32_t length, const uint8_t *options,
		  uint32_t options_length)
{
	uint8_t bytes[NET_ETH_HEADER + IP_HEADER + 60 + 1500] = { 0 }, *ip = bytes + NET_ETH_HEADER;
	uint8_t *tcp = ip + IP_HEADER;
	uint32_t header = TCP_HEADER + options_length;

	memcpy(bytes, net.mac, 6);
	put_be16(bytes + 12, 0x0800);
	ip[0] = 0x45;
	put_be16(ip + 2, (uint16_t)(IP_HEADER + header + length));
	ip[8] = 64;
	ip[9] = IP_TCP;
	put_be32(ip + 12, PEER);
	put_be32(ip + 16, net.address);
	uint16_t sum = (uint16_t)~checksum_fold(checksum_add(0, ip, IP_HEADER));

	memcpy(ip + 10, &sum, 2);
	put_be16(tcp, port);
	put_be16(tcp + 2, to);
	put_be32(tcp + 4, seq);
	put_be32(tcp + 8, ack);
	tcp[12] = (uint8_t)(header / 4 << 4);
	tcp[13] = flags;
	put_be16(tcp + 14, (uint16_t)window);
	if (options_length > 0)
		memcpy(tcp + TCP_HEADER, options, options_length);
	if (length > 0)
		memcpy(tcp + header, data, length);
	sum = (uint16_t)~checksum_fold(checksum_add(
		checksum_pseudo(PEER, net.address, IP_TCP, header + length), tcp, header + length));
	memcpy(tcp + 16, &sum, 2);
	uint32_t total = NET_ETH_HEADER + IP_HEADER + header + length;
	struct net_frame frame = {
		.data = { bytes }, .length = { total }, .count = 1, .total = total
	};

	ip_receive(&frame);
	tcp_flush();
}

void segment(uint16_t to, uint8_t flags, uint32_t seq, uint32_t ack, const void *data,
	     uint32_t length)
{
	segment_with(to, flags, seq, ack, 65535, data, length, NULL, 0);
}

struct sent *next_sent(void)
{
	assert_true(sent_read < sent_count);
	return &sent[sent_read++];
}

void nothing_sent(void)
{
	assert_int_equal(sent_read, sent_count);
}

void wait_us(uint64_t us)
{
	for (uint64_t end = hosted_us + us; hosted_us < end;) {
		hosted_us += us < 5000 ? us : 5000;
		tcp_timers();
		tcp_flush();
	}
}

void connect_to(uint16_t to, uint32_t *seq, uint32_t *ack)
{
	port++;
	*seq = 1000;
	segment(to, TCP_SYN, *seq, 0, NULL, 0);
	struct sent *s = next_sent();

	assert_int_equal(s->flags, TCP_SYN | TCP_ACK);
	assert_int_equal(s->ack, *seq + 1);
	*seq += 1;
	*ack = s->seq + 1;
	segment(to, TCP_ACK, *seq, *ack, NULL, 0);
	nothing_sent();
}

void is_gone(uint16_t to, uint32_t seq, uint32_t ack)
{
	segment(to, TCP_ACK, seq, ack, NULL, 0);
	struct sent *s = next_sent();

	assert_int_equal(s->flags, TCP_RST);
	assert_int_equal(s->seq, ack);
}

void expect_segment(uint8_t flags, uint32_t seq, uint32_t ack, const char *data)
{
	struct sent *s = next_sent();

	assert_int_equal(s->flags & ~TCP_PSH, flags);
	assert_int_equal(s->seq, seq);
	assert_int_equal(s->ack, ack);
	assert_int_equal(s->length, strlen(data));
	assert_memory_equal(s->data, data, s->length);
}

int peer_fresh(void **state)
{
	sent_count = sent_read = 0;
	return 0;
}

int peer_start(void **state)
{
	hosted_us = US;
	return tcp_start() && echo_start() && http_start() ? 0 : -1;
}
