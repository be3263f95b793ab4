/* A TCP segment arrives (RFC 9293, 3.10.7; RFC 7323 time stamps; RFC 6582 recovery). */
#include "guest-tests/guests/paired/counters.h"
#include "guest-tests/guests/paired/lib.h"
#include "guest-tests/guests/paired/tcp_cookie.h"
#include "guest-tests/guests/paired/tcp_out.h"

#define DUPLICATES_TO_RECOVER 3

static void parse_options(const uint8_t *at, const uint8_t *end, struct tcp_options *options)
{
	*options = (struct tcp_options){ .mss = TCP_MSS_DEFAULT };
	while (at < end && *at != TCP_OPTION_END) {
		if (*at == TCP_OPTION_NOP) {
			at++;
			continue;
		}
		if (end - at < 2 || at[1] < 2 || at[1] > end - at)
			return;
		if (at[0] == TCP_OPTION_MSS && at[1] == 4) {
			options->mss = (uint16_t)max_u32(get_be16(at + 2), TCP_MSS_MIN);
		} else if (at[0] == TCP_OPTION_SCALE && at[1] == 3) {
			options->has_scale = true;
			options->scale = (uint8_t)min_u32(at[2], 14);
		} else if (at[0] == TCP_OPTION_SACK_OK && at[1] == 2) {
			options->sack_ok = true;
		} else if (at[0] == TCP_OPTION_STAMP && at[1] == 10) {
			options->has_stamp = true;
			options->stamp = get_be32(at + 2);
			options->stamp_echo = get_be32(at + 6);
		}
		at += at[1];
	}
}

static void open_passively(const struct ip_peer *from, const struct tcp_segment *segment,
			   uint32_t at_least)
{
	const struct tcp_service *service = tcp_service_on(segment->port);
	uint32_t seq = tcp_initial_seq(from->address, segment->from_port, segment->port);

	if (service == NULL) {
		counters.tcp_no_port++;
		tcp_send_reset(from, segment, 0);
		return;
	}
	if (tcp_too_many_half_open()) {
		tcp_send_cookie(from, segment, tcp_cookie_make(from, segment));
		return;
	}
	if (at_least != 0 && seq_before(seq, at_least))
		seq = at_least;
	struct tcp_conn *conn = tcp_new(from, segment, service, seq);

	if (conn == NULL)
		return;
	tcp_send_syn_ack(conn);
	tcp_timer_set(&conn->timer, conn->rto);
}

/* A segment for no connection that is known. Returns the connection that a cookie brings back. */
static struct tcp_conn *receive_unknown(const struct ip_peer *from, struct tcp_segment *segment,
					uint32_t length)
{
	const struct tcp_service *service;
	uint16_t mss;

	if (segment->flags & TCP_RST)
		return NULL;
	if (!(segment->flags & TCP_ACK)) {
		if (segment->flags & TCP_SYN)
			open_passively(from, segment, 0);
		return NULL;
	}
	service = tcp_service_on(segment->port);
	if (!(segment->flags & TCP_SYN) && service != NULL &&
	    tcp_cookie_check(from, segment, &mss)) {
		struct tcp_segment syn = { .from_port = segment->from_port,
					   .port = segment->port,
					   .seq = segment->seq - 1,
					   .options.mss = mss };
		struct tcp_conn *conn = tcp_new(from, &syn, service, segment->ack - 1);

		if (conn != NULL) {
			counters.tcp_cookies_good++;
			conn->rcv_edge =
				conn->rcv_nxt + 65535; /* as its answer to the SYN has said */
		}
		return conn;
	}
	counters.tcp_no_port++;
	tcp_send_reset(from, segment, length);
	return NULL;
}

static void in_time_wait(struct tcp_conn *conn, const struct ip_peer *from,
			 const struct tcp_segment *segment)
{
	if (segment->flags & TCP_RST)
		return; /* RFC 1337: it must not end the wait */
	if ((segment->flags & (TCP_SYN | TCP_ACK)) == TCP_SYN) {
		/* A successor, if it cannot be an old duplicate (RFC 6191). */
		bool newer = conn->stamps && segment->options.has_stamp
				     ? seq_before(conn->stamp_recent, segment->options.stamp) ||
					       (conn->stamp_recent == segment->options.stamp &&
						seq_before(conn->rcv_nxt, segment->seq))
				     : seq_before(conn->rcv_nxt, segment->seq);
		uint32_t behind = conn->snd_max + 1;

		if (newer) {
			tcp_drop(conn);
			open_passively(from, segment, behind);
			return;
		}
	}
	if (segment->flags & TCP_FIN)
		tcp_timer_set(&conn->timer, TCP_TIME_WAIT);
	tcp_want_ack(conn);
}

/* RFC 6298, with Linux's floor. */
static void measured(struct tcp_conn *conn, uint32_t ms)
{
	if (ms > TCP_RTO_MAX)
		return; /* an echo that no segment of ours had */
	if (conn->srtt == 0) {
		conn->srtt = ms << 3;
		conn->rttvar = ms << 1;
	} else {
		int32_t error = (int32_t)(ms - (conn->srtt >> 3));

		conn->srtt += (uint32_t)error;
		if (error < 0)
			error = -error;
		conn->rttvar += (uint32_t)error - (conn->rttvar >> 2);
	}
	if (conn->srtt == 0)
		conn->srtt = 1; /* measured, and less than the clock can tell */
	conn->rto = min_u32((conn->srtt >> 3) + max_u32(conn->rttvar, TCP_RTO_MIN), TCP_RTO_MAX);
}

static void free_acknowledged(struct tcp_conn *conn)
{
	while (conn->send_first != NULL &&
	       !seq_before(conn->snd_una, conn->send_first->seq + conn->send_first->length)) {
		if (conn->send_at == conn->send_first)
			conn->send_at = NULL;
		conn->send_first = chunk_put(conn->send_first);
	}
	if (conn->send_first == NULL)
		conn->send_last = NULL;
}

static void grow_window(struct tcp_conn *conn, uint32_t acked)
{
	if (conn->cwnd >= TCP_SEND_QUEUE)
		return; /* more is never queued */
	if (conn->cwnd < conn->ssthresh)
		conn->cwnd += acked;
	else
		conn->cwnd += max_u32(
			(uint32_t)((uint64_t)conn->mss * min_u32(acked, conn->cwnd) / conn->cwnd),
			1);
}

static void acknowledged(struct tcp_conn *conn, const struct tcp_segment *segment)
{
	uint32_t acked = segment->ack - conn->snd_una;

	conn->snd_una = segment->ack;
	if (seq_before(conn->snd_nxt, conn->snd_una))
		conn->snd_nxt = conn->snd_una;
	conn->retries = 0;
	if (conn->stamps && segment->options.has_stamp) {
		measured(conn, tcp_now_ms() - segment->options.stamp_echo);
	} else if (conn->measuring && seq_before(conn->measure_seq, segment->ack)) {
		conn->measuring = false;
		measured(conn, tcp_now_ms() - conn->measure_start);
	}
	if (conn->recovering && seq_before(conn->snd_una, conn->recover)) {
		/* Part of what was lost: the next hole is known by this (RFC 6582, 3.2, step 3). */
		conn->cwnd = conn->cwnd > acked ? conn->cwnd - acked : 0;
		conn->cwnd = max_u32(conn->cwnd + conn->mss, conn->mss);
		free_acknowledged(conn);
		tcp_retransmit(conn, conn->mss);
	} else if (conn->recovering) {
		conn->recovering = false;
		conn->cwnd = max_u32(conn->ssthresh, 2u * conn->mss);
	} else {
		grow_window(conn, acked);
	}
	conn->duplicates = 0;
	free_acknowledged(conn);
	tcp_timer_set(&conn->timer, conn->snd_una != conn->snd_max ? conn->rto : 0);
	tcp_want_output(conn);
}

static void duplicate(struct tcp_conn *conn)
{
	if (conn->duplicates < UINT8_MAX)
		conn->duplicates++;
	if (conn->recovering) {
		conn->cwnd += conn->mss; /* another segment has left the network */
		tcp_want_output(conn);
	} else if (conn->duplicates == DUPLICATES_TO_RECOVER &&
		   seq_before(conn->recover, conn->snd_una)) {
		uint32_t under_way = conn->snd_max - conn->snd_una;

		counters.tcp_fast_recoveries++;
		conn->recovering = true;
		conn->recover = conn->snd_max;
		conn->measuring = false;
		conn->ssthresh = max_u32(under_way / 2, 2u * conn->mss);
		tcp_retransmit(conn, conn->mss);
		conn->cwnd = conn->ssthresh + DUPLICATES_TO_RECOVER * conn->mss;
		tcp_timer_set(&conn->timer, conn->rto);
		tcp_want_output(conn);
	}
}

/*
 * The acknowledgement and window of an acceptable segment. False if it acknowledges what was never
 * sent.
 */
static bool receive_ack(struct tcp_conn *conn, const struct tcp_segment *segment, uint32_t length)
{
	uint32_t window = segment->window << conn->send_scale;
	bool same_window = window == conn->snd_wnd;

	if (seq_before(conn->snd_max, segment->ack)) {
		tcp_want_ack(conn);
		return false;
	}
	if (!seq_before(segment->ack, conn->snd_una) &&
	    (seq_before(conn->snd_wl1, segment->seq) ||
	     (conn->snd_wl1 == segment->seq && !seq_before(segment->ack, conn->snd_wl2)))) {
		/* A window that opens: what probed it was not taken. */
		if (conn->snd_wnd == 0 && window != 0 && segment->ack == conn->snd_una) {
			conn->snd_nxt = conn->snd_una;
			conn->rto = min_u32(conn->rto, TCP_RTO_INITIAL);
			tcp_timer_set(&conn->timer, 0);
		}
		conn->snd_wnd = window;
		conn->snd_wl1 = segment->seq;
		conn->snd_wl2 = segment->ack;
		conn->max_wnd = max_u32(conn->max_wnd, window);
		if (!same_window)
			tcp_want_output(conn);
	}
	if (window == 0)
		conn->retries = 0; /* it answers, so it lives */
	if (seq_before(conn->snd_una, segment->ack))
		acknowledged(conn, segment);
	else if (segment->ack == conn->snd_una && length == 0 && same_window &&
		 conn->snd_una != conn->snd_max && !(segment->flags & TCP_FIN))
		duplicate(conn);
	return true;
}

/* Keeps data from behind a gap. What finds no room is sent again by the peer. */
static void keep_ahead(struct tcp_conn *conn, uint32_t seq, const uint8_t *data, uint32_t length)
{
	struct chunk **link = &conn->ahead, *before = NULL;

	conn->ahead_latest = seq;
	while (length > 0) {
		struct chunk *chunk = *link;

		if (chunk != NULL && !seq_before(seq, chunk->seq)) {
			uint32_t end = chunk->seq + chunk->length;

			if (seq_before(seq, end)) { /* known already */
				uint32_t known = min_u32(end - seq, length);

				seq += known;
				data += known;
				length -= known;
			}
			before = chunk;
			link = &chunk->next;
			continue;
		}
		uint32_t n = chunk != NULL ? min_u32(length, chunk->seq - seq) : length;

		if (before == NULL || before->seq + before->length != seq ||
		    before->length == CHUNK_DATA) {
			if (chunk_free_count() <= chunk_total() / 8) {
				counters.tcp_no_memory++;
				return;
			}
			before = chunk_get();
			before->seq = seq;
			before->next = chunk;
			*link = before;
			link = &before->next;
		}
		n = min_u32(n, CHUNK_DATA - before->length);
		memcpy(before->data + before->length, data, n);
		before->length += (uint16_t)n;
		seq += n;
		data += n;
		length -= n;
	}
}

/* Hands data that begins at or before rcv_nxt to the service. False if it did not take all. */
static bool deliver(struct tcp_conn *conn, uint32_t seq, const uint8_t *data, uint32_t length)
{
	uint32_t known = conn->rcv_nxt - seq, taken;

	if (known >= length)
		return true;
	if (conn->aborted)
		return false;
	taken = conn->service->received(conn, data + known, length - known);
	conn->rcv_nxt += taken;
	return taken == length - known;
}

static void deliver_ahead(struct tcp_conn *conn)
{
	while (conn->ahead != NULL && !seq_before(conn->rcv_nxt, conn->ahead->seq)) {
		if (!deliver(conn, conn->ahead->seq, conn->ahead->data, conn->ahead->length))
			return;
		conn->ahead = chunk_put(conn->ahead);
	}
}

static void receive_data(struct tcp_conn *conn, uint32_t seq, const struct net_frame *frame)
{
	tcp_want_ack(conn);
	if (seq != conn->rcv_nxt)
		counters.tcp_out_of_order++;
	for (uint32_t i = 0; i < frame->count && frame->length[i] > 0; i++) {
		if (seq_before(conn->rcv_nxt, seq))
			keep_ahead(conn, seq, frame->data[i], frame->length[i]);
		else if (!deliver(conn, seq, frame->data[i], frame->length[i]))
			return;
		seq += frame->length[i];
	}
	deliver_ahead(conn);
}

static void receive_fin(struct tcp_conn *conn)
{
	bool ours_acked = conn->fin_wanted && conn->snd_una == conn->snd_end + 1;

	conn->rcv_nxt++;
	tcp_want_ack(conn);
	if (conn->state == TCP_ESTABLISHED) {
		conn->state = TCP_CLOSE_WAIT;
		conn->service->ended(conn);
	} else if (conn->state == TCP_FIN_WAIT_1 && !ours_acked) {
		conn->state = TCP_CLOSING;
	} else if (conn->state == TCP_FIN_WAIT_1 || conn->state == TCP_FIN_WAIT_2) {
		tcp_enter_time_wait(conn);
	}
}

/* Our FIN was acknowledged. False if that was the connection's end. */
static bool fin_acknowledged(struct tcp_conn *conn)
{
	if (conn->state == TCP_FIN_WAIT_1) {
		conn->state = TCP_FIN_WAIT_2;
		tcp_timer_set(&conn->timer, TCP_LINGER);
	} else if (conn->state == TCP_CLOSING) {
		tcp_enter_time_wait(conn);
		return false;
	} else if (conn->state == TCP_LAST_ACK) {
		counters.tcp_closed++;
		tcp_drop(conn);
		return false;
	}
	return true;
}

/*
 * Cuts the segment to what is new and inside the window. False if nothing about it is acceptable.
 */
static bool cut_to_window(struct tcp_conn *conn, struct tcp_segment *segment,
			  struct net_frame *frame)
{
	uint32_t old = conn->rcv_nxt - segment->seq;

	if (seq_before(segment->seq, conn->rcv_nxt)) {
		tcp_want_ack(conn);
		if (segment->flags &
		    TCP_SYN) { /* of a repeated answer, or forged: the acknowledgement tells */
			segment->flags &= (uint8_t)~TCP_SYN;
			return false;
		}
		if (old > frame->total || (old == frame->total && !(segment->flags & TCP_FIN))) {
			counters.tcp_duplicates++;
			/* Its acknowledgement may be news still, unless it is from far away. */
			frame->total = 0;
			segment->flags &= (uint8_t)~TCP_FIN;
			segment->seq = conn->rcv_nxt;
			return old <= TCP_WINDOW;
		}
		/* The front of it is known. */
		for (uint32_t i = 0; i < frame->count; i++) {
			uint32_t n = min_u32(old, frame->length[i]);

			frame->data[i] += n;
			frame->length[i] -= n;
			frame->total -= n;
			segment->seq += n;
			old -= n;
		}
	}
	bool beyond = seq_before(conn->rcv_edge, segment->seq);
	uint32_t room = beyond ? 0 : conn->rcv_edge - segment->seq;

	if (beyond || frame->total > room) {
		counters.tcp_unacceptable++;
		tcp_want_ack(conn);
		segment->flags &= (uint8_t)~TCP_FIN;
		ip_frame_limit(frame, room);
	}
	return !beyond;
}

static bool stamp_too_old(struct tcp_conn *conn, const struct tcp_segment *segment)
{
	if (!conn->stamps || !segment->options.has_stamp)
		return false;
	if (seq_before(segment->options.stamp, conn->stamp_recent))
		return true;
	if (!seq_before(conn->rcv_nxt, segment->seq))
		conn->stamp_recent = segment->options.stamp;
	return false;
}

static void receive_known(struct tcp_conn *conn, struct tcp_segment *segment,
			  struct net_frame *frame)
{
	uint32_t length = frame->total;

	if (segment->flags & TCP_RST) {
		/*
		 * Only the exact number resets; another one inside the window is asked about (RFC
		 * 5961).
		 */
		if (segment->seq == conn->rcv_nxt) {
			counters.tcp_reset++;
			tcp_drop(conn);
		} else if (!seq_before(segment->seq, conn->rcv_nxt) &&
			   seq_before(segment->seq, conn->rcv_edge)) {
			tcp_want_ack(conn);
		}
		return;
	}
	if (conn->state == TCP_SYN_RECEIVED && (segment->flags & TCP_SYN)) {
		if (segment->seq + 1 == conn->rcv_nxt) {
			tcp_send_syn_ack(conn); /* ours was lost */
		} else {			/* a new attempt from the same port */
			struct ip_peer peer = conn->peer;

			tcp_drop(conn);
			if (!(segment->flags & TCP_ACK))
				open_passively(&peer, segment, 0);
		}
		return;
	}
	if (stamp_too_old(conn, segment)) {
		counters.tcp_unacceptable++;
		tcp_want_ack(conn);
		return;
	}
	if (!cut_to_window(conn, segment, frame))
		return;
	if (segment->flags & TCP_SYN) { /* RFC 5961: never resets by itself */
		tcp_want_ack(conn);
		return;
	}
	if (!(segment->flags & TCP_ACK))
		return;
	if (conn->state == TCP_SYN_RECEIVED) {
		if (segment->ack != conn->snd_nxt) {
			tcp_send_reset(&conn->peer, segment, length);
			return;
		}
		if (conn->stamps && segment->options.has_stamp)
			measured(conn, tcp_now_ms() - segment->options.stamp_echo);
		conn->snd_wl1 = segment->seq;
		conn->snd_wl2 = segment->ack;
		conn->recover = segment->ack - 1;
		tcp_establish(conn, segment->window << conn->send_scale);
	} else if (!receive_ack(conn, segment, length)) {
		return;
	}
	if (conn->fin_wanted && conn->snd_una == conn->snd_end + 1 && !fin_acknowledged(conn))
		return;
	if (conn->wants_room && !conn->fin_wanted && tcp_send_room(conn) >= TCP_SEND_QUEUE / 2) {
		conn->wants_room = false;
		if (conn->service->writable != NULL)
			conn->service->writable(conn);
	}
	if (!conn->fin_seen && (segment->flags & TCP_FIN)) {
		conn->fin_seen = true;
		conn->fin_seq = segment->seq + frame->total;
	}
	if (frame->total > 0 && (conn->state == TCP_ESTABLISHED || conn->state == TCP_FIN_WAIT_1 ||
				 conn->state == TCP_FIN_WAIT_2))
		receive_data(conn, segment->seq, frame);
	/* What the service can take has grown: say so, before the peer has to ask. */
	if (conn->rcv_edge - conn->rcv_nxt < TCP_WINDOW / 16 &&
	    tcp_receive_room(conn) >= TCP_WINDOW / 8) {
		tcp_want_ack(conn);
	}
	if (conn->fin_seen && conn->rcv_nxt == conn->fin_seq)
		receive_fin(conn);
}

static void receive(const struct ip_peer *from, struct net_frame *frame)
{
	const uint8_t *tcp = frame->data[0];
	struct tcp_segment segment;
	struct tcp_conn *conn;
	uint32_t header;

	if (frame->length[0] < TCP_HEADER || (header = (tcp[12] >> 4) * 4u) < TCP_HEADER ||
	    header > frame->length[0]) {
		counters.rx_bad_frame++;
		return;
	}
	if (!frame->checksum_good && !ip_checksum_good(from, frame, IP_TCP)) {
		counters.rx_bad_checksum++;
		return;
	}
	segment.from_port = get_be16(tcp);
	segment.port = get_be16(tcp + 2);
	segment.seq = get_be32(tcp + 4);
	segment.ack = get_be32(tcp + 8);
	segment.flags = tcp[13];
	segment.window = get_be16(tcp + 14);
	parse_options(tcp + TCP_HEADER, tcp + header, &segment.options);
	ip_frame_skip(frame, header);
	conn = tcp_find(from->address, segment.from_port, segment.port);
	if (conn == NULL)
		conn = receive_unknown(from, &segment, frame->total);
	else if (conn->state == TCP_TIME_WAIT_STATE) {
		in_time_wait(conn, from, &segment);
		return;
	}
	if (conn != NULL && !conn->aborted)
		receive_known(conn, &segment, frame);
}

bool tcp_start(void)
{
	ip_serve(IP_TCP, receive);
	return tcp_make_table();
}
