/* RTL8139: the old mode's descriptors and receive ring, bad cases first. */
#include "devices/test/rtl8139_rig.h"
#include "vmm/base/test/unit.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define TSD_OWN	 BIT(13)
#define TSD_TOK	 BIT(15)
#define TSD_TABT BIT(30)
#define WRAP	 0x80u
#define SIZE_8K	 0u
#define SIZE_32K 0x1000u
#define SIZE_64K 0x1800u

/* Where the driver reads next; as Linux's does, it counts on beyond the end of the buffer. */
static uint32_t tail;

static void begin(uint32_t rcr)
{
	start_old(rcr);
	tail = 0;
}

/* Take the next frame, as a driver does, and give its room back; its length. */
static size_t take(uint32_t ring, bool around)
{
	uint16_t header[2];
	const uint32_t start = tail % ring;

	memcpy(header, at(RX_BUFFER + start), sizeof(header));
	assert_true(header[0] & 1);
	assert_true(header[1] >= 64);
	for (size_t i = 0; i < header[1]; i++) {
		const uint32_t where = start + 4 + (uint32_t)i;

		received[HDR + i] = *(uint8_t *)at(RX_BUFFER + (around ? where % ring : where));
	}
	tail = (tail + header[1] + 4 + 3) & ~3u;
	put(R_CAPR, 2, (tail - 16) & 0xffff);
	return header[1] - 4u;
}

static bool empty(void)
{
	return get(R_CR, 1) & BUFE;
}

static void wait_frame(void)
{
	for (unsigned int ms = 0; empty(); ms++) {
		assert_true(ms < 20000);
		usleep(1000);
	}
}

static void check_alive(void)
{
	size_t len;

	begin(SIZE_32K | WRAP);
	len = fill_frame(100, 3);
	assert_int_equal(guest_send_old(0, len) & (TSD_TOK | TSD_TABT), TSD_TOK);
	assert_int_equal(host_recv(), len);
	assert_memory_equal(received + HDR, sent + HDR, len);
	host_send(len);
	wait_frame();
	assert_int_equal(take(32768, false), len);
	assert_memory_equal(received + HDR, sent + HDR, len);
	assert_true(empty());
}

/* ---- transmit ---- */

static void test_sizes_that_are_no_frame_are_aborted(void **state)
{
	static const uint32_t bad[] = { 0, 1, 13, 1793, 0x1fff };

	begin(0);
	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		put(R_TSD + 4 * (i % 4), 4, bad[i]);
		wait_count("tx", "drop_malformed", i + 1);
		assert_true(get(R_TSD + 4 * (i % 4), 4) & TSD_TABT);
		wait_isr(TER);
	}
	assert_int_equal(count_of("tx", "packets"), 0);
	check_alive();
}

static void test_an_address_beyond_memory_is_aborted(void **state)
{
	static const uint32_t bad[] = { RIG_MEMORY, RIG_MEMORY - 59, UINT32_MAX, UINT32_MAX - 59 };

	begin(0);
	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		put(R_TSAD + 4 * i, 4, bad[i]);
		put(R_TSD + 4 * i, 4, 60);
		wait_count("tx", "drop_malformed", i + 1);
	}
	assert_int_equal(get(R_TSADS, 2), 0x00ff); /* all aborted, all the driver's */
	check_alive();
}

static void test_descriptors_go_in_turn(void **state)
{
	begin(0);
	memcpy(at(TX_BUFFER + 0x20000), chip_mac, 6);
	put(R_TSD + 4, 4, 61); /* the second, before the first */
	put(R_TSD + 8, 4, TSD_OWN | 62);
	usleep(5000);
	assert_false(host_has());
	put(R_TSD, 4, 60);
	assert_int_equal(host_recv(), 60);
	assert_int_equal(host_recv(), 61);
	assert_false(host_has());
	check_alive();
}

static void test_a_transmitter_that_is_off_sends_nothing(void **state)
{
	begin(0);
	put(R_CR, 1, RE);
	put(R_TSD, 4, 60);
	usleep(5000);
	assert_false(host_has());
	put(R_CR, 1, RE | TE);
	assert_int_equal(host_recv(), 60);
	check_alive();
}

static void test_a_frame_that_waits_is_dropped_by_turning_off(void **state)
{
	begin(0);
	netbe_pair_fail(&chip_pair.send_fault, EAGAIN, UINT32_MAX);
	put(R_TSD, 4, 60);
	wait_count("tx", "blocked", 1);
	put(R_CR, 1, RE);
	wait_count("tx", "drop_reset", 1);
	netbe_pair_fail(&chip_pair.send_fault, EAGAIN, 0); /* not before: it may be about to send */
	assert_int_equal(count_of("tx", "packets"), 0);
	check_alive();
}

static void test_an_interface_that_is_down_is_an_abort(void **state)
{
	begin(0);
	netbe_pair_fail(&chip_pair.send_fault, EIO, 1);
	assert_true(guest_send_old(0, fill_frame(60, 1)) & TSD_TABT);
	assert_int_equal(count_of("tx", "drop_down"), 1);
	check_alive();
}

static void test_frames_go_out(void **state)
{
	begin(0);
	for (unsigned int i = 0; i < 200; i++) {
		const size_t len = fill_frame(14 + i * 9 % 1779, i);

		assert_int_equal(guest_send_old(i % 4, len) & (TSD_TOK | TSD_TABT), TSD_TOK);
		assert_int_equal(host_recv(), len);
		assert_memory_equal(received + HDR, sent + HDR, len);
	}
	assert_int_equal(get(R_TSADS, 2), 0xf00f);
	assert_int_equal(count_of("tx", "packets"), 200);
}

/* ---- receive ---- */

static void test_a_full_buffer_misses_frames_and_counts_them(void **state)
{
	unsigned int kept = 0;

	begin(SIZE_8K);
	for (unsigned int i = 0; i < 20; i++)
		host_send(fill_frame(1000, i));
	wait_count("rx", "drop_missed", 12);
	/* Eight of 1008 bytes go into 8192; never quite full. */
	assert_int_equal(count_of("rx", "packets"), 8);
	assert_int_equal(get(R_MPC, 4), 12);
	wait_isr(RDU);
	while (!empty()) {
		assert_int_equal(take(8192, true), 1000);
		fill_frame(1000, kept++);
		assert_memory_equal(received + HDR, sent + HDR, 1000);
	}
	assert_int_equal(kept, 8);
	put(R_MPC, 4, 0);
	host_send(fill_frame(1000, 99));
	wait_frame();
	take(8192, true);
	assert_memory_equal(received + HDR, sent + HDR, 1000);
	assert_int_equal(get(R_MPC, 4), 0);
}

static void test_a_buffer_beyond_memory_stops_the_receiver(void **state)
{
	static const uint32_t bad[] = { RIG_MEMORY, RIG_MEMORY - 32, UINT32_MAX, UINT32_MAX - 10 };

	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		begin(SIZE_8K);
		put(R_RBSTART, 4, bad[i]);
		host_send(fill_frame(60, i));
		wait_isr(SERR);
		assert_true(empty());
		assert_int_equal(count_of("rx", "drop_off"), i + 1);
		check_alive();
	}
}

static void test_a_frame_longer_than_the_chip_takes_is_dropped(void **state)
{
	begin(SIZE_64K);
	host_send(fill_frame(4092, 1));
	wait_count("rx", "drop_too_big", 1);
	host_send(fill_frame(4091, 2));
	wait_frame();
	assert_int_equal(take(65536, true), 4091);
	assert_memory_equal(received + HDR, sent + HDR, 4091);
}

static void test_any_read_pointer_is_survived(void **state)
{
	begin(SIZE_8K);
	for (unsigned int i = 0; i < 300; i++) {
		put(R_CAPR, 2, i * 219 & 0xffff);
		host_send(fill_frame(60 + i, i));
		if (i % 50 == 0)
			put(R_RCR, 4, (i & 0x1800) | APM);
	}
	for (unsigned int ms = 0; count_of("rx", "packets") + count_of("rx", "drop_missed") < 300;
	     ms++) {
		assert_true(ms < 20000);
		usleep(1000);
	}
	check_alive();
}

static void fill_and_read(uint32_t size, uint32_t rcr, bool around)
{
	begin(rcr);
	for (unsigned int i = 0; i < 400; i++) {
		const size_t len = fill_frame(60 + i * 37 % 1440, i);

		host_send(len);
		wait_frame();
		assert_int_equal(take(size, around), len);
		assert_memory_equal(received + HDR, sent + HDR, len);
		assert_true(empty());
		assert_int_equal(get(R_CBR, 2), tail % size & 0xffff);
	}
}

static void test_frames_come_in_around_the_end(void **state)
{
	fill_and_read(8192, SIZE_8K, true);
	fill_and_read(32768, SIZE_32K, true);
	fill_and_read(65536, SIZE_64K, true);
}

static void test_frames_go_on_behind_the_end_where_that_is_asked_for(void **state)
{
	fill_and_read(8192, SIZE_8K | WRAP, false);
	fill_and_read(32768, SIZE_32K | WRAP, false);
	fill_and_read(65536, SIZE_64K | WRAP, true); /* not possible with 64 KiB */
}

static void test_the_old_chip_has_no_other_mode(void **state)
{
	put(R_CPCR, 2, 3);
	assert_int_equal(get(R_CPCR, 2), 0);
	assert_int_equal(cfg_get(&machine, RIG_SLOT, 8, 1), 0x10);
	check_alive();
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, chip_setup_old, chip_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_sizes_that_are_no_frame_are_aborted),
		TEST(test_an_address_beyond_memory_is_aborted),
		TEST(test_descriptors_go_in_turn),
		TEST(test_a_transmitter_that_is_off_sends_nothing),
		TEST(test_a_frame_that_waits_is_dropped_by_turning_off),
		TEST(test_an_interface_that_is_down_is_an_abort),
		TEST(test_frames_go_out),
		TEST(test_a_full_buffer_misses_frames_and_counts_them),
		TEST(test_a_buffer_beyond_memory_stops_the_receiver),
		TEST(test_a_frame_longer_than_the_chip_takes_is_dropped),
		TEST(test_any_read_pointer_is_survived),
		TEST(test_frames_come_in_around_the_end),
		TEST(test_frames_go_on_behind_the_end_where_that_is_asked_for),
		TEST(test_the_old_chip_has_no_other_mode),
		/* The newer chip begins in that mode. */
		cmocka_unit_test_setup_teardown(test_frames_go_out, chip_setup, chip_teardown),
		cmocka_unit_test_setup_teardown(test_frames_come_in_around_the_end, chip_setup,
						chip_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
