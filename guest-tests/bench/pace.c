/* Open-loop pacing: when each transaction of a fixed-rate load is meant to be sent. */
#include "guest-tests/bench/pace.h"

void pace_init(struct pace *p, uint64_t start_ns, uint64_t rate, unsigned int thread,
	       unsigned int threads)
{
	p->start = start_ns;
	p->rate = rate;
	p->next = thread;
	p->step = threads;
}

uint64_t pace_peek(const struct pace *p)
{
	return p->start + (uint64_t)((unsigned __int128)p->next * 1000000000u / p->rate);
}

uint64_t pace_take(struct pace *p)
{
	uint64_t at = pace_peek(p);

	p->next += p->step;
	return at;
}
