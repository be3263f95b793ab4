/*
 * Threads: each has a name and a kind, and is behind its kind's guard before its work begins.
 */
#ifndef VMM_BASE_THREAD_H
#define VMM_BASE_THREAD_H

#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>

#include "vmm/base/util.h"

/* What a thread is for decides which system calls it may make: vmm/seccomp.c has the list. */
enum thread_kind {
	THREAD_MAIN,
	THREAD_VCPU,
	THREAD_NET,
	THREAD_DISK,
	THREAD_RNG,
	THREAD_FS,
	THREAD_JOB
};

struct thread;

/* What confines a thread, called on it; -errno with a message. */
struct thread_guard {
	int (*confine)(void *arg, const struct thread *thread);
	void *arg;
};

/*
 * Where a signal handler with SA_ONSTACK runs, so that it can also where a thread has used up its stack. A thread's own
 * has it in its outermost frame; so should main().
 */
struct thread_signal_stack {
	char room[32 * KIB]; /* the registers alone may take 11 KiB (AMX) */
};

/* For the calling thread, until it ends; unless it has one, as a sanitizer's run-time gives it. */
void thread_use_signal_stack(struct thread_signal_stack *stack);

/* Owned by the caller, who sets the first four; must stay where it is until it is joined. */
struct thread {
	enum thread_kind kind;
	const char *name; /* up to 15 bytes */
	int fd;		  /* a vCPU's or a vhost's own; of THREAD_FS the directory it serves */
	bool writable;	  /* THREAD_FS: below which it may change things */
	const struct thread_guard *guard; /* or NULL: unguarded (unit tests) */

	pthread_t id;
	bool started;
	int error;
	sem_t guarded, done;
	void (*work)(void *arg);
	void *arg;
};

/* Returns once @work is about to begin, behind the guard. -errno with a message. */
int must_check thread_start(struct thread *thread, void (*work)(void *arg), void *arg);

/*
 * Whether the calling thread, when it is woken, waits for the thread that runs where it is to run, as long as that does not
 * sleep and its time is not up, rather than stop it (SCHED_BATCH, sched(7)). false, as threads begin, where the policy is not
 * the default one, which is somebody's wish, or the host does not let it be changed; else @batch.
 */
bool thread_set_batch(bool batch);

/* Wait for its end, if it was started. It can be started again. */
void thread_join(struct thread *thread);

/* The same for @ms milliseconds: whether it has ended. */
bool must_check thread_join_within(struct thread *thread, unsigned int ms);

#endif
