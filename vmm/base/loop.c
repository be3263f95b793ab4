/* An epoll loop with its stop event. */
#include "vmm/base/loop.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "vmm/base/log.h"

#define BATCH 8

struct loop {
	int epoll_fd, stop_fd;
	bool stopped; /* seen on the loop's thread */
	bool joinable;
	pthread_t thread;
	struct loop_watch stop_watch;
	bool (*poll)(void *arg);
	void *poll_arg;
	char name[16];
};

static void on_stop(void *arg, uint32_t events)
{
	struct loop *loop = arg;

	(void)events;
	loop->stopped = true;
}

int loop_create(struct loop **out, const char *name)
{
	struct loop *loop = calloc(1, sizeof(*loop));
	int ret = -ENOMEM;

	if (!loop)
		goto fail;
	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	loop->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (loop->epoll_fd < 0 || loop->stop_fd < 0) {
		ret = -errno;
		goto fail;
	}
	snprintf(loop->name, sizeof(loop->name), "%s", name);
	loop->stop_watch =
		(struct loop_watch){ .fd = loop->stop_fd, .ready = on_stop, .arg = loop };
	ret = loop_watch(loop, &loop->stop_watch, EPOLLIN);
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
	if (loop->stop_fd >= 0)
		close(loop->stop_fd);
	if (loop->epoll_fd >= 0)
		close(loop->epoll_fd);
	free(loop);
}

int loop_watch(struct loop *loop, struct loop_watch *w, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = w };
	int op;

	if (w->events == events)
		return 0;
	if (!events)
		op = EPOLL_CTL_DEL; /* with events 0 epoll would still report EPOLLHUP */
	else
		op = w->added ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
	if (epoll_ctl(loop->epoll_fd, op, w->fd, &ev) < 0)
		return -errno;
	w->events = events;
	w->added = events != 0;
	return 0;
}

void loop_set_poll(struct loop *loop, bool (*poll)(void *arg), void *arg)
{
	loop->poll = poll;
	loop->poll_arg = arg;
}

static void forget_stops(struct loop *loop)
{
	uint64_t stops;
	ssize_t r = read(loop->stop_fd, &stops, sizeof(stops));
	(void)r;
}

void loop_run(struct loop *loop)
{
	struct epoll_event ev[BATCH];

	loop->stopped = false;
	while (!loop->stopped) {
		const bool busy = loop->poll && loop->poll(loop->poll_arg);
		const int n = epoll_wait(loop->epoll_fd, ev, BATCH, busy ? 0 : -1);

		for (int i = 0; i < n; i++) {
			struct loop_watch *w = ev[i].data.ptr;

			/* An earlier callback of this batch may have ended the watch. */
			if (w->events)
				w->ready(w->arg, ev[i].events);
		}
	}
	forget_stops(loop);
}

static void *loop_thread(void *arg)
{
	loop_run(arg);
	return NULL;
}

int loop_start(struct loop *loop)
{
	int err = pthread_create(&loop->thread, NULL, loop_thread, loop);

	if (err) {
		log_error("cannot start thread %s: %s", loop->name, strerror(err));
		return -err;
	}
	pthread_setname_np(loop->thread, loop->name);
	loop->joinable = true;
	return 0;
}

void loop_stop(struct loop *loop)
{
	const uint64_t one = 1;
	ssize_t n = write(loop->stop_fd, &one, sizeof(one));
	(void)n;
}

void loop_join(struct loop *loop)
{
	if (!loop->joinable)
		return;
	loop_stop(loop);
	pthread_join(loop->thread, NULL);
	forget_stops(loop); /* the thread may have ended before our own */
	loop->joinable = false;
}
