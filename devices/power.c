/* How a guest ends: sleep control, reset lines, exit status. */
#include "devices/power.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/base/log.h"

/*
 * The i8042's status: "output buffer full", always. A driver that drains the buffer before it probes
 * gives up after a few bytes, where an idle controller would make it wait for answers; and "input
 * buffer full" stays clear, which is what a reset through port 0x64 waits for.
 */
#define I8042_STATUS_OBF 0x01

/* Commands 0xf0-0xff pulse the output lines whose bits are 0; line 0 is the CPU's reset. */
#define I8042_PULSE_MASK  0xf1
#define I8042_PULSE_RESET 0xf0

#define SLEEP_TYPE_SHIFT 2    /* bits 2-4 of the sleep control register */
#define SLEEP_ENABLE	 0x20 /* SLP_EN */

#define SYSTEM_A_RESET BIT(0)
#define SYSTEM_A_A20   BIT(1) /* address line 20 is not masked */

/* RST_CPU; bit 1 says what else is reset, and is remembered */
#define RESET_CONTROL_CPU  BIT(2)
#define RESET_CONTROL_MASK 0x0a

#define NR_RANGES 8

struct power {
	struct bus *pio;
	void (*event)(void *arg, enum power_event what, uint8_t status);
	void *arg;
	uint8_t reset_value, sleep_type;
	uint8_t reset_control; /* as last written (atomic) */
	struct bus_range range[NR_RANGES];
};

static uint64_t read_zero(void *dev, uint64_t offset, unsigned int size)
{
	(void)dev, (void)offset, (void)size;
	return 0;
}

static void write_nothing(void *dev, uint64_t offset, unsigned int size, uint64_t value)
{
	(void)dev, (void)offset, (void)size, (void)value;
}

/* Sleep control, then sleep status, whose wake bit (ACPI 6.4, 4.8.3.7) never sets: nothing wakes. */
static void sleep_write(void *dev, uint64_t offset, unsigned int size, uint64_t value)
{
	struct power *p = dev;
	uint64_t type = value >> SLEEP_TYPE_SHIFT & 7;

	(void)size;
	if (offset == 0 && value & SLEEP_ENABLE && type == p->sleep_type)
		p->event(p->arg, POWER_OFF, 0);
}

static void reset_write(void *dev, uint64_t offset, unsigned int size, uint64_t value)
{
	struct power *p = dev;

	(void)offset, (void)size;
	if (value == p->reset_value)
		p->event(p->arg, POWER_RESET, 0);
}

static uint64_t i8042_status(void *dev, uint64_t offset, unsigned int size)
{
	(void)dev, (void)offset, (void)size;
	return I8042_STATUS_OBF;
}

static void i8042_command(void *dev, uint64_t offset, unsigned int size, uint64_t value)
{
	struct power *p = dev;

	(void)offset, (void)size;
	if ((value & I8042_PULSE_MASK) == I8042_PULSE_RESET)
		p->event(p->arg, POWER_RESET, 0);
}

static uint64_t system_a_read(void *dev, uint64_t offset, unsigned int size)
{
	(void)dev, (void)offset, (void)size;
	return SYSTEM_A_A20;
}

static void system_a_write(void *dev, uint64_t offset, unsigned int size, uint64_t value)
{
	struct power *p = dev;

	(void)offset, (void)size;
	if (value & SYSTEM_A_RESET)
		p->event(p->arg, POWER_RESET, 0);
}

static uint64_t reset_control_read(void *dev, uint64_t offset, unsigned int size)
{
	struct power *p = dev;

	(void)offset, (void)size;
	return __atomic_load_n(&p->reset_control, __ATOMIC_RELAXED);
}

static void reset_control_write(void *dev, uint64_t offset, unsigned int size, uint64_t value)
{
	struct power *p = dev;

	(void)offset, (void)size;
	__atomic_store_n(&p->reset_control, (uint8_t)(value & RESET_CONTROL_MASK),
			 __ATOMIC_RELAXED);
	if (value & RESET_CONTROL_CPU)
		p->event(p->arg, POWER_RESET, 0);
}

static void status_write(void *dev, uint64_t offset, unsigned int size, uint64_t value)
{
	struct power *p = dev;

	(void)size;
	/* 256 must not look like success. */
	if (offset == 0)
		p->event(p->arg, POWER_STATUS, (uint8_t)(value < UINT8_MAX ? value : UINT8_MAX));
}

static const struct bus_ops sleep_ops = { read_zero, sleep_write };
static const struct bus_ops reset_ops = { read_zero, reset_write };
static const struct bus_ops i8042_command_ops = { i8042_status, i8042_command };
static const struct bus_ops system_a_ops = { system_a_read, system_a_write };
static const struct bus_ops reset_control_ops = { reset_control_read, reset_control_write };
static const struct bus_ops status_ops = { read_zero, status_write };
static const struct bus_ops nothing_ops = { read_zero, write_nothing };

int power_create(struct power **out, struct bus *pio, const struct power_ports *ports,
		 void (*event)(void *arg, enum power_event what, uint8_t status), void *arg)
{
	const struct bus_range range[NR_RANGES] = {
		{ "acpi sleep", ports->sleep, 2, &sleep_ops },
		{ "acpi reset", ports->reset, 1, &reset_ops },
		{ "i8042 data", ports->i8042, 1, &nothing_ops },
		{ "i8042 command", ports->i8042 + 4u, 1, &i8042_command_ops },
		{ "system control", ports->system_a, 1, &system_a_ops },
		{ "exit status", ports->status, 4, &status_ops },
		{ "post code", ports->post, 1, &nothing_ops },
		{ "reset control", ports->reset_control, 1, &reset_control_ops },
	};
	struct power *p = calloc(1, sizeof(*p));

	if (!p)
		return log_fail(-ENOMEM, "cannot create the power registers: %s", strerror(ENOMEM));
	p->pio = pio;
	p->event = event;
	p->arg = arg;
	p->reset_value = ports->reset_value;
	p->sleep_type = ports->sleep_type;
	for (unsigned int i = 0; i < NR_RANGES; i++) {
		p->range[i] = range[i];
		p->range[i].dev = p;
		int err = bus_add(pio, &p->range[i]);
		if (err) {
			log_error("cannot put %s on I/O port 0x%llx: %s", range[i].name,
				  (unsigned long long)range[i].base, strerror(-err));
			power_destroy(p);
			return err;
		}
	}
	*out = p;
	return 0;
}

struct bus_range *power_reset_control(struct power *p)
{
	return &p->range[NR_RANGES - 1];
}

void power_destroy(struct power *p)
{
	if (!p)
		return;
	for (unsigned int i = 0; i < NR_RANGES; i++)
		bus_remove(p->pio, &p->range[i]);
	free(p);
}
