/* The host's own kernel and its modules. */
#include "vmm/host_kernel.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm/base/log.h"

/* Makes @path; whether it can be read. */
static __attribute__((format(printf, 2, 3))) bool readable(char path[PATH_MAX], const char *format,
							   ...)
{
	va_list args;
	int len;

	va_start(args, format);
	len = vsnprintf(path, PATH_MAX, format, args);
	va_end(args);
	return len < PATH_MAX && access(path, R_OK) == 0;
}

char *host_kernel(const char *root, const char *release)
{
	char path[2][PATH_MAX];

	snprintf(path[0], PATH_MAX, "%s/boot/vmlinuz-%s", root, release);
	snprintf(path[1], PATH_MAX, "%s/lib/modules/%s/vmlinuz", root, release);
	/* One that only root may read is told of when it is opened. */
	for (unsigned int i = 0; i < 4; i++)
		if (access(path[i % 2], i < 2 ? R_OK : F_OK) == 0)
			return strdup(path[i % 2]);
	log_error(
		"this host has no kernel at '%s' or '%s': %s (say --kernel FILE; the package linux-image-cloud-amd64 has one)",
		path[0], path[1], strerror(errno));
	return NULL;
}

void host_modules(char dir[PATH_MAX], const char *root, const char *kernel, const char *release)
{
	const char *slash = strrchr(kernel, '/');
	const int len = slash ? (int)(slash - kernel + 1) : 0;

	if (readable(dir, "%.*smodules.builtin", len, kernel)) {
		snprintf(dir, PATH_MAX, "%.*s.", len, kernel);
		return;
	}
	if (!readable(dir, "%.*s../lib/modules/%s", len, kernel, release) &&
	    !readable(dir, "%.*s../usr/lib/modules/%s", len, kernel, release) &&
	    !readable(dir, "%s/lib/modules/%s", root, release))
		*dir = '\0';
}
