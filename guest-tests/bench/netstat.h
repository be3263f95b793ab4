/* The kernel's own TCP counters of this network namespace, and what they grew by in a run. */
#ifndef BENCH_NETSTAT_H
#define BENCH_NETSTAT_H

#include <stdint.h>

enum { NETSTAT_RETRANS_SEGS, NETSTAT_LISTEN_OVERFLOWS, NETSTAT_LISTEN_DROPS, NETSTAT_COUNT };

/* Names as the kernel writes them: RetransSegs, ListenOverflows, ListenDrops. */
extern const char *const netstat_names[NETSTAT_COUNT];

/* One reading; -1 where the kernel has no such counter or /proc is not there. */
struct netstat {
	int64_t value[NETSTAT_COUNT];
};

/* Read the files snmp and netstat below @dir (normally "/proc/net"). Never fails: see struct netstat. */
void netstat_read(const char *dir, struct netstat *now);

/* What grew between two readings; -1 where either lacks the counter. */
struct netstat netstat_delta(const struct netstat *before, const struct netstat *after);

#endif
