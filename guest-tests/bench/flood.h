/* A SYN flood: connections that are begun and never followed up. */
#ifndef BENCH_FLOOD_H
#define BENCH_FLOOD_H

#include "guest-tests/bench/opts.h"

/*
 * Send o->count SYNs to o->host and o->port, each from another address. Needs CAP_NET_RAW. Returns 0, or -errno
 * after one clear line on stderr.
 */
int flood_run(const struct client_opts *o);

#endif
