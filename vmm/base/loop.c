/* An epoll loop. */
#include "vmm/base/loop.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "vmm/base/event.h"
#include "vmm/base/log.h"

#define BATCH 8

struct loop {
	int epoll_fd;
	struct loop_watch wake; /* an event: there is a call, or a stop */
	bool woken;
	atomic_bool stop;
	bool (*work)(void *arg);
	void *work_arg;
	char name[16];
	int fd; /* of the thread's own */
	struct thread thread;
	_Atomic pthread_t runner; /* in loop_run(); 0: nobody */

	pthread_mutex_t callers; /* held for the whole of loop_call(): one at a time */
	pthread_mutex_t lock;	 /* of what follows */
	pthread_cond_t called;
	bool running;
	void (*call)(void *arg);
	void *call_arg;
};

static void on_wake(void *arg, uint32_t events)
{
	struct loop *loop = arg;

	event_clear(loop->wake.fd);
	loop->woken = true;
}

int loop_create(struct loop **out, const char *name)
{
	struct loop *loop = calloc(1, sizeof(*loop));
	int ret = -ENOMEM;

	if (!loop)
		goto fail;
	pthread_mutex_init(&loop->callers, NULL);
	pthread_mutex_init(&loop->lock, NULL);
	pthread_cond_init(&loop->called, NULL);
	snprintf(loop->name, sizeof(loop->name), "%s", name);
	loop->fd = -1;
	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	ret = loop->epoll_fd < 0 ? -errno : 0;
	loop->wake = (struct loop_watch){ .fd = event_create(), .ready = on_wake, .arg = loop };
	if (!ret)
		ret = MIN(loop->wake.fd, 0) ?: loop_watch(loop, &loop->wake, EPOLLIN);
	if (ret)
		goto fail;
	*out = loop;
	return 0;
fail:
	log_error("cannot create event loop %s: %s", name, strerror(-ret));
	loop_destroy(loop);
	return ret;
}

void loop_destroy(struct loop *loop)
{
	if (!loop)
		return;
	loop_join(loop);
	close_fd(loop->wake.fd);
	close_fd(loop->epoll_fd);
	pthread_cond_destroy(&loop->called);
	pthread_mutex_destroy(&loop->lock);
	pthread_mutex_destroy(&loop->callers);
	free(loop);
}

int loop_watch(struct loop *loop, struct loop_watch *w, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = w };
	int op = EPOLL_CTL_MOD;

	if (w->events == events)
		return 0;
	if (!events)
		op = EPOLL_CTL_DEL; /* with events 0 epoll would still report EPOLLHUP */
	else if (!w->events)
		op = EPOLL_CTL_ADD;
	if (epoll_ctl(loop->epoll_fd, op, w->fd, &ev) < 0)
		return -errno;
	w->events = events;
	return 0;
}

void loop_set_work(struct loop *loop, bool (*work)(void *arg), void *arg)
{
	loop->work = work;
	loop->work_arg = arg;
}

/* ---- timers ---- */

static void on_timer(void *arg, uint32_t events)
{
	struct loop_timer *t = arg;
	uint64_t expirations;

	/* Nothing to read: it was set anew since. */
	if (read(t->watch.fd, &expirations, sizeof(expirations)) == sizeof(expirations))
		t->expired(t->arg);
}

int loop_timer_init(struct loop *loop, struct loop_timer *t)
{
	const int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	int ret;

	if (fd < 0)
		return -errno;
	t->watch = (struct loop_watch){ .fd = fd, .ready = on_timer, .arg = t };
	ret = loop_watch(loop, &t->watch, EPOLLIN);
	if (ret)
		loop_timer_destroy(loop, t);
	return ret;
}

void loop_timer_set(struct loop_timer *t, uint64_t ns)
{
	const struct itimerspec when = {
		.it_value = { .tv_sec = (time_t)(ns / 1000000000),
			      .tv_nsec = (long)(ns % 1000000000) },
	};

	timerfd_settime(t->watch.fd, 0, &when, NULL);
}

void loop_timer_destroy(struct loop *loop, struct loop_timer *t)
{
	if (!t->watch.ready)
		return;
	loop_watch(loop, &t->watch, 0);
	close(t->watch.fd);
	t->watch.ready = NULL;
}

/* ---- running ---- */

/* Under the lock. */
static void serve_call(struct loop *loop)
{
	if (!loop->call)
		return;
	loop->call(loop->call_arg);
	loop->call = NULL;
	pthread_cond_signal(&loop->called);
}

static void set_running(struct loop *loop, bool running)
{
	hold(&loop->lock);
	serve_call(loop); /* one that came with the stop */
	loop->running = running;
}

static void one_round(struct loop *loop)
{
	const bool busy = loop->work && loop->work(loop->work_arg);
	struct epoll_event ev[BATCH];
	const int n = epoll_wait(loop->epoll_fd, ev, BATCH, busy ? 0 : -1);

	for (int i = 0; i < n; i++) {
		struct loop_watch *w = ev[i].data.ptr;

		/* An earlier callback of this round may have ended the watch. */
		if (w->events)
			w->ready(w->arg, ev[i].events);
	}
	/* Last: the caller may free what this round still looked at. */
	if (loop->woken) {
		loop->woken = false;
		hold(&loop->lock);
		serve_call(loop);
	}
}

static void forget_stops(struct loop *loop)
{
	atomic_store(&loop->stop, false);
	event_clear(loop->wake.fd);
}

void loop_run(struct loop *loop)
{
	set_running(loop, true);
	atomic_store_explicit(&loop->runner, pthread_self(), memory_order_relaxed);
	while (!atomic_load_explicit(&loop->stop, memory_order_acquire))
		one_round(loop);
	atomic_store_explicit(&loop->runner, 0, memory_order_relaxed);
	set_running(loop, false);
	forget_stops(loop);
}

static void loop_thread(void *arg)
{
	loop_run(arg);
}

void loop_set_fd(struct loop *loop, int fd)
{
	loop->fd = fd;
}

int loop_start(struct loop *loop, enum thread_kind kind, const struct thread_guard *guard)
{
	int err;

	set_running(loop, true); /* from now on a call waits for the thread */
	loop->thread =
		(struct thread){ .kind = kind, .name = loop->name, .fd = loop->fd, .guard = guard };
	err = thread_start(&loop->thread, loop_thread, loop);
	if (err)
		set_running(loop, false);
	return err;
}

void loop_call(struct loop *loop, void (*fn)(void *arg), void *arg)
{
	if (atomic_load_explicit(&loop->runner, memory_order_relaxed) == pthread_self()) {
		fn(arg);
		return;
	}
	pthread_mutex_lock(&loop->callers);
	pthread_mutex_lock(&loop->lock);
	loop->call_arg = arg;
	loop->call = fn;
	if (!loop->running)
		serve_call(loop);
	else
		event_signal(loop->wake.fd);
	while (loop->call)
		pthread_cond_wait(&loop->called, &loop->lock);
	pthread_mutex_unlock(&loop->lock);
	pthread_mutex_unlock(&loop->callers);
}

void loop_stop(struct loop *loop)
{
	atomic_store(&loop->stop, true);
	event_signal(loop->wake.fd);
}

void loop_join(struct loop *loop)
{
	if (!loop->thread.started)
		return;
	loop_stop(loop);
	thread_join(&loop->thread);
	forget_stops(loop); /* the thread may have ended before our own */
}
