/*
 * Descriptors that the parent left open: those that no option names are closed before the guest runs, so that
 * nothing but what the user gave can be reached from the machine.
 *
 * Not at the start: a path such as /dev/fd/63 names one too, until it has been opened.
 */
#ifndef VMM_INHERITED_H
#define VMM_INHERITED_H

#include "vmm/config.h"

struct inherited {
	unsigned int nr, room;
	int *fd;
};

/* See what is open beyond standard error, before anything else is opened. Without /proc nothing is known to be. */
void inherited_note(struct inherited *in);

/* Close what no descriptor option of @config names. */
void inherited_close(struct inherited *in, const struct config *config);

#endif
