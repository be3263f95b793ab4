/* A packed queue, and the driver's side of it. */
#ifndef DEVICES_VIRTIO_TEST_PACKED_RIG_H
#define DEVICES_VIRTIO_TEST_PACKED_RIG_H

#include "devices/virtio/virtq.h"

#define MEM_SIZE   (1 * MIB)
#define RING_GPA   0x1000ull
#define DRIVER_GPA 0x8000ull
#define DEVICE_GPA 0x8010ull
#define TABLE_GPA  0x10000ull
#define DATA_GPA   0x40000ull

#define NEXT	 VRING_DESC_F_NEXT
#define WRITE	 VRING_DESC_F_WRITE
#define INDIRECT VRING_DESC_F_INDIRECT
#define AVAIL	 BIT(VRING_PACKED_DESC_F_AVAIL)
#define USED	 BIT(VRING_PACKED_DESC_F_USED)

/* A queue, and the driver's side of it. */
struct packed_fixture {
	struct guestmem mem;
	struct virtq vq;
	struct vring_packed_desc *ring, *table;
	struct vring_packed_desc_event *driver, *device;
	uint16_t next_avail, next_used; /* positions */
	bool avail_wrap, used_wrap;
	struct iovec iov[VIRTQ_SIZE_MAX];
	struct virtq_chain chain;
};

extern struct packed_fixture packed;
int packed_rig_setup(void **state);
int packed_rig_teardown(void **state);
int packed_rig_start_at(uint16_t size, uint64_t ring, uint64_t driver, uint64_t device,
			bool event_idx);
void packed_rig_start(uint16_t size, bool event_idx);
void packed_rig_advance(uint16_t *at, bool *wrap, unsigned int n);

/* The next entry of the ring, available. */
void packed_rig_make_avail(struct vring_packed_desc d);

void packed_rig_make_plain(uint16_t id, unsigned int nr);
int packed_rig_pop(void);
void packed_rig_give(uint16_t id, uint16_t nr_entries, uint32_t written);

/* The driver looks at its next used entry. */
bool packed_rig_is_used(void);

#endif
