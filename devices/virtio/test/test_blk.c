/* virtio-blk: good requests, and a reset under way. */
#include <string.h>

#include "devices/virtio/test/blk_rig.h"
#include "vmm/base/test/unit.h"

/* ---- good requests ---- */

static void test_config(void **state)
{
	assert_int_equal(virtio_read_config(disk, 0, 8), SECTORS);
	assert_int_equal(virtio_read_config(disk, offsetof(struct virtio_blk_config, blk_size), 4),
			 SECTOR);
	assert_int_equal(virtio_read_config(disk, offsetof(struct virtio_blk_config, seg_max), 4),
			 virtio_get_queue(disk, 0, VIRTIO_QUEUE_SIZE_MAX) - 2);
	assert_false(disk->device_features & F(RO));
	/* Read-only to the driver. */
	virtio_write_config(disk, 0, 8, 1ull << 40);
	assert_int_equal(virtio_read_config(disk, 0, 8), SECTORS);
}

static void test_read(void **state)
{
	struct req r = new_req(VIRTIO_BLK_T_IN, 3, 64 * SECTOR);

	vdriver_start(&driver, USUAL);
	assert_int_equal(run_req(&r, false), VIRTIO_BLK_S_OK);
	assert_int_equal(r.used_len, 64 * SECTOR + 1);
	assert_pattern(r.data.host, 3 * SECTOR, 64 * SECTOR);
}

static void test_write_and_flush(void **state)
{
	struct req flush = new_req(VIRTIO_BLK_T_FLUSH, 0, 0);

	vdriver_start(&driver, USUAL);
	assert_int_equal(run_write(SECTORS - 3, 3 * SECTOR, 0xa5), VIRTIO_BLK_S_OK);
	assert_file_bytes(SECTORS - 3, 3, 0xa5);
	assert_int_equal(run_req(&flush, true), VIRTIO_BLK_S_OK);
	assert_int_equal(flush.used_len, 1);
	flush = new_req(VIRTIO_BLK_T_FLUSH, 0, SECTOR);
	assert_int_equal(run_req(&flush, false), VIRTIO_BLK_S_OK);
	assert_int_equal(flush.used_len, 0);
}

static void test_write_through(void **state)
{
	vdriver_start(&driver, 0);
	assert_int_equal(run_write(0, SECTOR, 0x11), VIRTIO_BLK_S_OK);
	assert_file_bytes(0, 1, 0x11);
}

/* Header, data and status in pieces, the last data and the status in one buffer (2.7.4). */
static void check_odd_pieces(bool indirect)
{
	struct vdriver_buf header = vdriver_buf(&driver, 16),
			   data = vdriver_buf(&driver, 2 * SECTOR + 1);
	struct vdriver_buf in[] = {
		vdriver_part(header, 0, 1),    vdriver_part(header, 1, 10),
		vdriver_part(header, 11, 5),   vdriver_part(data, 0, 3),
		vdriver_part(data, 3, SECTOR), vdriver_part(data, SECTOR + 3, SECTOR - 2),
	};

	fill_header(header, VIRTIO_BLK_T_IN, 9);
	vdriver_start(&driver, USUAL);
	if (indirect)
		vdriver_add_indirect(&driver, 0, in, 3, 3);
	else
		vdriver_add(&driver, 0, in, 3, 3);
	vdriver_kick(&driver, 0);
	assert_int_equal(vdriver_wait(&driver, 0).len, 2 * SECTOR + 1);
	assert_pattern(data.host, 9 * SECTOR, 2 * SECTOR);
	assert_int_equal(data.host[2 * SECTOR], VIRTIO_BLK_S_OK);
}

static void test_odd_pieces(void **state)
{
	check_odd_pieces(false);
}

static void test_odd_pieces_indirect(void **state)
{
	check_odd_pieces(true);
}

/* The header's buffer goes on with data. */
static void test_header_and_data_in_one(void **state)
{
	struct vdriver_buf out = vdriver_buf(&driver, 16 + SECTOR),
			   status = vdriver_buf(&driver, 1);
	struct vdriver_buf bufs[] = { out, status };

	fill_header(out, VIRTIO_BLK_T_OUT, 7);
	memset(out.host + 16, 0x3c, SECTOR);
	vdriver_start(&driver, USUAL);
	vdriver_add(&driver, 0, bufs, 1, 1);
	vdriver_kick(&driver, 0);
	vdriver_wait(&driver, 0);
	assert_int_equal(*status.host, VIRTIO_BLK_S_OK);
	assert_file_bytes(7, 1, 0x3c);
}

static void test_get_id(void **state)
{
	struct req r = new_req(VIRTIO_BLK_T_GET_ID, 0, VIRTIO_BLK_ID_BYTES);
	const char id[VIRTIO_BLK_ID_BYTES] = "disk0";

	vdriver_start(&driver, USUAL);
	assert_int_equal(run_req(&r, false), VIRTIO_BLK_S_OK);
	assert_int_equal(r.used_len, VIRTIO_BLK_ID_BYTES + 1);
	assert_memory_equal(r.data.host, id, sizeof(id));

	/* In more room than it takes it is followed by what is not ours. */
	r = new_req(VIRTIO_BLK_T_GET_ID, 0, SECTOR);
	assert_int_equal(run_req(&r, false), VIRTIO_BLK_S_OK);
	assert_int_equal(r.used_len, VIRTIO_BLK_ID_BYTES);
}

static void test_discard(void **state)
{
	struct virtio_blk_discard_write_zeroes seg[] = { { 8, 8, 0 }, { 64, 1, 0 } };

	vdriver_start(&driver, USUAL);
	if (!file_system_can_discard()) {
		assert_int_equal(run_ranges(VIRTIO_BLK_T_DISCARD, seg, 2), VIRTIO_BLK_S_UNSUPP);
		return;
	}
	assert_int_equal(run_ranges(VIRTIO_BLK_T_DISCARD, seg, 2), VIRTIO_BLK_S_OK);
	assert_file_bytes(8, 8, 0);
	assert_file_bytes(64, 1, 0);
	assert_works();
}

static void test_write_zeroes(void **state)
{
	vdriver_start(&driver, USUAL);
	assert_int_equal(run_range(VIRTIO_BLK_T_WRITE_ZEROES, 100, 300, 0), VIRTIO_BLK_S_OK);
	assert_file_bytes(100, 300, 0);
	assert_int_equal(
		run_range(VIRTIO_BLK_T_WRITE_ZEROES, 600, 9, VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP),
		VIRTIO_BLK_S_OK);
	assert_file_bytes(600, 9, 0);
	assert_works();
}

/* Many at once, each answered once and with its own data, with and without EVENT_IDX. */
static void check_parallel(uint64_t features)
{
	enum { DEPTH = 40, TOTAL = 2000 };
	struct req *by_head[256] = { NULL }, req[DEPTH];
	unsigned int sent = 0;

	vdriver_start(&driver, features);
	for (; sent < DEPTH; sent++) {
		req[sent] = new_req(VIRTIO_BLK_T_IN, sent * 31 % SECTORS, SECTOR);
		add_req(&req[sent], false);
		by_head[req[sent].head] = &req[sent];
		vdriver_kick(&driver, 0);
	}
	for (unsigned int got = 0; got < TOTAL; got++) {
		struct vring_used_elem e = vdriver_wait(&driver, 0);
		struct req *r = by_head[e.id];
		struct virtio_blk_outhdr h;

		assert_non_null(r);
		by_head[e.id] = NULL;
		memcpy(&h, r->header.host, sizeof(h));
		assert_int_equal(*r->status.host, VIRTIO_BLK_S_OK);
		assert_pattern(r->data.host, h.sector * SECTOR, SECTOR);
		if (sent == TOTAL)
			continue;
		*r->status.host = NO_STATUS;
		fill_header(r->header, VIRTIO_BLK_T_IN, sent++ * 31 % SECTORS);
		memset(r->data.host, 0, SECTOR);
		add_req(r, false);
		by_head[r->head] = r;
		vdriver_kick(&driver, 0);
	}
}

static void test_parallel(void **state)
{
	check_parallel(F(FLUSH));
}

static void test_parallel_event_idx(void **state)
{
	check_parallel(USUAL);
}

static void test_counters(void **state)
{
	struct req flush = new_req(VIRTIO_BLK_T_FLUSH, 0, 0), odd = new_req(77, 0, 0);

	vdriver_start(&driver, USUAL);
	run_read(0, 2 * SECTOR);
	run_write(0, 3 * SECTOR, 1);
	run_req(&flush, true);
	run_req(&odd, true);
	run_read(SECTORS, SECTOR);
	vdriver_reset(&driver); /* workers count before they stop */
	assert_int_equal(vdriver_counter(&driver, "", "reads"), 1);
	assert_int_equal(vdriver_counter(&driver, "", "read_bytes"), 2 * SECTOR);
	assert_int_equal(vdriver_counter(&driver, "", "writes"), 1);
	assert_int_equal(vdriver_counter(&driver, "", "written_bytes"), 3 * SECTOR);
	assert_int_equal(vdriver_counter(&driver, "", "flushes"), 1);
	assert_int_equal(vdriver_counter(&driver, "", "unsupported"), 1);
	assert_int_equal(vdriver_counter(&driver, "", "errors"), 1);
	assert_int_equal(vdriver_counter(&driver, "queue0", "chains"), 5);
}

/* ---- reset ---- */

/* Once the reset has returned, neither rings nor buffers are written to. */
static void test_reset_in_flight(void **state)
{
	enum { ROUNDS = 60, DEPTH = 60, LEN = 64 * 1024 };
	struct vdriver_buf data = vdriver_buf(&driver, DEPTH * LEN);
	const uint64_t start_of_round = driver.next_gpa;

	for (unsigned int round = 0; round < ROUNDS; round++) {
		driver.next_gpa = start_of_round;
		vdriver_start(&driver, USUAL);
		for (unsigned int i = 0; i < DEPTH; i++) {
			struct req r = new_req(i % 3 ? VIRTIO_BLK_T_IN : VIRTIO_BLK_T_FLUSH, 0, 0);

			r.data = vdriver_part(data, i * LEN, i % 3 ? LEN : 0);
			add_req(&r, false);
			if (i % 8 == 7)
				vdriver_kick(&driver, 0);
		}
		for (unsigned int i = 0; i < round % 7; i++)
			vdriver_wait(&driver, 0);
		struct vring_used *used = driver.queue[0].used;
		virtio_set_status(disk, 0);

		uint16_t idx = used->idx;
		memset(data.host, 0x5a, data.len);
		assert_true(idx <= DEPTH);
		vdriver_reset(&driver);
		assert_int_equal(used->idx, idx);
		for (uint32_t i = 0; i < data.len; i += 509)
			assert_int_equal(data.host[i], 0x5a);
	}
	vdriver_start(&driver, USUAL);
	assert_works();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_config),
		TEST(test_read),
		TEST(test_write_and_flush),
		TEST(test_write_through),
		TEST(test_odd_pieces),
		TEST(test_odd_pieces_indirect),
		TEST(test_header_and_data_in_one),
		TEST(test_get_id),
		TEST(test_discard),
		TEST(test_write_zeroes),
		TEST(test_parallel),
		TEST(test_parallel_event_idx),
		TEST(test_counters),
		TEST(test_reset_in_flight),
	};
	const struct CMUnitTest packed[] = {
		TEST(test_read),       TEST(test_write_and_flush),
		TEST(test_odd_pieces), TEST(test_odd_pieces_indirect),
		TEST(test_parallel),   TEST(test_parallel_event_idx),
	};

	return cmocka_run_group_tests_name("virtio-blk", tests, NULL, NULL) +
	       cmocka_run_group_tests_name("packed", packed, vdriver_use_packed, NULL);
}
