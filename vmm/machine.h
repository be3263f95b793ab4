/*
 * The machine: everything between a configuration and an exit status.
 */
#ifndef VMM_MACHINE_H
#define VMM_MACHINE_H

#include <stdint.h>

#include "vmm/config.h"

enum {
	STATUS_ENDED = 0,	/* the guest powered off or reset */
	STATUS_GUEST_MAX = 123, /* the guest reported 1 to 123 */
	STATUS_TIMEOUT = 124,
	STATUS_CANNOT = 125, /* minivmm could not do what was asked */
	STATUS_CRASHED = 126,
	STATUS_SIGNAL = 128, /* plus the signal's number */
};

/* The options of every kind of device that a machine can have, NULL at the end. */
const struct option_group *const *machine_devices(void);

/*
 * Build the machine that @config describes, run it to its end, take it down. Returns the exit status;
 * every failure has been reported. @start_ns is when the process began.
 */
int machine_run(const struct config *config, uint64_t start_ns);

#endif
