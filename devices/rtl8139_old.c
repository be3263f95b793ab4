/* RTL8139, the old mode: four transmit descriptors in registers, a receive ring of bytes. */
#include <string.h>

#include "devices/rtl8139_internal.h"

#define RX_HEADER  4u
#define OLD_MAX	   1792u /* the chip sends no more */
#define OLD_RX_MAX 4095u

/* ---- receive ---- */

uint32_t rtl8139_old_ring_size(const struct rtl8139_regs *r)
{
	return 8192u << ((r->rcr & RCR_RBLEN) >> 11);
}

/* Bytes from @at on, around the end unless the driver has them behind it. */
static bool put(struct rtl8139 *d, uint32_t at, const uint8_t *from, size_t len)
{
	const uint32_t size = rtl8139_old_ring_size(&d->r);
	const bool around = !(d->r.rcr & RCR_WRAP) || size == 65536;
	const size_t first = around ? MIN(len, (size_t)(size - at)) : len;

	return !guestmem_write(d->mem, d->r.rbstart + (uint64_t)at, from, first) &&
	       (first == len || !guestmem_write(d->mem, d->r.rbstart, from + first, len - first));
}

enum rtl8139_fate rtl8139_old_receive(struct rtl8139 *d, const uint8_t *frame, size_t len,
				      uint16_t flags)
{
	struct rtl8139_regs *r = &d->r;
	const uint32_t size = rtl8139_old_ring_size(r), at = r->write;
	const uint32_t need = (uint32_t)ALIGN_UP(RX_HEADER + len + FCS, 4ul);
	const uint32_t used = (at - r->read) & (size - 1);
	const uint16_t header[2] = { flags, (uint16_t)(len + FCS) };
	uint8_t head[RX_HEADER];

	if (len + FCS > OLD_RX_MAX)
		return RX_TOO_BIG;
	/* Never quite full: that would look empty. */
	if (need >= size - used)
		return RX_MISSED;
	memcpy(head, header, sizeof(head));
	/* The header last: a driver that looks at memory alone finds the frame behind it. */
	if (!put(d, (at + RX_HEADER) & (size - 1), frame, len + FCS) ||
	    !put(d, at, head, sizeof(head)))
		return RX_FAULT;
	r->write = (at + need) & (size - 1);
	return RX_DELIVERED;
}

/* ---- transmit ---- */

static enum rtl8139_fetch turn_down(struct rtl8139 *d)
{
	d->r.tsd[d->old_next] |= TSD_OWN | TSD_TABT;
	d->tally.tx_aborted++;
	d->old_next = (d->old_next + 1) % OLD_DESCRIPTORS;
	return TX_MALFORMED;
}

enum rtl8139_fetch rtl8139_old_fetch(struct rtl8139 *d)
{
	const uint32_t tsd = d->r.tsd[d->old_next];
	const uint32_t len = tsd & TSD_SIZE;

	if (tsd & TSD_OWN)
		return TX_NONE;
	if (len < MIN_FRAME || len > OLD_MAX ||
	    guestmem_read(d->mem, d->r.tsad[d->old_next], d->out.frame, len))
		return turn_down(d);
	d->out.len = len;
	return TX_FRAME;
}

void rtl8139_old_complete(struct rtl8139 *d)
{
	d->r.tsd[d->old_next] |= TSD_OWN | (d->out.failed ? TSD_TABT : TSD_TOK);
	d->tally.tx_aborted += d->out.failed;
	d->old_next = (d->old_next + 1) % OLD_DESCRIPTORS;
}
