/*
 * The host's half of a job: what the agent in the guest (vmm/base/jobproto.h) says is carried to this process's standard
 * output and error, this process's standard input to the command, signals to its process group.
 *
 * The streams are written and read by two threads of their own with plain, blocking calls (where a parent has made them
 * non-blocking they are waited for): a reader that does not read stops the job, and nothing else. Output comes out in the order in which it came in, the end of the command last.
 * The port (devices/virtio/console.h) is served on the main loop; job_output() and job_input() never block.
 */
#ifndef VMM_JOB_H
#define VMM_JOB_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "vmm/base/device.h"
#include "vmm/base/jobproto.h"
#include "vmm/base/loop.h"
#include "vmm/base/util.h"

struct job;

/* How the command ended, if it did. */
enum job_end {
	JOB_END_NONE,	/* no word of it */
	JOB_END_STATUS, /* it ended, with a status */
	JOB_END_SIGNAL, /* a signal ended it */
	JOB_END_FAILED, /* it was not started, or its output not written: a message has been given */
};

struct job_ops {
	/* On the loop's thread: job_output() may take more again, or job_input() have something ... */
	void (*ready)(void *arg);
	/* ... the command has ended, and all of its output is written. */
	void (*ended)(void *arg);
	/*
	 * On a thread of its own: this much of the output (@stream 1) or the errors (2), also where nobody takes it. NULL:
	 * nobody wants to know.
	 */
	void (*wrote)(void *arg, uint32_t stream, const void *bytes, size_t len);
};

/* The streams are @in, @out and @err; they stay open. Of @env its guard and its counters. -errno with a message. */
int must_check job_create(struct job **out, struct loop *loop, const struct device_env *env,
			  int in_fd, int out_fd, int err_fd, const struct job_ops *ops, void *arg);

/* Ends the threads; one that is stuck in a call on its stream is left to the end of the process. */
void job_destroy(struct job *job);

/* Bytes from the agent; how many of them were taken: fewer than there are when output waits for its reader. */
size_t job_output(struct job *job, const struct iovec *iov, unsigned int n);

/* Bytes for the agent, at most @len: how many; 0: none now. */
size_t job_input(struct job *job, void *buf, size_t len);

/* A signal for the command; from the loop's thread. One that the agent has not taken yet is the same. */
void job_signal(struct job *job, uint32_t signo);

/* The terminal has another size; from the loop's thread. */
void job_resize(struct job *job, uint16_t rows, uint16_t cols);

/* How it ended, and its status or signal. */
enum job_end job_end(const struct job *job, uint32_t *value);

/* Nanoseconds since the guest's kernel started, by the agent; NULL before it has said so. */
const struct job_started *job_started(struct job *job);

/* Added as "job": bytes of each stream, and output that nobody took (EPIPE, ENOSPC); and how the start went. */
struct job_counters {
	uint64_t out_bytes, err_bytes, in_bytes;
	uint64_t lost_bytes;
	/* Microseconds since the guest's kernel started, by the guest: its agent runs, the root is there, the command runs. */
	uint64_t guest_agent_us, guest_root_us, guest_command_us;
	uint64_t started,
		first_output; /* time stamps here: word of that, and what it wrote first has been written */
};

#endif
