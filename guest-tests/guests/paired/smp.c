/* Further processors, by INIT and start-up interrupts (Intel SDM volume 3, "MP initialization"). */
#include "guest-tests/guests/paired/smp.h"
#include "guest-tests/guests/paired/acpi.h"
#include "guest-tests/guests/paired/clock.h"
#include "guest-tests/guests/paired/console.h"
#include "guest-tests/guests/paired/cpu.h"
#include "guest-tests/guests/paired/irq.h"
#include "guest-tests/guests/paired/lib.h"
#include "guest-tests/guests/paired/machine.h"
#include "guest-tests/guests/paired/ring0.h"

#define SMP_PAGE   8 /* the code's page number below 1 MiB */
#define TIMEOUT_US 10000000
#define INIT_US	   10000
#define STARTUP_US 200

/* smp.S: real-mode code, to be copied to SMP_PAGE, and what it is told there. */
extern const uint8_t smp_code[], smp_code_end[], smp_gdtr[], smp_page_tables[];
extern const uint8_t boot_gdtr[], ring3_stack_end[];

static void (*go_on)(void);
static volatile bool ready, going;
static uint32_t apic_ids[SMP_MAX];

uint32_t smp_processors(void)
{
	static uint32_t processors;

	if (processors == 0)
		processors = max_u32(1, min_u32(acpi_processors(apic_ids, SMP_MAX), SMP_MAX));
	return processors;
}

static void begin(void)
{
	irq_start();
	go_on();
}

/* The copy begins in ring 3, in begin(), with an empty stack. */
static void prepare(uint32_t cpu)
{
	uint64_t *frame = machine_of(cpu, ring0_frame);
	uint8_t *gdt = machine_of(cpu, ring0_gdt);

	frame[0] = (uint64_t)begin;
	frame[1] = SEL_CODE3;
	frame[2] = RFLAGS_RING3;
	frame[3] = (uint64_t)ring3_stack_end - 8; /* as behind a call */
	frame[4] = SEL_DATA3;
	gdt[SEL_TSS + 5] = 0x89; /* not busy */
}

static bool start_one(uint32_t cpu, uint32_t apic_id, uint8_t *code)
{
	volatile bool *is_ready = machine_of(cpu, &ready);
	uint32_t page_tables = (uint32_t)machine_page_tables(cpu);
	uint64_t deadline;

	prepare(cpu);
	memcpy(code + (smp_page_tables - smp_code), &page_tables, sizeof(page_tables));
	irq_send_init(apic_id);
	clock_wait_us(INIT_US);
	/* A processor that has started ignores the second. */
	for (int n = 0; n < 2; n++) {
		irq_send_startup(apic_id, SMP_PAGE);
		clock_wait_us(STARTUP_US);
	}
	deadline = clock_us() + TIMEOUT_US;
	while (!*is_ready)
		if (clock_us() > deadline) {
			console_print("smp: processor %u does not start\n", apic_id);
			return false;
		}
	return true;
}

bool smp_start(uint32_t count, void (*begin_in)(void))
{
	uint8_t *code = machine_map(SMP_PAGE << 12, 4096);
	uint32_t self = irq_apic_id(), next = 0;

	if (count == 1)
		return true;
	go_on = begin_in;
	if (!machine_divide(count)) {
		console_print("smp: not enough memory for %u processors\n", count);
		return false;
	}
	memcpy(code, smp_code, (size_t)(smp_code_end - smp_code));
	memcpy(code + (smp_gdtr - smp_code), boot_gdtr, 6);
	for (uint32_t cpu = 1; cpu < count; cpu++) {
		next += apic_ids[next] == self;
		if (!start_one(cpu, apic_ids[next++], code))
			return false;
	}
	return true;
}

void smp_wait(void)
{
	volatile bool *go = machine_of(0, &going);

	ready = true;
	while (!*go)
		cpu_pause();
}

void smp_go(void)
{
	going = true;
}
