/* virtio-net: the card, its control queue, and its queue pairs as a whole. */
#include "devices/virtio/net.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "devices/net/filter.h"
#include "devices/net/pcap.h"
#include "devices/virtio/net_pair.h"
#include "devices/virtio/net_rss.h"
#include "devices/virtio/net_vhost.h"
#include "vmm/base/event.h"
#include "vmm/base/log.h"
#include "vmm/base/loop.h"

#define CTRL_QUEUE_SIZE 64
#define MAX_QUEUES	(2 * NETBE_MAX_PAIRS + 1)
#define BUDGET		64u /* commands before the frames get their turn */

struct ctrl_counters {
	uint64_t commands, refused;
	uint64_t pairs; /* that the driver has receive, as it said last; 0: no driver */
	uint64_t max_pairs;
	uint64_t rss; /* 1: the driver says which pair gets what, 0: the backend */
};

static const struct counter_desc ctrl_desc[] = {
	COUNTER(struct ctrl_counters, commands), COUNTER(struct ctrl_counters, refused),
	COUNTER(struct ctrl_counters, pairs),	 COUNTER(struct ctrl_counters, max_pairs),
	COUNTER(struct ctrl_counters, rss),	 COUNTER_END,
};

struct net {
	struct virtio_dev dev;
	struct virtq vq[MAX_QUEUES]; /* receive and transmit of each pair, then control */
	struct virtio_net_config config;
	uint8_t mac[6]; /* what the driver finds after a reset */
	struct netbe *be;
	struct net_source source[NETBE_MAX_PAIRS];
	struct net_pair *pair[NETBE_MAX_PAIRS];
	unsigned int nr_pairs;	 /* there are */
	unsigned int nr_running; /* since the driver came: 1, or all */
	unsigned int nr_enabled; /* receive */

	/* On the first pair's thread, while it runs. */
	struct virtq *ctrlq;
	struct loop_watch ctrl_kick;
	struct iovec ctrl_iov[VIRTQ_SIZE_MAX];
	struct net_filter filter; /* of this and the next, each pair has a copy */
	struct rxhash hash;
	int error; /* of watching the control queue */

	struct ctrl_counters ctrl;
	uint64_t refusals;	    /* by the backend, of features */
	struct counter_group group; /* of the control queue */
	struct net_counters total;  /* of several pairs */
	struct net_counter_groups total_groups;
	struct ledger ledger;
	struct pcap *pcap; /* or NULL */
	struct net_vhost vhost;
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
	if (ret)
		net_link_down(&n->dev);
	n->filter.offloads = offloads;
	return 0;
}

static void spread_filter(struct net *n)
{
	for (unsigned int i = 0; i < n->nr_pairs; i++)
		net_pair_set_filter(n->pair[i], &n->filter, &n->hash);
}

/* ---- queue pairs (5.1.6.5.6) ---- */

/* What pair @i reads where the first @enabled receive: all queues of the backend, spread over these. */
static unsigned int sources_of(const struct net *n, unsigned int i, unsigned int enabled)
{
	unsigned int sources = 0;

	for (unsigned int s = i; i < enabled && s < n->nr_pairs; s += enabled)
		sources |= BIT(s);
	return sources;
}

/*
 * The first @nr pairs receive. All of them send: what the driver queued before it said so is not to stay. First each
 * lets go of what is another one's from now on.
 */
static int enable_pairs(struct net *n, unsigned int nr)
{
	int ret = 0;

	for (unsigned int i = 0; !ret && i < n->nr_running; i++)
		ret = net_pair_serve(n->pair[i],
				     sources_of(n, i, n->nr_enabled) & sources_of(n, i, nr));
	for (unsigned int i = 0; !ret && i < n->nr_running; i++)
		ret = net_pair_serve(n->pair[i], sources_of(n, i, nr));
	if (ret)
		virtio_fail(&n->dev, "it cannot watch its queues");
	n->nr_enabled = nr;
	n->ctrl.pairs = nr;
	return ret;
}

/* Receive by @rule, or, where that is NULL, as the backend has it. */
static int steer(struct net *n, const struct steering_rule *rule)
{
	int ret = 0;

	if (n->be->features & NET_F(RSS) && !netbe_is_gone(n->be))
		ret = n->be->ops->steer(n->be, rule);
	n->ctrl.rss = rule && !ret;
	return ret;
}

/* ---- control queue (5.1.6.5) ---- */

static int receive_on(struct net *n, unsigned int pairs)
{
	for (unsigned int i = 0; i < 2u * pairs; i++)
		if (!n->vq[i].live)
			return -EINVAL;
	return pairs == n->nr_enabled ? 0 : enable_pairs(n, pairs);
}

static int set_pairs(struct net *n, const struct iovec *iov, unsigned int nr)
{
	uint16_t pairs; /* le16 */

	if (!virtio_has_feature(&n->dev, VIRTIO_NET_F_MQ) ||
	    iov_to_buf(iov, nr, 0, &pairs, sizeof(pairs)) < sizeof(pairs))
		return -EINVAL;
	if (pairs < VIRTIO_NET_CTRL_MQ_VQ_PAIRS_MIN || pairs > n->nr_pairs)
		return -EINVAL;

	return receive_on(n, pairs) ?: steer(n, NULL);
}

/* The driver is told what @rule hashes, if it wants to know. */
static void report_hash(struct net *n, const struct steering_rule *rule)
{
	rxhash_init(&n->hash, rule->types, rule->key);
	spread_filter(n);
}

static int set_rss(struct net *n, const struct iovec *iov, unsigned int nr)
{
	struct steering_rule rule;
	int ret;

	if (!virtio_has_feature(&n->dev, VIRTIO_NET_F_RSS))
		return -EINVAL;
	ret = net_rss_parse(&rule, iov, nr, n->nr_pairs);
	if (ret < 0)
		return ret;
	ret = receive_on(n, (unsigned int)ret) ?: steer(n, &rule);
	if (!ret)
		report_hash(n, &rule);
	return ret;
}

static int set_hash(struct net *n, const struct iovec *iov, unsigned int nr)
{
	struct steering_rule rule;

	if (!virtio_has_feature(&n->dev, VIRTIO_NET_F_HASH_REPORT) ||
	    net_hash_parse(&rule, iov, nr))
		return -EINVAL;
	report_hash(n, &rule);
	return 0;
}

static int set_guest_offloads(struct net *n, const struct iovec *iov, unsigned int nr)
{
	uint64_t offloads;

	if (!virtio_has_feature(&n->dev, VIRTIO_NET_F_CTRL_GUEST_OFFLOADS) ||
	    iov_to_buf(iov, nr, 0, &offloads, sizeof(offloads)) < sizeof(offloads))
		return -EINVAL;
	/* Only what was negotiated, and is such an offload, may be switched on (5.1.6.5.6). */
	if (offloads & ~(n->dev.features & NET_GUEST_OFFLOADS))
		return -EINVAL;
	const int ret = set_offloads(n, offloads);
	if (!ret)
		spread_filter(n);
	return ret;
}

static int filter_command(struct net *n, const uint8_t cmd[2], const struct iovec *iov,
			  unsigned int nr)
{
	const int ret = net_filter_command(&n->filter, cmd[0], cmd[1], iov, nr);

	if (!ret && memcmp(n->config.mac, n->filter.mac, sizeof(n->config.mac)))
		virtio_config_set(&n->dev, offsetof(struct virtio_net_config, mac), n->filter.mac,
				  sizeof(n->filter.mac)); /* 5.1.6.5.2.1 */
	if (!ret)
		spread_filter(n);
	return ret;
}

/* What stands behind a command's data is ignored: Linux from 6.12 on fills up those of RSS to the size of a struct. */
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
	case VIRTIO_NET_CTRL_MQ:
		if (cmd[1] == VIRTIO_NET_CTRL_MQ_RSS_CONFIG)
			return set_rss(n, iov, nr);
		if (cmd[1] == VIRTIO_NET_CTRL_MQ_HASH_CONFIG)
			return set_hash(n, iov, nr);
		return cmd[1] == VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET ? set_pairs(n, iov, nr) : -EINVAL;
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

	virtq_ack_kick(vq);
	while (left && (ret = virtq_pop(vq, &c, n->ctrl_iov, VIRTQ_SIZE_MAX)) > 0) {
		const uint8_t ack =
			command(n, n->ctrl_iov, c.nr_out) ? VIRTIO_NET_ERR : VIRTIO_NET_OK;

		left--;
		n->ctrl.commands++;
		n->ctrl.refused += ack != VIRTIO_NET_OK;
		virtq_push(vq, &c,
			   (uint32_t)iov_from_buf(n->ctrl_iov + c.nr_out, c.nr_in, 0, &ack, 1));
	}
	virtio_publish(&n->dev, (unsigned int)(vq - n->vq));
	if (ret == -EPROTO)
		virtio_fail(&n->dev, "its control ring is broken");
	else if (!left || virtq_kicks_on(vq))
		event_signal(
			vq->kick_fd); /* the frames' turn first; what is in the ring may be a guest's play */
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

static int resume_control(struct net *n)
{
	loop_call(net_pair_loop(n->pair[0]), watch_control, n);
	return n->error;
}

static int net_resume(struct virtio_dev *dev)
{
	struct net *n = to_net(dev);
	int ret = 0;

	for (unsigned int i = 0; !ret && i < n->nr_running; i++)
		ret = net_pair_resume(n->pair[i]);
	return ret ? ret : resume_control(n);
}

static void net_reset(struct virtio_dev *dev)
{
	struct net *n = to_net(dev);

	net_pause(dev);
	n->ctrl.pairs = 0;
	steer(n, NULL);
	set_offloads(n, 0);
	virtio_config_set(dev, offsetof(struct virtio_net_config, mac), n->mac, sizeof(n->mac));
}

/* The driver has come: one pair receives until it says otherwise. Without MQ there is but one. */
static int start_pairs(struct net *n)
{
	static const struct rxhash none;
	const bool several = virtio_has_feature(&n->dev, VIRTIO_NET_F_MQ) ||
			     virtio_has_feature(&n->dev, VIRTIO_NET_F_RSS);
	int ret = 0;

	n->nr_running = several ? n->nr_pairs : 1;
	n->nr_enabled = 1;
	n->ctrl.pairs = 1;
	n->ctrlq = &n->vq[2 * n->nr_running];
	n->ctrl_kick.fd = n->ctrlq->kick_fd;
	n->hash = none;
	spread_filter(n);
	for (unsigned int i = 0; !ret && i < n->nr_running; i++)
		ret = net_pair_start(n->pair[i], sources_of(n, i, 1));
	return ret ? ret : resume_control(n);
}

/* As the driver wants it, before frames come; where the backend is gone there are none. */
static int set_header(struct net *n)
{
	if (!(n->be->features & NET_F(HASH_REPORT)) || netbe_is_gone(n->be))
		return 0;
	return n->be->ops->set_header(n->be, virtio_has_feature(&n->dev, VIRTIO_NET_F_HASH_REPORT)
						     ? NETBE_HDR_HASH_LEN
						     : NETBE_HDR_LEN);
}

static int net_activate(struct virtio_dev *dev)
{
	struct net *n = to_net(dev);
	int ret;

	net_filter_init(&n->filter, n->mac, n->be->mtu, dev->features);
	ret = set_header(n) ?: set_offloads(n, dev->features) ?: start_pairs(n);
	if (ret) {
		net_reset(dev);
		if (log_due(&n->refusals))
			log_error("%s: %s cannot serve this driver: %s", dev->name, n->be->name,
				  strerror(-ret));
	}
	return ret;
}

static void net_finish(struct virtio_dev *dev)
{
	struct net *n = to_net(dev);

	for (unsigned int i = 0; i < n->nr_pairs; i++)
		net_pair_finish(n->pair[i]);
	n->ledger.settled = true;
	pcap_finish(n->pcap);
}

static void net_interrupts_moved(struct virtio_dev *dev)
{
	struct net *n = to_net(dev);

	for (unsigned int i = 0; i < n->nr_running; i++)
		net_pair_interrupts_moved(n->pair[i]);
}

static void net_destroy(struct virtio_dev *dev)
{
	struct net *n = to_net(dev);

	for (unsigned int i = 0; i < n->nr_pairs; i++)
		net_pair_destroy(n->pair[i]);
	net_vhost_close(&n->vhost);
	pcap_destroy(n->pcap);
	ledger_close(&n->ledger);
	net_counters_unregister(&n->total_groups);
	counters_remove(&n->group);
	virtio_destroy(dev);
	n->be->ops->close(n->be);
	free(n);
}

static const struct virtio_ops net_ops = { .destroy = net_destroy,
					   .activate = net_activate,
					   .reset = net_reset,
					   .pause = net_pause,
					   .resume = net_resume,
					   .interrupts_moved = net_interrupts_moved,
					   .finish = net_finish };

/* What the card can offer in front of this backend. */
static uint64_t offered_features(const struct net *n)
{
	uint64_t f = NET_F(MAC) | NET_F(STATUS) | NET_F(CTRL_VQ) | NET_F(CTRL_RX) |
		     NET_F(CTRL_RX_EXTRA) | NET_F(CTRL_MAC_ADDR) | NET_F(MRG_RXBUF) |
		     n->be->features;

	if (n->nr_pairs > 1)
		f |= NET_F(MQ);
	if (n->be->mtu)
		f |= NET_F(MTU);
	if (f & NET_F(GUEST_CSUM))
		f |= NET_F(CTRL_GUEST_OFFLOADS);
	return f;
}

static int create_pairs(struct net *n, const struct device_env *env,
			const struct virtio_net_options *from)
{
	int ret = 0;

	for (unsigned int i = 0; !ret && i < n->nr_pairs; i++) {
		const struct net_pair_params params = {
			.index = i,
			.dev = &n->dev,
			.be = n->be,
			.source = n->source,
			.pcap = n->pcap,
			.vhost = n->vhost.on ? &n->vhost.pair[i] : NULL,
			.poll_ns = from->poll_us * 1000ull,
			.impatient = from->impatient,
		};

		ret = net_pair_create(&n->pair[i], env, &params);
		if (!ret)
			net_pair_account(n->pair[i], &n->ledger);
	}
	return ret;
}

static void add_up(struct counter_group *group)
{
	struct net *n = container_of(net_counters_groups(group), struct net, total_groups);

	n->total = (struct net_counters){ 0 };
	for (unsigned int i = 0; i < n->nr_pairs; i++)
		net_pair_add_counters(&n->total, n->pair[i]);
}

static void describe(struct net *n, const struct virtio_net_options *options)
{
	n->nr_pairs = n->be->pairs;
	n->ctrl.max_pairs = n->nr_pairs;
	n->config.max_virtqueue_pairs = (uint16_t)n->nr_pairs;
	for (unsigned int i = 0; i < MAX_QUEUES; i++)
		n->vq[i].size_max = (uint16_t)options->queue_size;
	n->vq[2 * n->nr_pairs].size_max = CTRL_QUEUE_SIZE;
	memcpy(n->mac, net_options_mac(options) ?: n->be->mac, sizeof(n->mac));
	memcpy(n->config.mac, n->mac, sizeof(n->mac));
	n->config.status = VIRTIO_NET_S_LINK_UP;
	n->config.mtu = (uint16_t)MIN(n->be->mtu, 65535u); /* more is none to a driver */
	n->config.rss_max_key_size = STEERING_KEY_MAX;
	n->config.rss_max_indirection_table_length = STEERING_TABLE_MAX;
	n->config.supported_hash_types = STEERING_TYPES;
	n->dev = (struct virtio_dev){
		.ops = &net_ops,
		.device_id = VIRTIO_ID_NET,
		.pci_class = 0x020000, /* Ethernet controller */
		.device_features = offered_features(n),
		.vq = n->vq,
		.nr_vqs = 2 * n->nr_pairs + 1,
		.config = &n->config,
		.config_len =
			n->be->features & NET_F(RSS)
				? sizeof(n->config)
				: offsetof(struct virtio_net_config, mtu) + sizeof(n->config.mtu),
	};
}

static int open_vhost(struct net *n, const struct device_env *env,
		      const struct virtio_net_options *options)
{
	const struct net_vhost_wish wish = {
		.options = &options->vhost,
		.transport = options->virtio.transport,
		.packed = options->virtio.packed,
		.pcap = options->pcap,
		.poll_us = options->poll_us,
		.features = n->dev.device_features,
	};

	return net_vhost_open(&n->vhost, env, n->be, &wish);
}

int virtio_net_create(struct device **out, const struct device_env *env, struct netbe *be,
		      const struct virtio_net_options *options)
{
	struct net *n = device_alloc(env, sizeof(*n));
	int ret;

	if (!n) {
		be->ops->close(be);
		return -ENOMEM;
	}
	n->be = be;
	describe(n, options);
	ret = virtio_init(&n->dev, env);
	n->dev.device_features &= ~net_switches_off(&options->switches);
	if (!ret)
		ret = open_vhost(n, env, options);
	n->dev.device_features &= ~net_vhost_hides(&n->vhost);
	n->ctrl_kick = (struct loop_watch){ .fd = -1, .ready = on_ctrl_kick, .arg = n };
	ledger_init(&n->ledger, be);
	if (!ret && options->pcap)
		ret = pcap_create(&n->pcap, env, options->pcap, n->nr_pairs, options->snap);
	n->dev.device.output = pcap_output(n->pcap);
	if (!ret)
		ret = create_pairs(n, env, options);
	if (!ret && n->nr_pairs > 1)
		net_counters_register(env->counters, &n->total_groups, &n->total, env->name, -1,
				      add_up);
	ledger_open(&n->ledger, env->counters, env->name);
	counters_add(env->counters, &n->group, ctrl_desc, &n->ctrl, "%s.ctrl", env->name);
	return virtio_plug(out, &n->dev, env, &options->virtio, ret);
}
