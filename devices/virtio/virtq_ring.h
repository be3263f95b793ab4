/*
 * What the two kinds of ring share, inside of virtq: how a chain is put together from descriptors that the guest
 * may rewrite meanwhile, and the verbs of each kind. The verbs are for a live queue that is not broken.
 */
#ifndef DEVICES_VIRTIO_VIRTQ_RING_H
#define DEVICES_VIRTIO_VIRTQ_RING_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/uio.h>

#include <linux/virtio_ring.h>

#include "vmm/base/guestmem.h"
#include "vmm/base/util.h"

struct virtq;
struct virtq_chain;

/* What the driver may rewrite under our eyes is read exactly once. */
#define READ_ONCE(x)	 __atomic_load_n(&(x), __ATOMIC_RELAXED)
#define WRITE_ONCE(x, v) __atomic_store_n(&(x), (v), __ATOMIC_RELAXED)

_Static_assert(sizeof(struct vring_desc) == sizeof(struct vring_packed_desc), "one copy for both");

/* A descriptor as it stands now: the copy is judged. Nothing says that an indirect table is aligned. */
static inline void copy_desc(void *copy, const void *desc)
{
	memcpy(copy, desc, sizeof(struct vring_desc));
	/* Or the compiler may read the original again. */
	__asm__ volatile("" : "+m"(*(struct vring_desc *)copy));
}

/* A chain in the making. */
struct chain_walk {
	const struct guestmem *mem;
	struct virtq_chain *chain;
	struct iovec *iov;
	unsigned int max_iov;
	uint64_t out_len, in_len;
};

/* The next buffer. 0, -EPROTO where the chain breaks the rules, -ENOBUFS where the iovec is too short. */
int must_check chain_add(struct chain_walk *w, uint64_t addr, uint32_t len, bool write);

/* It is complete. 0, or -EPROTO where it is too long. */
int must_check chain_end(struct chain_walk *w);

/* The table that an indirect descriptor names, *nr entries of 16 bytes; NULL if it breaks the rules. */
const void *indirect_table(const struct guestmem *mem, uint64_t addr, uint32_t len,
			   unsigned int *nr);

/* ---- the verbs of a kind; see virtq.h ---- */

int must_check split_start(struct virtq *vq, const struct guestmem *mem);
int must_check split_pop(struct virtq *vq, struct chain_walk *w);
void split_unpop(struct virtq *vq);
void split_push(struct virtq *vq, const struct virtq_chain *chain, uint32_t written);
bool must_check split_publish(struct virtq *vq);
bool split_has_avail(const struct virtq *vq);
uint16_t split_waiting(const struct virtq *vq);
void split_kicks(struct virtq *vq, bool on);

int must_check packed_start(struct virtq *vq, const struct guestmem *mem);
int must_check packed_pop(struct virtq *vq, struct chain_walk *w);
void packed_unpop(struct virtq *vq, const struct virtq_chain *chain);
void packed_push(struct virtq *vq, const struct virtq_chain *chain, uint32_t written);
bool must_check packed_publish(struct virtq *vq);
bool packed_has_avail(const struct virtq *vq);
uint16_t packed_waiting(const struct virtq *vq);
void packed_kicks(struct virtq *vq, bool on);

#endif
