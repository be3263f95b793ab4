/* Which thread runs on which CPUs of the host: --pin vcpu0=1,net0=2-3,5,disk0=0. */
#ifndef VMM_PIN_H
#define VMM_PIN_H

#include <sched.h>
#include <stdbool.h>

#include "vmm/base/thread.h"
#include "vmm/base/util.h"

#define PIN_MAX 64u /* as the option says */

struct pin {
	char name[16]; /* of a thread, or without its number: of all of that kind */
	cpu_set_t cpus;
	bool used;
};

struct pins {
	unsigned int nr;
	struct pin pin[PIN_MAX];
	char seen[512]; /* names of threads, for a message */

	/* Of every thread: its CPUs, then what @behind does. */
	struct thread_guard guard;
	const struct thread_guard *behind;
};

/* Add what @text says to the struct pins at @at, as an option's parser does; of a thread the last word counts. -EINVAL. */
int pin_parse(void *at, const char *text);

/* The calling thread is named @name: put it where it is to be. -errno with a message. */
int must_check pin_thread(struct pins *pins, const char *name);

/* Have @pins->guard put threads, and then @behind do its part. */
void pin_guard(struct pins *pins, const struct thread_guard *behind);

/*
 * All other threads have been put: put the first one, "main", which they would have followed. -EINVAL, with a message,
 * if one was named that is not there.
 */
int must_check pin_main(struct pins *pins);

#endif
