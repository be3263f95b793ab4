/* virtio-net as a kind of device: its options, --net, and what they may not be together. */
#include <errno.h>

#include "devices/net/pcap.h"
#include "devices/virtio/net.h"
#include "vmm/base/log.h"

#define MAX_MTU		65521 /* what the kernel lets a tap have: 65535 less an Ethernet header */
#define QUEUE_SIZE	256
#define QUEUE_SIZE_TEXT "256" /* unless the user says otherwise */

static int check_options(const void *values, const char *text, const void *const *others,
			 unsigned int nr)
{
	const struct virtio_net_options *o = values;
	int ret = netbe_options_check(&o->be, text) ?: net_switches_check(&o->switches, text);

	if (!ret && o->model != NET_MODEL_VIRTIO &&
	    (o->virtio.transport == TRANSPORT_MMIO || o->virtio.packed || o->queues > 1 || o->rss ||
	     o->poll_us || o->impatient || vhost_wanted(&o->vhost) || o->queue_size != QUEUE_SIZE ||
	     o->switches.mrg || o->switches.mergeable || o->switches.event_idx ||
	     o->switches.indirect))
		return log_fail(
			-EINVAL,
			"--net %s: transport=mmio, packed, queues=, rss, poll=, impatient, mrg=, event-idx=, indirect=, vhost= and queue-size= are of model=virtio",
			text);
	if (!ret && o->vhost.mode == VHOST_OFF && o->vhost.fds.nr)
		return log_fail(-EINVAL, "--net %s: vhost-fd= contradicts vhost=off", text);
	for (unsigned int i = 0; !ret && i < nr; i++)
		if (netbe_options_same(&o->be, &((const struct virtio_net_options *)others[i])->be))
			return log_fail(-EINVAL, "--net %s: it already belongs to another --net",
					text);
	return ret;
}

static int create(struct device **out, const struct device_env *env, const void *options)
{
	const struct virtio_net_options *o = options;
	const struct netbe_wish wish = {
		.pairs = o->queues ? o->queues : MIN(env->cpus, NETBE_MAX_PAIRS),
		.exactly = o->queues,
		.mtu = o->mtu,
		.steer = o->rss,
		.mac = net_options_mac(o),
	};
	struct netbe *be;

	if (o->model != NET_MODEL_VIRTIO)
		return 0;
	return netbe_open(&be, &o->be, &wish) ?: virtio_net_create(out, env, be, o);
}

#define AT(field) offsetof(struct virtio_net_options, field)
static const char *const models[] = { "virtio", "rtl8139", "rtl8139c", NULL };
static const struct option keys[] = {
	{ "model", OPTION_WORD, AT(model), "virtio|rtl8139|rtl8139c",
	  "the card that the guest sees; the others\nare what there was before virtio",
	  .preset = "virtio", .words = models },
	{ "mac", OPTION_MAC, AT(mac), "ADDRESS", "the card's address (made from the tap's name)" },
	{ "queues", OPTION_NUMBER, AT(queues), "N",
	  "queue pairs, each with a thread of its own, of a multi_queue tap\n(as many as vCPUs where the tap has them)",
	  .min = 1, .max = NETBE_MAX_PAIRS },
	{ "rss", OPTION_SWITCH, AT(rss), "on|off",
	  "offer RSS: the driver says by a hash which queue takes what,\nnot the tap's flow steering" },
	{ "mtu", OPTION_NUMBER, AT(mtu), "N",
	  "of the tap (as it is), or what a socket's other end takes", .min = 68, .max = MAX_MTU,
	  .why = "as a tap takes" },
	{ "queue-size", OPTION_POWER_OF_2, AT(queue_size), "N", "entries of a ring",
	  .preset = QUEUE_SIZE_TEXT, .min = 32, .max = VIRTQ_SIZE_MAX,
	  .why = "Linux sends frames of up to 19 buffers" },
	{ "poll", OPTION_NUMBER, AT(poll_us), "US", "busy-poll so many microseconds after work",
	  .preset = "0", .max = 1000000, .why = "a second" },
	{ "impatient", OPTION_SWITCH, AT(impatient), "on|off",
	  "each doorbell may stop a guest that has more to send" },
	VIRTIO_OPTIONS(AT(virtio)),
	{ "pcap", OPTION_OUTPUT, AT(pcap), "FILE", "capture its frames, as pcapng",
	  .wanted = "the name of a file" },
	{ "snap", OPTION_NUMBER, AT(snap), "N", "bytes of each frame that are captured",
	  .preset = "262144", .min = 14, .max = PCAP_WHOLE },
	{ 0 },
};

const struct option_group net_options = {
	.name = "net",
	.value = "TAP",
	.help = "network card on tap TAP (may be given several times)",
	.size = sizeof(struct virtio_net_options),
	.max = 8,
	.check = check_options,
	.of = (const struct option_rows[]){ { .group = &netbe_options, .base = AT(be) },
					    { net_switch_keys, AT(switches) },
					    { vhost_keys, AT(vhost) },
					    { keys, 0 },
					    { 0 } },
};

const struct device_kind virtio_net_kind = { .options = &net_options, .create = create };
