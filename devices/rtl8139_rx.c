/* RTL8139: a frame from the backend, up to where the two modes part. */
#include <errno.h>
#include <string.h>

#include "devices/rtl8139_internal.h"

#define MAX_UNREAD  (1u << 20)
#define ERROR_PAUSE (1000 * 1000ull) /* ns: a backend that fails stays readable */

bool rtl8139_lose_backend(struct rtl8139 *d, int err)
{
	const bool before = netbe_is_gone(d->be);

	if (!netbe_lost(d->be, d->func.name, err))
		return false;
	if (!before) {
		hold(&d->lock);
		rtl8139_interrupt(d, INT_LINK);
	}
	d->tx_wait = false;
	return true;
}

/* The bit of MAR that a multicast address hashes to: the upper six of its CRC. */
static unsigned int hash(const uint8_t *mac)
{
	uint32_t crc = UINT32_MAX;

	for (unsigned int i = 0; i < 48; i++) {
		const uint32_t bit = mac[i / 8] >> i % 8 & 1;

		crc = crc << 1 ^ (crc >> 31 == bit ? 0 : 0x04c11db7);
	}
	return crc >> 26;
}

/* What the frame is to the guest; 0: it is not for it (RCR). */
static uint16_t classify(const struct rtl8139_regs *r, const uint8_t *frame)
{
	static const uint8_t broadcast[6] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
	const bool all = r->rcr & RCR_AAP;

	if (!memcmp(frame, broadcast, sizeof(broadcast)))
		return all || r->rcr & RCR_AB ? RX_BROADCAST : 0;
	if (frame[0] & 1) {
		const unsigned int bit = hash(frame);

		return all || (r->rcr & RCR_AM && r->mar[bit / 8] >> bit % 8 & 1) ? RX_MULTICAST
										  : 0;
	}
	if (!memcmp(frame, r->idr, 6) && (all || r->rcr & RCR_APM))
		return RX_OK | RX_PHYSICAL;
	return all ? RX_OK : 0;
}

static void count_tally(struct rtl8139 *d, uint16_t flags)
{
	d->tally.rx_ok++;
	d->tally.rx_physical += !!(flags & RX_PHYSICAL);
	d->tally.rx_broadcast += !!(flags & RX_BROADCAST);
	d->tally.rx_multicast += !!(flags & RX_MULTICAST);
}

/* The guest had no room for it. */
static void miss(struct rtl8139 *d)
{
	d->rx.drop_missed++;
	d->r.mpc = MIN(d->r.mpc + 1, 0xffffffu);
	d->tally.missed++;
	rtl8139_interrupt(d, INT_RDU);
}

/* Under the lock. */
static void deliver(struct rtl8139 *d, uint8_t *frame, size_t len)
{
	const uint16_t flags = classify(&d->r, frame);
	const size_t padded = MAX(len, (size_t)WIRE_MIN);

	if (!rtl8139_rx_is_on(d)) {
		d->rx.drop_off++;
		return;
	}
	if (!flags) {
		d->rx.drop_filtered++;
		return;
	}
	memset(frame + len, 0, padded + FCS - len);
	switch (rtl8139_rx_is_cplus(d) ? rtl8139_cplus_receive(d, frame, padded, flags | RX_OK)
				       : rtl8139_old_receive(d, frame, padded, flags | RX_OK)) {
	case RX_DELIVERED:
		pcap_frame(d->pcap, 0, PCAP_TO_GUEST, &(struct iovec){ frame, len }, 1, 0, len);
		d->rx.packets++;
		d->rx.bytes += len;
		if (!d->rx.first_packet)
			d->rx.first_packet = now_ns();
		count_tally(d, flags);
		rtl8139_interrupt(d, INT_ROK);
		break;
	case RX_MISSED:
		miss(d);
		break;
	case RX_TOO_BIG:
		d->rx.drop_too_big++;
		break;
	case RX_FAULT:
		d->rx.drop_off++;
		rtl8139_fault(d, &d->rx_fault);
		break;
	}
}

void rtl8139_take(struct rtl8139 *d, size_t len)
{
	if (len < MIN_FRAME) {
		d->rx.drop_runt++;
		return;
	}
	if (len > RTL8139_MAX_FRAME) {
		d->rx.drop_too_big++;
		return;
	}
	hold(&d->lock);
	deliver(d, d->rx_frame + NETBE_HDR_LEN, len);
}

static void fail(struct rtl8139 *d, int err)
{
	d->rx_ready = false;
	if (err == -EAGAIN)
		return;
	d->rx.backend_errors += !netbe_is_end(err);
	if (rtl8139_lose_backend(d, err))
		return;
	d->rx_pause = true;
	loop_timer_set(&d->pause, ERROR_PAUSE);
}

bool rtl8139_receive(struct rtl8139 *d)
{
	/* One byte more shows that a frame is too long. */
	const struct iovec iov = { d->rx_frame, NETBE_HDR_LEN + RTL8139_MAX_FRAME + 1 };
	const ssize_t n = d->be->ops->recv(d->be, 0, &iov, 1);
	struct virtio_net_hdr_v1 hdr;

	if (n < 0) {
		fail(d, (int)n);
		return false;
	}
	d->rx.taken++;
	memcpy(&hdr, d->rx_frame, sizeof(hdr));
	if (n >= NETBE_HDR_LEN && (hdr.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM || hdr.gso_type))
		d->rx.drop_offload++;
	else
		rtl8139_take(d, n < NETBE_HDR_LEN ? 0 : (size_t)n - NETBE_HDR_LEN);
	return true;
}

void rtl8139_count_unread(struct rtl8139 *d)
{
	const struct iovec iov = { d->rx_frame, NETBE_HDR_LEN + RTL8139_MAX_FRAME + 1 };

	while (d->rx.unread < MAX_UNREAD && d->be->ops->recv(d->be, 0, &iov, 1) >= 0) {
		d->rx.taken++;
		d->rx.unread++;
	}
}
