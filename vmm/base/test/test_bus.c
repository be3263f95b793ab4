/* The bus: ranges, misses, doorbells, and all of it from several threads. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "vmm/base/bus.h"
#include "vmm/base/test/unit.h"

/* A device that remembers its last access. */
struct device {
	struct bus_range range;
	uint64_t offset, value;
	unsigned int size, accesses;
};

static struct bus bus;

static uint64_t dev_read(void *arg, uint64_t offset, unsigned int size)
{
	struct device *dev = arg;

	dev->offset = offset;
	dev->size = size;
	dev->accesses++;
	return 0x1122334455667788;
}

static void dev_write(void *arg, uint64_t offset, unsigned int size, uint64_t value)
{
	struct device *dev = arg;

	dev->offset = offset;
	dev->size = size;
	dev->value = value;
	dev->accesses++;
}

static const struct bus_ops ops = { dev_read, dev_write };

static struct device make(uint64_t base, uint64_t len)
{
	return (struct device){ .range = { "test", base, len, &ops, NULL } };
}

static int add(struct device *dev)
{
	dev->range.dev = dev;
	return bus_add(&bus, &dev->range);
}

static int setup(void **state)
{
	bus_init(&bus);
	return 0;
}

static int teardown(void **state)
{
	bus_destroy(&bus);
	return 0;
}

static void test_overlap(void **state)
{
	static const struct {
		uint64_t base, len;
		int want;
	} cases[] = {
		{ 0x1000, 0x100, -EEXIST },
		{ 0xfff, 2, -EEXIST },
		{ 0x10ff, 1, -EEXIST },
		{ 0x1050, 1, -EEXIST },
		{ 0x10ff, 0x101, -EEXIST },
		{ 0, 0x4000, -EEXIST },
		{ 0xf00, 0x400, -EEXIST },
		{ 0x10f0, 0xf11, -EEXIST },
		{ 0x1100, 0xf01, -EEXIST },
		{ 0, ~0ull, -EEXIST },
		{ ~0ull, 1, -EEXIST },
		{ ~0ull - 99, 100, -EEXIST },
		{ 0x5000, 0, -EINVAL },
		{ 0x1000, 0, -EINVAL },
		{ ~0ull, 2, -EINVAL },
		{ 0x5000, ~0ull, -EINVAL },
		{ 1, ~0ull, -EEXIST },
		{ 0xfff, 1, 0 },
		{ 0x1100, 0xf00, 0 },
		{ 0x2001, 1, 0 },
		{ 0, 1, 0 },
	};
	struct device first = make(0x1000, 0x100), second = make(0x2000, 1),
		      last = make(~0ull - 9, 10);

	assert_int_equal(add(&last) | add(&first) | add(&second), 0);
	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		struct device dev = make(cases[i].base, cases[i].len);

		if (add(&dev) != cases[i].want)
			fail_msg("case %u", i);
		bus_remove(&bus, &dev.range); /* also where it is not there */
		assert_int_equal(bus.nr_ranges, 3);
	}
}

static void test_access(void **state)
{
	static const uint64_t ones[] = { [1] = 0xff, [2] = 0xffff, [4] = 0xffffffff, [8] = ~0ull };
	struct device a = make(0x1000, 0x10), b = make(0x1010, 0x10), end = make(~0ull - 15, 16);
	uint64_t v, misses = 0;

	assert_int_equal(add(&a) | add(&b) | add(&end), 0);
	for (unsigned int size = 1; size <= 8; size *= 2)
		for (uint64_t addr = 0xff0; addr < 0x1030; addr++) {
			struct device *dev = addr < 0x1010 ? &a : &b;
			const uint64_t offset = addr - dev->range.base;
			const bool hit = addr >= 0x1000 && offset + size <= 0x10;

			/* An access across two devices, or a device's end, is nobody's. */
			dev->offset = 99;
			assert_int_equal(bus_read(&bus, addr, size, &v), hit);
			assert_int_equal(v, hit ? 0x1122334455667788 & ones[size] : ones[size]);
			assert_int_equal(dev->offset, hit ? offset : 99);
			dev->value = 0;
			assert_int_equal(bus_write(&bus, addr, size, ~0ull), hit);
			assert_int_equal(dev->value, hit ? ones[size] : 0);
			misses += hit ? 0 : 2;
		}
	assert_int_equal(bus.misses, misses);
	assert_true(bus_read(&bus, ~0ull, 1, &v));
	assert_int_equal(end.offset, 15);
	assert_true(bus_read(&bus, ~0ull - 7, 8, &v));
	assert_false(bus_read(&bus, ~0ull - 6, 8, &v)); /* wraps */
	assert_false(bus_read(&bus, ~0ull, 2, &v));
	bus_remove(&bus, &a.range);
	assert_false(bus_read(&bus, 0x1000, 1, &v));
	assert_true(bus_read(&bus, 0x1010, 1, &v));
}

/* A device that moves when it is written to, as a PCI BAR does. */
static void move(void *arg, uint64_t offset, unsigned int size, uint64_t value)
{
	struct device *dev = arg;

	bus_remove(&bus, &dev->range);
	dev->range.base = value;
	assert_int_equal(bus_add(&bus, &dev->range), 0);
}

static void test_move_inside_handler(void **state)
{
	static const struct bus_ops moving = { dev_read, move };
	struct device dev = make(0x1000, 0x10), other = make(0x2000, 0x10);
	uint64_t v;

	dev.range.ops = &moving;
	assert_int_equal(add(&dev) | add(&other), 0);
	for (uint64_t at = 0x1000; at < 0x20000; at += 0x3000) {
		assert_true(bus_write(&bus, at, 4, at + 0x3000));
		assert_false(bus_read(&bus, at, 4, &v));
		assert_true(bus_read(&bus, at + 0x3000 + 12, 4, &v));
		assert_int_equal(dev.offset, 12);
	}
}

/* ---- doorbells ---- */

static unsigned int kvm_added, kvm_removed;
static int kvm_answer;

static int kvm_doorbell(void *arg, const struct bus_doorbell *bell, bool on)
{
	assert_ptr_equal(arg, &kvm_answer);
	assert_true(bell->fd >= 0);
	if (on && kvm_answer)
		return kvm_answer;
	*(on ? &kvm_added : &kvm_removed) += 1;
	return 0;
}

static uint64_t rings(int fd)
{
	eventfd_t n = 0;

	return eventfd_read(fd, &n) ? 0 : n;
}

static void test_doorbells(void **state)
{
	struct device dev = make(0x1000, 0x100);
	int fd[3];

	for (unsigned int i = 0; i < 3; i++)
		fd[i] = eventfd(0, EFD_NONBLOCK);
	assert_int_equal(add(&dev), 0);
	/* With KVM, without it, and where it refuses: all the same. */
	for (unsigned int mode = 0; mode < 3; mode++) {
		bus.kvm_doorbell = mode ? kvm_doorbell : NULL;
		bus.kvm_arg = &kvm_answer;
		kvm_answer = mode == 2 ? -ENOSPC : 0;
		kvm_added = kvm_removed = 0;
		dev.accesses = 0;
		assert_int_equal(bus_doorbell_add(&bus, 0x1050, 0, fd[0]), 0);
		assert_int_equal(bus_doorbell_add(&bus, 0x1050, 7, fd[1]), 0);
		assert_int_equal(bus_doorbell_add(&bus, 0x1060, BUS_DOORBELL_ANY, fd[2]), 0);
		assert_int_equal(bus_doorbell_add(&bus, 0x1050, 7, fd[0]), -EEXIST);
		assert_int_equal(bus_doorbell_add(&bus, 0x1060, BUS_DOORBELL_ANY, fd[0]), -EEXIST);
		assert_int_equal(kvm_added, mode == 1 ? 3 : 0);

		assert_true(bus_write(&bus, 0x1050, 4, 7));
		assert_true(bus_write(&bus, 0x1050, 4, 7 | 1ull << 32)); /* 32 bits count */
		assert_true(bus_write(&bus, 0x1050, 4, 0));
		for (unsigned int size = 1; size <= 8; size *= 2)
			assert_true(bus_write(&bus, 0x1060, size, size * 1234));
		assert_int_equal(dev.accesses, 0);
		/* To the device goes all else. */
		assert_true(bus_write(&bus, 0x1050, 4, 1));
		assert_true(bus_write(&bus, 0x1050, 4, ~0u));
		assert_true(bus_write(&bus, 0x1050, 2, 7));
		assert_true(bus_write(&bus, 0x1050, 8, 7));
		assert_true(bus_write(&bus, 0x104f, 4, 0));
		assert_true(bus_write(&bus, 0x1061, 1, 0));
		assert_int_equal(dev.accesses, 6);
		assert_int_equal(rings(fd[0]), 1);
		assert_int_equal(rings(fd[1]), 2);
		assert_int_equal(rings(fd[2]), 4);

		bus_doorbell_remove(&bus, 0x1050, 0);
		bus_doorbell_remove(&bus, 0x1050, 0);
		bus_doorbell_remove(&bus, 0x1050, 8);
		assert_true(bus_write(&bus, 0x1050, 4, 0));
		assert_true(bus_write(&bus, 0x1050, 4, 7));
		assert_int_equal(rings(fd[0]), 0);
		assert_int_equal(rings(fd[1]), 1);
		bus_doorbell_remove(&bus, 0x1050, 7);
		bus_doorbell_remove(&bus, 0x1060, BUS_DOORBELL_ANY);
		assert_int_equal(bus.nr_doorbells, 0);
		assert_int_equal(kvm_removed, kvm_added);
	}
	for (unsigned int i = 0; i < 3; i++)
		close(fd[i]);
}

/* ---- threads ---- */

static atomic_bool stop;
static atomic_uint hits, missed;

static void *access_bus(void *arg)
{
	uint64_t v;

	while (!atomic_load(&stop)) {
		/* The one that stays always answers, the one that comes and goes answers or not. */
		assert_true(bus_read(&bus, 0x1000, 4, &v));
		assert_int_equal(v, 0x55667788);
		atomic_fetch_add(bus_read(&bus, 0x500, 4, &v) ? &hits : &missed, 1);
		if (!bus_write(&bus, 0x3000, 4, 1))
			atomic_fetch_add(&missed, 1);
	}
	return NULL;
}

static uint64_t steady_read(void *arg, uint64_t offset, unsigned int size)
{
	return 0x1122334455667788;
}

static void test_threads(void **state)
{
	static const struct bus_ops steady = { steady_read, NULL };
	struct device here = make(0x1000, 4), there = make(0x500, 4);
	const int fd = eventfd(0, EFD_NONBLOCK);
	pthread_t thread[2];
	uint64_t rung = 0;

	here.range.ops = there.range.ops = &steady;
	assert_int_equal(add(&here), 0);
	atomic_store(&stop, false);
	for (unsigned int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, access_bus, NULL), 0);
	for (unsigned int i = 0; i < 20000 || !atomic_load(&hits) || !rung; i++) {
		assert_int_equal(add(&there), 0);
		assert_int_equal(bus_doorbell_add(&bus, 0x3000, 1, fd), 0);
		if (i % 64 == 0)
			usleep(50);
		bus_remove(&bus, &there.range);
		bus_doorbell_remove(&bus, 0x3000, 1);
		rung += rings(fd);
	}
	atomic_store(&stop, true);
	for (unsigned int i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	assert_int_equal(bus.misses, atomic_load(&missed)); /* none lost between two that count */
	close(fd);
}

#define MISSES 300000u

static void *miss(void *arg)
{
	uint64_t v;

	for (unsigned int i = 0; i < MISSES; i++)
		bus_read(&bus, 0x500, 4, &v);
	return NULL;
}

/* Two vCPUs that do nothing else: none is lost. */
static void test_misses(void **state)
{
	pthread_t other;

	assert_int_equal(pthread_create(&other, NULL, miss, NULL), 0);
	miss(NULL);
	pthread_join(other, NULL);
	assert_int_equal(bus.misses, 2 * MISSES);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_overlap),   TEST(test_access),  TEST(test_move_inside_handler),
		TEST(test_doorbells), TEST(test_threads), TEST(test_misses)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
