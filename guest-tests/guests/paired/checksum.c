/*
 * The Internet checksum, eight bytes at a time: one's complement sums do not care
 * about word size or byte order (RFC 1071, section 2).
 */
#include "guest-tests/guests/paired/checksum.h"
#include "guest-tests/guests/paired/lib.h"

static uint64_t add(uint64_t sum, uint64_t word)
{
	bool carry = __builtin_add_overflow(sum, word, &sum);

	return sum + carry;
}

uint64_t checksum_add(uint64_t sum, const void *data, uint32_t length)
{
	const uint8_t *at = data;
	uint64_t word;

	for (; length >= 8; at += 8, length -= 8) {
		__builtin_memcpy(&word, at, 8);
		sum = add(sum, word);
	}
	if (length > 0) {
		word = 0;
		for (uint32_t i = 0; i < length; i++)
			word |= (uint64_t)at[i] << (8 * i);
		sum = add(sum, word);
	}
	return sum;
}

uint64_t checksum_pseudo(uint32_t from, uint32_t to, uint8_t protocol, uint32_t length)
{
	uint8_t header[12];

	put_be32(header, from);
	put_be32(header + 4, to);
	header[8] = 0;
	header[9] = protocol;
	put_be16(header + 10, (uint16_t)length);
	return checksum_add(0, header, sizeof(header));
}

uint16_t checksum_fold(uint64_t sum)
{
	sum = (sum & UINT32_MAX) + (sum >> 32);
	sum = (sum & UINT32_MAX) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}
