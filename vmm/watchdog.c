/* The end of a machine whose files do not answer. */
#include "vmm/watchdog.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "vmm/base/event.h"
#include "vmm/base/log.h"
#include "vmm/fault.h"
#include "vmm/status.h"

#define MS 1000000ull /* ns */

/* So long nothing must have happened; a process that was stopped finds all of its time run out at once. */
#define GRACE_MS 2500

struct watchdog {
	void (*give_up)(int status);
	struct thread thread;
	int event_fd, signal_fd;
	_Atomic uint64_t deadline; /* ns; 0: none */
	atomic_int status;
	atomic_bool over;
	uint64_t late, pending; /* since when the deadline is over, and a signal waits; 0: not so */
};

/* Whether @since, which begins now where it is 0, is long ago. */
static bool for_long(uint64_t *since)
{
	const uint64_t now = now_ns();

	if (!*since)
		*since = now;
	return now - *since >= GRACE_MS * MS;
}

/* The status for the signal that nobody takes; 0: it ends nothing. */
static int take_signal(const struct watchdog *w)
{
	struct signalfd_siginfo info;

	if (read(w->signal_fd, &info, sizeof(info)) != sizeof(info))
		return 0;
	switch (info.ssi_signo) {
	case SIGUSR1:
	case SIGTSTP:
	case SIGCONT:
	case SIGWINCH:
		return 0;
	default:
		return STATUS_SIGNAL + (int)info.ssi_signo;
	}
}

static void leave(const struct watchdog *w, int status)
{
	fault_put_back(FAULT_NO_FILES);
	log_error(
		"the machine cannot end in good order: a file system of this host does not answer");
	log_flush(0);
	w->give_up(status);
}

static void look(struct watchdog *w)
{
	struct pollfd signals = { .fd = w->signal_fd, .events = POLLIN };
	const uint64_t deadline = w->deadline;
	int status = 0;

	if (!deadline || now_ns() < deadline)
		w->late = 0;
	else if (for_long(&w->late))
		leave(w, w->status);
	if (poll(&signals, 1, 0) != 1)
		w->pending = 0;
	else if (for_long(&w->pending))
		status = take_signal(w);
	if (status)
		leave(w, status);
}

static void watch(void *arg)
{
	struct watchdog *w = arg;

	while (!w->over) {
		struct pollfd p[] = { { .fd = w->event_fd, .events = POLLIN },
				      { .fd = w->pending ? -1 : w->signal_fd, .events = POLLIN } };
		const uint64_t now = now_ns(), deadline = w->deadline;
		int ms = -1;

		if (w->late || w->pending)
			ms = GRACE_MS / 4;
		else if (deadline)
			ms = deadline > now ? (int)MIN((deadline - now) / MS + 1, (uint64_t)INT_MAX)
					    : 0;
		if (poll(p, 2, ms) > 0 && p[0].revents)
			event_clear(w->event_fd);
		look(w);
	}
}

static int start(struct watchdog *w, const struct thread_guard *guard)
{
	w->over = false;
	w->thread =
		(struct thread){ .kind = THREAD_DISK, .name = "last", .fd = -1, .guard = guard };
	return thread_start(&w->thread, watch, w);
}

static void stop(struct watchdog *w)
{
	w->over = true;
	if (w->thread.started)
		event_signal(w->event_fd);
	thread_join(&w->thread);
}

static void close_all(struct watchdog *w)
{
	close_fd(w->event_fd);
	close_fd(w->signal_fd);
	w->event_fd = w->signal_fd = -1;
}

int watchdog_create(struct watchdog **out, const sigset_t *signals, void (*give_up)(int status))
{
	struct watchdog *w = calloc(1, sizeof(*w));
	int ret;

	if (!w)
		return -ENOMEM;
	w->give_up = give_up;
	w->status = STATUS_TIMEOUT;
	w->event_fd = event_create();
	w->signal_fd = signalfd(-1, signals, SFD_CLOEXEC | SFD_NONBLOCK);
	ret = w->event_fd < 0 ? w->event_fd : w->signal_fd < 0 ? -errno : start(w, NULL);
	if (ret) {
		log_otherwise("cannot watch over the machine's end: %s", strerror(-ret));
		watchdog_destroy(w);
		return ret;
	}
	*out = w;
	return 0;
}

int watchdog_settle(struct watchdog *w, bool remote, const struct config *config,
		    const struct thread_guard *guard)
{
	const uint64_t more = config->job ? config->job->kill_after_ms : 0;

	stop(w);
	if (!remote) {
		close_all(w);
		return 0;
	}
	if (config->timeout_ms)
		w->deadline = now_ns() + (config->timeout_ms + more) * MS;
	return start(w, guard);
}

void watchdog_end(struct watchdog *w, int status)
{
	if (!w || !w->thread.started)
		return;
	w->status = status;
	w->deadline = now_ns();
	event_signal(w->event_fd);
}

void watchdog_destroy(struct watchdog *w)
{
	if (!w)
		return;
	stop(w);
	close_all(w);
	free(w);
}
