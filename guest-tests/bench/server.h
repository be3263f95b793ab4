/* crr's server: crr, rr (TCP and UDP), discard, chargen and verify, each on a port of its own. */
#ifndef BENCH_SERVER_H
#define BENCH_SERVER_H

#include <stdatomic.h>
#include <stdint.h>

#include "guest-tests/bench/opts.h"

struct server_result {
	uint64_t accepted;
	uint64_t requests;	      /* answered, TCP and UDP */
	uint64_t bytes_in, bytes_out; /* payload */
	uint64_t errors; /* connections that ended other than by the peer's close or our own */
	uint64_t accept_errors; /* accept() failed: mostly no descriptors left */
};

/*
 * Open all ports, print one line "crr: serving ..." on stdout, serve until *@stop becomes non-zero.
 * Return 0, or -errno after one clear line on stderr.
 */
int server_run(const struct server_opts *o, const atomic_int *stop, struct server_result *r);

#endif
