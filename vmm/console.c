/* The console: terminal, pipe or file on one side, the serial port on the other. */
#include "vmm/console.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "vmm/base/event.h"
#include "vmm/base/log.h"
#include "vmm/base/terminal.h"
#include "vmm/fault.h"
#include "vmm/raw_terminal.h"

#define ESCAPE 1 /* Ctrl-A */

struct console {
	struct loop *loop;
	unsigned int (*room)(void *port);
	unsigned int (*input)(void *port, const uint8_t *buf, unsigned int len);
	void *port;
	struct output out;
	int in_fd; /* standard input, or another door to it that does not block */
	struct raw_terminal terminal;
	uint8_t pending[256]; /* read and not yet taken by the port */
	unsigned int pending_len;
	bool escaped;	   /* the last byte was the escape */
	bool open;	   /* there is something to read from */
	bool away;	   /* the terminal belongs to others */
	bool always_ready; /* a plain file, which epoll does not watch */
	struct loop_watch stdin_watch;
	struct loop_watch room_watch; /* an eventfd: the guest has made room */
	void (*quit)(void *arg);
	void *arg;
};

void console_room(void *arg)
{
	struct console *c = arg;

	event_signal(c->room_watch.fd);
}

/* Take the escape sequences out of what a terminal sent; returns the bytes left for the guest. */
static unsigned int filter(struct console *c, uint8_t *buf, unsigned int n)
{
	unsigned int kept = 0;

	for (unsigned int i = 0; i < n; i++) {
		if (!c->escaped && buf[i] == ESCAPE) {
			c->escaped = true;
			continue;
		}
		if (c->escaped && buf[i] == 'x') {
			c->quit(c->arg);
		} else if (c->escaped && buf[i] == 'h') {
			log_warn(
				"Ctrl-A x ends the machine, Ctrl-A Ctrl-A sends Ctrl-A, Ctrl-A h shows this");
		} else {
			buf[kept++] = buf[i];
		}
		c->escaped = false;
	}
	return kept;
}

/* Pass on what was read, until the port says that it has no room. True if all of it is gone. */
static bool give(struct console *c)
{
	while (c->pending_len) {
		const unsigned int n = MIN(c->room(c->port), c->pending_len);

		if (!n)
			return false;
		c->input(c->port, c->pending, n);
		c->pending_len -= n;
		memmove(c->pending, c->pending + n, c->pending_len);
	}
	return true;
}

/*
 * In the background what is typed is for others. A shell that brings us back with 'fg' need not say so,
 * so each new input is a reason to look; only a new one, as it may lie there for long.
 */
static void watch_input(struct console *c)
{
	const bool wanted = c->open && (c->terminal.taken || !c->pending_len);

	if (!c->always_ready)
		loop_watch(c->loop, &c->stdin_watch,
			   !wanted   ? 0
			   : c->away ? EPOLLIN | EPOLLET
				     : EPOLLIN);
}

/* Never waits: another process may have taken what the loop was told of. */
static ssize_t read_input(struct console *c, uint8_t *buf, size_t len)
{
	struct pollfd p = { .fd = c->in_fd, .events = POLLIN };

	if (c->in_fd == STDIN_FILENO && !c->always_ready && poll(&p, 1, 0) == 0) {
		errno = EAGAIN;
		return -1;
	}
	return read(c->in_fd, buf, len);
}

/*
 * Read once and give. A terminal is read even while the guest takes nothing, or its escape would not
 * be seen; typing beyond the buffer is lost. A pipe or a file waits.
 */
static void pump(struct console *c)
{
	while (give(c) || c->terminal.taken) {
		uint8_t buf[sizeof(c->pending)];
		ssize_t n = read_input(c, buf, sizeof(buf));

		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			return;
		if (n <= 0) { /* end of input: the guest goes on without */
			c->open = false;
			break;
		}
		const unsigned int kept =
			c->terminal.taken ? filter(c, buf, (unsigned int)n) : (unsigned int)n;
		const unsigned int fits =
			MIN(kept, (unsigned int)sizeof(c->pending) - c->pending_len);
		memcpy(c->pending + c->pending_len, buf, fits);
		c->pending_len += fits;
		if (!c->always_ready) {
			give(c);
			break;
		}
	}
	watch_input(c);
}

static void stdin_ready(void *arg, uint32_t events)
{
	struct console *c = arg;

	if (c->away)
		console_resume(c);
	if (!c->away)
		pump(c);
}

static void room_ready(void *arg, uint32_t events)
{
	struct console *c = arg;

	event_clear(c->room_watch.fd);
	if (!give(c))
		return; /* the port will tell of room again */
	if (c->open && c->always_ready)
		pump(c);
	else
		watch_input(c);
}

/* ---- the terminal ---- */

static void restore_terminal(struct console *c)
{
	raw_terminal_set(&c->terminal, false);
	c->out.sink.room = UINT64_MAX;
	if (c->out.sink.controls)
		sink_write(&c->out.sink, terminal_reset, strlen(terminal_reset), TERMINAL_RESET_MS);
}

/* Another thread may be writing: what it has begun may follow, but no more of it. */
static void on_fault(void *console, int status)
{
	restore_terminal(console);
}

void console_pause(struct console *c)
{
	raw_terminal_set(&c->terminal, false);
}

void console_resume(struct console *c)
{
	if (!c->terminal.taken)
		return;
	c->away = !raw_terminal_in_foreground(&c->terminal);
	raw_terminal_set(&c->terminal, true);
	watch_input(c);
}

int console_connect(struct console *c, unsigned int (*room)(void *port),
		    unsigned int (*input)(void *port, const uint8_t *buf, unsigned int len),
		    void *port)
{
	int ret;

	c->room = room;
	c->input = input;
	c->port = port;
	if (!c->open)
		return 0;
	c->room_watch.ready = room_ready;
	c->room_watch.arg = c;
	c->stdin_watch = (struct loop_watch){ .fd = c->in_fd, .ready = stdin_ready, .arg = c };
	ret = loop_watch(c->loop, &c->room_watch, EPOLLIN)
		      ?: loop_watch(c->loop, &c->stdin_watch, EPOLLIN);
	if (ret == -EPERM) {
		c->always_ready = true;
		console_room(c);
		ret = 0;
	}
	if (ret)
		log_error("cannot wait for standard input: %s", strerror(-ret));
	return ret;
}

struct output *console_output(struct console *c)
{
	return &c->out;
}

/* Whether standard input may be read: a background job that touched its terminal would be stopped. */
static bool have_input(void)
{
	if (isatty(STDIN_FILENO))
		return tcgetpgrp(STDIN_FILENO) == getpgrp();
	return fcntl(STDIN_FILENO, F_GETFD) >= 0;
}

int console_create(struct console **out, const struct console_options *options, struct loop *loop,
		   void (*quit)(void *arg), void *arg)
{
	struct console *c = calloc(1, sizeof(*c));
	int ret;

	if (!c)
		return -ENOMEM;
	c->loop = loop;
	c->quit = quit;
	c->arg = arg;
	c->out = (struct output){ .what = "console file",
				  .sink = SINK_NOWHERE,
				  .max = options->max };
	c->in_fd = STDIN_FILENO;
	c->room_watch.fd = event_create();
	if (c->room_watch.fd < 0) {
		ret = c->room_watch.fd;
		log_error("cannot create an eventfd for the console: %s", strerror(-ret));
		free(c);
		return ret;
	}
	if (!options->where)
		sink_init(&c->out.sink, options->fd ? options->fd : STDOUT_FILENO);
	else if (strcmp(options->where, "none"))
		c->out.path = options->where;
	if (!options->where && !options->fd && have_input()) {
		c->open = true;
		c->in_fd = sink_reopen(STDIN_FILENO, O_RDONLY);
		if (c->in_fd < 0)
			c->in_fd = STDIN_FILENO;
		/* The guest's own line discipline writes CR LF as well. */
		raw_terminal_take(&c->terminal, STDIN_FILENO, OPOST | ONLCR);
	}
	fault_hook_add(on_fault, c);
	*out = c;
	return 0;
}

void console_destroy(struct console *c)
{
	if (!c)
		return;
	fault_hook_remove(c);
	restore_terminal(c);
	loop_watch(c->loop, &c->stdin_watch, 0);
	loop_watch(c->loop, &c->room_watch, 0);
	close(c->room_watch.fd);
	if (c->in_fd != STDIN_FILENO)
		close(c->in_fd);
	sink_close(&c->out.sink);
	free(c);
}

/* ---- --console ---- */

static int parse_max(void *at, const char *text)
{
	return option_parse_size(text, at) || !*(uint64_t *)at ? -EINVAL : 0;
}

#define AT(field) offsetof(struct console_options, field)
static const struct option keys[] = {
	{ "console", OPTION_OUTPUT, AT(where), "WHERE", "", .wanted = "a file or none" },
	{ "max", OPTION_OTHER, AT(max), "SIZE", "", .parse = parse_max,
	  .wanted = "a size above 0, such as 64M" },
	{ 0 },
};

static int check_options(const void *values, const char *text, const void *const *others,
			 unsigned int nr)
{
	return ((const struct console_options *)values)->where
		       ? 0
		       : option_bad_value("--console", text, "a file or none first");
}

static const struct option_group group = {
	.name = "console",
	.size = sizeof(struct console_options),
	.check = check_options,
	.of = (const struct option_rows[]){ { keys, 0 }, { 0 } },
};

int console_parse(void *at, const char *text)
{
	*(struct console_options *)at = (struct console_options){ 0 };
	return options_parse_list(&group, at, text, NULL, 0);
}
