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

enum {
	SLEEP,
	RESET,
	I8042_DATA,
	I8042_COMMAND,
	SYSTEM_A,
	STATUS,
	POST,
	RESET_CONTROL,
	NR_PORTS,
};

struct power {
	struct bus *pio;
	void (*event)(void *arg, enum power_event what, uint8_t status);
	void *arg;
	uint8_t reset_value, sleep_type;
	uint8_t reset_control; /* as last written (atomic) */
	struct port {
		struct bus_range range;
		struct power *power;
	} port[NR_PORTS];
};

static uint64_t port_read(void *dev, uint64_t offset, unsigned int size)
{
	const struct port *port = dev;

	switch (port - port->power->port) {
	case I8042_COMMAND:
		return I8042_STATUS_OBF;
	case SYSTEM_A:
		return SYSTEM_A_A20;
	case RESET_CONTROL:
		return __atomic_load_n(&port->power->reset_control, __ATOMIC_RELAXED);
	default:
		return 0;
	}
}

/* Whether what is written to the register resets the machine. */
static bool means_reset(const struct port *port, uint64_t value)
{
	switch (port - port->power->port) {
	case RESET:
		return value == port->power->reset_value;
	case I8042_COMMAND:
		return (value & I8042_PULSE_MASK) == I8042_PULSE_RESET;
	case SYSTEM_A:
		return value & SYSTEM_A_RESET;
	case RESET_CONTROL:
		return value & RESET_CONTROL_CPU;
	default:
		return false;
	}
}

static void port_write(void *dev, uint64_t offset, unsigned int size, uint64_t value)
{
	const struct port *port = dev;
	struct power *p = port->power;
	const ptrdiff_t which = port - p->port;

	if (which == RESET_CONTROL)
		__atomic_store_n(&p->reset_control, (uint8_t)(value & RESET_CONTROL_MASK),
				 __ATOMIC_RELAXED);
	if (means_reset(port, value))
		p->event(p->arg, POWER_RESET, 0);
	/* Behind sleep control is sleep status, whose wake bit (ACPI 6.4, 4.8.3.7) never sets: nothing wakes. */
	if (which == SLEEP && offset == 0 && value & SLEEP_ENABLE &&
	    (value >> SLEEP_TYPE_SHIFT & 7) == p->sleep_type)
		p->event(p->arg, POWER_OFF, 0);
	/* 256 must not look like success. */
	if (which == STATUS && offset == 0)
		p->event(p->arg, POWER_STATUS, (uint8_t)MIN(value, (uint64_t)UINT8_MAX));
}

static const struct bus_ops port_ops = { port_read, port_write };

int power_create(struct power **out, struct bus *pio, const struct power_ports *ports,
		 void (*event)(void *arg, enum power_event what, uint8_t status), void *arg)
{
	const struct bus_range range[NR_PORTS] = {
		[SLEEP] = { "acpi sleep", ports->sleep, 2 },
		[RESET] = { "acpi reset", ports->reset, 1 },
		[I8042_DATA] = { "i8042 data", ports->i8042, 1 },
		[I8042_COMMAND] = { "i8042 command", ports->i8042 + 4u, 1 },
		[SYSTEM_A] = { "system control", ports->system_a, 1 },
		[STATUS] = { "exit status", ports->status, 4 },
		[POST] = { "post code", ports->post, 1 },
		[RESET_CONTROL] = { "reset control", ports->reset_control, 1 },
	};
	struct power *p = calloc(1, sizeof(*p));

	if (!p)
		return log_fail(-ENOMEM, "cannot create the power registers: %s", strerror(ENOMEM));
	p->pio = pio;
	p->event = event;
	p->arg = arg;
	p->reset_value = ports->reset_value;
	p->sleep_type = ports->sleep_type;
	for (unsigned int i = 0; i < NR_PORTS; i++) {
		struct port *port = &p->port[i];

		*port = (struct port){ range[i], p };
		port->range.ops = &port_ops;
		port->range.dev = port;
		int err = bus_add(pio, &port->range);
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
	return &p->port[RESET_CONTROL].range;
}

void power_destroy(struct power *p)
{
	if (!p)
		return;
	for (unsigned int i = 0; i < NR_PORTS; i++)
		bus_remove(p->pio, &p->port[i].range);
	free(p);
}
