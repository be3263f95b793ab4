/* The receive filter of a network card. */
#include "devices/net/filter.h"

#include <errno.h>
#include <linux/virtio_net.h>
#include <string.h>

void net_filter_init(struct net_filter *f, const uint8_t mac[6], uint64_t features)
{
	memset(f, 0, sizeof(*f));
	f->features = features;
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

static bool negotiated(const struct net_filter *f, unsigned int bit)
{
	return f->features & BIT_ULL(bit);
}

static int set_mode(struct net_filter *f, uint8_t command, const uint8_t *data, size_t len)
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

	if (command >= ARRAY_SIZE(mode) || len != 1 || data[0] > 1 || !negotiated(f, needs))
		return -EINVAL;
	*mode[command] = data[0];
	return 0;
}

/* One table: a 32-bit count, then that many addresses. Returns the bytes it took, or 0. */
static size_t read_table(struct net_filter_table *t, const uint8_t *data, size_t len)
{
	uint32_t nr;

	if (len < sizeof(nr))
		return 0;
	memcpy(&nr, data, sizeof(nr));
	if (nr > (len - sizeof(nr)) / 6)
		return 0;
	t->overflow = nr > NET_FILTER_MACS;
	t->nr = MIN(nr, NET_FILTER_MACS);
	memcpy(t->mac, data + sizeof(nr), t->nr * 6);
	return sizeof(nr) + (size_t)nr * 6;
}

static int set_tables(struct net_filter *f, const uint8_t *data, size_t len)
{
	struct net_filter_table uni, multi;
	const size_t first = read_table(&uni, data, len);
	const size_t second = first ? read_table(&multi, data + first, len - first) : 0;

	if (!second || first + second != len)
		return -EINVAL;
	f->uni = uni;
	f->multi = multi;
	return 0;
}

int net_filter_command(struct net_filter *f, uint8_t class, uint8_t command, const uint8_t *data,
		       size_t len)
{
	if (class == VIRTIO_NET_CTRL_RX)
		return set_mode(f, command, data, len);
	if (command == VIRTIO_NET_CTRL_MAC_TABLE_SET && negotiated(f, VIRTIO_NET_F_CTRL_RX))
		return set_tables(f, data, len);
	if (command == VIRTIO_NET_CTRL_MAC_ADDR_SET && negotiated(f, VIRTIO_NET_F_CTRL_MAC_ADDR) &&
	    len == 6) {
		memcpy(f->mac, data, 6);
		return 0;
	}
	return -EINVAL;
}
