/* RTL8139: registers, EEPROM, interrupts, timer and life, bad cases first. */
#include "devices/test/rtl8139_rig.h"
#include "vmm/base/test/unit.h"

#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include <linux/pci_regs.h>

/* 9346CR */
#define PROGRAM 0x80
#define CONFIG	0xc0
#define CS	0x08
#define SK	0x04
#define DI	0x02
#define DO	0x01

/* ---- EEPROM, bit by bit ---- */

static void clock_in(unsigned int bits, unsigned int n)
{
	while (n-- > 0) {
		const uint32_t di = bits >> n & 1 ? DI : 0;

		put(R_9346CR, 1, PROGRAM | CS | di);
		put(R_9346CR, 1, PROGRAM | CS | di | SK);
	}
	put(R_9346CR, 1, PROGRAM | CS);
}

static unsigned int clock_out(unsigned int n)
{
	unsigned int bits = 0;

	while (n-- > 0) {
		put(R_9346CR, 1, PROGRAM | CS | SK);
		bits = bits << 1 | (get(R_9346CR, 1) & DO);
		put(R_9346CR, 1, PROGRAM | CS);
	}
	return bits;
}

static void deselect(void)
{
	put(R_9346CR, 1, 0);
}

static unsigned int read_word(unsigned int address, unsigned int address_bits)
{
	unsigned int word;

	put(R_9346CR, 1, PROGRAM);
	clock_in(6u << address_bits | address, 3 + address_bits);
	word = clock_out(16);
	deselect();
	return word;
}

static void command(unsigned int bits, unsigned int n)
{
	put(R_9346CR, 1, PROGRAM);
	clock_in(bits, n);
	deselect();
}

static void write_word(unsigned int address, unsigned int word)
{
	put(R_9346CR, 1, PROGRAM);
	clock_in(5u << 6 | address, 9);
	clock_in(word, 16);
	deselect();
}

static void test_a_writing_command_without_permission_does_nothing(void **state)
{
	write_word(20, 0x1234);
	command(7u << 6 | 7, 9);    /* ERASE the address */
	command(4u << 6 | 0x20, 9); /* ERAL */
	assert_int_equal(read_word(20, 6), 0);
	assert_int_equal(read_word(7, 6), 0x5452);
	command(4u << 6 | 0x30, 9); /* EWEN */
	command(4u << 6, 9);	    /* EWDS */
	write_word(20, 0x1234);
	assert_int_equal(read_word(20, 6), 0);
}

static void test_a_command_that_is_cut_short_does_nothing(void **state)
{
	command(4u << 6 | 0x30, 9);
	for (unsigned int n = 1; n < 9; n++)
		command((5u << 6 | 20) >> (9 - n), n);
	for (unsigned int n = 0; n < 16; n++) {
		put(R_9346CR, 1, PROGRAM);
		clock_in(5u << 6 | 20, 9);
		clock_in(0xffff, n);
		deselect();
	}
	assert_int_equal(read_word(20, 6), 0);
	/* Left by another mode amid it. */
	put(R_9346CR, 1, PROGRAM);
	clock_in(5u << 6 | 20, 9);
	put(R_9346CR, 1, CONFIG);
	clock_in(0xffff, 16);
	deselect();
	assert_int_equal(read_word(20, 6), 0);
	assert_int_equal(read_word(0, 6), 0x8129);
}

static void test_more_bits_than_a_command_has_change_nothing_else(void **state)
{
	command(4u << 6 | 0x30, 9);
	put(R_9346CR, 1, PROGRAM);
	clock_in(5u << 6 | 20, 9);
	clock_in(0xabcd, 16);
	clock_in(0xffff, 16);
	deselect();
	assert_int_equal(read_word(20, 6), 0xabcd);
	assert_int_equal(read_word(21, 6), 0);
}

static void test_the_eeprom_has_the_address(void **state)
{
	/* A driver that asks for eight bits of address must not take it for the larger chip. */
	assert_int_not_equal(read_word(0, 8), 0x8129);
	assert_int_equal(read_word(0, 6), 0x8129);
	for (unsigned int i = 0; i < 3; i++)
		assert_int_equal(read_word(7 + i, 6), chip_mac[2 * i] | chip_mac[2 * i + 1] << 8);
	assert_int_equal(get(R_IDR, 4), 0x12005452);
	assert_int_equal(get(R_IDR + 4, 2), 0x5634);
}

static void test_what_is_written_stays_and_is_loaded(void **state)
{
	command(4u << 6 | 0x30, 9);
	write_word(7, 0x0202);
	write_word(63, 0xbeef);
	assert_int_equal(read_word(63, 6), 0xbeef);
	command(7u << 6 | 63, 9);
	assert_int_equal(read_word(63, 6), 0xffff);
	assert_int_equal(get(R_IDR, 2), 0x5452);
	put(R_9346CR, 1, 0x40); /* load */
	assert_int_equal(get(R_IDR, 2), 0x0202);
	assert_int_equal(get(R_9346CR, 1), 0);
	put(R_9346CR, 1, PROGRAM);
	clock_in(4u << 6 | 0x10, 9); /* WRAL */
	clock_in(0x5aa5, 16);
	deselect();
	for (unsigned int i = 0; i < 64; i++)
		assert_int_equal(read_word(i, 6), 0x5aa5);
	command(4u << 6 | 0x20, 9); /* ERAL */
	assert_int_equal(read_word(33, 6), 0xffff);
}

/* ---- registers ---- */

static void test_kept_registers_are_kept_while_locked(void **state)
{
	put(R_IDR, 4, 0x11111111);
	put(R_CONFIG1, 1, 0xff);
	put(R_CONFIG3, 1, 0xff);
	put(R_BMCR, 2, 0);
	assert_int_equal(get(R_IDR, 4), 0x12005452);
	assert_int_equal(get(R_CONFIG1, 1), 0x0c);
	assert_int_equal(get(R_CONFIG3, 1), 0);
	assert_int_equal(get(R_BMCR, 2), 0x3100);
	put(R_9346CR, 1, CONFIG);
	put(R_IDR, 4, 0x11111112);
	put(R_IDR + 4, 4, 0xffff2222);
	put(R_CONFIG1, 1, 0xff);
	put(R_CONFIG3, 1, 0xff);
	put(R_BMCR, 2, 0x0100);
	put(R_9346CR, 1, 0);
	assert_int_equal(get(R_IDR, 4), 0x11111112);
	assert_int_equal(get(R_IDR + 4, 2), 0x2222);
	assert_int_equal(get(R_CONFIG1, 1), 0xff);
	assert_int_equal(get(R_CONFIG3, 1), 0x70);
	assert_int_equal(get(R_BMCR, 2), 0x0100);
}

static void test_read_only_registers_stay(void **state)
{
	static const unsigned int fixed[] = { 0x36,    R_CBR,  0x51, R_MSR, 0x5e,
					      R_TSADS, R_BMSR, 0x68, 0x6a };

	put(R_9346CR, 1, CONFIG);
	for (unsigned int i = 0; i < ARRAY_SIZE(fixed); i++) {
		const uint32_t before = get(fixed[i], 1);

		put(fixed[i], 1, ~before & 0xff);
		assert_int_equal(get(fixed[i], 1), before);
	}
	put(R_TCR, 4, UINT32_MAX);
	assert_int_equal(get(R_TCR, 4) & 0x7cc00000, 0x74800000); /* the version */
}

static void test_every_access_of_every_size_is_survived(void **state)
{
	static const uint64_t values[] = { 0, UINT64_MAX, 0x5555555555555555 };
	const uint64_t bar = cfg_bar(&machine, RIG_SLOT, 1);

	for (unsigned int v = 0; v < ARRAY_SIZE(values); v++)
		for (unsigned int size = 1; size <= 8; size *= 2)
			for (unsigned int reg = 0; reg + size <= 256; reg++) {
				bus_put(&machine.mmio, bar + reg, size, values[v]);
				bus_get(&machine.mmio, bar + reg, size);
			}
	check_cplus_alive();
}

static void test_wide_and_crooked_reads_see_the_same_bytes(void **state)
{
	const uint64_t bar = cfg_bar(&machine, RIG_SLOT, 1);
	uint8_t bytes[256];

	start_cplus(0);
	for (unsigned int reg = 0; reg < sizeof(bytes); reg++)
		bytes[reg] = (uint8_t)bus_get(&machine.mmio, bar + reg, 1);
	for (unsigned int size = 2; size <= 8; size *= 2)
		for (unsigned int reg = 0; reg + size <= sizeof(bytes); reg++) {
			const uint64_t value = bus_get(&machine.mmio, bar + reg, size);

			if (reg + size > R_TCTR && reg < R_TCTR + 4)
				continue; /* it counts */
			assert_memory_equal(&value, bytes + reg, size);
		}
}

static void test_both_bars_reach_the_same_registers(void **state)
{
	const uint64_t ports = cfg_bar(&machine, RIG_SLOT, 0);

	bus_put(&machine.pio, ports + R_RCR, 4, 0x8e);
	assert_int_equal(get(R_RCR, 4), 0x8e);
	put(R_MAR + 1, 1, 0x77);
	assert_int_equal(bus_get(&machine.pio, ports + R_MAR, 4), 0x7700);
	assert_int_equal(cfg_get(&machine, RIG_SLOT, PCI_REVISION_ID, 1), 0x20);
	assert_int_equal(cfg_get(&machine, RIG_SLOT, 0, 4), 0x813910ec);
}

static void test_a_reset_leaves_address_filter_and_configuration(void **state)
{
	start_cplus(0x20);
	put(R_9346CR, 1, CONFIG);
	put(R_IDR, 4, 0x44332212);
	put(R_CONFIG1, 1, 0x20);
	put(R_9346CR, 1, 0);
	put(R_MAR, 4, 0x12345678);
	put(R_CR, 1, RST);
	assert_int_equal(get(R_CR, 1), BUFE);
	assert_int_equal(get(R_CPCR, 2), 0);
	assert_int_equal(get(R_IMR, 2), 0);
	assert_int_equal(get(R_ISR, 2), 0);
	assert_int_equal(get(R_RCR, 4), 0);
	assert_int_equal(get(R_IDR, 4), 0x44332212);
	assert_int_equal(get(R_MAR, 4), 0x12345678);
	assert_int_equal(get(R_CONFIG1, 1) & 0x20, 0x20);
}

/* ---- interrupts and the timer ---- */

static void test_inta_follows_status_and_mask(void **state)
{
	put(R_TPPOLL, 1, 1);
	assert_int_equal(get(R_ISR, 2), SWINT);
	assert_false(inta());
	put(R_IMR, 2, SWINT);
	assert_true(inta());
	put(R_ISR, 2, ~SWINT & 0xffff); /* clears others */
	assert_true(inta());
	put(R_IMR, 2, ~SWINT & 0xffff);
	assert_false(inta());
	put(R_IMR, 2, 0xffff);
	assert_true(inta());
	put(R_ISR, 2, SWINT);
	assert_false(inta());
	assert_int_equal(count_of("chip", "interrupts"), 2);
	/* Both in one dword. */
	put(R_TPPOLL, 1, 1);
	put(R_IMR, 4, SWINT << 16 | 0x00ff);
	assert_int_equal(get(R_ISR, 2), 0);
	assert_int_equal(get(R_IMR, 2), 0xff);
}

static void test_the_timer_interrupts_where_it_is_told(void **state)
{
	uint32_t before;

	put(R_TCTR, 4, 0);
	before = get(R_TCTR, 4);
	while (get(R_TCTR, 4) == before)
		;
	assert_int_equal(get(R_ISR, 2) & TIMEOUT, 0);
	put(R_TIMERINT, 4, 33000); /* a millisecond */
	put(R_TCTR, 4, 0);
	wait_isr(TIMEOUT);
	assert_true(get(R_TCTR, 4) >= 33000);
	put(R_ISR, 2, TIMEOUT);
	put(R_TIMERINT, 4, 0);
	put(R_TCTR, 4, 0);
	usleep(3000);
	assert_int_equal(get(R_ISR, 2) & TIMEOUT, 0);
	/* As often as the guest likes. */
	for (uint32_t i = 0; i < 1000; i++) {
		put(R_TIMERINT, 4, i * 7 % 50);
		put(R_TCTR, 4, 0);
	}
	check_cplus_alive();
}

/* ---- life ---- */

static atomic_bool stop;

static void *reset_again_and_again(void *arg)
{
	for (unsigned int i = 0; !atomic_load(&stop); i++) {
		put(R_CR, 1, i % 3 ? RE | TE : RST);
		put(R_CPCR, 2, i % 5 ? 3 : 0);
		put(R_TNPDS, 4, TX_RING);
		put(R_RDSAR, 4, RX_RING);
		put(R_RCR, 4, 0xf);
		put(R_TPPOLL, 1, 0xc0);
		put(R_TSD + 4 * (i % 4), 4, 60);
		set_master(i % 7);
	}
	return arg;
}

static void test_a_reset_at_any_time_is_survived(void **state)
{
	pthread_t thread;

	start_cplus(0);
	assert_int_equal(pthread_create(&thread, NULL, reset_again_and_again, NULL), 0);
	for (unsigned int i = 0; i < 3000; i++) {
		host_send(fill_frame(60 + i % 200, i));
		for (unsigned int n = 0; n < 4; n++) {
			set_desc(TX_RING, n, OWN | FIRST | LAST | 60, 0, TX_BUFFER);
			set_desc(RX_RING, n, OWN | 1536, 0, RX_BUFFER + n * 2048);
		}
		while (host_has())
			host_recv();
		if (i == 2000) {
			atomic_store(&stop, true);
			pthread_join(thread, NULL);
			set_master(true);
			start_cplus(0);
		}
	}
	/* The last frames come in before the next driver's. */
	for (unsigned int ms = 0;
	     count_of("rx", "packets") + count_of("rx", "drop_missed") +
		     count_of("rx", "drop_filtered") + count_of("rx", "drop_off") <
	     3000;
	     ms++) {
		assert_true(ms < 20000);
		usleep(1000);
	}
	while (host_has())
		host_recv();
	check_cplus_alive();
}

static void *fill_again_and_again(void *arg)
{
	while (!atomic_load(&stop))
		for (unsigned int n = 0; n < RING; n++)
			set_desc(TX_RING, n, OWN | FIRST | LAST | (n == RING - 1 ? EOR : 0) | 4, 0,
				 TX_BUFFER);
	return NULL;
}

/* The card has always more to do: it works in turns that end, so that resets, timers and the end come through. */
static void test_a_ring_that_is_always_full_holds_up_nothing(void **state)
{
	pthread_t thread;

	atomic_store(&stop, false);
	assert_int_equal(pthread_create(&thread, NULL, fill_again_and_again, NULL), 0);
	for (unsigned int i = 0; i < 20; i++) {
		const uint64_t before = count_of("tx", "drop_malformed");

		start_cplus(0);
		put(R_TIMERINT, 4, 1000);
		put(R_TCTR, 4, 0);
		do
			put(R_TPPOLL, 1, 0x40);
		while (count_of("tx", "drop_malformed") < before + 4 * RING ||
		       !(get(R_ISR, 2) & TIMEOUT));
		put(R_CR, 1, RST);
		assert_int_equal(get(R_CR, 1) & (RST | TE), 0);
	}
	start_cplus(0);
	card->ops->stop(card);
	atomic_store(&stop, true);
	pthread_join(thread, NULL);
}

static void test_a_stopped_card_touches_nothing(void **state)
{
	start_cplus(0);
	card->ops->stop(card);
	host_send(fill_frame(60, 1));
	set_desc(TX_RING, 0, OWN | FIRST | LAST | 60, 0, TX_BUFFER);
	put(R_TPPOLL, 1, 0x40);
	put(R_TIMERINT, 4, 1);
	usleep(20000); /* time to do wrong */
	assert_true(opts1_of(TX_RING, 0) & OWN);
	assert_true(opts1_of(RX_RING, 0) & OWN);
	assert_false(host_has());
}

static void test_a_backend_with_several_queues_is_refused(void **state)
{
	const struct device_env env = { .name = "net1",
					.mem = &mem,
					.counters = &machine.counters };
	const struct virtio_net_options options = { .model = NET_MODEL_RTL8139 };
	struct netbe_pair many;
	struct device *other = NULL;
	const int errors = dup(STDERR_FILENO);
	char said[256] = "";
	FILE *out = tmpfile();
	int ret;

	netbe_pair_init(&many);
	many.be.pairs = 2;
	assert_non_null(out);
	dup2(fileno(out), STDERR_FILENO);
	ret = rtl8139_create(&other, &env, &many.be, &options);
	dup2(errors, STDERR_FILENO);
	close(errors);
	assert_int_not_equal(ret, 0);
	assert_null(other);
	/* With a list of descriptors queues=1 is refused: that would mend nothing. */
	assert_true(pread(fileno(out), said, sizeof(said) - 1, 0) > 0);
	assert_non_null(strstr(said, "(one descriptor in fd=, or model=virtio)"));
	fclose(out);
	netbe_pair_destroy(&many);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, chip_setup, chip_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_a_writing_command_without_permission_does_nothing),
		TEST(test_a_command_that_is_cut_short_does_nothing),
		TEST(test_more_bits_than_a_command_has_change_nothing_else),
		TEST(test_the_eeprom_has_the_address),
		TEST(test_what_is_written_stays_and_is_loaded),
		TEST(test_kept_registers_are_kept_while_locked),
		TEST(test_read_only_registers_stay),
		TEST(test_every_access_of_every_size_is_survived),
		TEST(test_wide_and_crooked_reads_see_the_same_bytes),
		TEST(test_both_bars_reach_the_same_registers),
		TEST(test_a_reset_leaves_address_filter_and_configuration),
		TEST(test_inta_follows_status_and_mask),
		TEST(test_the_timer_interrupts_where_it_is_told),
		TEST(test_a_reset_at_any_time_is_survived),
		TEST(test_a_ring_that_is_always_full_holds_up_nothing),
		TEST(test_a_stopped_card_touches_nothing),
		TEST(test_a_backend_with_several_queues_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
