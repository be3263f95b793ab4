/* The client's load: worker threads that keep connections busy and measure them. */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include <stdatomic.h>
#include <stdint.h>

#include "guest-tests/bench/hist.h"
#include "guest-tests/bench/opts.h"

/* Failures are counted by errno; these two places hold what has no errno of its own. */
enum { LOAD_EOF = 0, LOAD_NOCLOSE = 134, LOAD_FAILURES = 136 };

struct load_result {
	double seconds;		   /* measured time; 0 when stopped before it began */
	uint64_t transactions;	   /* completed in the measured time */
	uint64_t transactions_all; /* with warm-up and the ones in flight at the end */
	uint64_t bytes, bytes_all; /* of a stream: acknowledged by (or received from) the server */
	uint64_t failure[LOAD_FAILURES]; /* warm-up included */
	uint64_t
		overdue; /* open loop: due but not sent by the end; in the histogram, as late as they were */
	uint64_t
		unfinished; /* sent, but without answer when the grace period after the end was over */
	struct hist latency; /* ns, of transactions in the measured time */
};

/*
 * Run the load that @o describes, until its time is over or *@stop becomes non-zero; then let what is in
 * flight finish, for at most two seconds. Return 0, or -errno after one clear line on stderr when
 * the load could not be set up. Failures of single transactions are results, not errors.
 */
int load_run(const struct client_opts *o, const atomic_int *stop, struct load_result *r);

/* Name of a place in failure[]: "ECONNREFUSED", "EOF" (closed early), "NOCLOSE" (server never closed). */
const char *load_failure_name(unsigned int place);

#endif
