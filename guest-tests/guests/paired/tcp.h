/*
 * A TCP server (RFC 9293), as its services see it.
 *
 * A service listens on a port and is called back. Callbacks never block; what they send goes out
 * together with the acknowledgement at the end of the batch that called them.
 */
#ifndef TCP_H
#define TCP_H

#include <stdbool.h>
#include <stdint.h>

#include "guest-tests/guests/paired/ip.h"

struct tcp_conn;

/* What a service has no need of may be NULL, but for received() and ended(). */
struct tcp_service {
	/* The connection is established. */
	void (*opened)(struct tcp_conn *conn);
	/*
	 * Data in order; returns how much of it was taken. What is not taken comes again later,
	 * when the peer repeats it.
	 */
	uint32_t (*received)(struct tcp_conn *conn, const uint8_t *data, uint32_t length);
	/* How much received() would take now: the window. Without it whatever comes. */
	uint32_t (*room)(struct tcp_conn *conn);
	/* tcp_send() took less than it was given before, and now there is room again. */
	void (*writable)(struct tcp_conn *conn);
	/* The peer has sent its last. A service that has no more to say calls tcp_close(). */
	void (*ended)(struct tcp_conn *conn);
	/* The connection is gone, in whatever way; the last call. */
	void (*gone)(struct tcp_conn *conn);
};

/* Takes memory for connections and data. False if there is far too little. */
bool tcp_start(void);

/* Serves a port; a service of NULL ends it (connections stay). False when too many are served. */
bool tcp_listen(uint16_t port, const struct tcp_service *service);

/* Sends what the last batch has made ready: data, acknowledgements. */
void tcp_flush(void);

/* Runs the timers that are due, and says when to come again at the latest (clock_us() time). */
uint64_t tcp_timers(void);

/* Queues data; returns how much was taken. */
uint32_t tcp_send(struct tcp_conn *conn, const void *data, uint32_t length);
/* How much tcp_send() would take. */
uint32_t tcp_send_room(const struct tcp_conn *conn);
/* Ends this direction behind what is queued. Data may still come in. */
void tcp_close(struct tcp_conn *conn);
/*
 * Resets the connection. The service's gone() is not called, and the connection must not be used
 * again.
 */
void tcp_abort(struct tcp_conn *conn);
/* Whether tcp_close() was called. */
bool tcp_closing(const struct tcp_conn *conn);

/* The service's own words, zero in a new connection. */
struct tcp_words {
	void *pointer;
	uint32_t a, b, c;
};
struct tcp_words *tcp_words(struct tcp_conn *conn);
uint16_t tcp_port(const struct tcp_conn *conn);

#endif
