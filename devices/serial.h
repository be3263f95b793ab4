/*
 * 16550A UART on I/O ports 0x3f8-0x3ff.
 *
 * Output goes to a file descriptor; a full or closed one loses bytes, counted, and never blocks the
 * guest for long. Input is pushed in by serial_input(); what does not fit the FIFO is refused, so
 * that the caller stops reading until there is room.
 */
#ifndef DEVICES_SERIAL_H
#define DEVICES_SERIAL_H

#include "vmm/bus.h"
#include "vmm/counters.h"
#include "vmm/irq.h"

struct serial;

struct serial_counters {
	uint64_t tx_bytes, tx_lost, rx_bytes;
};

/*
 * Create and put on the bus; output goes to @out_fd (-1: nowhere), which stays the caller's.
 * @on_room is called (any vCPU thread; may be NULL) when the guest has made room for more input.
 * -errno with a message.
 */
int must_check serial_create(struct serial **out, struct bus *pio, struct irqchip *irqchip,
			     int out_fd, void (*on_room)(void *arg), void *arg);
void serial_destroy(struct serial *s);

/* Free places in the receive FIFO. */
unsigned int serial_room(struct serial *s);

/* The guest receives @len bytes; returns how many were taken. Any thread. */
unsigned int serial_input(struct serial *s, const uint8_t *buf, unsigned int len);

#endif
