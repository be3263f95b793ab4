/*
 * A packed virtqueue (virtio 1.2, 2.8), device side: one ring, in which the driver makes descriptors available and
 * the device writes used ones over them, each side with a lap counter of one bit.
 */
#include "devices/virtio/virtq_ring.h"

#include <errno.h>

#include "devices/virtio/virtq.h"

#define AVAIL BIT(VRING_PACKED_DESC_F_AVAIL)
#define USED  BIT(VRING_PACKED_DESC_F_USED)
#define WRAP  BIT(VRING_PACKED_EVENT_F_WRAP_CTR)

int packed_start(struct virtq *vq, const struct guestmem *mem)
{
	if (vq->desc_addr % 16 || vq->driver_addr % 4 || vq->device_addr % 4)
		return -EINVAL;
	vq->ring = guestmem_ptr(mem, vq->desc_addr, vq->size * sizeof(*vq->ring));
	vq->driver_event = guestmem_ptr(mem, vq->driver_addr, sizeof(*vq->driver_event));
	vq->device_event = guestmem_ptr(mem, vq->device_addr, sizeof(*vq->device_event));
	if (!vq->ring || !vq->driver_event || !vq->device_event)
		return -EINVAL;
	vq->avail_wrap = vq->used_wrap = true;
	vq->taken = vq->pushed = 0;
	return 0;
}

/* Move a position on by @n entries, at most a lap. */
static void advance(const struct virtq *vq, uint16_t *position, bool *wrap, unsigned int n)
{
	const unsigned int to = *position + n;

	*position = (uint16_t)(to < vq->size ? to : to - vq->size);
	if (to >= vq->size)
		*wrap = !*wrap;
}

static bool is_avail(uint16_t flags, bool wrap)
{
	return !!(flags & AVAIL) == wrap && !!(flags & USED) != wrap;
}

static int walk_table(struct chain_walk *w, const struct vring_packed_desc *table, unsigned int nr)
{
	struct vring_packed_desc d;
	int ret = 0;

	for (unsigned int i = 0; !ret && i < nr; i++) {
		copy_desc(&d, &table[i]);
		/* 2.8.7: one after the other; no flag but that one means anything. */
		ret = chain_add(w, d.addr, d.len, d.flags & VRING_DESC_F_WRITE);
	}
	return ret;
}

/* The chain at last_avail, which is available. */
static int walk(const struct virtq *vq, struct chain_walk *w)
{
	/* The driver has no more to give than what is neither taken nor pushed. */
	unsigned int left = vq->size - vq->taken, nr;
	struct vring_packed_desc d;
	uint16_t at = vq->last_avail;
	int ret;

	*w->chain = (struct virtq_chain){ 0 };
	for (;;) {
		if (!left--)
			return -EPROTO;
		copy_desc(&d, &vq->ring[at]);
		w->chain->nr_entries++;
		if (d.flags & VRING_DESC_F_INDIRECT) {
			const void *table = indirect_table(vq->mem, d.addr, d.len, &nr);

			if (!table || d.flags & VRING_DESC_F_NEXT)
				return -EPROTO;
			ret = walk_table(w, table, nr);
		} else {
			ret = chain_add(w, d.addr, d.len, d.flags & VRING_DESC_F_WRITE);
		}
		if (ret)
			return ret;
		if (!(d.flags & VRING_DESC_F_NEXT)) {
			w->chain->head = d.id; /* 2.8.6: the last one's counts */
			return 0;
		}
		at = (uint16_t)(at + 1 < vq->size ? at + 1 : 0);
	}
}

int packed_pop(struct virtq *vq, struct chain_walk *w)
{
	int ret;

	if (!is_avail(__atomic_load_n(&vq->ring[vq->last_avail].flags, __ATOMIC_ACQUIRE),
		      vq->avail_wrap))
		return 0;
	ret = walk(vq, w) ?: chain_end(w);
	if (ret)
		return ret;
	advance(vq, &vq->last_avail, &vq->avail_wrap, w->chain->nr_entries);
	vq->taken = (uint16_t)(vq->taken + w->chain->nr_entries);
	return 1;
}

void packed_unpop(struct virtq *vq, const struct virtq_chain *chain)
{
	if (vq->last_avail < chain->nr_entries) {
		vq->last_avail = (uint16_t)(vq->last_avail + vq->size);
		vq->avail_wrap = !vq->avail_wrap;
	}
	vq->last_avail = (uint16_t)(vq->last_avail - chain->nr_entries);
	vq->taken = (uint16_t)(vq->taken - chain->nr_entries);
}

/*
 * A used descriptor stands at the first entry that is free, whichever chain it is for, and the chain's other entries
 * are skipped. The driver stops at the first that is not used: its flags come last, when all is published.
 */
void packed_push(struct virtq *vq, const struct virtq_chain *chain, uint32_t written)
{
	struct vring_packed_desc *d = &vq->ring[vq->used_idx];
	const uint16_t flags =
		(uint16_t)((vq->used_wrap ? AVAIL | USED : 0) | (written ? VRING_DESC_F_WRITE : 0));

	WRITE_ONCE(d->id, chain->head);
	WRITE_ONCE(d->len, written);
	if (vq->pushed) {
		WRITE_ONCE(d->flags, flags);
	} else {
		vq->first_used = vq->used_idx;
		vq->first_flags = flags;
	}
	advance(vq, &vq->used_idx, &vq->used_wrap, chain->nr_entries);
	vq->pushed = (uint16_t)(vq->pushed + chain->nr_entries);
	vq->taken = (uint16_t)(vq->taken - chain->nr_entries);
}

/* Whether the position that the driver waits for is among those just published (2.8.10). */
static bool passed(const struct virtq *vq, uint16_t off_wrap)
{
	uint16_t event = off_wrap & (uint16_t)(WRAP - 1);

	if (!!(off_wrap & WRAP) != vq->used_wrap)
		event = (uint16_t)(event - vq->size);
	return vring_need_event(event, vq->used_idx, (uint16_t)(vq->used_idx - vq->pushed));
}

bool packed_publish(struct virtq *vq)
{
	uint16_t wish;
	bool wanted;

	__atomic_store_n(&vq->ring[vq->first_used].flags, vq->first_flags, __ATOMIC_RELEASE);
	/* The driver sets its wish, then looks at the ring; we the other way round. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	wish = __atomic_load_n(&vq->driver_event->flags, __ATOMIC_ACQUIRE);
	if (wish == VRING_PACKED_EVENT_FLAG_DESC && vq->event_idx)
		wanted = passed(vq, READ_ONCE(vq->driver_event->off_wrap));
	else
		wanted = wish != VRING_PACKED_EVENT_FLAG_DISABLE;
	vq->pushed = 0;
	return wanted;
}

bool packed_has_avail(const struct virtq *vq)
{
	return is_avail(READ_ONCE(vq->ring[vq->last_avail].flags), vq->avail_wrap);
}

uint16_t packed_waiting(const struct virtq *vq)
{
	uint16_t at = vq->last_avail, n = 0;
	bool wrap = vq->avail_wrap;

	for (unsigned int left = vq->size - vq->taken; left; left--) {
		const uint16_t flags = READ_ONCE(vq->ring[at].flags);

		if (!is_avail(flags, wrap))
			break;
		n = (uint16_t)(n + !(flags & VRING_DESC_F_NEXT));
		advance(vq, &at, &wrap, 1);
	}
	return n;
}

void packed_kicks(struct virtq *vq, bool on)
{
	struct vring_packed_desc_event *e = vq->device_event;

	if (on && vq->event_idx)
		WRITE_ONCE(e->off_wrap, (uint16_t)(vq->last_avail | (vq->avail_wrap ? WRAP : 0)));
	/* The offset before the flag that makes it count. */
	__atomic_store_n(&e->flags,
			 (uint16_t)(!on		    ? VRING_PACKED_EVENT_FLAG_DISABLE
				    : vq->event_idx ? VRING_PACKED_EVENT_FLAG_DESC
						    : VRING_PACKED_EVENT_FLAG_ENABLE),
			 __ATOMIC_RELEASE);
}
