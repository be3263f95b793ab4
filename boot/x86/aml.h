/*
 * A small writer of ACPI tables and of AML, the byte code in the DSDT (ACPI 6.4, chapters 19.6 and 20).
 *
 * Terms are appended one after the other. A term that holds others is opened, which returns a mark,
 * and closed with it. The buffer may be too small: then nothing is written beyond it, len goes on
 * counting, and the caller looks at it once, at the end.
 */
#ifndef BOOT_X86_AML_H
#define BOOT_X86_AML_H

#include <stddef.h>
#include <stdint.h>

struct aml {
	uint8_t *buf;
	size_t size; /* of buf */
	size_t len;  /* wanted so far; more than size: they did not fit */
};

/* Plain bytes. aml_patch() replaces some that were appended before. */
void aml_bytes(struct aml *a, const void *src, size_t len);
void aml_patch(struct aml *a, size_t at, const void *src, size_t len);

/* Terms that hold others. A name has four characters, after a '\\' for the root. */
size_t aml_open_scope(struct aml *a, const char *name);
size_t aml_open_device(struct aml *a, const char *name);
size_t aml_open_package(struct aml *a, uint8_t nr_elements);
void aml_close(struct aml *a, size_t mark);

/* Name (@name, ...): the value is the term that follows. */
void aml_name(struct aml *a, const char *name);
void aml_integer(struct aml *a, uint32_t value);
void aml_string(struct aml *a, const char *s);
/* An id such as "PNP0501", as a compressed integer. */
void aml_eisa_id(struct aml *a, const char *id);

/* Name (_CRS, ResourceTemplate () { ... }) and the resources in it. */
size_t aml_open_resources(struct aml *a);
void aml_close_resources(struct aml *a, size_t mark);
void aml_io(struct aml *a, uint16_t base, uint8_t len);
void aml_memory32(struct aml *a, uint32_t base, uint32_t len);
void aml_interrupt(struct aml *a, uint32_t gsi); /* edge, active high, exclusive */
/* The windows of a host bridge: [first, first + len) goes on to its bus. */
void aml_window_bus(struct aml *a, uint16_t first, uint16_t len);
void aml_window_io(struct aml *a, uint16_t first, uint16_t len);
void aml_window_memory(struct aml *a, uint32_t first, uint32_t len);

#endif
