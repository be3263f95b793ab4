/* devices/serial.c and devices/power.c: a guest at their ports, and a user who types. */
#include "guest-tests/fuzz/fuzz.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "devices/power.h"
#include "devices/serial.h"
#include "vmm/x86/memmap.h"

static const struct {
	uint16_t base, len;
} ports[] = {
	{ PORT_SERIAL, PORT_SERIAL_LEN },
	{ PORT_SERIAL, PORT_SERIAL_LEN },
	{ PORT_SERIAL, PORT_SERIAL_LEN },
	{ PORT_SLEEP_CONTROL, PORT_RESET + 1 - PORT_SLEEP_CONTROL },
	{ PORT_I8042_DATA, 1 },
	{ PORT_I8042_COMMAND, 1 },
	{ PORT_EXIT_STATUS, 4 },
	{ PORT_POST, 1 },
	{ PORT_SYSTEM_A, 1 },
	{ PORT_RESET_CONTROL, 1 },
};

static void on_power(void *arg, enum power_event what, uint8_t status)
{
	fuzz_check(what == POWER_STATUS || !status);
	*(unsigned int *)arg += 1;
}

static void on_room(void *arg)
{
	*(unsigned int *)arg += 1;
}

static void type(struct fuzz *f, struct serial *s)
{
	const unsigned int room = serial_room(s);
	const uint8_t *bytes;
	size_t len;

	bytes = fuzz_bytes(f, fuzz_below(f, 32), &len);
	fuzz_check(serial_input(s, bytes, (unsigned int)len) == MIN(len, (size_t)room));
}

/* A guest's bytes come out or are counted as lost. */
static void check_output(const struct counter_group *group, int fd)
{
	const struct serial_counters *c = group->base;
	uint64_t taken = 0;
	char buf[4096];
	ssize_t n;

	while ((n = read(fd, buf, sizeof(buf))) > 0)
		taken += (uint64_t)n;
	fuzz_check(c->tx_bytes == taken + c->tx_lost);
}

void fuzz_one(struct fuzz *f)
{
	const bool reader_gone = fuzz_below(f, 8) == 7;
	unsigned int events = 0, rooms = 0;
	struct counters counters = { 0 };
	struct irqchip *irqchip;
	struct serial *serial;
	struct sink sink;
	struct power *power;
	struct loop *loop;
	struct bus pio;
	int fd[2];

	bus_init(&pio);
	fuzz_check(!pipe2(fd, O_NONBLOCK | O_CLOEXEC));
	fuzz_check(!irqchip_create(&irqchip, -1) && !loop_create(&loop, "main"));
	sink_init(&sink, fd[1]);
	const struct serial_params params = {
		.pio = &pio,
		.port = PORT_SERIAL,
		.irqchip = irqchip,
		.gsi = GSI_SERIAL,
		.loop = loop,
		.counters = &counters,
		.out = &sink,
		.on_room = on_room,
		.arg = &rooms,
	};

	fuzz_check(!serial_create(&serial, &params));
	fuzz_check(
		!power_create(&power, &pio, &(struct power_ports)MEMMAP_POWER, on_power, &events));
	signal(SIGPIPE, SIG_IGN);
	if (reader_gone)
		close(fd[0]);
	while (f->left) {
		const unsigned int act = fuzz_below(f, 16);

		if (act < ARRAY_SIZE(ports))
			fuzz_access(f, &pio, ports[act].base, ports[act].len);
		else if (act < 13)
			type(f, serial);
		else if (act < 14)
			fuzz_turn();
		else
			serial_flush(serial);
	}
	serial_finish(serial, 0);
	check_output(counters.first, fd[0]);
	power_destroy(power);
	serial_destroy(serial);
	sink_close(&sink);
	loop_destroy(loop);
	irqchip_destroy(irqchip);
	fuzz_check(!pio.nr_ranges);
	bus_destroy(&pio);
	if (!reader_gone)
		close(fd[0]);
	close(fd[1]);
}
