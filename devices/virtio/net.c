/*
 * virtio-net (virtio 1.2, 5.1): the card, its I/O thread and the way of a frame through it.
 *
 * All work is done in net_work(), which the loop calls before it would block: callbacks only note what
 * is ready. The receive side keeps a window of chains taken from the ring ahead of the frames, so that
 * each chain is looked at once and a frame is read straight into as many of them as it needs.
 */
#include "devices/virtio/net.h"

#include <errno.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "devices/net/filter.h"
#include "vmm/base/event.h"
#include "vmm/base/log.h"
#include "vmm/base/loop.h"

#ifndef VIRTIO_NET_F_GUEST_USO4 /* virtio 1.2, 5.1.3; Linux headers 6.2 */
#define VIRTIO_NET_F_GUEST_USO4 54
#define VIRTIO_NET_F_GUEST_USO6 55
#define VIRTIO_NET_F_HOST_USO	56
#endif
#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

enum { RX, TX, CTRL, NR_QUEUES };

#define CTRL_QUEUE_SIZE 64
#define ETH_HEADER	14
#define MAX_FRAME	(NETBE_HDR_LEN + ETH_HEADER + 4 + 65535u) /* the largest that a tap hands out */
#define MAX_COMMAND	4096u /* bytes of a control command; a MAC table has 6 a line */
#define RX_IOVS		(2 * VIRTQ_SIZE_MAX)
#define ERROR_PAUSE_US	1000
#define BUDGET		64u /* frames one way before the other way gets its turn, and a publication */

struct rx_counters {
	uint64_t packets, bytes;
	uint64_t starved;	/* times that the guest had no buffer: frames wait in the backend */
	uint64_t held;		/* frames that had to wait for a second helping of buffers */
	uint64_t drop_too_big;	/* larger than any buffer that the guest can offer */
	uint64_t drop_filtered; /* not for the guest's addresses */
	uint64_t drop_runt;	/* shorter than an Ethernet header */
	uint64_t backend_errors;
	uint64_t first_packet;
};

struct tx_counters {
	uint64_t packets, bytes;
	uint64_t blocked;	  /* times that the backend took no more: frames wait in the ring */
	uint64_t drop_malformed;  /* chains that are no frame: too short, or writable */
	uint64_t drop_bad_header; /* the backend refused the header or the size (EINVAL) */
	uint64_t drop_down;	  /* the interface was down (EIO) or gone */
	uint64_t drop_error;	  /* any other error of the backend */
	uint64_t first_packet;
};

struct ctrl_counters {
	uint64_t commands, refused;
};

static const struct counter_desc rx_desc[] = {
	COUNTER(struct rx_counters, packets),		COUNTER(struct rx_counters, bytes),
	COUNTER(struct rx_counters, starved),		COUNTER(struct rx_counters, held),
	COUNTER(struct rx_counters, drop_too_big),	COUNTER(struct rx_counters, drop_filtered),
	COUNTER(struct rx_counters, drop_runt),		COUNTER(struct rx_counters, backend_errors),
	COUNTER_TIME(struct rx_counters, first_packet), COUNTER_END,
};

static const struct counter_desc tx_desc[] = {
	COUNTER(struct tx_counters, packets),
	COUNTER(struct tx_counters, bytes),
	COUNTER(struct tx_counters, blocked),
	COUNTER(struct tx_counters, drop_malformed),
	COUNTER(struct tx_counters, drop_bad_header),
	COUNTER(struct tx_counters, drop_down),
	COUNTER(struct tx_counters, drop_error),
	COUNTER_TIME(struct tx_counters, first_packet),
	COUNTER_END,
};

static const struct counter_desc ctrl_desc[] = {
	COUNTER(struct ctrl_counters, commands),
	COUNTER(struct ctrl_counters, refused),
	COUNTER_END,
};

/* A chain taken from the receive ring and not yet filled; its buffers follow those of the one before. */
struct rx_chain {
	uint16_t head;
	uint16_t nr_iov;
	uint32_t len;
};

struct rx_window {
	struct rx_chain chain[VIRTQ_SIZE_MAX];
	unsigned int first, nr;	       /* chains first .. first + nr - 1 */
	struct iovec iov[RX_IOVS + 1]; /* one more for the spill, see rx_one() */
	unsigned int first_iov, nr_iov;
	uint32_t bytes;
};

struct net {
	struct virtio_dev dev;
	struct virtq vq[NR_QUEUES];
	struct virtio_net_config config;
	struct netbe *be;
	uint64_t poll_ns;

	/* The I/O thread and what is its own while it runs. */
	struct loop *loop;
	struct loop_watch rx_kick, tx_kick, ctrl_kick, backend;
	bool rx_ready; /* the backend may have a frame */
	bool rx_wait;  /* no buffers: leave the backend alone until the guest kicks */
	bool tx_wait;  /* the backend took no more: leave the ring alone until EPOLLOUT */
	bool backend_gone;
	uint64_t busy_until;
	struct net_filter filter;
	struct rx_window window;
	struct iovec tx_iov[VIRTQ_SIZE_MAX];
	uint8_t *spill;	 /* MAX_FRAME bytes: where a frame goes on that exceeds the window */
	uint8_t *held;	 /* MAX_FRAME bytes: a whole frame that waits for buffers ... */
	size_t held_len; /* ... unless 0 */

	struct rx_counters rx;
	struct tx_counters tx;
	struct ctrl_counters ctrl;
	struct counter_group groups[NR_QUEUES];
	char group_names[NR_QUEUES][24];
};

static struct net *to_net(struct virtio_dev *dev)
{
	return container_of(dev, struct net, dev);
}

/* ---- the backend's events ---- */

static void watch_backend(struct net *n)
{
	uint32_t events = 0;

	/* A tap that is gone reports an error for ever, whatever is asked for. */
	if (!n->backend_gone)
		events = (n->rx_wait ? 0 : EPOLLIN) | (n->tx_wait ? EPOLLOUT : 0);
	loop_watch(n->loop, &n->backend, events);
}

static void lose_backend(struct net *n)
{
	if (n->backend_gone)
		return;
	n->backend_gone = true;
	n->tx_wait = false;
	log_warn("%s: its tap is gone; the guest's frames are dropped from now on", n->dev.name);
	watch_backend(n);
}

/* ---- receive: backend to guest ---- */

static void window_take(struct net *n, size_t used_iov, uint32_t bytes)
{
	struct rx_window *w = &n->window;

	w->first++;
	w->nr--;
	w->first_iov += (unsigned int)used_iov;
	w->nr_iov -= (unsigned int)used_iov;
	w->bytes -= bytes;
	if (!w->nr)
		w->first = w->first_iov = 0;
}

static void window_compact(struct rx_window *w)
{
	memmove(w->chain, w->chain + w->first, w->nr * sizeof(w->chain[0]));
	memmove(w->iov, w->iov + w->first_iov, w->nr_iov * sizeof(w->iov[0]));
	w->first = w->first_iov = 0;
}

/*
 * Take chains from the ring until the window holds @want bytes or the ring is empty. Without mergeable
 * buffers a frame goes into one chain, so that one is enough.
 */
static bool window_fill(struct net *n, uint32_t want)
{
	const bool mergeable = virtio_has_feature(&n->dev, VIRTIO_NET_F_MRG_RXBUF);
	struct rx_window *w = &n->window;
	unsigned int useless = 0;

	while (useless < BUDGET && (mergeable ? w->bytes < want : !w->nr)) {
		struct virtq_chain c;
		unsigned int end = w->first_iov + w->nr_iov;
		int ret;

		if (w->first + w->nr == VIRTQ_SIZE_MAX || RX_IOVS - end < VIRTQ_SIZE_MAX) {
			window_compact(w);
			end = w->nr_iov;
		}
		ret = virtq_pop(&n->vq[RX], &c, w->iov + end, RX_IOVS - end);
		if (ret == -EPROTO)
			virtio_fail(&n->dev, "its receive ring is broken");
		if (ret <= 0)
			return ret != -ENOBUFS;
		if (c.nr_out || !c.in_len) {
			/* No buffer at all; given back unused, or the ring would silt up. */
			virtq_push(&n->vq[RX], c.head, 0);
			useless++;
			continue;
		}
		w->chain[w->first + w->nr++] = (struct rx_chain){ c.head, c.nr_in, c.in_len };
		w->nr_iov += c.nr_in;
		w->bytes += c.in_len;
	}
	return true;
}

/* Give @len bytes at the window's start to the guest, as one frame. */
static void rx_complete(struct net *n, size_t len)
{
	struct rx_window *w = &n->window;
	struct iovec *iov = w->iov + w->first_iov;
	const unsigned int nr_iov = w->nr_iov;
	uint16_t nr_chains = 0;

	n->rx.packets++;
	n->rx.bytes += len - NETBE_HDR_LEN;
	if (!n->rx.first_packet)
		n->rx.first_packet = now_ns();
	for (size_t left = len; left; nr_chains++) {
		const struct rx_chain c = w->chain[w->first];
		const uint32_t part = (uint32_t)MIN(left, (size_t)c.len);

		virtq_push(&n->vq[RX], c.head, part);
		window_take(n, c.nr_iov, c.len);
		left -= part;
	}
	/* 5.1.6.4.1: num_buffers is 1 without mergeable buffers. Not published yet, so still ours. */
	iov_from_buf(iov, nr_iov, offsetof(struct virtio_net_hdr_v1, num_buffers), &nr_chains,
		     sizeof(nr_chains));
}

/* The bytes that one frame may have: the whole window, or its first chain. */
static size_t rx_capacity(const struct net *n)
{
	const struct rx_window *w = &n->window;

	if (!w->nr)
		return 0;
	return virtio_has_feature(&n->dev, VIRTIO_NET_F_MRG_RXBUF) ? w->bytes
								   : w->chain[w->first].len;
}

/* A frame was held back for want of buffers: does it fit now? True if it is out of the way. */
static bool rx_deliver_held(struct net *n)
{
	const bool mergeable = virtio_has_feature(&n->dev, VIRTIO_NET_F_MRG_RXBUF);

	if (!n->held_len)
		return true;
	const bool room = window_fill(n, (uint32_t)n->held_len);
	if (rx_capacity(n) >= n->held_len) {
		iov_from_buf(n->window.iov + n->window.first_iov, n->window.nr_iov, 0, n->held,
			     n->held_len);
		rx_complete(n, n->held_len);
	} else if (!room || n->window.nr == n->vq[RX].size || (!mergeable && n->window.nr)) {
		n->rx.drop_too_big++; /* all that the guest has is not enough */
	} else {
		return false;
	}
	n->held_len = 0;
	return true;
}

/* No buffers: the frames stay with the backend until the guest kicks. False if some came just now. */
static bool rx_starve(struct net *n)
{
	if (virtq_kicks_on(&n->vq[RX]))
		return false;
	n->rx.starved++;
	n->rx_wait = true;
	watch_backend(n);
	return true;
}

/* One frame from the backend. False when there is nothing to do before the next event. */
static bool rx_one(struct net *n)
{
	struct rx_window *w = &n->window;
	uint8_t start[NETBE_HDR_LEN + ETH_HEADER];
	size_t capacity;
	ssize_t len;
	int nr_iov;

	if (!rx_deliver_held(n))
		return !rx_starve(n);
	window_fill(n, MAX_FRAME);
	capacity = rx_capacity(n);
	if (!capacity)
		return !rx_starve(n);
	/* The spill stands behind the window's end: nothing of a large frame is lost unseen. */
	struct iovec *iov = w->iov + w->first_iov;
	nr_iov = (int)MIN(capacity == w->bytes ? w->nr_iov : w->chain[w->first].nr_iov,
			  VIRTQ_SIZE_MAX - 1);
	const struct iovec behind = iov[nr_iov];
	iov[nr_iov] = (struct iovec){ n->spill, MAX_FRAME };
	len = n->be->ops->recv(n->be, iov, nr_iov + 1);
	iov[nr_iov] = behind;
	capacity = MIN(capacity, iov_size(iov, (unsigned int)nr_iov));

	if (len == -EAGAIN) {
		n->rx_ready = false;
		return false;
	}
	if (len < 0) {
		n->rx.backend_errors++;
		n->rx_ready = false;
		if (len == -EBADFD || len == -EBADF)
			lose_backend(n);
		else
			usleep(ERROR_PAUSE_US); /* it stays readable: do not spin on it */
		return false;
	}
	if ((size_t)len < sizeof(start)) {
		n->rx.drop_runt++;
		return true;
	}
	/* Only the first bytes may be split between the window and the spill. */
	const size_t in_window = iov_to_buf(iov, (unsigned int)nr_iov, 0, start, sizeof(start));
	memcpy(start + in_window, n->spill, sizeof(start) - in_window);
	if (!net_filter_accepts(&n->filter, start + NETBE_HDR_LEN)) {
		n->rx.drop_filtered++;
		return true;
	}
	if ((size_t)len <= capacity) {
		rx_complete(n, (size_t)len);
		return true;
	}
	if ((size_t)len > MAX_FRAME) {
		n->rx.drop_too_big++;
		return true;
	}
	n->rx.held++;
	n->held_len = (size_t)len;
	iov_to_buf(iov, (unsigned int)nr_iov, 0, n->held, capacity);
	memcpy(n->held + capacity, n->spill, n->held_len - capacity);
	return true;
}

static bool rx_work(struct net *n)
{
	unsigned int done = 0;

	while (done < BUDGET && n->rx_ready && !n->rx_wait && rx_one(n))
		done++;
	virtio_publish(&n->dev, RX);
	return done > 0;
}

/* ---- transmit: guest to backend ---- */

/* Counts the chain by its fate; false if it must stay in the ring. */
static bool tx_one(struct net *n, const struct virtq_chain *c)
{
	int err;

	if (c->nr_in || c->out_len < NETBE_HDR_LEN + ETH_HEADER) {
		n->tx.drop_malformed++;
		return true;
	}
	err = n->backend_gone ? -EBADFD : n->be->ops->send(n->be, n->tx_iov, c->nr_out);
	switch (err) {
	case 0:
		n->tx.packets++;
		n->tx.bytes += c->out_len - NETBE_HDR_LEN;
		if (!n->tx.first_packet)
			n->tx.first_packet = now_ns();
		return true;
	case -EAGAIN:
		return false;
	case -EINVAL:
	case -EMSGSIZE:
		n->tx.drop_bad_header++;
		return true;
	case -EBADFD:
	case -EBADF:
		lose_backend(n);
		/* fall through */
	case -EIO:
		n->tx.drop_down++;
		return true;
	default:
		n->tx.drop_error++;
		return true;
	}
}

static bool tx_work(struct net *n)
{
	struct virtq *vq = &n->vq[TX];
	struct virtq_chain c;
	unsigned int done = 0;
	int ret = 0;

	while (done < BUDGET && !n->tx_wait &&
	       (ret = virtq_pop(vq, &c, n->tx_iov, VIRTQ_SIZE_MAX)) > 0) {
		if (!tx_one(n, &c)) {
			virtq_unpop(vq, 1);
			n->tx.blocked++;
			n->tx_wait = true;
			watch_backend(n);
			break;
		}
		virtq_push(vq, c.head, 0);
		done++;
	}
	if (ret == -EPROTO)
		virtio_fail(&n->dev, "its transmit ring is broken");
	virtio_publish(&n->dev, TX);
	return done > 0;
}

/* ---- the I/O thread ---- */

/* Called by the loop before it blocks; true to be called again at once. */
static bool net_work(void *arg)
{
	struct net *n = arg;
	const bool worked = tx_work(n) | rx_work(n);

	if (worked) {
		if (n->poll_ns)
			n->busy_until = now_ns() + n->poll_ns;
		return true;
	}
	if (n->poll_ns && now_ns() < n->busy_until)
		return true;
	/* About to sleep: from here on the driver has to kick. */
	return !n->tx_wait && virtq_kicks_on(&n->vq[TX]);
}

static void on_rx_kick(void *arg, uint32_t events)
{
	struct net *n = arg;

	(void)events;
	virtq_ack_kick(&n->vq[RX]);
	if (n->rx_wait) {
		n->rx_wait = false;
		n->rx_ready = true;
		virtq_kicks_off(&n->vq[RX]);
		watch_backend(n);
	}
}

static void on_tx_kick(void *arg, uint32_t events)
{
	struct net *n = arg;

	(void)events;
	virtq_ack_kick(&n->vq[TX]);
	virtq_kicks_off(&n->vq[TX]);
}

static void on_backend(void *arg, uint32_t events)
{
	struct net *n = arg;

	if (events & (EPOLLIN | EPOLLERR | EPOLLHUP))
		n->rx_ready = true;
	if (events & (EPOLLOUT | EPOLLERR | EPOLLHUP) && n->tx_wait) {
		n->tx_wait = false;
		watch_backend(n);
	}
}

/* ---- control queue (5.1.6.5) ---- */

/* Feature bits of the driver for received frames, as the backend knows them. */
static unsigned int guest_offload(const struct net *n, uint64_t features)
{
	static const struct {
		unsigned int feature, tun_f;
	} map[] = {
		{ VIRTIO_NET_F_GUEST_CSUM, TUN_F_CSUM }, { VIRTIO_NET_F_GUEST_TSO4, TUN_F_TSO4 },
		{ VIRTIO_NET_F_GUEST_TSO6, TUN_F_TSO6 }, { VIRTIO_NET_F_GUEST_ECN, TUN_F_TSO_ECN },
		{ VIRTIO_NET_F_GUEST_USO4, TUN_F_USO4 }, { VIRTIO_NET_F_GUEST_USO6, TUN_F_USO6 },
	};
	unsigned int tun_f = 0;

	for (unsigned int i = 0; i < ARRAY_SIZE(map); i++)
		if (features & BIT_ULL(map[i].feature))
			tun_f |= map[i].tun_f;
	/* Segmentation rests on checksum offload (5.1.3.1), and USO comes for both families or none. */
	if (!(tun_f & TUN_F_CSUM))
		return 0;
	if ((tun_f & (TUN_F_USO4 | TUN_F_USO6)) != (TUN_F_USO4 | TUN_F_USO6))
		tun_f &= ~(unsigned int)(TUN_F_USO4 | TUN_F_USO6);
	return tun_f & n->be->offload;
}

static uint8_t set_guest_offloads(struct net *n, const uint8_t *data, size_t len)
{
	const uint64_t known = BIT_ULL(VIRTIO_NET_F_GUEST_CSUM) | BIT_ULL(VIRTIO_NET_F_GUEST_TSO4) |
			       BIT_ULL(VIRTIO_NET_F_GUEST_TSO6) | BIT_ULL(VIRTIO_NET_F_GUEST_ECN) |
			       BIT_ULL(VIRTIO_NET_F_GUEST_USO4) | BIT_ULL(VIRTIO_NET_F_GUEST_USO6);
	uint64_t offloads;

	if (!virtio_has_feature(&n->dev, VIRTIO_NET_F_CTRL_GUEST_OFFLOADS) ||
	    len != sizeof(offloads))
		return VIRTIO_NET_ERR;
	memcpy(&offloads, data, sizeof(offloads));
	if (offloads & ~(n->dev.features & known)) /* only what was negotiated may be switched on */
		return VIRTIO_NET_ERR;
	return n->be->ops->set_offload(n->be, guest_offload(n, offloads)) ? VIRTIO_NET_ERR
									  : VIRTIO_NET_OK;
}

static uint8_t command(struct net *n, const uint8_t *cmd, size_t len)
{
	if (len < 2)
		return VIRTIO_NET_ERR;
	switch (cmd[0]) {
	case VIRTIO_NET_CTRL_RX:
	case VIRTIO_NET_CTRL_MAC:
		return net_filter_command(&n->filter, cmd[0], cmd[1], cmd + 2, len - 2)
			       ? VIRTIO_NET_ERR
			       : VIRTIO_NET_OK;
	case VIRTIO_NET_CTRL_GUEST_OFFLOADS:
		return cmd[1] == VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET
			       ? set_guest_offloads(n, cmd + 2, len - 2)
			       : VIRTIO_NET_ERR;
	default:
		return VIRTIO_NET_ERR;
	}
}

static void on_ctrl_kick(void *arg, uint32_t events)
{
	struct net *n = arg;
	struct virtq *vq = &n->vq[CTRL];
	uint8_t cmd[MAX_COMMAND];
	struct virtq_chain c;
	unsigned int left = BUDGET;
	int ret = 0;

	(void)events;
	virtq_ack_kick(vq);
	do {
		while (left && (ret = virtq_pop(vq, &c, n->tx_iov, VIRTQ_SIZE_MAX)) > 0) {
			const size_t len = iov_to_buf(n->tx_iov, c.nr_out, 0, cmd, sizeof(cmd));
			const uint8_t ack =
				c.out_len > sizeof(cmd) ? VIRTIO_NET_ERR : command(n, cmd, len);

			left--;
			n->ctrl.commands++;
			n->ctrl.refused += ack != VIRTIO_NET_OK;
			virtq_push(
				vq, c.head,
				(uint32_t)iov_from_buf(n->tx_iov + c.nr_out, c.nr_in, 0, &ack, 1));
		}
		virtio_publish(&n->dev, CTRL);
	} while (left && !ret && virtq_kicks_on(vq));
	if (ret == -EPROTO)
		virtio_fail(&n->dev, "its control ring is broken");
	if (!left) /* the frames' turn; then come back */
		event_signal(vq->kick_fd);
}

/* ---- life ---- */

static int net_activate(struct virtio_dev *dev)
{
	struct net *n = to_net(dev);
	int ret;

	net_filter_init(&n->filter, n->config.mac, dev->features);
	ret = n->backend_gone ? 0 : n->be->ops->set_offload(n->be, guest_offload(n, dev->features));
	if (ret) {
		log_error("%s: the tap does not take the guest's offloads: %s", dev->name,
			  strerror(-ret));
		return ret;
	}
	n->window.first = n->window.nr = n->window.first_iov = n->window.nr_iov = 0;
	n->window.bytes = 0; /* a held frame stays, like those that wait in the backend */
	n->rx_wait = n->tx_wait = false;
	n->rx_ready = true;
	virtq_kicks_off(&n->vq[RX]);
	ret = loop_create(&n->loop, dev->name);
	if (ret)
		return ret;
	n->rx_kick = (struct loop_watch){ .fd = n->vq[RX].kick_fd, .ready = on_rx_kick, .arg = n };
	n->tx_kick = (struct loop_watch){ .fd = n->vq[TX].kick_fd, .ready = on_tx_kick, .arg = n };
	n->ctrl_kick =
		(struct loop_watch){ .fd = n->vq[CTRL].kick_fd, .ready = on_ctrl_kick, .arg = n };
	n->backend = (struct loop_watch){ .fd = n->be->fd, .ready = on_backend, .arg = n };
	loop_set_work(n->loop, net_work, n);
	ret = loop_watch(n->loop, &n->rx_kick, EPOLLIN);
	if (!ret)
		ret = loop_watch(n->loop, &n->tx_kick, EPOLLIN);
	if (!ret)
		ret = loop_watch(n->loop, &n->ctrl_kick, EPOLLIN);
	if (!ret && !n->backend_gone)
		ret = loop_watch(n->loop, &n->backend, EPOLLIN);
	if (!ret)
		ret = loop_start(n->loop, THREAD_NET, NULL);
	if (ret) {
		loop_destroy(n->loop);
		n->loop = NULL;
	}
	return ret;
}

static void net_reset(struct virtio_dev *dev)
{
	struct net *n = to_net(dev);

	loop_join(n->loop);
	loop_destroy(n->loop);
	n->loop = NULL;
	n->be->ops->set_offload(n->be, 0);
}

static const struct virtio_ops net_ops = { .activate = net_activate, .reset = net_reset };

/* What the card can offer in front of this backend. */
static uint64_t offered_features(const struct net *n, const struct virtio_net_params *params)
{
	const unsigned int off = params->offload ? n->be->offload : 0;
	uint64_t f = BIT_ULL(VIRTIO_NET_F_MAC) | BIT_ULL(VIRTIO_NET_F_STATUS) |
		     BIT_ULL(VIRTIO_NET_F_CTRL_VQ) | BIT_ULL(VIRTIO_NET_F_CTRL_RX) |
		     BIT_ULL(VIRTIO_NET_F_CTRL_RX_EXTRA) | BIT_ULL(VIRTIO_NET_F_CTRL_MAC_ADDR);

	if (params->mergeable)
		f |= BIT_ULL(VIRTIO_NET_F_MRG_RXBUF);
	if (n->be->mtu)
		f |= BIT_ULL(VIRTIO_NET_F_MTU);
	if (off & TUN_F_CSUM)
		f |= BIT_ULL(VIRTIO_NET_F_CSUM) | BIT_ULL(VIRTIO_NET_F_GUEST_CSUM) |
		     BIT_ULL(VIRTIO_NET_F_CTRL_GUEST_OFFLOADS);
	if (off & TUN_F_TSO4)
		f |= BIT_ULL(VIRTIO_NET_F_HOST_TSO4) | BIT_ULL(VIRTIO_NET_F_GUEST_TSO4);
	if (off & TUN_F_TSO6)
		f |= BIT_ULL(VIRTIO_NET_F_HOST_TSO6) | BIT_ULL(VIRTIO_NET_F_GUEST_TSO6);
	if (off & TUN_F_TSO_ECN)
		f |= BIT_ULL(VIRTIO_NET_F_HOST_ECN) | BIT_ULL(VIRTIO_NET_F_GUEST_ECN);
	if (off & TUN_F_USO4)
		f |= BIT_ULL(VIRTIO_NET_F_HOST_USO) | BIT_ULL(VIRTIO_NET_F_GUEST_USO4) |
		     BIT_ULL(VIRTIO_NET_F_GUEST_USO6);
	return f;
}

static void register_counters(struct net *n)
{
	const struct {
		const char *name;
		const struct counter_desc *desc;
		const void *base;
	} groups[NR_QUEUES] = {
		[RX] = { "rx", rx_desc, &n->rx },
		[TX] = { "tx", tx_desc, &n->tx },
		[CTRL] = { "ctrl", ctrl_desc, &n->ctrl },
	};

	for (int i = 0; i < NR_QUEUES; i++) {
		snprintf(n->group_names[i], sizeof(n->group_names[i]), "%s.%s", n->dev.name,
			 groups[i].name);
		n->groups[i] = (struct counter_group){ .name = n->group_names[i],
						       .desc = groups[i].desc,
						       .base = groups[i].base };
		counters_register(&n->groups[i]);
	}
}

int virtio_net_create(struct virtio_dev **out, const char *name, const struct guestmem *mem,
		      struct netbe *be, const struct virtio_net_params *params)
{
	struct net *n = calloc(1, sizeof(*n));
	int ret = n ? 0 : -ENOMEM;

	if (!n) {
		be->ops->close(be);
		goto out;
	}
	n->be = be;
	n->poll_ns = params->poll_us * 1000ull;
	memcpy(n->config.mac, params->mac, sizeof(n->config.mac));
	n->config.status = VIRTIO_NET_S_LINK_UP;
	n->config.mtu = (uint16_t)be->mtu;
	n->spill = malloc(2 * MAX_FRAME);
	n->held = n->spill + MAX_FRAME;
	for (int i = 0; i < NR_QUEUES; i++)
		n->vq[i].kick_fd = -1;
	for (int i = 0; !ret && i < NR_QUEUES; i++)
		ret = virtq_init(&n->vq[i], i == CTRL ? CTRL_QUEUE_SIZE : params->queue_size);
	if (!n->spill)
		ret = -ENOMEM;
	n->dev.ops = &net_ops;
	n->dev.name = name;
	n->dev.device_id = VIRTIO_ID_NET;
	n->dev.device_features = offered_features(n, params);
	n->dev.vq = n->vq;
	n->dev.nr_vqs = NR_QUEUES;
	n->dev.config = &n->config;
	n->dev.config_len = offsetof(struct virtio_net_config, mtu) + sizeof(n->config.mtu);
	n->dev.mem = mem;
	virtio_init(&n->dev);
	register_counters(n);
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
	for (int i = 0; i < NR_QUEUES; i++) {
		counters_unregister(&n->groups[i]);
		virtq_destroy(&n->vq[i]);
	}
	n->be->ops->close(n->be);
	free(n->spill);
	free(n);
}
