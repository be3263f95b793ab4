/* Threads with a name and a guard. */
#include "vmm/base/thread.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "vmm/base/log.h"

void thread_use_signal_stack(struct thread_signal_stack *stack)
{
	const stack_t ss = { .ss_sp = stack->room, .ss_size = sizeof(stack->room) };
	stack_t has;

	if (sigaltstack(NULL, &has) == 0 && !(has.ss_flags & SS_DISABLE))
		return;
	/* A processor with still more registers: handlers run as ever, on the thread's own stack. */
	if (sigaltstack(&ss, NULL) < 0)
		log_info("cannot give threads a stack for signals: %s", strerror(errno));
}

static void *begin(void *arg)
{
	struct thread_signal_stack stack;
	struct thread *t = arg;
	int error = 0;

	thread_use_signal_stack(&stack);
	prctl(PR_SET_NAME, t->name);
	if (t->guard)
		error = t->guard->confine(t->guard->arg, t);
	t->error = error;
	sem_post(&t->guarded);
	if (!error)
		t->work(t->arg);
	sem_post(&t->done);
	return NULL;
}

int thread_start(struct thread *t, void (*work)(void *arg), void *arg)
{
	int err;

	t->work = work;
	t->arg = arg;
	sem_init(&t->guarded, 0, 0);
	sem_init(&t->done, 0, 0);
	err = pthread_create(&t->id, NULL, begin, t);
	if (err)
		return log_fail(
			-err, "cannot start thread %s: %s%s", t->name, strerror(err),
			err == EAGAIN
				? " (raise the limit of processes: ulimit -u, or the cgroup's pids.max)"
				: "");
	t->started = true;
	while (sem_wait(&t->guarded) < 0)
		; /* a signal came */
	if (t->error)
		thread_join(t);
	return t->error;
}

bool thread_set_batch(bool batch)
{
	const int from = batch ? SCHED_OTHER : SCHED_BATCH, to = batch ? SCHED_BATCH : SCHED_OTHER;
	const struct sched_param param = { .sched_priority = 0 };

	/* Not by the functions of that name, which musl has as stubs. */
	return syscall(SYS_sched_getscheduler, 0) == from &&
	       syscall(SYS_sched_setscheduler, 0, to, &param) == 0 && batch;
}

void thread_join(struct thread *t)
{
	if (t->started)
		pthread_join(t->id, NULL);
	t->started = false;
}

bool thread_join_within(struct thread *t, unsigned int ms)
{
	struct timespec until;
	int ret = 0;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += ms * 1000000l;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	if (t->started) {
		/* Not by pthread_clockjoin_np, which TSan does not see. */
		do
			ret = sem_clockwait(&t->done, CLOCK_MONOTONIC, &until);
		while (ret < 0 && errno == EINTR);
	}
	if (!ret)
		thread_join(t);
	return !ret;
}
