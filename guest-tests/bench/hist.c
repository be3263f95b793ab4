/* Latency histogram: logarithmic buckets with a stated, bounded error. */
#include <math.h>

#include "guest-tests/bench/hist.h"

static unsigned int bucket_of(uint64_t ns)
{
	unsigned int octave;

	if (ns >> HIST_TOP_BITS)
		return HIST_BUCKETS - 1;
	if (ns < 1u << HIST_SUB_BITS)
		return (unsigned int)ns;
	octave = 63u - (unsigned int)__builtin_clzll(ns) - HIST_SUB_BITS;
	return (octave << HIST_SUB_BITS) + (unsigned int)(ns >> octave);
}

static uint64_t upper_edge(unsigned int bucket)
{
	unsigned int octave = bucket >> HIST_SUB_BITS;

	if (octave == 0)
		return bucket;
	octave--;
	return (((uint64_t)bucket - ((uint64_t)octave << HIST_SUB_BITS) + 1) << octave) - 1;
}

void hist_add(struct hist *h, uint64_t ns)
{
	h->bucket[bucket_of(ns)]++;
	h->count++;
	h->sum += (double)ns;
	if (ns > h->max)
		h->max = ns;
}

void hist_merge(struct hist *into, const struct hist *from)
{
	for (unsigned int i = 0; i < HIST_BUCKETS; i++)
		into->bucket[i] += from->bucket[i];
	into->count += from->count;
	into->sum += from->sum;
	if (from->max > into->max)
		into->max = from->max;
}

uint64_t hist_percentile(const struct hist *h, double percent)
{
	uint64_t wanted = (uint64_t)ceil((double)h->count * percent / 100.0);
	uint64_t seen = 0;

	if (wanted >= h->count)
		return h->max;
	if (wanted == 0)
		wanted = 1;
	for (unsigned int i = 0; i < HIST_BUCKETS - 1; i++) {
		seen += h->bucket[i];
		if (seen >= wanted)
			return upper_edge(i) < h->max ? upper_edge(i) : h->max;
	}
	return h->max;
}

double hist_mean(const struct hist *h)
{
	return h->count ? h->sum / (double)h->count : 0.0;
}
