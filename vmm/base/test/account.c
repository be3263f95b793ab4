/* What a machine's accounts say. */
#include "vmm/base/test/account.h"

#include <string.h>

#include "vmm/base/test/unit.h"

uint64_t account_of(const struct counters *counters, const char *group, const char *name)
{
	for (struct counter_group *g = counters->first; g; g = g->next) {
		if (strcmp(g->name, group))
			continue;
		if (g->refresh)
			g->refresh(g);
		for (const struct counter_desc *c = g->desc; c->name; c++)
			if (!strcmp(c->name, name))
				return __atomic_load_n(
					(const uint64_t *)((const char *)g->base + c->offset),
					__ATOMIC_RELAXED);
	}
	fail_msg("no counter %s.%s", group, name);
	return 0;
}
