/*
 * An epoll loop: a thread that owns file descriptors, timers and their callbacks.
 *
 * Threads are the machine's, work is the device's: a loop is created and started while the machine is
 * built, and sleeps. A device that is activated or reset has loop_call() add or remove its watches.
 * Callbacks run on the loop's thread, one at a time. Watches are added, changed and removed on that
 * thread, or while the loop is not running.
 */
#ifndef VMM_BASE_LOOP_H
#define VMM_BASE_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/base/thread.h"
#include "vmm/base/util.h"

struct loop;

/* Owned by the caller; must stay where it is while watched. */
struct loop_watch {
	int fd;
	uint32_t events; /* what is watched now (EPOLLIN, EPOLLOUT); 0: nothing */
	void (*ready)(void *arg, uint32_t events);
	void *arg;
};

/* Owned by the caller, who fills in the first two; must stay where it is until destroyed. */
struct loop_timer {
	void (*expired)(void *arg);
	void *arg;
	struct loop_watch watch; /* the loop's own */
};

/* -errno with a message. @name (up to 15 bytes) becomes the thread's name. */
int must_check loop_create(struct loop **out, const char *name);

/* Ends the thread, if there is one. Safe on NULL. */
void loop_destroy(struct loop *loop);

/* Watch @w->fd for @events (level-triggered), changing what was watched before; 0: not at all. */
int loop_watch(struct loop *loop, struct loop_watch *w, uint32_t events);

/*
 * Where work is done that callbacks have only noted: @work is called before the loop would block; while
 * it returns true the loop looks at its descriptors without blocking and calls it again. On the loop's
 * thread, or while it is not running; NULL: no more.
 */
void loop_set_work(struct loop *loop, bool (*work)(void *arg), void *arg);

/* Create the timer, not set; as a watch, it is added where watches may be. -errno. */
int must_check loop_timer_init(struct loop *loop, struct loop_timer *t);

/* Expire once, @ns from now, whatever was set before; 0: not at all. From any thread. */
void loop_timer_set(struct loop_timer *t, uint64_t ns);

/* Where watches may be removed. Safe on a zeroed one. */
void loop_timer_destroy(struct loop *loop, struct loop_timer *t);

/* Run on the calling thread until loop_stop(). */
void loop_run(struct loop *loop);

/* The descriptor of loop_start()'s thread alone, see struct thread; none until this is called. */
void loop_set_fd(struct loop *loop, int fd);

/* Run on a thread of its own, of that kind and behind that guard. -errno with a message. */
int must_check loop_start(struct loop *loop, enum thread_kind kind,
			  const struct thread_guard *guard);

/*
 * Run @fn on the loop's thread, between two rounds of callbacks, and wait until it has returned. Where
 * the loop does not run, @fn runs on the caller's; in a callback of the loop it runs at once. From any thread;
 * @fn calls neither this nor loop_start() for the same loop.
 */
void loop_call(struct loop *loop, void (*fn)(void *arg), void *arg);

/* End loop_run(), from any thread or signal handler; a loop_start()ed thread is then to be joined.
 * Stopping twice, or before the start, is allowed: the loop then returns at once. */
void loop_stop(struct loop *loop);

/* loop_stop(), then wait for loop_start()'s thread, if there is one. It can be started again. */
void loop_join(struct loop *loop);

#endif
