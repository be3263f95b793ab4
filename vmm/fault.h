/*
 * The end by a fault: a system call that the sandbox forbids (SIGSYS), a bug of ours (SIGSEGV and its like), abort().
 *
 * Whoever has something of the user's in hands that must not stay as it is (a terminal) or wants a last word said
 * (the accounts) leaves a hook. It is called in a signal handler, on any thread, behind that thread's filter: it
 * does what signal-safety(7) allows, and only with calls that vmm/seccomp.c has for all kinds of thread.
 */
#ifndef VMM_FAULT_H
#define VMM_FAULT_H

#include <signal.h>

/* @status: how the process ends; FAULT_NO_FILES: somehow, and a file must not be touched, as it may not answer. */
#define FAULT_NO_FILES (-1)
typedef void fault_hook(void *arg, int status);

/* There is room for a few; one more is not called. Removed by its @arg. */
void fault_hook_add(fault_hook *hook, void *arg);
void fault_hook_remove(void *arg);

/* Calls the hooks, each once; also where it is no fault that ends the process at once. */
void fault_put_back(int status);

/* The signals to catch, ended by 0: with SA_SIGINFO, SA_RESETHAND and SA_ONSTACK, and none of them blocked. */
extern const int fault_signals[];

/*
 * For the handler: calls the hooks and says in one line what happened. The status to end with at once; or 0, to
 * return and so end by the signal itself, with a core where the user has them.
 */
int fault_handle(const siginfo_t *info, const void *context);

#endif
