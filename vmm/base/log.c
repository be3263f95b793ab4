/* Messages to the user. */
#include "vmm/base/log.h"
#include "vmm/base/util.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static atomic_bool verbose, raw_terminal;

void log_set_verbose(bool on)
{
	verbose = on;
}

void log_set_raw_terminal(bool raw)
{
	raw_terminal = raw;
}

static void log_line(const char *fmt, va_list ap)
{
	char line[1024];
	const int saved = errno;
	const size_t room = sizeof(line) - 2; /* for CR LF */
	size_t n = (size_t)snprintf(line, room, "minivmm: ");
	int m = vsnprintf(line + n, room - n, fmt, ap);

	if (m > 0)
		n += MIN((size_t)m, room - n - 1);
	for (size_t i = 0; i < n; i++)
		if (line[i] == '\n')
			line[i] = ' ';
	if (raw_terminal)
		line[n++] = '\r';
	line[n++] = '\n';
	ssize_t ignored = write(STDERR_FILENO, line, n);
	(void)ignored;
	errno = saved;
}

#define LOG_FUNCTION(name, condition)   \
	void name(const char *fmt, ...) \
	{                               \
		va_list ap;             \
                                        \
		if (!(condition))       \
			return;         \
		va_start(ap, fmt);      \
		log_line(fmt, ap);      \
		va_end(ap);             \
	}

LOG_FUNCTION(log_error, true)
LOG_FUNCTION(log_warn, true)
LOG_FUNCTION(log_info, verbose)
