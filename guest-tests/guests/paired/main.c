/*
 * The kernel begins here, in ring 3: it learns what machine it is on, then serves the
 * network, as many processors as its card has queue pairs for, or runs a case.
 *
 * Command line: ip=A.B.C.D (default 10.0.0.2), mode=poll or mode=irq (default), case=NAME,
 * virtio_mmio.device=...
 */
#include "guest-tests/guests/paired/card.h"
#include "guest-tests/guests/paired/cases.h"
#include "guest-tests/guests/paired/clock.h"
#include "guest-tests/guests/paired/cmdline.h"
#include "guest-tests/guests/paired/console.h"
#include "guest-tests/guests/paired/counters.h"
#include "guest-tests/guests/paired/cpu.h"
#include "guest-tests/guests/paired/ip.h"
#include "guest-tests/guests/paired/irq.h"
#include "guest-tests/guests/paired/lib.h"
#include "guest-tests/guests/paired/machine.h"
#include "guest-tests/guests/paired/netperf.h"
#include "guest-tests/guests/paired/power.h"
#include "guest-tests/guests/paired/ring0.h"
#include "guest-tests/guests/paired/services.h"
#include "guest-tests/guests/paired/smp.h"

#define STATUS_BAD_BOOT 100 /* no memory map, nonsense on the command line */
#define STATUS_NO_NET	101
#define STATUS_FAULT	102
#define DEFAULT_ADDRESS 0x0a000002 /* 10.0.0.2 */

void kernel_main(uint32_t protocol, uint64_t info);
void ring3_fault(uint64_t vector, uint64_t error, uint64_t rip, uint64_t cr2);

static void fill_tables(void)
{
	*(uint64_t *)(ring0_tss + 4) = (uint64_t)ring0_frame + 40; /* RSP0 */
	*(uint16_t *)(ring0_tss + 102) = TSS_PORTS;
	ring0_tss[TSS_SIZE - 1] = 0xff;
	for (uint32_t i = 0; i < VECTOR_FAULTS; i++)
		irq_set_gate(i, ring0_faults + 16 * i);
	irq_set_gate(VECTOR_INVALID_OPCODE, ring0_invalid_opcode);
}

void ring3_fault(uint64_t vector, uint64_t error, uint64_t rip, uint64_t cr2)
{
	static bool again;

	if (!again) {
		again = true;
		console_print("fault: vector %lu error %lx at %lx address %lx\n", vector, error,
			      rip, cr2);
		power_off(STATUS_FAULT);
	}
	power_crash();
}

static bool uses_interrupts(void)
{
	return !cmdline_is(machine.cmdline, "mode=", "poll");
}

/* Until some processor is told to quit: then it ends the machine, for all. */
static _Noreturn void serve(void)
{
	bool interrupts = uses_interrupts();

	while (control_quit() < 0) {
		uint32_t frames = card->poll(ip_receive);
		uint64_t next = tcp_timers();
		uint64_t netperf_next = netperf_timers(clock_us());

		if (netperf_next < next)
			next = netperf_next;
		tcp_flush();
		if (frames == 0 && interrupts)
			card->sleep(next);
		else
			card->flush();
		if (frames == 0)
			cpu_pause();
		counters.interrupts = ring0_irq_count;
	}
	card->flush();
	counters.rx_missed = net_missed();
	counters_print();
	power_off((unsigned)control_quit());
}

/* This processor's: its queue pair, and all who use it. */
static void open_network(void)
{
	if (!card_open())
		power_off(STATUS_NO_NET);
	/* netperf's control connection may come to another processor than those that it is about. */
	if (!tcp_start() || !echo_start() || !http_start() ||
	    (machine.cpus == 1 && !netperf_start()) || !control_start()) {
		console_print("main: not enough memory\n");
		power_off(STATUS_NO_NET);
	}
}

static _Noreturn void serve_further(void)
{
	open_network();
	smp_wait();
	serve();
}

static _Noreturn void serve_network(void)
{
	uint32_t processors = smp_processors();
	size_t length;
	const char *address;
	bool found = false;

	/* kvmtool puts an ip=dhcp of its own in front. */
	for (unsigned i = 0;
	     !found && (address = cmdline_find(machine.cmdline, "ip=", i, &length)) != NULL; i++)
		found = cmdline_address(address, length, &net.address);
	if (!found) {
		console_print("main: no ip=A.B.C.D, taking 10.0.0.2\n");
		net.address = DEFAULT_ADDRESS;
	}
	if (!card_start(uses_interrupts()) ||
	    !smp_start(min_u32(processors, card_pairs()), serve_further))
		power_off(STATUS_NO_NET);
	open_network();
	ip_announce();
	card->flush();
	smp_go();
	console_print("ready %s\n", uses_interrupts() ? "irq" : "poll");
	serve();
}

void kernel_main(uint32_t protocol, uint64_t info)
{
	int status;

	fill_tables();
	if (!machine_read(protocol, info)) {
		console_print("main: the boot loader passes no memory map\n");
		power_off(STATUS_BAD_BOOT);
	}
	clock_start();
	irq_start();
	status = cases_run();
	if (status < 0)
		serve_network();
	power_off((unsigned)status);
}
