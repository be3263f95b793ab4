/* Bytes that can be checked wherever a stream is cut: what clients send and crr's server answers with. */
#ifndef BENCH_PATTERN_H
#define BENCH_PATTERN_H

#include <stddef.h>
#include <stdint.h>

/* Prime, so that nothing a network cuts data to (segments, pages, datagrams) repeats with it. */
#define PATTERN_PERIOD 65521u

/*
 * The pattern, long enough that pattern + offset % PATTERN_PERIOD has @run bytes behind it, which are the
 * stream's from that offset on. NULL without memory; the caller frees it.
 */
char *pattern_new(size_t run);

#endif
