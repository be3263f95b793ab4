/* RTL8139, C+ mode: rings of descriptors in memory. */
#include <string.h>

#include "devices/rtl8139_internal.h"

/* A descriptor: opts1, opts2, and the buffer's address. */
#define DESC_SIZE 16u

/* opts1, both ways */
#define OWN   BIT(31) /* the card's */
#define EOR   BIT(30) /* the ring ends here */
#define FIRST BIT(29)
#define LAST  BIT(28)

/* opts1 of one to be sent */
#define LARGE_SEND    BIT(27)
#define MSS_SHIFT     16
#define MSS_MASK      0x7ffu
#define IP_CHECKSUM   BIT(18)
#define UDP_CHECKSUM  BIT(17)
#define TCP_CHECKSUM  BIT(16)
#define TX_LENGTH     0xffffu
#define TX_ERROR      BIT(23)
#define TX_LINK_ERROR BIT(21)
#define TX_TAG	      BIT(17) /* opts2 */

/* opts1 of one to receive, and as it is given back */
#define RX_SIZE 0x1fffu
#define RX_FLAGS_SHIFT \
	11 /* multicast, physical and broadcast of the old mode's header, up to bits 26, 25, 24 */
#define RX_FLAGS    (RX_MULTICAST | RX_PHYSICAL | RX_BROADCAST)
#define RX_IS_TCP   (1u << 16)
#define RX_IS_UDP   (2u << 16)
#define RX_IS_IP    (3u << 16)
#define RX_IP_FAIL  BIT(15)
#define RX_UDP_FAIL BIT(14)
#define RX_TCP_FAIL BIT(13)
#define RX_TAGGED   BIT(16) /* opts2 */

#define ETHERTYPE 12
#define TAG	  4u

struct desc {
	uint32_t opts1, opts2;
	uint64_t buffer;
};

/* Descriptor @n of the ring at @base, or NULL where that is not in memory. Rings are aligned to 256 bytes. */
static uint32_t *desc_at(const struct rtl8139 *d, const uint32_t base[2], unsigned int n)
{
	const uint64_t ring = ((uint64_t)base[1] << 32 | base[0]) & ~0xffull;

	return guestmem_ptr(d->mem, ring + n * DESC_SIZE, DESC_SIZE);
}

/* Copied once; who owns it first, as the driver gives that last. */
static struct desc desc_read(const uint32_t *at)
{
	struct desc desc = { .opts1 = __atomic_load_n(at, __ATOMIC_ACQUIRE) };

	desc.opts2 = __atomic_load_n(at + 1, __ATOMIC_RELAXED);
	desc.buffer = __atomic_load_n((const uint64_t *)(at + 2), __ATOMIC_RELAXED);
	return desc;
}

static unsigned int after(unsigned int n, uint32_t opts1)
{
	return opts1 & EOR ? 0 : (n + 1) % RING_DESCRIPTORS;
}

/* ---- receive ---- */

/* What the chip finds out about checksums. */
static uint32_t judge(const uint8_t *frame, size_t len)
{
	struct net_packet p;
	bool good;

	if (!net_packet_parse(&p, frame, len, false))
		return 0;
	if (!net_packet_ip_is_good(&p, frame))
		return RX_IS_IP | RX_IP_FAIL;
	if (!p.checksum)
		return RX_IS_IP;
	good = net_packet_transport_is_good(&p, frame);
	if (p.protocol == NET_IP_TCP)
		return RX_IS_TCP | (good ? 0 : RX_TCP_FAIL);
	return RX_IS_UDP | (good ? 0 : RX_UDP_FAIL);
}

/* Takes the VLAN tag out of the frame, which then begins @TAG bytes later; opts2, or 0 where there is none. */
static uint32_t take_tag(uint8_t *frame)
{
	static const uint8_t vlan[2] = { 0x81, 0 };
	uint16_t tag;

	if (memcmp(frame + ETHERTYPE, vlan, sizeof(vlan)))
		return 0;
	memcpy(&tag, frame + ETHERTYPE + 2, sizeof(tag));
	memmove(frame + TAG, frame, ETHERTYPE);
	return RX_TAGGED | tag;
}

/* A received frame's descriptors. */
struct place {
	unsigned int nr, next;
	uint32_t *desc[RING_DESCRIPTORS];
	uint32_t opts1[RING_DESCRIPTORS];
	uint8_t *buffer[RING_DESCRIPTORS];
};

/* Find room for @len bytes. */
static enum rtl8139_fate find_place(const struct rtl8139 *d, struct place *p, size_t len)
{
	size_t room = 0;

	p->next = d->rx_next;
	for (p->nr = 0; room < len; p->nr++) {
		uint32_t *const at = desc_at(d, d->r.rdsar, p->next);
		struct desc desc;

		if (p->nr == RING_DESCRIPTORS)
			return RX_TOO_BIG;
		if (!at)
			return RX_FAULT;
		desc = desc_read(at);
		if (!(desc.opts1 & OWN))
			return RX_MISSED;
		const size_t size = desc.opts1 & RX_SIZE, part = MIN(size, len - room);

		p->desc[p->nr] = at;
		p->opts1[p->nr] = desc.opts1;
		p->buffer[p->nr] = part ? guestmem_ptr(d->mem, desc.buffer, part) : NULL;
		if (part && !p->buffer[p->nr])
			return RX_FAULT;
		room += size;
		p->next = after(p->next, desc.opts1);
	}
	return RX_DELIVERED;
}

enum rtl8139_fate rtl8139_cplus_receive(struct rtl8139 *d, uint8_t *frame, size_t len,
					uint16_t flags)
{
	uint32_t result = d->r.cpcr & CPCR_RXCSUM ? judge(frame, len) : 0;
	const uint32_t opts2 = d->r.cpcr & CPCR_RXVLAN ? take_tag(frame) : 0;
	const size_t skip = opts2 ? TAG : 0, all = len - skip + FCS;
	struct place p;
	enum rtl8139_fate fate;

	if (all > RX_SIZE)
		return RX_TOO_BIG;
	fate = find_place(d, &p, all);
	if (fate != RX_DELIVERED)
		return fate;
	for (size_t i = 0, at = 0; i < p.nr; i++) {
		const size_t part = MIN((size_t)(p.opts1[i] & RX_SIZE), all - at);

		if (part)
			memcpy(p.buffer[i], frame + skip + at, part);
		at += part;
	}
	/* The first one last: what it is the start of is then all there. */
	result |= (uint32_t)(flags & RX_FLAGS) << RX_FLAGS_SHIFT | LAST | (uint32_t)all;
	for (unsigned int i = p.nr; i-- > 0; result = p.opts1[i] & RX_SIZE) {
		if (!i)
			result |= FIRST;
		__atomic_store_n(p.desc[i] + 1, opts2, __ATOMIC_RELAXED);
		__atomic_store_n(p.desc[i], result | (p.opts1[i] & EOR), __ATOMIC_RELEASE);
	}
	d->rx_next = p.next;
	return RX_DELIVERED;
}

/* ---- transmit ---- */

/* The normal ring's base and the high priority one's. */
static const uint32_t *ring_base(const struct rtl8139 *d, unsigned int ring)
{
	return &d->r.tsad[2 * ring];
}

/* Give the descriptors of d->out back to the driver. */
static void give_back(struct rtl8139 *d, uint32_t status)
{
	struct rtl8139_out *o = &d->out;
	unsigned int n = o->first;

	for (unsigned int i = 0; i < o->nr; i++) {
		uint32_t *const at = desc_at(d, ring_base(d, o->ring), n);
		const uint32_t opts1 = o->opts1[i] & (EOR | FIRST | LAST | TX_LENGTH);

		if (at)
			__atomic_store_n(at, opts1 | (opts1 & LAST ? status : 0), __ATOMIC_RELEASE);
		n = after(n, o->opts1[i]);
	}
	d->tx_next[o->ring] = n;
	d->tx_unavailable[o->ring] = true;
}

static bool append(struct rtl8139 *d, const struct desc *desc)
{
	const size_t len = desc->opts1 & TX_LENGTH;

	if (len > RTL8139_MAX_FRAME - d->out.len ||
	    (len && guestmem_read(d->mem, desc->buffer, d->out.frame + d->out.len, len)))
		return false;
	d->out.len += len;
	return true;
}

/* Put in the tag that @opts2 has. False where there is no room. */
static bool add_tag(struct rtl8139_out *o, uint32_t opts2)
{
	const uint16_t tag = (uint16_t)opts2;
	uint8_t *at = o->frame + ETHERTYPE;

	if (!(opts2 & TX_TAG))
		return true;
	if (o->len > RTL8139_MAX_FRAME - TAG)
		return false;
	memmove(at + TAG, at, o->len - ETHERTYPE);
	at[0] = 0x81;
	at[1] = 0;
	memcpy(at + 2, &tag, sizeof(tag));
	o->len += TAG;
	return true;
}

/* What the first descriptor wants done. */
static void read_wishes(struct rtl8139_out *o, uint32_t opts1)
{
	if (opts1 & LARGE_SEND) {
		o->mss = opts1 >> MSS_SHIFT & MSS_MASK;
		return;
	}
	o->ip_sum = opts1 & IP_CHECKSUM;
	o->sum = opts1 & (UDP_CHECKSUM | TCP_CHECKSUM);
}

/* Take the descriptors of one frame from @ring; malformed ones, up to where the next may begin, are given back. */
static enum rtl8139_fetch fetch_from(struct rtl8139 *d, unsigned int ring)
{
	struct rtl8139_out *o = &d->out;
	unsigned int n = d->tx_next[ring];
	uint32_t opts2 = 0;
	bool good = true, whole = false;

	o->ring = ring;
	o->first = n;
	o->len = 0;
	for (o->nr = 0; o->nr < RING_DESCRIPTORS && !whole; o->nr++) {
		const uint32_t *const at = desc_at(d, ring_base(d, ring), n);
		struct desc desc;

		if (!at) {
			o->len = 0;
			rtl8139_fault(d, &d->tx_fault);
			return TX_NONE;
		}
		desc = desc_read(at);
		if (!(desc.opts1 & OWN)) { /* the rest is still to come */
			o->len = 0;
			return TX_NONE;
		}
		const bool first = desc.opts1 & FIRST;

		if (o->nr && first)
			break; /* the next one; this has no end */
		if (!o->nr) {
			opts2 = desc.opts2;
			read_wishes(o, desc.opts1);
		}
		o->opts1[o->nr] = desc.opts1;
		good = good && (first || o->nr) && append(d, &desc);
		whole = desc.opts1 & LAST;
		n = after(n, desc.opts1);
	}
	if (good && whole && o->len >= MIN_FRAME && add_tag(o, opts2))
		return TX_FRAME;
	o->len = 0;
	give_back(d, TX_ERROR);
	return TX_MALFORMED;
}

enum rtl8139_fetch rtl8139_cplus_fetch(struct rtl8139 *d)
{
	for (unsigned int ring = ARRAY_SIZE(d->tx_next); ring-- > 0;) {
		enum rtl8139_fetch got;

		if (!d->tx_polled[ring])
			continue;
		got = fetch_from(d, ring);
		if (got != TX_NONE)
			return got;
		d->tx_polled[ring] = false;
		if (d->tx_unavailable[ring])
			rtl8139_interrupt(d, INT_TDU);
		d->tx_unavailable[ring] = false;
	}
	return TX_NONE;
}

void rtl8139_cplus_complete(struct rtl8139 *d)
{
	give_back(d, d->out.failed ? TX_ERROR | TX_LINK_ERROR : 0);
}
