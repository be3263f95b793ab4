/* What client and server share: the descriptor limit. */
#ifndef BENCH_UTIL_H
#define BENCH_UTIL_H

#include <stdint.h>

/* Raise the soft limit of open files to the hard one. Returns how many this process may open. */
uint64_t util_raise_file_limit(void);

#endif
