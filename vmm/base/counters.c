/* The counter groups of a machine. */
#include "vmm/base/counters.h"

#include <stdarg.h>
#include <stdio.h>

void counters_add(struct counters *counters, struct counter_group *group,
		  const struct counter_desc *desc, const void *base, const char *name, ...)
{
	struct counter_group **at = &counters->first;
	va_list ap;

	va_start(ap, name);
	vsnprintf(group->name, sizeof(group->name), name, ap);
	va_end(ap);
	group->desc = desc;
	group->base = base;
	while (*at)
		at = &(*at)->next;
	*at = group;
	group->next = NULL;
	group->of = counters;
}

void counters_remove(struct counter_group *group)
{
	struct counter_group **at = group->of ? &group->of->first : NULL;

	while (at && *at != group)
		at = &(*at)->next;
	if (at)
		*at = group->next;
	group->of = NULL;
}
