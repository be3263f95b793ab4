/* The words of the kernel command line. */
#include "guest-tests/guests/paired/cmdline.h"
#include "guest-tests/guests/paired/lib.h"

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

const char *cmdline_find(const char *cmdline, const char *key, unsigned nth, size_t *length)
{
	size_t key_length = strlen(key);

	while (*cmdline != '\0') {
		size_t word = 0;

		while (cmdline[word] != '\0' && !is_space(cmdline[word]))
			word++;
		if (word >= key_length && memcmp(cmdline, key, key_length) == 0 && nth-- == 0) {
			*length = word - key_length;
			return cmdline + key_length;
		}
		cmdline += word;
		while (is_space(*cmdline))
			cmdline++;
	}
	return NULL;
}

bool cmdline_is(const char *cmdline, const char *key, const char *value)
{
	size_t length;
	const char *found = cmdline_find(cmdline, key, 0, &length);

	return found != NULL && length == strlen(value) && memcmp(found, value, length) == 0;
}

static unsigned digit_value(char c)
{
	if (c >= '0' && c <= '9')
		return (unsigned)(c - '0');
	if (c >= 'a' && c <= 'f')
		return (unsigned)(c - 'a' + 10);
	if (c >= 'A' && c <= 'F')
		return (unsigned)(c - 'A' + 10);
	return 16;
}

bool cmdline_number(const char **text, const char *end, uint64_t *value)
{
	const char *at = *text;
	unsigned base = 10, shift = 0;
	bool any = false;

	if (end - at > 2 && at[0] == '0' && (at[1] == 'x' || at[1] == 'X')) {
		base = 16;
		at += 2;
	}
	*value = 0;
	for (; at < end && digit_value(*at) < base; at++, any = true)
		if (__builtin_mul_overflow(*value, base, value) ||
		    __builtin_add_overflow(*value, digit_value(*at), value))
			return false;
	if (at < end) {
		if (*at == 'K' || *at == 'k')
			shift = 10;
		else if (*at == 'M' || *at == 'm')
			shift = 20;
		else if (*at == 'G' || *at == 'g')
			shift = 30;
		if (shift != 0)
			at++;
	}
	if (!any || *value << shift >> shift != *value)
		return false;
	*value <<= shift;
	*text = at;
	return true;
}

bool cmdline_address(const char *text, size_t length, uint32_t *address)
{
	const char *end = text + length;

	*address = 0;
	for (int i = 0; i < 4; i++) {
		uint64_t part;

		if (i > 0 && (text == end || *text++ != '.'))
			return false;
		if (!cmdline_number(&text, end, &part) || part > 255)
			return false;
		*address = *address << 8 | (uint32_t)part;
	}
	return text == end || *text == '/';
}

bool cmdline_virtio_mmio(const char *text, size_t length, uint64_t *size, uint64_t *base,
			 uint32_t *irq)
{
	const char *end = text + length;
	uint64_t number;

	if (!cmdline_number(&text, end, size) || text == end || *text++ != '@')
		return false;
	if (!cmdline_number(&text, end, base) || text == end || *text++ != ':')
		return false;
	if (!cmdline_number(&text, end, &number) || number > 255)
		return false;
	*irq = (uint32_t)number;
	return text == end || *text == ':';
}
