/*
 * The local APIC (Intel SDM volume 3, chapter "APIC"), the I/O APIC, and sleeping until an
 * interrupt.
 */
#include "guest-tests/guests/paired/clock.h"
#include "guest-tests/guests/paired/cpu.h"
#include "guest-tests/guests/paired/irq.h"
#include "guest-tests/guests/paired/lib.h"
#include "guest-tests/guests/paired/machine.h"
#include "guest-tests/guests/paired/ring0.h"

#define LAPIC_ID	0x20
#define LAPIC_TPR	0x80
#define LAPIC_SPURIOUS	0xf0
#define LAPIC_ICR_LOW	0x300
#define LAPIC_ICR_HIGH	0x310
#define LAPIC_LVT_TIMER 0x320
#define LAPIC_LVT_LINT0 0x350
#define LAPIC_TIMER_SET 0x380
#define LAPIC_TIMER_NOW 0x390
#define LAPIC_TIMER_DIV 0x3e0
#define LAPIC_ENABLE	0x100
#define LAPIC_MASKED	0x10000
#define LAPIC_DIV_1	0xb
#define ICR_INIT	0x4500
#define ICR_STARTUP	0x4600

#define IOAPIC_BASE	  0xfec00000ull
#define IOAPIC_INDEX	  0x00
#define IOAPIC_DATA	  0x10
#define IOAPIC_ENTRY	  0x10 /* two registers for each pin */
#define IOAPIC_LEVEL	  0x8000
#define IOAPIC_ACTIVE_LOW 0x2000

#define CALIBRATE_US   500
#define TIMER_SLACK_US 4000

static uint64_t timer_per_us; /* timer ticks per microsecond, as a fraction of 2^16 */
static uint64_t timer_armed;  /* when the timer is due; IRQ_NO_DEADLINE while it is not running */

static uint32_t lapic_read(uint32_t reg)
{
	return cpu_read32(LAPIC_BASE + reg);
}

static void lapic_write(uint32_t reg, uint32_t value)
{
	cpu_write32(LAPIC_BASE + reg, value);
}

void irq_set_gate(uint32_t vector, const char *entry)
{
	uint64_t address = (uint64_t)entry;

	ring0_idt[vector] = (struct ring0_gate){ .offset_low = (uint16_t)address,
						 .selector = SEL_CODE0,
						 .flags = 0x8e00, /* present interrupt gate */
						 .offset_mid = (uint16_t)(address >> 16) };
}

/* How fast the local APIC's timer runs, measured when it is first needed. */
static void calibrate(void)
{
	uint64_t start = clock_us();

	lapic_write(LAPIC_TIMER_SET, UINT32_MAX);
	clock_wait_us(CALIBRATE_US);
	uint32_t ticks = UINT32_MAX - lapic_read(LAPIC_TIMER_NOW);

	timer_per_us = ((uint64_t)ticks << 16) / (clock_us() - start);
	lapic_write(LAPIC_TIMER_SET, 0);
	lapic_write(LAPIC_LVT_TIMER, VECTOR_TIMER);
}

void irq_start(void)
{
	machine_map_registers(LAPIC_BASE, 4096);
	machine_map_registers(IOAPIC_BASE, 4096);
	cpu_out8(0x21, 0xff); /* both PICs: everything masked */
	cpu_out8(0xa1, 0xff);
	irq_set_gate(VECTOR_TIMER, ring0_timer);
	irq_set_gate(VECTOR_DEVICE, ring0_device);
	irq_set_gate(VECTOR_SPURIOUS, ring0_spurious);
	lapic_write(LAPIC_SPURIOUS, LAPIC_ENABLE | VECTOR_SPURIOUS);
	lapic_write(LAPIC_TPR, 0);
	lapic_write(LAPIC_LVT_LINT0, LAPIC_MASKED);
	lapic_write(LAPIC_TIMER_DIV, LAPIC_DIV_1);
	lapic_write(LAPIC_LVT_TIMER, LAPIC_MASKED | VECTOR_TIMER);

	timer_armed = IRQ_NO_DEADLINE;
}

void irq_route(uint32_t gsi, bool level)
{
	uint32_t entry = IOAPIC_ENTRY + 2 * gsi;

	cpu_write32(IOAPIC_BASE + IOAPIC_INDEX, entry + 1);
	cpu_write32(IOAPIC_BASE + IOAPIC_DATA, irq_apic_id() << 24);
	cpu_write32(IOAPIC_BASE + IOAPIC_INDEX, entry);
	cpu_write32(IOAPIC_BASE + IOAPIC_DATA,
		    VECTOR_DEVICE | (level ? IOAPIC_LEVEL | IOAPIC_ACTIVE_LOW : 0));
}

uint64_t irq_msi_address(void)
{
	return LAPIC_BASE | irq_apic_id() << 12;
}

uint32_t irq_msi_data(void)
{
	return VECTOR_DEVICE;
}

void irq_sleep(const struct irq_write *writes, uint32_t count, uint64_t deadline)
{
	/* What ring 0 writes before it halts, up to an address of 0. */
	struct irq_write todo[IRQ_WRITES + 2];
	uint64_t now = clock_us();
	uint32_t n = 0;

	if (timer_per_us == 0)
		calibrate();
	ring0_irq_seen = 0;
	for (uint32_t i = 0; i < count && i < IRQ_WRITES; i++)
		todo[n++] = writes[i];
	/* Arming costs an exit: a timer that is due a little earlier or later serves as well. */
	if (deadline != IRQ_NO_DEADLINE &&
	    (timer_armed == IRQ_NO_DEADLINE || timer_armed > deadline + TIMER_SLACK_US)) {
		uint64_t us = deadline > now ? deadline - now : 1;
		uint64_t ticks = us > 1000000 ? timer_per_us * 1000000 : us * timer_per_us;

		ticks >>= 16;
		if (ticks == 0 || ticks > UINT32_MAX)
			ticks = UINT32_MAX;
		todo[n++] = (struct irq_write){ LAPIC_BASE + LAPIC_TIMER_SET, (uint32_t)ticks, 4 };
		timer_armed = us > 1000000 ? now + 1000000 : now + us;
	}
	todo[n].address = 0;
	ring0_call(RING0_SLEEP, (uint64_t)todo, 0);
	if (ring0_irq_seen & IRQ_SEEN_TIMER)
		timer_armed = IRQ_NO_DEADLINE;
}

uint32_t irq_apic_id(void)
{
	return lapic_read(LAPIC_ID) >> 24;
}

static void send(uint32_t apic_id, uint32_t command)
{
	lapic_write(LAPIC_ICR_HIGH, apic_id << 24);
	lapic_write(LAPIC_ICR_LOW, command);
}

void irq_send_init(uint32_t apic_id)
{
	send(apic_id, ICR_INIT);
}

void irq_send_startup(uint32_t apic_id, uint8_t page)
{
	send(apic_id, ICR_STARTUP | page);
}
