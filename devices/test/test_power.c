/* Power-off, reset and exit status registers, on a bus. */
#include <errno.h>

#include "devices/power.h"
#include "vmm/base/test/unit.h"
#include "vmm/x86/memmap.h"

static const struct power_ports layout = MEMMAP_POWER;
static struct bus bus;
static struct power *power;
static unsigned int events;
static enum power_event last_event;
static uint8_t last_status;

static void on_event(void *arg, enum power_event what, uint8_t status)
{
	assert_ptr_equal(arg, &bus);
	events++;
	last_event = what;
	last_status = status;
}

static int setup(void **state)
{
	bus_init(&bus);
	events = 0;
	return power_create(&power, &bus, &layout, on_event, &bus);
}

static int teardown(void **state)
{
	power_destroy(power);
	assert_int_equal(bus.nr_ranges, 0);
	bus_destroy(&bus);
	return 0;
}

static uint64_t in(uint64_t port, unsigned int size)
{
	uint64_t value;

	assert_true(bus_read(&bus, port, size, &value));
	return value;
}

static void out(uint64_t port, unsigned int size, uint64_t value)
{
	assert_true(bus_write(&bus, port, size, value));
}

static void assert_event(enum power_event what, uint8_t status)
{
	assert_int_equal(events, 1);
	assert_int_equal(last_event, what);
	assert_int_equal(last_status, status);
	events = 0;
}

/* As Linux does it (ACPICA's extended sleep). */
static void test_power_off(void **state)
{
	const uint64_t s5 = SLEEP_TYPE_S5 << 2;

	out(PORT_SLEEP_STATUS, 1, 0x80);
	out(PORT_SLEEP_CONTROL, 1, s5);
	assert_int_equal(events, 0);
	out(PORT_SLEEP_CONTROL, 1, s5 | 0x20);
	assert_event(POWER_OFF, 0);
	assert_int_equal(in(PORT_SLEEP_STATUS, 1), 0);
}

static void test_acpi_reset(void **state)
{
	out(PORT_RESET, 1, RESET_VALUE);
	assert_event(POWER_RESET, 0);
}

/* As Linux does it with reboot=k: wait for the input buffer, pulse. */
static void test_i8042_reset(void **state)
{
	assert_int_equal(in(PORT_I8042_COMMAND, 1) & 0x02, 0);
	out(PORT_I8042_COMMAND, 1, 0xfe);
	assert_event(POWER_RESET, 0);
	out(PORT_I8042_COMMAND, 1, 0xf0); /* all lines */
	assert_event(POWER_RESET, 0);
}

static void test_exit_status(void **state)
{
	for (unsigned int v = 0; v < 256; v++) {
		out(PORT_EXIT_STATUS, 1, v);
		assert_event(POWER_STATUS, (uint8_t)v);
	}
	out(PORT_EXIT_STATUS, 4, 42); /* as programs for isa-debug-exit do */
	assert_event(POWER_STATUS, 42);
}

static void test_large_statuses_are_no_success(void **state)
{
	static const uint32_t large[] = { 256, 0x10000, 0xffffff00, UINT32_MAX };

	for (unsigned int i = 0; i < ARRAY_SIZE(large); i++) {
		out(PORT_EXIT_STATUS, 4, large[i]);
		assert_event(POWER_STATUS, 255);
	}
}

static void test_other_sleeps_are_ignored(void **state)
{
	for (unsigned int v = 0; v < 256; v++)
		if ((v >> 2 & 7) != SLEEP_TYPE_S5 || !(v & 0x20))
			out(PORT_SLEEP_CONTROL, 1, v);
	out(PORT_SLEEP_STATUS, 1, SLEEP_TYPE_S5 << 2 | 0x20);
	assert_int_equal(events, 0);
}

static void test_other_reset_values_are_ignored(void **state)
{
	for (unsigned int v = 0; v < 256; v++)
		if (v != RESET_VALUE)
			out(PORT_RESET, 1, v);
	assert_int_equal(events, 0);
}

static void test_other_i8042_commands_are_ignored(void **state)
{
	for (unsigned int v = 0; v < 256; v++) {
		if (v < 0xf0 || v & 1)
			out(PORT_I8042_COMMAND, 1, v);
		out(PORT_I8042_DATA, 1, v);
	}
	assert_int_equal(events, 0);
}

/* Linux drains up to 16 bytes before it says that there is no controller: no timeouts. */
static void test_i8042_probe_fails_at_once(void **state)
{
	for (unsigned int i = 0; i <= 16; i++) {
		assert_true(in(PORT_I8042_COMMAND, 1) & 0x01);
		assert_int_equal(in(PORT_I8042_DATA, 1), 0);
	}
}

static void test_status_port_above_its_first_byte(void **state)
{
	for (unsigned int i = 1; i < 4; i++)
		out(PORT_EXIT_STATUS + i, 1, 1);
	assert_false(bus_write(&bus, PORT_EXIT_STATUS + 1, 4, 1)); /* beyond the ports */
	assert_int_equal(events, 0);
	assert_int_equal(in(PORT_EXIT_STATUS, 4), 0);
}

static void test_post_port(void **state)
{
	out(PORT_POST, 1, 0xaa);
	assert_int_equal(in(PORT_POST, 1), 0);
	assert_int_equal(events, 0);
	assert_int_equal(bus.misses, 0);
}

static void test_neighbours_do_not_answer(void **state)
{
	static const uint64_t ports[] = {
		0x5ff, 0x602, 0x603, 0x605, 0x61, 0x63, 0x65, 0x81, 0xf8
	};
	uint64_t value;

	for (unsigned int i = 0; i < ARRAY_SIZE(ports); i++)
		assert_false(bus_read(&bus, ports[i], 1, &value));
}

static void test_system_port_reset(void **state)
{
	assert_int_equal(in(PORT_SYSTEM_A, 1), 0x02); /* A20 is open */
	for (unsigned int v = 0; v < 256; v++) {
		out(PORT_SYSTEM_A, 1, v);
		if (v & 1)
			assert_event(POWER_RESET, 0);
		assert_int_equal(events, 0);
	}
}

/* As Linux does it: what else is to be reset first, then the CPU's bit. */
static void test_reset_control(void **state)
{
	assert_int_equal(in(PORT_RESET_CONTROL, 1), 0);
	out(PORT_RESET_CONTROL, 1, 0x02);
	assert_int_equal(events, 0);
	assert_int_equal(in(PORT_RESET_CONTROL, 1), 0x02);
	out(PORT_RESET_CONTROL, 1, 0x06);
	assert_event(POWER_RESET, 0);
	out(PORT_RESET_CONTROL, 1, 0x0e);
	assert_event(POWER_RESET, 0);
	for (unsigned int v = 0; v < 256; v++)
		if (!(v & 0x04))
			out(PORT_RESET_CONTROL, 1, v);
	assert_int_equal(events, 0);
	assert_false(bus_write(&bus, PORT_RESET_CONTROL, 2, 0x0e0e));
	assert_false(bus_write(&bus, PORT_RESET_CONTROL, 4, 0x0e));
	assert_int_equal(events, 0);
}

/* A port that is taken: an error, and no range of ours stays behind. */
static void test_taken_port(void **state)
{
	static const struct bus_ops none;
	struct bus_range taken = { "other", PORT_EXIT_STATUS + 3, 1, &none, NULL };
	struct power *second = NULL;
	struct bus b;

	bus_init(&b);
	assert_int_equal(bus_add(&b, &taken), 0);
	assert_int_equal(power_create(&second, &b, &layout, on_event, &bus), -EEXIST);
	assert_null(second);
	assert_int_equal(b.nr_ranges, 1);
	bus_destroy(&b);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_power_off),
		TEST(test_acpi_reset),
		TEST(test_i8042_reset),
		TEST(test_exit_status),
		TEST(test_large_statuses_are_no_success),
		TEST(test_other_sleeps_are_ignored),
		TEST(test_other_reset_values_are_ignored),
		TEST(test_other_i8042_commands_are_ignored),
		TEST(test_i8042_probe_fails_at_once),
		TEST(test_status_port_above_its_first_byte),
		TEST(test_post_port),
		TEST(test_neighbours_do_not_answer),
		TEST(test_system_port_reset),
		TEST(test_reset_control),
		TEST(test_taken_port),
	};

	return cmocka_run_group_tests_name("power", tests, NULL, NULL);
}
