/*
 * Counters: each module owns a plain struct of uint64_t and names its fields in one table; stats.c
 * walks the tables and writes them out.
 *
 * A counter has one writing thread (others may read a slightly old value), so counting is a plain
 * store: no lock, no atomic on the packet path.
 */
#ifndef VMM_BASE_COUNTERS_H
#define VMM_BASE_COUNTERS_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/base/util.h"

struct counter_desc {
	const char *name;
	uint32_t offset; /* of a uint64_t in the counted struct */
	bool is_time;	 /* a time stamp by now_ns(), 0 while it has not come to pass */
};

/* clang-format off */
#define COUNTER(type, field)      { #field, (uint32_t)offsetof(type, field), false }
#define COUNTER_TIME(type, field) { #field, (uint32_t)offsetof(type, field), true }
#define COUNTER_END               { NULL, 0, false }
/* clang-format on */

/* A table ends with a NULL name. Groups are linked in the order in which they were registered. */
struct counter_group {
	const char *name; /* "net0.rx": '.' nests; owned by the registrar */
	const struct counter_desc *desc;
	const void *base;
	void (*refresh)(
		struct counter_group *group); /* called before the values are read; or NULL */
	struct counter_group *next;
};

/* Before the vCPUs run, and after all threads have ended; the group stays where it is meanwhile. */
void counters_register(struct counter_group *group);
void counters_unregister(struct counter_group *group);

/* The first registered group, or NULL. */
struct counter_group *counters_first(void);

#endif
