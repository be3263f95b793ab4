/* Time since start, from the time-stamp counter. */
#ifndef CLOCK_H
#define CLOCK_H

#include <stdint.h>

/* Finds out how fast the time-stamp counter runs. Call once, first. */
void clock_start(void);

/* Microseconds since clock_start(). */
uint64_t clock_us(void);

/* Ticks of the time-stamp counter per second. */
uint64_t clock_tsc_hz(void);

/* Busy-waits. */
void clock_wait_us(uint64_t us);

#endif
