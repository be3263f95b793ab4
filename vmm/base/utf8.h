/*
 * Characters in text from anywhere (RFC 3629).
 */
#ifndef VMM_BASE_UTF8_H
#define VMM_BASE_UTF8_H

#include <stddef.h>
#include <stdint.h>

/* The length of the character at @s, and in *@c which it is; 0: there is none, in the first of @len bytes or in all. */
size_t utf8_decode(const uint8_t *s, size_t len, uint32_t *c);

#endif
