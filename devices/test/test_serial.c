/* The UART, used as Linux's 8250 driver and hostile guests would. */
#include "devices/test/serial_rig.h"

/* ---- detection and start-up, in the steps of Linux's 8250_port.c ---- */

static void test_linux_autoconfig(void **state)
{
	/* Is there a UART at all? */
	out(UART_IER, 0);
	assert_int_equal(in(UART_IER), 0);
	out(UART_IER, 0x0f);
	assert_int_equal(in(UART_IER)&0x0f, 0x0f);
	out(UART_IER, 0);
	/* Loopback of the modem lines. */
	out(UART_MCR, UART_MCR_LOOP | UART_MCR_OUT2 | UART_MCR_RTS);
	assert_int_equal(in(UART_MSR)&0xf0, UART_MSR_DCD | UART_MSR_CTS);
	out(UART_MCR, 0);
	/* Which one? Both FIFO bits say 16550A. */
	out(UART_LCR, UART_LCR_CONF_MODE_B);
	out(UART_EFR, 0);
	out(UART_LCR, 0);
	out(UART_FCR, UART_FCR_ENABLE_FIFO);
	assert_int_equal(in(UART_IIR) >> 6, 3);
	/* Nothing better: no EFR, no bank 2, no 64-byte FIFO, no UUE bit. */
	out(UART_LCR, UART_LCR_CONF_MODE_A);
	assert_int_not_equal(in(UART_EFR), 0);
	out(UART_LCR, UART_LCR_CONF_MODE_B);
	assert_int_not_equal(in(UART_EFR), 0);
	out(UART_LCR, 0);
	out(UART_FCR, UART_FCR_ENABLE_FIFO | UART_FCR7_64BYTE);
	assert_int_equal(in(UART_IIR) >> 5, 6);
	out(UART_IER, UART_IER_UUE);
	assert_int_equal(in(UART_IER), 0);
}

static void test_linux_startup(void **state)
{
	enable_fifos();
	assert_int_equal(in(UART_LSR), UART_LSR_THRE | UART_LSR_TEMT);
	/* Does enabling THRI tell of an empty transmitter, each time? */
	out(UART_IER, UART_IER_THRI);
	assert_int_equal(in(UART_IIR), IIR_FIFOS_ENABLED | UART_IIR_THRI);
	out(UART_IER, 0);
	out(UART_IER, UART_IER_THRI);
	assert_int_equal(interrupts(), 2);
	assert_int_equal(in(UART_IIR), IIR_FIFOS_ENABLED | UART_IIR_THRI);
	assert_int_equal(in(UART_IIR), IIR_FIFOS_ENABLED | UART_IIR_NO_INT);
	out(UART_IER, 0);
	assert_int_equal(in(UART_MSR)&0xf0, UART_MSR_DCD | UART_MSR_DSR | UART_MSR_CTS);
}

static void test_scratch_and_divisor(void **state)
{
	for (unsigned int v = 0; v < 256; v++) {
		out(UART_SCR, (uint8_t)v);
		assert_int_equal(in(UART_SCR), v);
	}
	out(UART_LCR, UART_LCR_DLAB | UART_LCR_WLEN8);
	assert_int_equal(in(UART_DLL) | in(UART_DLM) << 8, 12);
	out(UART_DLL, 0x34);
	out(UART_DLM, 0x12);
	assert_int_equal(in(UART_DLL) | in(UART_DLM) << 8, 0x1234);
	out(UART_DLL, 0);
	out(UART_DLM, 0); /* a divisor of 0 harms nobody */
	out(UART_LCR, UART_LCR_WLEN8);
	assert_int_equal(in(UART_LCR), UART_LCR_WLEN8);
	assert_int_equal(in(UART_IER), 0);
	serial_flush(s);
	assert_false(output_ready(0));
}

/* ---- input ---- */

static void test_input(void **state)
{
	enable_fifos();
	out(UART_IER, UART_IER_RDI);
	assert_int_equal(input("hi"), 2);
	assert_int_equal(interrupts(), 1);
	assert_int_equal(in(UART_IIR), IIR_FIFOS_ENABLED | UART_IIR_RDI);
	assert_true(in(UART_LSR)&UART_LSR_DR);
	assert_int_equal(in(UART_RX), 'h');
	assert_int_equal(in(UART_IIR), IIR_FIFOS_ENABLED | UART_IIR_RDI);
	assert_int_equal(in(UART_RX), 'i');
	assert_int_equal(in(UART_IIR), IIR_FIFOS_ENABLED | UART_IIR_NO_INT);
	assert_false(in(UART_LSR)&UART_LSR_DR);
	assert_int_equal(in(UART_RX), 0);
	assert_int_equal(rooms, 0); /* nobody was refused */
	assert_int_equal(s->counters.rx_bytes, 2);
}

static void test_input_beyond_the_fifo_is_refused(void **state)
{
	enable_fifos();
	assert_int_equal(serial_room(s), 16);
	assert_int_equal(input("0123456789abcdefXYZ"), 16);
	assert_int_equal(serial_room(s), 0);
	assert_int_equal(input("!"), 0);
	assert_int_equal(in(UART_RX), '0');
	assert_int_equal(rooms, 1);
	assert_int_equal(in(UART_RX), '1');
	assert_int_equal(rooms, 1); /* told once */
	assert_int_equal(input("XY"), 2);
	for (const char *p = "23456789abcdefXY"; *p; p++)
		assert_int_equal(in(UART_RX), *p);
	assert_int_equal(in(UART_LSR) & (UART_LSR_OE | UART_LSR_DR), 0);
}

static void test_without_fifos_one_byte_fits(void **state)
{
	assert_int_equal(in(UART_IIR), UART_IIR_NO_INT);
	assert_int_equal(input("ab"), 1);
	assert_int_equal(in(UART_RX), 'a');
	assert_int_equal(rooms, 1);
	assert_int_equal(input("b"), 1);
	assert_int_equal(in(UART_RX), 'b');
}

static void test_clearing_makes_room(void **state)
{
	enable_fifos();
	out(UART_IER, UART_IER_RDI);
	assert_int_equal(input("0123456789abcdef+"), 16);
	out(UART_FCR, UART_FCR_ENABLE_FIFO | UART_FCR_CLEAR_RCVR);
	assert_int_equal(rooms, 1);
	assert_int_equal(in(UART_IIR), IIR_FIFOS_ENABLED | UART_IIR_NO_INT);
	assert_int_equal(input("0123456789abcdef+"), 16);
	out(UART_FCR, 0); /* so does turning the FIFOs off */
	assert_int_equal(rooms, 2);
	assert_int_equal(serial_room(s), 1);
}

/* ---- interrupts ---- */

static void test_transmit_interrupts(void **state)
{
	enable_fifos();
	send("polled\n");
	assert_int_equal(interrupts(), 0);
	out(UART_IER, UART_IER_THRI);
	assert_int_equal(interrupts(), 1);
	assert_int_equal(in(UART_IIR)&UART_IIR_ID, UART_IIR_THRI);
	send("0123456789abcde\n"); /* one for all bytes that the handler writes */
	assert_int_equal(interrupts(), 1);
	out(UART_IER, 0);
	assert_int_equal(in(UART_IIR)&UART_IIR_NO_INT, UART_IIR_NO_INT);
}

static void test_each_source_has_its_edge(void **state)
{
	enable_fifos();
	assert_int_equal(input("a"), 1);
	assert_int_equal(interrupts(), 0);
	out(UART_IER, UART_IER_RDI); /* enabled while its condition holds */
	assert_int_equal(interrupts(), 1);
	assert_int_equal(input("b"), 1); /* still the same condition */
	assert_int_equal(interrupts(), 0);
	out(UART_IER, UART_IER_RDI | UART_IER_THRI);
	assert_int_equal(interrupts(), 1);
	/* By priority: data first, and reading IIR does not clear the lower one. */
	assert_int_equal(in(UART_IIR)&0x0f, UART_IIR_RDI);
	in(UART_RX);
	in(UART_RX);
	assert_int_equal(in(UART_IIR)&0x0f, UART_IIR_THRI);
	assert_int_equal(in(UART_IIR)&0x0f, UART_IIR_NO_INT);
	assert_int_equal(interrupts(), 0);
	assert_int_equal(input("c"), 1);
	assert_int_equal(interrupts(), 1);
}

static void test_modem_status_interrupt(void **state)
{
	out(UART_IER, UART_IER_MSI);
	out(UART_MCR, UART_MCR_LOOP); /* all lines fall */
	assert_int_equal(interrupts(), 1);
	assert_int_equal(in(UART_IIR)&0x0f, UART_IIR_MSI);
	assert_int_equal(in(UART_MSR), UART_MSR_DDCD | UART_MSR_DDSR | UART_MSR_DCTS);
	assert_int_equal(in(UART_MSR), 0);
	assert_int_equal(in(UART_IIR)&0x0f, UART_IIR_NO_INT);
	out(UART_MCR, UART_MCR_LOOP | UART_MCR_OUT1); /* RI rises, which is no event; its fall is */
	assert_int_equal(in(UART_MSR), UART_MSR_RI);
	out(UART_MCR, UART_MCR_LOOP);
	assert_int_equal(in(UART_MSR), UART_MSR_TERI);
}

/* ---- loopback ---- */

static void test_loopback(void **state)
{
	enable_fifos();
	out(UART_MCR, UART_MCR_LOOP);
	send("ab\n");
	assert_int_equal(in(UART_RX), 'a');
	assert_int_equal(in(UART_RX), 'b');
	assert_int_equal(in(UART_RX), '\n');
	serial_flush(s);
	assert_false(output_ready(0));
	assert_int_equal(s->counters.tx_bytes, 0);
}

static void test_loopback_refuses_input(void **state)
{
	out(UART_MCR, UART_MCR_LOOP);
	assert_int_equal(serial_room(s), 0);
	assert_int_equal(input("x"), 0);
	assert_int_equal(rooms, 0);
	out(UART_MCR, 0);
	assert_int_equal(rooms, 1);
}

static void test_loopback_overrun(void **state)
{
	enable_fifos();
	out(UART_IER, UART_IER_RLSI);
	out(UART_MCR, UART_MCR_LOOP);
	send("0123456789abcdef");
	assert_int_equal(interrupts(), 0);
	send("XXXX");
	assert_int_equal(interrupts(), 1);
	assert_int_equal(in(UART_IIR)&0x0f, UART_IIR_RLSI);
	assert_true(in(UART_LSR)&UART_LSR_OE);
	assert_false(in(UART_LSR)&UART_LSR_OE);
	assert_int_equal(in(UART_IIR)&0x0f, UART_IIR_NO_INT);
	for (const char *p = "0123456789abcdef"; *p; p++)
		assert_int_equal(in(UART_RX), *p);
}

/* ---- nonsense ---- */

static void test_status_registers_are_read_only(void **state)
{
	uint8_t msr = in(UART_MSR);

	out(UART_LSR, 0xff);
	out(UART_MSR, 0xff);
	assert_int_equal(in(UART_LSR), UART_LSR_THRE | UART_LSR_TEMT);
	assert_int_equal(in(UART_MSR), msr);
}

/* Every value into every register, in all sizes, then a normal start: nothing sticks. */
static void test_any_write(void **state)
{
	destroy();
	create(-1);
	for (unsigned int v = 0; v < 256; v++)
		for (unsigned int reg = 0; reg < 8; reg++)
			for (unsigned int size = 1; size <= 8 - reg; size *= 2) {
				uint64_t value;

				bus_write(&bus, PORT_SERIAL + reg, size, v * 0x0101010101010101ull);
				bus_read(&bus, PORT_SERIAL + reg, size, &value);
				input("x");
			}
	out(UART_LCR, UART_LCR_WLEN8);
	out(UART_IER, 0);
	out(UART_MCR, 0);
	out(UART_FCR, 0);
	enable_fifos();
	in(UART_LSR);
	in(UART_MSR);
	interrupts();
	rooms = 0;
	test_input_beyond_the_fifo_is_refused(state);
}

static void test_taken_port(void **state)
{
	struct serial *second = NULL;

	assert_int_equal(serial_create(&second, &params), -EEXIST);
	assert_null(second);
	send("the first works on\n");
	assert_output("the first works on\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_linux_autoconfig),
		TEST(test_linux_startup),
		TEST(test_scratch_and_divisor),
		TEST(test_input),
		TEST(test_input_beyond_the_fifo_is_refused),
		TEST(test_without_fifos_one_byte_fits),
		TEST(test_clearing_makes_room),
		TEST(test_transmit_interrupts),
		TEST(test_each_source_has_its_edge),
		TEST(test_modem_status_interrupt),
		TEST(test_loopback),
		TEST(test_loopback_refuses_input),
		TEST(test_loopback_overrun),
		TEST(test_status_registers_are_read_only),
		TEST(test_any_write),
		TEST(test_taken_port),
	};

	return cmocka_run_group_tests_name("serial", tests, NULL, NULL);
}
