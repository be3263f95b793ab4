/*
 * console.c - a 16550 serial port at 0x3f8, written to and never waited for long.
 */
#include <stdarg.h>

#include "console.h"
#include "cpu.h"
#include "lib.h"

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
		/* Asked once per FIFO, since each look costs an exit; a port that never drains is not waited for. */
		if (i % SERIAL_FIFO_SIZE == 0)
			for (int tries = 0; tries < 10000; tries++)
				if (cpu_in8(SERIAL_LSR) & SERIAL_THR_EMPTY)
					break;
		cpu_out8(SERIAL, (uint8_t)text[i]);
	}
}

static char *put_number(char *end, uint64_t value, unsigned base)
{
	do {
		*--end = "0123456789abcdef"[value % base];
		value /= base;
	} while (value != 0);
	return end;
}

static uint32_t format_text(char *to, uint32_t size, const char *format, va_list args)
{
	char digits[24];
	uint32_t used = 0;

	for (; *format != '\0'; format++) {
		const char *text = format;
		size_t length = 1;

		if (*format == '%') {
			bool is_long = *++format == 'l';

			if (is_long)
				format++;
			if (*format == 's') {
				text = va_arg(args, const char *);
				length = strlen(text);
			} else {
				uint64_t value =
					is_long ? va_arg(args, uint64_t) : va_arg(args, uint32_t);
				char *end = digits + sizeof(digits);

				text = put_number(end, value, *format == 'x' ? 16 : 10);
				length = (size_t)(end - text);
			}
		}
		for (; length > 0 && used < size; length--)
			to[used++] = *text++;
	}
	return used;
}

uint32_t console_format(char *text, uint32_t size, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	uint32_t used = format_text(text, size, format, args);

	va_end(args);
	return used;
}

void console_print(const char *format, ...)
{
	char line[256];
	va_list args;

	va_start(args, format);
	uint32_t used = format_text(line, sizeof(line), format, args);

	va_end(args);
	console_write(line, used);
}
