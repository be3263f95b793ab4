/* The host's half of a job. */
#include "vmm/job.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "vmm/base/event.h"
#include "vmm/base/iov.h"
#include "vmm/base/log.h"
#include "vmm/base/thread.h"

#define OUTPUT_ROOM 262144u /* bytes from the agent that wait for their reader here */
#define WAKE_SIGNAL SIGURG  /* as for the vCPUs: a stream's thread out of its call */
#define WAKE_TRIES  200u    /* a millisecond apart, until a stuck thread is given up */

static const struct counter_desc counter_desc[] = {
	COUNTER(struct job_counters, out_bytes),
	COUNTER(struct job_counters, err_bytes),
	COUNTER(struct job_counters, in_bytes),
	COUNTER(struct job_counters, lost_bytes),
	COUNTER(struct job_counters, guest_agent_us),
	COUNTER(struct job_counters, guest_root_us),
	COUNTER(struct job_counters, guest_command_us),
	COUNTER_TIME(struct job_counters, started),
	COUNTER_TIME(struct job_counters, first_output),
	COUNTER_END,
};

struct job {
	const struct job_ops *ops;
	void *arg;
	struct loop *loop;
	struct loop_watch news; /* an event from the threads */
	struct thread writer, reader;
	int in_fd, out_fd, err_fd;

	pthread_mutex_t lock;
	pthread_cond_t work;
	bool stop;

	/* From the agent, as it came, from first on; the writer takes it apart. */
	uint8_t output[OUTPUT_ROOM];
	size_t first, len;
	bool was_full;
	struct job_frame frame;
	uint32_t frame_left; /* bytes of it that are still to come; 0: a header comes next */
	enum job_end end;
	uint32_t end_value;
	bool ended, told;
	bool output_failed; /* some of the output could not be written: no success any more */
	struct job_started started;

	/* For the agent. */
	uint8_t input[JOB_WINDOW];
	size_t input_len;
	size_t window; /* bytes that may still be sent */
	bool at_end, end_sent;
	uint32_t close_stream; /* bits of JOB_CLOSE to be sent */
	uint64_t signals;      /* a bit for each, from 1 on; one that waits already is the same */
	uint16_t size[2];      /* the terminal's rows and columns */
	bool resized;
	struct {
		struct job_frame header;
		uint8_t data[JOB_FRAME_MAX];
	} sending;
	size_t sending_len, sending_done;

	struct job_counters counters;
	struct counter_group group;
};

/* The threads alone hear the signal. */
static void hear_wake(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, WAKE_SIGNAL);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

/*
 * A parent has made @fd's file non-blocking, which is not ours to change: wait as the call would have, until a signal.
 * A terminal may have less room than it says.
 */
static void wait_until(int fd, short ready)
{
	struct pollfd p = { .fd = fd, .events = ready };

	if (poll(&p, 1, 0) == 1)
		poll(NULL, 0, 1);
	else
		poll(&p, 1, -1);
}

/* ---- output: the ring, and the thread that empties it ---- */

/* @len bytes out of the ring; under the lock, and they are there. */
static void take(struct job *j, void *to, size_t len)
{
	const size_t part = MIN(len, OUTPUT_ROOM - j->first);

	memcpy(to, j->output + j->first, part);
	memcpy((uint8_t *)to + part, j->output, len - part);
	j->first = (j->first + len) % OUTPUT_ROOM;
	j->len -= len;
}

size_t job_output(struct job *j, const struct iovec *iov, unsigned int n)
{
	size_t done = 0, all = iov_size(iov, n);

	hold(&j->lock);
	while (done < all && j->len < OUTPUT_ROOM) {
		const size_t end = (j->first + j->len) % OUTPUT_ROOM;
		const size_t room = MIN(OUTPUT_ROOM - j->len, OUTPUT_ROOM - end);
		const size_t part = MIN(all - done, room);

		iov_to_buf(iov, n, done, j->output + end, part);
		j->len += part;
		done += part;
	}
	j->was_full = done < all;
	pthread_cond_broadcast(&j->work);
	return done;
}

/* A stream that can't be written: the command is to see it as a pipe without a reader. */
static void lose_stream(struct job *j, int *fd, uint32_t stream, int err)
{
	j->output_failed |= err != EPIPE && err != EBADF; /* those are the user's choice */
	if (err != EPIPE)
		log_warn("cannot write the job's %s: %s", stream == 1 ? "output" : "errors",
			 strerror(err));
	*fd = -1;
	j->close_stream |= BIT(stream);
	event_signal(j->news.fd);
}

/* What is at hand of a frame of output. Under the lock, which is let go while the call may block. */
static void write_some(struct job *j, int *fd, uint64_t *count, uint32_t stream)
{
	const size_t at_hand = MIN(j->len, OUTPUT_ROOM - j->first);
	const size_t part = MIN((size_t)j->frame_left, at_hand);
	const uint8_t *from = j->output + j->first;
	ssize_t n = (ssize_t)part;

	if (*fd < 0) {
		j->counters.lost_bytes += part;
	} else {
		pthread_mutex_unlock(&j->lock);
		n = write(*fd, from, part);
		const int err = errno;

		if (n < 0 && err == EAGAIN)
			wait_until(*fd, POLLOUT);
		pthread_mutex_lock(&j->lock);
		if (n < 0 && err != EINTR && err != EAGAIN)
			lose_stream(j, fd, stream, err);
		n = MAX(n, 0);
		*count += (uint64_t)n;
		if (n && !j->counters.first_output)
			j->counters.first_output = now_ns();
	}
	if (j->ops->wrote)
		j->ops->wrote(j->arg, stream, from, (size_t)n);
	j->first = (j->first + (size_t)n) % OUTPUT_ROOM;
	j->len -= (size_t)n;
	j->frame_left -= (uint32_t)n;
}

static void finish(struct job *j, enum job_end end, uint32_t value)
{
	j->end = end;
	j->end_value = value;
	j->ended = true;
}

/* A short frame, whole. */
static void take_frame(struct job *j)
{
	union {
		struct job_exit exit;
		struct job_started started;
		uint32_t taken;
		char text[512];
	} u = { 0 };
	size_t len = MIN((size_t)j->frame_left, sizeof(u.text) - 1);

	take(j, &u, len);
	j->frame_left -= (uint32_t)len;
	switch (j->frame.type) {
	case JOB_STARTED:
		j->started = u.started;
		j->counters.guest_agent_us = u.started.agent_ns / 1000;
		j->counters.guest_root_us = u.started.root_ns / 1000;
		j->counters.guest_command_us = u.started.command_ns / 1000;
		j->counters.started = now_ns();
		break;
	case JOB_TAKEN:
		j->window = MIN(j->window + u.taken, (size_t)JOB_WINDOW);
		break;
	case JOB_EXIT:
		if (u.exit.signal)
			finish(j, JOB_END_SIGNAL, u.exit.signal & 127);
		else if (j->output_failed && !(u.exit.status & 255))
			finish(j, JOB_END_FAILED, 0);
		else
			finish(j, JOB_END_STATUS, u.exit.status & 255);
		break;
	case JOB_FAILED:
		log_error("%s", u.text);
		finish(j, JOB_END_FAILED, 0);
		break;
	default:
		log_error("the agent in the guest sent what is no frame (%u)", j->frame.type);
		finish(j, JOB_END_FAILED, 0);
	}
}

static bool is_stream(const struct job *j)
{
	return j->frame.type == JOB_OUT || j->frame.type == JOB_ERR;
}

/* Whether there is something to do for the writer, with what it needs for it. */
static bool has_output(const struct job *j)
{
	if (j->ended)
		return false;
	if (!j->frame_left)
		return j->len >= sizeof(j->frame);
	return is_stream(j) ? j->len > 0 : j->len >= MIN((size_t)j->frame_left, (size_t)511);
}

static void write_output(void *arg)
{
	struct job *j = arg;

	hear_wake();
	hold(&j->lock);
	while (!j->stop) {
		if (!has_output(j)) {
			pthread_cond_wait(&j->work, &j->lock);
			continue;
		}
		if (!j->frame_left) {
			take(j, &j->frame, sizeof(j->frame));
			j->frame_left = j->frame.len;
			/* A length that no agent sends is no frame. */
			if (j->frame_left > JOB_FRAME_MAX || (!is_stream(j) && j->frame_left > 511))
				j->frame.type = j->frame_left = 0;
			if (j->frame_left || is_stream(j))
				continue;
		}
		if (j->frame.type == JOB_OUT)
			write_some(j, &j->out_fd, &j->counters.out_bytes, 1);
		else if (j->frame.type == JOB_ERR)
			write_some(j, &j->err_fd, &j->counters.err_bytes, 2);
		else
			take_frame(j);
		if (j->was_full || j->ended || j->frame.type == JOB_TAKEN)
			event_signal(j->news.fd);
		pthread_cond_broadcast(&j->work);
	}
}

/* ---- input ---- */

static void read_input(void *arg)
{
	struct job *j = arg;
	uint8_t buf[16384];

	hear_wake();
	hold(&j->lock);
	while (!j->stop && !j->at_end) {
		const size_t room = j->window - MIN(j->input_len, j->window);
		ssize_t n;

		if (!room) {
			pthread_cond_wait(&j->work, &j->lock);
			continue;
		}
		pthread_mutex_unlock(&j->lock);
		n = read(j->in_fd, buf, MIN(room, sizeof(buf)));
		const int err = errno;

		if (n < 0 && err == EAGAIN)
			wait_until(j->in_fd, POLLIN);
		pthread_mutex_lock(&j->lock);
		if (n > 0) {
			memcpy(j->input + j->input_len, buf, (size_t)n);
			j->input_len += (size_t)n;
			j->counters.in_bytes += (uint64_t)n;
		} else if (n == 0 || (err != EINTR && err != EAGAIN)) {
			j->at_end = true; /* what cannot be read has no more */
		}
		event_signal(j->news.fd);
	}
}

static void frame(struct job *j, uint32_t type, const void *data, size_t len)
{
	j->sending.header = (struct job_frame){ type, (uint32_t)len };
	memcpy(j->sending.data, data, len);
	j->sending_len = sizeof(j->sending.header) + len;
	j->sending_done = 0;
}

/* The next frame to be sent; false if there is none. A signal overtakes input. */
static bool next_frame(struct job *j)
{
	if (j->signals) {
		const uint32_t signo = (uint32_t)__builtin_ctzll(j->signals) + 1;

		frame(j, JOB_SIGNAL, &signo, sizeof(signo));
		j->signals &= j->signals - 1;
	} else if (j->resized) {
		frame(j, JOB_WINCH, j->size, sizeof(j->size));
		j->resized = false;
	} else if (j->close_stream) {
		const uint32_t stream = (uint32_t)__builtin_ctz(j->close_stream);

		frame(j, JOB_CLOSE, &stream, sizeof(stream));
		j->close_stream &= ~BIT(stream);
	} else if (j->input_len) {
		const size_t len = MIN(j->input_len, (size_t)JOB_FRAME_MAX);

		frame(j, JOB_IN, j->input, len);
		memmove(j->input, j->input + len, j->input_len -= len);
		j->window -= len;
		pthread_cond_broadcast(&j->work);
	} else if (j->at_end && !j->end_sent) {
		frame(j, JOB_EOF, "", 0);
		j->end_sent = true;
	} else {
		return false;
	}
	return true;
}

size_t job_input(struct job *j, void *buf, size_t len)
{
	size_t done = 0;

	hold(&j->lock);
	while (done < len && (j->sending_done < j->sending_len || next_frame(j))) {
		const size_t part = MIN(len - done, j->sending_len - j->sending_done);

		memcpy((uint8_t *)buf + done, (uint8_t *)&j->sending + j->sending_done, part);
		j->sending_done += part;
		done += part;
	}
	return done;
}

void job_signal(struct job *j, uint32_t signo)
{
	hold(&j->lock);
	j->signals |= 1ull << (signo - 1);
	event_signal(j->news.fd);
}

void job_resize(struct job *j, uint16_t rows, uint16_t cols)
{
	hold(&j->lock);
	j->size[0] = rows;
	j->size[1] = cols;
	j->resized = true;
	event_signal(j->news.fd);
}

/* ---- on the loop ---- */

static void on_news(void *arg, uint32_t events)
{
	struct job *j = arg;
	bool ended;

	event_clear(j->news.fd);
	pthread_mutex_lock(&j->lock);
	ended = j->ended && !j->told;
	j->told |= ended;
	pthread_mutex_unlock(&j->lock);
	j->ops->ready(j->arg);
	if (ended)
		j->ops->ended(j->arg);
}

enum job_end job_end(const struct job *j, uint32_t *value)
{
	*value = j->end_value;
	return j->ended ? j->end : JOB_END_NONE;
}

const struct job_started *job_started(struct job *j)
{
	hold(&j->lock);
	return j->started.command_ns ? &j->started : NULL;
}

/* ---- life ---- */

static void on_wake(int signo)
{
	/* It was for the call that it interrupts. */
}

static int start(struct job *j, struct thread *t, const struct thread_guard *guard,
		 const char *name, void (*work)(void *arg))
{
	t->name = name;
	t->kind = THREAD_JOB;
	t->guard = guard;
	return thread_start(t, work, j);
}

int job_create(struct job **out, struct loop *loop, const struct device_env *env, int in_fd,
	       int out_fd, int err_fd, const struct job_ops *ops, void *arg)
{
	const struct sigaction wake = { .sa_handler = on_wake };
	struct job *j = calloc(1, sizeof(*j));
	int ret;

	if (!j)
		return -ENOMEM;
	j->ops = ops;
	j->arg = arg;
	j->loop = loop;
	j->in_fd = in_fd;
	j->out_fd = out_fd;
	j->err_fd = err_fd;
	j->window = JOB_WINDOW;
	counters_add(env->counters, &j->group, counter_desc, &j->counters, "job");
	pthread_mutex_init(&j->lock, NULL);
	pthread_cond_init(&j->work, NULL);
	sigaction(WAKE_SIGNAL, &wake, NULL);
	ret = event_create();
	j->news = (struct loop_watch){ .fd = ret, .ready = on_news, .arg = j };
	if (ret >= 0)
		ret = loop_watch(loop, &j->news, EPOLLIN);
	if (!ret)
		ret = start(j, &j->writer, env->guard, "job.out", write_output)
			      ?: start(j, &j->reader, env->guard, "job.in", read_input);
	if (ret) {
		log_otherwise("cannot carry the job's streams: %s", strerror(-ret));
		job_destroy(j);
		return ret;
	}
	*out = j;
	return 0;
}

/* It may be in a call on its stream: a signal gets it out, unless it came just before. */
static bool thread_ends(struct thread *t)
{
	for (unsigned int i = 0; t->started && i < WAKE_TRIES; i++) {
		pthread_kill(t->id, WAKE_SIGNAL);
		if (thread_join_within(t, 1))
			break;
	}
	return !t->started;
}

void job_destroy(struct job *j)
{
	if (!j)
		return;
	counters_remove(&j->group);
	if (j->news.fd >= 0)
		loop_watch(j->loop, &j->news, 0);
	pthread_mutex_lock(&j->lock);
	j->stop = true;
	pthread_cond_broadcast(&j->work);
	pthread_mutex_unlock(&j->lock);
	if (!thread_ends(&j->writer) || !thread_ends(&j->reader))
		return; /* it goes on using all this until the process ends */
	close_fd(j->news.fd);
	pthread_cond_destroy(&j->work);
	pthread_mutex_destroy(&j->lock);
	free(j);
}
