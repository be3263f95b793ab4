/*
 * A terminal whose keys are all ours. In the background it belongs to others, and touching it would stop us: then nothing is
 * done to it.
 */
#ifndef VMM_RAW_TERMINAL_H
#define VMM_RAW_TERMINAL_H

#include <stdbool.h>
#include <termios.h>
#include <sys/types.h>

/* All zero: not taken. */
struct raw_terminal {
	int fd;
	bool taken; /* it is one, and its modes are to be put back */
	pid_t group;
	struct termios saved, raw;
};

/* Make it raw, if @fd is a terminal; but for the flags of output in @output. */
void raw_terminal_take(struct raw_terminal *t, int fd, tcflag_t output);

bool raw_terminal_in_foreground(const struct raw_terminal *t);

/* Put it back as it was, or make it raw again; does nothing to one that is not taken. Also in a signal handler. */
void raw_terminal_set(struct raw_terminal *t, bool raw);

#endif
