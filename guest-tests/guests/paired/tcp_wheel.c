/* The timer wheel. */
#include "guest-tests/guests/paired/clock.h"
#include "guest-tests/guests/paired/lib.h"
#include "guest-tests/guests/paired/net.h"
#include "guest-tests/guests/paired/tcp_wheel.h"

#define US_PER_MS 1000ull
#define SLOT_US	  10000ull
#define SLOTS	  512u
#define LOOK_OUT  64u /* slots to look through for the next timer */

static struct tcp_timer *wheel[SLOTS];
static uint64_t wheel_at; /* the slot to be run next, counted from the clock's start */

static void put_in(struct tcp_timer *timer)
{
	uint64_t slot = timer->due / SLOT_US + 1;

	if (slot < wheel_at + 1)
		slot = wheel_at + 1;
	if (slot >= wheel_at + SLOTS)
		slot = wheel_at + SLOTS - 1;
	struct tcp_timer **head = &wheel[slot % SLOTS];

	timer->slot = slot;
	timer->next = *head;
	timer->link = head;
	if (*head != NULL)
		(*head)->link = &timer->next;
	*head = timer;
}

static void take_out(struct tcp_timer *timer)
{
	if (timer->link == NULL)
		return;
	*timer->link = timer->next;
	if (timer->next != NULL)
		timer->next->link = timer->link;
	timer->link = NULL;
}

void tcp_timer_set(struct tcp_timer *timer, uint32_t ms)
{
	if (ms == 0) {
		timer->due = 0;
		return;
	}
	timer->due = clock_us() + ms * US_PER_MS;
	if (timer->link != NULL && timer->slot <= timer->due / SLOT_US + 1)
		return;
	take_out(timer);
	put_in(timer);
}

void tcp_timer_remove(struct tcp_timer *timer)
{
	timer->due = 0;
	take_out(timer);
}

uint64_t tcp_wheel_turn(void (*run)(struct tcp_timer *timer))
{
	uint64_t now = clock_us(), now_slot = now / SLOT_US;

	for (; wheel_at <= now_slot; wheel_at++) {
		struct tcp_timer *timer;

		while ((timer = wheel[wheel_at % SLOTS]) != NULL) {
			if (!net_has_room())
				return now + SLOT_US; /* a timer may have to send */
			take_out(timer);
			if (timer->due != 0 && timer->due <= now) {
				timer->due = 0;
				run(timer);
			} else if (timer->due != 0) {
				put_in(timer);
			}
		}
	}
	for (uint64_t slot = wheel_at; slot < wheel_at + LOOK_OUT; slot++)
		if (wheel[slot % SLOTS] != NULL)
			return slot * SLOT_US;
	return now + LOOK_OUT * SLOT_US;
}
