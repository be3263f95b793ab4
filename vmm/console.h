/*
 * The console: the serial port's other end. Standard input and output, or a file, or nothing.
 *
 * On a terminal, input is raw (Ctrl-C goes to the guest) with an escape: Ctrl-A x ends the machine,
 * Ctrl-A h helps, Ctrl-A Ctrl-A sends a Ctrl-A. What the guest writes reaches the terminal as it is.
 * console_destroy() puts the terminal back: its modes, and where the guest sent more than plain lines
 * also what those may have changed (cursor, colours, screen, keypad, mouse, paste), the title aside.
 * So does a fault that ends the process (fault.h). Into pipes and files goes what the guest sent, and nothing else.
 *
 * The main loop never waits for the other side: input is read only when it is there, and output is
 * written by the serial port to a sink.
 */
#ifndef VMM_CONSOLE_H
#define VMM_CONSOLE_H

#include <stdint.h>

#include "vmm/base/loop.h"
#include "vmm/base/options.h"
#include "vmm/base/sink.h"

struct console;

struct console_options {
	const char *where; /* NULL: standard input and output; "none"; or a file to write to */
	uint64_t max;	   /* bytes that the file may get, or 0 */
	int fd;		   /* instead, where it is not 0: open, to write to */
};

/* The option --console, for the machine's table; @at is a struct console_options. */
int must_check console_parse(void *at, const char *text);

/*
 * Take the terminal. @quit is called on @loop's thread when the user asks to end. @options live as long
 * as the console. -errno with a message.
 */
int must_check console_create(struct console **out, const struct console_options *options,
			      struct loop *loop, void (*quit)(void *arg), void *arg);

/* Where the guest's output goes; a file is the machine's to open. It stays the console's. */
struct output *console_output(struct console *console);

/* The terminal goes to others (SIGTSTP) and may be ours again (SIGCONT). On @loop's thread. */
void console_pause(struct console *console);
void console_resume(struct console *console);

/*
 * Begin to pass input to a port, from @loop's thread: @room tells how many bytes it can take now,
 * @input gives it that many at most, which it takes. Once @room has said 0, console_room() must be called when that
 * changes. -errno with a message.
 */
int must_check console_connect(struct console *console, unsigned int (*room)(void *port),
			       unsigned int (*input)(void *port, const uint8_t *buf,
						     unsigned int len),
			       void *port);

/* The port (@console as void *) has room again. Any thread. */
void console_room(void *console);

/* Puts the terminal back. The loop is not running. Safe on NULL. */
void console_destroy(struct console *console);

#endif
