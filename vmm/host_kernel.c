/* The host's own kernel and its modules. */
#include "vmm/host_kernel.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm/base/log.h"

char *host_kernel(const char *root, const char *release)
{
	char *path;

	if (asprintf(&path, "%s/boot/vmlinuz-%s", root, release) < 0)
		return NULL;
	if (access(path, F_OK) == 0)
		return path;
	log_error(
		"this host has no kernel at '%s': %s (say --kernel FILE; the package linux-image-cloud-amd64 has one)",
		path, strerror(errno));
	free(path);
	return NULL;
}

void host_modules(char dir[PATH_MAX], const char *root, const char *kernel, const char *release)
{
	const char *slash = strrchr(kernel, '/');

	snprintf(dir, PATH_MAX, "%.*s../lib/modules/%s", slash ? (int)(slash - kernel + 1) : 0,
		 kernel, release);
	if (access(dir, X_OK) == 0)
		return;
	snprintf(dir, PATH_MAX, "%s/lib/modules/%s", root, release);
	if (access(dir, X_OK) < 0)
		*dir = '\0';
}
