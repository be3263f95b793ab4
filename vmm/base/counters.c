/* The list of counter groups. */
#include "vmm/base/counters.h"

static struct counter_group *first, **last = &first;

void counters_register(struct counter_group *group)
{
	group->next = NULL;
	*last = group;
	last = &group->next;
}

void counters_unregister(struct counter_group *group)
{
	struct counter_group **at = &first;

	while (*at && *at != group)
		at = &(*at)->next;
	if (!*at)
		return;
	*at = group->next;
	if (last == &group->next)
		last = at;
}

struct counter_group *counters_first(void)
{
	return first;
}
