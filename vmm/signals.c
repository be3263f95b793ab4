/* Which signals end the machine. */
#include "vmm/signals.h"

#include <stdbool.h>

static bool is_ours(int signal)
{
	struct sigaction inherited;

	switch (signal) {
	case SIGCHLD: /* these do nothing by themselves; SIGURG asks a vCPU to stop */
	case SIGURG:
	case SIGWINCH:
	case SIGTTIN: /* a background job is stopped, as any other */
	case SIGTTOU:
	case SIGSYS: /* the sandbox's */
		return false;
	default:
		return !sigaction(signal, NULL, &inherited) && inherited.sa_handler != SIG_IGN;
	}
}

void signals_block(sigset_t *set)
{
	sigemptyset(set);
	for (int signal = 1; signal <= SIGRTMAX; signal++)
		if (is_ours(signal))
			sigaddset(set, signal);
	pthread_sigmask(SIG_BLOCK, set, NULL);
}

void signals_stop_here(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTSTP);
	raise(SIGTSTP);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
}
