/* The words of the kernel command line. */
#ifndef CMDLINE_H
#define CMDLINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Finds the nth word (from 0) that begins with key, and returns what follows the key up to the next
 * space, with its length; NULL where there is none. The command line is split at spaces, tabs and
 * line ends.
 */
const char *cmdline_find(const char *cmdline, const char *key, unsigned nth, size_t *length);

/*
 * Whether the first word that begins with key goes on with exactly value: cmdline_is(c, "mode=",
 * "irq").
 */
bool cmdline_is(const char *cmdline, const char *key, const char *value);

/*
 * Parses an unsigned number, decimal or 0x hexadecimal, with an optional K, M or G behind it; moves
 * *text behind it. False without a digit, past 64 bits or past the end.
 */
bool cmdline_number(const char **text, const char *end, uint64_t *value);

/* Parses "A.B.C.D" followed by the end or a '/'. The address comes back in host order. */
bool cmdline_address(const char *text, size_t length, uint32_t *address);

/* Parses a virtio_mmio.device= value, SIZE@BASE:IRQ[:ID]. */
bool cmdline_virtio_mmio(const char *text, size_t length, uint64_t *size, uint64_t *base,
			 uint32_t *irq);

#endif
