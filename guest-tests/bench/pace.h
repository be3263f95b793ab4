/* Open-loop pacing: when each transaction of a fixed-rate load is meant to be sent. */
#ifndef BENCH_PACE_H
#define BENCH_PACE_H

#include <stdint.h>

/*
 * Transaction k of the whole load is meant for start + k / rate. Thread i of n takes k = i, i + n, i + 2n...
 * Each time is computed from k, not from the one before: rounding does not add up and a late sender
 * does not move the times that follow (no coordinated omission).
 */
struct pace {
	uint64_t start; /* ns */
	uint64_t rate;	/* transactions per second of the whole load, at least 1 */
	uint64_t next;	/* k of this thread's next transaction */
	uint64_t step;	/* number of threads */
};

void pace_init(struct pace *p, uint64_t start_ns, uint64_t rate, unsigned int thread,
	       unsigned int threads);

/* The intended time (ns) of this thread's next transaction. */
uint64_t pace_peek(const struct pace *p);

/* The same, and move on to the one after. */
uint64_t pace_take(struct pace *p);

#endif
