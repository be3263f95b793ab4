/* What a load came to. */
#ifndef BENCH_LOAD_RESULT_H
#define BENCH_LOAD_RESULT_H

#include <stdint.h>

#include "guest-tests/bench/hist.h"

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

#endif
