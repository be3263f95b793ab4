/* Receive chains taken ahead of the frames. */
#include "devices/virtio/rx_window.h"

#include <string.h>

#define MAX_USELESS 64u /* chains that are no buffers, before others get their turn */

void rx_window_init(struct rx_window *w, struct virtq *vq, bool mergeable)
{
	w->vq = vq;
	w->mergeable = mergeable;
	w->first = w->nr = w->first_iov = w->nr_iov = 0;
	w->bytes = 0;
}

static void compact(struct rx_window *w)
{
	memmove(w->chain, w->chain + w->first, w->nr * sizeof(w->chain[0]));
	memmove(w->iov, w->iov + w->first_iov, w->nr_iov * sizeof(w->iov[0]));
	w->first = w->first_iov = 0;
}

static bool is_behind(const struct iovec *a, const struct iovec *b)
{
	return b->iov_base == (uint8_t *)a->iov_base + a->iov_len;
}

/*
 * Put the buffers of @c, which are in the iovec behind the end, into the window. Those that lie one behind the other, as a
 * driver's often do, become one: readv() pays for each.
 */
static void append(struct rx_window *w, const struct virtq_chain *c)
{
	unsigned int end = w->first_iov + w->nr_iov;
	const struct iovec *from = w->iov + end;

	for (const struct iovec *v = from; v < from + c->nr_in; v++) {
		if (w->nr_iov && is_behind(&w->iov[end - 1], v)) {
			w->iov[end - 1].iov_len += v->iov_len;
		} else {
			w->iov[end++] = *v;
			w->nr_iov++;
		}
	}
	w->chain[w->first + w->nr++] = *c;
	w->bytes += c->in_len;
}

/* Take @len bytes at the start out of the iovec. */
static void skip(struct rx_window *w, size_t len)
{
	while (len) {
		struct iovec *v = &w->iov[w->first_iov];
		const size_t n = MIN(len, v->iov_len);

		v->iov_base = (uint8_t *)v->iov_base + n;
		v->iov_len -= n;
		len -= n;
		if (!v->iov_len) {
			w->first_iov++;
			w->nr_iov--;
		}
	}
}

int rx_window_fill(struct rx_window *w, size_t want)
{
	unsigned int useless = 0;

	while (useless < MAX_USELESS && (w->mergeable ? w->bytes < want : !w->nr)) {
		struct virtq_chain c;
		unsigned int end = w->first_iov + w->nr_iov;
		int ret;

		if (w->first + w->nr == VIRTQ_SIZE_MAX || RX_WINDOW_IOVS - end < VIRTQ_SIZE_MAX) {
			compact(w);
			end = w->nr_iov;
		}
		ret = virtq_pop(w->vq, &c, w->iov + end, RX_WINDOW_IOVS - end);
		if (ret <= 0)
			return ret;
		if (c.nr_out || !c.in_len) {
			virtq_push(w->vq, &c, 0); /* or the ring would silt up */
			useless++;
			continue;
		}
		append(w, &c);
	}
	return 0;
}

size_t rx_window_room(const struct rx_window *w)
{
	if (!w->nr)
		return 0;
	return w->mergeable ? w->bytes : w->chain[w->first].in_len;
}

struct iovec *rx_window_iov(struct rx_window *w, unsigned int *nr)
{
	*nr = w->nr_iov;
	return w->iov + w->first_iov;
}

uint16_t rx_window_chains(const struct rx_window *w, size_t len)
{
	unsigned int n = 0;

	for (size_t room = 0; room < len; n++)
		room += w->chain[w->first + n].in_len;
	return (uint16_t)n;
}

void rx_window_give(struct rx_window *w, size_t len)
{
	while (len) {
		const struct virtq_chain *c = &w->chain[w->first++];
		const uint32_t part = (uint32_t)MIN(len, (size_t)c->in_len);

		virtq_push(w->vq, c, part);
		w->nr--;
		w->bytes -= c->in_len;
		skip(w, c->in_len);
		len -= part;
	}
	if (!w->nr)
		w->first = w->first_iov = w->nr_iov = 0;
}
