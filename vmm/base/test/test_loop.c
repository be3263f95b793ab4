/* The event loop: watches, calls, timers, and stops that come early, late or twice. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vmm/base/loop.h"
#include "vmm/base/test/messages.h"
#include "vmm/base/test/unit.h"

#define NR 20u /* more than one batch */

struct source {
	struct loop_watch watch;
	atomic_uint calls;
	uint32_t last;
};

static struct loop *loop;
static struct source sources[NR];
static atomic_uint polls;

static int setup(void **state)
{
	assert_int_equal(loop_create(&loop, "a name that is far too long"), 0);
	return 0;
}

static int teardown(void **state)
{
	loop_join(loop);
	loop_destroy(loop);
	return 0;
}

/* Counts, drains, and after the third call ends its own watch; then all stop. */
static void ready(void *arg, uint32_t events)
{
	struct source *s = arg;
	eventfd_t n;

	s->last = events;
	if (atomic_fetch_add(&s->calls, 1) == 2) {
		assert_int_equal(loop_watch(loop, &s->watch, 0), 0);
		return;
	}
	assert_int_equal(eventfd_read(s->watch.fd, &n), 0);
	assert_int_equal(eventfd_write(s->watch.fd, 1), 0);
}

static bool work_until(void *arg)
{
	atomic_fetch_add(&polls, 1);
	for (unsigned int i = 0; i < NR; i++)
		if (atomic_load(&sources[i].calls) < 3)
			return true; /* the loop must not block, nor starve its descriptors */
	loop_stop(loop);
	return false;
}

static void test_watches(void **state)
{
	for (unsigned int i = 0; i < NR; i++) {
		sources[i] = (struct source){ .watch = { .fd = eventfd(1, EFD_NONBLOCK),
							 .ready = ready,
							 .arg = &sources[i] } };
		assert_int_equal(loop_watch(loop, &sources[i].watch, EPOLLIN), 0);
		assert_int_equal(loop_watch(loop, &sources[i].watch, EPOLLIN), 0);
	}
	loop_set_work(loop, work_until, NULL);
	loop_run(loop);
	for (unsigned int i = 0; i < NR; i++) {
		assert_int_equal(sources[i].calls, 3);
		assert_int_equal(sources[i].last, EPOLLIN);
		close(sources[i].watch.fd);
	}
	assert_true(polls > 3);
	loop_set_work(loop, NULL, NULL);
}

/* A callback ends the watch of another that is ready in the same batch. */
static void end_the_other(void *arg, uint32_t events)
{
	const unsigned int other = arg == &sources[0] ? 1 : 0;

	atomic_fetch_add(&((struct source *)arg)->calls, 1);
	assert_int_equal(loop_watch(loop, &sources[other].watch, 0), 0);
	loop_stop(loop);
}

static void test_ended_in_batch(void **state)
{
	int pair[2];

	for (unsigned int i = 0; i < 2; i++) {
		sources[i] = (struct source){ .watch = { .fd = eventfd(1, EFD_NONBLOCK),
							 .ready = end_the_other,
							 .arg = &sources[i] } };
		assert_int_equal(loop_watch(loop, &sources[i].watch, EPOLLIN), 0);
	}
	loop_run(loop);
	assert_true(!sources[0].calls != !sources[1].calls);
	for (unsigned int i = 0; i < 2; i++) {
		loop_watch(loop, &sources[i].watch, 0);
		close(sources[i].watch.fd);
	}

	/* A descriptor at its end is left alone when nothing is watched, and comes back. */
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	close(pair[1]);
	sources[0] = (struct source){
		.watch = { .fd = pair[0], .ready = end_the_other, .arg = &sources[0] }
	};
	sources[1].watch.events = 0;
	assert_int_equal(loop_watch(loop, &sources[0].watch, EPOLLIN), 0);
	assert_int_equal(loop_watch(loop, &sources[0].watch, 0), 0);
	loop_stop(loop);
	loop_run(loop);
	assert_int_equal(sources[0].calls, 0);
	assert_int_equal(loop_watch(loop, &sources[0].watch, EPOLLOUT), 0);
	loop_run(loop);
	assert_true(sources[0].calls);
	loop_watch(loop, &sources[0].watch, 0);
	close(pair[0]);
	assert_int_equal(loop_watch(loop, &sources[0].watch, EPOLLIN), -EBADF);
	assert_int_equal(sources[0].watch.events, 0);
}

static void count(void *arg, uint32_t events)
{
	eventfd_t n;

	assert_int_equal(eventfd_read(((struct source *)arg)->watch.fd, &n), 0);
	atomic_fetch_add(&((struct source *)arg)->calls, (unsigned int)n);
}

static void wait_calls(unsigned int n)
{
	for (unsigned int ms = 0; atomic_load(&sources[0].calls) < n; ms++) {
		if (ms == 20000)
			fail_msg("the loop does not run");
		usleep(1000);
	}
}

/* Started again after each kind of stop, the loop really runs. */
static void test_start_again(void **state)
{
	loop_join(loop); /* not started: nothing to wait for */
	sources[0] = (struct source){
		.watch = { .fd = eventfd(0, EFD_NONBLOCK), .ready = count, .arg = &sources[0] }
	};
	assert_int_equal(loop_watch(loop, &sources[0].watch, EPOLLIN), 0);
	for (unsigned int i = 0; i < 40; i++) {
		assert_int_equal(loop_start(loop, THREAD_NET, NULL), 0);
		eventfd_write(sources[0].watch.fd, 1);
		wait_calls(i + 1);
		for (unsigned int stops = 0; stops < i % 4; stops++) {
			loop_stop(loop);
			usleep(2000); /* the thread has ended by itself, most likely */
		}
		loop_join(loop);
		loop_join(loop);
	}
	close(sources[0].watch.fd);
}

static void test_stop_before_start(void **state)
{
	loop_stop(loop);
	loop_stop(loop);
	loop_run(loop); /* returns at once */
	loop_stop(loop);
	assert_int_equal(loop_start(loop, THREAD_NET, NULL), 0);
	loop_join(loop);
}

/* ---- calls ---- */

static struct {
	pthread_t on;
	atomic_uint calls;
	bool lost; /* one call began before another had ended */
	atomic_bool in;
} called;

static void note_call(void *arg)
{
	called.lost |= atomic_exchange(&called.in, true);
	called.on = pthread_self();
	(*(unsigned int *)arg)++;
	atomic_fetch_add(&called.calls, 1);
	atomic_store(&called.in, false);
}

static void test_call(void **state)
{
	unsigned int calls = 0;

	loop_call(loop, note_call, &calls); /* not running: on the caller's thread */
	assert_true(calls == 1 && pthread_equal(called.on, pthread_self()));
	for (unsigned int i = 0; i < 50; i++) {
		assert_int_equal(loop_start(loop, THREAD_NET, NULL), 0);
		loop_call(loop, note_call, &calls);
		loop_call(loop, note_call, &calls);
		assert_false(pthread_equal(called.on, pthread_self()));
		if (i % 2) {
			loop_stop(loop);
			loop_call(loop, note_call, &calls); /* there or here, but not lost */
		}
		loop_join(loop);
		loop_call(loop, note_call, &calls);
		assert_true(pthread_equal(called.on, pthread_self()));
		assert_int_equal(calls, 1 + 3 * (i + 1) + (i + 1) / 2);
	}
}

static void *call_often(void *arg)
{
	for (unsigned int i = 0; i < 500; i++)
		loop_call(loop, note_call, arg);
	return NULL;
}

/* Many callers, while the loop is busy, starts and stops. */
static void test_callers(void **state)
{
	unsigned int calls[4] = { 0 };
	pthread_t callers[4];

	atomic_store(&called.calls, 0);
	called.lost = false;
	for (unsigned int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&callers[i], NULL, call_often, &calls[i]), 0);
	while (atomic_load(&called.calls) < 2000) {
		assert_int_equal(loop_start(loop, THREAD_NET, NULL), 0);
		usleep(500);
		loop_join(loop);
	}
	for (unsigned int i = 0; i < 4; i++) {
		pthread_join(callers[i], NULL);
		assert_int_equal(calls[i], 500);
	}
	assert_false(called.lost);
}

static void never_drained(void *arg, uint32_t events)
{
	atomic_fetch_add(&((struct source *)arg)->calls, 1);
}

static void watch_in(void *arg)
{
	struct source *s = arg;

	if (loop_watch(loop, &s->watch, EPOLLIN))
		abort();
}

static void unwatch(void *arg)
{
	struct source *s = arg;

	loop_watch(loop, &s->watch, 0);
}

/* A watch that a call has removed is not looked at again: its memory may be gone. */
static void test_call_removes(void **state)
{
	assert_int_equal(loop_start(loop, THREAD_NET, NULL), 0);
	for (unsigned int i = 0; i < 200; i++) {
		struct source *s = calloc(1, sizeof(*s));

		s->watch = (struct loop_watch){ .fd = eventfd(1, 0),
						.ready = never_drained,
						.arg = s };
		loop_call(loop, watch_in, s);
		loop_call(loop, unwatch, s);
		close(s->watch.fd);
		memset(s, 0xff, sizeof(*s));
		free(s);
	}
}

/* ---- timers ---- */

static void expired(void *arg)
{
	atomic_fetch_add(&((struct source *)arg)->calls, 1);
}

static void test_timers(void **state)
{
	struct loop_timer t = { .expired = expired, .arg = &sources[0] };

	sources[0] = (struct source){ 0 };
	loop_timer_destroy(loop, &t); /* not made as yet */
	assert_int_equal(loop_timer_init(loop, &t), 0);
	assert_int_equal(loop_start(loop, THREAD_NET, NULL), 0);
	for (unsigned int i = 1; i <= 20; i++) {
		loop_timer_set(&t, 3600 * 1000000000ull);
		loop_timer_set(&t, i % 2 ? 1 : 1000000); /* the last counts */
		wait_calls(i);
	}
	loop_join(loop);
	assert_int_equal(sources[0].calls, 20); /* each once */

	/* Expired already, and taken back or set anew before the loop looks. */
	for (unsigned int i = 0; i < 2; i++) {
		loop_timer_set(&t, 1);
		usleep(1000);
		loop_timer_set(&t, i * 3600 * 1000000000ull);
		assert_int_equal(loop_start(loop, THREAD_NET, NULL), 0);
		usleep(10000);
		loop_join(loop);
		assert_int_equal(sources[0].calls, 20);
	}
	loop_timer_destroy(loop, &t);
	loop_timer_destroy(loop, &t);
}

static void test_no_descriptors(void **state)
{
	struct rlimit old, few = { 3, 0 };
	struct loop *none = NULL;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	few.rlim_max = old.rlim_max;
	messages_begin();
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	assert_int_equal(loop_create(&none, "net0"), -EMFILE);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	assert_string_equal(messages_end(),
			    "minivmm: cannot create event loop net0: Too many open files\n");
	assert_null(none);
	loop_destroy(NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_watches),	      TEST(test_ended_in_batch), TEST(test_start_again),
		TEST(test_stop_before_start), TEST(test_call),		 TEST(test_callers),
		TEST(test_call_removes),      TEST(test_timers),	 TEST(test_no_descriptors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
