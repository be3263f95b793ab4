/* A job with a terminal: what becomes of that. Each test is a process of its own, whose terminal it is. */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "vmm/base/counters.h"
#include "vmm/base/terminal.h"
#include "vmm/base/test/unit.h"
#include "vmm/supervisor.h"

struct fixture {
	struct counters counters;
	struct device_env env;
	struct config_job config;
	struct loop *loop;
	struct supervisor *supervisor;
	bool ended, no_tty;
};

static void nothing(void *arg)
{
}

static void on_end(void *arg, const char *outcome, int status)
{
	struct fixture *f = arg;

	f->ended = true;
	loop_stop(f->loop);
}

static void start(struct fixture *f)
{
	static const struct supervisor_ops ops = { nothing, on_end };

	f->env.counters = &f->counters;
	f->config = (struct config_job){ .in = 0, .out = 1, .err = 2, .tty = !f->no_tty };
	assert_int_equal(loop_create(&f->loop, "test"), 0);
	assert_int_equal(supervisor_create(&f->supervisor, &f->config, f->loop, &f->env, &ops, f),
			 0);
}

static void stop(struct fixture *f)
{
	supervisor_destroy(f->supervisor, 0);
	loop_destroy(f->loop);
}

static bool is_raw(void)
{
	struct termios t;

	assert_int_equal(tcgetattr(0, &t), 0);
	return !(t.c_lflag & ICANON);
}

static void stopped_and_continued(struct fixture *f)
{
	start(f);
	assert_true(is_raw());
	supervisor_pause(f->supervisor);
	assert_false(is_raw());
	supervisor_resume(f->supervisor);
	assert_true(is_raw());
	stop(f);
	assert_false(is_raw());
	/* The machine of no job has none. */
	supervisor_pause(NULL);
	supervisor_resume(NULL);
}

/* The command writes @text to a stream, and ends. */
static void write_and_end(struct fixture *f, uint32_t stream, const char *text)
{
	struct {
		struct job_frame header;
		struct job_exit exit;
	} end = { { JOB_EXIT, sizeof(end.exit) }, { 0, 0 } };
	struct job_frame out = { stream, (uint32_t)strlen(text) };
	const struct iovec iov[] = { { &out, sizeof(out) },
				     { (void *)text, strlen(text) },
				     { &end, sizeof(end) } };

	start(f);
	supervisor_output(f->supervisor, iov, 3);
	while (!f->ended)
		loop_run(f->loop);
	stop(f);
}

static void writes_lines(struct fixture *f)
{
	write_and_end(f, JOB_OUT,
		      "a line\tand\r\nanother\a\r\n\u2014 \u2019 \u201c\u00e9\u201d\r\n");
}

static void writes_controls(struct fixture *f)
{
	write_and_end(f, JOB_OUT, "\033[?1049h\033[31m");
}

/* Without a terminal in the guest its output may come to one here all the same. */
static void writes_control_errors(struct fixture *f)
{
	f->no_tty = true;
	write_and_end(f, JOB_ERR, "\033[31m");
}

static void writes_controls_elsewhere(struct fixture *f)
{
	const int null = open("/dev/null", O_WRONLY);

	dup2(null, 1);
	f->no_tty = true;
	write_and_end(f, JOB_OUT, "\033[31m");
}

/* Runs @child on a terminal of its own; what it showed. */
static const char *on_terminal(void (*child)(struct fixture *f))
{
	static char shown[4096];
	const int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	size_t len = 0;
	int status;
	ssize_t n;

	assert_true(master >= 0 && !grantpt(master) && !unlockpt(master));
	const int keep = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
	const pid_t pid = fork();

	if (!pid) {
		struct fixture f = { .loop = NULL };

		setsid();
		const int slave = open(ptsname(master), O_RDWR);

		for (int fd = 0; fd <= 2; fd++)
			dup2(slave, fd);
		child(&f);
		exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	close(keep);
	while ((n = read(master, shown + len, sizeof(shown) - 1 - len)) > 0)
		len += (size_t)n;
	close(master);
	shown[len] = '\0';
	if (status)
		fail_msg("%s", shown);
	return shown;
}

/* Which of the signals the command gets, once it runs; SIGTERM asks it to end, once. */
static void signals_reach_the_command(struct fixture *f)
{
	struct {
		struct job_frame header;
		struct job_started started;
	} started = { { JOB_STARTED, sizeof(started.started) }, { 1, 2, 3 } };
	const struct iovec iov = { &started, sizeof(started) };
	uint8_t frames[100];
	uint64_t begin;

	f->no_tty = true;
	start(f);
	assert_false(supervisor_signal(f->supervisor, SIGTERM));
	assert_false(supervisor_signal(f->supervisor, SIGUSR2));
	supervisor_output(f->supervisor, &iov, 1);
	while (!supervisor_signal(f->supervisor, SIGUSR1)) /* a thread takes it */
		usleep(1000);
	assert_true(supervisor_signal(f->supervisor, SIGUSR2));
	begin = now_ns();
	assert_true(supervisor_signal(f->supervisor, SIGTERM));
	assert_true(supervisor_signal(f->supervisor, SIGUSR1));
	/* The same, sent twice. */
	if (!supervisor_signal(f->supervisor, SIGTERM))
		assert_true(now_ns() - begin >= 500000000u);
	/* Another one is a second, and so is the same, later. */
	assert_false(supervisor_signal(f->supervisor, SIGHUP));
	usleep(600000);
	assert_false(supervisor_signal(f->supervisor, SIGTERM));
	assert_int_equal(supervisor_input(f->supervisor, frames, sizeof(frames)),
			 3 * (sizeof(struct job_frame) + sizeof(uint32_t)));
	stop(f);
}

static void one_signal_is_the_command_s_and_of_the_user_defined_all(void **state)
{
	on_terminal(signals_reach_the_command);
}

static void the_terminal_is_put_back_while_others_have_it(void **state)
{
	on_terminal(stopped_and_continued);
}

static void controls_are_undone_at_the_end(void **state)
{
	const char *shown;

	shown = on_terminal(writes_controls);
	assert_non_null(strstr(shown, "\033[31m"));
	assert_non_null(strstr(strstr(shown, "\033[31m"), terminal_reset));
	shown = on_terminal(writes_control_errors);
	assert_non_null(strstr(shown, terminal_reset));
	assert_string_equal(on_terminal(writes_controls_elsewhere), "");
	shown = on_terminal(writes_lines);
	assert_non_null(strstr(shown, "another"));
	assert_null(strchr(shown, '\033'));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_terminal_is_put_back_while_others_have_it),
		cmocka_unit_test(controls_are_undone_at_the_end),
		cmocka_unit_test(one_signal_is_the_command_s_and_of_the_user_defined_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
