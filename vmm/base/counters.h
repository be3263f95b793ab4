/*
 * Counters: each module owns a plain struct of uint64_t and names its fields in one table; the
 * machine has a list of these, which stats.c writes out.
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

/* What a module counts, in the struct that counts it. */
struct counter_group {
	void (*refresh)(struct counter_group *group); /* called before values are read; or NULL */

	/* Set by counters_add(). */
	char name[32]; /* "net0.rx": '.' nests */
	const struct counter_desc *desc;
	const void *base;
	struct counters *of;
	struct counter_group *next;
};

/* All groups of a machine, in the order in which they were added; {} has none. */
struct counters {
	struct counter_group *first;
};

/*
 * Add what the table @desc, ended by a NULL name, says of the struct at @base. Before the vCPUs run, and after all threads
 * have ended; the group stays where it is meanwhile.
 */
void counters_add(struct counters *counters, struct counter_group *group,
		  const struct counter_desc *desc, const void *base, const char *name, ...)
	__attribute__((format(printf, 5, 6)));

/* Safe on a group that was never added, or was removed already. */
void counters_remove(struct counter_group *group);

#endif
