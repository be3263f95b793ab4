/* Where text goes: a 16550 serial port at 0x3f8, never waited for long. */
#include <stdbool.h>

#include "guest-tests/guests/paired/console.h"
#include "guest-tests/guests/paired/cpu.h"

#define SERIAL		 0x3f8
#define SERIAL_FCR	 (SERIAL + 2)
#define SERIAL_LSR	 (SERIAL + 5)
#define SERIAL_FIFO_ON	 0x01
#define SERIAL_FIFO_SIZE 16
#define SERIAL_THR_EMPTY 0x20

void console_write(const char *text, uint32_t length)
{
	static bool fifo_on;

	if (!fifo_on) {
		cpu_out8(SERIAL_FCR, SERIAL_FIFO_ON);
		fifo_on = true;
	}
	for (uint32_t i = 0; i < length; i++) {
		/*
		 * Asked once per FIFO, since each look costs an exit; a port that never drains is
		 * not waited for.
		 */
		if (i % SERIAL_FIFO_SIZE == 0)
			for (int tries = 0; tries < 10000; tries++)
				if (cpu_in8(SERIAL_LSR) & SERIAL_THR_EMPTY)
					break;
		cpu_out8(SERIAL, (uint8_t)text[i]);
	}
}
