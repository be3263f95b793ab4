/* Reception: from the backend's queues to the guest's buffers. */
#include "devices/virtio/net_pair_internal.h"

#include <errno.h>
#include <string.h>

#define ERROR_PAUSE (1000 * 1000ull) /* ns: a backend that fails stays readable */

/*
 * How long, in ns, a frame may wait for more buffers. A driver that is merely slow posts some by then; one
 * that will not, because it sees no need with those that it has out, must not stop the card for ever.
 */
#define MAX_WAIT (500 * 1000 * 1000ull)

static bool is_ours(const struct net_pair *n, unsigned int source)
{
	return n->sources & BIT(source);
}

/* Have the timer expire when the first of our sources is due. */
static void set_timer(struct net_pair *n)
{
	uint64_t first = UINT64_MAX;

	for (unsigned int i = 0; i < n->p.be->pairs; i++)
		if (is_ours(n, i) && n->p.source[i].due)
			first = MIN(first, n->p.source[i].due);
	if (first == UINT64_MAX) {
		loop_timer_set(&n->rx_timer, 0);
	} else {
		const uint64_t now = now_ns();

		loop_timer_set(&n->rx_timer, first > now ? first - now : 1);
	}
}

static void set_due(struct net_pair *n, struct net_source *s, uint64_t ns)
{
	s->due = ns ? now_ns() + ns : 0;
	set_timer(n);
}

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
	struct rx_counters *count = &n->counters.rx;
	unsigned int nr_iov;
	const struct iovec *iov = rx_window_iov(&n->window, &nr_iov);
	const uint16_t nr_chains = rx_window_chains(&n->window, len);

	/* 5.1.6.4.1: 1 without mergeable buffers. */
	iov_from_buf(iov, nr_iov, offsetof(struct virtio_net_hdr_v1, num_buffers), &nr_chains,
		     sizeof(nr_chains));
	pcap_frame(n->p.pcap, n->p.index, PCAP_TO_GUEST, iov, nr_iov, n->hdr_len, len - n->hdr_len);
	count->packets++;
	count->bytes += len - n->hdr_len;
	if (!count->first_packet)
		count->first_packet = now_ns();
	rx_window_give(&n->window, len);
}

/* Whether the guest gets the frame that begins with @start, header first; counts it if not. */
static bool rx_judge(struct net_pair *n, const uint8_t *start, size_t len)
{
	const uint8_t *frame = start + n->hdr_len;
	struct virtio_net_hdr_v1 hdr;

	memcpy(&hdr, start, sizeof(hdr));
	if (!net_filter_accepts(&n->filter, frame))
		n->counters.rx.drop_filtered++;
	else if (!net_filter_offload_is_on(&n->filter, &hdr))
		n->counters.rx.drop_offload++;
	else if (!net_filter_within_mtu(&n->filter, &hdr, frame, len - n->hdr_len))
		n->counters.rx.drop_mtu++;
	else
		return true;
	return false;
}

/* What is behind NETBE_HDR_LEN in the header of a frame of which @len bytes begin at @frame. */
struct hash_header {
	uint32_t value;
	uint16_t report, padding;
};
_Static_assert(sizeof(struct hash_header) == NETBE_HDR_HASH_LEN - NETBE_HDR_LEN,
	       "as struct virtio_net_hdr_v1_hash ends");

static struct hash_header hash_header(const struct net_pair *n, const uint8_t *frame, size_t len)
{
	struct hash_header h = { .padding = 0 };

	h.report = rxhash_frame(&n->hash, frame, len, &h.value);
	return h;
}

/* It was held for a driver that had another header. */
static void reshape_held(const struct net_pair *n, struct net_source *s)
{
	const size_t len = s->held_len - s->held_hdr;
	struct hash_header h;

	if (!s->held_len || s->held_hdr == n->hdr_len)
		return;
	memmove(s->held + n->hdr_len, s->held + s->held_hdr, len);
	s->held_hdr = n->hdr_len;
	s->held_len = n->hdr_len + len;
	h = hash_header(n, s->held + n->hdr_len, len);
	if (n->hdr_len == NETBE_HDR_HASH_LEN)
		memcpy(s->held + NETBE_HDR_LEN, &h, sizeof(h));
}

/* A frame was held back for want of buffers: does it fit now? True if it is out of the way. */
static bool rx_deliver_held(struct net_pair *n, struct net_source *s)
{
	struct rx_window *w = &n->window;
	unsigned int nr_iov;

	reshape_held(n, s);
	if (!s->held_len)
		return true;
	const bool room = rx_fill(n, s->held_len);
	s->waiting = 0; /* it is counted once, by this or by what becomes of it */
	if (!rx_judge(n, s->held, s->held_len)) {
		/* Another driver has come, or it has changed its mind. */
	} else if (rx_window_room(w) >= s->held_len) {
		const struct iovec *iov = rx_window_iov(w, &nr_iov);

		iov_from_buf(iov, nr_iov, 0, s->held, s->held_len);
		rx_complete(n, s->held_len);
	} else if (!room || w->nr == n->rxq->size || s->held_long || (!w->mergeable && w->nr)) {
		n->counters.rx.drop_too_big++; /* all that the guest has is not enough */
	} else {
		s->waiting = 1;
		return false;
	}
	s->held_len = 0;
	set_due(n, s, 0);
	return true;
}

static void rx_hold(struct net_pair *n, struct net_source *s, const struct iovec *iov,
		    unsigned int nr_iov, size_t len, const struct hash_header *h)
{
	const size_t in_window = iov_to_buf(iov, nr_iov, 0, s->held, len);

	memcpy(s->held + in_window, n->spill, len - in_window);
	if (h)
		memcpy(s->held + NETBE_HDR_LEN, h, sizeof(*h));
	n->counters.rx.held++;
	s->held_len = len;
	s->held_hdr = n->hdr_len;
	s->waiting = 1;
	s->held_long = false;
	set_due(n, s, MAX_WAIT);
}

static void rx_pause(struct net_pair *n, struct net_source *s, int err)
{
	s->ready = false;
	if (err == -EAGAIN)
		return;
	n->counters.rx.backend_errors += !netbe_is_end(err);
	if (net_pair_lose_backend(n, err))
		return;
	s->paused = true;
	net_pair_watch_backend(n);
	set_due(n, s, ERROR_PAUSE);
}

/* What the backend's queues have lost, as far as that is known. */
static uint64_t lost_in_backend(const struct net_pair *n)
{
	struct netbe_host host;

	return n->p.be->ops->host && !n->p.be->ops->host(n->p.be, &host, false)
		       ? host.queue_full
		       : LEDGER_NOT_STARVED;
}

void net_rx_end_wait(struct net_pair *n)
{
	const uint64_t lost =
		n->starved_since == LEDGER_NOT_STARVED ? LEDGER_NOT_STARVED : lost_in_backend(n);

	if (lost != LEDGER_NOT_STARVED)
		n->counters.rx.starved_lost += lost - n->starved_since;
	n->starved_since = LEDGER_NOT_STARVED;
	n->rx_wait = false;
}

/* No buffers: the frames stay with the backend until the guest kicks. False if some came just now. */
static bool rx_starve(struct net_pair *n)
{
	if (virtq_kicks_on(n->rxq))
		return false;
	n->counters.rx.starved++;
	n->rx_wait = true;
	net_pair_watch_backend(n);
	n->starved_since = lost_in_backend(n);
	return true;
}

/* Read one frame. The spill stands behind the window's end: nothing of a large frame is lost unseen. */
static ssize_t rx_read(struct net_pair *n, unsigned int source, struct iovec *iov,
		       unsigned int nr_iov)
{
	const struct iovec behind = iov[nr_iov];
	ssize_t len;

	iov[nr_iov] = (struct iovec){ n->spill, MAX_FRAME };
	len = n->p.be->ops->recv(n->p.be, source, iov, (int)nr_iov + 1);
	iov[nr_iov] = behind;
	n->counters.rx.taken += len >= 0;
	return len;
}

/* A frame of @len bytes stands in @iov, and what exceeds its @capacity in the spill. */
static void rx_frame(struct net_pair *n, struct net_source *s, const struct iovec *iov,
		     unsigned int nr_iov, size_t capacity, size_t len)
{
	uint8_t start[NETBE_HDR_HASH_LEN + RXHASH_LOOKS];
	const bool reports = n->hdr_len == NETBE_HDR_HASH_LEN;
	const size_t looks = MIN(len, n->hdr_len + (reports ? RXHASH_LOOKS : NET_FILTER_LOOKS));
	const uint8_t no_flags = 0;
	struct hash_header h;

	if (len < n->hdr_len + ETH_HEADER) {
		n->counters.rx.drop_runt++;
		return;
	}
	/* Only the first bytes may be split between the window and the spill. */
	const size_t in_window = iov_to_buf(iov, nr_iov, 0, start, looks);
	memcpy(start + in_window, n->spill, looks - in_window);
	if (!rx_judge(n, start, len))
		return;
	if (reports) {
		h = hash_header(n, start + n->hdr_len, looks - n->hdr_len);
		iov_from_buf(iov, nr_iov, NETBE_HDR_LEN, &h, sizeof(h));
	}
	/* That the host has found the checksum valid is not to be told without GUEST_CSUM (5.1.6.4.1). */
	if (start[0] && !(n->filter.offloads & NET_F(GUEST_CSUM)))
		iov_from_buf(iov, nr_iov, 0, &no_flags, 1);
	if (len <= capacity)
		rx_complete(n, len);
	else if (len - n->hdr_len > MAX_BYTES) /* for the next driver it may get a longer header */
		n->counters.rx.drop_too_big++;
	else
		rx_hold(n, s, iov, nr_iov, len, reports ? &h : NULL);
}

/* One frame from the backend. False when there is nothing to do before the next event. */
static bool rx_one(struct net_pair *n, unsigned int source)
{
	struct net_source *s = &n->p.source[source];
	unsigned int nr_iov;
	struct iovec *iov;
	size_t capacity;
	ssize_t len;

	if (!rx_deliver_held(n, s))
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
	len = rx_read(n, source, iov, nr_iov);
	if (len < 0)
		rx_pause(n, s, (int)len);
	else
		rx_frame(n, s, iov, nr_iov, capacity, (size_t)len);
	return len >= 0;
}

/* Up to a budget of frames from one source; how many. */
static unsigned int read_source(struct net_pair *n, unsigned int source)
{
	unsigned int done = 0;

	while (done < BUDGET && is_ours(n, source) && n->p.source[source].ready && !n->rx_wait &&
	       rx_one(n, source))
		done++;
	return done;
}

unsigned int net_rx_work(struct net_pair *n)
{
	const unsigned int nr = n->p.be->pairs;
	unsigned int done = 0;

	/* Where buffers are few, they go to another source each time. */
	for (unsigned int i = 0; i < nr && !n->rx_wait; i++)
		done += read_source(n, (n->turn + i) % nr);
	n->turn = (n->turn + 1) % nr;
	virtio_publish(n->p.dev, n->rx_queue);
	return done;
}

/* It goes nowhere any more. A host that goes on sending does not keep us here. */
void net_rx_count_unread(void *pair)
{
	struct net_pair *n = pair;
	struct iovec iov = { n->spill, MAX_FRAME };

	while (n->counters.rx.unread < MAX_UNREAD &&
	       n->p.be->ops->recv(n->p.be, n->p.index, &iov, 1) >= 0) {
		n->counters.rx.taken++;
		n->counters.rx.unread++;
	}
}

/* ---- events ---- */

void net_rx_look(struct net_pair *n)
{
	net_rx_end_wait(n);
	for (unsigned int i = 0; i < n->p.be->pairs; i++) {
		struct net_source *s = &n->p.source[i];

		if (!is_ours(n, i))
			continue;
		s->paused = false;
		s->ready = !netbe_is_gone(n->p.be);
		s->due = s->held_len ? now_ns() + MAX_WAIT : 0;
	}
	set_timer(n);
}

void net_rx_ready(struct net_pair *n, unsigned int source)
{
	struct net_source *s = &n->p.source[source];

	if (is_ours(n, source) && !s->paused)
		s->ready = true;
}

void net_rx_kicked(struct net_pair *n)
{
	if (!n->rx_wait)
		return;
	net_rx_end_wait(n);
	for (unsigned int i = 0; i < n->p.be->pairs; i++)
		if (is_ours(n, i))
			n->p.source[i].ready = true;
	virtq_kicks_off(n->rxq);
	net_pair_watch_backend(n);
}

/* The end of a pause, or of patience: frames behind the one that is held come through again. */
void net_rx_expired(void *pair)
{
	struct net_pair *n = pair;
	const uint64_t now = now_ns();

	for (unsigned int i = 0; i < n->p.be->pairs; i++) {
		struct net_source *s = &n->p.source[i];

		if (!is_ours(n, i) || !s->due || s->due > now)
			continue;
		s->due = 0;
		s->paused = false;
		if (s->held_len) {
			s->held_long = true;
			s->ready = true;
			net_rx_end_wait(n);
		}
	}
	set_timer(n);
	net_pair_watch_backend(n);
}
