/*
 * A queue pair: its I/O thread and the way of a frame.
 *
 * All work is done in pair_work(), which the loop calls before it would block: callbacks only note what is
 * ready.
 */
#include "devices/virtio/net_pair.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "devices/virtio/rx_window.h"
#include "vmm/base/loop.h"

#define ETH_HEADER  14
#define MAX_FRAME   (NETBE_HDR_LEN + ETH_HEADER + 4 + 65535u) /* the largest that a tap hands out */
#define BUDGET	    64u /* frames one way before the other way gets its turn, and a publication */
#define ERROR_PAUSE (1000 * 1000ull) /* ns: a backend that fails stays readable */

/*
 * How long, in ns, a frame may wait for more buffers. A driver that is merely slow posts some by then; one
 * that will not, because it sees no need with those that it has out, must not stop the card for ever.
 */
#define MAX_WAIT (500 * 1000 * 1000ull)

struct rx_counters {
	uint64_t packets, bytes;
	uint64_t starved;	/* times that the guest had no buffer: frames wait in the backend */
	uint64_t held;		/* frames that had to wait for a second helping of buffers */
	uint64_t drop_too_big;	/* larger than all buffers that the guest offers */
	uint64_t drop_filtered; /* not for the guest's addresses */
	uint64_t drop_offload;	/* in need of an offload that the driver has not on (any longer) */
	uint64_t drop_mtu;	/* longer than the MTU that the driver was told */
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

/* clang-format off */
#define RX(field) COUNTER(struct rx_counters, field)
#define TX(field) COUNTER(struct tx_counters, field)

static const struct counter_desc rx_desc[] = {
	RX(packets), RX(bytes), RX(starved), RX(held), RX(drop_too_big), RX(drop_filtered), RX(drop_offload),
	RX(drop_mtu), RX(drop_runt), RX(backend_errors), COUNTER_TIME(struct rx_counters, first_packet),
	COUNTER_END,
};

static const struct counter_desc tx_desc[] = {
	TX(packets), TX(bytes), TX(blocked), TX(drop_malformed), TX(drop_bad_header), TX(drop_down),
	TX(drop_error), COUNTER_TIME(struct tx_counters, first_packet), COUNTER_END,
};
/* clang-format on */

struct net_pair {
	struct net_pair_params p;
	struct virtq *rxq, *txq;
	unsigned int rx_queue, tx_queue;

	/* The I/O thread and what is its own while it runs. */
	struct loop *loop;
	struct loop_watch rx_kick, tx_kick, backend;
	struct loop_timer rx_timer; /* ends a pause, or the wait of a held frame */
	bool rx_ready;		    /* the backend may have a frame */
	bool rx_wait;		    /* no buffers: leave the backend alone until the guest kicks */
	bool rx_pause;		    /* it failed: leave it alone until the timer */
	bool tx_wait; /* the backend took no more: leave the ring alone until EPOLLOUT */
	uint64_t busy_until;
	struct rx_window window;
	struct iovec tx_iov[VIRTQ_SIZE_MAX];
	uint8_t *spill;	 /* MAX_FRAME bytes: where a frame goes on that exceeds the window */
	uint8_t *held;	 /* MAX_FRAME bytes: a whole frame that waits for buffers ... */
	size_t held_len; /* ... unless 0 */
	bool held_long;	 /* it has waited long enough */
	int error;	 /* of net_pair_start() */

	struct rx_counters rx;
	struct tx_counters tx;
	struct counter_group groups[2];
	char group_names[2][24];
};

/* ---- the backend's events ---- */

static void watch_backend(struct net_pair *n)
{
	uint32_t events = 0;

	/* A tap that is gone reports an error for ever, whatever is asked for. */
	if (!netbe_is_gone(n->p.be))
		events = (n->rx_wait || n->rx_pause ? 0 : EPOLLIN) | (n->tx_wait ? EPOLLOUT : 0);
	loop_watch(n->loop, &n->backend, events);
}

/* @err came from the backend: is it gone? */
static bool lose_backend(struct net_pair *n, int err)
{
	if (!netbe_lost(n->p.be, n->p.dev->name, err))
		return false;
	n->tx_wait = false;
	watch_backend(n);
	return true;
}

/* ---- receive: backend to guest ---- */

/* Take buffers for a frame of @want bytes; false if some must be used up before more can be taken. */
static bool rx_fill(struct net_pair *n, size_t want)
{
	const int ret = rx_window_fill(&n->window, want);

	if (ret == -EPROTO)
		virtio_fail(n->p.dev, "its receive ring is broken");
	return ret != -ENOBUFS;
}

/* Give @len bytes at the window's start to the guest, as one frame. */
static void rx_complete(struct net_pair *n, size_t len)
{
	unsigned int nr_iov;
	const struct iovec *iov = rx_window_iov(&n->window, &nr_iov);
	const uint16_t nr_chains = rx_window_give(&n->window, len);

	n->rx.packets++;
	n->rx.bytes += len - NETBE_HDR_LEN;
	if (!n->rx.first_packet)
		n->rx.first_packet = now_ns();
	/* 5.1.6.4.1: 1 without mergeable buffers. Not published yet, so still ours. */
	iov_from_buf(iov, nr_iov, offsetof(struct virtio_net_hdr_v1, num_buffers), &nr_chains,
		     sizeof(nr_chains));
}

/* Whether the guest gets the frame that begins with @start, header first; counts it if not. */
static bool rx_judge(struct net_pair *n, const uint8_t *start, size_t len)
{
	const uint8_t *frame = start + NETBE_HDR_LEN;
	struct virtio_net_hdr_v1 hdr;

	memcpy(&hdr, start, sizeof(hdr));
	if (!net_filter_accepts(n->p.filter, frame))
		n->rx.drop_filtered++;
	else if (!net_filter_offload_is_on(n->p.filter, &hdr))
		n->rx.drop_offload++;
	else if (!net_filter_within_mtu(n->p.filter, &hdr, frame, len - NETBE_HDR_LEN))
		n->rx.drop_mtu++;
	else
		return true;
	return false;
}

/* A frame was held back for want of buffers: does it fit now? True if it is out of the way. */
static bool rx_deliver_held(struct net_pair *n)
{
	struct rx_window *w = &n->window;
	unsigned int nr_iov;

	if (!n->held_len)
		return true;
	const bool room = rx_fill(n, n->held_len);
	if (!rx_judge(n, n->held, n->held_len)) {
		/* Another driver has come, or it has changed its mind. */
	} else if (rx_window_room(w) >= n->held_len) {
		const struct iovec *iov = rx_window_iov(w, &nr_iov);

		iov_from_buf(iov, nr_iov, 0, n->held, n->held_len);
		rx_complete(n, n->held_len);
	} else if (!room || w->nr == n->rxq->size || n->held_long || (!w->mergeable && w->nr)) {
		n->rx.drop_too_big++; /* all that the guest has is not enough */
	} else {
		return false;
	}
	n->held_len = 0;
	loop_timer_set(&n->rx_timer, 0);
	return true;
}

static void rx_hold(struct net_pair *n, const struct iovec *iov, unsigned int nr_iov, size_t len)
{
	const size_t in_window = iov_to_buf(iov, nr_iov, 0, n->held, len);

	memcpy(n->held + in_window, n->spill, len - in_window);
	n->rx.held++;
	n->held_len = len;
	n->held_long = false;
	loop_timer_set(&n->rx_timer, MAX_WAIT);
}

static void rx_pause(struct net_pair *n, int err)
{
	n->rx_ready = false;
	if (err == -EAGAIN)
		return;
	n->rx.backend_errors++;
	if (lose_backend(n, err))
		return;
	n->rx_pause = true;
	watch_backend(n);
	loop_timer_set(&n->rx_timer, ERROR_PAUSE);
}

/* The end of a pause, or of patience: frames behind the one that is held come through again. */
static void on_rx_timer(void *arg)
{
	struct net_pair *n = arg;

	if (n->held_len) {
		n->held_long = true;
		n->rx_wait = false;
		n->rx_ready = true;
	}
	n->rx_pause = false;
	watch_backend(n);
}

/* No buffers: the frames stay with the backend until the guest kicks. False if some came just now. */
static bool rx_starve(struct net_pair *n)
{
	if (virtq_kicks_on(n->rxq))
		return false;
	n->rx.starved++;
	n->rx_wait = true;
	watch_backend(n);
	return true;
}

/* Read one frame. The spill stands behind the window's end: nothing of a large frame is lost unseen. */
static ssize_t rx_read(struct net_pair *n, struct iovec *iov, unsigned int nr_iov)
{
	const struct iovec behind = iov[nr_iov];
	ssize_t len;

	iov[nr_iov] = (struct iovec){ n->spill, MAX_FRAME };
	len = n->p.be->ops->recv(n->p.be, n->p.index, iov, (int)nr_iov + 1);
	iov[nr_iov] = behind;
	return len;
}

/* A frame of @len bytes stands in @iov, and what exceeds its @capacity in the spill. */
static void rx_frame(struct net_pair *n, const struct iovec *iov, unsigned int nr_iov,
		     size_t capacity, size_t len)
{
	uint8_t start[NETBE_HDR_LEN + ETH_HEADER];
	const uint8_t no_flags = 0;

	if (len < sizeof(start)) {
		n->rx.drop_runt++;
		return;
	}
	/* Only the first bytes may be split between the window and the spill. */
	const size_t in_window = iov_to_buf(iov, nr_iov, 0, start, sizeof(start));
	memcpy(start + in_window, n->spill, sizeof(start) - in_window);
	if (!rx_judge(n, start, len))
		return;
	/* That the host has found the checksum valid is not to be told without GUEST_CSUM (5.1.6.4.1). */
	if (start[0] && !(n->p.filter->offloads & NET_F(GUEST_CSUM)))
		iov_from_buf(iov, nr_iov, 0, &no_flags, 1);
	if (len <= capacity)
		rx_complete(n, len);
	else if (len > MAX_FRAME)
		n->rx.drop_too_big++;
	else
		rx_hold(n, iov, nr_iov, len);
}

/* One frame from the backend. False when there is nothing to do before the next event. */
static bool rx_one(struct net_pair *n)
{
	unsigned int nr_iov;
	struct iovec *iov;
	size_t capacity;
	ssize_t len;

	if (!rx_deliver_held(n))
		return !rx_starve(n);
	rx_fill(n, MAX_FRAME);
	capacity = rx_window_room(&n->window);
	if (!capacity)
		return !rx_starve(n);
	iov = rx_window_iov(&n->window, &nr_iov);
	if (nr_iov >= VIRTQ_SIZE_MAX) { /* more than one readv takes */
		nr_iov = VIRTQ_SIZE_MAX - 1;
		capacity = iov_size(iov, nr_iov);
	}
	len = rx_read(n, iov, nr_iov);
	if (len < 0)
		rx_pause(n, (int)len);
	else
		rx_frame(n, iov, nr_iov, capacity, (size_t)len);
	return len >= 0;
}

static bool rx_work(struct net_pair *n)
{
	unsigned int done = 0;

	while (done < BUDGET && n->rx_ready && !n->rx_wait && rx_one(n))
		done++;
	virtio_publish(n->p.dev, n->rx_queue);
	return done > 0;
}

/* ---- transmit: guest to backend ---- */

/* Counts the chain by its fate; false if it must stay in the ring. */
static bool tx_one(struct net_pair *n, const struct virtq_chain *c)
{
	int err;

	if (c->nr_in || c->out_len < NETBE_HDR_LEN + ETH_HEADER) {
		n->tx.drop_malformed++;
		return true;
	}
	err = netbe_is_gone(n->p.be)
		      ? -EBADFD
		      : n->p.be->ops->send(n->p.be, n->p.index, n->tx_iov, c->nr_out);
	switch (err) {
	case 0:
		n->tx.packets++;
		n->tx.bytes += c->out_len - NETBE_HDR_LEN;
		if (!n->tx.first_packet)
			n->tx.first_packet = now_ns();
		break;
	case -EAGAIN:
		return false;
	case -EINVAL:
	case -EMSGSIZE:
		n->tx.drop_bad_header++;
		break;
	default:
		if (lose_backend(n, err) || err == -EIO)
			n->tx.drop_down++;
		else
			n->tx.drop_error++;
	}
	return true;
}

static bool tx_work(struct net_pair *n)
{
	struct virtq *vq = n->txq;
	struct virtq_chain c;
	unsigned int done = 0;
	int ret = 0;

	while (done < BUDGET && !n->tx_wait &&
	       (ret = virtq_pop(vq, &c, n->tx_iov, VIRTQ_SIZE_MAX)) > 0) {
		if (!tx_one(n, &c)) {
			virtq_unpop(vq, &c);
			n->tx.blocked++;
			n->tx_wait = true;
			watch_backend(n);
			break;
		}
		virtq_push(vq, &c, 0);
		done++;
	}
	if (ret == -EPROTO)
		virtio_fail(n->p.dev, "its transmit ring is broken");
	virtio_publish(n->p.dev, n->tx_queue);
	return done > 0;
}

/* ---- the I/O thread ---- */

/* Called by the loop before it blocks; true to be called again at once. */
static bool pair_work(void *arg)
{
	struct net_pair *n = arg;
	const bool worked = tx_work(n) | rx_work(n);

	if (worked) {
		if (n->p.poll_ns)
			n->busy_until = now_ns() + n->p.poll_ns;
		return true;
	}
	if (n->p.poll_ns && now_ns() < n->busy_until)
		return true;
	/* About to sleep: from here on the driver has to kick. */
	return !n->tx_wait && virtq_kicks_on(n->txq);
}

static void on_rx_kick(void *arg, uint32_t events)
{
	struct net_pair *n = arg;

	(void)events;
	virtq_ack_kick(n->rxq);
	if (n->rx_wait) {
		n->rx_wait = false;
		n->rx_ready = true;
		virtq_kicks_off(n->rxq);
		watch_backend(n);
	}
}

static void on_tx_kick(void *arg, uint32_t events)
{
	struct net_pair *n = arg;

	(void)events;
	virtq_ack_kick(n->txq);
	virtq_kicks_off(n->txq);
}

static void on_backend(void *arg, uint32_t events)
{
	struct net_pair *n = arg;

	if (events & (EPOLLIN | EPOLLERR | EPOLLHUP) && !n->rx_pause)
		n->rx_ready = true;
	if (events & (EPOLLOUT | EPOLLERR | EPOLLHUP) && n->tx_wait) {
		n->tx_wait = false;
		watch_backend(n);
	}
}

/* ---- life ---- */

static void stop(void *arg)
{
	struct net_pair *n = arg;

	loop_set_work(n->loop, NULL, NULL);
	loop_watch(n->loop, &n->rx_kick, 0);
	loop_watch(n->loop, &n->tx_kick, 0);
	loop_watch(n->loop, &n->backend, 0);
	loop_timer_set(&n->rx_timer, 0);
}

static void start(void *arg)
{
	struct net_pair *n = arg;

	n->rx_wait = n->rx_pause = n->tx_wait = false;
	n->rx_ready = !netbe_is_gone(n->p.be);
	if (n->held_len)
		loop_timer_set(&n->rx_timer, MAX_WAIT);
	virtq_kicks_off(n->rxq);
	n->error = loop_watch(n->loop, &n->rx_kick, EPOLLIN);
	if (!n->error)
		n->error = loop_watch(n->loop, &n->tx_kick, EPOLLIN);
	if (!n->error && !netbe_is_gone(n->p.be))
		n->error = loop_watch(n->loop, &n->backend, EPOLLIN);
	if (n->error)
		stop(n);
	else
		loop_set_work(n->loop, pair_work, n);
}

int net_pair_start(struct net_pair *n)
{
	/* A held frame stays, like those that wait in the backend. */
	rx_window_init(&n->window, n->rxq, virtio_has_feature(n->p.dev, VIRTIO_NET_F_MRG_RXBUF));
	return net_pair_resume(n);
}

int net_pair_resume(struct net_pair *n)
{
	loop_call(n->loop, start, n);
	return n->error;
}

void net_pair_stop(struct net_pair *n)
{
	loop_call(n->loop, stop, n);
}

struct loop *net_pair_loop(struct net_pair *n)
{
	return n->loop;
}

static void register_counters(struct net_pair *n)
{
	const void *const base[] = { &n->rx, &n->tx };

	for (unsigned int i = 0; i < 2; i++) {
		snprintf(n->group_names[i], sizeof(n->group_names[i]), "%s.%s", n->p.dev->name,
			 i ? "tx" : "rx");
		n->groups[i] = (struct counter_group){ .name = n->group_names[i],
						       .desc = i ? tx_desc : rx_desc,
						       .base = base[i] };
		counters_register(&n->groups[i]);
	}
}

int net_pair_create(struct net_pair **out, const struct net_pair_params *params)
{
	struct net_pair *n = calloc(1, sizeof(*n));
	int ret;

	if (!n)
		return -ENOMEM;
	n->p = *params;
	n->rx_queue = 2 * params->index;
	n->tx_queue = n->rx_queue + 1;
	n->rxq = &params->dev->vq[n->rx_queue];
	n->txq = &params->dev->vq[n->tx_queue];
	n->rx_kick = (struct loop_watch){ .fd = n->rxq->kick_fd, .ready = on_rx_kick, .arg = n };
	n->tx_kick = (struct loop_watch){ .fd = n->txq->kick_fd, .ready = on_tx_kick, .arg = n };
	n->backend = (struct loop_watch){ .fd = params->be->fd[params->index],
					  .ready = on_backend,
					  .arg = n };
	n->rx_timer = (struct loop_timer){ .expired = on_rx_timer, .arg = n };
	n->spill = malloc(2 * MAX_FRAME);
	n->held = n->spill + MAX_FRAME;
	ret = n->spill ? loop_create(&n->loop, params->name) : -ENOMEM;
	if (!ret)
		ret = loop_timer_init(n->loop, &n->rx_timer);
	if (!ret)
		ret = loop_start(n->loop, THREAD_NET, params->guard);
	if (ret) {
		net_pair_destroy(n);
		return ret;
	}
	register_counters(n);
	*out = n;
	return 0;
}

void net_pair_destroy(struct net_pair *n)
{
	if (!n)
		return;
	for (unsigned int i = 0; i < 2; i++)
		counters_unregister(&n->groups[i]);
	loop_join(n->loop);
	loop_timer_destroy(n->loop, &n->rx_timer);
	loop_destroy(n->loop);
	free(n->spill);
	free(n);
}
