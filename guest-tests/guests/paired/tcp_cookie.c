/* SYN cookies. */
#include "guest-tests/guests/paired/clock.h"
#include "guest-tests/guests/paired/lib.h"
#include "guest-tests/guests/paired/tcp_cookie.h"

#define PERIOD_US	64000000ull
#define PERIODS_GOOD	2
#define HASH_MASK	0xffffffu
/* After the flood only so long do answers come. */
#define STILL_COMING_US (PERIODS_GOOD * PERIOD_US)

static const uint16_t sizes[8] = { 64, 256, 512, 536, 1024, 1360, 1440, 1460 };
static uint64_t last_made;

static uint32_t cookie_hash(const struct ip_peer *peer, const struct tcp_segment *segment,
			    uint32_t peer_seq, uint32_t head)
{
	uint64_t ports = (uint64_t)segment->from_port << 16 | segment->port;

	return (uint32_t)tcp_hash((uint64_t)peer->address << 32 | peer_seq, ports << 8 | head) &
	       HASH_MASK;
}

uint32_t tcp_cookie_make(const struct ip_peer *peer, const struct tcp_segment *syn)
{
	uint32_t size = 7, head;

	last_made = clock_us();
	while (size > 0 && sizes[size] > syn->options.mss)
		size--;
	head = (uint32_t)(last_made / PERIOD_US % 32) << 3 | size;
	return head << 24 | cookie_hash(peer, syn, syn->seq, head);
}

bool tcp_cookie_check(const struct ip_peer *peer, const struct tcp_segment *ack, uint16_t *mss)
{
	uint32_t cookie = ack->ack - 1, head = cookie >> 24;
	uint64_t now = clock_us();
	uint32_t age = (uint32_t)(now / PERIOD_US - (head >> 3)) % 32;

	if (last_made == 0 || now - last_made > STILL_COMING_US || age >= PERIODS_GOOD)
		return false;
	*mss = sizes[head & 7];
	return (cookie & HASH_MASK) == cookie_hash(peer, ack, ack->seq - 1, head);
}
