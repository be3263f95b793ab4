/*
 * The end of a machine where a file system of the host does not answer: calls on its files then wait for ever, on the
 * threads that are to end the machine, and no deadline of a poll() helps. A thread that touches no file waits for the
 * machine's time to be over, for signals that nobody takes, and for an end that does not come to its end.
 *
 * Every machine has one while it is made, as files are opened then and nobody takes signals; later only those with
 * files that are another's to keep (files.h: remote).
 */
#ifndef VMM_WATCHDOG_H
#define VMM_WATCHDOG_H

#include <signal.h>

#include "vmm/base/thread.h"
#include "vmm/base/util.h"
#include "vmm/config.h"

struct watchdog;

/*
 * Of a machine whose main loop is to take @signals; @give_up ends the process with a status, once the terminals are put
 * back. -errno with a message.
 */
int must_check watchdog_create(struct watchdog **out, const sigset_t *signals,
			       void (*give_up)(int status));

/*
 * The machine is made: where files are @remote it goes on behind @guard, and holds the machine to the time of @config;
 * else it rests. -errno with a message.
 */
int must_check watchdog_settle(struct watchdog *watchdog, bool remote, const struct config *config,
			       const struct thread_guard *guard);

/* The machine is to end with @status. From any thread; safe on NULL. */
void watchdog_end(struct watchdog *w, int status);

/* It has. Safe on NULL. */
void watchdog_destroy(struct watchdog *w);

#endif
