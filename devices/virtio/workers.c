/* Workers: a few threads that serve the requests of one queue side by side. */
#include "devices/virtio/workers.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "vmm/base/event.h"
#include "vmm/base/log.h"

struct worker {
	struct virtio_workers *all;
	struct thread thread;
	char name[16];
	struct iovec iov[VIRTQ_SIZE_MAX];
	void *own;
};

struct virtio_workers {
	struct virtio_workers_params p;
	struct virtq *vq;
	pthread_mutex_t lock; /* of the queue and what follows */
	pthread_cond_t quiet; /* all are idle */
	unsigned int idle;
	bool active; /* the driver has set the queue up */
	bool stop;
	int epoll_fd; /* where they wait: each wake-up is for one of them */
	int wake_fd;  /* an event, as the driver's kick is */
	struct worker worker[];
};

/* Wakes one worker: edge-triggered, and several that wait at one epoll are woken in turn. */
static int wake_by(struct virtio_workers *w, int fd)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLET, .data.fd = fd };

	return epoll_ctl(w->epoll_fd, EPOLL_CTL_ADD, fd, &ev) < 0 ? -errno : 0;
}

/* True if it was the driver. */
static bool wait_for_work(struct virtio_workers *w)
{
	struct epoll_event ev;

	if (epoll_wait(w->epoll_fd, &ev, 1, -1) != 1)
		return false;
	if (ev.data.fd == w->wake_fd)
		event_clear(w->wake_fd);
	return ev.data.fd != w->wake_fd;
}

/* Takes and gives back the lock: the request itself is served without it. */
static void serve(struct worker *me, const struct virtq_chain *chain)
{
	struct virtio_workers *w = me->all;
	uint32_t written;

	pthread_mutex_unlock(&w->lock);
	written = w->p.serve(w->p.arg, me->own, chain, me->iov);
	pthread_mutex_lock(&w->lock);
	w->p.count(w->p.arg, me->own);
	virtq_push(w->vq, chain, written);
	virtio_publish(w->p.dev, w->p.queue);
}

/*
 * Workers wait for kicks and take chains from the queue themselves. One that takes a chain while others are idle
 * asks for kicks, and wakes one of them where there is more already; when all are busy, kicks are for nothing, for
 * each looks again when it is done.
 */
static void work(void *arg)
{
	struct worker *me = arg;
	struct virtio_workers *w = me->all;
	struct virtq_chain chain;

	pthread_mutex_lock(&w->lock);
	while (!w->stop) {
		int ret = 0;

		if (w->active)
			ret = virtq_pop(w->vq, &chain, me->iov, ARRAY_SIZE(me->iov));
		if (ret > 0) {
			if (!w->idle)
				virtq_kicks_off(w->vq);
			else if (virtq_kicks_on(w->vq))
				event_signal(w->wake_fd);
			serve(me, &chain);
			continue;
		}
		if (ret < 0)
			virtio_fail(w->p.dev, "its ring is broken");
		else if (w->active && virtq_kicks_on(w->vq))
			event_signal(
				w->wake_fd); /* not under this lock: it may be a guest's play */
		if (++w->idle == w->p.nr)
			pthread_cond_broadcast(&w->quiet);
		pthread_mutex_unlock(&w->lock);
		const bool kicked = wait_for_work(w);
		pthread_mutex_lock(&w->lock);
		w->idle--;
		if (kicked)
			virtq_ack_kick(w->vq);
	}
	pthread_mutex_unlock(&w->lock);
	event_signal(w->wake_fd); /* the next one is to see it, too */
}

static int start(struct virtio_workers *w)
{
	int ret = 0;

	for (unsigned int i = 0; !ret && i < w->p.nr; i++) {
		struct worker *me = &w->worker[i];

		me->all = w;
		/* Of two queues (virtio-fs) the first has one worker. */
		snprintf(me->name, sizeof(me->name), "%s.%u", w->p.dev->name, w->p.queue + i);
		me->thread = (struct thread){ .kind = w->p.kind,
					      .fd = w->p.fd,
					      .writable = w->p.writable,
					      .name = me->name,
					      .guard = w->p.guard };
		me->own = calloc(1, w->p.room);
		ret = me->own ? thread_start(&me->thread, work, me) : -ENOMEM;
	}
	return ret;
}

int virtio_workers_create(struct virtio_workers **out, const struct virtio_workers_params *params)
{
	struct virtio_workers *w = calloc(1, sizeof(*w) + params->nr * sizeof(w->worker[0]));
	int ret;

	if (!w)
		return -ENOMEM;
	w->p = *params;
	w->vq = &params->dev->vq[params->queue];
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->quiet, NULL);
	w->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	w->wake_fd = event_create();
	ret = w->epoll_fd < 0 ? -errno : MIN(w->wake_fd, 0);
	if (!ret)
		ret = wake_by(w, w->wake_fd) ?: wake_by(w, w->vq->kick_fd) ?: start(w);
	if (ret) {
		log_otherwise("cannot create the workers of %s: %s", params->dev->name,
			      strerror(-ret));
		virtio_workers_destroy(w);
		return ret;
	}
	*out = w;
	return 0;
}

void virtio_workers_start(struct virtio_workers *w)
{
	pthread_mutex_lock(&w->lock);
	w->active = true;
	pthread_mutex_unlock(&w->lock);
	event_signal(w->wake_fd);
}

void virtio_workers_stop(struct virtio_workers *w)
{
	hold(&w->lock);
	w->active = false;
	while (w->idle < w->p.nr)
		pthread_cond_wait(&w->quiet, &w->lock);
}

void virtio_workers_destroy(struct virtio_workers *w)
{
	if (!w)
		return;
	pthread_mutex_lock(&w->lock);
	w->stop = true;
	pthread_mutex_unlock(&w->lock);
	if (w->wake_fd >= 0)
		event_signal(w->wake_fd);
	for (unsigned int i = 0; i < w->p.nr; i++) {
		thread_join(&w->worker[i].thread);
		free(w->worker[i].own);
	}
	close_fd(w->wake_fd);
	close_fd(w->epoll_fd);
	pthread_cond_destroy(&w->quiet);
	pthread_mutex_destroy(&w->lock);
	free(w);
}
