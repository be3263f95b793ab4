/* A split virtqueue (virtio 1.2, 2.7), device side. */
#include "devices/virtio/virtq.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "vmm/base/event.h"

/* What the driver may rewrite under our eyes is read exactly once. */
#define READ_ONCE(x)	 __atomic_load_n(&(x), __ATOMIC_RELAXED)
#define WRITE_ONCE(x, v) __atomic_store_n(&(x), (v), __ATOMIC_RELAXED)

const struct counter_desc virtq_counter_desc[] = {
	COUNTER(struct virtq_counters, kicks),	    COUNTER(struct virtq_counters, chains),
	COUNTER(struct virtq_counters, interrupts), COUNTER(struct virtq_counters, suppressed),
	COUNTER(struct virtq_counters, broken),	    COUNTER_END,
};

int virtq_init(struct virtq *vq, uint16_t size_max)
{
	memset(vq, 0, sizeof(*vq));
	vq->size_max = size_max;
	vq->kick_fd = event_create();
	if (vq->kick_fd < 0)
		return vq->kick_fd;
	virtq_reset(vq);
	return 0;
}

void virtq_destroy(struct virtq *vq)
{
	if (vq->kick_fd >= 0)
		close(vq->kick_fd);
	vq->kick_fd = -1;
}

void virtq_reset(struct virtq *vq)
{
	const size_t kept = offsetof(struct virtq, size);

	memset((char *)vq + kept, 0, sizeof(*vq) - kept);
	vq->size = vq->size_max;
}

int virtq_start(struct virtq *vq, const struct guestmem *mem, bool event_idx)
{
	const uint64_t n = vq->size;

	if (!IS_POWER_OF_2(n) || n > vq->size_max)
		return -EINVAL;
	if (vq->desc_addr % 16 || vq->driver_addr % 2 || vq->device_addr % 4)
		return -EINVAL;
	/* Each ring ends with an event index, whether that is negotiated or not (2.7.2). */
	vq->desc = guestmem_ptr(mem, vq->desc_addr, n * sizeof(*vq->desc));
	vq->avail = guestmem_ptr(mem, vq->driver_addr, sizeof(*vq->avail) + n * 2 + 2);
	vq->used = guestmem_ptr(mem, vq->device_addr,
				sizeof(*vq->used) + n * sizeof(struct vring_used_elem) + 2);
	if (!vq->desc || !vq->avail || !vq->used)
		return -EINVAL;
	vq->mem = mem;
	vq->event_idx = event_idx;
	vq->last_avail = vq->avail_idx = vq->used_idx = vq->published = 0;
	vq->broken = false;
	vq->live = true;
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

static int break_ring(struct virtq *vq)
{
	vq->broken = true;
	vq->counters.broken++;
	return -EPROTO;
}

/* Nothing says that an indirect table is aligned. */
static struct vring_desc copy_desc(const void *d)
{
	struct vring_desc copy;

	memcpy(&copy, d, sizeof(copy));
	__asm__ volatile("" : "+m"(copy)); /* or the compiler may read the original again */
	return copy;
}

/* 0, -EPROTO where the chain breaks the rules, -ENOBUFS where the iovec is too short. */
static int walk(const struct virtq *vq, uint16_t head, struct virtq_chain *chain, struct iovec *iov,
		unsigned int max_iov)
{
	const struct vring_desc *table = vq->desc;
	unsigned int table_size = vq->size, left = vq->size, n = 0;
	uint64_t out_len = 0, in_len = 0;
	bool indirect = false;
	uint16_t next = head;

	*chain = (struct virtq_chain){ .head = head };
	for (;;) {
		if (next >= table_size || !left--)
			return -EPROTO;
		const struct vring_desc d = copy_desc(&table[next]);

		if (d.flags & VRING_DESC_F_INDIRECT) {
			/* 2.7.5.3: the last descriptor of a chain, never nested. */
			if (indirect || d.flags & VRING_DESC_F_NEXT || d.len % sizeof(d))
				return -EPROTO;
			table_size = left = d.len / (uint32_t)sizeof(d);
			if (!table_size || table_size > VIRTQ_SIZE_MAX)
				return -EPROTO;
			table = guestmem_ptr(vq->mem, d.addr, d.len);
			if (!table)
				return -EPROTO;
			indirect = true;
			next = 0;
			continue;
		}
		if (d.len) {
			void *host = guestmem_ptr(vq->mem, d.addr, d.len);

			if (!host || n == VIRTQ_SIZE_MAX)
				return -EPROTO;
			if (n == max_iov)
				return -ENOBUFS;
			iov[n++] = (struct iovec){ host, d.len };
			if (d.flags & VRING_DESC_F_WRITE) {
				chain->nr_in++;
				in_len += d.len;
			} else {
				if (chain->nr_in)
					return -EPROTO; /* 2.7.4.2: readable ones first */
				chain->nr_out++;
				out_len += d.len;
			}
		}
		if (!(d.flags & VRING_DESC_F_NEXT))
			break;
		next = d.next;
	}
	if (out_len > UINT32_MAX || in_len > UINT32_MAX)
		return -EPROTO;
	chain->out_len = (uint32_t)out_len;
	chain->in_len = (uint32_t)in_len;
	return 0;
}

int virtq_pop(struct virtq *vq, struct virtq_chain *chain, struct iovec *iov, unsigned int max_iov)
{
	int ret;

	if (!vq->live)
		return 0;
	if (vq->broken)
		return -EPROTO;
	if (vq->last_avail == vq->avail_idx) {
		vq->avail_idx = __atomic_load_n(&vq->avail->idx, __ATOMIC_ACQUIRE);
		if (vq->last_avail == vq->avail_idx)
			return 0;
		/* No more are available or in our hands than the ring has entries. */
		const uint16_t taken = (uint16_t)(vq->last_avail - vq->used_idx);
		if ((uint16_t)(vq->avail_idx - vq->last_avail) > vq->size - taken)
			return break_ring(vq);
	}
	ret = walk(vq, READ_ONCE(vq->avail->ring[vq->last_avail & (vq->size - 1)]), chain, iov,
		   max_iov);
	if (ret == -EPROTO)
		return break_ring(vq);
	if (ret)
		return ret;
	vq->last_avail++;
	return 1;
}

void virtq_unpop(struct virtq *vq, const struct virtq_chain *chain)
{
	(void)chain;
	vq->last_avail--;
}

void virtq_push(struct virtq *vq, const struct virtq_chain *chain, uint32_t written)
{
	struct vring_used_elem *e = &vq->used->ring[vq->used_idx & (vq->size - 1)];

	WRITE_ONCE(e->id, chain->head);
	WRITE_ONCE(e->len, written);
	vq->used_idx++;
	vq->counters.chains++;
}

bool virtq_publish(struct virtq *vq)
{
	const uint16_t old = vq->published, new = vq->used_idx;
	bool wanted;

	if (old == new)
		return false;
	__atomic_store_n(&vq->used->idx, new, __ATOMIC_RELEASE);
	vq->published = new;
	/* The driver sets its wish, then looks at the index; we the other way round (2.7.10). */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (vq->event_idx)
		wanted = vring_need_event(READ_ONCE(*used_event(vq)), new, old);
	else
		wanted = !(READ_ONCE(vq->avail->flags) & VRING_AVAIL_F_NO_INTERRUPT);
	if (wanted)
		vq->counters.interrupts++;
	else
		vq->counters.suppressed++;
	return wanted;
}

bool virtq_has_avail(const struct virtq *vq)
{
	return vq->live && !vq->broken && READ_ONCE(vq->avail->idx) != vq->last_avail;
}

uint16_t virtq_waiting(const struct virtq *vq)
{
	const uint16_t n = virtq_has_avail(vq) ? READ_ONCE(vq->avail->idx) - vq->last_avail : 0;

	return n < vq->size ? n : vq->size;
}

void virtq_kicks_off(struct virtq *vq)
{
	/* With EVENT_IDX an index that is left behind is never crossed again: nothing to do. */
	if (vq->live && !vq->broken && !vq->event_idx)
		WRITE_ONCE(vq->used->flags, VRING_USED_F_NO_NOTIFY);
}

bool virtq_kicks_on(struct virtq *vq)
{
	if (!vq->live || vq->broken)
		return false;
	if (vq->event_idx)
		WRITE_ONCE(*avail_event(vq), vq->last_avail);
	else
		WRITE_ONCE(vq->used->flags, 0);
	/* The driver publishes, then reads our wish; see virtq_publish(). */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return virtq_has_avail(vq);
}

void virtq_ack_kick(struct virtq *vq)
{
	if (event_clear(vq->kick_fd))
		vq->counters.kicks++;
}
