/* The window of receive chains: what a driver's buffers look like to readv(), and which chains a frame takes. */
#include <errno.h>
#include <stdlib.h>

#include "devices/virtio/rx_window.h"
#include "devices/virtio/test/split_rig.h"
#include "vmm/base/test/unit.h"

#define QUEUE 64u

static struct rx_window window;

static uint8_t *data(uint64_t offset)
{
	return guestmem_ptr(&split.mem, DATA_GPA + offset, 1);
}

/* Post a chain of the one buffer at @offset in the data. */
static void post(uint16_t head, uint64_t offset, uint32_t len)
{
	split.desc[head] =
		(struct vring_desc){ .addr = DATA_GPA + offset, .len = len, .flags = WRITE };
	split_rig_make_avail(head);
}

static void begin(bool mergeable)
{
	split_rig_start(QUEUE, false);
	rx_window_init(&window, &split.vq, mergeable);
}

static void assert_iov(unsigned int i, uint64_t offset, size_t len)
{
	unsigned int nr;
	const struct iovec *iov = rx_window_iov(&window, &nr);

	assert_true(i < nr);
	assert_ptr_equal(iov[i].iov_base, data(offset));
	assert_int_equal(iov[i].iov_len, len);
}

static void assert_used(unsigned int i, uint32_t head, uint32_t len)
{
	assert_true(virtq_publish(&split.vq)); /* each asks for an interrupt */
	assert_int_equal(split.used->idx, i + 1);
	assert_int_equal(split.used->ring[i].id, head);
	assert_int_equal(split.used->ring[i].len, len);
}

static unsigned int nr_iov(void)
{
	unsigned int nr;

	rx_window_iov(&window, &nr);
	return nr;
}

static void neighbours_are_one(void **state)
{
	(void)state;
	begin(true);
	for (unsigned int i = 0; i < 8; i++)
		post((uint16_t)i, i * 100, 100);
	assert_int_equal(rx_window_fill(&window, 800), 0);
	assert_int_equal(nr_iov(), 1);
	assert_iov(0, 0, 800);
	assert_int_equal(rx_window_chains(&window, 1), 1);
	assert_int_equal(rx_window_chains(&window, 100), 1);
	assert_int_equal(rx_window_chains(&window, 101), 2);
	assert_int_equal(rx_window_chains(&window, 800), 8);
	/* The rest of a chain that a frame did not fill goes with it. */
	rx_window_give(&window, 60);
	assert_used(0, 0, 60);
	assert_iov(0, 100, 700);
	rx_window_give(&window, 100);
	assert_used(1, 1, 100);
	assert_iov(0, 200, 600);
	assert_int_equal(rx_window_room(&window), 600);
	rx_window_give(&window, 600);
	assert_int_equal(nr_iov(), 0);
	assert_int_equal(rx_window_room(&window), 0);
}

/* One before the other, a byte too far, a byte too near, the same again. */
static void others_are_not(void **state)
{
	(void)state;
	begin(true);
	post(0, 500, 100);
	post(1, 400, 100);
	post(2, 501, 100);
	post(3, 600, 100);
	post(4, 600, 100);
	assert_int_equal(rx_window_fill(&window, 500), 0);
	assert_int_equal(nr_iov(), 5);
	assert_iov(1, 400, 100);
	assert_iov(4, 600, 100);
}

/* Without mergeable buffers a frame has the first chain alone, whatever lies behind it. */
static void a_frame_has_one_chain(void **state)
{
	(void)state;
	begin(false);
	split.desc[0] = (struct vring_desc){ DATA_GPA, 12, WRITE | NEXT, 1 };
	split.desc[1] = (struct vring_desc){ DATA_GPA + 12, 1000, WRITE, 0 };
	split_rig_make_avail(0);
	post(2, 1012, 1000);
	assert_int_equal(rx_window_fill(&window, 2000), 0);
	assert_int_equal(nr_iov(), 1);
	assert_iov(0, 0, 1012);
	assert_int_equal(rx_window_room(&window), 1012);
	rx_window_give(&window, 5);
	assert_used(0, 0, 5);
	assert_int_equal(rx_window_fill(&window, 2000), 0);
	assert_iov(0, 1012, 1000);
}

/* The i-th byte of the window's room. */
static const uint8_t *byte_at(size_t i)
{
	unsigned int nr;
	const struct iovec *iov = rx_window_iov(&window, &nr);

	for (; nr && i >= iov->iov_len; iov++, nr--)
		i -= iov->iov_len;
	assert_int_not_equal(nr, 0);
	return (const uint8_t *)iov->iov_base + i;
}

/* Buffers of any length and place: each byte of a frame goes where the chains' buffers say. */
static void any_buffers(void **state)
{
	uint32_t len[QUEUE];
	uint64_t at[QUEUE], next = 0;
	unsigned int seed = 7, posted = 0, used = 0;

	(void)state;
	begin(true);
	for (unsigned int frames = 0; frames < 20000; frames++) {
		for (; posted - used < QUEUE; posted++) {
			const unsigned int i = posted % QUEUE;

			len[i] = 1 + (uint32_t)rand_r(&seed) % 300;
			at[i] = rand_r(&seed) % 3 ? next : (uint64_t)rand_r(&seed) % 0x8000;
			if (at[i] > 0x8000)
				at[i] = 0;
			next = at[i] + len[i];
			post((uint16_t)i, at[i], len[i]);
		}
		const size_t want = 1 + (size_t)rand_r(&seed) % 2000;
		assert_int_equal(rx_window_fill(&window, want), 0);
		assert_true(rx_window_room(&window) >= want);
		const uint16_t chains = rx_window_chains(&window, want);
		size_t begin_at = 0;
		for (unsigned int c = 0; c < chains; c++) {
			const unsigned int i = (used + c) % QUEUE;

			assert_ptr_equal(byte_at(begin_at), data(at[i]));
			assert_ptr_equal(byte_at(begin_at + len[i] - 1), data(at[i] + len[i] - 1));
			begin_at += len[i];
		}
		assert_true(begin_at >= want && begin_at - len[(used + chains - 1) % QUEUE] < want);
		rx_window_give(&window, want);
		assert_true(virtq_publish(&split.vq));
		used += chains;
		assert_int_equal(split.used->idx, (uint16_t)used);
	}
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, split_rig_setup, split_rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(neighbours_are_one),
		TEST(others_are_not),
		TEST(a_frame_has_one_chain),
		TEST(any_buffers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
