/* The host's half of a job, with an agent played by the test and pipes for its streams. */
#include <fcntl.h>
#include <glob.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vmm/base/test/account.h"
#include "vmm/base/test/messages.h"
#include "vmm/base/test/parent.h"
#include "vmm/base/test/unit.h"
#include "vmm/job.h"

struct fixture {
	struct counters counters;
	struct device_env env;
	struct loop *loop;
	struct job *job;
	int in[2], out[2], err[2]; /* pipes, the job has the near ends */
	unsigned int ends;
};

static void on_ready(void *arg)
{
	loop_stop(((struct fixture *)arg)->loop);
}

static void on_end(void *arg)
{
	struct fixture *f = arg;

	f->ends++;
	loop_stop(f->loop);
}

static const struct job_ops ops = { .ready = on_ready, .ended = on_end };

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	*state = f;
	f->env.counters = &f->counters;
	signal(SIGPIPE, SIG_IGN);
	assert_int_equal(
		pipe2(f->in, O_CLOEXEC) | pipe2(f->out, O_CLOEXEC) | pipe2(f->err, O_CLOEXEC), 0);
	assert_int_equal(loop_create(&f->loop, "test"), 0);
	assert_int_equal(
		job_create(&f->job, f->loop, &f->env, f->in[0], f->out[1], f->err[1], &ops, f), 0);
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	job_destroy(f->job);
	loop_destroy(f->loop);
	for (int i = 0; i < 2; i++) {
		close(f->in[i]);
		close(f->out[i]);
		close(f->err[i]);
	}
	free(f);
	return 0;
}

/* All of it, whatever pieces the job takes it in. */
static void from_agent(struct fixture *f, uint32_t type, const void *data, uint32_t len)
{
	struct job_frame h = { type, len };
	struct iovec iov[2] = { { &h, sizeof(h) }, { (void *)data, len } }, *at = iov;
	size_t left = sizeof(h) + len;
	unsigned int n = 2;

	while (left) {
		const size_t took = job_output(f->job, at, n);

		left -= took;
		while (n && took >= at->iov_len && at < iov + 1) {
			at++;
			n--;
		}
		if (left)
			*at = (struct iovec){ (uint8_t *)data + len - MIN(left, (size_t)len),
					      MIN(left, (size_t)len) };
	}
}

static void exit_with(struct fixture *f, uint32_t signo, uint32_t status)
{
	const struct job_exit e = { signo, status };

	from_agent(f, JOB_EXIT, &e, sizeof(e));
}

static void await_end(struct fixture *f)
{
	while (!f->ends)
		loop_run(f->loop);
}

static void read_all(int fd, void *buf, size_t len)
{
	for (size_t done = 0; done < len;) {
		const ssize_t n = read(fd, (uint8_t *)buf + done, len - done);

		assert_true(n > 0);
		done += (size_t)n;
	}
}

/* The next frame for the agent; it waits for the job's threads. */
static uint32_t to_agent(struct fixture *f, void *data, size_t *len)
{
	struct job_frame h;
	size_t done = 0;

	while ((done += job_input(f->job, (uint8_t *)&h + done, sizeof(h) - done)) < sizeof(h))
		loop_run(f->loop);
	assert_true(h.len <= JOB_FRAME_MAX);
	for (done = 0; done < h.len;)
		done += job_input(f->job, (uint8_t *)data + done, h.len - done);
	*len = h.len;
	return h.type;
}

static void streams_stay_apart_and_the_end_comes_last(void **state)
{
	struct fixture *f = *state;
	char text[64] = "";
	uint32_t value;

	from_agent(f, JOB_OUT, "one ", 4);
	from_agent(f, JOB_ERR, "error", 5);
	from_agent(f, JOB_OUT, "two", 3);
	from_agent(f, JOB_OUT, "", 0);
	assert_int_equal(job_end(f->job, &value), JOB_END_NONE);
	exit_with(f, 0, 42);
	await_end(f);
	assert_int_equal(job_end(f->job, &value), JOB_END_STATUS);
	assert_int_equal(value, 42);
	read_all(f->out[0], text, 7);
	assert_string_equal(text, "one two");
	memset(text, 0, sizeof(text));
	read_all(f->err[0], text, 5);
	assert_string_equal(text, "error");
	assert_int_equal(account_of(&f->counters, "job", "out_bytes"), 7);
}

static void the_accounts_say_how_it_started(void **state)
{
	const struct job_started started = { 5000000, 6001000, 7002000 };
	struct fixture *f = *state;
	const uint64_t before = now_ns();
	uint64_t command, output;

	from_agent(f, JOB_STARTED, &started, sizeof(started));
	from_agent(f, JOB_OUT, "first", 5);
	exit_with(f, 0, 0);
	await_end(f);
	assert_int_equal(account_of(&f->counters, "job", "guest_agent_us"), 5000);
	assert_int_equal(account_of(&f->counters, "job", "guest_root_us"), 6001);
	assert_int_equal(account_of(&f->counters, "job", "guest_command_us"), 7002);
	command = account_of(&f->counters, "job", "started");
	output = account_of(&f->counters, "job", "first_output");
	assert_true(command >= before && output >= command && output <= now_ns());
}

static void a_signal_is_no_status(void **state)
{
	struct fixture *f = *state;
	uint32_t value;

	exit_with(f, 9, 0);
	await_end(f);
	assert_int_equal(job_end(f->job, &value), JOB_END_SIGNAL);
	assert_int_equal(value, 9);
}

/* More than pipe and ring hold: the agent is made to wait, nothing is lost. */
static void output_waits_for_its_reader(void **state)
{
	struct fixture *f = *state;
	static uint8_t frame[JOB_FRAME_MAX], back[JOB_FRAME_MAX];
	struct iovec iov[2];
	struct job_frame h = { JOB_OUT, sizeof(frame) };
	unsigned int frames = 0;
	size_t took;

	do {
		memset(frame, 'a' + (int)frames % 26, sizeof(frame));
		iov[0] = (struct iovec){ &h, sizeof(h) };
		iov[1] = (struct iovec){ frame, sizeof(frame) };
		took = job_output(f->job, iov, 2);
		frames++;
	} while (took == sizeof(h) + sizeof(frame) && frames < 1000);
	assert_true(frames < 1000);
	const size_t rest = sizeof(h) + sizeof(frame) - took; /* what did not go in */
	for (unsigned int i = 0; i + 1 < frames; i++) {
		read_all(f->out[0], back, sizeof(back));
		for (size_t at = 0; at < sizeof(back); at++)
			assert_int_equal(back[at], 'a' + i % 26);
	}
	if (rest <= sizeof(frame)) {
		for (size_t at = sizeof(frame) - rest; at < sizeof(frame); at += took) {
			loop_run(f->loop); /* until there is room again */
			iov[0] = (struct iovec){ frame + at, sizeof(frame) - at };
			took = job_output(f->job, iov, 1);
		}
		read_all(f->out[0], back, sizeof(back));
		assert_memory_equal(back, frame, sizeof(back));
	}
	assert_int_equal(account_of(&f->counters, "job", "lost_bytes"), 0);
}

static void a_reader_that_went_away_is_told_to_the_agent(void **state)
{
	struct fixture *f = *state;
	uint32_t stream, value;
	size_t len;

	close(f->out[0]);
	f->out[0] = -1;
	from_agent(f, JOB_OUT, "lost", 4);
	assert_int_equal(to_agent(f, &stream, &len), JOB_CLOSE);
	assert_int_equal(stream, 1);
	from_agent(f, JOB_OUT, "lost", 4);
	exit_with(f, 0, 3);
	await_end(f);
	assert_int_equal(job_end(f->job, &value), JOB_END_STATUS);
	assert_true(account_of(&f->counters, "job", "lost_bytes") >= 4);
}

/* The command thinks that it has succeeded; whoever wants its output does not. */
static void output_that_cannot_be_written_is_no_success(void **state)
{
	struct fixture *f = *state;
	uint32_t value;

	for (uint32_t status = 0; status < 2; status++) {
		if (status) {
			teardown(state);
			setup(state);
			f = *state;
		}
		assert_true(dup3(open("/dev/full", O_WRONLY | O_CLOEXEC), f->out[1], O_CLOEXEC) >=
			    0);
		messages_begin();
		from_agent(f, JOB_OUT, "text", 4);
		exit_with(f, 0, status);
		await_end(f);
		assert_string_equal(
			messages_end(),
			"minivmm: cannot write the job's output: No space left on device\n");
		assert_int_equal(job_end(f->job, &value), status ? JOB_END_STATUS : JOB_END_FAILED);
	}
}

static void input_goes_as_far_as_the_agent_takes_it(void **state)
{
	struct fixture *f = *state;
	static uint8_t sent[3 * JOB_WINDOW], got[JOB_FRAME_MAX];
	size_t total = 0, done = 0, len;
	uint32_t all, signo;

	for (size_t i = 0; i < sizeof(sent); i++)
		sent[i] = (uint8_t)(i * 13 + i / 256);
	fcntl(f->in[1], F_SETFL, O_NONBLOCK);
	while (total < JOB_WINDOW) {
		const ssize_t n = write(f->in[1], sent + done, sizeof(sent) - done);

		done += n > 0 ? (size_t)n : 0;
		assert_int_equal(to_agent(f, got, &len), JOB_IN);
		assert_memory_equal(got, sent + total, len);
		total += len;
	}
	assert_int_equal(total, JOB_WINDOW);
	/* The window is full: a signal still goes. */
	job_signal(f->job, SIGTERM);
	assert_int_equal(to_agent(f, &signo, &len), JOB_SIGNAL);
	assert_int_equal(signo, SIGTERM);
	assert_int_equal(job_input(f->job, got, sizeof(got)), 0);
	all = JOB_WINDOW;
	from_agent(f, JOB_TAKEN, &all, sizeof(all));
	assert_int_equal(to_agent(f, got, &len), JOB_IN);
	assert_memory_equal(got, sent + total, len);
}

/* As of any process: of those that wait each is there once. */
static void no_signal_is_lost_for_others(void **state)
{
	static const uint32_t all[] = { SIGUSR2, SIGTERM, 64 };
	struct fixture *f = *state;
	uint32_t signo;
	size_t len;

	for (unsigned int i = 0; i < 100; i++)
		job_signal(f->job, SIGUSR2);
	job_signal(f->job, 64);
	job_signal(f->job, SIGTERM);
	for (unsigned int i = 0; i < ARRAY_SIZE(all); i++) {
		assert_int_equal(to_agent(f, &signo, &len), JOB_SIGNAL);
		assert_int_equal(signo, all[i]);
	}
	assert_int_equal(job_input(f->job, &signo, sizeof(signo)), 0);
}

static void of_a_terminal_s_sizes_the_last_is_told(void **state)
{
	struct fixture *f = *state;
	uint16_t size[2];
	size_t len;

	job_resize(f->job, 24, 80);
	job_resize(f->job, 50, 132);
	assert_int_equal(to_agent(f, size, &len), JOB_WINCH);
	assert_int_equal(len, sizeof(size));
	assert_int_equal(size[0], 50);
	assert_int_equal(size[1], 132);
	assert_int_equal(job_input(f->job, size, sizeof(size)), 0);
}

static void the_end_of_input_is_passed_on(void **state)
{
	struct fixture *f = *state;
	char got[JOB_FRAME_MAX];
	size_t len;

	assert_int_equal(write(f->in[1], "last", 4), 4);
	close(f->in[1]);
	f->in[1] = -1;
	assert_int_equal(to_agent(f, got, &len), JOB_IN);
	assert_int_equal(len, 4);
	assert_int_equal(to_agent(f, got, &len), JOB_EOF);
	assert_int_equal(len, 0);
	assert_int_equal(job_input(f->job, got, sizeof(got)), 0);
}

static void an_agent_that_gives_up_is_no_end_of_the_command(void **state)
{
	struct fixture *f = *state;
	uint32_t value;

	messages_begin();
	from_agent(f, JOB_FAILED, "cannot mount", 12);
	await_end(f);
	assert_string_equal(messages_end(), "minivmm: cannot mount\n");
	assert_int_equal(job_end(f->job, &value), JOB_END_FAILED);
}

/* The agent may be the guest's own by now: nothing that it sends is more than a failed job. */
static void what_is_no_frame_ends_the_job(void **state)
{
	static const struct job_frame bad[] = { { 0, 0 },	   { 99, 0 },
						{ JOB_IN, 4 },	   { JOB_OUT, JOB_FRAME_MAX + 1 },
						{ JOB_EXIT, ~0u }, { JOB_STARTED, 512 } };
	struct fixture *f = *state;
	uint32_t value;

	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		uint8_t junk[16] = { 0 };
		struct iovec iov[2] = { { (void *)&bad[i], sizeof(bad[i]) },
					{ junk, sizeof(junk) } };

		if (i) {
			teardown(state);
			setup(state);
			f = *state;
		}
		messages_begin();
		job_output(f->job, iov, 2);
		await_end(f);
		assert_non_null(strstr(messages_end(), "sent what is no frame"));
		assert_int_equal(job_end(f->job, &value), JOB_END_FAILED);
	}
}

static void a_stuck_reader_does_not_hold_up_the_end(void **state)
{
	struct fixture *f = *state;
	static uint8_t data[JOB_FRAME_MAX];

	for (int i = 0; i < 8;
	     i++) { /* the pipe holds two, the thread is in write() for the third */
		struct job_frame h = { JOB_OUT, sizeof(data) };
		struct iovec iov[2] = { { &h, sizeof(h) }, { data, sizeof(data) } };

		job_output(f->job, iov, 2);
	}
	usleep(10000);
	job_destroy(f->job);
	assert_int_equal(
		job_create(&f->job, f->loop, &f->env, f->in[0], f->out[1], f->err[1], &ops, f), 0);
}

/* The job's thread of that name waits for its stream, in poll(2). */
static void await_waiting(const char *name)
{
	glob_t all;
	int call = -1;

	assert_int_equal(glob("/proc/self/task/*", 0, NULL, &all), 0);
	for (size_t i = 0; call != SYS_poll; i = (i + 1) % all.gl_pathc) {
		char path[64], comm[16] = "";
		FILE *f;

		snprintf(path, sizeof(path), "%s/comm", all.gl_pathv[i]);
		f = fopen(path, "re");
		assert_true(f && fscanf(f, "%15s", comm) == 1 && !fclose(f));
		if (strcmp(comm, name))
			continue;
		snprintf(path, sizeof(path), "%s/syscall", all.gl_pathv[i]);
		f = fopen(path, "re");
		if (!f || fscanf(f, "%d", &call) != 1) /* it runs */
			call = -1;
		assert_true(f && !fclose(f));
	}
	globfree(&all);
}

/* A parent may have made the streams non-blocking: they are waited for all the same, not asked again and again. */
static void streams_that_do_not_block_are_waited_for(void **state)
{
	static uint8_t frame[JOB_FRAME_MAX], back[4 * JOB_FRAME_MAX];
	struct fixture *f = *state;
	uint32_t value;
	size_t len;

	need_proc();
	fcntl(f->out[1], F_SETFL, O_NONBLOCK);
	fcntl(f->in[0], F_SETFL, O_NONBLOCK);
	assert_int_equal(write(f->in[1], "1", 1), 1); /* the read that was begun before ends */
	assert_int_equal(to_agent(f, frame, &len), JOB_IN);
	await_waiting("job.in");
	assert_int_equal(write(f->in[1], "2", 1), 1);
	assert_int_equal(to_agent(f, frame, &len), JOB_IN);
	assert_int_equal(frame[0], '2');
	memset(frame, 'x', sizeof(frame));
	for (int i = 0; i < 4; i++) /* twice what the pipe holds */
		from_agent(f, JOB_OUT, frame, sizeof(frame));
	await_waiting("job.out");
	read_all(f->out[0], back, sizeof(back));
	assert_int_equal(back[sizeof(back) - 1], 'x');
	exit_with(f, 0, 0);
	await_end(f);
	assert_int_equal(job_end(f->job, &value), JOB_END_STATUS);
	assert_int_equal(account_of(&f->counters, "job", "lost_bytes"), 0);
}

#define test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(streams_stay_apart_and_the_end_comes_last),
		test(the_accounts_say_how_it_started),
		test(a_signal_is_no_status),
		test(output_waits_for_its_reader),
		test(a_reader_that_went_away_is_told_to_the_agent),
		test(output_that_cannot_be_written_is_no_success),
		test(input_goes_as_far_as_the_agent_takes_it),
		test(of_a_terminal_s_sizes_the_last_is_told),
		test(no_signal_is_lost_for_others),
		test(the_end_of_input_is_passed_on),
		test(an_agent_that_gives_up_is_no_end_of_the_command),
		test(what_is_no_frame_ends_the_job),
		test(a_stuck_reader_does_not_hold_up_the_end),
		test(streams_that_do_not_block_are_waited_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
