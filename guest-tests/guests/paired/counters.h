/* Everything the kernel counts; printed as name=value lines. */
#ifndef COUNTERS_H
#define COUNTERS_H

#include <stdint.h>

#define COUNTERS(X)                                                                        \
	X(rx_packets)                                                                      \
	X(rx_bytes)                                                                        \
	X(tx_packets)                                                                      \
	X(tx_bytes)                                                                        \
	X(tx_ring_full) /* sending had to wait for a buffer; nothing is lost by that */    \
	X(tx_lost)	/* an answer found no buffer: never, by net_has_room() */          \
	X(kicks)	/* doorbells rung */                                               \
	X(sleeps)	/* went idle */                                                    \
	X(interrupts)                                                                      \
	X(rx_missed)	 /* the card had no buffer for them, and says so */                \
	X(rx_bad_device) /* used entries that no device may write */                       \
	X(rx_bad_frame)	 /* too short, not for us, an unknown protocol */                  \
	X(rx_bad_checksum)                                                                 \
	X(rx_fragments)	     /* of IP datagrams */                                         \
	X(rx_fragments_lost) /* datagrams given up: overlaps, too many at once, too old */ \
	X(tx_too_large)	     /* an answer that would have to be in fragments: not sent */  \
	X(arp_replies)                                                                     \
	X(icmp_echoes)                                                                     \
	X(udp_received)                                                                    \
	X(udp_no_port)                                                                     \
	X(tcp_accepted) /* connections established */                                      \
	X(tcp_closed)	/* by both sides, in order */                                      \
	X(tcp_reset)	/* by the peer */                                                  \
	X(tcp_aborted)	/* by us: timed out or refused by the service */                   \
	X(tcp_retransmits)                                                                 \
	X(tcp_timeouts)                                                                    \
	X(tcp_fast_recoveries)                                                             \
	X(tcp_out_of_order)                                                                \
	X(tcp_duplicates)                                                                  \
	X(tcp_no_port)	    /* answered by a reset */                                      \
	X(tcp_unacceptable) /* outside the window, or an old time stamp */                 \
	X(tcp_cookies_sent)                                                                \
	X(tcp_cookies_good)                                                                \
	X(tcp_no_memory) /* connection or data refused */                                  \
	X(tcp_time_wait_reused)

struct counters {
#define COUNTER_FIELD(name) uint64_t name;
	COUNTERS(COUNTER_FIELD)
#undef COUNTER_FIELD
};
extern struct counters counters;

/*
 * Writes all of them, summed over the processors, one name=value line each, into text of size bytes; returns the length,
 * 0 if it does not fit.
 */
uint32_t counters_text(char *text, uint32_t size);
/* Prints all of them on the console. */
void counters_print(void);

#endif
