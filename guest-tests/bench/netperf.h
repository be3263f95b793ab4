/* netserver's part in a test: netperf's control connection, seen from the client's side. */
#ifndef BENCH_NETPERF_H
#define BENCH_NETPERF_H

#include <stdbool.h>

#include "guest-tests/bench/load.h"
#include "guest-tests/bench/out.h"

/*
 * Ask the netserver that @o names for a test as @o describes it, and set o->port to where it waits. Returns the
 * control connection, or -1 after one clear line on stderr.
 */
int netperf_begin(struct client_opts *o);

/*
 * The test is over: take netserver's results, add them to @out and close @control. Returns whether they came and
 * agree with @r; if not, after one line on stderr.
 */
bool netperf_end(int control, const struct client_opts *o, const struct load_result *r,
		 struct out *out);

#endif
