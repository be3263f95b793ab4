/*
 * How a guest ends: ACPI sleep and reset registers, a PC's older ways to reset, and the exit status port.
 */
#ifndef DEVICES_POWER_H
#define DEVICES_POWER_H

#include "vmm/base/bus.h"

struct power;

/* Where the registers lie, and what ACPI's tables tell the guest to write to them. */
struct power_ports {
	uint16_t sleep;		/* sleep control and status (ACPI 6.4, 4.8.3.7) */
	uint16_t reset;		/* ACPI 6.4, 4.8.3.6 */
	uint16_t i8042;		/* data, and command 4 above */
	uint16_t system_a;	/* bit 0: reset */
	uint16_t reset_control; /* of the chipset, bit 2: reset */
	uint16_t status;	/* of the guest, 4 bytes */
	uint16_t post;
	uint8_t reset_value, sleep_type;
};

enum power_event {
	POWER_OFF,   /* ACPI S5 */
	POWER_RESET, /* ACPI reset register, i8042, system control port A or reset control register */
	POWER_STATUS, /* the guest reported a status */
};

/*
 * Put the registers on the bus. @event is called from the vCPU thread that wrote, each time it
 * writes; it must not block. @status is the reported byte for POWER_STATUS (255 where the guest wrote
 * more), else 0. -errno with a message.
 *
 * The status port takes writes of up to 4 bytes, as QEMU's isa-debug-exit does. There is no keyboard: the
 * i8042's status is such that probing for one fails at once. The POST code port is here too, for no better
 * reason than that guests write to it to pass the time.
 */
int must_check power_create(struct power **out, struct bus *pio, const struct power_ports *ports,
			    void (*event)(void *arg, enum power_event what, uint8_t status),
			    void *arg);

/* The reset control register, for the PCI host bridge, amid whose address register it lies. */
struct bus_range *power_reset_control(struct power *p);

/* Off the bus and freed; the vCPUs have ended. Safe on NULL. */
void power_destroy(struct power *p);

#endif
