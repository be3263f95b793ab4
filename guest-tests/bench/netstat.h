/* The kernel's own counters of this network namespace, and what they grew by in a run. */
#ifndef BENCH_NETSTAT_H
#define BENCH_NETSTAT_H

#include <netinet/in.h>
#include <stdint.h>

enum {
	NETSTAT_RETRANS_SEGS,
	NETSTAT_LISTEN_OVERFLOWS,
	NETSTAT_LISTEN_DROPS,
	NETSTAT_TX_DROPPED,
	NETSTAT_COUNT
};

/*
 * Names of results: tcp.RetransSegs, tcp.ListenOverflows, tcp.ListenDrops as the kernel has them, and dev.tx_dropped,
 * what the interface has dropped of what was to be sent: a tap whose queue is full.
 */
extern const char *const netstat_names[NETSTAT_COUNT];

/* One reading; -1 where the kernel has no such counter or /proc is not there. */
struct netstat {
	int64_t value[NETSTAT_COUNT];
};

/* Read the files snmp, netstat and dev below @dir (normally "/proc/net"). Never fails: see struct netstat. */
void netstat_read(const char *dir, const char *interface, struct netstat *now);

/* The interface by which @host is reached, in @name of IFNAMSIZ bytes; empty if there is none. */
void netstat_interface(struct in_addr host, char *name);

/* What grew between two readings; -1 where either lacks the counter. */
struct netstat netstat_delta(const struct netstat *before, const struct netstat *after);

#endif
