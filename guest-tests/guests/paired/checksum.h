/* The Internet checksum (RFC 1071). */
#ifndef CHECKSUM_H
#define CHECKSUM_H

#include <stdint.h>

/*
 * Adds data to a running sum, starting at an even offset; any order of even-sized pieces gives the
 * same.
 */
uint64_t checksum_add(uint64_t sum, const void *data, uint32_t length);

/* The sum of the TCP and UDP pseudo header; addresses in host order. */
uint64_t checksum_pseudo(uint32_t from, uint32_t to, uint8_t protocol, uint32_t length);

/* Folds a sum to 16 bits, to be stored as it lies in memory; not inverted. */
uint16_t checksum_fold(uint64_t sum);

#endif
