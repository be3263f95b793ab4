/* In place of vmm/log.c: keeps the last error, so that tests can look at it and stderr stays clean. */
#include <stdio.h>
#include <string.h>

#include "boot/test/guest.h"
#include "vmm/base/log.h"
#include "vmm/base/test/unit.h"

static char message[1024];

void log_error(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(message, sizeof(message), fmt, ap);
	va_end(ap);
}

void log_warn(const char *fmt, ...)
{
}

void log_info(const char *fmt, ...)
{
}

void log_set_verbose(bool verbose)
{
}

void log_set_raw_terminal(bool raw)
{
}

const char *last_message(void)
{
	return message;
}

void forget_message(void)
{
	message[0] = 0;
}

void assert_said(const char *part)
{
	if (!strstr(message, part))
		fail_msg("'%s' does not say '%s'", message, part);
}
