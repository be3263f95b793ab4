/* A disk on a file of its own, and a driver that makes requests of it. */
#ifndef DEVICES_VIRTIO_TEST_BLK_RIG_H
#define DEVICES_VIRTIO_TEST_BLK_RIG_H

#include <linux/virtio_blk.h>

#include "devices/virtio/test/vdriver.h"
#include "devices/virtio/blk.h"

#define SECTORS 2048u
#define SECTOR	512u

#define F(bit)	  BIT_ULL(VIRTIO_BLK_F_##bit)
#define EVENT_IDX BIT_ULL(VIRTIO_RING_F_EVENT_IDX)
#define INDIRECT  BIT_ULL(VIRTIO_RING_F_INDIRECT_DESC)
#define USUAL	  (F(FLUSH) | F(DISCARD) | F(WRITE_ZEROES) | F(SEG_MAX) | INDIRECT | EVENT_IDX)
#define NO_STATUS 0xee /* what a status byte holds before it is written */

extern struct vdriver driver;
extern struct virtio_dev *disk;
extern char blk_path[64];
extern int blk_file; /* the disk, from the host's side */
void make_file(uint64_t size);
void remove_file(void);
int blk_create(struct device **out, const char *file_path, bool readonly);
void blk_destroy(struct device *device);
int blk_setup(void **state);
int blk_setup_ro(void **state);
int blk_teardown(void **state);

struct req {
	struct vdriver_buf header, data, status;
	uint16_t head;
	uint32_t used_len;
};

void fill_header(struct vdriver_buf b, uint32_t type, uint64_t sector);
struct req new_req(uint32_t type, uint64_t sector, uint32_t data_len);

/* In three buffers, the data readable (@out) or writable; no data buffer where there are none. */
void add_req(struct req *r, bool out);

uint8_t run_req(struct req *r, bool out);
uint8_t run_read(uint64_t sector, uint32_t len);
uint8_t run_write(uint64_t sector, uint32_t len, uint8_t byte);
uint8_t run_ranges(uint32_t type, const struct virtio_blk_discard_write_zeroes *seg,
		   unsigned int n);
uint8_t run_range(uint32_t type, uint64_t sector, uint32_t sectors, uint32_t flags);
void assert_file_bytes(uint64_t sector, uint32_t sectors, uint8_t byte);
void assert_file_untouched(void);
void assert_pattern(const uint8_t *p, uint64_t offset, uint64_t len);

/* The device still does its work. */
void assert_works(void);

void assert_broken_until_reset(void);
bool file_system_can_discard(void);

#define TEST(f)	   cmocka_unit_test_setup_teardown(f, blk_setup, blk_teardown)
#define TEST_RO(f) cmocka_unit_test_setup_teardown(f, blk_setup_ro, blk_teardown)

#endif
