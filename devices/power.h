/*
 * How a guest ends: ACPI sleep and reset registers, the i8042's reset line, and the exit status port.
 */
#ifndef DEVICES_POWER_H
#define DEVICES_POWER_H

#include "vmm/base/bus.h"

struct power;

enum power_event {
	POWER_OFF,    /* ACPI S5 */
	POWER_RESET,  /* ACPI reset register or i8042 */
	POWER_STATUS, /* the guest reported a status on port 0xf4 */
};

/*
 * Put the registers on the bus. @event is called from the vCPU thread that wrote, each time it
 * writes; it must not block. @status is the reported byte for POWER_STATUS (255 where the guest wrote
 * more), else 0. -errno with a message.
 *
 * Port 0xf4 takes writes of up to 4 bytes, as QEMU's isa-debug-exit does. There is no keyboard: the
 * i8042's status is such that probing for one fails at once. Port 0x80 is here too, for no better
 * reason than that guests write to it to pass the time.
 */
int must_check power_create(struct power **out, struct bus *pio,
			    void (*event)(void *arg, enum power_event what, uint8_t status),
			    void *arg);

/* Off the bus and freed; the vCPUs have ended. Safe on NULL. */
void power_destroy(struct power *p);

#endif
