/*
 * TCP's timers, in a wheel.
 *
 * A timer that moves to a later time stays where it is in the wheel; when the wheel comes by, it is put further on. So
 * the retransmission timer, moved by every acknowledgement, costs a store.
 */
#ifndef TCP_WHEEL_H
#define TCP_WHEEL_H

#include <stdint.h>

/* Zero is a timer that is not set. */
struct tcp_timer {
	struct tcp_timer *next, **link;
	uint64_t due;  /* by clock_us(); 0: never */
	uint64_t slot; /* when the wheel will look: at or before due */
};

/* Sets the timer to so many milliseconds from now, or stops it with 0: it may stay in the wheel. */
void tcp_timer_set(struct tcp_timer *timer, uint32_t ms);

/* Stops it and takes it out of the wheel: its owner goes. */
void tcp_timer_remove(struct tcp_timer *timer);

/*
 * Runs the timers that are due, one by one, while the card has room for what they send. Says when to come again at the
 * latest.
 */
uint64_t tcp_wheel_turn(void (*run)(struct tcp_timer *timer));

#endif
