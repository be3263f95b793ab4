/*
 * SYN cookies: while too many connections are half open, all that a SYN says is kept
 * in the initial sequence number of its answer, and the connection is made when the peer shows it
 * again (RFC 4987, 3.6).
 *
 * A cookie is 5 bits of time, 3 bits of MSS and 24 bits of keyed hash. Scaling and time stamps are
 * given up.
 */
#ifndef TCP_COOKIE_H
#define TCP_COOKIE_H

#include "guest-tests/guests/paired/tcp_internal.h"

uint32_t tcp_cookie_make(const struct ip_peer *peer, const struct tcp_segment *syn);

/* Whether an acknowledgement answers a cookie; then it says which MSS the cookie holds. */
bool tcp_cookie_check(const struct ip_peer *peer, const struct tcp_segment *ack, uint16_t *mss);

#endif
