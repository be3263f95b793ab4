/* The ACPI tables (ACPI 6.4): processors and the sleep registers. */
#ifndef ACPI_H
#define ACPI_H

#include <stdint.h>

/*
 * Lists the local APIC ids of the processors that the MADT says are enabled; returns how many there
 * are (which may be more than max), 0 without a MADT.
 */
uint32_t acpi_processors(uint32_t *apic_ids, uint32_t max);

/* Asks for S5, soft off. Returns if there is nothing to ask, or it does not work. */
void acpi_sleep(void);

#endif
