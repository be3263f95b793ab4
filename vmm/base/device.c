/* What all devices share. */
#include "vmm/base/device.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/base/log.h"

const char *const device_transports[] = { "mmio", "pci", NULL };

void *device_alloc(const struct device_env *env, size_t size)
{
	void *device = calloc(1, size);

	if (!device)
		log_error("cannot create %s: %s", env->name, strerror(ENOMEM));
	return device;
}
