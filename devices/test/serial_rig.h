/*
 * A UART whose output is a pipe, and what a guest does with it. The interrupt's eventfd and the room of the output are
 * the device's own: to see them, a test that includes this is one with it.
 */
#ifndef DEVICES_TEST_SERIAL_RIG_H
#define DEVICES_TEST_SERIAL_RIG_H

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "vmm/base/test/unit.h"
#include "vmm/x86/memmap.h"
#include "devices/serial.c"

static struct bus bus;
static struct irqchip *chip;
static struct loop *loop;
static struct serial *s;
static struct sink sink;
static int out_read, out_write; /* a pipe: what the guest sends */
static unsigned int rooms;

static struct counters counters;
static struct serial_params params;

static inline void on_room(void *arg)
{
	assert_ptr_equal(arg, &bus);
	rooms++;
	/* It is called without the lock. */
	assert_true(serial_room(s) > 0);
}

static inline void create(int out_fd)
{
	bus_init(&bus);
	rooms = 0;
	assert_int_equal(irqchip_create(&chip, -1), 0);
	assert_int_equal(loop_create(&loop, "test"), 0);
	if (out_fd < 0)
		sink = SINK_NOWHERE;
	else
		sink_init(&sink, out_fd);
	params = (struct serial_params){
		.pio = &bus,
		.port = PORT_SERIAL,
		.irqchip = chip,
		.gsi = GSI_SERIAL,
		.loop = loop,
		.counters = &counters,
		.out = &sink,
		.on_room = on_room,
		.arg = &bus,
	};
	assert_int_equal(serial_create(&s, &params), 0);
}

static inline void destroy(void)
{
	serial_destroy(s);
	assert_int_equal(bus.nr_ranges, 0);
	assert_null(counters.first);
	sink_close(&sink);
	loop_destroy(loop);
	irqchip_destroy(chip);
	bus_destroy(&bus);
}

static inline int setup(void **state)
{
	int fds[2];

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	out_read = fds[0];
	out_write = fds[1];
	create(out_write);
	return 0;
}

static inline int teardown(void **state)
{
	destroy();
	close(out_read);
	close(out_write);
	return 0;
}

/* ---- what a guest does ---- */

static inline uint8_t in(unsigned int reg)
{
	uint64_t value;

	assert_true(bus_read(&bus, PORT_SERIAL + reg, 1, &value));
	return (uint8_t)value;
}

static inline void out(unsigned int reg, uint8_t value)
{
	assert_true(bus_write(&bus, PORT_SERIAL + reg, 1, value));
}

static inline void send(const char *text)
{
	for (; *text; text++)
		out(UART_TX, (uint8_t)*text);
}

static inline void enable_fifos(void)
{
	out(UART_FCR, UART_FCR_ENABLE_FIFO | UART_FCR_CLEAR_RCVR | UART_FCR_CLEAR_XMIT);
}

static inline unsigned int interrupts(void)
{
	eventfd_t n;

	return eventfd_read(s->irq.fd, &n) == 0 ? (unsigned int)n : 0;
}

static inline unsigned int input(const char *text)
{
	return serial_input(s, (const uint8_t *)text, (unsigned int)strlen(text));
}

static inline bool output_ready(int timeout_ms)
{
	struct pollfd p = { .fd = out_read, .events = POLLIN };

	return poll(&p, 1, timeout_ms) == 1;
}

static inline void assert_output(const char *text)
{
	char buf[256];

	assert_true(output_ready(20000));
	ssize_t n = read(out_read, buf, sizeof(buf));
	assert_int_equal(n, strlen(text));
	assert_memory_equal(buf, text, n);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

#endif
