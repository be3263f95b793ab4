/*
 * The guest's network stack as part of a program on the host: what stands in for the
 * machine below it.
 */
#ifndef HOSTED_H
#define HOSTED_H

#include <stdint.h>

/* clock_us(), which the program moves on by itself. */
extern uint64_t hosted_us;

/* Where net_send() puts frames. */
void hosted_sent(const uint8_t *frame, uint32_t length);

/* While not 0, so many frame buffers are there, then none: a full ring. */
extern uint32_t hosted_buffers_left;

#endif
