/* RTL8139: the registers. */
#include <string.h>

#include "devices/rtl8139_internal.h"

#define EEPROM_ID    0x8129 /* word 0: it is an EEPROM of ours */
#define EEPROM_MAC   7	    /* the address, from this word on */
#define HWVERSION_C  0x74000000u
#define HWVERSION_CP 0x74800000u
#define CLOCK_MHZ    33ull /* of TCTR */
#define TIMER_PERIOD (BIT_ULL(32) * 1000 / CLOCK_MHZ)

#define CR9346_MODE	0xc0 /* EEM: what the pins are for */
#define CR9346_AUTOLOAD 0x40
#define CR9346_PROGRAM	0x80
#define CR9346_CONFIG	0xc0 /* CONFIGn, IDR and BMCR may be written */
#define CR9346_CS	0x08
#define CR9346_SK	0x04
#define CR9346_DI	0x02
#define CR9346_DO	0x01

#define CONFIG1_WRITABLE 0xf3
#define CONFIG1_MAPPED	 0x0c /* both BARs are there */
#define CONFIG3_WRITABLE 0x70
#define CONFIG4_WRITABLE 0xfc
#define CONFIG5_WRITABLE 0x7f

#define BMCR_WRITABLE 0x3100
#define BMCR_DEFAULT  0x3100 /* 100 Mbit/s, negotiated, full duplex */
#define BMSR_DOWN     0x7809
#define BMSR_UP	      0x0024 /* negotiated, and there is a link */
#define ANAR_DEFAULT  0x05e1
#define ANLPAR_UP     0x45e1
#define ANER_UP	      0x0001
#define MSR_LINK_DOWN 0x04
#define CSCR_DEFAULT  0x03c0
#define CSCR_LINK     0x0008
#define CSCR_CHANGED  0x0800
#define DTCCR_DUMP    0x08u

/* ---- state ---- */

static void load_eeprom(struct rtl8139 *d)
{
	memcpy(d->r.idr, &d->eeprom.word[EEPROM_MAC], 6);
	d->r.config1 = 0;
	d->r.config3 = d->r.config4 = d->r.config5 = 0;
}

/* What CR's RST does: the address, the multicast filter and CONFIGn stay. */
static void reset(struct rtl8139 *d)
{
	const struct rtl8139_regs old = d->r;
	struct rtl8139_regs *r = &d->r;

	*r = (struct rtl8139_regs){ .bmcr = BMCR_DEFAULT,
				    .anar = ANAR_DEFAULT,
				    .cscr = CSCR_DEFAULT,
				    .cr9346 = old.cr9346,
				    .config1 = old.config1,
				    .config3 = old.config3,
				    .config4 = old.config4,
				    .config5 = old.config5,
				    .timer_start = now_ns() };
	memcpy(r->idr, old.idr, sizeof(r->idr));
	memcpy(r->mar, old.mar, sizeof(r->mar));
	for (unsigned int i = 0; i < OLD_DESCRIPTORS; i++)
		r->tsd[i] = TSD_OWN;
	d->old_next = d->rx_next = 0;
	memset(d->tx_next, 0, sizeof(d->tx_next));
	memset(d->tx_polled, 0, sizeof(d->tx_polled));
	memset(d->tx_unavailable, 0, sizeof(d->tx_unavailable));
	d->rx_fault = d->tx_fault = false;
	d->epoch++;
	loop_timer_set(&d->timer, 0);
}

void rtl8139_power_on(struct rtl8139 *d)
{
	d->eeprom.word[0] = EEPROM_ID;
	d->eeprom.word[1] = pci_config_get16(&d->func, 0);
	d->eeprom.word[2] = pci_config_get16(&d->func, 2);
	reset(d);
	load_eeprom(d);
}

/* ---- the timer: TCTR counts up from its last write; TimerInt is where it interrupts ---- */

static uint32_t timer_count(const struct rtl8139_regs *r)
{
	return (uint32_t)((now_ns() - r->timer_start) * CLOCK_MHZ / 1000);
}

static void set_timer(struct rtl8139 *d)
{
	const uint64_t at = d->r.timer_int * 1000ull / CLOCK_MHZ;
	const uint64_t since = (now_ns() - d->r.timer_start) % TIMER_PERIOD;

	if (!d->r.timer_int)
		loop_timer_set(&d->timer, 0);
	else
		loop_timer_set(&d->timer, at > since ? at - since : TIMER_PERIOD - since + at);
}

void rtl8139_timer_expired(struct rtl8139 *d)
{
	if (!d->r.timer_int)
		return;
	rtl8139_interrupt(d, INT_TIMER);
	set_timer(d);
}

/* ---- reading, a dword at a time ---- */

static bool has_link(const struct rtl8139 *d)
{
	return !netbe_is_gone(d->be);
}

static uint32_t two(uint32_t low, uint32_t high)
{
	return (low & 0xffff) | high << 16;
}

static uint32_t four(uint32_t a, uint32_t b, uint32_t c, uint32_t d)
{
	return (a & 0xff) | (b & 0xff) << 8 | (c & 0xff) << 16 | d << 24;
}

/* Transmit status of all descriptors. */
static uint32_t tx_summary(const struct rtl8139_regs *r)
{
	uint32_t all = 0;

	for (unsigned int i = 0; i < OLD_DESCRIPTORS; i++)
		all |= (r->tsd[i] & TSD_OWN ? BIT(i) : 0) |
		       (r->tsd[i] & TSD_TABT ? BIT(4 + i) : 0) |
		       (r->tsd[i] & TSD_TOK ? BIT(12 + i) : 0);
	return all;
}

static uint32_t read_eeprom_register(const struct rtl8139 *d)
{
	const uint8_t v = d->r.cr9346;

	if ((v & CR9346_MODE) == CR9346_PROGRAM && d->eeprom.out)
		return v | CR9346_DO;
	return v;
}

static uint32_t read_array(const void *array, unsigned int at)
{
	uint32_t v;

	memcpy(&v, (const uint8_t *)array + at, sizeof(v));
	return v;
}

static bool dumps_tally(const struct rtl8139 *d)
{
	return rtl8139_rx_is_cplus(d) || rtl8139_tx_is_cplus(d);
}

static uint32_t read_dword(struct rtl8139 *d, unsigned int reg)
{
	const struct rtl8139_regs *r = &d->r;

	switch (reg) {
	case 0x00 ... 0x04:
		return read_array(r->idr, reg);
	case 0x08 ... 0x0c:
		return read_array(r->mar, reg - 0x08);
	case 0x10 ... 0x1c:
		return dumps_tally(d) && reg < 0x18 ? r->dtccr[(reg - 0x10) / 4]
						    : r->tsd[(reg - 0x10) / 4];
	case 0x20 ... 0x2c:
		return r->tsad[(reg - 0x20) / 4];
	case 0x30:
		return r->rbstart;
	case 0x34: /* CR */
		return (uint32_t)(r->cr | (r->read == r->write ? CR_BUFE : 0)) << 24;
	case 0x38: /* CAPR, CBR */
		return two(r->read - 16, r->write);
	case 0x3c:
		return two(r->imr, r->isr);
	case 0x40:
		return r->tcr | (d->cplus ? HWVERSION_CP : HWVERSION_C);
	case 0x44:
		return r->rcr;
	case 0x48:
		return timer_count(r);
	case 0x4c:
		return r->mpc;
	case 0x50: /* 9346CR, CONFIG0, CONFIG1 */
		return four(read_eeprom_register(d), 0, r->config1 | CONFIG1_MAPPED, 0);
	case 0x54:
		return r->timer_int;
	case 0x58: /* MSR, CONFIG3, CONFIG4 */
		return four(has_link(d) ? 0 : MSR_LINK_DOWN, r->config3, r->config4, 0);
	case 0x5c:
		return r->mulint;
	case 0x60: /* TSADS, BMCR */
		return two(tx_summary(r), r->bmcr);
	case 0x64: /* BMSR, ANAR */
		return two(BMSR_DOWN | (has_link(d) ? BMSR_UP : 0), r->anar);
	case 0x68: /* ANLPAR, ANER */
		return has_link(d) ? two(ANLPAR_UP, ANER_UP) : 0;
	case 0x74:
		return r->cscr | (has_link(d) ? CSCR_LINK : CSCR_CHANGED);
	case 0xd8: /* CONFIG5; TPPoll reads as done */
		return r->config5;
	case 0xe0:
		return r->cpcr;
	case 0xe4 ... 0xe8:
		return r->rdsar[(reg - 0xe4) / 4];
	case 0xec:
		return r->etthr;
	default:
		return 0;
	}
}

static uint64_t registers_read(void *dev, uint64_t offset, unsigned int size)
{
	struct rtl8139 *d = dev;
	const unsigned int reg = (unsigned int)ALIGN_DOWN(offset, 4), shift = 8 * (offset & 3);
	uint64_t low, high = 0;

	hold(&d->lock);
	d->chip.reads++;
	low = (uint64_t)read_dword(d, reg) | (uint64_t)read_dword(d, reg + 4) << 32;
	if (shift && (offset & 3) + size > 8)
		high = read_dword(d, reg + 8);
	return shift ? low >> shift | high << (64 - shift) : low;
}

/* ---- writing, the bytes of a dword that are in @mask ---- */

static uint32_t merge(uint32_t old, uint32_t mask, uint32_t value)
{
	return (old & ~mask) | (value & mask);
}

static void merge16(uint16_t *reg, uint32_t mask, uint32_t value)
{
	*reg = (uint16_t)merge(*reg, mask, value);
}

static void merge_array(void *array, unsigned int at, uint32_t mask, uint32_t value)
{
	const uint32_t v = merge(read_array(array, at), mask, value);

	memcpy((uint8_t *)array + at, &v, sizeof(v));
}

static bool unlocked(const struct rtl8139 *d)
{
	return (d->r.cr9346 & CR9346_MODE) == CR9346_CONFIG;
}

/* A direction begins anew at the start of its ring. */
static void restart_receiver(struct rtl8139 *d)
{
	d->r.read = d->r.write = 0;
	d->rx_next = 0;
	d->rx_fault = false;
}

static void restart_transmitter(struct rtl8139 *d)
{
	d->old_next = 0;
	memset(d->tx_next, 0, sizeof(d->tx_next));
	d->tx_fault = false;
	d->epoch++;
}

static void write_command(struct rtl8139 *d, uint8_t value)
{
	const uint8_t changed = d->r.cr ^ value;

	if (value & CR_RST) {
		d->chip.resets++;
		reset(d);
	} else {
		d->r.cr = value & (CR_RE | CR_TE);
		if (changed & CR_RE)
			restart_receiver(d);
		if (changed & CR_TE)
			restart_transmitter(d);
	}
	rtl8139_kick(d);
}

static void write_eeprom_register(struct rtl8139 *d, uint8_t value)
{
	if ((value & CR9346_MODE) == CR9346_AUTOLOAD) {
		load_eeprom(d);
		value = 0;
	}
	if ((value & CR9346_MODE) == CR9346_PROGRAM)
		rtl8139_eeprom_drive(&d->eeprom, value & CR9346_CS, value & CR9346_SK,
				     value & CR9346_DI);
	else
		rtl8139_eeprom_drive(&d->eeprom, false, false, false);
	d->r.cr9346 = value & (CR9346_MODE | CR9346_CS | CR9346_SK | CR9346_DI);
}

/* Dump the tally counters: done when the write returns. Without bus mastering it never is. */
static void write_dump(struct rtl8139 *d, unsigned int n, uint32_t mask, uint32_t value)
{
	uint32_t *const reg = d->r.dtccr;
	const uint64_t at = (uint64_t)reg[1] << 32;

	reg[n] = merge(reg[n], mask, value);
	if (n || !(reg[0] & DTCCR_DUMP) || !d->master)
		return;
	if (guestmem_write(d->mem, at | (reg[0] & ~0x3fu), &d->tally, sizeof(d->tally))) {
		d->chip.ring_faults++;
		rtl8139_interrupt(d, INT_SERR);
	}
	reg[0] &= ~DTCCR_DUMP;
}

/* A size with OWN clear sends it. */
static void write_tx_status(struct rtl8139 *d, unsigned int n, uint32_t mask, uint32_t value)
{
	d->r.tsd[n] = merge(d->r.tsd[n], mask, value) & (0x003f0000u | TSD_OWN | TSD_SIZE);
	if (!(d->r.tsd[n] & TSD_OWN))
		rtl8139_kick(d);
}

static void write_tx_address(struct rtl8139 *d, unsigned int n, uint32_t mask, uint32_t value)
{
	d->r.tsad[n] = merge(d->r.tsad[n], mask, value);
	if (!rtl8139_tx_is_cplus(d) || n % 2)
		return;
	d->tx_next[n / 2] = 0;
	d->epoch++; /* what was taken from the old ring is not given back to the new */
}

/* CAPR is 16 bytes behind where the driver will read next, which some count on beyond the end. */
static void write_read_pointer(struct rtl8139 *d, uint32_t mask, uint32_t value)
{
	struct rtl8139_regs *r = &d->r;

	r->read = (merge(r->read - 16, mask, value) + 16) & (rtl8139_old_ring_size(r) - 1);
}

static void write_rcr(struct rtl8139 *d, uint32_t mask, uint32_t value)
{
	const uint32_t old = d->r.rcr;

	d->r.rcr = merge(old, mask, value);
	if ((old ^ d->r.rcr) & RCR_RBLEN)
		d->r.read = d->r.write = 0;
}

static void write_cpcr(struct rtl8139 *d, uint32_t mask, uint32_t value)
{
	const uint16_t old = d->r.cpcr;

	if (!d->cplus)
		return;
	merge16(&d->r.cpcr, mask, value & 0x03ff);
	if ((old ^ d->r.cpcr) & CPCR_RXEN)
		restart_receiver(d);
	if ((old ^ d->r.cpcr) & CPCR_TXEN)
		restart_transmitter(d);
	rtl8139_kick(d);
}

static void write_poll(struct rtl8139 *d, uint8_t value)
{
	if (value & POLL_SW_INT)
		rtl8139_interrupt(d, INT_SW);
	d->tx_polled[0] |= !!(value & POLL_NORMAL);
	d->tx_polled[1] |= !!(value & POLL_HIGH);
	if (value & (POLL_NORMAL | POLL_HIGH))
		rtl8139_kick(d);
}

/* CONFIGn, IDR and BMCR, which 9346CR keeps. */
static void write_kept(struct rtl8139 *d, unsigned int reg, uint32_t mask, uint32_t value)
{
	struct rtl8139_regs *r = &d->r;

	if (!unlocked(d))
		return;
	switch (reg) {
	case 0x00 ... 0x04:
		merge_array(r->idr, reg, mask, value);
		break;
	case 0x50:
		if (mask & 0xff0000)
			r->config1 = value >> 16 & CONFIG1_WRITABLE;
		break;
	case 0x58:
		if (mask & 0xff00)
			r->config3 = value >> 8 & CONFIG3_WRITABLE;
		if (mask & 0xff0000)
			r->config4 = value >> 16 & CONFIG4_WRITABLE;
		break;
	case 0x60:
		merge16(&r->bmcr, mask >> 16, value >> 16);
		r->bmcr = r->bmcr & 0x8000 ? BMCR_DEFAULT : r->bmcr & BMCR_WRITABLE;
		break;
	}
}

static void write_dword(struct rtl8139 *d, unsigned int reg, uint32_t mask, uint32_t value)
{
	struct rtl8139_regs *r = &d->r;

	switch (reg) {
	case 0x08 ... 0x0c:
		merge_array(r->mar, reg - 0x08, mask, value);
		break;
	case 0x10 ... 0x1c:
		if (dumps_tally(d) && reg < 0x18)
			write_dump(d, (reg - 0x10) / 4, mask, value);
		else
			write_tx_status(d, (reg - 0x10) / 4, mask, value);
		break;
	case 0x20 ... 0x2c:
		write_tx_address(d, (reg - 0x20) / 4, mask, value);
		break;
	case 0x30:
		r->rbstart = merge(r->rbstart, mask, value);
		break;
	case 0x34:
		if (mask & 0xff000000)
			write_command(d, (uint8_t)(value >> 24));
		break;
	case 0x38:
		if (mask & 0xffff)
			write_read_pointer(d, mask, value);
		break;
	case 0x3c:
		merge16(&r->imr, mask, value & INT_ALL);
		r->isr &= (uint16_t) ~(mask >> 16 & value >> 16);
		break;
	case 0x40:
		r->tcr = merge(r->tcr, mask, value) & TCR_WRITABLE;
		break;
	case 0x44:
		write_rcr(d, mask, value);
		break;
	case 0x48:
		r->timer_start = now_ns();
		set_timer(d);
		break;
	case 0x4c:
		r->mpc = 0;
		break;
	case 0x50:
		write_kept(d, reg, mask, value);
		if (mask & 0xff)
			write_eeprom_register(d, (uint8_t)value);
		break;
	case 0x54:
		r->timer_int = merge(r->timer_int, mask, value);
		set_timer(d);
		break;
	case 0x5c:
		merge16(&r->mulint, mask, value);
		break;
	case 0x64:
		merge16(&r->anar, mask >> 16, value >> 16);
		break;
	case 0x74:
		merge16(&r->cscr, mask, value & CSCR_DEFAULT);
		break;
	case 0xd8:
		if (mask & 0xff)
			r->config5 = value & CONFIG5_WRITABLE;
		if (mask & 0xff00)
			write_poll(d, (uint8_t)(value >> 8));
		break;
	case 0xe0:
		write_cpcr(d, mask, value);
		break;
	case 0xe4 ... 0xe8:
		r->rdsar[(reg - 0xe4) / 4] = merge(r->rdsar[(reg - 0xe4) / 4], mask, value);
		d->rx_next = 0;
		break;
	case 0xec:
		if (mask & 0xff)
			r->etthr = value & 0x3f;
		break;
	default:
		write_kept(d, reg, mask, value);
		break;
	}
}

static void registers_write(void *dev, uint64_t offset, unsigned int size, uint64_t value)
{
	struct rtl8139 *d = dev;

	hold(&d->lock);
	d->chip.writes++;
	for (unsigned int done = 0; done < size;) {
		const unsigned int at = (unsigned int)offset + done, first = at & 3;
		const unsigned int n = MIN(size - done, 4 - first);
		const uint32_t mask = (uint32_t)((BIT_ULL(8 * n) - 1) << 8 * first);

		write_dword(d, at - first, mask, (uint32_t)(value >> 8 * done) << 8 * first);
		done += n;
	}
	rtl8139_sync_interrupt(d);
}

const struct bus_ops rtl8139_registers = { .read = registers_read, .write = registers_write };
