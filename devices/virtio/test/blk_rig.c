#include "devices/virtio/test/blk_rig.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "vmm/base/test/unit.h"

struct vdriver driver;
struct virtio_dev *disk;
char blk_path[64];
int blk_file; /* the disk, from the host's side */

static uint8_t pattern(uint64_t offset)
{
	return (uint8_t)(offset * 7 + offset / SECTOR + 1);
}

void make_file(uint64_t size)
{
	uint8_t *data = malloc(size + 1);

	snprintf(blk_path, sizeof(blk_path), "/tmp/minivmm-test-blk-XXXXXX");
	blk_file = mkstemp(blk_path);
	assert_true(blk_file >= 0 && data);
	for (uint64_t i = 0; i < size; i++)
		data[i] = pattern(i);
	assert_int_equal(pwrite(blk_file, data, size, 0), size);
	free(data);
}

void remove_file(void)
{
	close(blk_file);
	unlink(blk_path);
}

int blk_create(struct device **out, const char *file_path, bool readonly)
{
	const struct virtio_blk_options config = { .path = file_path, .readonly = readonly };

	driver.env.name = "disk0";
	return virtio_blk_kind.create(out, &driver.env, &config);
}

void blk_destroy(struct device *device)
{
	device->ops->destroy(device);
}

static int setup_mode(bool readonly)
{
	make_file(SECTORS * SECTOR);
	vdriver_init(&driver, 64 * MIB);
	assert_int_equal(blk_create(&driver.device, blk_path, readonly), 0);
	disk = driver.dev;
	return 0;
}

int blk_setup(void **state)
{
	return setup_mode(false);
}

int blk_setup_ro(void **state)
{
	return setup_mode(true);
}

int blk_teardown(void **state)
{
	vdriver_destroy(&driver);
	remove_file();
	return 0;
}

void fill_header(struct vdriver_buf b, uint32_t type, uint64_t sector)
{
	struct virtio_blk_outhdr h = { .type = type, .sector = sector };

	memcpy(b.host, &h, sizeof(h));
}

struct req new_req(uint32_t type, uint64_t sector, uint32_t data_len)
{
	struct req r = {
		.header = vdriver_buf(&driver, sizeof(struct virtio_blk_outhdr)),
		.data = vdriver_part(vdriver_buf(&driver, data_len + 1), 0, data_len),
		.status = vdriver_buf(&driver, 1),
	};

	fill_header(r.header, type, sector);
	*r.status.host = NO_STATUS;
	return r;
}

void add_req(struct req *r, bool out)
{
	struct vdriver_buf b[3] = { r->header, r->data, r->status };

	if (!r->data.len) {
		b[1] = r->status;
		r->head = vdriver_add(&driver, 0, b, 1, 1);
	} else {
		r->head = vdriver_add(&driver, 0, b, out ? 2 : 1, out ? 1 : 2);
	}
}

/* Kick, wait; the answer is for @r alone. */
static uint8_t finish_req(struct req *r)
{
	struct vring_used_elem e;

	vdriver_kick(&driver, 0);
	e = vdriver_wait(&driver, 0);
	assert_int_equal(e.id, r->head);
	r->used_len = e.len;
	return *r->status.host;
}

uint8_t run_req(struct req *r, bool out)
{
	add_req(r, out);
	return finish_req(r);
}

uint8_t run_read(uint64_t sector, uint32_t len)
{
	struct req r = new_req(VIRTIO_BLK_T_IN, sector, len);

	return run_req(&r, false);
}

uint8_t run_write(uint64_t sector, uint32_t len, uint8_t byte)
{
	struct req r = new_req(VIRTIO_BLK_T_OUT, sector, len);

	memset(r.data.host, byte, len);
	return run_req(&r, true);
}

uint8_t run_ranges(uint32_t type, const struct virtio_blk_discard_write_zeroes *seg, unsigned int n)
{
	struct req r = new_req(type, 0, (uint32_t)(n * sizeof(*seg)));

	memcpy(r.data.host, seg, n * sizeof(*seg));
	return run_req(&r, true);
}

uint8_t run_range(uint32_t type, uint64_t sector, uint32_t sectors, uint32_t flags)
{
	struct virtio_blk_discard_write_zeroes seg = { sector, sectors, flags };

	return run_ranges(type, &seg, 1);
}

void assert_file_bytes(uint64_t sector, uint32_t sectors, uint8_t byte)
{
	uint8_t buf[SECTOR];

	for (uint32_t s = 0; s < sectors; s++) {
		assert_int_equal(pread(blk_file, buf, SECTOR, (off_t)((sector + s) * SECTOR)),
				 SECTOR);
		for (unsigned int i = 0; i < SECTOR; i++)
			assert_int_equal(buf[i], byte);
	}
}

void assert_file_untouched(void)
{
	static uint8_t buf[SECTORS * SECTOR];
	struct stat st;

	assert_int_equal(fstat(blk_file, &st), 0);
	assert_int_equal(st.st_size, SECTORS * SECTOR);
	assert_int_equal(pread(blk_file, buf, sizeof(buf), 0), sizeof(buf));
	for (uint64_t i = 0; i < sizeof(buf); i++)
		assert_int_equal(buf[i], pattern(i));
}

void assert_pattern(const uint8_t *p, uint64_t offset, uint64_t len)
{
	for (uint64_t i = 0; i < len; i++)
		assert_int_equal(p[i], pattern(offset + i));
}

void assert_works(void)
{
	struct req r = new_req(VIRTIO_BLK_T_IN, 5, 2 * SECTOR);

	assert_int_equal(run_req(&r, false), VIRTIO_BLK_S_OK);
	assert_pattern(r.data.host, 5 * SECTOR, 2 * SECTOR);
	assert_false(virtio_get_status(disk) & VIRTIO_CONFIG_S_NEEDS_RESET);
}

void assert_broken_until_reset(void)
{
	vdriver_force_kick(&driver, 0);
	vdriver_wait_needs_reset(&driver);
	vdriver_reset(&driver);
	vdriver_start(&driver, USUAL);
	assert_works();
}

bool file_system_can_discard(void)
{
	return fallocate(blk_file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, SECTOR) == 0;
}
