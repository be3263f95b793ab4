/*
 * Signals: every one that would end the process ends the machine in good order, with 128 + its number,
 * the accounts written and the terminal put back.
 *
 * They are blocked in every thread and arrive in the main loop only. What the parent has us ignore
 * (nohup: SIGHUP; a background job of a plain shell: SIGINT and SIGQUIT) stays ignored. Those that mean a
 * fault of our own (fault.h) cannot be blocked, as the kernel would then end the process before the
 * terminal is put back: where another process has sent one, its handler passes it on. SIGUSR1 has
 * the accounts written; SIGTSTP puts the terminal back first, SIGCONT takes it again.
 */
#ifndef VMM_SIGNALS_H
#define VMM_SIGNALS_H

#include <signal.h>

#include "vmm/base/loop.h"

struct signals {
	sigset_t set;
	struct loop *loop;
	struct loop_watch blocked,
		sent; /* a signalfd, and an eventfd that takes what a handler passes on */
	void (*arrived)(void *arg, int signo);
	void *arg;
};

/* Block them in this thread and those that it makes. */
void signals_block(struct signals *signals);

/* From now on @arrived is called for each, on @loop's thread. -errno with a message. */
int must_check signals_watch(struct signals *signals, struct loop *loop,
			     void (*arrived)(void *arg, int signo), void *arg);

/* Safe on one that was blocked only. */
void signals_close(struct signals *signals);

/* In a handler of one of fault_signals: true if it was sent, and is passed on where somebody watches. */
bool signals_pass_on(const siginfo_t *info);

/* What SIGTSTP does where it is not caught; returns when the process goes on. */
void signals_stop_here(void);

#endif
