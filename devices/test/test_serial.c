/* The UART, used as Linux's 8250 driver and hostile guests would. */
#include <setjmp.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <cmocka.h>

/* The interrupt's eventfd is the device's own; to count interrupts, this test is one with it. */
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

static void on_room(void *arg)
{
	assert_ptr_equal(arg, &bus);
	rooms++;
	/* It is called without the lock. */
	assert_true(serial_room(s) > 0);
}

static void create(int out_fd)
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

static void destroy(void)
{
	serial_destroy(s);
	assert_int_equal(bus.nr_ranges, 0);
	assert_null(counters.first);
	sink_close(&sink);
	loop_destroy(loop);
	irqchip_destroy(chip);
	bus_destroy(&bus);
}

static int setup(void **state)
{
	int fds[2];

	(void)state;
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	out_read = fds[0];
	out_write = fds[1];
	create(out_write);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	destroy();
	close(out_read);
	close(out_write);
	return 0;
}

/* ---- what a guest does ---- */

static uint8_t in(unsigned int reg)
{
	uint64_t value;

	assert_true(bus_read(&bus, PORT_SERIAL + reg, 1, &value));
	return (uint8_t)value;
}

static void out(unsigned int reg, uint8_t value)
{
	assert_true(bus_write(&bus, PORT_SERIAL + reg, 1, value));
}

static void send(const char *text)
{
	for (; *text; text++)
		out(UART_TX, (uint8_t)*text);
}

static void enable_fifos(void)
{
	out(UART_FCR, UART_FCR_ENABLE_FIFO | UART_FCR_CLEAR_RCVR | UART_FCR_CLEAR_XMIT);
}

static unsigned int interrupts(void)
{
	eventfd_t n;

	return eventfd_read(s->irq.fd, &n) == 0 ? (unsigned int)n : 0;
}

static unsigned int input(const char *text)
{
	return serial_input(s, (const uint8_t *)text, (unsigned int)strlen(text));
}

static bool output_ready(int timeout_ms)
{
	struct pollfd p = { .fd = out_read, .events = POLLIN };

	return poll(&p, 1, timeout_ms) == 1;
}

static void assert_output(const char *text)
{
	char buf[256];

	assert_true(output_ready(20000));
	ssize_t n = read(out_read, buf, sizeof(buf));
	assert_int_equal(n, strlen(text));
	assert_memory_equal(buf, text, n);
}

/* ---- detection and start-up, in the steps of Linux's 8250_port.c ---- */

static void test_linux_autoconfig(void **state)
{
	(void)state;
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
	(void)state;
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
	(void)state;
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

/* ---- output ---- */

static void test_line_is_written_at_once(void **state)
{
	(void)state;
	send("Linux version 6\n"); /* the loop does not run */
	assert_output("Linux version 6\n");
	assert_int_equal(s->counters.tx_bytes, 16);
	assert_int_equal(s->counters.tx_lost, 0);
}

static void test_prompt_appears_soon(void **state)
{
	(void)state;
	assert_int_equal(loop_start(loop, THREAD_NET, NULL), 0);
	send("login: ");
	assert_output("login: ");
	send("x"); /* and the timer works more than once */
	assert_output("x");
	loop_join(loop);
}

static void test_full_buffer_is_written(void **state)
{
	(void)state;
	char buf[OUT_SIZE + 1];

	for (unsigned int i = 0; i < OUT_SIZE; i++)
		send("a");
	assert_true(output_ready(0));
	assert_int_equal(read(out_read, buf, sizeof(buf)), OUT_SIZE);
}

static void test_tail_is_written_at_the_end(void **state)
{
	(void)state;
	send("bye");
	assert_false(output_ready(0));
	serial_flush(s);
	assert_output("bye");
	send("tail");
	destroy();
	assert_output("tail");
	create(out_write);
}

static void test_wide_writes_are_bytes(void **state)
{
	(void)state;
	/* 0x3fa = FCR, 0x3fb = LCR */
	assert_true(bus_write(&bus, PORT_SERIAL + UART_FCR, 2, 0x0301));
	assert_int_equal(in(UART_LCR), 3);
	assert_int_equal(in(UART_IIR) >> 6, 3);
	assert_false(bus_write(&bus, PORT_SERIAL + 7, 2, 0)); /* beyond the ports */
}

static void test_no_output(void **state)
{
	(void)state;
	create(-1);
	send("into the void\n");
	assert_int_equal(s->counters.tx_lost, 0);
	destroy();
}

static void check_all_lost(int fd)
{
	create(fd);
	send("one\n");
	send("two\n");
	assert_int_equal(s->counters.tx_bytes, 8);
	assert_int_equal(s->counters.tx_lost, 8);
	assert_int_equal(in(UART_LSR), UART_LSR_THRE | UART_LSR_TEMT); /* the guest goes on */
	destroy();
}

static void test_disk_full(void **state)
{
	(void)state;
	int fd = open("/dev/full", O_WRONLY);

	check_all_lost(fd);
	close(fd);
}

static void test_reader_has_gone(void **state)
{
	(void)state;
	int fds[2];

	signal(SIGPIPE, SIG_IGN);
	assert_int_equal(pipe(fds), 0);
	close(fds[0]);
	check_all_lost(fds[1]);
	close(fds[1]);
}

static void test_closed_output(void **state)
{
	(void)state;
	int fd = fcntl(STDERR_FILENO, F_DUPFD, 500); /* a number that nobody takes meanwhile */

	close(fd);
	check_all_lost(fd);
}

/* Far more than fits: the guest is held up once, the rest is lost, what fits arrives in order. */
static void check_stalled_reader(int read_fd, int write_fd)
{
	enum { LINES = 400, LEN = 1000 };
	char line[LEN + 1], got[LEN], end[] = "the reader is back";
	uint64_t kept = 0, before;
	ssize_t n;

	create(write_fd);
	assert_int_equal(fcntl(read_fd, F_SETFL, O_NONBLOCK), 0);
	for (unsigned int i = 0; i < LINES; i++) {
		snprintf(line, sizeof(line), "%0*u\n", LEN - 1, i);
		send(line);
	}
	assert_true(s->counters.tx_lost > 0);
	do {
		before = kept;
		while ((n = read(read_fd, got, sizeof(got))) > 0)
			for (ssize_t i = 0; i < n; i++)
				kept += got[i] != '\r'; /* that is the terminal's */
		serial_flush(s);
	} while (kept > before);
	assert_int_equal(kept + s->counters.tx_lost, LINES * LEN);

	send(end);
	serial_flush(s);
	n = read(read_fd, got, sizeof(got));
	assert_int_equal(n, strlen(end));
	assert_memory_equal(got, end, n);
	destroy();
}

static void on_signal(int signal)
{
	(void)signal;
}

static void *send_until_stalled(void *done)
{
	while (!s->stalled)
		send("a line\n");
	__atomic_store_n((bool *)done, true, __ATOMIC_RELEASE);
	return NULL;
}

/* While a vCPU waits for the reader the port serves others, and a signal ends the wait. */
static void test_waits_without_the_lock(void **state)
{
	(void)state;
	struct sigaction sa = { .sa_handler = on_signal };
	bool done = false, waits = false;
	pthread_t vcpu;
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	assert_int_equal(sigaction(SIGUSR1, &sa, NULL), 0);
	create(fds[1]);
	assert_int_equal(pthread_create(&vcpu, NULL, send_until_stalled, &done), 0);
	while (!waits && !__atomic_load_n(&done, __ATOMIC_ACQUIRE)) {
		pthread_mutex_lock(&s->lock);
		waits = s->out_len == OUT_SIZE && !s->stalled;
		pthread_mutex_unlock(&s->lock);
	}
	assert_true(waits);
	assert_int_equal(serial_input(s, (const uint8_t *)"x", 1), 1);
	while (!__atomic_load_n(&done, __ATOMIC_ACQUIRE))
		pthread_kill(vcpu, SIGUSR1);
	pthread_join(vcpu, NULL);
	assert_true(s->counters.tx_lost > 0);
	destroy();
	close(fds[0]);
	close(fds[1]);
}

static void test_stalled_pipe(void **state)
{
	(void)state;
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	check_stalled_reader(fds[0], fds[1]);
	close(fds[0]);
	close(fds[1]);
}

static void test_stalled_terminal(void **state)
{
	(void)state;
	int master = posix_openpt(O_RDWR | O_NOCTTY), slave;
	struct termios raw;

	assert_true(master >= 0);
	assert_int_equal(grantpt(master) | unlockpt(master), 0);
	slave = open(ptsname(master), O_RDWR | O_NOCTTY);
	assert_int_equal(tcgetattr(slave, &raw), 0);
	cfmakeraw(&raw);
	/* A line end of two bytes may wait for room although poll() has promised some. */
	raw.c_oflag = OPOST | ONLCR;
	assert_int_equal(tcsetattr(slave, TCSANOW, &raw), 0);
	check_stalled_reader(master, slave);
	/* The flags of the terminal that others share are as they were. */
	assert_int_equal(fcntl(slave, F_GETFL) & O_NONBLOCK, 0);
	close(slave);
	close(master);
}

/* ---- input ---- */

static void test_input(void **state)
{
	(void)state;
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
	(void)state;
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
	(void)state;
	assert_int_equal(in(UART_IIR), UART_IIR_NO_INT);
	assert_int_equal(input("ab"), 1);
	assert_int_equal(in(UART_RX), 'a');
	assert_int_equal(rooms, 1);
	assert_int_equal(input("b"), 1);
	assert_int_equal(in(UART_RX), 'b');
}

static void test_clearing_makes_room(void **state)
{
	(void)state;
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
	(void)state;
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
	(void)state;
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
	(void)state;
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
	(void)state;
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
	(void)state;
	out(UART_MCR, UART_MCR_LOOP);
	assert_int_equal(serial_room(s), 0);
	assert_int_equal(input("x"), 0);
	assert_int_equal(rooms, 0);
	out(UART_MCR, 0);
	assert_int_equal(rooms, 1);
}

static void test_loopback_overrun(void **state)
{
	(void)state;
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
	(void)state;
	uint8_t msr = in(UART_MSR);

	out(UART_LSR, 0xff);
	out(UART_MSR, 0xff);
	assert_int_equal(in(UART_LSR), UART_LSR_THRE | UART_LSR_TEMT);
	assert_int_equal(in(UART_MSR), msr);
}

/* Every value into every register, in all sizes, then a normal start: nothing sticks. */
static void test_any_write(void **state)
{
	(void)state;
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
	(void)state;
	struct serial *second = NULL;

	assert_int_equal(serial_create(&second, &params), -EEXIST);
	assert_null(second);
	send("the first works on\n");
	assert_output("the first works on\n");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_linux_autoconfig),
		TEST(test_linux_startup),
		TEST(test_scratch_and_divisor),
		TEST(test_line_is_written_at_once),
		TEST(test_prompt_appears_soon),
		TEST(test_full_buffer_is_written),
		TEST(test_tail_is_written_at_the_end),
		TEST(test_wide_writes_are_bytes),
		cmocka_unit_test(test_no_output),
		cmocka_unit_test(test_disk_full),
		cmocka_unit_test(test_reader_has_gone),
		cmocka_unit_test(test_closed_output),
		cmocka_unit_test(test_waits_without_the_lock),
		cmocka_unit_test(test_stalled_pipe),
		cmocka_unit_test(test_stalled_terminal),
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
