/*
 * What a parent may have left is put right before any test, where it can be (parent.c); what cannot be is asked for here.
 */
#ifndef VMM_BASE_TEST_PARENT_H
#define VMM_BASE_TEST_PARENT_H

#include <stddef.h>

/* Skips the running test, and says so, where this process may have fewer. */
void need_descriptors(unsigned int n);

/* Where it may not reserve so much. */
void need_memory(size_t bytes);

/* Where there is no /proc; for what minivmm can know, or a test see, by that alone. */
void need_proc(void);

#endif
