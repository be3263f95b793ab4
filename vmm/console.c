/* The console: terminal, pipe or file on one side, the serial port on the other. */
#include "vmm/console.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <termios.h>
#include <unistd.h>

#include "vmm/base/event.h"
#include "vmm/base/log.h"

#define ESCAPE 1 /* Ctrl-A */

struct console {
	struct loop *loop;
	unsigned int (*room)(void *port);
	void (*input)(void *port, const uint8_t *buf, unsigned int len);
	void *port;
	int out_fd; /* standard output, a file of ours, or -1 */
	bool raw;   /* the terminal is to be put back */
	struct termios saved;
	uint8_t pending[256]; /* read and not yet taken by the port */
	unsigned int pending_len;
	bool escaped;	   /* the last byte was the escape */
	bool open;	   /* there is something to read from */
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
			log_warn("Ctrl-A x ends the machine, Ctrl-A Ctrl-A sends Ctrl-A, Ctrl-A h "
				 "shows "
				 "this");
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
 * Read once and give. A terminal is read even while the guest takes nothing, or its escape would not
 * be seen; typing beyond the buffer is lost. A pipe or a file waits.
 */
static void pump(struct console *c)
{
	while (give(c) || c->raw) {
		uint8_t buf[sizeof(c->pending)];
		ssize_t n = read(STDIN_FILENO, buf, sizeof(buf));

		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			return;
		if (n <= 0) { /* end of input: the guest goes on without */
			c->open = false;
			loop_watch(c->loop, &c->stdin_watch, 0);
			return;
		}
		const unsigned int kept =
			c->raw ? filter(c, buf, (unsigned int)n) : (unsigned int)n;
		const unsigned int fits =
			MIN(kept, (unsigned int)sizeof(c->pending) - c->pending_len);
		memcpy(c->pending + c->pending_len, buf, fits);
		c->pending_len += fits;
		if (!c->always_ready) {
			give(c);
			break;
		}
	}
	if (!c->always_ready)
		loop_watch(c->loop, &c->stdin_watch, c->raw || !c->pending_len ? EPOLLIN : 0);
}

static void stdin_ready(void *arg, uint32_t events)
{
	(void)events;
	pump(arg);
}

static void room_ready(void *arg, uint32_t events)
{
	struct console *c = arg;

	(void)events;
	event_clear(c->room_watch.fd);
	if (!give(c))
		return; /* the port will tell of room again */
	if (c->open && c->always_ready)
		pump(c);
	else if (c->open)
		loop_watch(c->loop, &c->stdin_watch, EPOLLIN);
}

static void make_raw(struct console *c)
{
	struct termios raw;

	if (!isatty(STDIN_FILENO) || tcgetattr(STDIN_FILENO, &c->saved) < 0)
		return;
	raw = c->saved;
	cfmakeraw(&raw);
	raw.c_oflag |= OPOST | ONLCR; /* the guest's own line discipline writes CR LF as well */
	if (tcsetattr(STDIN_FILENO, TCSANOW, &raw) == 0) {
		c->raw = true;
		log_set_raw_terminal(true);
	}
}

int console_connect(struct console *c, unsigned int (*room)(void *port),
		    void (*input)(void *port, const uint8_t *buf, unsigned int len), void *port)
{
	int ret;

	c->room = room;
	c->input = input;
	c->port = port;
	if (!c->open)
		return 0;
	c->room_watch.ready = room_ready;
	c->room_watch.arg = c;
	c->stdin_watch = (struct loop_watch){ .fd = STDIN_FILENO, .ready = stdin_ready, .arg = c };
	ret = loop_watch(c->loop, &c->room_watch, EPOLLIN);
	if (!ret)
		ret = loop_watch(c->loop, &c->stdin_watch, EPOLLIN);
	if (ret == -EPERM) {
		c->always_ready = true;
		console_room(c);
		ret = 0;
	}
	if (ret)
		log_error("cannot wait for standard input: %s", strerror(-ret));
	return ret;
}

int console_output(const struct console *c)
{
	return c->out_fd;
}

/* Whether standard input may be read: a background job that touched its terminal would be stopped. */
static bool have_input(void)
{
	if (isatty(STDIN_FILENO))
		return tcgetpgrp(STDIN_FILENO) == getpgrp();
	return fcntl(STDIN_FILENO, F_GETFD) >= 0;
}

int console_create(struct console **out, const char *where, struct loop *loop,
		   void (*quit)(void *arg), void *arg)
{
	struct console *c = calloc(1, sizeof(*c));
	int ret;

	if (!c)
		return -ENOMEM;
	c->loop = loop;
	c->quit = quit;
	c->arg = arg;
	c->out_fd = where ? -1 : STDOUT_FILENO;
	c->room_watch.fd = event_create();
	if (c->room_watch.fd < 0) {
		ret = c->room_watch.fd;
		log_error("cannot create an eventfd for the console: %s", strerror(-ret));
		goto fail;
	}
	if (where && strcmp(where, "none")) {
		c->out_fd = open(where, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
		if (c->out_fd < 0) {
			ret = -errno;
			log_error("cannot open console file '%s': %s", where, strerror(-ret));
			goto fail;
		}
	}
	if (!where && have_input()) {
		c->open = true;
		make_raw(c);
	}
	*out = c;
	return 0;
fail:
	console_destroy(c);
	return ret;
}

void console_destroy(struct console *c)
{
	if (!c)
		return;
	if (c->raw) {
		tcsetattr(STDIN_FILENO, TCSANOW, &c->saved);
		log_set_raw_terminal(false);
	}
	loop_watch(c->loop, &c->stdin_watch, 0);
	loop_watch(c->loop, &c->room_watch, 0);
	if (c->room_watch.fd >= 0)
		close(c->room_watch.fd);
	if (c->out_fd >= 0 && c->out_fd != STDOUT_FILENO)
		close(c->out_fd);
	free(c);
}
