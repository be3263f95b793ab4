/* Text on the serial port. */
#ifndef CONSOLE_H
#define CONSOLE_H

#include <stdint.h>

/* Formats %s, %u (unsigned), %x, %lu and %lx; nothing else, no widths. */
void console_print(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The same into memory; returns the length, which is size if it was cut. No zero is added. */
uint32_t console_format(char *text, uint32_t size, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void console_write(const char *text, uint32_t length);

#endif
