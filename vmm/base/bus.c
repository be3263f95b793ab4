/* A bus: who answers which range of addresses. */
#include "vmm/base/bus.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/base/event.h"

void bus_init(struct bus *bus)
{
	memset(bus, 0, sizeof(*bus));
	pthread_rwlock_init(&bus->lock, NULL);
}

void bus_add_counters(struct bus *bus, struct counters *counters, const char *name)
{
	static const struct counter_desc desc[] = { COUNTER(struct bus, misses), COUNTER_END };

	counters_add(counters, &bus->group, desc, bus, "%s", name);
}

void bus_destroy(struct bus *bus)
{
	counters_remove(&bus->group);
	pthread_rwlock_destroy(&bus->lock);
	free(bus->range);
	free(bus->doorbell);
	bus->range = NULL;
	bus->doorbell = NULL;
}

/* Index of the first range that ends beyond @addr. */
static unsigned int first_beyond(const struct bus *bus, uint64_t addr)
{
	unsigned int lo = 0, hi = bus->nr_ranges;

	while (lo < hi) {
		const unsigned int mid = (lo + hi) / 2;
		const struct bus_range *r = bus->range[mid];

		if (r->base + (r->len - 1) < addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

int bus_add(struct bus *bus, struct bus_range *range)
{
	const uint64_t last = range->base + (range->len - 1);
	struct bus_range **grown;
	unsigned int at;
	int ret = 0;

	if (!range->len || last < range->base)
		return -EINVAL;
	pthread_rwlock_wrlock(&bus->lock);
	at = first_beyond(bus, range->base);
	if (at < bus->nr_ranges && bus->range[at]->base <= last) {
		ret = -EEXIST;
		goto out;
	}
	grown = realloc(bus->range, (bus->nr_ranges + 1) * sizeof(*grown));
	if (!grown) {
		ret = -ENOMEM;
		goto out;
	}
	bus->range = grown;
	memmove(grown + at + 1, grown + at, (bus->nr_ranges - at) * sizeof(*grown));
	grown[at] = range;
	bus->nr_ranges++;
out:
	pthread_rwlock_unlock(&bus->lock);
	return ret;
}

void bus_remove(struct bus *bus, struct bus_range *range)
{
	pthread_rwlock_wrlock(&bus->lock);
	for (unsigned int i = 0; i < bus->nr_ranges; i++) {
		if (bus->range[i] != range)
			continue;
		bus->nr_ranges--;
		memmove(bus->range + i, bus->range + i + 1,
			(bus->nr_ranges - i) * sizeof(*bus->range));
		break;
	}
	pthread_rwlock_unlock(&bus->lock);
}

/*
 * Who answers [addr, addr + size)? A copy, taken under the lock: the handler then runs without it, so
 * that it may itself add and remove ranges.
 */
static bool find(struct bus *bus, uint64_t addr, unsigned int size, struct bus_range *found)
{
	bool hit = false;

	pthread_rwlock_rdlock(&bus->lock);
	const unsigned int at = first_beyond(bus, addr);
	if (at < bus->nr_ranges) {
		const struct bus_range *r = bus->range[at];

		hit = r->base <= addr && size - 1 < 8 && size <= r->len - (addr - r->base);
		if (hit)
			*found = *r;
	}
	pthread_rwlock_unlock(&bus->lock);
	return hit;
}

static uint64_t size_mask(unsigned int size)
{
	return size >= 8 ? ~0ull : (1ull << (size * 8)) - 1;
}

/* Any number of vCPUs at once; rare enough for an atomic. */
static void count_miss(struct bus *bus)
{
	__atomic_fetch_add(&bus->misses, 1, __ATOMIC_RELAXED);
}

bool bus_read(struct bus *bus, uint64_t addr, unsigned int size, uint64_t *value)
{
	struct bus_range r;

	if (!find(bus, addr, size, &r)) {
		count_miss(bus);
		*value = size_mask(size);
		return false;
	}
	*value = r.ops->read(r.dev, addr - r.base, size) & size_mask(size);
	return true;
}

static bool ring_doorbell(struct bus *bus, uint64_t addr, unsigned int size, uint64_t value)
{
	int fd = -1;

	pthread_rwlock_rdlock(&bus->lock);
	for (unsigned int i = 0; i < bus->nr_doorbells && fd < 0; i++) {
		const struct bus_doorbell *b = &bus->doorbell[i];

		if (b->addr == addr &&
		    (b->value == BUS_DOORBELL_ANY || (size == 4 && b->value == (uint32_t)value)))
			fd = b->fd;
	}
	pthread_rwlock_unlock(&bus->lock);
	if (fd >= 0)
		event_signal(fd);
	return fd >= 0;
}

bool bus_write(struct bus *bus, uint64_t addr, unsigned int size, uint64_t value)
{
	struct bus_range r;

	if (ring_doorbell(bus, addr, size, value))
		return true;
	if (!find(bus, addr, size, &r)) {
		count_miss(bus);
		return false;
	}
	r.ops->write(r.dev, addr - r.base, size, value & size_mask(size));
	return true;
}

/* The doorbell's index, or nr_doorbells. */
static unsigned int find_doorbell(const struct bus *bus, uint64_t addr, uint64_t value)
{
	unsigned int i = 0;

	while (i < bus->nr_doorbells &&
	       (bus->doorbell[i].addr != addr || bus->doorbell[i].value != value))
		i++;
	return i;
}

int bus_doorbell_add(struct bus *bus, uint64_t addr, uint64_t value, int fd)
{
	struct bus_doorbell bell = { .addr = addr, .value = value, .fd = fd };
	struct bus_doorbell *grown;
	int ret = -EEXIST;

	pthread_rwlock_wrlock(&bus->lock);
	if (find_doorbell(bus, addr, value) < bus->nr_doorbells)
		goto out;
	ret = -ENOMEM;
	grown = realloc(bus->doorbell, (bus->nr_doorbells + 1) * sizeof(*grown));
	if (!grown)
		goto out;
	bus->doorbell = grown;
	/* Without the kernel's help bus_write() rings it: slower, and the same to all. */
	bell.in_kvm = bus->kvm_doorbell && !bus->kvm_doorbell(bus->kvm_arg, &bell, true);
	grown[bus->nr_doorbells++] = bell;
	ret = 0;
out:
	pthread_rwlock_unlock(&bus->lock);
	return ret;
}

void bus_doorbell_remove(struct bus *bus, uint64_t addr, uint64_t value)
{
	pthread_rwlock_wrlock(&bus->lock);
	const unsigned int i = find_doorbell(bus, addr, value);
	if (i < bus->nr_doorbells) {
		if (bus->doorbell[i].in_kvm)
			bus->kvm_doorbell(bus->kvm_arg, &bus->doorbell[i], false);
		bus->doorbell[i] = bus->doorbell[--bus->nr_doorbells];
	}
	pthread_rwlock_unlock(&bus->lock);
}
