/*
 * The timer wheel, and what happens when a connection's timer is due.
 *
 * A timer that moves to a later time stays where it is in the wheel; when the wheel comes by, it is
 * put further on. So the retransmission timer, moved by every acknowledgement, costs a store.
 */
#include "guest-tests/guests/paired/clock.h"
#include "guest-tests/guests/paired/counters.h"
#include "guest-tests/guests/paired/lib.h"
#include "guest-tests/guests/paired/tcp_internal.h"

#define SLOT_US	 10000ull
#define SLOTS	 512u
#define LOOK_OUT 64u /* slots to look through for the next timer */

static struct tcp_conn *wheel[SLOTS];
static uint64_t wheel_at; /* the slot to be run next, counted from the clock's start */

static void put_in_wheel(struct tcp_conn *conn)
{
	uint64_t slot = conn->timer / SLOT_US + 1;

	if (slot < wheel_at + 1)
		slot = wheel_at + 1;
	if (slot >= wheel_at + SLOTS)
		slot = wheel_at + SLOTS - 1;
	struct tcp_conn **head = &wheel[slot % SLOTS];

	conn->timer_slot = slot;
	conn->timer_next = *head;
	conn->timer_link = head;
	if (*head != NULL)
		(*head)->timer_link = &conn->timer_next;
	*head = conn;
}

static void take_from_wheel(struct tcp_conn *conn)
{
	if (conn->timer_link == NULL)
		return;
	*conn->timer_link = conn->timer_next;
	if (conn->timer_next != NULL)
		conn->timer_next->timer_link = conn->timer_link;
	conn->timer_link = NULL;
}

void tcp_set_timer(struct tcp_conn *conn, uint32_t ms)
{
	if (ms == 0) {
		conn->timer = 0;
		return;
	}
	conn->timer = clock_us() + ms * TCP_US_PER_MS;
	if (conn->timer_link != NULL && conn->timer_slot <= conn->timer / SLOT_US + 1)
		return;
	take_from_wheel(conn);
	put_in_wheel(conn);
}

void tcp_stop_timer(struct tcp_conn *conn)
{
	conn->timer = 0;
	take_from_wheel(conn);
}

/* No answer in time: back off and go back to the first unacknowledged byte (RFC 6298, RFC 5681). */
static void retransmission_timeout(struct tcp_conn *conn)
{
	bool closed_window = conn->snd_wnd == 0 && seq_before(conn->snd_una, conn->snd_end);
	uint32_t under_way = conn->snd_max - conn->snd_una;

	/*
	 * A peer that keeps its window closed but answers may do so for ever: answers clear
	 * retries.
	 */
	if (++conn->retries > TCP_RETRIES) {
		counters.tcp_aborted++;
		tcp_drop(conn);
		return;
	}
	counters.tcp_timeouts++;
	conn->rto = min_u32(conn->rto * 2, TCP_RTO_MAX);
	conn->measuring = false;
	conn->duplicates = 0;
	conn->recovering = false;
	if (closed_window) {
		tcp_retransmit(conn, 1); /* a probe */
		if (seq_before(conn->snd_nxt, conn->snd_una + 1))
			conn->snd_nxt = conn->snd_una + 1;
		if (seq_before(conn->snd_max, conn->snd_nxt))
			conn->snd_max = conn->snd_nxt;
	} else {
		conn->ssthresh = max_u32(under_way / 2, 2u * conn->mss);
		conn->cwnd = conn->mss;
		/*
		 * Recovery that old duplicates could start again is held off until all of this is
		 * acknowledged.
		 */
		conn->recover = conn->snd_max;
		conn->snd_nxt = conn->snd_una;
		tcp_want_output(conn);
	}
	tcp_set_timer(conn, conn->rto);
}

static void run_timer(struct tcp_conn *conn)
{
	conn->timer = 0;
	if (conn->state == TCP_SYN_RECEIVED) {
		if (++conn->retries > TCP_SYN_RETRIES) {
			tcp_drop(conn);
			return;
		}
		conn->rto *= 2;
		tcp_send_syn_ack(conn);
		tcp_set_timer(conn, conn->rto);
	} else if (conn->state == TCP_TIME_WAIT_STATE) {
		tcp_drop(conn);
	} else if (conn->snd_una != conn->snd_max || seq_before(conn->snd_una, conn->snd_end)) {
		retransmission_timeout(conn);
	} else if (conn->state == TCP_FIN_WAIT_2) {
		counters.tcp_aborted++;
		tcp_drop(conn);
	} else {
		/* Memory was short, for sending or for receiving. */
		if (conn->wants_room) {
			conn->wants_room = false;
			conn->service->writable(conn);
		}
		conn->ack_now = true; /* with the window as it is now */
		tcp_want_output(conn);
	}
}

uint64_t tcp_timers(void)
{
	uint64_t now = clock_us(), now_slot = now / SLOT_US;

	for (; wheel_at <= now_slot; wheel_at++) {
		struct tcp_conn *conn;

		while ((conn = wheel[wheel_at % SLOTS]) != NULL) {
			if (!net_has_room())
				return now + SLOT_US; /* a timer may have to send */
			take_from_wheel(conn);
			if (conn->timer != 0 && conn->timer <= now)
				run_timer(conn);
			else if (conn->timer != 0)
				put_in_wheel(conn);
		}
	}
	for (uint64_t slot = wheel_at; slot < wheel_at + LOOK_OUT; slot++)
		if (wheel[slot % SLOTS] != NULL)
			return slot * SLOT_US;
	return now + LOOK_OUT * SLOT_US;
}
