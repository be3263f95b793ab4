/* The receive filter of a network card. */
#include "devices/net/filter.h"

#include <errno.h>
#include <linux/if_ether.h>
#include <string.h>

#include "vmm/base/iov.h"

#define VLAN_TAG 4u

_Static_assert(NET_FILTER_LOOKS == ETH_HLEN + VLAN_TAG, "up to the type behind a tag");

void net_filter_init(struct net_filter *f, const uint8_t mac[6], unsigned int mtu,
		     uint64_t features)
{
	memset(f, 0, sizeof(*f));
	f->features = features;
	f->offloads = net_filter_offloads(features);
	f->mtu = features & NET_F(MTU) ? mtu : 0;
	f->promisc = true;
	memcpy(f->mac, mac, 6);
}

static bool in_table(const struct net_filter_table *t, const uint8_t *mac)
{
	for (unsigned int i = 0; i < t->nr; i++)
		if (!memcmp(t->mac[i], mac, 6))
			return true;
	return t->overflow;
}

bool net_filter_accepts(const struct net_filter *f, const uint8_t *frame)
{
	static const uint8_t broadcast[6] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };

	if (f->promisc)
		return true;
	if (!memcmp(frame, broadcast, 6))
		return !f->nobcast;
	if (frame[0] & 1)
		return !f->nomulti && (f->allmulti || in_table(&f->multi, frame));
	return !f->nouni && (f->alluni || !memcmp(frame, f->mac, 6) || in_table(&f->uni, frame));
}

uint64_t net_filter_offloads(uint64_t features)
{
	const uint64_t on = features & NET_GUEST_OFFLOADS;

	if (!(on & NET_F(GUEST_CSUM)))
		return 0;
	return on & (NET_F(GUEST_TSO4) | NET_F(GUEST_TSO6)) ? on : on & ~NET_F(GUEST_ECN);
}

bool net_filter_offload_is_on(const struct net_filter *f, const struct virtio_net_hdr_v1 *hdr)
{
	uint64_t needs = hdr->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM ? NET_F(GUEST_CSUM) : 0;

	switch (hdr->gso_type & ~VIRTIO_NET_HDR_GSO_ECN) {
	case VIRTIO_NET_HDR_GSO_NONE:
		break;
	case VIRTIO_NET_HDR_GSO_TCPV4:
		needs |= NET_F(GUEST_TSO4);
		break;
	case VIRTIO_NET_HDR_GSO_TCPV6:
		needs |= NET_F(GUEST_TSO6);
		break;
	case VIRTIO_NET_HDR_GSO_UDP_L4: /* of either family, and both are on or none */
		needs |= NET_F(GUEST_USO4) | NET_F(GUEST_USO6);
		break;
	default:
		return false;
	}
	if (hdr->gso_type & VIRTIO_NET_HDR_GSO_ECN)
		needs |= NET_F(GUEST_ECN);
	return !(needs & ~f->offloads);
}

bool net_filter_within_mtu(const struct net_filter *f, const struct virtio_net_hdr_v1 *hdr,
			   const uint8_t *frame, size_t len)
{
	size_t most = f->mtu + ETH_HLEN;

	if (!f->mtu || hdr->gso_type & ~VIRTIO_NET_HDR_GSO_ECN)
		return true;
	for (unsigned int at = ETH_HLEN - 2; at < NET_FILTER_LOOKS && len > most; at += VLAN_TAG) {
		const uint16_t type = (uint16_t)(frame[at] << 8 | frame[at + 1]);

		if (type != ETH_P_8021Q && type != ETH_P_8021AD)
			break;
		most += VLAN_TAG;
	}
	return len <= most;
}

/* ---- commands ---- */

static bool negotiated(const struct net_filter *f, unsigned int bit)
{
	return f->features & BIT_ULL(bit);
}

static int set_mode(struct net_filter *f, uint8_t command, const struct iovec *iov, unsigned int n)
{
	const unsigned int needs = command <= VIRTIO_NET_CTRL_RX_ALLMULTI
					   ? VIRTIO_NET_F_CTRL_RX
					   : VIRTIO_NET_F_CTRL_RX_EXTRA;
	bool *const mode[] = {
		[VIRTIO_NET_CTRL_RX_PROMISC] = &f->promisc,
		[VIRTIO_NET_CTRL_RX_ALLMULTI] = &f->allmulti,
		[VIRTIO_NET_CTRL_RX_ALLUNI] = &f->alluni,
		[VIRTIO_NET_CTRL_RX_NOMULTI] = &f->nomulti,
		[VIRTIO_NET_CTRL_RX_NOUNI] = &f->nouni,
		[VIRTIO_NET_CTRL_RX_NOBCAST] = &f->nobcast,
	};
	uint8_t on = 0;

	if (command >= ARRAY_SIZE(mode) || !negotiated(f, needs) ||
	    !iov_to_buf(iov, n, 0, &on, 1) || on > 1)
		return -EINVAL;
	*mode[command] = on;
	return 0;
}

/*
 * One table, @at into the data: a 32-bit count, then that many addresses. Returns the bytes it took, or 0.
 * However long the driver's is, ours takes the start: the rest is for the coarser filter (5.1.6.5.2).
 */
static size_t read_table(struct net_filter_table *t, const struct iovec *iov, unsigned int n,
			 size_t at)
{
	const size_t len = iov_size(iov, n);
	uint32_t nr;

	if (iov_to_buf(iov, n, at, &nr, sizeof(nr)) < sizeof(nr) ||
	    nr > (len - at - sizeof(nr)) / 6)
		return 0;
	t->overflow = nr > NET_FILTER_MACS;
	t->nr = MIN(nr, NET_FILTER_MACS);
	iov_to_buf(iov, n, at + sizeof(nr), t->mac, t->nr * 6ul);
	return sizeof(nr) + (size_t)nr * 6;
}

static int set_tables(struct net_filter *f, const struct iovec *iov, unsigned int n)
{
	struct net_filter_table uni, multi;
	const size_t first = read_table(&uni, iov, n, 0);
	const size_t second = first ? read_table(&multi, iov, n, first) : 0;

	if (!second)
		return -EINVAL;
	f->uni = uni;
	f->multi = multi;
	return 0;
}

static int set_address(struct net_filter *f, const struct iovec *iov, unsigned int n)
{
	static const uint8_t zero[6];
	uint8_t mac[6];

	/* A card has one address, and it is unicast. */
	if (iov_to_buf(iov, n, 0, mac, sizeof(mac)) < sizeof(mac) || mac[0] & 1 ||
	    !memcmp(mac, zero, sizeof(mac)))
		return -EINVAL;
	memcpy(f->mac, mac, sizeof(mac));
	return 0;
}

int net_filter_command(struct net_filter *f, uint8_t class, uint8_t command,
		       const struct iovec *iov, unsigned int n)
{
	if (class == VIRTIO_NET_CTRL_RX)
		return set_mode(f, command, iov, n);
	if (command == VIRTIO_NET_CTRL_MAC_TABLE_SET && negotiated(f, VIRTIO_NET_F_CTRL_RX))
		return set_tables(f, iov, n);
	if (command == VIRTIO_NET_CTRL_MAC_ADDR_SET && negotiated(f, VIRTIO_NET_F_CTRL_MAC_ADDR))
		return set_address(f, iov, n);
	return -EINVAL;
}
