/* Messages to the user. */
#include "vmm/base/log.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/base/sink.h"
#include "vmm/base/terminal.h"

#define QUEUE_SIZE (16 * KIB)

static atomic_bool verbose, raw_terminal, error_said;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* the rest */
static struct sink sink = {
	.fd = STDERR_FILENO, .own_fd = -1, .reader_fd = -1, .piece = PIPE_BUF, .room = UINT64_MAX
};
static char queue[QUEUE_SIZE];
static size_t queued;
static uint64_t lost_untold;
static struct log_counters counters;
static bool (*hook)(void *arg, const char *text, bool error);
static void *hook_arg;
static const char *place;

const struct counter_desc log_counter_desc[] = {
	COUNTER(struct log_counters, lost),
	COUNTER_END,
};

const struct log_counters *log_get_counters(void)
{
	return &counters;
}

void log_open(void)
{
	sink_init(&sink, STDERR_FILENO);
}

void log_set_verbose(bool on)
{
	verbose = on;
}

void log_set_raw_terminal(bool raw)
{
	raw_terminal = raw;
}

void log_set_hook(bool (*new_hook)(void *arg, const char *text, bool error), void *arg)
{
	hold(&lock);
	hook = new_hook;
	hook_arg = arg;
}

void log_set_place(const char *text)
{
	place = text;
}

static void lose(uint64_t lines)
{
	counters.lost += lines;
	lost_untold += lines;
}

#define PREFIX "minivmm: "

#define CUT " ... "

/* Of @m bytes as many as fit, without those in their midst: what is wrong, and what would help, stands at the end. */
static size_t cut(char *to, size_t room, size_t m, const char *fmt, va_list ap)
{
	const size_t half = (room - strlen(CUT)) / 2;
	char *all = malloc(m + 1);

	if (!all)
		return strlen(to);
	vsnprintf(all, m + 1, fmt, ap);
	memcpy(to + half, CUT, strlen(CUT));
	memcpy(to + half + strlen(CUT), all + m - half, half);
	free(all);
	return 2 * half + strlen(CUT);
}

/* The line without its end. */
static size_t format(char *line, size_t room, const char *fmt, va_list ap)
{
	size_t n = (size_t)snprintf(line, room, PREFIX);
	const size_t left = room - n - (place ? MIN(strlen(place) + 2, room / 2) : 0);
	va_list again;
	int m;

	va_copy(again, ap);
	m = vsnprintf(line + n, left, fmt, ap);
	if (m >= 0)
		n += (size_t)m < left ? (size_t)m : cut(line + n, left, (size_t)m, fmt, again);
	va_end(again);
	if (place)
		n += MIN((size_t)snprintf(line + n, room - n, ", %s", place), room - n - 1);
	/* Names and a guest's words may have anything in them. */
	terminal_make_plain(line, n);
	return n;
}

static void drain(unsigned int ms)
{
	const size_t n = sink_write(&sink, queue, queued, ms);

	queued -= n;
	memmove(queue, queue + n, queued);
	if (!queued || sink.error == EAGAIN || sink.error == EINTR)
		return;
	/* It will not get better: the reader is gone, the disk is full. */
	for (size_t i = 0; i < queued; i++)
		if (queue[i] == '\n')
			lose(1);
	queued = 0;
}

static void enqueue(const char *line, size_t len)
{
	if (queued + len > sizeof(queue)) {
		lose(1);
		return;
	}
	memcpy(queue + queued, line, len);
	queued += len;
}

/* Once those before it are out: how many are missing here. */
static void tell_of_loss(void)
{
	char line[64];
	size_t len, n;

	if (queued || !lost_untold)
		return;
	len = (size_t)snprintf(line, sizeof(line), "minivmm: %llu message%s lost here%s\n",
			       (unsigned long long)lost_untold,
			       lost_untold == 1 ? " was" : "s were", raw_terminal ? "\r" : "");
	n = sink_write(&sink, line, len, 0);
	if (!n)
		return; /* another time */
	lost_untold = 0;
	enqueue(line + n, len - n);
}

static void log_line(bool error, const char *fmt, va_list ap)
{
	char line[1024];
	const int saved = errno;
	size_t len = format(line, sizeof(line) - 2, fmt, ap); /* but for CR LF */

	if (error)
		error_said = true;
	pthread_mutex_lock(&lock);
	drain(0);
	if (!hook || hook(hook_arg, line + strlen(PREFIX), error)) {
		if (raw_terminal)
			line[len++] = '\r';
		line[len++] = '\n';
		tell_of_loss();
		enqueue(line, len);
		drain(0);
	}
	pthread_mutex_unlock(&lock);
	errno = saved;
}

void log_flush(unsigned int ms)
{
	hold(&lock);
	drain(ms);
	tell_of_loss();
	drain(0);
}

bool log_node_has_group(const char *path)
{
	const mode_t both = S_IRGRP | S_IWGRP;
	struct stat st;

	return stat(path, &st) == 0 && st.st_gid && (st.st_mode & both) == both;
}

#define LOG_FUNCTION(name, condition, error) \
	void name(const char *fmt, ...)      \
	{                                    \
		va_list ap;                  \
                                             \
		if (!(condition))            \
			return;              \
		va_start(ap, fmt);           \
		log_line(error, fmt, ap);    \
		va_end(ap);                  \
	}

LOG_FUNCTION(log_error, true, true)
LOG_FUNCTION(log_otherwise, !error_said, true)
LOG_FUNCTION(log_warn, true, false)
LOG_FUNCTION(log_info, verbose, false)
