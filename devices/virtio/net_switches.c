/* What a network card offers, by switches. */
#include "devices/virtio/net_switches.h"

#include <errno.h>

#include <linux/virtio_ring.h>

#include "devices/net/netbe.h"
#include "vmm/base/log.h"

#define AT(field) offsetof(struct net_switches, field)
#define TSO                                                                          \
	(NET_F(HOST_TSO4) | NET_F(HOST_TSO6) | NET_F(HOST_ECN) | NET_F(GUEST_TSO4) | \
	 NET_F(GUEST_TSO6) | NET_F(GUEST_ECN))
#define USO  (NET_F(HOST_USO) | NET_F(GUEST_USO4) | NET_F(GUEST_USO6))
#define CSUM (NET_F(CSUM) | NET_F(GUEST_CSUM) | NET_F(CTRL_GUEST_OFFLOADS))
#define ROW(key, field, text)                                                                      \
	{                                                                                          \
		key, OPTION_WORD, AT(field), "on|off", text, .words = states, .min = NET_SWITCH_ON \
	}

static const char *const states[] = { "on", "off", NULL };

const struct option net_switch_keys[] = {
	ROW("offload", offload, "csum, tso and uso, all at once (default on)"),
	ROW("csum", csum, "checksum offload; without it neither tso nor uso (default on)"),
	ROW("tso", tso, "TCP segmentation offload (default on)"),
	ROW("uso", uso, "UDP segmentation offload (default as the host has it)"),
	ROW("mrg", mrg, "mergeable receive buffers (default on)"),
	ROW("mergeable", mergeable, "the same"),
	ROW("event-idx", event_idx, "interrupts and kicks suppressed by index (default on)"),
	ROW("indirect", indirect, "indirect descriptors (default on)"),
	{ 0 },
};

/* Each switch, what it takes away, and the one that it rests on. */
static const struct {
	size_t at;
	uint64_t features;
	size_t on;
} switches[] = {
	{ AT(offload), CSUM | TSO | USO, AT(offload) },
	{ AT(csum), CSUM | TSO | USO, AT(offload) },
	{ AT(tso), TSO, AT(csum) },
	{ AT(uso), USO, AT(csum) },
	{ AT(mrg), NET_F(MRG_RXBUF), AT(mergeable) },
	{ AT(mergeable), NET_F(MRG_RXBUF), AT(mrg) },
	{ AT(event_idx), BIT_ULL(VIRTIO_RING_F_EVENT_IDX), AT(event_idx) },
	{ AT(indirect), BIT_ULL(VIRTIO_RING_F_INDIRECT_DESC), AT(indirect) },
};

static unsigned int state(const struct net_switches *s, size_t at)
{
	return *(const unsigned int *)((const char *)s + at);
}

static const char *name_of(size_t at)
{
	const struct option *o = net_switch_keys;

	while (o->offset != at)
		o++;
	return o->name;
}

int net_switches_check(const struct net_switches *s, const char *text)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(switches); i++) {
		size_t on = switches[i].on;

		if (state(s, switches[i].at) != NET_SWITCH_ON)
			continue;
		/* tso rests on csum, which rests on offload. */
		if (on == AT(csum) && state(s, on) != NET_SWITCH_OFF)
			on = AT(offload);
		if (state(s, on) != NET_SWITCH_OFF)
			continue;
		return log_fail(-EINVAL, "--net %s: %s=on contradicts %s=off", text,
				name_of(switches[i].at), name_of(on));
	}
	return 0;
}

uint64_t net_switches_off(const struct net_switches *s)
{
	uint64_t features = 0;

	for (unsigned int i = 0; i < ARRAY_SIZE(switches); i++)
		if (state(s, switches[i].at) == NET_SWITCH_OFF)
			features |= switches[i].features;
	return features;
}
