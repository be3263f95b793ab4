/*
 * What a machine does for the job in it: carries its streams (job.h), passes signals on, holds it to its time, keeps
 * the kernel's last words (tail.h), and turns its end into an exit status.
 *
 * The machine lends it a port of the guest's and its main loop, on whose thread all functions but the first and the
 * last are called.
 */
#ifndef VMM_SUPERVISOR_H
#define VMM_SUPERVISOR_H

#include "vmm/config.h"
#include "vmm/job.h"

struct supervisor;

/* The machine's side. */
struct supervisor_ops {
	void (*ready)(
		void *arg); /* supervisor_output() may take more, or supervisor_input() have something */
	void (*end)(void *arg, const char *outcome, int status);
};

/* Of @env its guard and its counters. -errno with a message. */
int must_check supervisor_create(struct supervisor **out, const struct config_job *config,
				 struct loop *loop, const struct device_env *env,
				 const struct supervisor_ops *ops, void *arg);

/* The log, which is the machine's to open. */
struct output *supervisor_log(struct supervisor *s);

/* Where the serial port is to write: a descriptor, which stays the supervisor's. */
int supervisor_console(const struct supervisor *s);

/* The port's bytes, as job_output() and job_input(); in the form of struct virtio_console_ops. */
size_t supervisor_output(void *supervisor, const struct iovec *iov, unsigned int n);
size_t supervisor_input(void *supervisor, void *buf, size_t len);

/*
 * A signal for minivmm: true if the command has it. If it runs it has one, and the next is the machine's, but for the
 * same within half a second, which was sent twice. Of SIGUSR1 and SIGUSR2, which ask nobody to end, it has all.
 */
bool supervisor_signal(struct supervisor *s, uint32_t signo);

/* Its time is over: it is asked to end, and has so many milliseconds more; 0: none. */
uint64_t supervisor_timeout(struct supervisor *s);

/* The guest has ended by itself: the status for that. From any thread. */
int supervisor_no_word(struct supervisor *s, const char *outcome);

/* The guest wrote to its exit-status port, which is no verdict of a command: the status for that. From any thread. */
int supervisor_reported(struct supervisor *s, uint8_t status);

/* With a terminal: it has another size; it goes to others (SIGTSTP); it may be ours again. Safe on NULL. */
void supervisor_resize(struct supervisor *s);
void supervisor_pause(struct supervisor *s);
void supervisor_resume(struct supervisor *s);

/* At the end, when the loop is not running; @status is the machine's. Safe on NULL. */
void supervisor_destroy(struct supervisor *s, int status);

#endif
