/* What happens when a connection's timer is due. */
#include "guest-tests/guests/paired/counters.h"
#include "guest-tests/guests/paired/lib.h"
#include "guest-tests/guests/paired/tcp_out.h"

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
	tcp_timer_set(&conn->timer, conn->rto);
}

static void run_timer(struct tcp_timer *timer)
{
	struct tcp_conn *conn = container_of(timer, struct tcp_conn, timer);

	if (conn->state == TCP_SYN_RECEIVED) {
		if (++conn->retries > TCP_SYN_RETRIES) {
			tcp_drop(conn);
			return;
		}
		conn->rto *= 2;
		tcp_send_syn_ack(conn);
		tcp_timer_set(&conn->timer, conn->rto);
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
			if (conn->service->writable != NULL)
				conn->service->writable(conn);
		}
		tcp_want_ack(conn); /* with the window as it is now */
	}
}

uint64_t tcp_timers(void)
{
	return tcp_wheel_turn(run_timer);
}
