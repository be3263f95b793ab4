/* Bytes that can be checked wherever a stream is cut. */
#include <stdlib.h>

#include "guest-tests/bench/pattern.h"

char *pattern_new(size_t run)
{
	char *pattern = malloc(run + PATTERN_PERIOD);
	uint32_t x = 2463534242; /* xorshift32 from any state but 0 */

	for (size_t i = 0; pattern && i < run + PATTERN_PERIOD; i++) {
		x ^= x << 13;
		x ^= x >> 17;
		x ^= x << 5;
		pattern[i] = i < PATTERN_PERIOD ? (char)x : pattern[i - PATTERN_PERIOD];
	}
	return pattern;
}
