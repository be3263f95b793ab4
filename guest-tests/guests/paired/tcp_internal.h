/*
 * What TCP's own files share: the connection. Each file sees those above it.
 *
 *   tcp_wheel.c   timers
 *   tcp.c         connections: table, life, services
 *   tcp_cookie.c  connections begun without keeping state, for SYN floods
 *   tcp_out.c     segments are made
 *   tcp_timer.c   what happens when a timer is due
 *   tcp_in.c      a segment arrives
 */
#ifndef TCP_INTERNAL_H
#define TCP_INTERNAL_H

#include "guest-tests/guests/paired/chunk.h"
#include "guest-tests/guests/paired/tcp.h"
#include "guest-tests/guests/paired/tcp_wheel.h"

#define TCP_HEADER	   20
#define TCP_FIN		   0x01
#define TCP_SYN		   0x02
#define TCP_RST		   0x04
#define TCP_PSH		   0x08
#define TCP_ACK		   0x10
#define TCP_OPTION_END	   0
#define TCP_OPTION_NOP	   1
#define TCP_OPTION_MSS	   2
#define TCP_OPTION_SCALE   3
#define TCP_OPTION_SACK_OK 4
#define TCP_OPTION_SACK	   5
#define TCP_OPTION_STAMP   8
#define TCP_STAMP_SIZE	   12 /* with two NOPs */
#define TCP_SACK_BLOCKS	   3  /* what fits beside time stamps */
#define TCP_SACK_BLOCK	   8

#define TCP_MSS		 (NET_MTU - IP_HEADER - TCP_HEADER)
#define TCP_MSS_DEFAULT	 536 /* of a peer that names none */
#define TCP_MSS_MIN	 64  /* below it a peer only wants to make work */
#define TCP_WINDOW	 (512u * 1024)
#define TCP_SCALE	 4
#define TCP_SEND_QUEUE	 (512u * 1024)
#define TCP_INITIAL_CWND 10u /* segments: RFC 6928 */

#define TCP_RTO_INITIAL	 1000u /* milliseconds, RFC 6298 */
#define TCP_RTO_MIN	 200u
#define TCP_RTO_MAX	 60000u
#define TCP_SYN_RETRIES	 5
#define TCP_RETRIES	 12
#define TCP_TIME_WAIT	 60000u
#define TCP_LINGER	 60000u /* for a FIN of a peer that has ours */
#define TCP_MEMORY_RETRY 20u	/* look again whether there is memory */

enum tcp_state {
	TCP_FREE,
	TCP_SYN_RECEIVED,
	TCP_ESTABLISHED,
	TCP_CLOSE_WAIT,
	TCP_LAST_ACK,
	TCP_FIN_WAIT_1,
	TCP_FIN_WAIT_2,
	TCP_CLOSING,
	TCP_TIME_WAIT_STATE,
};

/* Sequence number a comes before b. */
static inline bool seq_before(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) < 0;
}

/* What a SYN agrees on. */
struct tcp_options {
	uint16_t mss;
	uint8_t scale;
	bool has_scale, has_stamp, sack_ok;
	uint32_t stamp, stamp_echo;
};

/* A segment, taken apart; its data is in a frame. */
struct tcp_segment {
	uint16_t from_port, port;
	uint32_t seq, ack, window;
	uint8_t flags;
	struct tcp_options options;
};

struct tcp_conn {
	struct tcp_conn *hash_next;
	struct tcp_conn *output_next;
	struct tcp_conn *wait_next, *wait_prev; /* in TIME_WAIT, by age */
	const struct tcp_service *service;
	struct ip_peer peer;
	uint16_t peer_port, port;
	uint8_t state;
	uint8_t send_scale, receive_scale;
	uint8_t duplicates; /* acknowledgements in a row that repeat the last */
	uint8_t retries;
	bool stamps;	 /* both sides use time stamps */
	bool sack_ok;	 /* the peer wants to know what lies behind a gap */
	bool ack_now;	 /* an acknowledgement is due */
	bool syn_due;	 /* in SYN_RECEIVED: our SYN is, for the first time or again */
	bool fin_wanted; /* tcp_close() was called: a FIN comes behind what is queued */
	bool fin_seen;	 /* the peer's FIN is known, maybe ahead of data */
	bool aborted;	 /* tcp_abort() was called: a reset is due, the service is out of it */
	bool on_output;	 /* in the list of those with something to send */
	bool wants_room; /* writable() is owed */
	bool recovering; /* fast recovery, up to recover */
	bool measuring;	 /* the round trip of measure_seq, without time stamps */
	uint16_t mss;	 /* payload of a full segment to the peer */

	/*
	 * RFC 9293's variables. snd_max: the highest ever sent; snd_end: behind all that is queued.
	 */
	uint32_t snd_una, snd_nxt, snd_max, snd_end, snd_wnd, snd_wl1, snd_wl2;
	uint32_t max_wnd;	    /* the largest window the peer ever offered */
	uint32_t rcv_nxt, rcv_edge; /* next expected, end of the window that the peer was told */
	uint32_t fin_seq;

	uint32_t cwnd, ssthresh, recover;
	uint32_t srtt, rttvar, rto; /* milliseconds; srtt times 8, rttvar times 4 (RFC 6298) */
	uint32_t measure_seq, measure_start;
	uint32_t stamp_recent;

	struct tcp_timer timer;

	struct chunk *send_first, *send_last; /* from snd_una on */
	struct chunk *send_at;		      /* holds snd_nxt, or NULL: look from the first */
	uint32_t ahead_latest;		      /* somewhere in what came ahead last */
	struct chunk *ahead;		      /* data behind a gap, in order, without overlaps */

	struct tcp_words words;
};

/* Takes memory for connections and data. False if there is far too little. */
bool tcp_make_table(void);
struct tcp_conn *tcp_find(uint32_t address, uint16_t peer_port, uint16_t port);
const struct tcp_service *tcp_service_on(uint16_t port);
/* A new connection in the table, in state SYN_RECEIVED; NULL (counted) without memory. */
struct tcp_conn *tcp_new(const struct ip_peer *peer, const struct tcp_segment *syn,
			 const struct tcp_service *service, uint32_t initial_seq);
/* Ends a connection at once: tells the service unless it is past knowing, frees everything. */
void tcp_drop(struct tcp_conn *conn);
void tcp_enter_time_wait(struct tcp_conn *conn);
/* The connection is established: tells the service. */
void tcp_establish(struct tcp_conn *conn, uint32_t window);
/* Puts it into the list for tcp_flush(); the first of that list, or NULL; and out of it, if it is in it. */
void tcp_want_output(struct tcp_conn *conn);
void tcp_want_ack(struct tcp_conn *conn); /* likewise, as an acknowledgement is due */
struct tcp_conn *tcp_next_output(void);
void tcp_leave_output(struct tcp_conn *conn);
bool tcp_too_many_half_open(void);
uint32_t tcp_initial_seq(uint32_t address, uint16_t peer_port, uint16_t port);
/* A keyed hash. */
uint64_t tcp_hash(uint64_t a, uint64_t b);
uint32_t tcp_now_ms(void);
/* Bytes to be taken now, by service and memory. */
uint32_t tcp_receive_room(struct tcp_conn *conn);
void tcp_leave_half_open(struct tcp_conn *conn);

#endif
