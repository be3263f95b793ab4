/* A queue pair's rings in the hands of the host's kernel. */
#include "devices/virtio/net_pair_internal.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "vmm/base/event.h"
#include "vmm/base/log.h"

/* Often enough that a ring's 16-bit index is not overtaken: good for 2.6 million chains a second. */
#define LOOK (25 * 1000 * 1000ull) /* ns */

/* A tap's queue holds no more frames than that, unless somebody has said so. */
#define MAX_EARLIER 1000u

static const struct counter_desc desc[] = {
	COUNTER(struct net_kernel_counters, active),
	COUNTER(struct net_kernel_counters, given),
	COUNTER(struct net_kernel_counters, errors),
	COUNTER(struct net_kernel_counters, refusals),
	COUNTER(struct net_kernel_counters, rx_buffers),
	COUNTER(struct net_kernel_counters, tx_frames),
	COUNTER_END,
};

static struct virtq *ring(const struct net_pair *n, enum vhost_way way)
{
	return way == VHOST_RX ? n->rxq : n->txq;
}

/* ---- what it has done ---- */

static void count(struct net_pair *n, enum vhost_way way, uint16_t next)
{
	struct net_kernel *k = &n->kernel;
	struct virtq *vq = ring(n, way);
	int64_t chains = (uint16_t)(next - k->counted[way]);

	/* What it had begun may have come back undone. */
	if (chains > UINT16_MAX - vq->size)
		chains -= UINT16_MAX + 1;
	k->counted[way] = next;
	vq->counters.chains += (uint64_t)chains;
	if (way == VHOST_RX)
		k->counters.rx_buffers += (uint64_t)chains;
	else
		k->counters.tx_frames += (uint64_t)chains;
}

/* The kernel leaves what the driver's kicks add up to: it is theirs to count. */
static void count_kicks(struct net_pair *n)
{
	n->rxq->counters.kicks += event_clear(n->rxq->kick_fd);
	n->txq->counters.kicks += event_clear(n->txq->kick_fd);
}

/* ---- to the kernel and back ---- */

static bool is_ready(const struct virtq *vq)
{
	return vq->live && !vq->broken && !vq->packed;
}

/* What its queue of the tap has to say. */
static short tap_events(const struct net_pair *n)
{
	struct pollfd p = { .fd = n->p.be->fd[n->p.index], .events = POLLIN };

	return poll(&p, 1, 0) > 0 ? p.revents : 0;
}

/*
 * The kernel takes the pair's own queue of the tap as it is: what was in there before the driver said what it copes with
 * is filtered first, and what is out of there already goes first.
 */
static bool may_have(const struct net_pair *n)
{
	const struct net_source *s = &n->p.source[n->p.index];
	const struct net_kernel *k = &n->kernel;

	return n->p.vhost && n->p.vhost->fd >= 0 && !k->refused && n->running &&
	       n->sources == BIT(n->p.index) && !s->held_len && !s->paused &&
	       !(VHOST_NEEDS & ~n->p.dev->features) && !netbe_is_gone(n->p.be) &&
	       is_ready(n->rxq) && is_ready(n->txq) &&
	       (n->counters.rx.taken - k->taken_before >= MAX_EARLIER || !(tap_events(n) & POLLIN));
}

/* Where the kernel is to signal @way's interrupts. */
static int call_of(const struct net_pair *n, enum vhost_way way)
{
	const int fd = virtio_queue_event(n->p.dev, way == VHOST_RX ? n->rx_queue : n->tx_queue);

	return fd == -ENOTSUP ? n->kernel.call[way].fd : fd;
}

static struct vhost_ring lend(struct net_pair *n, enum vhost_way way)
{
	struct virtq *vq = ring(n, way);

	n->kernel.counted[way] = virtq_lend(vq);
	if (way == VHOST_RX) /* what was taken ahead is available again */
		rx_window_init(&n->window, vq, n->window.mergeable);
	return (struct vhost_ring){ .size = vq->size,
				    .next = n->kernel.counted[way],
				    .desc = vq->desc,
				    .avail = vq->avail,
				    .used = vq->used,
				    .kick = vq->kick_fd,
				    .call = call_of(n, way) };
}

static int watch(struct net_pair *n, bool on)
{
	struct net_kernel *k = &n->kernel;
	int ret = loop_watch(n->loop, &k->error, on ? EPOLLIN : 0);

	for (unsigned int way = VHOST_RX; !ret && way <= VHOST_TX; way++)
		ret = loop_watch(n->loop, &k->call[way], on ? EPOLLIN : 0);
	loop_timer_set(&k->timer, on ? LOOK : 0);
	return ret;
}

bool net_kernel_has(struct net_pair *n)
{
	struct net_kernel *k = &n->kernel;
	const char *what = "epoll_ctl";
	int ret;

	if (k->counters.active || !may_have(n))
		return k->counters.active;
	k->counters.active = 1; /* from here on it is net_kernel_return() that undoes it */
	net_pair_leave(n);
	const struct vhost_ring rings[] = { lend(n, VHOST_RX), lend(n, VHOST_TX) };

	ret = watch(n, true)
		      ?: vhost_start(n->p.vhost, rings, n->p.dev->features, n->p.be->fd[n->p.index],
				     &what);
	k->began = !ret;
	if (!ret) {
		k->counters.given++;
		return true;
	}
	k->refused = true;
	if (log_due(&k->counters.refusals))
		log_warn("%s: vhost: its own thread moves the frames of queue pair %u: %s: %s",
			 n->p.dev->name, n->p.index, what, strerror(-ret));
	net_kernel_return(n);
	return false;
}

void net_kernel_return(struct net_pair *n)
{
	struct net_kernel *k = &n->kernel;

	if (!k->counters.active)
		return;
	watch(n, false);
	vhost_stop(n->p.vhost);
	for (unsigned int way = VHOST_RX; way <= VHOST_TX; way++) {
		struct virtq *vq = ring(n, way);
		uint16_t next;

		/* Where it will not say, or knows of another driver's, the index of what is used is all there is. */
		if (!k->began || vhost_next(n->p.vhost, way, &next))
			next = __atomic_load_n(&vq->used->idx, __ATOMIC_RELAXED);
		virtq_take_back(vq, next);
		count(n, way, vq->used_idx);
	}
	k->counters.active = 0;
	if (net_pair_enter(n))
		virtio_fail(n->p.dev, "it cannot watch its queues");
}

void net_kernel_begin(struct net_pair *n)
{
	n->kernel.taken_before = n->counters.rx.taken;
}

void net_kernel_connect(void *pair)
{
	struct net_pair *n = pair;

	if (!n->kernel.counters.active)
		return;
	for (unsigned int way = VHOST_RX; way <= VHOST_TX; way++) {
		if (vhost_set_call(n->p.vhost, way, call_of(n, way)))
			n->kernel.counters.errors++;
		/* One that went the old way meanwhile is lost there. */
		virtio_interrupt(n->p.dev, way == VHOST_RX ? n->rx_queue : n->tx_queue);
	}
}

/* ---- events ---- */

/* The thread looks at the ring itself: it may be broken, or a frame malformed, which it then counts. */
static void on_error(void *arg, uint32_t events)
{
	struct net_pair *n = arg;

	event_clear(n->kernel.error.fd);
	n->kernel.counters.errors++;
	net_kernel_return(n);
}

static void on_call(struct net_pair *n, enum vhost_way way)
{
	event_clear(n->kernel.call[way].fd);
	ring(n, way)->counters.interrupts++;
	virtio_interrupt(n->p.dev, way == VHOST_RX ? n->rx_queue : n->tx_queue);
}

static void on_rx_call(void *arg, uint32_t events)
{
	on_call(arg, VHOST_RX);
}

static void on_tx_call(void *arg, uint32_t events)
{
	on_call(arg, VHOST_TX);
}

static void on_look(void *arg)
{
	struct net_pair *n = arg;
	struct net_kernel *k = &n->kernel;
	uint16_t next;

	if (!k->counters.active)
		return;
	count_kicks(n);
	for (unsigned int way = VHOST_RX; way <= VHOST_TX; way++)
		if (!vhost_next(n->p.vhost, way, &next))
			count(n, way, next);
	loop_timer_set(&k->timer, LOOK);
	if (!netbe_is_gone(n->p.be) && !(tap_events(n) & (POLLERR | POLLHUP)))
		return;
	net_kernel_return(n);
	net_pair_lose_backend(n, -EBADFD);
}

/* ---- life ---- */

int net_kernel_init(struct net_pair *n, const struct device_env *env)
{
	struct net_kernel *k = &n->kernel;
	static void (*const on[])(void *, uint32_t) = { on_rx_call, on_tx_call };
	char of[12] = "";
	int ret;

	if (!n->p.vhost)
		return 0;
	k->error = (struct loop_watch){ .fd = n->p.vhost->err_fd, .ready = on_error, .arg = n };
	k->timer = (struct loop_timer){ .expired = on_look, .arg = n };
	ret = loop_timer_init(n->loop, &k->timer);
	for (unsigned int way = VHOST_RX; way <= VHOST_TX; way++) {
		k->call[way] =
			(struct loop_watch){ .fd = event_create(), .ready = on[way], .arg = n };
		if (!ret)
			ret = MIN(k->call[way].fd, 0);
	}
	loop_set_fd(n->loop, n->p.vhost->fd);
	if (n->p.be->pairs > 1)
		snprintf(of, sizeof(of), "%u", n->p.index);
	counters_add(env->counters, &k->group, desc, &k->counters, "%s.vhost%s", env->name, of);
	return ret;
}

void net_kernel_destroy(struct net_pair *n)
{
	struct net_kernel *k = &n->kernel;

	counters_remove(&k->group);
	loop_timer_destroy(n->loop, &k->timer);
	for (unsigned int way = VHOST_RX; way <= VHOST_TX; way++)
		if (k->call[way].ready && k->call[way].fd >= 0)
			close(k->call[way].fd);
}
