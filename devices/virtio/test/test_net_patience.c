/* virtio-net: whether a doorbell may stop the guest for the card's thread, by what the driver is seen to do. */
#include <dirent.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "devices/virtio/test/net_rig.h"
#include "vmm/base/test/unit.h"

#define ROUNDS 100u

/* The policy of the card's thread. */
static int policy(void)
{
	DIR *tasks = opendir("/proc/self/task");
	struct dirent *task;
	int ret = -1;

	assert_non_null(tasks);
	while (ret < 0 && (task = readdir(tasks))) {
		char path[300], name[16] = "";
		FILE *f;

		snprintf(path, sizeof(path), "/proc/self/task/%s/comm", task->d_name);
		f = fopen(path, "re");
		if (f && fgets(name, sizeof(name), f) && !strcmp(name, "net0\n"))
			ret = sched_getscheduler(atoi(task->d_name));
		if (f)
			fclose(f);
	}
	closedir(tasks);
	return ret;
}

/* @nr frames of the guest behind one doorbell. */
static void send_frames(unsigned int nr)
{
	const size_t len = make_frame(100, nr);

	for (unsigned int i = 0; i < nr; i++)
		transmit_plain(len);
	vdriver_kick(&d, TX);
	for (unsigned int i = 0; i < nr; i++) {
		vdriver_wait(&d, TX);
		assert_got(peer_recv(), len);
	}
}

/* @nr frames for the guest, which awaits the first, and of which each is shown to it before the next comes. */
static void receive_frames(unsigned int nr)
{
	const uint64_t before = counter("rx", "packets");

	for (unsigned int i = 0; i < nr; i++)
		post_plain(2048);
	vdriver_kick(&d, RX);
	vdriver_ask_for_interrupt(&d, RX);
	for (unsigned int i = 0; i < nr; i++) {
		peer_send(make_frame(200, i));
		wait_counter("rx", "packets", before + i + 1);
	}
}

static void collect_frames(unsigned int nr)
{
	for (unsigned int i = 0; i < nr; i++) {
		const size_t len = make_frame(200, i);

		assert_got(collect(), len);
	}
}

/* A request, and its answer. */
static void one_at_a_time(void)
{
	receive_frames(1);
	collect_frames(1);
	send_frames(1);
}

/* More frames come while the driver handles the first; it answers one of them at once and then the others. */
static void many_at_a_time(void)
{
	receive_frames(3);
	send_frames(1);
	collect_frames(3);
	send_frames(2);
}

static void repeat(void (*round)(void))
{
	for (unsigned int i = 0; i < ROUNDS; i++) {
		d.next_gpa = mark;
		round();
	}
}

/* A round has no doorbell where the thread happens to be awake, so how many it takes is not certain. */
static void repeat_until(void (*round)(void), int wanted)
{
	for (unsigned int i = 0; i < 100 && policy() != wanted; i++)
		repeat(round);
	assert_int_equal(policy(), wanted);
}

static void test_one_at_a_time(void **state)
{
	start(USUAL);
	repeat(one_at_a_time);
	assert_int_equal(counter("tx", "patient"), 0);
	assert_int_equal(policy(), SCHED_OTHER);
}

static void test_there_and_back(void **state)
{
	start(USUAL);
	for (int i = 0; i < 3; i++) {
		const uint64_t patient = counter("tx", "patient");

		repeat_until(many_at_a_time, SCHED_BATCH);
		repeat(many_at_a_time);
		assert_true(counter("tx", "patient") > patient);
		repeat_until(one_at_a_time, SCHED_OTHER);
	}
	check_alive();
}

/* Every driver is a new one. */
static void test_reset(void **state)
{
	start(USUAL);
	repeat_until(many_at_a_time, SCHED_BATCH);
	vdriver_reset(&d);
	start(USUAL);
	assert_int_equal(policy(), SCHED_OTHER);
	repeat_until(many_at_a_time, SCHED_BATCH);
}

/* It never sleeps, and would not make way. */
static void poll_many(void)
{
	struct vring_used_elem used;

	receive_frames(3);
	send_frames(1);
	for (unsigned int taken = 0; taken < 3;)
		taken += vdriver_take(&d, RX, &used);
}

static void test_polling_driver(void **state)
{
	start(USUAL & ~EVENT_IDX);
	d.queue[RX].avail->flags = VRING_AVAIL_F_NO_INTERRUPT;
	repeat(poll_many);
	assert_int_equal(policy(), SCHED_OTHER);
	assert_int_equal(counter("tx", "patient"), 0);
}

static int setup_impatient(void **state)
{
	create_with(OFFLOADS, &(struct virtio_net_options){ .queue_size = 256, .impatient = true });
	return 0;
}

static void test_impatient(void **state)
{
	start(USUAL);
	repeat(many_at_a_time);
	assert_int_equal(policy(), SCHED_OTHER);
	assert_int_equal(counter("tx", "patient"), 0);
}

/* chrt of the whole process, before or while it runs, stays. */
static void test_policy_of_the_user(void **state)
{
	const struct sched_param param = { .sched_priority = 0 };

	assert_int_equal(sched_setscheduler(0, SCHED_BATCH, &param), 0);
	setup(state);
	assert_int_equal(sched_setscheduler(0, SCHED_OTHER, &param), 0);
	start(USUAL);
	repeat(one_at_a_time);
	repeat(many_at_a_time);
	repeat(one_at_a_time);
	assert_int_equal(policy(), SCHED_BATCH);
	assert_int_equal(counter("tx", "patient"), 0);
}

#define TEST(f, setup) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_one_at_a_time, setup),
		TEST(test_there_and_back, setup),
		TEST(test_reset, setup),
		TEST(test_polling_driver, setup),
		TEST(test_impatient, setup_impatient),
		TEST(test_policy_of_the_user, NULL),
	};
	const struct CMUnitTest packed[] = {
		TEST(test_one_at_a_time, setup),
		TEST(test_there_and_back, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) +
	       cmocka_run_group_tests(packed, vdriver_use_packed, NULL);
}
