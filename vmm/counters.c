/* The list of counter groups. */
#include "vmm/counters.h"

static struct counter_group *first, **last = &first;

void counters_register(struct counter_group *group)
{
	group->next = NULL;
	*last = group;
	last = &group->next;
}

const struct counter_group *counters_first(void)
{
	return first;
}
