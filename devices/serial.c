/* 16550A UART: registers, FIFO, interrupts, and output in lines. */
#include "devices/serial.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <linux/serial_reg.h>

#include "vmm/base/log.h"

#define FIFO_SIZE	  16
#define OUT_SIZE	  4096
#define OUT_DELAY_NS	  (5 * 1000 * 1000)
#define RETRY_DELAY_NS	  (50 * 1000 * 1000)
#define STALL_TIMEOUT_NS  (1000 * 1000 * 1000)
#define DIVISOR_9600	  12
#define IER_MASK	  (UART_IER_RDI | UART_IER_THRI | UART_IER_RLSI | UART_IER_MSI)
#define MCR_MASK	  (UART_MCR_DTR | UART_MCR_RTS | UART_MCR_OUT1 | UART_MCR_OUT2 | UART_MCR_LOOP)
#define NR_PORTS	  8
#define MSR_LINES	  (UART_MSR_DCD | UART_MSR_RI | UART_MSR_DSR | UART_MSR_CTS)
#define MSR_PLUGGED_IN	  (UART_MSR_DCD | UART_MSR_DSR | UART_MSR_CTS)
#define IIR_FIFOS_ENABLED 0xc0

struct serial {
	pthread_mutex_t lock; /* everything below; not held while output waits */
	struct serial_params p;
	struct bus_range range;
	struct irq irq;
	struct loop_timer timer;
	struct serial_counters counters;
	struct counter_group group;

	uint8_t ier, fcr, lcr, mcr, lsr, msr, scratch;
	uint16_t divisor;
	bool thr_empty_pending; /* the transmitter ran empty and IIR has not told yet */
	uint8_t asserted;	/* interrupt sources, by their IER bits, that are asserted */
	uint8_t rx[FIFO_SIZE];
	unsigned int rx_first, rx_len;
	bool refused; /* input did not fit: on_room is due */

	uint8_t out[OUT_SIZE];
	unsigned int out_len;
	bool timer_armed, stalled, loss_told;
};

static const struct counter_desc counter_desc[] = {
	COUNTER(struct serial_counters, tx_bytes),
	COUNTER(struct serial_counters, tx_lost),
	COUNTER(struct serial_counters, rx_bytes),
	COUNTER_END,
};

/* ---- output ---- */

static void lose(struct serial *s, unsigned int bytes)
{
	s->counters.tx_lost += bytes;
	if (s->loss_told || !bytes)
		return;
	s->loss_told = true;
	log_warn("output of the serial port is being lost: %s", sink_strerror(s->p.out->error));
}

/* Write what the sink takes within @ms milliseconds; the rest stays, unless it will never be taken. */
static void write_out(struct serial *s, unsigned int ms)
{
	const size_t n = sink_write(s->p.out, s->out, s->out_len, ms);
	const int err = s->p.out->error;

	s->out_len -= (unsigned int)n;
	memmove(s->out, s->out + n, s->out_len);
	if (n)
		s->stalled = false;
	if (s->out_len && err != EAGAIN && err != EINTR) {
		lose(s, s->out_len);
		s->out_len = 0;
	}
}

/*
 * Hold the guest up until the sink takes something, once and for a second at most. Meanwhile the lock is
 * free: the main loop needs it, and must be able to end the machine. A signal ends the patience, not the
 * output: the machine wants its thread back.
 */
static void make_room(struct serial *s)
{
	const uint64_t deadline = now_ns() + STALL_TIMEOUT_NS;

	while (s->out_len == OUT_SIZE && !s->stalled) {
		int err;

		pthread_mutex_unlock(&s->lock);
		err = sink_wait(s->p.out, STALL_TIMEOUT_NS / 1000000);
		pthread_mutex_lock(&s->lock);
		write_out(s, 0);
		s->stalled = s->out_len == OUT_SIZE && (err == -EINTR || now_ns() >= deadline);
	}
}

static void transmit(struct serial *s, uint8_t byte)
{
	s->counters.tx_bytes++;
	if (s->out_len == OUT_SIZE)
		write_out(s, 0);
	make_room(s);
	if (s->out_len == OUT_SIZE) {
		lose(s, 1);
		return;
	}
	s->out[s->out_len++] = byte;
	if (byte == '\n' || s->out_len == OUT_SIZE)
		write_out(s, 0);
	if (s->out_len && !s->timer_armed) {
		s->timer_armed = true;
		loop_timer_set(&s->timer, OUT_DELAY_NS);
	}
}

static void on_timer(void *arg)
{
	struct serial *s = arg;

	hold(&s->lock);
	write_out(s, 0);
	s->timer_armed = s->out_len > 0;
	if (s->timer_armed)
		loop_timer_set(&s->timer, RETRY_DELAY_NS);
}

void serial_flush(struct serial *s)
{
	hold(&s->lock);
	write_out(s, 0);
}

void serial_finish(struct serial *s, unsigned int ms)
{
	hold(&s->lock);
	write_out(s, ms);
	lose(s, s->out_len);
	s->out_len = 0;
	lose(s, (unsigned int)sink_finish(s->p.out));
}

/* ---- the receive FIFO ---- */

static unsigned int rx_room(const struct serial *s)
{
	unsigned int size = s->fcr & UART_FCR_ENABLE_FIFO ? FIFO_SIZE : 1;

	return s->rx_len < size ? size - s->rx_len : 0;
}

static void rx_put(struct serial *s, uint8_t byte)
{
	s->rx[(s->rx_first + s->rx_len++) % FIFO_SIZE] = byte;
}

static uint8_t rx_get(struct serial *s)
{
	uint8_t byte;

	if (!s->rx_len)
		return 0;
	byte = s->rx[s->rx_first];
	s->rx_first = (s->rx_first + 1) % FIFO_SIZE;
	s->rx_len--;
	return byte;
}

/* ---- interrupts ---- */

/*
 * Raise an edge for each source that becomes asserted. A real line has an edge only when the first
 * source asserts; one more for a second source costs a guest a look at IIR, and a guest that serves
 * one source per interrupt misses nothing.
 */
static void update_irq(struct serial *s)
{
	uint8_t now = 0;

	if (s->lsr & UART_LSR_OE)
		now |= UART_IER_RLSI;
	if (s->rx_len)
		now |= UART_IER_RDI; /* trigger levels would only delay: the FIFO fills at once */
	if (s->thr_empty_pending)
		now |= UART_IER_THRI;
	if (s->msr & UART_MSR_ANY_DELTA)
		now |= UART_IER_MSI;
	now &= s->ier;
	if (now & ~s->asserted)
		irq_raise(&s->irq);
	s->asserted = now;
}

static uint8_t read_iir(struct serial *s)
{
	uint8_t id = UART_IIR_NO_INT;

	if (s->asserted & UART_IER_RLSI) {
		id = UART_IIR_RLSI;
	} else if (s->asserted & UART_IER_RDI) {
		id = UART_IIR_RDI;
	} else if (s->asserted & UART_IER_THRI) {
		id = UART_IIR_THRI;
		s->thr_empty_pending = false;
	} else if (s->asserted & UART_IER_MSI) {
		id = UART_IIR_MSI;
	}
	return s->fcr & UART_FCR_ENABLE_FIFO ? id | IIR_FIFOS_ENABLED : id;
}

/* ---- registers ---- */

/* The modem lines: from our own outputs in loopback, else a peer that is always there. */
static void update_msr(struct serial *s)
{
	uint8_t lines = MSR_PLUGGED_IN, changed;

	if (s->mcr & UART_MCR_LOOP) {
		lines = s->mcr & UART_MCR_RTS ? UART_MSR_CTS : 0;
		lines |= s->mcr & UART_MCR_DTR ? UART_MSR_DSR : 0;
		lines |= s->mcr & UART_MCR_OUT1 ? UART_MSR_RI : 0;
		lines |= s->mcr & UART_MCR_OUT2 ? UART_MSR_DCD : 0;
	}
	changed = (s->msr ^ lines) & MSR_LINES;
	if (lines & UART_MSR_RI)
		changed &= (uint8_t)~UART_MSR_RI; /* only its trailing edge counts */
	s->msr = lines | (s->msr & UART_MSR_ANY_DELTA) | changed >> 4;
}

static void write_thr(struct serial *s, uint8_t byte)
{
	if (!(s->mcr & UART_MCR_LOOP))
		transmit(s, byte);
	else if (rx_room(s))
		rx_put(s, byte);
	else
		s->lsr |= UART_LSR_OE;
	s->thr_empty_pending = true; /* it never takes long */
}

static void write_fcr(struct serial *s, uint8_t value)
{
	/* Turning the FIFOs on or off empties them. */
	if (((value ^ s->fcr) & UART_FCR_ENABLE_FIFO) || value & UART_FCR_CLEAR_RCVR)
		s->rx_len = 0;
	s->fcr = value & UART_FCR_ENABLE_FIFO;
}

static uint8_t read_register(struct serial *s, uint64_t offset)
{
	bool dlab = s->lcr & UART_LCR_DLAB;
	uint8_t value;

	switch (offset) {
	case UART_RX:
		return dlab ? (uint8_t)s->divisor : rx_get(s);
	case UART_IER:
		return dlab ? (uint8_t)(s->divisor >> 8) : s->ier;
	case UART_IIR:
		return read_iir(s);
	case UART_LCR:
		return s->lcr;
	case UART_MCR:
		return s->mcr;
	case UART_LSR:
		value = s->lsr | UART_LSR_THRE | UART_LSR_TEMT;
		s->lsr = 0;
		return s->rx_len ? value | UART_LSR_DR : value;
	case UART_MSR:
		value = s->msr;
		s->msr &= MSR_LINES;
		return value;
	default:
		return s->scratch;
	}
}

static void write_register(struct serial *s, uint64_t offset, uint8_t value)
{
	bool dlab = s->lcr & UART_LCR_DLAB;

	switch (offset) {
	case UART_TX:
		if (dlab)
			s->divisor = (uint16_t)((s->divisor & 0xff00) | value);
		else
			write_thr(s, value);
		break;
	case UART_IER:
		if (dlab) {
			s->divisor = (uint16_t)((s->divisor & 0xff) | value << 8);
			break;
		}
		/* Enabling it tells at once that the transmitter is empty; Linux tests for that. */
		if (value & ~s->ier & UART_IER_THRI)
			s->thr_empty_pending = true;
		s->ier = value & IER_MASK;
		break;
	case UART_FCR:
		write_fcr(s, value);
		break;
	case UART_LCR:
		s->lcr = value;
		break;
	case UART_MCR:
		s->mcr = value & MCR_MASK;
		update_msr(s);
		break;
	case UART_SCR:
		s->scratch = value;
		break;
	default: /* LSR and MSR are read-only */
		break;
	}
}

static unsigned int room_locked(const struct serial *s)
{
	return s->mcr & UART_MCR_LOOP ? 0 : rx_room(s);
}

static void end_access(struct serial *s)
{
	bool tell = s->refused && room_locked(s);

	if (tell)
		s->refused = false;
	update_irq(s);
	pthread_mutex_unlock(&s->lock);
	if (tell && s->p.on_room)
		s->p.on_room(s->p.arg);
}

/* The registers are bytes; a wider access is several, as on the ISA bus. */
static uint64_t serial_read(void *dev, uint64_t offset, unsigned int size)
{
	struct serial *s = dev;
	uint64_t value = 0;

	pthread_mutex_lock(&s->lock);
	for (unsigned int i = 0; i < size; i++)
		value |= (uint64_t)read_register(s, offset + i) << (8 * i);
	end_access(s);
	return value;
}

static void serial_write(void *dev, uint64_t offset, unsigned int size, uint64_t value)
{
	struct serial *s = dev;

	pthread_mutex_lock(&s->lock);
	for (unsigned int i = 0; i < size; i++)
		write_register(s, offset + i, (uint8_t)(value >> (8 * i)));
	end_access(s);
}

static const struct bus_ops serial_ops = { serial_read, serial_write };

/* ---- input ---- */

unsigned int serial_room(void *serial)
{
	struct serial *s = serial;

	hold(&s->lock);
	const unsigned int room = room_locked(s);
	s->refused |= !room;
	return room;
}

unsigned int serial_input(void *serial, const uint8_t *buf, unsigned int len)
{
	struct serial *s = serial;

	hold(&s->lock);
	unsigned int taken = MIN(len, room_locked(s));
	for (unsigned int i = 0; i < taken; i++)
		rx_put(s, buf[i]);
	s->refused |= taken < len;
	s->counters.rx_bytes += taken;
	update_irq(s);
	return taken;
}

/* ---- life ---- */

int serial_create(struct serial **out, const struct serial_params *p)
{
	struct serial *s = calloc(1, sizeof(*s));
	int ret;

	if (!s)
		return log_fail(-ENOMEM, "cannot create the serial port: %s", strerror(ENOMEM));
	s->p = *p;
	s->range = (struct bus_range){ "serial", p->port, NR_PORTS, &serial_ops, s };
	s->msr = MSR_PLUGGED_IN;
	s->divisor = DIVISOR_9600;
	pthread_mutex_init(&s->lock, NULL);

	s->irq.fd = -1;
	s->timer = (struct loop_timer){ .expired = on_timer, .arg = s };
	counters_add(p->counters, &s->group, counter_desc, &s->counters, "serial");
	ret = loop_timer_init(p->loop, &s->timer);
	if (ret)
		log_error("cannot create the serial port's timer: %s", strerror(-ret));
	else
		ret = irq_init_edge(&s->irq, p->irqchip, p->gsi);
	if (!ret) {
		ret = bus_add(p->pio, &s->range);
		if (ret)
			log_error("cannot put the serial port on I/O port 0x%x: %s", p->port,
				  strerror(-ret));
	}
	if (ret)
		serial_destroy(s);
	else
		*out = s;
	return ret;
}

void serial_destroy(struct serial *s)
{
	if (!s)
		return;
	counters_remove(&s->group);
	bus_remove(s->p.pio, &s->range);
	serial_flush(s);
	loop_timer_destroy(s->p.loop, &s->timer);
	irq_destroy(&s->irq);
	pthread_mutex_destroy(&s->lock);
	free(s);
}
