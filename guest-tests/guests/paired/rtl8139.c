/*
 * Driver of the RTL8139C+ in C+ mode: two rings of 64 descriptors, INTA.
 *
 * Each access to a register is an exit. Interrupts stay enabled: ring 0 acknowledges one when it is taken, and what came
 * since is acknowledged before the rings are looked at for the last time before sleep, so that it does not wake up for
 * what is done already.
 */
#include "guest-tests/guests/paired/card.h"
#include "guest-tests/guests/paired/clock.h"
#include "guest-tests/guests/paired/console.h"
#include "guest-tests/guests/paired/counters.h"
#include "guest-tests/guests/paired/cpu.h"
#include "guest-tests/guests/paired/irq.h"
#include "guest-tests/guests/paired/lib.h"
#include "guest-tests/guests/paired/machine.h"
#include "guest-tests/guests/paired/pci.h"
#include "guest-tests/guests/paired/ring0.h"

#define IDS	 0x813910ecu
#define REVISION 0x20u
#define BAR	 1
#define SIZE	 256u

#define R_IDR	  0x00
#define R_TNPDS	  0x20
#define R_THPDS	  0x28
#define R_CR	  0x37
#define R_IMR_ISR 0x3c
#define R_ISR	  0x3e
#define R_RCR	  0x44
#define R_MPC	  0x4c
#define R_TPPOLL  0xd9
#define R_CPCR	  0xe0
#define R_RDSAR	  0xe4

#define CR_RESET 0x10
#define CR_ON	 0x0c /* both directions */
#define RCR_OURS 0x0e /* to us, multicast, broadcast */
#define CPCR_ON	 0x23 /* both directions; checksums of received frames */
#define POLL_NOW 0x40
#define INT_RX	 0x0053 /* a frame, an error, no descriptor, overflow */
#define INT_TX	 0x0004
#define ISR_ALL	 0xffff

#define OWN	   0x80000000u
#define END	   0x40000000u
#define FIRST	   0x20000000u
#define LAST	   0x10000000u
#define LARGE	   0x08000000u
#define MSS_SHIFT  16
#define UDP_SUM	   0x00020000u
#define TCP_SUM	   0x00010000u
#define RX_LENGTH  0x1fffu
#define RX_ERROR   0x00100000u
#define RX_TCP	   0x00010000u /* and its sum is wrong: */
#define RX_TCP_BAD 0x00002000u
#define RX_UDP	   0x00020000u
#define RX_UDP_BAD 0x00004000u
#define RX_KIND	   0x00030000u
#define FCS	   4u

#define RING		 64u
#define RX_BUFFER	 2048u
#define TX_SMALL	 4096u
#define TX_LARGE	 0x10000u /* what a descriptor can say, and the stack makes no more */
#define TX_LARGE_MAX	 32u
#define NOT_LARGE	 UINT32_MAX
#define BATCH		 64u
#define RESET_TIMEOUT_US 1000000u

struct descriptor {
	uint32_t opts1, opts2;
	uint64_t buffer;
};

static uint64_t regs;
static uint32_t function;
static volatile struct descriptor *rx, *tx;
static uint8_t *rx_buffers, *tx_small, *tx_large;
static uint32_t rx_next, tx_head, tx_tail,
	tx_used; /* tx_used: from tail to head, not yet taken back */
static uint32_t large_of[RING], large_free[TX_LARGE_MAX], large_count, large_free_count;
static bool tx_next_large, tx_waiting, to_kick, to_acknowledge, interrupts_on;

static uint32_t end_of(uint32_t n)
{
	return n == RING - 1 ? END : 0;
}

static void collect_sent(void)
{
	while (tx_used > 0 && !(tx[tx_tail].opts1 & OWN)) {
		if (large_of[tx_tail] != NOT_LARGE)
			large_free[large_free_count++] = large_of[tx_tail];
		tx_tail = (tx_tail + 1) % RING;
		tx_used--;
	}
}

static bool has_room(void)
{
	if (tx_used == RING)
		collect_sent();
	tx_waiting |= tx_used == RING;
	return tx_used < RING;
}

/* Buffers as the card gets them at its start. */
static void fill_rings(void)
{
	for (uint32_t i = 0; i < RING; i++) {
		rx[i].opts2 = 0;
		rx[i].buffer = (uint64_t)rx_buffers + i * RX_BUFFER;
		rx[i].opts1 = OWN | end_of(i) | RX_BUFFER;
		tx[i].opts1 = end_of(i);
		tx[i].opts2 = 0;
	}
	rx_next = tx_head = tx_tail = tx_used = 0;
	for (large_free_count = 0; large_free_count < large_count; large_free_count++)
		large_free[large_free_count] = large_free_count;
	to_kick = tx_waiting = false;
	to_acknowledge = true;
}

static void set_address(uint32_t reg, const volatile void *ring)
{
	cpu_write32(regs + reg, (uint32_t)(uint64_t)ring);
	cpu_write32(regs + reg + 4, (uint32_t)((uint64_t)ring >> 32));
}

static bool restart(void)
{
	uint64_t deadline = clock_us() + RESET_TIMEOUT_US;

	cpu_write8(regs + R_CR, CR_RESET);
	while (cpu_read8(regs + R_CR) & CR_RESET)
		if (clock_us() > deadline) {
			console_print("net: the RTL8139 does not come out of reset\n");
			return false;
		}
	for (uint32_t i = 0; i < 6; i++)
		net.mac[i] = cpu_read8(regs + R_IDR + i);
	fill_rings();
	cpu_write16(regs + R_CPCR, CPCR_ON);
	set_address(R_THPDS, NULL);
	set_address(R_RDSAR, rx);
	set_address(R_TNPDS, tx);
	cpu_write8(regs + R_CR, CR_ON);
	cpu_write32(regs + R_RCR, RCR_OURS);
	cpu_write32(regs + R_IMR_ISR, (uint32_t)ISR_ALL << 16 | (interrupts_on ? INT_RX : 0));
	return true;
}

static bool find(void)
{
	for (function = pci_next(0); function != 0; function = pci_next(function))
		if (pci_read(function, PCI_ID) == IDS && pci_read8(function, PCI_CLASS) >= REVISION)
			break;
	if (function == 0)
		return false;
	pci_enable(function);
	regs = pci_map(function, BAR, 0, SIZE);
	return regs != 0;
}

static bool start(bool interrupts)
{
	if (!find())
		return false;
	interrupts_on = interrupts;
	rx = machine_alloc(RING * sizeof(*rx));
	tx = machine_alloc(RING * sizeof(*tx));
	rx_buffers = machine_alloc(RING * RX_BUFFER);
	tx_small = machine_alloc(RING * TX_SMALL);
	large_count = (uint32_t)(machine_available() / 8 / TX_LARGE);
	large_count = max_u32(1, min_u32(large_count, TX_LARGE_MAX));
	tx_large = machine_alloc(large_count * (uint64_t)TX_LARGE);
	if (rx == NULL || tx == NULL || rx_buffers == NULL || tx_small == NULL ||
	    tx_large == NULL) {
		console_print("net: not enough memory for buffers\n");
		return false;
	}
	if (interrupts) {
		/* One write acknowledges, and leaves the mask as it is. */
		ring0_ack_write = regs + R_IMR_ISR;
		ring0_ack_value = (uint32_t)ISR_ALL << 16 | INT_RX;
		irq_route(pci_read8(function, PCI_INTERRUPT), true);
	}
	net.checksums = true;
	net.segments = true;
	return restart();
}

/* ---- frames ---- */

static bool sum_is_good(uint32_t opts1)
{
	return (opts1 & (RX_KIND | RX_TCP_BAD)) == RX_TCP ||
	       (opts1 & (RX_KIND | RX_UDP_BAD)) == RX_UDP;
}

static uint32_t poll(void (*receive)(struct net_frame *frame))
{
	uint32_t frames = 0;

	while (frames < BATCH && has_room()) {
		uint32_t opts1 = rx[rx_next].opts1, length = (opts1 & RX_LENGTH) - FCS;

		if (opts1 & OWN)
			break;
		cpu_compiler_barrier(); /* who owns it before the frame: x86 keeps loads in order */
		frames++;
		if ((opts1 & (FIRST | LAST | RX_ERROR)) != (FIRST | LAST) || length > RX_BUFFER) {
			counters.rx_bad_device++;
		} else {
			struct net_frame frame = { .data = { rx_buffers + rx_next * RX_BUFFER },
						   .length = { length },
						   .count = 1,
						   .total = length,
						   .checksum_good = sum_is_good(opts1) };

			counters.rx_packets++;
			counters.rx_bytes += length;
			receive(&frame);
		}
		cpu_compiler_barrier();
		rx[rx_next].opts1 = OWN | end_of(rx_next) | RX_BUFFER;
		rx_next = (rx_next + 1) % RING;
	}
	to_acknowledge |= frames > 0;
	return frames;
}

static uint8_t *tx_buffer(void)
{
	return tx_next_large ? tx_large + (uint64_t)large_free[large_free_count - 1] * TX_LARGE
			     : tx_small + (uint64_t)tx_head * TX_SMALL;
}

static uint8_t *frame_buffer(uint32_t length)
{
	tx_next_large = length > NET_SMALL_FRAME;
	if (tx_next_large && large_free_count == 0)
		collect_sent();
	if (!has_room())
		return NULL;
	if (tx_next_large && large_free_count == 0) {
		tx_waiting = true;
		return NULL;
	}
	return tx_buffer();
}

static void send(uint32_t length, const struct net_offload *offload)
{
	uint32_t wishes = 0;

	if (offload->segment != 0)
		wishes = LARGE | (uint32_t)offload->segment << MSS_SHIFT;
	else if (offload->checksum_start != 0)
		wishes = offload->checksum_offset == 16 ? TCP_SUM : UDP_SUM;
	tx[tx_head].buffer = (uint64_t)tx_buffer();
	large_of[tx_head] = tx_next_large ? large_free[--large_free_count] : NOT_LARGE;
	cpu_compiler_barrier(); /* all of it before the card owns it: x86 keeps stores in order */
	tx[tx_head].opts1 = OWN | end_of(tx_head) | FIRST | LAST | wishes | length;
	tx_head = (tx_head + 1) % RING;
	tx_used++;
	to_kick = true;
	counters.tx_packets++;
	counters.tx_bytes += length;
}

static void flush(void)
{
	if (to_kick) {
		cpu_write8(regs + R_TPPOLL, POLL_NOW);
		counters.kicks++;
	}
	to_kick = false;
	if (tx_used > RING / 2)
		collect_sent();
}

static void sleep_until(uint64_t deadline)
{
	struct irq_write mask = { regs + R_IMR_ISR, INT_TX, 2 };
	bool busy;

	flush();
	if (to_acknowledge)
		cpu_write16(regs + R_ISR, ISR_ALL);
	collect_sent();
	/* Without room to send, received frames stay where they are: they are no reason to wake up. */
	busy = tx_used < RING && (tx_waiting || !(rx[rx_next].opts1 & OWN));
	to_acknowledge = busy || tx_used > 0;
	if (!busy) {
		if (tx_used < RING)
			mask.value |= INT_RX;
		/* The interrupt's acknowledgement sets the mask back. */
		irq_sleep(&mask, tx_waiting, deadline);
		counters.sleeps++;
	}
	tx_waiting = false;
}

static uint32_t missed(void)
{
	return cpu_read32(regs + R_MPC);
}

const struct card_driver rtl8139_driver = {
	.start = start,
	.restart = restart,
	.poll = poll,
	.flush = flush,
	.sleep = sleep_until,
	.frame_buffer = frame_buffer,
	.has_room = has_room,
	.send = send,
	.missed = missed,
};
