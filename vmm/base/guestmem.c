/* Guest memory: reservation, and the one place where guest addresses are checked. */
#include "vmm/base/guestmem.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "vmm/base/log.h"

#define HUGE_PAGE (2 * MIB)

static int add_region(struct guestmem *mem, uint64_t gpa, uint64_t len)
{
	/*
	 * Host and guest address agree modulo the huge page size, or KVM could not map the guest with
	 * huge pages. NORESERVE: a guest larger than what is free may still run in what it uses.
	 */
	uint8_t *start = mmap(NULL, len + HUGE_PAGE, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	uint8_t *host;

	if (start == MAP_FAILED)
		return log_fail(-errno,
				"cannot reserve %llu MiB of guest memory: %s (try a smaller --mem)",
				(unsigned long long)(len / MIB), strerror(errno));
	host = start + (-(uintptr_t)start & (HUGE_PAGE - 1)); /* gpa is aligned already */
	if (host > start)
		munmap(start, (size_t)(host - start));
	munmap(host + len, HUGE_PAGE - (size_t)(host - start));
	madvise(host, len, MADV_HUGEPAGE);
	/* Guest RAM would make core dumps useless by their size. */
	madvise(host, len, MADV_DONTDUMP);
	mem->region[mem->nr_regions++] = (struct guestmem_region){ gpa, len, host };
	return 0;
}

int guestmem_init(struct guestmem *mem, uint64_t size, const struct guestmem_hole *hole)
{
	const uint64_t low = hole ? MIN(size, hole->start) : size;
	int ret;

	memset(mem, 0, sizeof(*mem));
	ret = add_region(mem, 0, low);
	if (!ret && size > low)
		ret = add_region(mem, hole->end, size - low);
	if (ret)
		guestmem_destroy(mem);
	return ret;
}

void guestmem_destroy(struct guestmem *mem)
{
	for (unsigned int i = 0; i < mem->nr_regions; i++)
		munmap(mem->region[i].host, mem->region[i].len);
	mem->nr_regions = 0;
}

void *guestmem_ptr(const struct guestmem *mem, uint64_t gpa, uint64_t len)
{
	for (unsigned int i = 0; i < mem->nr_regions; i++) {
		const struct guestmem_region *r = &mem->region[i];

		/* Written so that nothing can overflow. A gpa below the region wraps to beyond it. */
		if (gpa - r->gpa < r->len && len && len <= r->len - (gpa - r->gpa))
			return r->host + (gpa - r->gpa);
	}
	return NULL;
}

int guestmem_read(const struct guestmem *mem, uint64_t gpa, void *dst, size_t len)
{
	const void *src = guestmem_ptr(mem, gpa, len);

	if (!src)
		return -EFAULT;
	memcpy(dst, src, len);
	return 0;
}

int guestmem_write(const struct guestmem *mem, uint64_t gpa, const void *src, size_t len)
{
	void *dst = guestmem_ptr(mem, gpa, len);

	if (!dst)
		return -EFAULT;
	memcpy(dst, src, len);
	return 0;
}
