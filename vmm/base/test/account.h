/* What a machine's accounts say, by name as a user reads them. */
#ifndef VMM_BASE_TEST_ACCOUNT_H
#define VMM_BASE_TEST_ACCOUNT_H

#include "vmm/base/counters.h"

/* The counter @name of the group @group, brought up to date; others may be counting. Fails the test where there is none. */
uint64_t account_of(const struct counters *counters, const char *group, const char *name);

#endif
