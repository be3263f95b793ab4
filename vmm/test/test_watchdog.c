/* A machine that does not come to its end. */
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "vmm/base/test/messages.h"
#include "vmm/base/test/unit.h"
#include "vmm/fault.h"
#include "vmm/watchdog.h"

static atomic_int given_up;
static sem_t gave_up;

static void give_up(int status)
{
	given_up = status;
	sem_post(&gave_up);
	pthread_exit(NULL); /* the process would end */
}

/* Signals that no main loop takes. */
static sigset_t block(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	return set;
}

static struct watchdog *create(void)
{
	const sigset_t set = block();
	struct watchdog *w;

	given_up = -1;
	sem_init(&gave_up, 0, 0);
	assert_int_equal(watchdog_create(&w, &set, give_up), 0);
	return w;
}

static struct watchdog *start(uint64_t timeout_ms)
{
	const struct config config = { .timeout_ms = timeout_ms };
	struct watchdog *w = create();

	assert_int_equal(watchdog_settle(w, true, &config, NULL), 0);
	return w;
}

static void await(struct watchdog *w, int status)
{
	messages_begin();
	sem_wait(&gave_up);
	watchdog_destroy(w);
	assert_non_null(strstr(messages_end(), "a file system of this host does not answer"));
	assert_int_equal(given_up, status);
}

static void time_that_is_over_ends_it(void **state)
{
	await(start(1), 124);
}

/* What the machine ends with, and not what it might have. */
static void an_end_that_does_not_end(void **state)
{
	struct watchdog *w = start(3600 * 1000);

	watchdog_end(w, 42);
	await(w, 42);
}

/* One that ends nothing is taken out of the way. */
static void a_signal_that_nobody_takes(void **state)
{
	struct watchdog *w = start(0);

	kill(getpid(), SIGUSR1);
	kill(getpid(), SIGTERM);
	await(w, 143);
}

static void also_while_the_machine_is_made(void **state)
{
	struct watchdog *w = create();

	kill(getpid(), SIGTERM);
	await(w, 143);
}

static int put_back;

static void on_end(void *arg, int status)
{
	assert_int_equal(status, FAULT_NO_FILES);
	put_back += *(int *)arg;
}

/* Who has the user's terminal gives it back; a file would not answer. */
static void terminals_are_put_back(void **state)
{
	int one = 1;

	fault_hook_add(on_end, &one);
	await(start(1), 124);
	assert_int_equal(put_back, 1);
}

/* Without files that may not answer the main loop alone is to end the machine. */
static void it_rests_where_all_files_answer(void **state)
{
	const struct config config = { .timeout_ms = 1 };
	struct watchdog *w = create();
	sigset_t set = block();
	int signo;

	assert_int_equal(watchdog_settle(w, false, &config, NULL), 0);
	watchdog_end(w, 42);
	kill(getpid(), SIGTERM);
	assert_int_equal(sem_trywait(&gave_up), -1);
	watchdog_destroy(w);
	assert_int_equal(given_up, -1);
	assert_int_equal(sigwait(&set, &signo), 0);
	assert_int_equal(signo, SIGTERM);
}

static void a_machine_that_ends_is_let_go(void **state)
{
	struct watchdog *w = start(3600 * 1000);

	watchdog_end(w, 42);
	watchdog_destroy(w);
	assert_int_equal(given_up, -1);
	w = start(0);
	watchdog_destroy(w);
	watchdog_end(NULL, 1);
	watchdog_destroy(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(time_that_is_over_ends_it),
		cmocka_unit_test(an_end_that_does_not_end),
		cmocka_unit_test(a_signal_that_nobody_takes),
		cmocka_unit_test(also_while_the_machine_is_made),
		cmocka_unit_test(terminals_are_put_back),
		cmocka_unit_test(it_rests_where_all_files_answer),
		cmocka_unit_test(a_machine_that_ends_is_let_go),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
