/* virtio-blk, driven as a guest would, over temporary files. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

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

static struct vdriver d;
static struct virtio_dev *dev;
static char path[64];
static int file; /* the disk, from the host's side */

static uint8_t pattern(uint64_t offset)
{
	return (uint8_t)(offset * 7 + offset / SECTOR + 1);
}

static void make_file(uint64_t size)
{
	uint8_t *data = malloc(size + 1);

	snprintf(path, sizeof(path), "/tmp/minivmm-test-blk-XXXXXX");
	file = mkstemp(path);
	assert_true(file >= 0 && data);
	for (uint64_t i = 0; i < size; i++)
		data[i] = pattern(i);
	assert_int_equal(pwrite(file, data, size, 0), size);
	free(data);
}

static void remove_file(void)
{
	close(file);
	unlink(path);
}

static int create(struct device **out, const char *file_path, bool readonly)
{
	const struct virtio_blk_options config = { .path = file_path, .readonly = readonly };

	d.env.name = "disk0";
	return virtio_blk_kind.create(out, &d.env, &config);
}

static void destroy(struct device *device)
{
	device->ops->destroy(device);
}

static int setup_mode(bool readonly)
{
	make_file(SECTORS * SECTOR);
	vdriver_init(&d, 64 * MIB);
	assert_int_equal(create(&d.device, path, readonly), 0);
	dev = d.dev;
	return 0;
}

static int setup(void **state)
{
	(void)state;
	return setup_mode(false);
}

static int setup_ro(void **state)
{
	(void)state;
	return setup_mode(true);
}

static int teardown(void **state)
{
	(void)state;
	vdriver_destroy(&d);
	remove_file();
	return 0;
}

/* ---- requests ---- */

struct req {
	struct vdriver_buf header, data, status;
	uint16_t head;
	uint32_t used_len;
};

static void fill_header(struct vdriver_buf b, uint32_t type, uint64_t sector)
{
	struct virtio_blk_outhdr h = { .type = type, .sector = sector };

	memcpy(b.host, &h, sizeof(h));
}

static struct req new_req(uint32_t type, uint64_t sector, uint32_t data_len)
{
	struct req r = {
		.header = vdriver_buf(&d, sizeof(struct virtio_blk_outhdr)),
		.data = vdriver_part(vdriver_buf(&d, data_len + 1), 0, data_len),
		.status = vdriver_buf(&d, 1),
	};

	fill_header(r.header, type, sector);
	*r.status.host = NO_STATUS;
	return r;
}

/* In three buffers, the data readable (@out) or writable; no data buffer where there are none. */
static void add(struct req *r, bool out)
{
	struct vdriver_buf b[3] = { r->header, r->data, r->status };

	if (!r->data.len) {
		b[1] = r->status;
		r->head = vdriver_add(&d, 0, b, 1, 1);
	} else {
		r->head = vdriver_add(&d, 0, b, out ? 2 : 1, out ? 1 : 2);
	}
}

/* Kick, wait; the answer is for @r alone. */
static uint8_t finish(struct req *r)
{
	struct vring_used_elem e;

	vdriver_kick(&d, 0);
	e = vdriver_wait(&d, 0);
	assert_int_equal(e.id, r->head);
	r->used_len = e.len;
	return *r->status.host;
}

static uint8_t run(struct req *r, bool out)
{
	add(r, out);
	return finish(r);
}

static uint8_t run_read(uint64_t sector, uint32_t len)
{
	struct req r = new_req(VIRTIO_BLK_T_IN, sector, len);

	return run(&r, false);
}

static uint8_t run_write(uint64_t sector, uint32_t len, uint8_t byte)
{
	struct req r = new_req(VIRTIO_BLK_T_OUT, sector, len);

	memset(r.data.host, byte, len);
	return run(&r, true);
}

static uint8_t run_ranges(uint32_t type, const struct virtio_blk_discard_write_zeroes *seg,
			  unsigned int n)
{
	struct req r = new_req(type, 0, (uint32_t)(n * sizeof(*seg)));

	memcpy(r.data.host, seg, n * sizeof(*seg));
	return run(&r, true);
}

static uint8_t run_range(uint32_t type, uint64_t sector, uint32_t sectors, uint32_t flags)
{
	struct virtio_blk_discard_write_zeroes seg = { sector, sectors, flags };

	return run_ranges(type, &seg, 1);
}

/* ---- what is in the file ---- */

static void assert_file_bytes(uint64_t sector, uint32_t sectors, uint8_t byte)
{
	uint8_t buf[SECTOR];

	for (uint32_t s = 0; s < sectors; s++) {
		assert_int_equal(pread(file, buf, SECTOR, (off_t)((sector + s) * SECTOR)), SECTOR);
		for (unsigned int i = 0; i < SECTOR; i++)
			assert_int_equal(buf[i], byte);
	}
}

static void assert_file_untouched(void)
{
	static uint8_t buf[SECTORS * SECTOR];
	struct stat st;

	assert_int_equal(fstat(file, &st), 0);
	assert_int_equal(st.st_size, SECTORS * SECTOR);
	assert_int_equal(pread(file, buf, sizeof(buf), 0), sizeof(buf));
	for (uint64_t i = 0; i < sizeof(buf); i++)
		assert_int_equal(buf[i], pattern(i));
}

static void assert_pattern(const uint8_t *p, uint64_t offset, uint64_t len)
{
	for (uint64_t i = 0; i < len; i++)
		assert_int_equal(p[i], pattern(offset + i));
}

/* The device still does its work. */
static void assert_works(void)
{
	struct req r = new_req(VIRTIO_BLK_T_IN, 5, 2 * SECTOR);

	assert_int_equal(run(&r, false), VIRTIO_BLK_S_OK);
	assert_pattern(r.data.host, 5 * SECTOR, 2 * SECTOR);
	assert_false(virtio_get_status(dev) & VIRTIO_CONFIG_S_NEEDS_RESET);
}

static void assert_broken_until_reset(void)
{
	vdriver_force_kick(&d, 0);
	vdriver_wait_needs_reset(&d);
	vdriver_reset(&d);
	vdriver_start(&d, USUAL);
	assert_works();
}

/* ---- good requests ---- */

static void test_config(void **state)
{
	(void)state;
	assert_int_equal(virtio_read_config(dev, 0, 8), SECTORS);
	assert_int_equal(virtio_read_config(dev, offsetof(struct virtio_blk_config, blk_size), 4),
			 SECTOR);
	assert_int_equal(virtio_read_config(dev, offsetof(struct virtio_blk_config, seg_max), 4),
			 virtio_get_queue(dev, 0, VIRTIO_QUEUE_SIZE_MAX) - 2);
	assert_false(dev->device_features & F(RO));
	/* Read-only to the driver. */
	virtio_write_config(dev, 0, 8, 1ull << 40);
	assert_int_equal(virtio_read_config(dev, 0, 8), SECTORS);
}

static void test_read(void **state)
{
	(void)state;
	struct req r = new_req(VIRTIO_BLK_T_IN, 3, 64 * SECTOR);

	vdriver_start(&d, USUAL);
	assert_int_equal(run(&r, false), VIRTIO_BLK_S_OK);
	assert_int_equal(r.used_len, 64 * SECTOR + 1);
	assert_pattern(r.data.host, 3 * SECTOR, 64 * SECTOR);
}

static void test_write_and_flush(void **state)
{
	(void)state;
	struct req flush = new_req(VIRTIO_BLK_T_FLUSH, 0, 0);

	vdriver_start(&d, USUAL);
	assert_int_equal(run_write(SECTORS - 3, 3 * SECTOR, 0xa5), VIRTIO_BLK_S_OK);
	assert_file_bytes(SECTORS - 3, 3, 0xa5);
	assert_int_equal(run(&flush, true), VIRTIO_BLK_S_OK);
	assert_int_equal(flush.used_len, 1);
}

static void test_write_through(void **state)
{
	(void)state;
	vdriver_start(&d, 0);
	assert_int_equal(run_write(0, SECTOR, 0x11), VIRTIO_BLK_S_OK);
	assert_file_bytes(0, 1, 0x11);
}

/* Header, data and status in pieces, the last data and the status in one buffer (2.7.4). */
static void check_odd_pieces(bool indirect)
{
	struct vdriver_buf header = vdriver_buf(&d, 16), data = vdriver_buf(&d, 2 * SECTOR + 1);
	struct vdriver_buf in[] = {
		vdriver_part(header, 0, 1),    vdriver_part(header, 1, 10),
		vdriver_part(header, 11, 5),   vdriver_part(data, 0, 3),
		vdriver_part(data, 3, SECTOR), vdriver_part(data, SECTOR + 3, SECTOR - 2),
	};

	fill_header(header, VIRTIO_BLK_T_IN, 9);
	vdriver_start(&d, USUAL);
	if (indirect)
		vdriver_add_indirect(&d, 0, in, 3, 3);
	else
		vdriver_add(&d, 0, in, 3, 3);
	vdriver_kick(&d, 0);
	assert_int_equal(vdriver_wait(&d, 0).len, 2 * SECTOR + 1);
	assert_pattern(data.host, 9 * SECTOR, 2 * SECTOR);
	assert_int_equal(data.host[2 * SECTOR], VIRTIO_BLK_S_OK);
}

static void test_odd_pieces(void **state)
{
	(void)state;
	check_odd_pieces(false);
}

static void test_odd_pieces_indirect(void **state)
{
	(void)state;
	check_odd_pieces(true);
}

/* The header's buffer goes on with data. */
static void test_header_and_data_in_one(void **state)
{
	(void)state;
	struct vdriver_buf out = vdriver_buf(&d, 16 + SECTOR), status = vdriver_buf(&d, 1);
	struct vdriver_buf bufs[] = { out, status };

	fill_header(out, VIRTIO_BLK_T_OUT, 7);
	memset(out.host + 16, 0x3c, SECTOR);
	vdriver_start(&d, USUAL);
	vdriver_add(&d, 0, bufs, 1, 1);
	vdriver_kick(&d, 0);
	vdriver_wait(&d, 0);
	assert_int_equal(*status.host, VIRTIO_BLK_S_OK);
	assert_file_bytes(7, 1, 0x3c);
}

static void test_get_id(void **state)
{
	(void)state;
	struct req r = new_req(VIRTIO_BLK_T_GET_ID, 0, VIRTIO_BLK_ID_BYTES);
	const char id[VIRTIO_BLK_ID_BYTES] = "disk0";

	vdriver_start(&d, USUAL);
	assert_int_equal(run(&r, false), VIRTIO_BLK_S_OK);
	assert_int_equal(r.used_len, VIRTIO_BLK_ID_BYTES + 1);
	assert_memory_equal(r.data.host, id, sizeof(id));
}

static bool file_system_can_discard(void)
{
	return fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, SECTOR) == 0;
}

static void test_discard(void **state)
{
	(void)state;
	struct virtio_blk_discard_write_zeroes seg[] = { { 8, 8, 0 }, { 64, 1, 0 } };

	vdriver_start(&d, USUAL);
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
	(void)state;
	vdriver_start(&d, USUAL);
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

	vdriver_start(&d, features);
	for (; sent < DEPTH; sent++) {
		req[sent] = new_req(VIRTIO_BLK_T_IN, sent * 31 % SECTORS, SECTOR);
		add(&req[sent], false);
		by_head[req[sent].head] = &req[sent];
		vdriver_kick(&d, 0);
	}
	for (unsigned int got = 0; got < TOTAL; got++) {
		struct vring_used_elem e = vdriver_wait(&d, 0);
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
		add(r, false);
		by_head[r->head] = r;
		vdriver_kick(&d, 0);
	}
}

static void test_parallel(void **state)
{
	(void)state;
	check_parallel(F(FLUSH));
}

static void test_parallel_event_idx(void **state)
{
	(void)state;
	check_parallel(USUAL);
}

static void test_counters(void **state)
{
	(void)state;
	struct req flush = new_req(VIRTIO_BLK_T_FLUSH, 0, 0), odd = new_req(77, 0, 0);

	vdriver_start(&d, USUAL);
	run_read(0, 2 * SECTOR);
	run_write(0, 3 * SECTOR, 1);
	run(&flush, true);
	run(&odd, true);
	run_read(SECTORS, SECTOR);
	vdriver_reset(&d); /* workers count before they stop */
	assert_int_equal(vdriver_counter(&d, "", "reads"), 1);
	assert_int_equal(vdriver_counter(&d, "", "read_bytes"), 2 * SECTOR);
	assert_int_equal(vdriver_counter(&d, "", "writes"), 1);
	assert_int_equal(vdriver_counter(&d, "", "written_bytes"), 3 * SECTOR);
	assert_int_equal(vdriver_counter(&d, "", "flushes"), 1);
	assert_int_equal(vdriver_counter(&d, "", "unsupported"), 1);
	assert_int_equal(vdriver_counter(&d, "", "errors"), 1);
	assert_int_equal(vdriver_counter(&d, "queue0", "chains"), 5);
}

/* ---- requests that are refused ---- */

static void test_reads_out_of_range(void **state)
{
	(void)state;
	static const struct {
		uint64_t sector;
		uint32_t len;
	} bad[] = {
		{ SECTORS, SECTOR },	     /* first beyond */
		{ SECTORS - 1, 2 * SECTOR }, /* across the end */
		{ 0, SECTORS * SECTOR + SECTOR },
		{ UINT64_MAX, SECTOR },		 /* sector + length wraps */
		{ UINT64_MAX / SECTOR, SECTOR }, /* so do the bytes */
		{ 1ull << 55, SECTOR },		 /* sector * 512 wraps to 0 */
		{ 0, 1 },
		{ 0, SECTOR - 1 },
		{ 0, SECTOR + 1 },
		{ 0, 0 },
	};

	vdriver_start(&d, USUAL);
	assert_int_equal(run_read(SECTORS - 1, SECTOR), VIRTIO_BLK_S_OK);
	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		struct req r = new_req(VIRTIO_BLK_T_IN, bad[i].sector, bad[i].len);

		assert_int_equal(run(&r, false), VIRTIO_BLK_S_IOERR);
		assert_int_equal(r.used_len, 1); /* no data that a driver could take for good */
		assert_int_equal(run_write(bad[i].sector, bad[i].len, 0xff), VIRTIO_BLK_S_IOERR);
	}
	assert_file_untouched();
	assert_works();
}

static void test_unknown_types(void **state)
{
	(void)state;
	static const uint32_t types[] = { 2,	      3,	 5,
					  10,	      12,	 VIRTIO_BLK_T_SECURE_ERASE,
					  0x80000000, UINT32_MAX };

	vdriver_start(&d, USUAL);
	for (unsigned int i = 0; i < ARRAY_SIZE(types); i++) {
		struct req r = new_req(types[i], 0, SECTOR);

		assert_int_equal(run(&r, i % 2), VIRTIO_BLK_S_UNSUPP);
	}
	assert_file_untouched();
	assert_works();
}

/* Data buffers of the wrong direction. */
static void test_wrong_direction(void **state)
{
	(void)state;
	struct req read = new_req(VIRTIO_BLK_T_IN, 0, SECTOR);
	struct req write = new_req(VIRTIO_BLK_T_OUT, 0, SECTOR);
	struct req id = new_req(VIRTIO_BLK_T_GET_ID, 0, SECTOR);
	struct req discard = new_req(VIRTIO_BLK_T_DISCARD, 0, 16);

	vdriver_start(&d, USUAL);
	assert_int_equal(run(&read, true), VIRTIO_BLK_S_IOERR);
	assert_int_equal(read.data.host[0], 0);
	assert_int_equal(run(&write, false), VIRTIO_BLK_S_IOERR);
	assert_int_equal(run(&id, true), VIRTIO_BLK_S_IOERR);
	assert_int_equal(run(&discard, false), VIRTIO_BLK_S_IOERR);
	assert_file_untouched();
	assert_works();
}

static void test_short_header(void **state)
{
	(void)state;
	vdriver_start(&d, USUAL);
	for (uint32_t len = 0; len < 16; len += 5) {
		struct req r = new_req(VIRTIO_BLK_T_IN, 0, SECTOR);

		r.header.len = len;
		assert_int_equal(run(&r, false), VIRTIO_BLK_S_IOERR);
	}
	assert_works();
}

static void test_no_header(void **state)
{
	(void)state;
	struct vdriver_buf status = vdriver_buf(&d, 1);

	vdriver_start(&d, USUAL);
	vdriver_add(&d, 0, &status, 0, 1);
	vdriver_kick(&d, 0);
	assert_int_equal(vdriver_wait(&d, 0).len, 1);
	assert_int_equal(*status.host, VIRTIO_BLK_S_IOERR);
	assert_works();
}

static void test_no_status(void **state)
{
	(void)state;
	struct req r = new_req(VIRTIO_BLK_T_OUT, 0, SECTOR);
	struct vdriver_buf bufs[] = { r.header, r.data };

	vdriver_start(&d, USUAL);
	vdriver_add(&d, 0, bufs, 2, 0);
	assert_broken_until_reset();
	assert_file_untouched();
}

static void test_short_id_buffer(void **state)
{
	(void)state;
	struct req r = new_req(VIRTIO_BLK_T_GET_ID, 0, VIRTIO_BLK_ID_BYTES - 1);

	vdriver_start(&d, USUAL);
	assert_int_equal(run(&r, false), VIRTIO_BLK_S_IOERR);
	assert_works();
}

static void test_bad_ranges(void **state)
{
	(void)state;
	static const uint32_t types[] = { VIRTIO_BLK_T_DISCARD, VIRTIO_BLK_T_WRITE_ZEROES };
	static const struct {
		uint64_t sector;
		uint32_t sectors, flags;
		uint8_t status;
	} bad[] = {
		{ SECTORS, 1, 0, VIRTIO_BLK_S_IOERR },	  { SECTORS - 1, 2, 0, VIRTIO_BLK_S_IOERR },
		{ UINT64_MAX, 1, 0, VIRTIO_BLK_S_IOERR }, { 1ull << 55, 1, 0, VIRTIO_BLK_S_IOERR },
		{ 0, UINT32_MAX, 0, VIRTIO_BLK_S_IOERR }, { 0, 0, 0, VIRTIO_BLK_S_IOERR },
		{ 0, 1, 2, VIRTIO_BLK_S_UNSUPP },	  { 0, 1, 0x80000001, VIRTIO_BLK_S_UNSUPP },
	};

	vdriver_start(&d, USUAL);
	for (unsigned int t = 0; t < ARRAY_SIZE(types); t++)
		for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++)
			assert_int_equal(
				run_range(types[t], bad[i].sector, bad[i].sectors, bad[i].flags),
				bad[i].status);
	assert_int_equal(run_range(VIRTIO_BLK_T_DISCARD, 0, 1, VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP),
			 VIRTIO_BLK_S_UNSUPP);
	assert_file_untouched();
	assert_works();
}

/* A list of segments that is bad somewhere does nothing at all. */
static void test_bad_segment_lists(void **state)
{
	(void)state;
	struct virtio_blk_discard_write_zeroes seg[64];
	struct req cut = new_req(VIRTIO_BLK_T_DISCARD, 0, sizeof(seg[0]) - 1);
	struct req long_list = new_req(VIRTIO_BLK_T_DISCARD, 0, 1 * MIB);

	for (unsigned int i = 0; i < ARRAY_SIZE(seg); i++)
		seg[i] = (struct virtio_blk_discard_write_zeroes){ i, 1, 0 };
	vdriver_start(&d, USUAL);
	assert_int_equal(run_ranges(VIRTIO_BLK_T_DISCARD, seg, 0), VIRTIO_BLK_S_IOERR);
	assert_int_equal(run_ranges(VIRTIO_BLK_T_DISCARD, seg, 17), VIRTIO_BLK_S_IOERR);
	assert_int_equal(run_ranges(VIRTIO_BLK_T_WRITE_ZEROES, seg, 2), VIRTIO_BLK_S_IOERR);
	assert_int_equal(run(&cut, true), VIRTIO_BLK_S_IOERR);
	assert_int_equal(run(&long_list, true), VIRTIO_BLK_S_IOERR);
	seg[1].sector = SECTORS;
	assert_int_equal(run_ranges(VIRTIO_BLK_T_DISCARD, seg, 2), VIRTIO_BLK_S_IOERR);
	assert_file_untouched();
	assert_works();
}

static void test_ranges_not_negotiated(void **state)
{
	(void)state;
	vdriver_start(&d, F(FLUSH));
	assert_int_equal(run_range(VIRTIO_BLK_T_DISCARD, 0, 8, 0), VIRTIO_BLK_S_UNSUPP);
	assert_int_equal(run_range(VIRTIO_BLK_T_WRITE_ZEROES, 0, 8, 0), VIRTIO_BLK_S_UNSUPP);
	assert_file_untouched();
}

static void test_readonly(void **state)
{
	(void)state;
	struct req flush = new_req(VIRTIO_BLK_T_FLUSH, 0, 0);

	assert_true(dev->device_features & F(RO));
	assert_false(dev->device_features & (F(DISCARD) | F(WRITE_ZEROES)));
	vdriver_start(&d, 0); /* the driver need not have understood RO */
	assert_int_equal(run_write(0, SECTOR, 0xff), VIRTIO_BLK_S_IOERR);
	assert_int_equal(run_range(VIRTIO_BLK_T_DISCARD, 0, 8, 0), VIRTIO_BLK_S_UNSUPP);
	assert_int_equal(run_range(VIRTIO_BLK_T_WRITE_ZEROES, 0, 8, 0), VIRTIO_BLK_S_UNSUPP);
	assert_int_equal(run(&flush, true), VIRTIO_BLK_S_OK);
	assert_file_untouched();
	assert_works();
}

/* ---- the file fails ---- */

static void test_file_truncated(void **state)
{
	(void)state;
	struct req r = new_req(VIRTIO_BLK_T_IN, 0, 16 * SECTOR);

	vdriver_start(&d, USUAL);
	assert_int_equal(ftruncate(file, 8 * SECTOR), 0);
	assert_int_equal(run(&r, false), VIRTIO_BLK_S_IOERR);
	assert_int_equal(r.used_len, 1);
	assert_int_equal(run_read(8, SECTOR), VIRTIO_BLK_S_IOERR);
	assert_int_equal(run_read(SECTORS - 1, SECTOR), VIRTIO_BLK_S_IOERR);
	assert_works();
}

/* A limit on file size acts as a full disk would: a write stops in the middle, later ones fail. */
static void test_no_space(void **state)
{
	(void)state;
	struct rlimit old, limit;

	vdriver_start(&d, USUAL);
	assert_int_equal(ftruncate(file, 8 * SECTOR), 0);
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	limit = (struct rlimit){ 32 * SECTOR, old.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	uint8_t half = run_write(30, 4 * SECTOR, 1), none = run_write(64, SECTOR, 1);
	uint8_t good = run_write(16, SECTOR, 0x77);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_int_equal(half, VIRTIO_BLK_S_IOERR);
	assert_int_equal(none, VIRTIO_BLK_S_IOERR);
	assert_int_equal(good, VIRTIO_BLK_S_OK);
	assert_file_bytes(16, 1, 0x77);
	assert_works();
}

/* ---- broken rings ---- */

static void test_readable_after_writable(void **state)
{
	(void)state;
	struct req r = new_req(VIRTIO_BLK_T_OUT, 0, SECTOR);

	vdriver_start(&d, USUAL);
	vdriver_set_desc(&d, 0, 0, r.header.gpa, 16, VRING_DESC_F_NEXT, 1);
	vdriver_set_desc(&d, 0, 1, r.status.gpa, 1, VRING_DESC_F_NEXT | VRING_DESC_F_WRITE, 2);
	vdriver_set_desc(&d, 0, 2, r.data.gpa, SECTOR, 0, 0);
	vdriver_make_avail(&d, 0, 0);
	assert_broken_until_reset();
	assert_file_untouched();
}

static void test_giant_length(void **state)
{
	(void)state;
	struct req r = new_req(VIRTIO_BLK_T_IN, 0, SECTOR);

	vdriver_start(&d, USUAL);
	vdriver_set_desc(&d, 0, 0, r.header.gpa, 16, VRING_DESC_F_NEXT, 1);
	vdriver_set_desc(&d, 0, 1, r.data.gpa, UINT32_MAX, VRING_DESC_F_WRITE, 0);
	vdriver_make_avail(&d, 0, 0);
	assert_broken_until_reset();
}

/* Gigabytes by pointing at the same memory again and again: lengths that add up beyond 32 bits. */
static void test_length_wraps(void **state)
{
	(void)state;
	struct req r = new_req(VIRTIO_BLK_T_IN, 0, SECTOR);

	vdriver_start(&d, USUAL);
	vdriver_set_desc(&d, 0, 0, r.header.gpa, 16, VRING_DESC_F_NEXT, 1);
	for (uint16_t i = 1; i < 130; i++)
		vdriver_set_desc(&d, 0, i, 0, 32 * MIB, VRING_DESC_F_WRITE | VRING_DESC_F_NEXT,
				 (uint16_t)(i + 1));
	vdriver_set_desc(&d, 0, 130, r.status.gpa, 1, VRING_DESC_F_WRITE, 0);
	vdriver_make_avail(&d, 0, 0);
	assert_broken_until_reset();
}

static void test_broken_ring_spares_earlier_requests(void **state)
{
	(void)state;
	struct req r = new_req(VIRTIO_BLK_T_IN, 1, SECTOR);

	vdriver_start(&d, USUAL);
	add(&r, false);
	vdriver_make_avail(&d, 0, 0x7fff);
	vdriver_force_kick(&d, 0);
	assert_int_equal(vdriver_wait(&d, 0).id, r.head);
	assert_pattern(r.data.host, SECTOR, SECTOR);
	assert_broken_until_reset();
}

/* ---- reset ---- */

/* Once the reset has returned, neither rings nor buffers are written to. */
static void test_reset_in_flight(void **state)
{
	(void)state;
	enum { ROUNDS = 60, DEPTH = 60, LEN = 64 * 1024 };
	struct vdriver_buf data = vdriver_buf(&d, DEPTH * LEN);
	const uint64_t start_of_round = d.next_gpa;

	for (unsigned int round = 0; round < ROUNDS; round++) {
		d.next_gpa = start_of_round;
		vdriver_start(&d, USUAL);
		for (unsigned int i = 0; i < DEPTH; i++) {
			struct req r = new_req(i % 3 ? VIRTIO_BLK_T_IN : VIRTIO_BLK_T_FLUSH, 0, 0);

			r.data = vdriver_part(data, i * LEN, i % 3 ? LEN : 0);
			add(&r, false);
			if (i % 8 == 7)
				vdriver_kick(&d, 0);
		}
		for (unsigned int i = 0; i < round % 7; i++)
			vdriver_wait(&d, 0);
		struct vring_used *used = d.queue[0].used;
		virtio_set_status(dev, 0);

		uint16_t idx = used->idx;
		memset(data.host, 0x5a, data.len);
		assert_true(idx <= DEPTH);
		vdriver_reset(&d);
		assert_int_equal(used->idx, idx);
		for (uint32_t i = 0; i < data.len; i += 509)
			assert_int_equal(data.host[i], 0x5a);
	}
	vdriver_start(&d, USUAL);
	assert_works();
}

/* ---- files that are no disks ---- */

static void assert_refused(const char *what, bool readonly, int err)
{
	struct device *none = NULL;

	assert_int_equal(create(&none, what, readonly), err);
	assert_null(none);
}

static void test_no_such_file(void **state)
{
	(void)state;
	assert_refused("/nonexistent/disk", false, -ENOENT);
	assert_refused("", true, -ENOENT);
}

static void test_not_a_disk(void **state)
{
	(void)state;
	char fifo[80];

	assert_refused("/tmp", false, -EISDIR);
	assert_refused("/tmp", true, -EINVAL);
	assert_refused("/dev/full", false, -EINVAL);
	snprintf(fifo, sizeof(fifo), "%s-fifo", path);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	assert_refused(fifo, true, -EINVAL); /* and does not wait for a writer */
	unlink(fifo);
}

static void test_odd_sizes(void **state)
{
	(void)state;
	static const off_t sizes[] = { 0, 1, 511, 513, SECTORS * SECTOR + 1 };

	make_file(0);
	for (unsigned int i = 0; i < ARRAY_SIZE(sizes); i++) {
		assert_int_equal(ftruncate(file, sizes[i]), 0);
		assert_refused(path, false, -EINVAL);
	}
	remove_file();
}

static void test_in_use(void **state)
{
	(void)state;
	struct device *a, *b;

	make_file(SECTOR);
	assert_int_equal(create(&a, path, false), 0);
	assert_refused(path, false, -EBUSY);
	assert_refused(path, true, -EBUSY);
	destroy(a);
	/* Readers share; a writer waits for the last to go. */
	assert_int_equal(create(&a, path, true), 0);
	assert_int_equal(create(&b, path, true), 0);
	destroy(a);
	assert_refused(path, false, -EBUSY);
	destroy(b);
	assert_int_equal(create(&a, path, false), 0);
	destroy(a);
	remove_file();
}

#define TEST(f)	   cmocka_unit_test_setup_teardown(f, setup, teardown)
#define TEST_RO(f) cmocka_unit_test_setup_teardown(f, setup_ro, teardown)

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
		TEST(test_reads_out_of_range),
		TEST(test_unknown_types),
		TEST(test_wrong_direction),
		TEST(test_short_header),
		TEST(test_no_header),
		TEST(test_no_status),
		TEST(test_short_id_buffer),
		TEST(test_bad_ranges),
		TEST(test_bad_segment_lists),
		TEST(test_ranges_not_negotiated),
		TEST_RO(test_readonly),
		TEST(test_file_truncated),
		TEST(test_no_space),
		TEST(test_readable_after_writable),
		TEST(test_giant_length),
		TEST(test_length_wraps),
		TEST(test_broken_ring_spares_earlier_requests),
		TEST(test_reset_in_flight),
		TEST(test_no_such_file),
		TEST(test_not_a_disk),
		cmocka_unit_test(test_odd_sizes),
		cmocka_unit_test(test_in_use),
	};
	const struct CMUnitTest packed[] = {
		TEST(test_read),       TEST(test_write_and_flush),
		TEST(test_odd_pieces), TEST(test_odd_pieces_indirect),
		TEST(test_parallel),   TEST(test_parallel_event_idx),
	};

	return cmocka_run_group_tests_name("virtio-blk", tests, NULL, NULL) +
	       cmocka_run_group_tests_name("packed", packed, vdriver_use_packed, NULL);
}
