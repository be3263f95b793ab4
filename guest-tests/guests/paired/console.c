/* Formatting of text. */
#include <stdarg.h>

#include "guest-tests/guests/paired/console.h"
#include "guest-tests/guests/paired/lib.h"

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
