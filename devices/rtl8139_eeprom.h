/*
 * A 93C46: 64 words of EEPROM behind three wires (chip select, clock, data in) and one back (data out).
 *
 * While CS is high, each rising edge of SK takes a bit from DI: a start bit (1), two of the operation, six of an address
 * (READ 10, WRITE 01, ERASE 11; 00 with the address' upper bits: EWDS 00, WRAL 01, ERAL 10, EWEN 11), then 16 of data
 * where one is written. READ gives a 0, then the word, highest bit first, and goes on with the next word.
 * What is written is done once CS falls, and only after EWEN.
 */
#ifndef DEVICES_RTL8139_EEPROM_H
#define DEVICES_RTL8139_EEPROM_H

#include <stdbool.h>
#include <stdint.h>

#define RTL8139_EEPROM_WORDS 64u

struct rtl8139_eeprom {
	uint16_t word[RTL8139_EEPROM_WORDS];
	bool cs, sk, out;
	bool writable;	      /* after EWEN */
	unsigned int bits;    /* taken since the start bit, with it */
	uint32_t in;	      /* these bits */
	unsigned int to_read; /* bits of the word at the address still to be given */
};

/* Drive the three wires. */
void rtl8139_eeprom_drive(struct rtl8139_eeprom *e, bool cs, bool sk, bool di);

#endif
