/* What client and server share: the descriptor limit, messages. */
#include <stdarg.h>
#include <stdio.h>
#include <sys/resource.h>

#include "guest-tests/bench/util.h"
#include "vmm/base/log.h"

uint64_t util_raise_file_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return 0;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	return getrlimit(RLIMIT_NOFILE, &limit) ? 0 : limit.rlim_cur;
}

/* The messages of vmm/base/options. */
void log_error(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fputs("crr: ", stderr);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	va_end(ap);
}
