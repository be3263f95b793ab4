/*
 * An epoll loop: a thread that owns file descriptors and their callbacks.
 *
 * It is born with its stop event and joined by its owner. Callbacks run on the loop's thread, one at
 * a time. Watches are added and removed on that thread, or while the loop is not running.
 */
#ifndef VMM_BASE_LOOP_H
#define VMM_BASE_LOOP_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "vmm/base/util.h"

struct loop;

/* Owned by the caller; must stay where it is while watched. */
struct loop_watch {
	int fd;
	uint32_t events; /* what is watched now (EPOLLIN, EPOLLOUT); 0: nothing */
	bool added;	 /* the loop's own */
	void (*ready)(void *arg, uint32_t events);
	void *arg;
};

/* -errno with a message. @name (up to 15 bytes) becomes the thread's name. */
int must_check loop_create(struct loop **out, const char *name);

/* The loop must not be running. Safe on NULL. */
void loop_destroy(struct loop *loop);

/* Watch @w->fd for @events (level-triggered), changing what was watched before; 0: not at all. */
int loop_watch(struct loop *loop, struct loop_watch *w, uint32_t events);

/*
 * @poll is called before the loop would block; while it returns true the loop looks at its
 * descriptors without blocking and calls it again. For short busy-polling.
 */
void loop_set_poll(struct loop *loop, bool (*poll)(void *arg), void *arg);

/* Run on the calling thread until loop_stop(). */
void loop_run(struct loop *loop);

/* Run on a thread of its own. -errno with a message. */
int must_check loop_start(struct loop *loop);

/* End loop_run(), from any thread or signal handler; a loop_start()ed thread is then to be joined.
 * Stopping twice, or before the start, is allowed: the loop then returns at once. */
void loop_stop(struct loop *loop);

/* loop_stop(), then wait for loop_start()'s thread, if there is one. It can be started again. */
void loop_join(struct loop *loop);

#endif
