/* The client's load: worker threads that keep connections busy and measure them. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "guest-tests/bench/load.h"
#include "guest-tests/bench/pattern.h"
#include "guest-tests/bench/util.h"
#include "guest-tests/bench/slot.h"
#include "vmm/base/util.h"

#define SWEEP_NS 50000000u /* how often timeouts and the stop flag are looked at */
#define BACKOFF_NS \
	10000000u /* a failed connection rests this long: no storm against a dead server */
#define GRACE_NS 2000000000u /* for what is in flight at the end */
#define EVENTS	 256

/* Start what is due: every idle slot in a closed loop, as many as the pace says in an open one. */
static void start_due(struct worker *w, uint64_t now)
{
	struct slot *s;
	uint64_t intended;

	while (w->resting && now - w->resting->touched >= BACKOFF_NS) {
		s = w->resting;
		w->resting = s->next;
		if (!w->resting)
			w->resting_tail = &w->resting;
		slot_push_idle(w, s);
	}
	/*
	 * The first connection goes ahead alone: until a neighbour's address is known, the kernel keeps only so
	 * many packets for it, and what it drops of a thousand SYNs comes again a second later.
	 */
	if (!w->reached && w->busy && !w->o->rate)
		return;
	while (w->idle && w->to_start && (!w->o->rate || pace_peek(&w->pace) <= now)) {
		intended = w->o->rate ? pace_take(&w->pace) : now;
		s = w->idle;
		w->idle = s->next;
		w->to_start--;
		slot_start(w, s, intended, now);
		if (!w->reached && !w->o->rate)
			return;
	}
}

static void sweep(struct worker *w, uint64_t now)
{
	struct slot *s;

	for (uint32_t i = 0; i < w->slot_count; i++) {
		s = &w->slots[i];
		if (s->state != IDLE && now > s->touched + w->o->timeout_ns)
			slot_fail(w, s, s->state == CLOSING ? LOAD_NOCLOSE : ETIMEDOUT);
	}
}

/* The measured time is over: no new transactions; a stream is ended so that its last bytes are counted. */
static void finish(struct worker *w, uint64_t now)
{
	struct slot *s;

	/* What fell due since the last look is not late yet. */
	if (w->o->rate)
		start_due(w, now < w->end ? now : w->end - 1);
	w->measure_to = now;
	if (!w->measure_from)
		w->measure_from = now;
	w->r->bytes = worker_delivered(w) - w->bytes_at_start;
	w->r->seconds = (double)(now - w->measure_from) / 1e9;
	for (uint32_t i = 0; i < w->slot_count; i++) {
		s = &w->slots[i];
		if (s->state == IDLE) {
			slot_close(w, s);
		} else if (opts_stream(w->o)) {
			slot_end_stream(w, s);
		}
	}
}

/* What never got its answer counts as late as it already was: leaving it out would flatter the rest. */
static void count_the_late(struct worker *w, uint64_t now)
{
	uint64_t intended;

	w->r->unfinished = w->busy;
	if (!w->o->rate)
		return;
	for (uint32_t i = 0; i < w->slot_count; i++)
		if (w->slots[i].state != IDLE && w->slots[i].intended >= w->warm_end)
			hist_add(&w->r->latency, now - w->slots[i].intended);
	while ((intended = pace_take(&w->pace)) < w->measure_to) {
		w->r->overdue++;
		if (intended >= w->warm_end)
			hist_add(&w->r->latency, w->measure_to - intended);
	}
}

static void earlier(uint64_t *when, uint64_t other)
{
	if (other < *when)
		*when = other;
}

static int wait_events(struct worker *w, struct epoll_event *events, uint64_t now)
{
	uint64_t wake = now + SWEEP_NS, wait;
	struct timespec timeout;

	if (!w->measure_from)
		earlier(&wake, w->warm_end);
	if (!w->measure_to) {
		earlier(&wake, w->end);
		if (w->resting)
			earlier(&wake, w->resting->touched + BACKOFF_NS);
		if (w->o->rate && w->idle && w->to_start)
			earlier(&wake, pace_peek(&w->pace));
	}
	wait = wake > now ? wake - now : 0;
	timeout.tv_sec = 0;
	timeout.tv_nsec = (long)wait;
	return epoll_pwait2(w->epoll, events, EVENTS, &timeout, NULL);
}

static int worker_loop(struct worker *w)
{
	struct epoll_event events[EVENTS];
	uint64_t now, next_sweep = 0;
	int n;

	for (;;) {
		now = now_ns();
		if (!w->measure_from && now >= w->warm_end) {
			w->bytes_at_start = worker_delivered(w);
			w->measure_from = now;
		}
		if (!w->measure_to &&
		    (now >= w->end || (!w->to_start && !w->busy) || atomic_load(w->stop)))
			finish(w, now);
		if (w->measure_to && (!w->busy || now >= w->measure_to + GRACE_NS))
			break;
		if (!w->measure_to)
			start_due(w, now);
		if (now >= next_sweep) {
			sweep(w, now);
			next_sweep = now + SWEEP_NS;
		}
		n = wait_events(w, events, now);
		if (n < 0 && errno != EINTR) {
			n = -errno;
			fprintf(stderr, "crr: cannot wait for events: %s\n", strerror(-n));
			return n;
		}
		for (int i = 0; i < n; i++)
			slot_event(w, events[i].data.ptr, events[i].events);
	}
	count_the_late(w, now);
	return 0;
}

static void *worker_main(void *arg)
{
	struct worker *w = arg;

	/* The default slack of 50 us would blur an open loop's send times. */
	prctl(PR_SET_TIMERSLACK, 1);
	w->rc = worker_loop(w);
	for (uint32_t i = 0; i < w->slot_count; i++)
		slot_close(w, &w->slots[i]);
	w->r->bytes_all = w->bytes_closed;
	return NULL;
}

static int worker_init(struct worker *w, uint64_t start)
{
	const struct client_opts *o = w->o;

	w->epoll = -1;
	w->slot_count = o->connections / o->threads + (w->index < o->connections % o->threads);
	w->buffer_size = 65536;
	if (w->buffer_size < o->request)
		w->buffer_size = o->request;
	if (w->buffer_size < o->block)
		w->buffer_size = o->block;
	if (w->buffer_size <= o->response)
		w->buffer_size = o->response + 1; /* so that one byte too many is seen */
	w->resting_tail = &w->resting;
	w->warm_end = start + o->warmup_ns;
	w->end = w->warm_end + o->seconds_ns;
	w->to_start = UINT64_MAX;
	if (o->count) {
		w->warm_end = start;
		w->end = UINT64_MAX;
		w->to_start = opts_stream(w->o)
				      ? w->slot_count
				      : o->count / o->threads + (w->index < o->count % o->threads);
	}
	if (o->rate)
		pace_init(&w->pace, start, o->rate, w->index, o->threads);
	w->slots = calloc(w->slot_count, sizeof(*w->slots));
	w->buffer = calloc(1, w->buffer_size);
	w->pattern = pattern_new(w->buffer_size);
	w->r = calloc(1, sizeof(*w->r));
	if (!w->slots || !w->buffer || !w->pattern || !w->r)
		return -ENOMEM;
	for (uint32_t i = 0; i < w->slot_count; i++) {
		w->slots[i].fd = -1;
		slot_push_idle(w, &w->slots[i]);
	}
	w->epoll = epoll_create1(EPOLL_CLOEXEC);
	return w->epoll < 0 ? -errno : 0;
}

static void worker_free(struct worker *w)
{
	if (w->epoll >= 0)
		close(w->epoll);
	free(w->slots);
	free(w->buffer);
	free(w->pattern);
	free(w->r);
}

static void merge(struct load_result *into, const struct load_result *from)
{
	if (from->seconds > into->seconds)
		into->seconds = from->seconds;
	into->transactions += from->transactions;
	into->transactions_all += from->transactions_all;
	into->bytes += from->bytes;
	into->bytes_all += from->bytes_all;
	for (int i = 0; i < LOAD_FAILURES; i++)
		into->failure[i] += from->failure[i];
	into->overdue += from->overdue;
	into->unfinished += from->unfinished;
	hist_merge(&into->latency, &from->latency);
}

int load_run(const struct client_opts *o, const atomic_int *stop, struct load_result *r)
{
	struct worker *workers = calloc(o->threads, sizeof(*workers));
	uint64_t start = now_ns(), files = util_raise_file_limit();
	uint32_t made = 0, running = 0;
	int rc = workers ? 0 : -ENOMEM;

	if (!rc && files < o->connections + 16 + o->threads) {
		fprintf(stderr,
			"crr: %u connections need more open files than the %llu allowed here (ulimit -n)\n",
			o->connections, (unsigned long long)files);
		rc = -EMFILE;
		goto out;
	}
	for (; !rc && made < o->threads; made++) {
		workers[made].o = o;
		workers[made].stop = stop;
		workers[made].index = made;
		rc = worker_init(&workers[made], start);
	}
	for (; !rc && running < o->threads; running++)
		rc = -pthread_create(&workers[running].thread, NULL, worker_main,
				     &workers[running]);
	if (rc) {
		/* The thread that could not be created is counted in running: take it back out. */
		running -= running > 0;
		fprintf(stderr, "crr: cannot start %u threads with %u connections: %s\n",
			o->threads, o->connections, strerror(-rc));
	}
	for (uint32_t i = 0; i < running; i++) {
		pthread_join(workers[i].thread, NULL);
		merge(r, workers[i].r);
		if (!rc)
			rc = workers[i].rc;
	}
out:
	for (uint32_t i = 0; i < made; i++)
		worker_free(&workers[i]);
	free(workers);
	return rc;
}

const char *load_failure_name(unsigned int place)
{
	const char *name;

	if (place == LOAD_EOF)
		return "EOF";
	if (place == LOAD_NOCLOSE)
		return "NOCLOSE";
	name = strerrorname_np((int)place);
	return name ? name : "UNKNOWN";
}
