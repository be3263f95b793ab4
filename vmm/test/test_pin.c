/* --pin: what is no list of threads and CPUs, CPUs that are not there, and threads that are put where they were to be. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "vmm/base/test/messages.h"
#include "vmm/base/test/unit.h"
#include "vmm/pin.h"

static void test_bad(void **state)
{
	static const char *const bad[] = {
		"",
		"vcpu0",
		"vcpu0=",
		"=1",
		"1",
		"vcpu0=x",
		"vcpu0=1,",
		"vcpu0=-1",
		"vcpu0=1-",
		"vcpu0=3-2",
		"vcpu0=1024",
		"vcpu0=1,,2",
		"vcpu0=1 ",
		"vcpu0=+1",
		"vcpu0= 1",
		"vcpu0=1;2",
		",vcpu0=1",
		"vcpu0=1,=2",
		"a-name-of-sixteen=1",
		"vcpu0=1-2-3",
		"vcpu0=99999999999999999999",
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		struct pins pins = { 0 };

		if (pin_parse(&pins, bad[i]) != -EINVAL)
			fail_msg("'%s' was taken", bad[i]);
	}
}

static void test_lists(void **state)
{
	struct pins pins = { 0 };

	assert_int_equal(pin_parse(&pins, "vcpu0=1,net0=2-4,7,main=0"), 0);
	assert_int_equal(pin_parse(&pins, "disk=1023"), 0);
	assert_int_equal(pins.nr, 4);
	assert_string_equal(pins.pin[1].name, "net0");
	assert_int_equal(CPU_COUNT(&pins.pin[0].cpus), 1);
	assert_int_equal(CPU_COUNT(&pins.pin[1].cpus), 4);
	assert_true(CPU_ISSET(7, &pins.pin[1].cpus) && !CPU_ISSET(5, &pins.pin[1].cpus));
	assert_true(CPU_ISSET(1023, &pins.pin[3].cpus));
}

/* A configuration file's, and then the command line's. */
static void test_last_word(void **state)
{
	struct pins pins = { 0 };
	char text[32];

	assert_int_equal(pin_parse(&pins, "vcpu0=1,net0=2,vcpu=3"), 0);
	assert_int_equal(pin_parse(&pins, "vcpu0=4-5,6"), 0);
	assert_int_equal(pins.nr, 3);
	assert_int_equal(CPU_COUNT(&pins.pin[0].cpus), 3);
	assert_false(CPU_ISSET(1, &pins.pin[0].cpus));
	assert_int_equal(CPU_COUNT(&pins.pin[1].cpus) + CPU_COUNT(&pins.pin[2].cpus), 2);
	for (unsigned int i = 3; i < PIN_MAX; i++) {
		snprintf(text, sizeof(text), "disk%u=1", i);
		assert_int_equal(pin_parse(&pins, text), 0);
	}
	assert_int_equal(pin_parse(&pins, "fs0=1"), -EINVAL);
	assert_int_equal(pin_parse(&pins, "disk63=2"), 0);
	assert_int_equal(pins.nr, PIN_MAX);
}

/* A CPU that we may use. */
static int some_cpu(void)
{
	cpu_set_t set;
	int cpu = CPU_SETSIZE - 1;

	CPU_ZERO(&set);
	assert_int_equal(sched_getaffinity(0, sizeof(set), &set), 0);
	while (!CPU_ISSET(cpu, &set))
		cpu--;
	return cpu;
}

static void *in_thread(void *arg)
{
	struct pins *pins = arg;
	const int cpu = some_cpu();
	cpu_set_t set;

	CPU_SET(cpu, &pins->pin[0].cpus);
	assert_int_equal(pin_thread(pins, "net1"), 0); /* as one of its kind */
	assert_int_equal(sched_getaffinity(0, sizeof(set), &set), 0);
	assert_true(CPU_EQUAL(&set, &pins->pin[0].cpus));
	assert_int_equal(pin_thread(pins, "nets"), 0); /* which is another */
	/* One that is there and one that is not. */
	CPU_SET(CPU_SETSIZE - 1, &pins->pin[0].cpus);
	assert_int_equal(pin_thread(pins, "net0"), -EINVAL);
	return NULL;
}

static void test_thread(void **state)
{
	struct pins pins = { .nr = 1, .pin = { { .name = "net" } } };
	pthread_t thread;
	const char *said;

	messages_begin();
	assert_int_equal(pin_main(&pins), -EINVAL); /* no thread as yet */
	assert_int_equal(pthread_create(&thread, NULL, in_thread, &pins), 0);
	pthread_join(thread, NULL);
	assert_int_equal(pin_main(&pins), 0);
	said = messages_end();
	assert_non_null(strstr(said, "cannot pin thread net0 to CPU 1023"));
	assert_string_equal(pins.seen, "main net1 nets net0 main");
}

static void *in_its_own(void *arg)
{
	assert_int_equal(pin_thread(arg, "net0"), 0);
	return NULL;
}

/* The only one of its kind, which has a pin of its own, is of that kind all the same. */
static void test_thread_and_kind(void **state)
{
	struct pins pins = { .nr = 2, .pin = { { .name = "net" }, { .name = "net0" } } };
	pthread_t thread;

	CPU_SET(some_cpu(), &pins.pin[1].cpus);
	assert_int_equal(pthread_create(&thread, NULL, in_its_own, &pins), 0);
	pthread_join(thread, NULL);
	assert_int_equal(pin_main(&pins), 0);
}

/* None of them is there. */
static void test_nowhere(void **state)
{
	struct pins pins = { 0 };
	cpu_set_t before, after;

	assert_int_equal(sched_getaffinity(0, sizeof(before), &before), 0);
	assert_int_equal(pin_parse(&pins, "main=1022-1023"), 0);
	messages_begin();
	assert_int_equal(pin_thread(&pins, "main"), -EINVAL);
	assert_non_null(strstr(messages_end(), "CPU 1022"));
	assert_int_equal(sched_getaffinity(0, sizeof(after), &after), 0);
	assert_true(CPU_EQUAL(&before, &after));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_lists),
		cmocka_unit_test(test_last_word),
		cmocka_unit_test(test_thread),
		cmocka_unit_test(test_thread_and_kind),
		cmocka_unit_test(test_nowhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
