/*
 * Signals: every one that would end the process ends the machine in good order, with 128 + its number,
 * the accounts written and the terminal put back.
 *
 * They are blocked in every thread and arrive in the main loop only. What the parent has us ignore
 * (nohup: SIGHUP; a background job of a plain shell: SIGINT and SIGQUIT) stays ignored. A fault of our
 * own (SIGSEGV and its like) still ends the process at once: the kernel heeds no mask there. SIGUSR1 has
 * the accounts written; SIGTSTP puts the terminal back first, SIGCONT takes it again.
 */
#ifndef VMM_SIGNALS_H
#define VMM_SIGNALS_H

#include <signal.h>

/* Block them in this thread and those that it makes, and say which they are: for a signalfd. */
void signals_block(sigset_t *set);

/* What SIGTSTP does where it is not caught; returns when the process goes on. */
void signals_stop_here(void);

#endif
