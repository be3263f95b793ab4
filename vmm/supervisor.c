/* What a machine does for the job in it. */
#include "vmm/supervisor.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "vmm/base/log.h"
#include "vmm/base/terminal.h"
#include "vmm/fault.h"
#include "vmm/junit.h"
#include "vmm/raw_terminal.h"
#include "vmm/status.h"
#include "vmm/tail.h"

#define LAST_LINES 40	      /* of the kernel's, where a job ends badly */
#define TWICE_NS   500000000u /* timeout(1) and make send a signal to their child and to its group */

struct supervisor {
	const struct config_job *config;
	const struct supervisor_ops *ops;
	void *arg;
	struct job *job;
	struct tail *tail;
	struct output log;
	uint32_t told;	  /* the signal that asked the command to end; 0: none has */
	uint64_t told_ns; /* when */
	struct raw_terminal
		terminal; /* standard input, should that be one: all keys are the command's */
	/* Standard output and errors, should they be one, and whether it has been sent more than plain lines. */
	struct {
		struct sink terminal;
		atomic_bool controls;
	} stream[2];
	_Atomic bool timed_out;
};

static void on_ready(void *arg)
{
	struct supervisor *s = arg;

	s->ops->ready(s->arg);
}

static void on_end(void *arg)
{
	struct supervisor *s = arg;
	uint32_t value;
	int status = STATUS_CANNOT;

	switch (job_end(s->job, &value)) {
	case JOB_END_STATUS:
		status = (int)value;
		break;
	case JOB_END_SIGNAL:
		status = STATUS_SIGNAL + (int)value;
		break;
	default:
		break;
	}
	if (s->timed_out)
		s->ops->end(s->arg, OUTCOME_TIMEOUT, STATUS_TIMEOUT);
	else
		s->ops->end(s->arg, "job", status);
}

static void on_wrote(void *arg, uint32_t stream, const void *bytes, size_t len)
{
	struct supervisor *s = arg;
	atomic_bool *controls = &s->stream[stream - 1].controls;

	if (s->stream[stream - 1].terminal.terminal && !*controls)
		*controls = terminal_obeys(bytes, len);
	junit_output(s->config->junit, bytes, len);
}

static void on_halt(void *arg)
{
	struct supervisor *s = arg;

	s->ops->end(s->arg, "halt", supervisor_no_word(s, "halt"));
}

/* ---- the terminal ---- */

static void restore_terminal(struct supervisor *s)
{
	raw_terminal_set(&s->terminal, false);
	for (unsigned int i = 0; i < ARRAY_SIZE(s->stream); i++)
		if (s->stream[i].controls)
			sink_write(&s->stream[i].terminal, terminal_reset, strlen(terminal_reset),
				   TERMINAL_RESET_MS);
}

static void on_fault(void *supervisor, int status)
{
	restore_terminal(supervisor);
}

/* One that others have in the foreground is not ours to reset. */
static void note_terminal(struct supervisor *s, unsigned int i, int fd)
{
	const pid_t group = isatty(fd) ? tcgetpgrp(fd) : 0;

	if (group < 0 || group == getpgrp())
		sink_init(&s->stream[i].terminal, fd);
}

static void take_terminal(struct supervisor *s)
{
	note_terminal(s, 0, s->config->out);
	note_terminal(s, 1, s->config->err);
	fault_hook_add(on_fault, s);
	if (s->config->tty)
		raw_terminal_take(&s->terminal, s->config->in, 0);
}

void supervisor_pause(struct supervisor *s)
{
	if (s)
		raw_terminal_set(&s->terminal, false);
}

void supervisor_resume(struct supervisor *s)
{
	if (s)
		raw_terminal_set(&s->terminal, true);
	supervisor_resize(s);
}

void supervisor_resize(struct supervisor *s)
{
	struct winsize size;

	if (s && s->terminal.taken && !ioctl(s->config->in, TIOCGWINSZ, &size))
		job_resize(s->job, size.ws_row, size.ws_col);
}

/* ---- the rest of it ---- */

int supervisor_create(struct supervisor **out, const struct config_job *config, struct loop *loop,
		      const struct device_env *env, const struct supervisor_ops *ops, void *arg)
{
	static const struct job_ops job_ops = { on_ready, on_end, on_wrote };
	struct supervisor *s = calloc(1, sizeof(*s));
	int ret;

	if (!s)
		return -ENOMEM;
	s->config = config;
	s->ops = ops;
	s->arg = arg;
	s->stream[0].terminal = s->stream[1].terminal = SINK_NOWHERE;
	s->log = (struct output){ .what = "log", .path = config->log, .sink = SINK_NOWHERE };
	ret = tail_create(&s->tail, loop, config->log ? &s->log.sink : NULL, on_halt, s);
	if (!ret)
		ret = job_create(&s->job, loop, env, config->in, config->out, config->err, &job_ops,
				 s);
	if (ret) {
		supervisor_destroy(s, 0);
		return ret;
	}
	take_terminal(s);
	*out = s;
	return 0;
}

struct output *supervisor_log(struct supervisor *s)
{
	return &s->log;
}

int supervisor_console(const struct supervisor *s)
{
	return tail_fd(s->tail);
}

size_t supervisor_output(void *supervisor, const struct iovec *iov, unsigned int n)
{
	return job_output(((struct supervisor *)supervisor)->job, iov, n);
}

size_t supervisor_input(void *supervisor, void *buf, size_t len)
{
	return job_input(((struct supervisor *)supervisor)->job, buf, len);
}

bool supervisor_signal(struct supervisor *s, uint32_t signo)
{
	const bool user_defined =
		signo == SIGUSR1 || signo == SIGUSR2; /* does not ask for the end */

	if (!job_started(s->job))
		return false;
	if (!user_defined) {
		if (s->told)
			return signo == s->told && now_ns() - s->told_ns < TWICE_NS;
		s->told = signo;
		s->told_ns = now_ns();
	}
	job_signal(s->job, signo);
	return true;
}

uint64_t supervisor_timeout(struct supervisor *s)
{
	if (s->timed_out || !job_started(s->job))
		return 0;
	log_error("the time is over: the command gets SIGTERM, and %llu ms to end",
		  (unsigned long long)s->config->kill_after_ms);
	s->timed_out = true;
	s->told = SIGTERM;
	s->told_ns = now_ns();
	job_signal(s->job, SIGTERM);
	return s->config->kill_after_ms;
}

int supervisor_no_word(struct supervisor *s, const char *outcome)
{
	log_error("the guest ended (%s) without a word of the command", outcome);
	return s->timed_out ? STATUS_TIMEOUT : STATUS_NO_WORD;
}

int supervisor_reported(struct supervisor *s, uint8_t status)
{
	if (status != JOB_NO_PORT || job_started(s->job))
		return supervisor_no_word(s, "status");
	log_error(
		"the guest's kernel cannot reach minivmm: it has no virtio drivers (its modules belong "
		"beside it, into ../lib/modules or /lib/modules)");
	return STATUS_CANNOT;
}

void supervisor_destroy(struct supervisor *s, int status)
{
	if (!s)
		return;
	job_destroy(s->job);
	restore_terminal(s);
	fault_hook_remove(s);
	sink_close(&s->stream[0].terminal);
	sink_close(&s->stream[1].terminal);
	if (s->tail && status && tail_ran_out_of_memory(s->tail))
		log_warn(
			"the guest ran out of memory, and its kernel killed for it (--mem gives it more)");
	if (s->tail && status == STATUS_NO_WORD)
		tail_print(s->tail, LAST_LINES);
	tail_destroy(s->tail);
	sink_close(&s->log.sink);
	free(s);
}
