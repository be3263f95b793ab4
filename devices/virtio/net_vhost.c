/* Whether the host's kernel moves a card's frames. */
#include "devices/virtio/net_vhost.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "vmm/base/log.h"

/* Why it cannot be: a row in the accounts, and words. */
struct obstacle {
	const char *row;
	char words[VHOST_WHY + 128];
};

static struct obstacle none(void)
{
	return (struct obstacle){ 0 };
}

__attribute__((format(printf, 2, 3))) static struct obstacle obstacle(const char *row,
								      const char *fmt, ...)
{
	struct obstacle o = { .row = row };
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(o.words, sizeof(o.words), fmt, ap);
	va_end(ap);
	return o;
}

static struct obstacle look(const struct device_env *env, const struct netbe *be,
			    const struct net_vhost_wish *wish)
{
	const unsigned int fds = wish->options->fds.nr;

	if ((wish->transport ? wish->transport : env->transport) == TRANSPORT_MMIO)
		return obstacle(
			"off_mmio",
			"virtio-mmio's interrupts take more than the kernel can do (transport=pci)");
	if (wish->packed)
		return obstacle("off_packed", "vhost-net has no packed rings (leave out packed)");
	if (wish->pcap)
		return obstacle("off_pcap",
				"pcap= would see none of its frames (tcpdump -i on the tap does)");
	if (!be->is_tap)
		return obstacle("off_backend", "%s is no tap (it takes a tap or a macvtap)",
				be->name);
	if (VHOST_NEEDS & ~wish->features)
		return obstacle(
			"off_features",
			"it takes mergeable buffers and checksums (without mrg=off, csum=off, offload=off)");
	if (fds && fds != be->pairs)
		return obstacle("off_fds",
				"vhost-fd= has %u of the %u descriptors for %u queue pairs", fds,
				be->pairs, be->pairs);
	return none();
}

static struct obstacle open_all(struct net_vhost *v, const struct device_env *env,
				const struct netbe *be, const struct net_vhost_wish *wish)
{
	char why[VHOST_WHY];

	for (unsigned int i = 0; i < be->pairs; i++) {
		const int fd = wish->options->fds.nr ? wish->options->fds.fd[i] : -1;

		if (vhost_open(&v->pair[v->nr++], fd, env->mem, wish->poll_us, why))
			return obstacle("off_refused", "%s", why);
	}
	return none();
}

int net_vhost_open(struct net_vhost *v, const struct device_env *env, const struct netbe *be,
		   const struct net_vhost_wish *wish)
{
	struct obstacle o;

	if (!vhost_wanted(wish->options))
		return 0;
	o = look(env, be, wish);
	if (!o.row)
		o = open_all(v, env, be, wish);
	v->on = !o.row;
	if (v->on)
		return 0;
	net_vhost_close(v);
	if (vhost_insisted(wish->options))
		return log_fail(-ENOTSUP, "%s: vhost=on: %s", env->name, o.words);
	log_warn("%s: vhost=auto: its own thread moves its frames: %s", env->name, o.words);
	v->off = 1;
	v->desc[0] = (struct counter_desc){ .name = o.row };
	counters_add(env->counters, &v->group, v->desc, &v->off, "%s.vhost", env->name);
	return 0;
}

void net_vhost_close(struct net_vhost *v)
{
	counters_remove(&v->group);
	while (v->nr)
		vhost_close(&v->pair[--v->nr]);
	v->on = false;
}

/* The kernel filters nothing and tells no hash; the other features it leaves to the tap. */
uint64_t net_vhost_hides(const struct net_vhost *v)
{
	return v->on ? NET_F(CTRL_RX) | NET_F(CTRL_RX_EXTRA) | NET_F(HASH_REPORT) |
			       (VHOST_RING_FEATURES & ~v->pair[0].features)
		     : 0;
}
