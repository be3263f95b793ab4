/* virtio-net: the card, its control queue, and its queue pairs as a whole. */
#include "devices/virtio/net.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "devices/net/filter.h"
#include "devices/virtio/net_pair.h"
#include "vmm/base/event.h"
#include "vmm/base/log.h"
#include "vmm/base/loop.h"

#define CTRL_QUEUE_SIZE 64
#define MAX_PAIRS	1u
#define MAX_QUEUES	(2 * MAX_PAIRS + 1)
#define BUDGET		64u /* commands before the frames get their turn */

struct ctrl_counters {
	uint64_t commands, refused;
};

static const struct counter_desc ctrl_desc[] = {
	COUNTER(struct ctrl_counters, commands),
	COUNTER(struct ctrl_counters, refused),
	COUNTER_END,
};

struct net {
	struct virtio_dev dev;
	struct virtq vq[MAX_QUEUES]; /* receive and transmit of each pair, then control */
	struct virtio_net_config config;
	uint8_t mac[6]; /* what the driver finds after a reset */
	struct netbe *be;
	struct net_pair *pair[MAX_PAIRS];
	unsigned int nr_pairs;

	/* On the first pair's thread. */
	struct virtq *ctrlq;
	struct loop_watch ctrl_kick;
	struct iovec ctrl_iov[VIRTQ_SIZE_MAX];
	struct net_filter filter;
	int error; /* of watching the control queue */

	struct ctrl_counters ctrl;
	uint64_t refusals; /* by the backend, of features */
	struct counter_group group;
	char group_name[24];
};

static struct net *to_net(struct virtio_dev *dev)
{
	return container_of(dev, struct net, dev);
}

/* The driver takes frames with these offloads from now on. 0, also where there is nothing more to take. */
static int set_offloads(struct net *n, uint64_t offloads)
{
	int ret = 0;

	offloads = net_filter_offloads(offloads);
	if (!netbe_is_gone(n->be))
		ret = n->be->ops->set_features(n->be, offloads);
	if (ret && !netbe_lost(n->be, n->dev.name, ret))
		return ret;
	n->filter.offloads = offloads;
	return 0;
}

/* ---- control queue (5.1.6.5) ---- */

static int set_guest_offloads(struct net *n, const struct iovec *iov, unsigned int nr)
{
	uint64_t offloads;

	if (!virtio_has_feature(&n->dev, VIRTIO_NET_F_CTRL_GUEST_OFFLOADS) ||
	    iov_size(iov, nr) != sizeof(offloads))
		return -EINVAL;
	iov_to_buf(iov, nr, 0, &offloads, sizeof(offloads));
	/* Only what was negotiated, and is such an offload, may be switched on (5.1.6.5.6). */
	if (offloads & ~(n->dev.features & NET_GUEST_OFFLOADS))
		return -EINVAL;
	return set_offloads(n, offloads);
}

static int filter_command(struct net *n, const uint8_t cmd[2], const struct iovec *iov,
			  unsigned int nr)
{
	const int ret = net_filter_command(&n->filter, cmd[0], cmd[1], iov, nr);

	if (!ret && memcmp(n->config.mac, n->filter.mac, sizeof(n->config.mac)))
		virtio_config_set(&n->dev, offsetof(struct virtio_net_config, mac), n->filter.mac,
				  sizeof(n->filter.mac)); /* 5.1.6.5.2.1 */
	return ret;
}

static int command(struct net *n, struct iovec *iov, unsigned int nr)
{
	uint8_t cmd[2];

	if (iov_to_buf(iov, nr, 0, cmd, sizeof(cmd)) < sizeof(cmd))
		return -EINVAL;
	iov_skip(&iov, &nr, sizeof(cmd));
	switch (cmd[0]) {
	case VIRTIO_NET_CTRL_RX:
	case VIRTIO_NET_CTRL_MAC:
		return filter_command(n, cmd, iov, nr);
	case VIRTIO_NET_CTRL_GUEST_OFFLOADS:
		return cmd[1] == VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET ? set_guest_offloads(n, iov, nr)
								    : -EINVAL;
	default:
		return -EINVAL;
	}
}

static void on_ctrl_kick(void *arg, uint32_t events)
{
	struct net *n = arg;
	struct virtq *vq = n->ctrlq;
	struct virtq_chain c;
	unsigned int left = BUDGET;
	int ret = 0;

	(void)events;
	virtq_ack_kick(vq);
	do {
		while (left && (ret = virtq_pop(vq, &c, n->ctrl_iov, VIRTQ_SIZE_MAX)) > 0) {
			const uint8_t ack =
				command(n, n->ctrl_iov, c.nr_out) ? VIRTIO_NET_ERR : VIRTIO_NET_OK;

			left--;
			n->ctrl.commands++;
			n->ctrl.refused += ack != VIRTIO_NET_OK;
			virtq_push(vq, &c,
				   (uint32_t)iov_from_buf(n->ctrl_iov + c.nr_out, c.nr_in, 0, &ack,
							  1));
		}
		virtio_publish(&n->dev, (unsigned int)(vq - n->vq));
	} while (left && !ret && virtq_kicks_on(vq));
	if (ret == -EPROTO)
		virtio_fail(&n->dev, "its control ring is broken");
	if (!left) /* the frames' turn; then come back */
		event_signal(vq->kick_fd);
}

static void watch_control(void *arg)
{
	struct net *n = arg;

	n->error = loop_watch(net_pair_loop(n->pair[0]), &n->ctrl_kick, EPOLLIN);
}

static void unwatch_control(void *arg)
{
	struct net *n = arg;

	loop_watch(net_pair_loop(n->pair[0]), &n->ctrl_kick, 0);
}

/* ---- life ---- */

static void net_pause(struct virtio_dev *dev)
{
	struct net *n = to_net(dev);

	loop_call(net_pair_loop(n->pair[0]), unwatch_control, n);
	for (unsigned int i = 0; i < n->nr_pairs; i++)
		net_pair_stop(n->pair[i]);
}

static int start_pairs(struct net *n, int (*start)(struct net_pair *pair))
{
	int ret = 0;

	for (unsigned int i = 0; !ret && i < n->nr_pairs; i++)
		ret = start(n->pair[i]);
	if (ret)
		return ret;
	loop_call(net_pair_loop(n->pair[0]), watch_control, n);
	return n->error;
}

static int net_resume(struct virtio_dev *dev)
{
	return start_pairs(to_net(dev), net_pair_resume);
}

static void net_reset(struct virtio_dev *dev)
{
	struct net *n = to_net(dev);

	net_pause(dev);
	set_offloads(n, 0);
	virtio_config_set(dev, offsetof(struct virtio_net_config, mac), n->mac, sizeof(n->mac));
}

static int net_activate(struct virtio_dev *dev)
{
	struct net *n = to_net(dev);
	int ret;

	net_filter_init(&n->filter, n->mac, n->be->mtu, dev->features);
	ret = set_offloads(n, dev->features);
	if (!ret)
		ret = start_pairs(n, net_pair_start);
	if (ret) {
		net_reset(dev);
		if (log_due(&n->refusals))
			log_error("%s: %s cannot serve this driver: %s", dev->name, n->be->name,
				  strerror(-ret));
	}
	return ret;
}

static const struct virtio_ops net_ops = { .destroy = virtio_net_destroy,
					   .activate = net_activate,
					   .reset = net_reset,
					   .pause = net_pause,
					   .resume = net_resume };

/* What the card can offer in front of this backend. */
static uint64_t offered_features(const struct net *n)
{
	uint64_t f = NET_F(MAC) | NET_F(STATUS) | NET_F(CTRL_VQ) | NET_F(CTRL_RX) |
		     NET_F(CTRL_RX_EXTRA) | NET_F(CTRL_MAC_ADDR) | NET_F(MRG_RXBUF) |
		     n->be->features;

	if (n->be->mtu)
		f |= NET_F(MTU);
	if (f & NET_F(GUEST_CSUM))
		f |= NET_F(CTRL_GUEST_OFFLOADS);
	return f;
}

static int create_queues(struct net *n, uint16_t size)
{
	int ret = 0;

	for (unsigned int i = 0; !ret && i < n->dev.nr_vqs; i++)
		ret = virtq_init(&n->vq[i], &n->vq[i] == n->ctrlq ? CTRL_QUEUE_SIZE : size);
	n->ctrl_kick =
		(struct loop_watch){ .fd = n->ctrlq->kick_fd, .ready = on_ctrl_kick, .arg = n };
	return ret;
}

static int create_pairs(struct net *n, const struct virtio_net_options *from)
{
	int ret = 0;

	for (unsigned int i = 0; !ret && i < n->nr_pairs; i++) {
		const struct net_pair_params params = {
			.name = n->dev.name,
			.index = i,
			.dev = &n->dev,
			.be = n->be,
			.filter = &n->filter,
			.poll_ns = from->poll_us * 1000ull,
			.guard = from->guard,
		};

		ret = net_pair_create(&n->pair[i], &params);
	}
	return ret;
}

static void describe(struct net *n, const char *name, const struct guestmem *mem,
		     const struct virtio_net_options *options)
{
	static const uint8_t none[6];

	n->nr_pairs = 1;
	n->ctrlq = &n->vq[2 * n->nr_pairs];
	for (unsigned int i = 0; i < MAX_QUEUES; i++)
		n->vq[i].kick_fd = -1;
	memcpy(n->mac, memcmp(options->mac, none, sizeof(none)) ? options->mac : n->be->mac,
	       sizeof(n->mac));
	memcpy(n->config.mac, n->mac, sizeof(n->mac));
	n->config.status = VIRTIO_NET_S_LINK_UP;
	n->config.mtu = (uint16_t)n->be->mtu;
	n->dev = (struct virtio_dev){
		.ops = &net_ops,
		.name = name,
		.device_id = VIRTIO_ID_NET,
		.pci_class = 0x020000, /* Ethernet controller */
		.device_features = offered_features(n),
		.vq = n->vq,
		.nr_vqs = 2 * n->nr_pairs + 1,
		.config = &n->config,
		.config_len = offsetof(struct virtio_net_config, mtu) + sizeof(n->config.mtu),
		.mem = mem,
	};
	virtio_init(&n->dev);
	n->dev.device_features &= ~net_switches_off(&options->switches);
	snprintf(n->group_name, sizeof(n->group_name), "%s.ctrl", name);
	n->group = (struct counter_group){ .name = n->group_name,
					   .desc = ctrl_desc,
					   .base = &n->ctrl };
}

int virtio_net_create(struct virtio_dev **out, const char *name, const struct guestmem *mem,
		      struct netbe *be, const struct virtio_net_options *options)
{
	struct net *n = calloc(1, sizeof(*n));
	int ret = -ENOMEM;

	if (!n) {
		be->ops->close(be);
		goto out;
	}
	n->be = be;
	describe(n, name, mem, options);
	ret = create_queues(n, (uint16_t)options->queue_size);
	if (!ret)
		ret = create_pairs(n, options);
	counters_register(&n->group);
	if (ret)
		virtio_net_destroy(&n->dev);
	else
		*out = &n->dev;
out:
	if (ret)
		log_error("cannot create %s: %s", name, strerror(-ret));
	return ret;
}

void virtio_net_destroy(struct virtio_dev *dev)
{
	struct net *n = to_net(dev);

	virtio_destroy(dev);
	for (unsigned int i = 0; i < n->nr_pairs; i++)
		net_pair_destroy(n->pair[i]);
	counters_unregister(&n->group);
	for (unsigned int i = 0; i < dev->nr_vqs; i++)
		virtq_destroy(&n->vq[i]);
	n->be->ops->close(n->be);
	free(n);
}

/* ---- --net ---- */

static int check_options(const void *values, const char *text, const void *const *others,
			 unsigned int nr)
{
	const struct virtio_net_options *o = values;
	int ret = netbe_options_check(&o->be, text);

	if (!ret)
		ret = net_switches_check(&o->switches, text);
	for (unsigned int i = 0; !ret && i < nr; i++)
		if (netbe_options_same(&o->be,
				       &((const struct virtio_net_options *)others[i])->be)) {
			log_error("--net %s: that tap already belongs to another --net", text);
			return -EINVAL;
		}
	return ret;
}

static int create_device(struct device **out, const struct device_env *env, const void *options)
{
	struct virtio_net_options o = *(const struct virtio_net_options *)options;
	struct virtio_dev *dev;
	struct netbe *be;
	int ret = netbe_open(&be, &o.be);

	o.guard = env->guard;
	if (!ret)
		ret = virtio_net_create(&dev, env->name, env->mem, be, &o);
	return ret ? ret : virtio_plug(out, dev, env, o.transport);
}

#define AT(field) offsetof(struct virtio_net_options, field)
static const struct option keys[] = {
	{ "mac", OPTION_MAC, AT(mac), "ADDRESS", "the card's address (made from the tap's name)" },
	/* With fewer Linux cannot send: a frame may take 19 descriptors. */
	{ "queue-size", OPTION_POWER_OF_2, AT(queue_size), "N", "entries of a ring",
	  .preset = "256", .min = 32, .max = VIRTQ_SIZE_MAX },
	{ "poll", OPTION_NUMBER, AT(poll_us), "US", "busy-poll so many microseconds after work",
	  .preset = "0", .max = 1000000 },
	DEVICE_TRANSPORT_OPTION(AT(transport), NULL, "what stands between (--transport)"),
	{ 0 },
};

static const struct option_group net_options = {
	.name = "net",
	.value = "TAP",
	.help = "network card on tap TAP (may be given several times)",
	.size = sizeof(struct virtio_net_options),
	.max = 8,
	.check = check_options,
	.of = (const struct option_rows[]){ { .group = &netbe_options, .base = AT(be) },
					    { net_switch_keys, AT(switches) },
					    { keys, 0 },
					    { 0 } },
};
#undef AT

const struct device_kind virtio_net_kind = { .options = &net_options, .create = create_device };
