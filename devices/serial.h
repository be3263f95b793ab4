/*
 * 16550A UART on eight I/O ports.
 *
 * Output is collected and written at the end of a line, when the buffer is full, or a few milliseconds
 * after its first byte: prompts appear at once, and a line costs one write(2). A sink that takes no more
 * holds the guest up once the buffer is full, for at most a second, once; from then on, until it takes
 * bytes again, what does not fit is lost and counted. Only a vCPU's thread ever waits for the sink, and
 * without a lock.
 *
 * Input is pushed in by serial_input(); what does not fit the receive FIFO is refused, so that the
 * caller stops reading until there is room.
 */
#ifndef DEVICES_SERIAL_H
#define DEVICES_SERIAL_H

#include "vmm/base/bus.h"
#include "vmm/base/counters.h"
#include "vmm/base/irq.h"
#include "vmm/base/loop.h"
#include "vmm/base/sink.h"

struct serial;

/* Added as "serial". */
struct serial_counters {
	uint64_t tx_bytes; /* sent by the guest */
	uint64_t tx_lost;  /* of those, not written */
	uint64_t rx_bytes; /* taken from the host */
};

struct serial_params {
	struct bus *pio;
	uint16_t port; /* the first of eight */
	struct irqchip *irqchip;
	unsigned int gsi;
	struct loop *loop; /* writes out what stays unfinished; must not be running yet */
	struct counters *counters;
	struct sink *out; /* stays the caller's */
	/* Input was refused and there is room again; any vCPU thread, without a lock. May be NULL. */
	void (*on_room)(void *arg);
	void *arg;
};

/* Create and put on the bus. -errno with a message. */
int must_check serial_create(struct serial **out, const struct serial_params *params);

/* The vCPUs have ended and the loop is not running (but not destroyed). Safe on NULL. */
void serial_destroy(struct serial *s);

/* Write out what was collected and is taken at once; the rest stays. Any thread. */
void serial_flush(struct serial *s);

/* The same when the vCPUs have ended; what is not taken within @ms milliseconds is lost. */
void serial_finish(struct serial *s, unsigned int ms);

/* As a console's other end: free places in the receive FIFO; 0 also in loopback. Any thread. */
unsigned int serial_room(void *serial);

/* The guest receives @len bytes; returns how many were taken. Any thread. */
unsigned int serial_input(void *serial, const uint8_t *buf, unsigned int len);

#endif
