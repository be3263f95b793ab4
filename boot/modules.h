/*
 * Kernel modules: which ones a guest's kernel needs, and in which order.
 *
 * A folder of modules is as packages have it, /lib/modules/RELEASE; modules.dep, which only an installation makes, is not
 * needed: what a module depends on stands in itself (.modinfo). Compressed modules are unpacked by the host's own xz,
 * zstd or gzip. Files are checked, never trusted.
 */
#ifndef BOOT_MODULES_H
#define BOOT_MODULES_H

#include <stddef.h>
#include <stdint.h>

#include "vmm/base/util.h"

struct module {
	char *name; /* with '_' for '-' */
	uint8_t *data;
	size_t len;
};

struct modules {
	struct module *module;
	unsigned int nr;
};

/*
 * The modules @names (NULL-terminated) of the folder @dir and all that they depend on, each behind what it depends on.
 * What the kernel has built in (modules.builtin says so) is left out. -ENOENT: neither a module nor built in; other
 * -errno from reading; with a message.
 */
int must_check modules_pick(struct modules *out, const char *dir, const char *const *names);

void modules_free(struct modules *m);

/*
 * What the module file in @data depends on: names with commas between them, "" for nothing; valid as long as @data.
 * NULL where it is no module of this kind of machine's (ELF, 64 bits).
 */
const char *module_depends(const uint8_t *data, size_t len);

#endif
