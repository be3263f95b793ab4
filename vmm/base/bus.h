/*
 * A bus: who answers which range of addresses. The machine has two, I/O ports and memory (MMIO).
 *
 * Devices see offsets into their range, never addresses. Accesses are 1, 2, 4 or 8 bytes; values are
 * little-endian integers. A read that nobody answers gives all ones and is counted, a write is
 * dropped and counted. Any vCPU thread may call bus_read() and bus_write() at any time; ranges may be
 * added, moved and removed while they do, also from inside a handler. A handler may still be running
 * when bus_remove() returns, so a device outlives the vCPUs.
 *
 * A doorbell is an address whose writes signal an eventfd: in the kernel where KVM can (ioeventfd,
 * without a trip to user space), else by the bus itself; the device cannot tell the difference.
 */
#ifndef VMM_BASE_BUS_H
#define VMM_BASE_BUS_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "vmm/base/counters.h"
#include "vmm/base/util.h"

struct bus_ops {
	/* @offset + @size is within the range; the result is truncated to @size bytes. */
	uint64_t (*read)(void *dev, uint64_t offset, unsigned int size);
	void (*write)(void *dev, uint64_t offset, unsigned int size, uint64_t value);
};

/* Owned by the device; must stay where it is while it is on the bus. */
struct bus_range {
	const char *name;
	uint64_t base, len;
	const struct bus_ops *ops;
	void *dev;
};

#define BUS_DOORBELL_ANY UINT64_MAX

struct bus_doorbell {
	uint64_t addr;
	uint64_t value; /* the 32-bit value that rings it, or BUS_DOORBELL_ANY */
	int fd;		/* eventfd */
	bool in_kvm;	/* set by the bus: the kernel signals it */
};

struct bus {
	pthread_rwlock_t lock;
	struct bus_range **range; /* sorted by base */
	unsigned int nr_ranges;
	struct bus_doorbell *doorbell;
	unsigned int nr_doorbells;
	/* Ask KVM to ring @bell (@add) or to stop; 0 or -errno. May be NULL: every doorbell then is
	 * rung by bus_write(). */
	int (*kvm_doorbell)(void *arg, const struct bus_doorbell *bell, bool add);
	void *kvm_arg;
	uint64_t misses; /* accesses that nobody answered; counted by any vCPU (atomic) */
	struct counter_group group;
};

void bus_init(struct bus *bus);

/* Put what it counts into the accounts, as @name. */
void bus_add_counters(struct bus *bus, struct counters *counters, const char *name);
void bus_destroy(struct bus *bus);

/*
 * Put @range on the bus. -EINVAL for an empty or wrapping range, -EEXIST where it would overlap
 * another, -ENOMEM. No message: the caller knows whether it is a bug or a guest's wish.
 */
int must_check bus_add(struct bus *bus, struct bus_range *range);

/* Take @range off the bus; nothing happens if it is not there. */
void bus_remove(struct bus *bus, struct bus_range *range);

/* Answer an access; true if somebody did. A miss reads as all ones. */
bool bus_read(struct bus *bus, uint64_t addr, unsigned int size, uint64_t *value);
bool bus_write(struct bus *bus, uint64_t addr, unsigned int size, uint64_t value);

/*
 * Writes to @addr signal the eventfd @fd from now on, or no longer: writes of any size and value, or,
 * unless @value is BUS_DOORBELL_ANY, 32-bit writes of that value. -EEXIST, -ENOMEM.
 */
int must_check bus_doorbell_add(struct bus *bus, uint64_t addr, uint64_t value, int fd);
void bus_doorbell_remove(struct bus *bus, uint64_t addr, uint64_t value);

#endif
