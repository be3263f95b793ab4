/* A worker thread of the load and its slots, each of which keeps a connection busy. */
#ifndef BENCH_SLOT_H
#define BENCH_SLOT_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "guest-tests/bench/load_result.h"
#include "guest-tests/bench/opts.h"
#include "guest-tests/bench/pace.h"

enum slot_state { IDLE, SENDING, RECEIVING, CLOSING, STREAMING };

/* One connection's place: the connection changes (crr), the slot stays. */
struct slot {
	struct slot *next; /* in idle or resting */
	int fd;		   /* -1: none */
	enum slot_state state;
	bool fresh; /* nothing sent on this connection yet */
	uint32_t sent, got;
	uint64_t intended; /* latency counts from here */
	uint64_t touched;  /* timeout counts from here */
	uint64_t bytes;	   /* streamed on this connection */
	uint64_t answer;   /* of a stream that is checked: how many bytes came right */
};

struct worker {
	const struct client_opts *o;
	const atomic_int *stop;
	unsigned int index;
	pthread_t thread;
	int rc;
	int epoll;
	char *buffer, *pattern; /* to receive into, to send from; NULL until set up */
	size_t buffer_size;
	struct slot *slots, *idle;
	struct slot *resting, **resting_tail; /* oldest first */
	uint32_t slot_count, busy;
	uint64_t to_start; /* transactions (or streams) to begin; without --count no end of them */
	bool reached;	   /* the server, once: see start_due() */
	uint64_t source_turn;
	struct pace pace;
	uint64_t warm_end, end;		   /* planned */
	uint64_t measure_from, measure_to; /* as it came; 0: not yet */
	uint64_t bytes_closed, bytes_at_start;
	struct load_result *r;
};

/* Whether every byte received is checked: with --count, from a server that answers with the pattern. */
static inline bool worker_checks(const struct worker *w)
{
	return w->o->count && !w->o->netperf;
}

/* Bytes streamed so far: of a sender, what the other side has acknowledged. */
uint64_t worker_delivered(const struct worker *w);

void slot_push_idle(struct worker *w, struct slot *s);
/* Begin a transaction or stream that was due at @intended, on a new connection where there is none. */
void slot_start(struct worker *w, struct slot *s, uint64_t intended, uint64_t now);
/* What epoll says about its connection. */
void slot_event(struct worker *w, struct slot *s, uint32_t events);
/* End a stream from this side: the other side's end then completes it. */
void slot_end_stream(struct worker *w, struct slot *s);
/* Count a failure by errno (or LOAD_ place), and let the slot rest. */
void slot_fail(struct worker *w, struct slot *s, int why);
void slot_close(struct worker *w, struct slot *s);

#endif
