/* RTL8139: a frame to the backend, from where the two modes have come together. */
#include <errno.h>

#include "devices/rtl8139_internal.h"
#include "vmm/base/iov.h"

static enum rtl8139_fetch fetch(struct rtl8139 *d)
{
	enum rtl8139_fetch got = TX_NONE;

	hold(&d->lock);
	if (rtl8139_tx_is_on(d)) {
		d->out.epoch = d->epoch;
		d->out.cplus = rtl8139_tx_is_cplus(d);
		d->out.loopback = d->r.tcr & TCR_LOOPBACK;
		d->out.sent = d->out.failed = d->out.ip_sum = d->out.sum = false;
		d->out.mss = 0;
		got = d->out.cplus ? rtl8139_cplus_fetch(d) : rtl8139_old_fetch(d);
	}
	if (got == TX_MALFORMED) {
		d->tx.drop_malformed++;
		d->tally.tx_errors++;
		rtl8139_interrupt(d, INT_TER);
	}
	return got;
}

/* What the backend does for us; what loops back never gets to it. */
static uint64_t offloads(const struct rtl8139 *d)
{
	return d->out.loopback ? 0 : d->features;
}

/* Whether the backend cuts it; it would need another offload where the sender has answered a congestion mark. */
static bool cut_by_backend(const struct rtl8139 *d)
{
	const uint64_t needs = NET_F(CSUM) | NET_F(HOST_TSO4);

	return (offloads(d) & needs) == needs && !net_packet_has_cwr(&d->out.packet, d->out.frame);
}

/* What is to be done before it goes: its checksums, by the backend where it can, and how it is cut. */
static void prepare(struct rtl8139 *d)
{
	struct rtl8139_out *o = &d->out;
	struct net_packet *p = &o->packet;

	o->hdr = (struct virtio_net_hdr_v1){ 0 };
	o->at = o->segment = 0;
	o->headers = 0;
	if (!(o->ip_sum || o->sum || o->mss) || !net_packet_parse(p, o->frame, o->len, o->mss))
		return;
	if (o->mss) {
		const size_t headers = net_segment_headers(p, o->frame);

		if (!headers)
			return;
		if (o->len - headers > o->mss && !cut_by_backend(d)) {
			o->headers = headers; /* each segment has its own sums */
			return;
		}
		if (o->len - headers > o->mss) {
			o->hdr.gso_type = VIRTIO_NET_HDR_GSO_TCPV4;
			o->hdr.gso_size = (uint16_t)o->mss;
			o->hdr.hdr_len = (uint16_t)headers;
		}
		net_packet_set_length(p, o->frame);
		o->ip_sum = o->sum = true;
	}
	if (o->ip_sum)
		net_packet_set_ip_checksum(p, o->frame);
	if (!o->sum || !p->checksum)
		return;
	net_packet_set_checksum(p, o->frame, !(offloads(d) & NET_F(CSUM)));
	if (offloads(d) & NET_F(CSUM)) {
		o->hdr.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
		o->hdr.csum_start = (uint16_t)p->transport;
		o->hdr.csum_offset = (uint16_t)(p->checksum - p->transport);
	}
}

/* What goes does not leave the card (TCR). */
static int loop_back(struct rtl8139 *d, const struct iovec *iov, int n)
{
	const size_t len =
		iov_to_buf(iov, (unsigned int)n, 0, d->rx_frame, NETBE_HDR_LEN + RTL8139_MAX_FRAME);

	d->rx.looped++;
	rtl8139_take(d, len - NETBE_HDR_LEN);
	return 0;
}

static int send(struct rtl8139 *d, const struct iovec *iov, int n)
{
	if (d->out.loopback)
		return loop_back(d, iov, n);
	return netbe_is_gone(d->be) ? -EBADFD : d->be->ops->send(d->be, 0, iov, n);
}

/* Counts by its fate what was not sent. */
static void drop(struct rtl8139 *d, int err)
{
	d->out.failed = true;
	if (err == -EINVAL || err == -EMSGSIZE)
		d->tx.drop_bad_header++;
	else if (rtl8139_lose_backend(d, err) || err == -EIO)
		d->tx.drop_down++;
	else
		d->tx.drop_error++;
}

/* The frame, or its next segment; false if the backend takes no more. */
static bool send_next(struct rtl8139 *d)
{
	struct rtl8139_out *o = &d->out;
	const size_t payload = o->len - o->headers - o->at;
	const size_t part = o->headers ? MIN(payload, (size_t)o->mss) : payload;
	uint8_t headers[NET_SEGMENT_HEADERS];
	const struct iovec iov[] = { { &o->hdr, NETBE_HDR_LEN },
				     { headers, o->headers },
				     { o->frame + o->headers + o->at, part } };
	int err;

	if (o->headers)
		net_segment_make(headers, &o->packet, o->frame, o->at, part, o->segment);
	err = send(d, iov, ARRAY_SIZE(iov));
	if (err == -EAGAIN)
		return false;
	pcap_frame(d->pcap, 0, PCAP_FROM_GUEST, iov + 1, ARRAY_SIZE(iov) - 1, 0, o->headers + part);
	if (err) {
		drop(d, err);
	} else {
		d->tx.packets++;
		d->tx.bytes += o->headers + part;
		if (!d->tx.first_packet)
			d->tx.first_packet = now_ns();
	}
	o->at += part;
	o->segment++;
	o->sent = part == payload;
	return true;
}

/* The driver has turned off or reset what the frame came from, while it waited. */
static bool abandoned(struct rtl8139 *d)
{
	hold(&d->lock);
	return d->out.epoch != d->epoch;
}

/* Its descriptors are the driver's again; false where they can't be written now. */
static bool complete(struct rtl8139 *d)
{
	struct rtl8139_out *o = &d->out;

	hold(&d->lock);
	if (o->epoch == d->epoch) {
		if (!d->master)
			return false;
		if (o->cplus)
			rtl8139_cplus_complete(d);
		else
			rtl8139_old_complete(d);
		*(o->failed ? &d->tally.tx_errors : &d->tally.tx_ok) += 1;
		rtl8139_interrupt(d, o->failed ? INT_TER : INT_TOK);
	}
	o->len = 0;
	return true;
}

bool rtl8139_transmit(struct rtl8139 *d)
{
	struct rtl8139_out *o = &d->out;

	if (!o->len) {
		const enum rtl8139_fetch got = fetch(d);

		if (got != TX_FRAME)
			return got == TX_MALFORMED;
		prepare(d);
	} else if (!o->sent && abandoned(d)) {
		d->tx.drop_reset++;
		o->len = 0;
		return true;
	}
	if (!o->sent && !send_next(d)) {
		rtl8139_block(d);
		return false;
	}
	return !o->sent || complete(d);
}
