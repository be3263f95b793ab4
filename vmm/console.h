/*
 * The console: the serial port's other end. Standard input and output, or a file, or nothing.
 *
 * On a terminal, input is raw (Ctrl-C goes to the guest) with an escape: Ctrl-A x ends the machine,
 * Ctrl-A h helps, Ctrl-A Ctrl-A sends a Ctrl-A. The terminal is put back by console_destroy().
 */
#ifndef VMM_CONSOLE_H
#define VMM_CONSOLE_H

#include "devices/serial.h"
#include "vmm/loop.h"

struct console;

/*
 * @where: NULL for standard input and output, "none", or a file to write to. Creates the serial port
 * too; input is served by @loop. @quit is called on the loop's thread when the user asks to end.
 * -errno with a message.
 */
int must_check console_create(struct console **out, const char *where, struct bus *pio,
			      struct irqchip *irqchip, struct loop *loop, void (*quit)(void *arg),
			      void *arg);

/* Flushes, and puts the terminal back. The vCPUs have ended. Safe on NULL. */
void console_destroy(struct console *console);

#endif
