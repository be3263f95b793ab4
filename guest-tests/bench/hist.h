/* Latency histogram: logarithmic buckets with a stated, bounded error. */
#ifndef BENCH_HIST_H
#define BENCH_HIST_H

#include <stdint.h>

/*
 * Values are nanoseconds. Below 2^(HIST_SUB_BITS + 1) every value has its own bucket; above that each
 * octave is cut into 2^HIST_SUB_BITS buckets, so a value is never off by more than HIST_ERROR of itself.
 * Values from 2^HIST_TOP_BITS (18 minutes) on are counted in the last bucket; the largest is kept exactly.
 */
#define HIST_SUB_BITS 7
#define HIST_TOP_BITS 40
#define HIST_BUCKETS  ((HIST_TOP_BITS - HIST_SUB_BITS + 1) << HIST_SUB_BITS)
#define HIST_ERROR    (1.0 / (1 << HIST_SUB_BITS))

struct hist {
	uint64_t count;
	uint64_t max;
	double sum;
	uint64_t bucket[HIST_BUCKETS];
};

/* Count one value. A zeroed struct hist is an empty histogram. */
void hist_add(struct hist *h, uint64_t ns);

/* Add everything counted in @from to @into. */
void hist_merge(struct hist *into, const struct hist *from);

/*
 * The value that @percent (0..100) of all counted values do not exceed. It is the upper edge of its
 * bucket, at most HIST_ERROR too high and never too low; 0 when nothing was counted.
 */
uint64_t hist_percentile(const struct hist *h, double percent);

/* Arithmetic mean, exact; 0 when nothing was counted. */
double hist_mean(const struct hist *h);

#endif
