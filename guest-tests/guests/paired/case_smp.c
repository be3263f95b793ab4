/*
 * Every processor of the MADT is started by INIT and start-up interrupts (Intel SDM
 * volume 3, "MP initialization") and reports itself.
 */
#include "guest-tests/guests/paired/acpi.h"
#include "guest-tests/guests/paired/cases.h"
#include "guest-tests/guests/paired/clock.h"
#include "guest-tests/guests/paired/console.h"
#include "guest-tests/guests/paired/irq.h"
#include "guest-tests/guests/paired/lib.h"
#include "guest-tests/guests/paired/machine.h"

#define CPUS_MAX   256
#define SMP_PAGE   8 /* the code's page number below 1 MiB */
#define TIMEOUT_US 10000000
#define INIT_US	   10000
#define STARTUP_US 200

/* smp.S: real-mode code, copied to SMP_PAGE; counts itself in and leaves its APIC id. */
extern const uint8_t smp_start[], smp_end[], smp_count[], smp_ids[];

/* host: for cpus in 1 2 7; do no_madt || guest 0 $cpus 64 case=smp "smp: started=$cpus"; done */
static int case_smp(void)
{
	static uint32_t wanted[CPUS_MAX];
	uint32_t cpus = acpi_processors(wanted, CPUS_MAX), self = irq_apic_id();
	uint8_t *code = machine_map(SMP_PAGE << 12, 4096);
	volatile uint16_t *count = (void *)(code + (smp_count - smp_start));
	volatile uint8_t *ids = code + (smp_ids - smp_start);
	uint64_t deadline;

	if (cpus == 0 || cpus > CPUS_MAX) {
		console_print("smp: the MADT has %u processors\n", cpus);
		return 1;
	}
	memcpy(code, smp_start, (size_t)(smp_end - smp_start));
	for (uint32_t i = 0; i < cpus; i++) {
		if (wanted[i] == self)
			continue;
		irq_send_init(wanted[i]);
		clock_wait_us(INIT_US);
		/* A processor that has started ignores the second. */
		for (int n = 0; n < 2; n++) {
			irq_send_startup(wanted[i], SMP_PAGE);
			clock_wait_us(STARTUP_US);
		}
	}
	deadline = clock_us() + TIMEOUT_US;
	while (*count < cpus - 1 && clock_us() < deadline)
		;
	console_print("smp: started=%u\n", (uint32_t)*count + 1);
	if (*count != cpus - 1)
		return 2;
	for (uint32_t i = 0; i < cpus; i++) {
		bool seen = wanted[i] == self;

		for (uint32_t n = 0; n < cpus - 1; n++)
			seen |= ids[n] == wanted[i];
		if (!seen) {
			console_print("smp: processor %u is missing\n", wanted[i]);
			return 3;
		}
	}
	return 0;
}
GUEST_CASE("smp", case_smp);
