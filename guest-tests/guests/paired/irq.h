/* The local APIC, the I/O APIC, and sleeping until an interrupt. */
#ifndef IRQ_H
#define IRQ_H

#include <stdbool.h>
#include <stdint.h>

#define IRQ_NO_DEADLINE UINT64_MAX

/* Makes a vector of the interrupt descriptor table lead to one of ring 0's entries. */
void irq_set_gate(uint32_t vector, const char *entry);

/*
 * Silences the PICs and turns on the local APIC with its timer. Needed before any other call here.
 */
void irq_start(void);

/* Routes I/O APIC pin gsi to the device interrupt's vector. */
void irq_route(uint32_t gsi, bool level);

/* What a device writes to where to raise the device interrupt by MSI. */
uint64_t irq_msi_address(void);
uint32_t irq_msi_data(void);

/*
 * One register write, made on the way to sleep: a doorbell costs far less in ring 0, where the
 * guest is then anyway.
 */
struct irq_write {
	uint64_t address; /* 0: none */
	uint32_t value;
	uint32_t width; /* 2 or 4 bytes */
};

/*
 * Makes count writes (up to IRQ_WRITES), then sleeps until an interrupt or until clock_us() reaches
 * deadline, whatever comes first; the timer's slack is milliseconds. It may come back early. An
 * interrupt raised since the last return ends the sleep at once, so rings looked at before are not
 * missed.
 */
#define IRQ_WRITES 4
void irq_sleep(const struct irq_write *writes, uint32_t count, uint64_t deadline);

/* The local APIC's id, and interrupts to other processors (INIT, start-up at page << 12). */
uint32_t irq_apic_id(void);
void irq_send_init(uint32_t apic_id);
void irq_send_startup(uint32_t apic_id, uint8_t page);

#endif
