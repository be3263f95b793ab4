/* Threads: named, and behind their guard before their work begins. */
#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "vmm/base/test/unit.h"
#include "vmm/base/thread.h"

static atomic_int guarded, worked;
static char name[16];

static int confine(void *arg, const struct thread *t)
{
	usleep(10000); /* whoever did not wait would see it */
	guarded = t->kind == THREAD_VCPU && t->fd == 7;
	return *(int *)arg;
}

static void work(void *arg)
{
	prctl(PR_GET_NAME, name);
	worked = guarded ? *(int *)arg : -1;
}

static void test_guard(void **state)
{
	int verdict = 0, value = 5;
	const struct thread_guard guard = { confine, &verdict };
	struct thread t = { .kind = THREAD_VCPU, .name = "vcpu0", .fd = 7, .guard = &guard };

	for (int i = 0; i < 2; i++) {
		guarded = worked = 0;
		assert_int_equal(thread_start(&t, work, &value), 0);
		assert_true(guarded);
		thread_join(&t);
		thread_join(&t); /* nothing to wait for */
		assert_int_equal(worked, 5);
		assert_string_equal(name, "vcpu0");
	}
	/* A guard that fails: no work, and nothing to join. */
	worked = 0;
	verdict = -EPERM;
	assert_int_equal(thread_start(&t, work, &value), -EPERM);
	assert_false(t.started);
	thread_join(&t);
	assert_int_equal(worked, 0);
}

static void test_unguarded(void **state)
{
	int value = 6;
	struct thread t = { .kind = THREAD_NET, .name = "net0" };

	guarded = 1;
	assert_int_equal(thread_start(&t, work, &value), 0);
	thread_join(&t);
	assert_int_equal(worked, 6);
}

static void held(void *arg)
{
	sem_wait(arg);
	worked = 7;
}

static void test_join_within(void **state)
{
	struct thread t = { .kind = THREAD_NET, .name = "net0" };
	sem_t hold;

	assert_true(thread_join_within(&t, 1)); /* nothing to wait for */
	sem_init(&hold, 0, 0);
	worked = 0;
	assert_int_equal(thread_start(&t, held, &hold), 0);
	assert_false(thread_join_within(&t, 1));
	assert_true(t.started);
	sem_post(&hold);
	while (!thread_join_within(&t, 1000))
		;
	assert_false(t.started);
	assert_int_equal(worked, 7);
}

/* What it said, and what policy it then had. */
static void set_batch(void *arg)
{
	const struct sched_param param = { .sched_priority = 0 };
	int *got = arg;

	got[0] = thread_set_batch(false);
	got[1] = sched_getscheduler(0);
	got[2] = thread_set_batch(true);
	got[3] = sched_getscheduler(0);
	got[4] = thread_set_batch(true); /* somebody's wish, as far as it can tell */
	got[5] = thread_set_batch(false);
	got[6] = sched_getscheduler(0);
	sched_setscheduler(0, SCHED_IDLE, &param);
	got[7] = thread_set_batch(true);
	got[8] = thread_set_batch(false);
	got[9] = sched_getscheduler(0);
}

static void test_batch(void **state)
{
	static const int expected[10] = { false, SCHED_OTHER, true,  SCHED_BATCH, false,
					  false, SCHED_OTHER, false, false,	  SCHED_IDLE };
	struct thread t = { .kind = THREAD_NET, .name = "net0" };
	int got[10];

	assert_int_equal(thread_start(&t, set_batch, got), 0);
	thread_join(&t);
	assert_memory_equal(got, expected, sizeof(got));
	assert_int_equal(sched_getscheduler(0), SCHED_OTHER);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_guard),
		cmocka_unit_test(test_unguarded),
		cmocka_unit_test(test_join_within),
		cmocka_unit_test(test_batch),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
