/* Small things that client and server share: the clock and the descriptor limit. */
#ifndef BENCH_UTIL_H
#define BENCH_UTIL_H

#include <stdint.h>

/* CLOCK_MONOTONIC in nanoseconds. */
uint64_t util_now_ns(void);

/* Raise the soft limit of open files to the hard one. Returns how many this process may open. */
uint64_t util_raise_file_limit(void);

#endif
