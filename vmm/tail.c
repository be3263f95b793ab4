/* The last lines of what a guest's kernel says. */
#include "vmm/tail.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "vmm/base/log.h"
#include "vmm/base/recent.h"

#define TAKE_MAX ((size_t)4096) /* at once */

struct tail {
	struct loop *loop;
	struct loop_watch watch; /* the pipe's end that is read */
	int write_fd;
	struct sink *log; /* or NULL; and how many bytes it did not take */
	uint64_t lost;
	struct recent kept;
	bool ran_out_of_memory;
	void (*halted)(void *arg);
	void *arg;
};

/* A log that does not keep up, or takes no more, is said once: the job goes on. */
static void log_all(struct tail *t, const char *buf, size_t n)
{
	const size_t done = t->log ? sink_write(t->log, buf, n, 0) : n;

	if (done < n && !t->lost)
		log_warn("the log is being lost: %s", sink_strerror(t->log->error));
	t->lost += n - done;
}

/* Whether @text is in what came last, however it came. */
static bool has_said(const struct tail *t, const char *text)
{
	char all[RECENT_MAX];
	const size_t len = recent_copy(&t->kept, all), new = MIN(len, TAKE_MAX + strlen(text));

	return memmem(all + len - new, new, text, strlen(text));
}

/* False when there is nothing. */
static bool take(struct tail *t)
{
	char buf[TAKE_MAX];
	const ssize_t n = read(t->watch.fd, buf, sizeof(buf));

	if (n <= 0)
		return false;
	recent_add(&t->kept, buf, (size_t)n);
	log_all(t, buf, (size_t)n);
	t->ran_out_of_memory |= has_said(t, "Out of memory: Kill");
	return true;
}

static void on_output(void *arg, uint32_t events)
{
	struct tail *t = arg;

	if (!take(t) || !t->halted || !has_said(t, "reboot: System halted"))
		return;
	t->halted(t->arg);
	t->halted = NULL;
}

int tail_create(struct tail **out, struct loop *loop, struct sink *log, void (*halted)(void *arg),
		void *arg)
{
	struct tail *t = calloc(1, sizeof(*t));
	int fd[2], ret = t ? 0 : -ENOMEM;

	if (!ret && pipe2(fd, O_CLOEXEC | O_NONBLOCK) < 0)
		ret = -errno;
	if (!ret) {
		t->loop = loop;
		t->write_fd = fd[1];
		t->log = log;
		t->halted = halted;
		t->arg = arg;
		t->watch = (struct loop_watch){ .fd = fd[0], .ready = on_output, .arg = t };
		ret = loop_watch(loop, &t->watch, EPOLLIN);
		if (ret)
			tail_destroy(t);
	} else {
		free(t);
	}
	if (ret)
		log_error("cannot follow what the guest's kernel says: %s", strerror(-ret));
	else
		*out = t;
	return ret;
}

int tail_fd(const struct tail *t)
{
	return t->write_fd;
}

/* Where the last @lines lines of @text begin. */
static const char *last_lines(const char *text, size_t len, unsigned int lines)
{
	const char *at = text + len;

	while (at > text && (at[-1] == '\n' || at[-1] == '\r'))
		at--;
	while (at > text && (at[-1] != '\n' || --lines))
		at--;
	return at;
}

/* What a kernel calls the reason for its end; the trace that follows may be longer than what is told. */
static bool is_reason(const char *line, size_t len)
{
	return memmem(line, len, "Kernel panic", 12) || memmem(line, len, "BUG:", 4) ||
	       memmem(line, len, "Oops:", 5);
}

void tail_print(struct tail *t, unsigned int lines)
{
	char text[RECENT_MAX + 1];
	const char *last;
	size_t len, n = 0;

	while (take(t))
		;
	len = recent_copy(&t->kept, text);
	for (size_t i = 0; i < len; i++)
		if (text[i] != '\r')
			text[n++] = text[i] ? text[i] : '?';
	text[n] = '\0';
	last = last_lines(text, n, lines);
	for (const char *at = text; *at;) {
		len = strcspn(at, "\n");
		if (at >= last || is_reason(at, len))
			log_error("guest: %.*s", (int)len, at);
		at += len + (at[len] == '\n');
	}
}

bool tail_ran_out_of_memory(struct tail *t)
{
	while (take(t))
		;
	return t->ran_out_of_memory;
}

void tail_destroy(struct tail *t)
{
	if (!t)
		return;
	/* Nobody has looked since the machine ended. */
	while (take(t))
		;
	if (t->log)
		t->lost += sink_finish(t->log);
	if (t->lost)
		log_warn("%llu bytes of the log are lost", (unsigned long long)t->lost);
	loop_watch(t->loop, &t->watch, 0);
	close(t->watch.fd);
	close(t->write_fd);
	free(t);
}
