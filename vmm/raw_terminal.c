/* A terminal whose keys are all ours. */
#include "vmm/raw_terminal.h"

#include <unistd.h>

#include "vmm/base/log.h"

bool raw_terminal_in_foreground(const struct raw_terminal *t)
{
	return tcgetpgrp(t->fd) == t->group;
}

void raw_terminal_set(struct raw_terminal *t, bool raw)
{
	if (!t->taken)
		return;
	if (raw_terminal_in_foreground(t))
		tcsetattr(t->fd, TCSANOW, raw ? &t->raw : &t->saved);
	else if (raw)
		return;
	log_set_raw_terminal(raw);
}

void raw_terminal_take(struct raw_terminal *t, int fd, tcflag_t output)
{
	if (tcgetattr(fd, &t->saved) < 0)
		return;
	t->raw = t->saved;
	cfmakeraw(&t->raw);
	t->raw.c_oflag |= output;
	t->fd = fd;
	t->group = getpgrp();
	t->taken = true;
	raw_terminal_set(t, true);
}
