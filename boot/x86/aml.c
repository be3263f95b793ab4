/* A small writer of ACPI tables and of AML. */
#include <string.h>

#include "boot/x86/aml.h"

/* ACPI 6.4, 20.2 and 20.3: encodings and opcodes */
enum {
	OP_ZERO = 0x00,
	OP_ONE = 0x01,
	OP_NAME = 0x08,
	OP_BYTE = 0x0a,
	OP_WORD = 0x0b,
	OP_DWORD = 0x0c,
	OP_STRING = 0x0d,
	OP_SCOPE = 0x10,
	OP_BUFFER = 0x11,
	OP_PACKAGE = 0x12,
	OP_EXT = 0x5b,
	OP_EXT_DEVICE = 0x82,
};

#define PKG_LENGTH_BYTES 3 /* always: up to 1 MiB */

void aml_patch(struct aml *a, size_t at, const void *src, size_t len)
{
	if (at <= a->size && len <= a->size - at)
		memcpy(a->buf + at, src, len);
}

void aml_bytes(struct aml *a, const void *src, size_t len)
{
	aml_patch(a, a->len, src, len);
	a->len += len;
}

static void byte(struct aml *a, unsigned int value)
{
	const uint8_t b = (uint8_t)value;

	aml_bytes(a, &b, 1);
}

static void word(struct aml *a, unsigned int value)
{
	const uint16_t w = (uint16_t)value;

	aml_bytes(a, &w, 2);
}

static void dword(struct aml *a, uint32_t value)
{
	aml_bytes(a, &value, 4);
}

/* The length counts from its own first byte to the end of the term; it is filled in on closing. */
static size_t open_length(struct aml *a)
{
	const size_t mark = a->len;

	aml_bytes(a, (uint8_t[PKG_LENGTH_BYTES]){ 0 }, PKG_LENGTH_BYTES);
	return mark;
}

void aml_close(struct aml *a, size_t mark)
{
	const size_t len = a->len - mark;
	const uint8_t b[PKG_LENGTH_BYTES] = {
		(uint8_t)((PKG_LENGTH_BYTES - 1) << 6 | (len & 0xf)),
		(uint8_t)(len >> 4),
		(uint8_t)(len >> 12),
	};

	aml_patch(a, mark, b, sizeof(b));
}

static void name_string(struct aml *a, const char *name)
{
	aml_bytes(a, name, strlen(name));
}

size_t aml_open_scope(struct aml *a, const char *name)
{
	size_t mark;

	byte(a, OP_SCOPE);
	mark = open_length(a);
	name_string(a, name);
	return mark;
}

size_t aml_open_device(struct aml *a, const char *name)
{
	size_t mark;

	byte(a, OP_EXT);
	byte(a, OP_EXT_DEVICE);
	mark = open_length(a);
	name_string(a, name);
	return mark;
}

size_t aml_open_package(struct aml *a, uint8_t nr_elements)
{
	size_t mark;

	byte(a, OP_PACKAGE);
	mark = open_length(a);
	byte(a, nr_elements);
	return mark;
}

void aml_name(struct aml *a, const char *name)
{
	byte(a, OP_NAME);
	name_string(a, name);
}

void aml_integer(struct aml *a, uint32_t value)
{
	if (value <= 1) {
		byte(a, value ? OP_ONE : OP_ZERO);
	} else if (value <= 0xff) {
		byte(a, OP_BYTE);
		byte(a, value);
	} else if (value <= 0xffff) {
		byte(a, OP_WORD);
		word(a, value);
	} else {
		byte(a, OP_DWORD);
		dword(a, value);
	}
}

void aml_string(struct aml *a, const char *s)
{
	byte(a, OP_STRING);
	aml_bytes(a, s, strlen(s) + 1);
}

static unsigned int hex_digit(char c)
{
	return (unsigned int)(c <= '9' ? c - '0' : c - 'A' + 10);
}

/* Three letters of five bits and four hexadecimal digits, most significant byte first (19.3.4). */
void aml_eisa_id(struct aml *a, const char *id)
{
	byte(a, OP_DWORD);
	byte(a, (id[0] - 0x40u) << 2 | (id[1] - 0x40u) >> 3);
	byte(a, (id[1] - 0x40u) << 5 | (id[2] - 0x40u));
	byte(a, hex_digit(id[3]) << 4 | hex_digit(id[4]));
	byte(a, hex_digit(id[5]) << 4 | hex_digit(id[6]));
}

/* A buffer: its own size follows the length, always as a word. */
#define BUFFER_HEAD (PKG_LENGTH_BYTES + 3)

size_t aml_open_resources(struct aml *a)
{
	size_t mark;

	aml_name(a, "_CRS");
	byte(a, OP_BUFFER);
	mark = open_length(a);
	byte(a, OP_WORD);
	word(a, 0);
	return mark;
}

void aml_close_resources(struct aml *a, size_t mark)
{
	uint16_t size;

	byte(a, 0x79); /* end tag (6.4.2.9); checksum 0: none */
	byte(a, 0);
	size = (uint16_t)(a->len - mark - BUFFER_HEAD);
	aml_patch(a, mark + PKG_LENGTH_BYTES + 1, &size, sizeof(size));
	aml_close(a, mark);
}

/* 6.4.2.5 */
void aml_io(struct aml *a, uint16_t base, uint8_t len)
{
	byte(a, 0x47);
	byte(a, 1); /* decodes 16 bits */
	word(a, base);
	word(a, base);
	byte(a, 1); /* alignment */
	byte(a, len);
}

/* 6.4.3.4 */
void aml_memory32(struct aml *a, uint32_t base, uint32_t len)
{
	byte(a, 0x86);
	word(a, 9);
	byte(a, 1); /* writable */
	dword(a, base);
	dword(a, len);
}

/* 6.4.3.6 */
void aml_interrupt(struct aml *a, uint32_t gsi)
{
	byte(a, 0x89);
	word(a, 6);
	byte(a, 0x03); /* consumer, edge, active high, exclusive */
	byte(a, 1);
	dword(a, gsi);
}

/* 6.4.3.5.2 and 6.4.3.5.3: resource types and their flags */
enum {
	WINDOW_MEMORY = 0,
	WINDOW_IO = 1,
	WINDOW_BUS = 2,
	WINDOW_FIXED = 0x0c, /* producer, positive decode, least and greatest address fixed */
	MEMORY_WRITABLE = 0x01,
	IO_ENTIRE_RANGE = 0x03,
};

static void word_window(struct aml *a, unsigned int type, unsigned int flags, uint16_t first,
			uint16_t len)
{
	byte(a, 0x88);
	word(a, 13);
	byte(a, type);
	byte(a, WINDOW_FIXED);
	byte(a, flags);
	word(a, 0); /* granularity */
	word(a, first);
	word(a, first + len - 1u);
	word(a, 0); /* translation */
	word(a, len);
}

void aml_window_bus(struct aml *a, uint16_t first, uint16_t len)
{
	word_window(a, WINDOW_BUS, 0, first, len);
}

void aml_window_io(struct aml *a, uint16_t first, uint16_t len)
{
	word_window(a, WINDOW_IO, IO_ENTIRE_RANGE, first, len);
}

void aml_window_memory(struct aml *a, uint32_t first, uint32_t len)
{
	byte(a, 0x87);
	word(a, 23);
	byte(a, WINDOW_MEMORY);
	byte(a, WINDOW_FIXED);
	byte(a, MEMORY_WRITABLE);
	dword(a, 0);
	dword(a, first);
	dword(a, first + len - 1);
	dword(a, 0);
	dword(a, len);
}
