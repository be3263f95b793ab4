/*
 * The machine: everything between a configuration and an exit status.
 */
#ifndef VMM_MACHINE_H
#define VMM_MACHINE_H

#include <stdint.h>

#include "vmm/config.h"
#include "vmm/status.h"

/* The options of every kind of device that a machine can have, NULL at the end. */
const struct option_group *const *machine_devices(void);

/*
 * Build the machine that @config describes, run it to its end, take it down. Returns the exit status;
 * every failure has been reported. @start_ns is when the process began. @give_up ends the process, for when a file system
 * of the host does not let it end (watchdog.h).
 */
int machine_run(const struct config *config, uint64_t start_ns, void (*give_up)(int status));

#endif
