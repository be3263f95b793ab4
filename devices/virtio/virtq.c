/* A virtqueue, device side: what does not depend on the kind of its ring. */
#include "devices/virtio/virtq.h"

#include <errno.h>

#include "devices/virtio/virtq_ring.h"
#include "vmm/base/event.h"

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
	close_fd(vq->kick_fd);
	vq->kick_fd = -1;
}

void virtq_reset(struct virtq *vq)
{
	const size_t kept = offsetof(struct virtq, size);

	memset((char *)vq + kept, 0, sizeof(*vq) - kept);
	vq->size = vq->size_max;
}

int virtq_start(struct virtq *vq, const struct guestmem *mem, bool event_idx, bool packed)
{
	if (!vq->size || vq->size > vq->size_max)
		return -EINVAL;
	const int ret = packed ? packed_start(vq, mem) : split_start(vq, mem);
	if (ret)
		return ret;
	vq->mem = mem;
	vq->event_idx = event_idx;
	vq->packed = packed;
	vq->last_avail = vq->used_idx = 0;
	vq->broken = false;
	vq->live = true;
	return 0;
}

/* ---- chains ---- */

int chain_add(struct chain_walk *w, uint64_t addr, uint32_t len, bool write)
{
	struct virtq_chain *c = w->chain;
	const unsigned int n = c->nr_out + c->nr_in;

	if (!len)
		return 0;
	void *host = guestmem_ptr(w->mem, addr, len);
	/* 2.7.4.2: readable ones first */
	if (!host || n == VIRTQ_SIZE_MAX || (!write && c->nr_in))
		return -EPROTO;
	if (n == w->max_iov)
		return -ENOBUFS;
	w->iov[n] = (struct iovec){ host, len };
	if (write) {
		c->nr_in++;
		w->in_len += len;
	} else {
		c->nr_out++;
		w->out_len += len;
	}
	return 0;
}

int chain_end(struct chain_walk *w)
{
	if (w->out_len > UINT32_MAX || w->in_len > UINT32_MAX)
		return -EPROTO;
	w->chain->out_len = (uint32_t)w->out_len;
	w->chain->in_len = (uint32_t)w->in_len;
	return 0;
}

const void *indirect_table(const struct guestmem *mem, uint64_t addr, uint32_t len,
			   unsigned int *nr)
{
	*nr = len / (uint32_t)sizeof(struct vring_desc);
	if (!*nr || *nr > VIRTQ_SIZE_MAX || len % sizeof(struct vring_desc))
		return NULL;
	return guestmem_ptr(mem, addr, len);
}

int virtq_pop(struct virtq *vq, struct virtq_chain *chain, struct iovec *iov, unsigned int max_iov)
{
	struct chain_walk w = { .mem = vq->mem, .chain = chain, .iov = iov, .max_iov = max_iov };
	int ret;

	if (!vq->live)
		return 0;
	if (vq->broken)
		return -EPROTO;
	ret = vq->packed ? packed_pop(vq, &w) : split_pop(vq, &w);
	if (ret == -EPROTO) {
		vq->broken = true;
		vq->counters.broken++;
	}
	return ret;
}

void virtq_unpop(struct virtq *vq, const struct virtq_chain *chain)
{
	if (vq->packed)
		packed_unpop(vq, chain);
	else
		split_unpop(vq);
}

void virtq_push(struct virtq *vq, const struct virtq_chain *chain, uint32_t written)
{
	if (vq->packed)
		packed_push(vq, chain, written);
	else
		split_push(vq, chain, written);
	vq->counters.chains++;
	vq->unpublished = true;
}

/* ---- in other hands ---- */

/* Chains are given back in turn: what is used up to here was available up to here. */
uint16_t virtq_lend(struct virtq *vq)
{
	vq->last_avail = vq->avail_idx = vq->used_idx;
	return vq->used_idx;
}

void virtq_take_back(struct virtq *vq, uint16_t next)
{
	const uint16_t used = READ_ONCE(vq->used->idx);

	/* The index in memory may be the guest's play: then there is nothing to be found by it. */
	vq->used_idx = (uint16_t)(next - used) <= vq->size ? used : next;
	vq->last_avail = vq->avail_idx = vq->published = vq->used_idx;
}

/* ---- notifications ---- */

bool virtq_publish(struct virtq *vq)
{
	if (!vq->unpublished)
		return false;
	vq->unpublished = false;
	const bool wanted = vq->packed ? packed_publish(vq) : split_publish(vq);
	if (wanted)
		vq->counters.interrupts++;
	else
		vq->counters.suppressed++;
	return wanted;
}

static bool works(const struct virtq *vq)
{
	return vq->live && !vq->broken;
}

bool virtq_has_avail(const struct virtq *vq)
{
	return works(vq) && (vq->packed ? packed_has_avail(vq) : split_has_avail(vq));
}

static void kicks(struct virtq *vq, bool on)
{
	if (vq->packed)
		packed_kicks(vq, on);
	else
		split_kicks(vq, on);
}

uint16_t virtq_waiting(const struct virtq *vq)
{
	if (!works(vq))
		return 0;
	return vq->packed ? packed_waiting(vq) : split_waiting(vq);
}

void virtq_kicks_off(struct virtq *vq)
{
	if (works(vq))
		kicks(vq, false);
}

bool virtq_kicks_on(struct virtq *vq)
{
	if (!works(vq))
		return false;
	kicks(vq, true);
	/* The driver publishes, then reads our wish; see split_publish(). */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return virtq_has_avail(vq);
}

void virtq_ack_kick(struct virtq *vq)
{
	if (event_clear(vq->kick_fd))
		vq->counters.kicks++;
}
