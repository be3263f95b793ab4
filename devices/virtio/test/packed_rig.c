#include "devices/virtio/test/packed_rig.h"

#include <string.h>

#include "vmm/base/test/unit.h"

struct packed_fixture packed;

int packed_rig_setup(void **state)
{
	memset(&packed, 0, sizeof(packed));
	assert_int_equal(guestmem_init(&packed.mem, MEM_SIZE, NULL), 0);
	assert_int_equal(virtq_init(&packed.vq, VIRTQ_SIZE_MAX), 0);
	packed.ring = guestmem_ptr(&packed.mem, RING_GPA, 1);
	packed.table = guestmem_ptr(&packed.mem, TABLE_GPA, 1);
	packed.driver = guestmem_ptr(&packed.mem, DRIVER_GPA, 1);
	packed.device = guestmem_ptr(&packed.mem, DEVICE_GPA, 1);
	return 0;
}

int packed_rig_teardown(void **state)
{
	virtq_destroy(&packed.vq);
	guestmem_destroy(&packed.mem);
	return 0;
}

int packed_rig_start_at(uint16_t size, uint64_t ring, uint64_t driver, uint64_t device,
			bool event_idx)
{
	virtq_reset(&packed.vq);
	packed.vq.size = size;
	packed.vq.desc_addr = ring;
	packed.vq.driver_addr = driver;
	packed.vq.device_addr = device;
	return virtq_start(&packed.vq, &packed.mem, event_idx, true);
}

void packed_rig_start(uint16_t size, bool event_idx)
{
	memset(packed.ring, 0, size * sizeof(*packed.ring));
	memset(packed.driver, 0, sizeof(*packed.driver));
	memset(packed.device, 0, sizeof(*packed.device));
	packed.next_avail = packed.next_used = 0;
	packed.avail_wrap = packed.used_wrap = true;
	assert_int_equal(packed_rig_start_at(size, RING_GPA, DRIVER_GPA, DEVICE_GPA, event_idx), 0);
}

void packed_rig_advance(uint16_t *at, bool *wrap, unsigned int n)
{
	while (n--)
		if (++*at == packed.vq.size) {
			*at = 0;
			*wrap = !*wrap;
		}
}

void packed_rig_make_avail(struct vring_packed_desc d)
{
	d.flags = (uint16_t)(d.flags | (packed.avail_wrap ? AVAIL : USED));
	packed.ring[packed.next_avail] = d;
	packed_rig_advance(&packed.next_avail, &packed.avail_wrap, 1);
}

void packed_rig_make_plain(uint16_t id, unsigned int nr)
{
	for (unsigned int i = 0; i < nr; i++)
		packed_rig_make_avail(
			(struct vring_packed_desc){ DATA_GPA + i, 1, id, i + 1 < nr ? NEXT : 0 });
}

int packed_rig_pop(void)
{
	return virtq_pop(&packed.vq, &packed.chain, packed.iov, VIRTQ_SIZE_MAX);
}

void packed_rig_give(uint16_t id, uint16_t nr_entries, uint32_t written)
{
	virtq_push(&packed.vq, &(struct virtq_chain){ .head = id, .nr_entries = nr_entries },
		   written);
}

bool packed_rig_is_used(void)
{
	const uint16_t flags = packed.ring[packed.next_used].flags;

	return !(flags & AVAIL) == !(flags & USED) && !(flags & USED) != packed.used_wrap;
}
