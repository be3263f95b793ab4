/* A split queue, and the driver's side of it. */
#ifndef DEVICES_VIRTIO_TEST_SPLIT_RIG_H
#define DEVICES_VIRTIO_TEST_SPLIT_RIG_H

#include "devices/virtio/virtq.h"

#define MEM_SIZE  (1 * MIB)
#define DESC_GPA  0x1000ull
#define AVAIL_GPA 0x8000ull
#define USED_GPA  0xa000ull
#define TABLE_GPA 0x10000ull
#define DATA_GPA  0x40000ull

#define NEXT	 VRING_DESC_F_NEXT
#define WRITE	 VRING_DESC_F_WRITE
#define INDIRECT VRING_DESC_F_INDIRECT

/* A queue, and the driver's side of it. */
struct split_fixture {
	struct guestmem mem;
	struct virtq vq;
	struct vring_desc *desc, *table;
	struct vring_avail *avail;
	struct vring_used *used;
	struct iovec iov[VIRTQ_SIZE_MAX];
	struct virtq_chain chain;
};

extern struct split_fixture split;
int split_rig_setup(void **state);
int split_rig_teardown(void **state);
void split_rig_start(uint16_t size, bool event_idx);
void split_rig_make_avail(uint16_t head);
int split_rig_pop(void);
void split_rig_give(uint16_t head, uint32_t written);
void split_rig_put_back(unsigned int n);

#endif
