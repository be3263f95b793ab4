/* The 93C46 behind an RTL8139. */
#include "devices/rtl8139_eeprom.h"

#define COMMAND_BITS 9u /* start, operation, address */
#define WRITE_BITS   (COMMAND_BITS + 16)

enum { OP_OTHER, OP_WRITE, OP_READ, OP_ERASE };
enum { OTHER_EWDS, OTHER_WRAL, OTHER_ERAL, OTHER_EWEN };

/* Of the first COMMAND_BITS bits. */
static unsigned int operation(uint32_t command)
{
	return command >> 6 & 3;
}

static unsigned int other(uint32_t command)
{
	return command >> 4 & 3;
}

static bool is_write(uint32_t command)
{
	return operation(command) == OP_WRITE ||
	       (operation(command) == OP_OTHER && other(command) == OTHER_WRAL);
}

static void fill(struct rtl8139_eeprom *e, uint16_t value)
{
	for (unsigned int i = 0; i < RTL8139_EEPROM_WORDS; i++)
		e->word[i] = value;
}

/* CS has fallen behind @command, and @data if it takes any. */
static void carry_out(struct rtl8139_eeprom *e, uint32_t command, uint16_t data)
{
	uint16_t *word = &e->word[command % RTL8139_EEPROM_WORDS];

	if (operation(command) == OP_OTHER &&
	    (other(command) == OTHER_EWEN || other(command) == OTHER_EWDS)) {
		e->writable = other(command) == OTHER_EWEN;
		return;
	}
	if (!e->writable)
		return;
	switch (operation(command)) {
	case OP_WRITE:
		*word = data;
		break;
	case OP_ERASE:
		*word = 0xffff;
		break;
	case OP_OTHER:
		fill(e, other(command) == OTHER_WRAL ? data : 0xffff);
		break;
	}
}

static void end_command(struct rtl8139_eeprom *e)
{
	if (e->bits == COMMAND_BITS && !is_write(e->in))
		carry_out(e, e->in, 0);
	else if (e->bits == WRITE_BITS && is_write(e->in >> 16))
		carry_out(e, e->in >> 16, (uint16_t)e->in);
	e->bits = 0;
	e->in = 0;
	e->to_read = 0;
	e->out = true; /* ready, as far as a driver asks for it */
}

static void shift_out(struct rtl8139_eeprom *e)
{
	e->out = e->word[e->in % RTL8139_EEPROM_WORDS] >> --e->to_read & 1;
	if (!e->to_read) {
		e->in = (e->in & ~(RTL8139_EEPROM_WORDS - 1)) |
			((e->in + 1) % RTL8139_EEPROM_WORDS);
		e->to_read = 16;
	}
}

static void shift_in(struct rtl8139_eeprom *e, bool di)
{
	if ((!e->bits && !di) || e->bits == WRITE_BITS ||
	    (e->bits == COMMAND_BITS && !is_write(e->in)))
		return; /* before the start bit, or behind the last */
	e->in = e->in << 1 | di;
	e->bits++;
	if (e->bits == COMMAND_BITS && operation(e->in) == OP_READ) {
		e->to_read = 16;
		e->out = false;
	}
}

void rtl8139_eeprom_drive(struct rtl8139_eeprom *e, bool cs, bool sk, bool di)
{
	if (e->cs && !cs)
		end_command(e);
	if (cs && sk && !e->sk) {
		if (e->to_read)
			shift_out(e);
		else
			shift_in(e, di);
	}
	e->cs = cs;
	e->sk = sk;
}
