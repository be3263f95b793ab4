/* TCP segments on their way out. */
#ifndef TCP_OUT_H
#define TCP_OUT_H

#include "guest-tests/guests/paired/tcp_internal.h"

/* Sends one segment from the first unacknowledged byte on, whatever the windows say. */
void tcp_retransmit(struct tcp_conn *conn, uint32_t length);

/* Has our answer to a SYN sent, as soon as there is a buffer for it. */
void tcp_send_syn_ack(struct tcp_conn *conn);

/* Segments outside of any connection. */
void tcp_send_reset(const struct ip_peer *to, const struct tcp_segment *cause, uint32_t length);
void tcp_send_cookie(const struct ip_peer *to, const struct tcp_segment *syn, uint32_t cookie);

#endif
