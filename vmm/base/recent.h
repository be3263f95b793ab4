/*
 * The last bytes of a stream.
 */
#ifndef VMM_BASE_RECENT_H
#define VMM_BASE_RECENT_H

#include <stddef.h>

#include "vmm/base/util.h"

#define RECENT_MAX ((size_t)16384)

/* All zero: nothing yet. */
struct recent {
	char text[RECENT_MAX]; /* a ring, the oldest byte at @first */
	size_t first, len;
};

void recent_add(struct recent *recent, const void *bytes, size_t len);

/* Copy them, the oldest first; how many. */
size_t recent_copy(const struct recent *recent, char out[RECENT_MAX]);

#endif
