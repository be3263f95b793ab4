/* The small guest tests: the way to them, and those of a few lines. */
#include "guest-tests/guests/paired/cases.h"
#include "guest-tests/guests/paired/clock.h"
#include "guest-tests/guests/paired/cmdline.h"
#include "guest-tests/guests/paired/console.h"
#include "guest-tests/guests/paired/cpu.h"
#include "guest-tests/guests/paired/irq.h"
#include "guest-tests/guests/paired/lib.h"
#include "guest-tests/guests/paired/machine.h"
#include "guest-tests/guests/paired/power.h"

#define SERIAL_SCRATCH 0x3ff
#define SERIAL_LSR     0x3fd
#define SERIAL_IDLE    0x60 /* holding and shift register empty */
#define TRIES	       1000000
#define KEYBOARD       0x64
#define KEYBOARD_RESET 0xfe
#define TIMER_US       50000
#define SLEEPS	       10

static int case_exit(void)
{
	size_t length;
	const char *text = cmdline_find(machine.cmdline, "status=", 0, &length);
	uint64_t status;

	if (text == NULL || !cmdline_number(&text, text + length, &status) || status > 255) {
		console_print("exit: wants status=0..255\n");
		return CASE_UNKNOWN;
	}
	return (int)status;
}
GUEST_CASE("exit", case_exit);

static _Noreturn int case_crash(void)
{
	power_crash();
}
GUEST_CASE("crash", case_crash);

static int case_fault(void)
{
	/* Above everything that is mapped: reported by the kernel, as status 102. */
	return *(volatile uint8_t *)(511ull << 30);
}
GUEST_CASE("fault", case_fault);

static _Noreturn int case_hang(void)
{
	for (;;)
		cpu_pause();
}
GUEST_CASE("hang", case_hang);

static int case_reboot(void)
{
	cpu_out8(KEYBOARD, KEYBOARD_RESET);
	clock_wait_us(1000000);
	console_print("reboot: still here\n");
	return 1;
}
GUEST_CASE("reboot", case_reboot);

/* host: guest 0 1 64 case=serial "$(printf '%b' "$(printf '\\x%x' {33..126})")" */
static int case_serial(void)
{
	char line[96];
	uint32_t n = 0;

	for (char c = ' '; c <= '~'; c++)
		line[n++] = c;
	line[n++] = '\n';
	console_write(line, n);
	for (int tries = 0; (cpu_in8(SERIAL_LSR) & SERIAL_IDLE) != SERIAL_IDLE; tries++)
		if (tries == TRIES) {
			console_print("serial: never idle\n");
			return 1;
		}
	for (uint32_t value = 0; value < 256; value += 51) {
		cpu_out8(SERIAL_SCRATCH, (uint8_t)value);
		if (cpu_in8(SERIAL_SCRATCH) != value) {
			console_print("serial: no scratch register\n");
			return 2;
		}
	}
	return 0;
}
GUEST_CASE("serial", case_serial);

/*
 * The clock runs, never back, and the local APIC's timer wakes a sleeping processor, not too early.
 */
/* host: guest 0 1 64 case=timer tsc_hz= */
static int case_timer(void)
{
	uint64_t before = clock_us();

	for (int i = 0; i < 100000; i++) {
		uint64_t now = clock_us();

		if (now < before) {
			console_print("timer: the clock ran back from %lu to %lu us\n", before,
				      now);
			return 1;
		}
		before = now;
	}
	for (int i = 0; i < SLEEPS; i++) {
		uint64_t start = clock_us(), slept;

		irq_sleep(NULL, 0, start + TIMER_US);
		slept = clock_us() - start;
		/* The timer's rate was measured, so it is not the clock's to the last digit. */
		if (slept < TIMER_US / 2) {
			console_print("timer: slept %lu us instead of %u\n", slept, TIMER_US);
			return 2;
		}
	}
	console_print("timer: tsc_hz=%lu\n", clock_tsc_hz());
	return 0;
}
GUEST_CASE("timer", case_timer);

extern const struct guest_case cases_begin[], cases_end[]; /* guest.lds */

int cases_run(void)
{
	size_t length;
	const char *name = cmdline_find(machine.cmdline, "case=", 0, &length);

	if (name == NULL)
		return -1;
	for (const struct guest_case *c = cases_begin; c < cases_end; c++)
		if (length == strlen(c->name) && memcmp(name, c->name, length) == 0)
			return c->run();
	console_print("cases: there is no such case in \"%s\"\n", machine.cmdline);
	return CASE_UNKNOWN;
}
