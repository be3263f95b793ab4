/* virtio-blk: requests, rings and files that are refused, and files that fail. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "devices/virtio/test/blk_rig.h"
#include "vmm/base/test/messages.h"
#include "vmm/base/test/unit.h"

/* ---- requests that are refused ---- */

static void test_reads_out_of_range(void **state)
{
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

	vdriver_start(&driver, USUAL);
	assert_int_equal(run_read(SECTORS - 1, SECTOR), VIRTIO_BLK_S_OK);
	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		struct req r = new_req(VIRTIO_BLK_T_IN, bad[i].sector, bad[i].len);

		assert_int_equal(run_req(&r, false), VIRTIO_BLK_S_IOERR);
		assert_int_equal(r.used_len,
				 !bad[i].len); /* no data that a driver could take for good */
		assert_int_equal(run_write(bad[i].sector, bad[i].len, 0xff), VIRTIO_BLK_S_IOERR);
	}
	assert_file_untouched();
	assert_works();
}

static void test_unknown_types(void **state)
{
	static const uint32_t types[] = { 2,	      3,	 5,
					  10,	      12,	 VIRTIO_BLK_T_SECURE_ERASE,
					  0x80000000, UINT32_MAX };

	vdriver_start(&driver, USUAL);
	for (unsigned int i = 0; i < ARRAY_SIZE(types); i++) {
		struct req r = new_req(types[i], 0, SECTOR);

		assert_int_equal(run_req(&r, i % 2), VIRTIO_BLK_S_UNSUPP);
		assert_int_equal(r.used_len, i % 2);
	}
	assert_file_untouched();
	assert_works();
}

/* Data buffers of the wrong direction. */
static void test_wrong_direction(void **state)
{
	struct req read = new_req(VIRTIO_BLK_T_IN, 0, SECTOR);
	struct req write = new_req(VIRTIO_BLK_T_OUT, 0, SECTOR);
	struct req id = new_req(VIRTIO_BLK_T_GET_ID, 0, SECTOR);
	struct req discard = new_req(VIRTIO_BLK_T_DISCARD, 0, 16);

	vdriver_start(&driver, USUAL);
	assert_int_equal(run_req(&read, true), VIRTIO_BLK_S_IOERR);
	assert_int_equal(read.data.host[0], 0);
	assert_int_equal(run_req(&write, false), VIRTIO_BLK_S_IOERR);
	assert_int_equal(write.used_len, 0);
	assert_int_equal(run_req(&id, true), VIRTIO_BLK_S_IOERR);
	assert_int_equal(run_req(&discard, false), VIRTIO_BLK_S_IOERR);
	assert_file_untouched();
	assert_works();
}

static void test_short_header(void **state)
{
	vdriver_start(&driver, USUAL);
	for (uint32_t len = 0; len < 16; len += 5) {
		struct req r = new_req(VIRTIO_BLK_T_IN, 0, SECTOR);

		r.header.len = len;
		assert_int_equal(run_req(&r, false), VIRTIO_BLK_S_IOERR);
	}
	assert_works();
}

static void test_no_header(void **state)
{
	struct vdriver_buf status = vdriver_buf(&driver, 1);

	vdriver_start(&driver, USUAL);
	vdriver_add(&driver, 0, &status, 0, 1);
	vdriver_kick(&driver, 0);
	assert_int_equal(vdriver_wait(&driver, 0).len, 1);
	assert_int_equal(*status.host, VIRTIO_BLK_S_IOERR);
	assert_works();
}

static void test_no_status(void **state)
{
	struct req r = new_req(VIRTIO_BLK_T_OUT, 0, SECTOR);
	struct vdriver_buf bufs[] = { r.header, r.data };

	vdriver_start(&driver, USUAL);
	vdriver_add(&driver, 0, bufs, 2, 0);
	assert_broken_until_reset();
	assert_file_untouched();
}

static void test_short_id_buffer(void **state)
{
	struct req r = new_req(VIRTIO_BLK_T_GET_ID, 0, VIRTIO_BLK_ID_BYTES - 1);

	vdriver_start(&driver, USUAL);
	assert_int_equal(run_req(&r, false), VIRTIO_BLK_S_IOERR);
	assert_works();
}

static void test_bad_ranges(void **state)
{
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

	vdriver_start(&driver, USUAL);
	messages_begin();
	for (unsigned int t = 0; t < ARRAY_SIZE(types); t++)
		for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++)
			assert_int_equal(
				run_range(types[t], bad[i].sector, bad[i].sectors, bad[i].flags),
				bad[i].status);
	assert_int_equal(run_range(VIRTIO_BLK_T_DISCARD, 0, 1, VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP),
			 VIRTIO_BLK_S_UNSUPP);
	assert_string_equal(messages_end(), ""); /* those are the driver's own */
	assert_file_untouched();
	assert_works();
}

/* A list of segments that is bad somewhere does nothing at all. */
static void test_bad_segment_lists(void **state)
{
	struct virtio_blk_discard_write_zeroes seg[64];
	struct req cut = new_req(VIRTIO_BLK_T_DISCARD, 0, sizeof(seg[0]) - 1);
	struct req long_list = new_req(VIRTIO_BLK_T_DISCARD, 0, 1 * MIB);

	for (unsigned int i = 0; i < ARRAY_SIZE(seg); i++)
		seg[i] = (struct virtio_blk_discard_write_zeroes){ i, 1, 0 };
	vdriver_start(&driver, USUAL);
	assert_int_equal(run_ranges(VIRTIO_BLK_T_DISCARD, seg, 0), VIRTIO_BLK_S_IOERR);
	assert_int_equal(run_ranges(VIRTIO_BLK_T_DISCARD, seg, 17), VIRTIO_BLK_S_IOERR);
	assert_int_equal(run_ranges(VIRTIO_BLK_T_WRITE_ZEROES, seg, 2), VIRTIO_BLK_S_IOERR);
	assert_int_equal(run_req(&cut, true), VIRTIO_BLK_S_IOERR);
	assert_int_equal(run_req(&long_list, true), VIRTIO_BLK_S_IOERR);
	seg[1].sector = SECTORS;
	assert_int_equal(run_ranges(VIRTIO_BLK_T_DISCARD, seg, 2), VIRTIO_BLK_S_IOERR);
	assert_file_untouched();
	assert_works();
}

static void test_ranges_not_negotiated(void **state)
{
	vdriver_start(&driver, F(FLUSH));
	assert_int_equal(run_range(VIRTIO_BLK_T_DISCARD, 0, 8, 0), VIRTIO_BLK_S_UNSUPP);
	assert_int_equal(run_range(VIRTIO_BLK_T_WRITE_ZEROES, 0, 8, 0), VIRTIO_BLK_S_UNSUPP);
	assert_file_untouched();
}

static void test_readonly(void **state)
{
	struct req flush = new_req(VIRTIO_BLK_T_FLUSH, 0, 0);

	assert_true(disk->device_features & F(RO));
	assert_false(disk->device_features & (F(DISCARD) | F(WRITE_ZEROES)));
	vdriver_start(&driver, 0); /* the driver need not have understood RO */
	assert_int_equal(run_write(0, SECTOR, 0xff), VIRTIO_BLK_S_IOERR);
	assert_int_equal(run_range(VIRTIO_BLK_T_DISCARD, 0, 8, 0), VIRTIO_BLK_S_UNSUPP);
	assert_int_equal(run_range(VIRTIO_BLK_T_WRITE_ZEROES, 0, 8, 0), VIRTIO_BLK_S_UNSUPP);
	assert_int_equal(run_req(&flush, true), VIRTIO_BLK_S_OK);
	assert_file_untouched();
	assert_works();
}

/* ---- the file fails ---- */

/* The user is told, in @lines like this one. */
static void assert_told(const char *what, int err, unsigned int lines)
{
	char line[160];
	const char *said = messages_end();

	snprintf(line, sizeof(line),
		 "minivmm: cannot %s disk '%s': %s (the guest sees an error of its own disk)\n",
		 what, blk_path, strerror(err));
	for (unsigned int i = 0; i < lines; i++) {
		if (strncmp(said, line, strlen(line)))
			fail_msg("it says '%s'", said);
		said += strlen(line);
	}
	assert_string_equal(said, "");
}

static void test_file_truncated(void **state)
{
	struct req r = new_req(VIRTIO_BLK_T_IN, 0, 16 * SECTOR);

	vdriver_start(&driver, USUAL);
	assert_int_equal(ftruncate(blk_file, 8 * SECTOR), 0);
	messages_begin();
	assert_int_equal(run_req(&r, false), VIRTIO_BLK_S_IOERR);
	assert_int_equal(r.used_len, 0);
	assert_int_equal(run_read(8, SECTOR), VIRTIO_BLK_S_IOERR);
	assert_int_equal(run_read(SECTORS - 1, SECTOR), VIRTIO_BLK_S_IOERR);
	assert_told("read", EIO, 2); /* the 1st and the 2nd time, then the 4th */
	assert_works();
}

/* A limit on file size acts as a full disk would: a write stops in the middle, later ones fail. */
static void test_no_space(void **state)
{
	struct rlimit old, limit;

	vdriver_start(&driver, USUAL);
	assert_int_equal(ftruncate(blk_file, 8 * SECTOR), 0);
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	limit = (struct rlimit){ 32 * SECTOR, old.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	messages_begin();
	uint8_t half = run_write(30, 4 * SECTOR, 1), none = run_write(64, SECTOR, 1);
	uint8_t good = run_write(16, SECTOR, 0x77);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_told("write to", EFBIG, 2);
	assert_int_equal(half, VIRTIO_BLK_S_IOERR);
	assert_int_equal(none, VIRTIO_BLK_S_IOERR);
	assert_int_equal(good, VIRTIO_BLK_S_OK);
	assert_file_bytes(16, 1, 0x77);
	assert_works();
}

/* ---- broken rings ---- */

static void test_readable_after_writable(void **state)
{
	struct req r = new_req(VIRTIO_BLK_T_OUT, 0, SECTOR);

	vdriver_start(&driver, USUAL);
	vdriver_set_desc(&driver, 0, 0, r.header.gpa, 16, VRING_DESC_F_NEXT, 1);
	vdriver_set_desc(&driver, 0, 1, r.status.gpa, 1, VRING_DESC_F_NEXT | VRING_DESC_F_WRITE, 2);
	vdriver_set_desc(&driver, 0, 2, r.data.gpa, SECTOR, 0, 0);
	vdriver_make_avail(&driver, 0, 0);
	assert_broken_until_reset();
	assert_file_untouched();
}

static void test_giant_length(void **state)
{
	struct req r = new_req(VIRTIO_BLK_T_IN, 0, SECTOR);

	vdriver_start(&driver, USUAL);
	vdriver_set_desc(&driver, 0, 0, r.header.gpa, 16, VRING_DESC_F_NEXT, 1);
	vdriver_set_desc(&driver, 0, 1, r.data.gpa, UINT32_MAX, VRING_DESC_F_WRITE, 0);
	vdriver_make_avail(&driver, 0, 0);
	assert_broken_until_reset();
}

/* Gigabytes by pointing at the same memory again and again: lengths that add up beyond 32 bits. */
static void test_length_wraps(void **state)
{
	struct req r = new_req(VIRTIO_BLK_T_IN, 0, SECTOR);

	vdriver_start(&driver, USUAL);
	vdriver_set_desc(&driver, 0, 0, r.header.gpa, 16, VRING_DESC_F_NEXT, 1);
	for (uint16_t i = 1; i < 130; i++)
		vdriver_set_desc(&driver, 0, i, 0, 32 * MIB, VRING_DESC_F_WRITE | VRING_DESC_F_NEXT,
				 (uint16_t)(i + 1));
	vdriver_set_desc(&driver, 0, 130, r.status.gpa, 1, VRING_DESC_F_WRITE, 0);
	vdriver_make_avail(&driver, 0, 0);
	assert_broken_until_reset();
}

static void test_broken_ring_spares_earlier_requests(void **state)
{
	struct req r = new_req(VIRTIO_BLK_T_IN, 1, SECTOR);

	vdriver_start(&driver, USUAL);
	add_req(&r, false);
	vdriver_make_avail(&driver, 0, 0x7fff);
	vdriver_force_kick(&driver, 0);
	assert_int_equal(vdriver_wait(&driver, 0).id, r.head);
	assert_pattern(r.data.host, SECTOR, SECTOR);
	assert_broken_until_reset();
}

/* ---- files that are no disks ---- */

static void assert_refused(const char *what, bool readonly, int err)
{
	struct device *none = NULL;

	assert_int_equal(blk_create(&none, what, readonly), err);
	assert_null(none);
}

static void test_no_such_file(void **state)
{
	assert_refused("/nonexistent/disk", false, -ENOENT);
	assert_refused("", true, -ENOENT);
}

static void test_not_a_disk(void **state)
{
	char fifo[80];

	assert_refused("/tmp", false, -EISDIR);
	assert_refused("/tmp", true, -EINVAL);
	assert_refused("/dev/full", false, -EINVAL);
	snprintf(fifo, sizeof(fifo), "%s-fifo", blk_path);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	assert_refused(fifo, true, -EINVAL); /* and does not wait for a writer */
	unlink(fifo);
}

static void test_odd_sizes(void **state)
{
	static const off_t sizes[] = { 0, 1, 511, 513, SECTORS * SECTOR + 1 };

	make_file(0);
	for (unsigned int i = 0; i < ARRAY_SIZE(sizes); i++) {
		assert_int_equal(ftruncate(blk_file, sizes[i]), 0);
		assert_refused(blk_path, false, -EINVAL);
	}
	remove_file();
}

static void test_in_use(void **state)
{
	struct device *a, *b;

	make_file(SECTOR);
	assert_int_equal(blk_create(&a, blk_path, false), 0);
	assert_refused(blk_path, false, -EBUSY);
	assert_refused(blk_path, true, -EBUSY);
	blk_destroy(a);
	/* Readers share; a writer waits for the last to go. */
	assert_int_equal(blk_create(&a, blk_path, true), 0);
	assert_int_equal(blk_create(&b, blk_path, true), 0);
	blk_destroy(a);
	assert_refused(blk_path, false, -EBUSY);
	blk_destroy(b);
	assert_int_equal(blk_create(&a, blk_path, false), 0);
	blk_destroy(a);
	remove_file();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
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
		TEST(test_no_such_file),
		TEST(test_not_a_disk),
		cmocka_unit_test(test_odd_sizes),
		cmocka_unit_test(test_in_use),
	};

	return cmocka_run_group_tests_name("virtio-blk", tests, NULL, NULL);
}
