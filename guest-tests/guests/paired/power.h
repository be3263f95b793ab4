/* How the machine ends. */
#ifndef POWER_H
#define POWER_H

/*
 * Ends the machine with a status. 0 powers it off. Another one is written to port 0xf4, which ends
 * minivmm with it (and QEMU's isa-debug-exit with 2 * status + 1); where nothing listens there, the
 * machine is powered off as well.
 */
_Noreturn void power_off(unsigned status);

/* Resets the machine the hard way, by a triple fault. */
_Noreturn void power_crash(void);

#endif
