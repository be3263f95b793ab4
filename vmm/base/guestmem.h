/*
 * Guest memory: the one door to it.
 *
 * RAM starts at guest physical address 0, leaves out the hole that the machine has and goes on
 * above it. It is reserved, not touched: a page costs the host only once somebody writes to it.
 * Every access names address and length; overflow and region ends are checked here and nowhere
 * else. The guest can change its memory at any time: copy what must be judged, then judge the copy.
 */
#ifndef VMM_BASE_GUESTMEM_H
#define VMM_BASE_GUESTMEM_H

#include <stddef.h>
#include <stdint.h>

#include "vmm/base/util.h"

#define GUESTMEM_MAX_REGIONS 2

struct guestmem_region {
	uint64_t gpa; /* guest physical address of the first byte */
	uint64_t len; /* bytes */
	uint8_t *host;
};

/* Addresses that are never RAM: [start, end), multiples of 2 MiB. */
struct guestmem_hole {
	uint64_t start, end;
};

struct guestmem {
	struct guestmem_region region[GUESTMEM_MAX_REGIONS];
	unsigned int nr_regions;
};

/*
 * Reserve @size bytes (a multiple of 4 KiB) of RAM around @hole (NULL: none). -ENOMEM where the host refuses, with a message.
 * guestmem_destroy() gives it back; no pointer into it may be used after that.
 */
int must_check guestmem_init(struct guestmem *mem, uint64_t size, const struct guestmem_hole *hole);
void guestmem_destroy(struct guestmem *mem);

/*
 * The host address of guest range [gpa, gpa + len), or NULL unless the whole of it is RAM.
 * A range of zero length is never RAM.
 */
void *guestmem_ptr(const struct guestmem *mem, uint64_t gpa, uint64_t len);

/* Copy out of and into guest RAM: 0, or -EFAULT (and nothing copied) unless all of it is RAM. */
int must_check guestmem_read(const struct guestmem *mem, uint64_t gpa, void *dst, size_t len);
int must_check guestmem_write(const struct guestmem *mem, uint64_t gpa, const void *src,
			      size_t len);

#endif
