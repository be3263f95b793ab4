/*
 * How the machine ends: ACPI where it is told of, and every other way that some VMM
 * knows.
 */
#include "guest-tests/guests/paired/acpi.h"
#include "guest-tests/guests/paired/cpu.h"
#include "guest-tests/guests/paired/power.h"
#include "guest-tests/guests/paired/ring0.h"

#define PORT_EXIT      0xf4
#define PORT_KEYBOARD  0x64
#define KEYBOARD_RESET 0xfe

void power_crash(void)
{
	for (;;)
		ring0_call(RING0_SHUT, 0, 0);
}

void power_off(unsigned status)
{
	if (status != 0)
		cpu_out8(PORT_EXIT, (uint8_t)status);
	acpi_sleep();
	cpu_out8(PORT_KEYBOARD, KEYBOARD_RESET); /* kvmtool ends */
	power_crash();
}
