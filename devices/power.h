/*
 * How a guest ends: ACPI sleep and reset registers, the i8042's reset line, and the exit status port.
 */
#ifndef DEVICES_POWER_H
#define DEVICES_POWER_H

#include "vmm/bus.h"

struct power;

enum power_event {
	POWER_OFF,    /* ACPI S5 */
	POWER_RESET,  /* ACPI reset register or i8042 */
	POWER_STATUS, /* the guest reported a status on port 0xf4 */
};

/*
 * Put the registers on the bus. @event is called from the vCPU thread that wrote; it must not
 * block. @status is the reported byte for POWER_STATUS, else 0. -errno with a message.
 */
int must_check power_create(struct power **out, struct bus *pio,
			    void (*event)(void *arg, enum power_event what, uint8_t status),
			    void *arg);
void power_destroy(struct power *p);

#endif
