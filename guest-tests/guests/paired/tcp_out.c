/* TCP segments are made. */
#include "guest-tests/guests/paired/counters.h"
#include "guest-tests/guests/paired/lib.h"
#include "guest-tests/guests/paired/tcp_out.h"

#define TCP_CHECKSUM 16
#define TCP_URGENT   18
/* The longest payload of one datagram, with room for all headers. */
#define PAYLOAD_MAX  (65535u - IP_HEADER - HEADER_MAX)
#define HEADER_MAX   60

static void put_header(uint8_t *tcp, uint16_t from, uint16_t to, uint32_t seq, uint32_t ack,
		       uint32_t header, uint8_t flags, uint32_t window)
{
	put_be16(tcp, from);
	put_be16(tcp + 2, to);
	put_be32(tcp + 4, seq);
	put_be32(tcp + 8, ack);
	tcp[12] = (uint8_t)(header / 4 << 4);
	tcp[13] = flags;
	put_be16(tcp + 14, (uint16_t)min_u32(window, 65535));
	put_be16(tcp + TCP_URGENT, 0);
}

static void put_stamp(uint8_t *option, uint32_t echo)
{
	option[0] = option[1] = TCP_OPTION_NOP;
	option[2] = TCP_OPTION_STAMP;
	option[3] = 10;
	put_be32(option + 4, tcp_now_ms());
	put_be32(option + 8, echo);
}

/*
 * Tells what lies behind gaps: the piece that came last first, then from the front on (RFC 2018,
 * 4). Returns the option's size, with two NOPs.
 */
static uint32_t put_sack(const struct tcp_conn *conn, uint8_t *option)
{
	uint32_t blocks[TCP_SACK_BLOCKS][2], count = 0;

	for (const struct chunk *c = conn->ahead; c != NULL;) {
		uint32_t start = c->seq, end = start;

		for (; c != NULL && c->seq == end; c = c->next)
			end += c->length;
		bool latest = !seq_before(conn->ahead_latest, start) &&
			      seq_before(conn->ahead_latest, end);

		if (latest && count > 0) {
			uint32_t last = min_u32(count, TCP_SACK_BLOCKS - 1);

			memcpy(blocks[last], blocks[0], sizeof(blocks[0]));
			count = last + 1;
			blocks[0][0] = start;
			blocks[0][1] = end;
		} else if (count < TCP_SACK_BLOCKS) {
			blocks[count][0] = start;
			blocks[count++][1] = end;
		}
	}
	option[0] = option[1] = TCP_OPTION_NOP;
	option[2] = TCP_OPTION_SACK;
	option[3] = (uint8_t)(2 + count * TCP_SACK_BLOCK);
	for (uint32_t i = 0; i < count; i++) {
		put_be32(option + 4 + i * TCP_SACK_BLOCK, blocks[i][0]);
		put_be32(option + 8 + i * TCP_SACK_BLOCK, blocks[i][1]);
	}
	return 4 + count * TCP_SACK_BLOCK;
}

/* The window to tell the peer, which never takes back what it was told. */
static uint32_t current_window(struct tcp_conn *conn)
{
	uint32_t room = tcp_receive_room(conn), told = conn->rcv_edge - conn->rcv_nxt;

	/* Opening it by less than a segment only invites small ones (RFC 9293, 3.8.6.2.2). */
	if ((int32_t)told < 0)
		told = 0;
	if (room > told && (room - told >= conn->mss || room >= TCP_WINDOW / 2)) {
		told = room >> conn->receive_scale << conn->receive_scale;
		if (conn->receive_scale == 0)
			told = min_u32(told, 65535);
	}
	conn->rcv_edge = conn->rcv_nxt + told;
	/* Closed with nobody to open it: look again by time. */
	if (told < conn->mss && conn->timer.due == 0)
		tcp_timer_set(&conn->timer, TCP_MEMORY_RETRY);
	return told;
}

/* Copies queued data from sequence number seq on. */
static void copy_queued(struct tcp_conn *conn, uint8_t *to, uint32_t seq, uint32_t length)
{
	struct chunk *chunk = conn->send_at;

	if (chunk == NULL || seq_before(seq, chunk->seq))
		chunk = conn->send_first;
	while (length > 0) {
		uint32_t skip = seq - chunk->seq;

		if (skip >= chunk->length) {
			chunk = chunk->next;
			continue;
		}
		uint32_t n = min_u32(length, chunk->length - skip);

		memcpy(to, chunk->data + skip, n);
		to += n;
		seq += n;
		length -= n;
		conn->send_at = chunk;
	}
}

/* One datagram of the connection, cut by the device if it is longer than a segment. */
static bool emit(struct tcp_conn *conn, uint32_t seq, uint32_t length, uint8_t flags)
{
	uint32_t header = TCP_HEADER + (conn->stamps ? TCP_STAMP_SIZE : 0);
	uint8_t *tcp = ip_begin(&conn->peer, IP_TCP, HEADER_MAX + length);

	if (tcp == NULL)
		return false;
	if (conn->stamps)
		put_stamp(tcp + TCP_HEADER, conn->stamp_recent);
	if (length == 0 && conn->sack_ok && conn->ahead != NULL)
		header += put_sack(conn, tcp + header);
	put_header(tcp, conn->port, conn->peer_port, seq, conn->rcv_nxt, header, flags,
		   current_window(conn) >> conn->receive_scale);
	if (length > 0)
		copy_queued(conn, tcp + header, seq, length);
	ip_send(header + length, TCP_CHECKSUM, header, length > conn->mss ? conn->mss : 0);
	conn->ack_now = false;
	return true;
}

/* How much of the queue may go in one datagram now, behind what is under way. */
static uint32_t sendable(const struct tcp_conn *conn)
{
	uint32_t under_way = conn->snd_nxt - conn->snd_una;
	uint32_t queued = conn->snd_end - conn->snd_nxt;
	uint32_t window = min_u32(conn->snd_wnd, conn->cwnd);
	uint32_t most = net.segments ? PAYLOAD_MAX / conn->mss * conn->mss : conn->mss;
	uint32_t usable = window > under_way ? window - under_way : 0;
	uint32_t length = min_u32(min_u32(queued, usable), most);

	if (length == queued || length < conn->mss) {
		/*
		 * Silly window avoidance: all there is, or a good part of the window (RFC 9293,
		 * 3.8.6.2.1).
		 */
		if (length < queued && length < conn->max_wnd / 2)
			return 0;
		return length;
	}
	return length / conn->mss * conn->mss;
}

static bool emit_syn_ack(struct tcp_conn *conn)
{
	uint8_t *tcp = ip_begin(&conn->peer, IP_TCP, HEADER_MAX), *option;

	if (tcp == NULL)
		return false;
	option = tcp + TCP_HEADER;
	option[0] = TCP_OPTION_MSS;
	option[1] = 4;
	put_be16(option + 2, TCP_MSS);
	option += 4;
	if (conn->receive_scale != 0) {
		option[0] = TCP_OPTION_NOP;
		option[1] = TCP_OPTION_SCALE;
		option[2] = 3;
		option[3] = TCP_SCALE;
		option += 4;
	}
	if (conn->stamps) {
		put_stamp(option, conn->stamp_recent);
		option += TCP_STAMP_SIZE;
	}
	if (conn->sack_ok) {
		option[0] = option[1] = TCP_OPTION_NOP;
		option[2] = TCP_OPTION_SACK_OK;
		option[3] = 2;
		option += 4;
	}
	uint32_t header = (uint32_t)(option - tcp);

	/* The window of a SYN is never scaled. */
	conn->rcv_edge = conn->rcv_nxt + 65535;
	put_header(tcp, conn->port, conn->peer_port, conn->snd_una, conn->rcv_nxt, header,
		   TCP_SYN | TCP_ACK, 65535);
	ip_send(header, TCP_CHECKSUM, header, 0);
	conn->syn_due = false;
	return true;
}

/*
 * Sends what may be sent, or at least an acknowledgement if one is due. False while nothing can be sent at all.
 */
static bool output(struct tcp_conn *conn)
{
	if (conn->aborted)
		return emit(conn, conn->snd_nxt, 0, TCP_RST | TCP_ACK);
	if (conn->state == TCP_SYN_RECEIVED)
		return !conn->syn_due || emit_syn_ack(conn);
	if (conn->state == TCP_TIME_WAIT_STATE)
		return !conn->ack_now || emit(conn, conn->snd_max, 0, TCP_ACK);
	/* Before the FIN is sent, snd_nxt is at most snd_end; behind it, nothing follows. */
	while (!seq_before(conn->snd_end, conn->snd_nxt)) {
		uint32_t length = conn->snd_nxt != conn->snd_end ? sendable(conn) : 0;
		bool last = conn->snd_nxt + length == conn->snd_end;
		bool fin = last && conn->fin_wanted;
		uint8_t flags = TCP_ACK;

		if (length == 0 && !fin)
			break;
		if (last)
			flags |= TCP_PSH;
		if (fin)
			flags |= TCP_FIN;
		if (!emit(conn, conn->snd_nxt, length, flags))
			return false;
		if (seq_before(conn->snd_nxt, conn->snd_max))
			counters.tcp_retransmits++;
		else if (!conn->stamps && !conn->measuring) {
			conn->measuring = true;
			conn->measure_seq = conn->snd_nxt;
			conn->measure_start = tcp_now_ms();
		}
		conn->snd_nxt += length + fin;
		if (seq_before(conn->snd_max, conn->snd_nxt))
			conn->snd_max = conn->snd_nxt;
		if (conn->timer.due == 0)
			tcp_timer_set(&conn->timer, conn->rto);
	}
	/* Something queued and nothing under way: the window is closed, and the timer probes it. */
	if (conn->timer.due == 0 && seq_before(conn->snd_nxt, conn->snd_end))
		tcp_timer_set(&conn->timer, conn->rto);
	return !conn->ack_now || emit(conn, conn->snd_nxt, 0, TCP_ACK);
}

void tcp_flush(void)
{
	struct tcp_conn *conn;

	while ((conn = tcp_next_output()) != NULL) {
		if (!output(conn))
			return; /* the ring is full: go on when it is not */
		tcp_leave_output(conn);
		if (conn->aborted)
			tcp_drop(conn);
	}
}

void tcp_retransmit(struct tcp_conn *conn, uint32_t length)
{
	uint32_t queued = conn->snd_end - conn->snd_una;
	uint8_t flags = TCP_ACK;

	length = min_u32(length, queued);
	/* The FIN, if it was sent before and belongs right behind. */
	if (conn->fin_wanted && length == queued && !seq_before(conn->snd_max, conn->snd_end + 1))
		flags |= TCP_FIN;
	counters.tcp_retransmits++;
	if (!emit(conn, conn->snd_una, length, flags))
		counters.tx_lost++;
}

void tcp_send_syn_ack(struct tcp_conn *conn)
{
	conn->syn_due = true;
	tcp_want_output(conn);
}

/* RFC 9293, 3.10.7.1: the reset carries what makes the peer believe it. */
void tcp_send_reset(const struct ip_peer *to, const struct tcp_segment *cause, uint32_t length)
{
	uint8_t *tcp = ip_begin(to, IP_TCP, HEADER_MAX);
	uint32_t behind = cause->seq + length + (cause->flags & TCP_SYN ? 1 : 0) +
			  (cause->flags & TCP_FIN ? 1 : 0);

	if (tcp == NULL) {
		counters.tx_lost++;
		return;
	}
	if (cause->flags & TCP_ACK)
		put_header(tcp, cause->port, cause->from_port, cause->ack, 0, TCP_HEADER, TCP_RST,
			   0);
	else
		put_header(tcp, cause->port, cause->from_port, 0, behind, TCP_HEADER,
			   TCP_RST | TCP_ACK, 0);
	ip_send(TCP_HEADER, TCP_CHECKSUM, TCP_HEADER, 0);
}

void tcp_send_cookie(const struct ip_peer *to, const struct tcp_segment *syn, uint32_t cookie)
{
	uint8_t *tcp = ip_begin(to, IP_TCP, HEADER_MAX);

	if (tcp == NULL) {
		counters.tx_lost++;
		return;
	}
	tcp[TCP_HEADER] = TCP_OPTION_MSS;
	tcp[TCP_HEADER + 1] = 4;
	put_be16(tcp + TCP_HEADER + 2, TCP_MSS);
	put_header(tcp, syn->port, syn->from_port, cookie, syn->seq + 1, TCP_HEADER + 4,
		   TCP_SYN | TCP_ACK, 65535);
	ip_send(TCP_HEADER + 4, TCP_CHECKSUM, TCP_HEADER + 4, 0);
	counters.tcp_cookies_sent++;
}
