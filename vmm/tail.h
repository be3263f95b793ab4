/*
 * The last lines of what a guest's kernel says, for when its job ends badly; all of it goes to a log as well, if there
 * is one. Read on the main loop from a pipe that the serial port writes to.
 */
#ifndef VMM_TAIL_H
#define VMM_TAIL_H

#include "vmm/base/loop.h"
#include "vmm/base/sink.h"
#include "vmm/base/util.h"

struct tail;

/*
 * @log: where all of it goes, or NULL; it stays the caller's. @halted(@arg), on the loop's thread, or NULL: the kernel has
 * said that it halts. Its CPUs stand still then, and nothing else tells of that. -errno with a message.
 */
int must_check tail_create(struct tail **out, struct loop *loop, struct sink *log,
			   void (*halted)(void *arg), void *arg);

/* The pipe's other end, which does not block. It stays the tail's. */
int tail_fd(const struct tail *t);

/*
 * Write the last @lines lines to standard error, and before them those that say why the kernel gave up, should they stand
 * further up; without what could upset a terminal. The loop is not running.
 */
void tail_print(struct tail *t, unsigned int lines);

/* Whether the kernel has killed for want of memory. The loop is not running. */
bool tail_ran_out_of_memory(struct tail *t);

/* Safe on NULL. */
void tail_destroy(struct tail *t);

#endif
