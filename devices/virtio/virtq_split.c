/* A split virtqueue (virtio 1.2, 2.7), device side. */
#include "devices/virtio/virtq_ring.h"

#include <errno.h>

#include "devices/virtio/virtq.h"

int split_start(struct virtq *vq, const struct guestmem *mem)
{
	const uint64_t n = vq->size;

	if (!IS_POWER_OF_2(n) || vq->desc_addr % 16 || vq->driver_addr % 2 || vq->device_addr % 4)
		return -EINVAL;
	/* Each ring ends with an event index, whether that is negotiated or not (2.7.2). */
	vq->desc = guestmem_ptr(mem, vq->desc_addr, n * sizeof(*vq->desc));
	vq->avail = guestmem_ptr(mem, vq->driver_addr, sizeof(*vq->avail) + n * 2 + 2);
	vq->used = guestmem_ptr(mem, vq->device_addr,
				sizeof(*vq->used) + n * sizeof(struct vring_used_elem) + 2);
	if (!vq->desc || !vq->avail || !vq->used)
		return -EINVAL;
	vq->avail_idx = vq->published = 0;
	return 0;
}

static uint16_t *used_event(const struct virtq *vq)
{
	return &vq->avail->ring[vq->size];
}

static uint16_t *avail_event(const struct virtq *vq)
{
	return (uint16_t *)&vq->used->ring[vq->size];
}

/* 0, -EPROTO where the chain breaks the rules, -ENOBUFS where the iovec is too short. */
static int walk(const struct virtq *vq, struct chain_walk *w, uint16_t head)
{
	const struct vring_desc *table = vq->desc;
	unsigned int table_size = vq->size, left = vq->size;
	bool indirect = false;
	uint16_t next = head;
	struct vring_desc d;

	*w->chain = (struct virtq_chain){ .head = head };
	for (;;) {
		if (next >= table_size || !left--)
			return -EPROTO;
		copy_desc(&d, &table[next]);
		if (d.flags & VRING_DESC_F_INDIRECT) {
			/* 2.7.5.3: the last descriptor of a chain, never nested. */
			if (indirect || d.flags & VRING_DESC_F_NEXT)
				return -EPROTO;
			table = indirect_table(vq->mem, d.addr, d.len, &table_size);
			if (!table)
				return -EPROTO;
			left = table_size;
			indirect = true;
			next = 0;
			continue;
		}
		const int ret = chain_add(w, d.addr, d.len, d.flags & VRING_DESC_F_WRITE);
		if (ret || !(d.flags & VRING_DESC_F_NEXT))
			return ret;
		next = d.next;
	}
}

int split_pop(struct virtq *vq, struct chain_walk *w)
{
	int ret;

	if (vq->last_avail == vq->avail_idx) {
		vq->avail_idx = __atomic_load_n(&vq->avail->idx, __ATOMIC_ACQUIRE);
		if (vq->last_avail == vq->avail_idx)
			return 0;
		/* No more are available or in our hands than the ring has entries. */
		const uint16_t taken = (uint16_t)(vq->last_avail - vq->used_idx);
		if ((uint16_t)(vq->avail_idx - vq->last_avail) > vq->size - taken)
			return -EPROTO;
	}
	ret = walk(vq, w, READ_ONCE(vq->avail->ring[vq->last_avail & (vq->size - 1)]))
		      ?: chain_end(w);
	if (ret)
		return ret;
	vq->last_avail++;
	return 1;
}

void split_unpop(struct virtq *vq)
{
	vq->last_avail--;
}

void split_push(struct virtq *vq, const struct virtq_chain *chain, uint32_t written)
{
	struct vring_used_elem *e = &vq->used->ring[vq->used_idx & (vq->size - 1)];

	WRITE_ONCE(e->id, chain->head);
	WRITE_ONCE(e->len, written);
	vq->used_idx++;
}

bool split_publish(struct virtq *vq)
{
	const uint16_t old = vq->published, new = vq->used_idx;

	__atomic_store_n(&vq->used->idx, new, __ATOMIC_RELEASE);
	vq->published = new;
	/* The driver sets its wish, then looks at the index; we the other way round (2.7.10). */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (vq->event_idx)
		return vring_need_event(READ_ONCE(*used_event(vq)), new, old);
	return !(READ_ONCE(vq->avail->flags) & VRING_AVAIL_F_NO_INTERRUPT);
}

bool split_has_avail(const struct virtq *vq)
{
	return READ_ONCE(vq->avail->idx) != vq->last_avail;
}

uint16_t split_waiting(const struct virtq *vq)
{
	const uint16_t n = (uint16_t)(READ_ONCE(vq->avail->idx) - vq->last_avail);

	return n < vq->size ? n : vq->size;
}

void split_kicks(struct virtq *vq, bool on)
{
	/* With EVENT_IDX an index that is left behind is never crossed again: nothing to do for off. */
	if (!vq->event_idx)
		WRITE_ONCE(vq->used->flags, on ? 0 : VRING_USED_F_NO_NOTIFY);
	else if (on)
		WRITE_ONCE(*avail_event(vq), vq->last_avail);
}
