/* Every processor of the MADT is started, with a kernel of its own, and reports itself. */
#include "guest-tests/guests/paired/acpi.h"
#include "guest-tests/guests/paired/cases.h"
#include "guest-tests/guests/paired/clock.h"
#include "guest-tests/guests/paired/console.h"
#include "guest-tests/guests/paired/irq.h"
#include "guest-tests/guests/paired/lib.h"
#include "guest-tests/guests/paired/machine.h"
#include "guest-tests/guests/paired/smp.h"

#define APART_US 1000000 /* that clocks may be: each is read in turn */
#define SLEEP_US 20000
#define ALLOC	 65536

static uint32_t apic_id;
static uint64_t clock, slept;
static uint8_t *memory;

/* It has an interrupt controller, a timer, a clock and memory of its own. */
static void report(void)
{
	apic_id = irq_apic_id();
	clock = clock_us();
	irq_sleep(NULL, 0, clock + SLEEP_US);
	slept = clock_us() - clock;
	memory = machine_alloc(ALLOC);
	if (memory != NULL)
		memset(memory, (int)machine.cpu, ALLOC);
	smp_wait();
}

static bool is_own(uint32_t cpu)
{
	const uint8_t *theirs = *(uint8_t **)machine_of(cpu, &memory);

	for (uint32_t i = 0; theirs != NULL && i < ALLOC; i++)
		if (theirs[i] != (uint8_t)cpu)
			return false;
	return theirs != NULL;
}

/* host: for cpus in 1 2 7; do no_madt || guest 0 $cpus 64 case=smp "smp: started=$cpus"; done */
static int case_smp(void)
{
	static uint32_t wanted[SMP_MAX];
	uint32_t cpus = acpi_processors(wanted, SMP_MAX);
	uint64_t before = clock_us();

	if (cpus == 0 || cpus > SMP_MAX || cpus != smp_processors()) {
		console_print("smp: the MADT has %u processors\n", cpus);
		return 1;
	}
	if (!smp_start(cpus, report))
		return 2;
	console_print("smp: started=%u\n", machine.cpus);
	apic_id = irq_apic_id();
	for (uint32_t i = 0; i < cpus; i++) {
		bool seen = false;

		for (uint32_t n = 0; n < cpus; n++)
			seen |= *(uint32_t *)machine_of(n, &apic_id) == wanted[i];
		if (!seen) {
			console_print("smp: processor %u is missing\n", wanted[i]);
			return 3;
		}
	}
	for (uint32_t i = 1; i < cpus; i++) {
		uint64_t theirs = *(uint64_t *)machine_of(i, &clock);

		if (theirs < before || theirs > clock_us() + APART_US ||
		    *(uint64_t *)machine_of(i, &slept) < SLEEP_US / 2 || !is_own(i)) {
			console_print("smp: processor %u has no kernel of its own\n", i);
			return 4;
		}
	}
	return 0;
}
GUEST_CASE("smp", case_smp);
