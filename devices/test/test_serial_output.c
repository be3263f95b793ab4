/* The UART's output: when it is written, and what becomes of it where nobody takes it. */
#include <signal.h>
#include <stdio.h>
#include <termios.h>

#include "devices/test/serial_rig.h"

/* ---- output ---- */

static void test_line_is_written_at_once(void **state)
{
	send("Linux version 6\n"); /* the loop does not run */
	assert_output("Linux version 6\n");
	assert_int_equal(s->counters.tx_bytes, 16);
	assert_int_equal(s->counters.tx_lost, 0);
}

static void test_prompt_appears_soon(void **state)
{
	assert_int_equal(loop_start(loop, THREAD_NET, NULL), 0);
	send("login: ");
	assert_output("login: ");
	send("x"); /* and the timer works more than once */
	assert_output("x");
	loop_join(loop);
}

static void test_full_buffer_is_written(void **state)
{
	char buf[OUT_SIZE + 1];

	for (unsigned int i = 0; i < OUT_SIZE; i++)
		send("a");
	assert_true(output_ready(0));
	assert_int_equal(read(out_read, buf, sizeof(buf)), OUT_SIZE);
}

static void test_tail_is_written_at_the_end(void **state)
{
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
	/* 0x3fa = FCR, 0x3fb = LCR */
	assert_true(bus_write(&bus, PORT_SERIAL + UART_FCR, 2, 0x0301));
	assert_int_equal(in(UART_LCR), 3);
	assert_int_equal(in(UART_IIR) >> 6, 3);
	assert_false(bus_write(&bus, PORT_SERIAL + 7, 2, 0)); /* beyond the ports */
}

static void test_no_output(void **state)
{
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
	int fd = open("/dev/full", O_WRONLY);

	check_all_lost(fd);
	close(fd);
}

static void test_reader_has_gone(void **state)
{
	int fds[2];

	signal(SIGPIPE, SIG_IGN);
	assert_int_equal(pipe(fds), 0);
	close(fds[0]);
	check_all_lost(fds[1]);
	close(fds[1]);
}

static void test_closed_output(void **state)
{
	int fd = fcntl(STDERR_FILENO, F_DUPFD, 200); /* a number that nobody takes meanwhile */

	assert_true(fd >= 0);
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
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	check_stalled_reader(fds[0], fds[1]);
	close(fds[0]);
	close(fds[1]);
}

static void test_stalled_terminal(void **state)
{
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_line_is_written_at_once),   TEST(test_prompt_appears_soon),
		TEST(test_full_buffer_is_written),    TEST(test_tail_is_written_at_the_end),
		TEST(test_wide_writes_are_bytes),     cmocka_unit_test(test_no_output),
		cmocka_unit_test(test_disk_full),     cmocka_unit_test(test_reader_has_gone),
		cmocka_unit_test(test_closed_output), cmocka_unit_test(test_waits_without_the_lock),
		cmocka_unit_test(test_stalled_pipe),  cmocka_unit_test(test_stalled_terminal),
	};

	return cmocka_run_group_tests_name("serial", tests, NULL, NULL);
}
