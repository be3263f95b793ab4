/*
 * Further processors. Each runs a kernel of its own, a copy of the first one's with memory, timers, connections and a queue
 * pair of its own, and they share nothing but the devices: so nothing here takes a lock, and what one processor costs is
 * not hidden in what another waits for.
 */
#ifndef SMP_H
#define SMP_H

#include <stdbool.h>
#include <stdint.h>

#define SMP_MAX 256

/* How many processors the machine has, as far as it says. */
uint32_t smp_processors(void);

/*
 * Starts count - 1 further processors, one after the other: each goes on in begin(), which does not return, in a copy of
 * the kernel as it is now. Returns once all have called smp_wait(), or false, with a line, if one does not.
 */
bool smp_start(uint32_t count, void (*begin)(void));

/* On a further processor: ready. Comes back after smp_go() on the first one. */
void smp_wait(void);
void smp_go(void);

#endif
