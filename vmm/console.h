/*
 * The console: the serial port's other end. Standard input and output, or a file, or nothing.
 *
 * On a terminal, input is raw (Ctrl-C goes to the guest) with an escape: Ctrl-A x ends the machine,
 * Ctrl-A h helps, Ctrl-A Ctrl-A sends a Ctrl-A. The terminal is put back by console_destroy().
 */
#ifndef VMM_CONSOLE_H
#define VMM_CONSOLE_H

#include <stdint.h>

#include "vmm/base/loop.h"

struct console;

/*
 * @where: NULL for standard input and output, "none", or a file to write to. @quit is called on
 * @loop's thread when the user asks to end. -errno with a message.
 */
int must_check console_create(struct console **out, const char *where, struct loop *loop,
			      void (*quit)(void *arg), void *arg);

/* Where the guest's output goes, or -1: nowhere. It stays the console's. */
int console_output(const struct console *console);

/*
 * Begin to pass input to a port, from @loop's thread: @room tells how many bytes it can take now,
 * @input gives it that many at most. Once @room has said 0, console_room() must be called when that
 * changes. -errno with a message.
 */
int must_check console_connect(struct console *console, unsigned int (*room)(void *port),
			       void (*input)(void *port, const uint8_t *buf, unsigned int len),
			       void *port);

/* The port (@console as void *) has room again. Any thread. */
void console_room(void *console);

/* Puts the terminal back. The loop is not running. Safe on NULL. */
void console_destroy(struct console *console);

#endif
