#include "devices/virtio/test/split_rig.h"

#include <string.h>

#include "vmm/base/test/unit.h"

struct split_fixture split;

int split_rig_setup(void **state)
{
	memset(&split, 0, sizeof(split));
	assert_int_equal(guestmem_init(&split.mem, MEM_SIZE, NULL), 0);
	assert_int_equal(virtq_init(&split.vq, VIRTQ_SIZE_MAX), 0);
	split.desc = guestmem_ptr(&split.mem, DESC_GPA, 1);
	split.table = guestmem_ptr(&split.mem, TABLE_GPA, 1);
	split.avail = guestmem_ptr(&split.mem, AVAIL_GPA, 1);
	split.used = guestmem_ptr(&split.mem, USED_GPA, 1);
	return 0;
}

int split_rig_teardown(void **state)
{
	virtq_destroy(&split.vq);
	guestmem_destroy(&split.mem);
	return 0;
}

void split_rig_start(uint16_t size, bool event_idx)
{
	virtq_reset(&split.vq);
	memset(split.avail, 0, sizeof(*split.avail) + size * 2u + 2);
	memset(split.used, 0, sizeof(*split.used) + size * sizeof(split.used->ring[0]) + 2);
	split.vq.size = size;
	split.vq.desc_addr = DESC_GPA;
	split.vq.driver_addr = AVAIL_GPA;
	split.vq.device_addr = USED_GPA;
	assert_int_equal(virtq_start(&split.vq, &split.mem, event_idx, false), 0);
}

void split_rig_make_avail(uint16_t head)
{
	split.avail->ring[split.avail->idx % split.vq.size] = head;
	split.avail->idx++;
}

int split_rig_pop(void)
{
	return virtq_pop(&split.vq, &split.chain, split.iov, VIRTQ_SIZE_MAX);
}

void split_rig_give(uint16_t head, uint32_t written)
{
	virtq_push(&split.vq, &(struct virtq_chain){ .head = head }, written);
}

void split_rig_put_back(unsigned int n)
{
	while (n--)
		virtq_unpop(&split.vq, &split.chain);
}
