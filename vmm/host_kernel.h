/*
 * The host's own kernel and its modules, as files.
 */
#ifndef VMM_HOST_KERNEL_H
#define VMM_HOST_KERNEL_H

#include <limits.h>

/*
 * The kernel image of @release, as it lies below @root ("" but in tests): in /boot, or among its modules, where some
 * distributions have it alone. A path, allocated, or NULL with a message.
 */
char *host_kernel(const char *root, const char *release);

/*
 * Where @kernel's modules are: with it, in ../lib/modules or ../usr/lib/modules beside it, as packages have them, or below
 * @root; "" where there are none.
 */
void host_modules(char dir[PATH_MAX], const char *root, const char *kernel, const char *release);

#endif
