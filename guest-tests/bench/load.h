/* The client's load: worker threads that keep connections busy and measure them. */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include <stdatomic.h>

#include "guest-tests/bench/load_result.h"
#include "guest-tests/bench/opts.h"

/*
 * Run the load that @o describes, until its time is over or *@stop becomes non-zero; then let what is in
 * flight finish, for at most two seconds. Return 0, or -errno after one clear line on stderr when
 * the load could not be set up. Failures of single transactions are results, not errors.
 */
int load_run(const struct client_opts *o, const atomic_int *stop, struct load_result *r);

/* Name of a place in failure[]: "ECONNREFUSED", "EOF" (closed early), "NOCLOSE" (server never closed). */
const char *load_failure_name(unsigned int place);

#endif
