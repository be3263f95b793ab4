/*
 * The agent: PID 1 of a guest that runs one command. It loads what the kernel lacks, builds the command's world, starts it
 * with exactly what the job says, carries its streams and its signals over a port, reaps, and says how it ended.
 *
 * Nothing is read from the command before what was read last has left through the port, and the port's input is taken
 * whatever the command does (JOB_WINDOW bounds it): a signal is never stuck behind bytes that nobody reads.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/io.h>
#include <sys/ioctl.h>
#include <sys/reboot.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "boot/agent/agent.h"

static int port = -1;

/* A frame on its way out: header and bytes. */
static struct {
	struct job_frame header;
	uint8_t data[JOB_FRAME_MAX];
} out;
static size_t out_len, out_done;

/* What has come in: a frame that is not whole yet, and input that the command has not taken. */
static struct {
	struct job_frame header;
	uint8_t data[JOB_FRAME_MAX];
} in;
static size_t in_len;
static uint8_t input[JOB_WINDOW];
static size_t input_len;
static uint32_t taken; /* to be told */
static bool input_ends;

static struct child child = { .in = -1, .out = -1, .err = -1 };
static bool tty;

/* ---- frames out ---- */

static void put(uint32_t type, const void *data, size_t len)
{
	out.header = (struct job_frame){ type, (uint32_t)len };
	memmove(out.data, data, len);
	out_len = sizeof(out.header) + len;
	out_done = 0;
}

/* What the port takes of it now. */
static void push(void)
{
	while (out_done < out_len) {
		const ssize_t n = write(port, (uint8_t *)&out + out_done, out_len - out_done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return;
		out_done += (size_t)n;
	}
	out_len = out_done = 0;
}

static void flush(void)
{
	for (push(); out_len; push()) {
		struct pollfd p = { .fd = port, .events = POLLOUT };

		poll(&p, 1, -1);
	}
}

static void end_machine(void) __attribute__((noreturn));
static void end_machine(void)
{
	flush();
	/* minivmm ends the machine, once the reader of its output has all that came before: powering off would be sooner. */
	for (;;)
		pause();
}

void fail(const char *what, const char *on, int err)
{
	char text[512];
	/* A name may be as long as a path; why it failed stands at the end. */
	const int n = snprintf(text, sizeof(text), "cannot %s '%.300s' in the guest: %s", what, on,
			       strerror(err));

	if (port < 0) {
		printf("minivmm agent: %s\n", text);
		if (!ioperm(JOB_STATUS_PORT, 1, 1))
			outb(JOB_NO_PORT, JOB_STATUS_PORT);
		reboot(RB_POWER_OFF);
	}
	flush();
	put(JOB_FAILED, text, (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1);
	end_machine();
}

/* ---- frames in ---- */

static void close_stream(int *fd)
{
	if (*fd < 0)
		return;
	if (*fd == child.in)
		child.in = -1; /* a terminal is both */
	close(*fd);
	*fd = -1;
}

static void take_frame(void)
{
	const uint32_t len = in.header.len;
	uint32_t number = 0;

	if (len >= sizeof(number))
		memcpy(&number, in.data, sizeof(number));
	switch (in.header.type) {
	case JOB_IN:
		if (len > sizeof(input) - input_len)
			fail("take", "more input than was agreed", EPROTO);
		memcpy(input + input_len, in.data, len);
		input_len += len;
		break;
	case JOB_EOF:
		input_ends = true;
		break;
	case JOB_SIGNAL:
		if (child.pid > 0)
			kill(-child.pid, (int)number);
		break;
	case JOB_CLOSE: /* the command is told by SIGPIPE, as of any pipe */
		close_stream(number == 1 ? &child.out : &child.err);
		break;
	case JOB_WINCH: {
		const struct winsize size = { .ws_row = (uint16_t)number,
					      .ws_col = (uint16_t)(number >> 16) };

		if (tty)
			ioctl(child.in, TIOCSWINSZ, &size);
		break;
	}
	}
}

static void pull(void)
{
	for (;;) {
		const size_t whole =
			sizeof(in.header) + (in_len < sizeof(in.header) ? 0 : in.header.len);
		const ssize_t n =
			in_len < whole ? read(port, (uint8_t *)&in + in_len, whole - in_len) : 0;

		if (in_len < whole && n <= 0)
			return;
		in_len += (size_t)n;
		if (in_len < whole)
			continue;
		if (in.header.len > JOB_FRAME_MAX)
			fail("take", "a frame that is too long", EPROTO);
		if (in_len == sizeof(in.header) + in.header.len) {
			take_frame();
			in_len = 0;
		}
	}
}

/* ---- the command's streams ---- */

static void close_input(void)
{
	if (child.in >= 0 && child.in != child.out)
		close(child.in);
	child.in = -1;
}

static void feed(void)
{
	ssize_t n = 0;

	if (input_len && child.in >= 0)
		n = write(child.in, input, input_len);
	/* Nobody reads it any more, or ever: it is thrown away, as a pipe's is. */
	if (child.in < 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
		n = (ssize_t)input_len;
		close_input();
	}
	if (n > 0) {
		memmove(input, input + n, input_len - (size_t)n);
		input_len -= (size_t)n;
		taken += (uint32_t)n;
	}
	if (input_ends && !input_len && child.in >= 0) {
		const char eof =
			4; /* what the terminal's driver takes for the end, at the start of a line */

		if (tty && write(child.in, &eof, 1) < 0 && errno == EAGAIN)
			return;
		input_ends = false;
		if (!tty)
			close_input();
	}
}

/* One frame's worth from @fd. False where there is none now; closed at its end. */
static bool drain(int *fd, uint32_t type)
{
	ssize_t n;

	if (*fd < 0 || out_len)
		return false;
	n = read(*fd, out.data, sizeof(out.data));
	if (n > 0) {
		put(type, out.data, (size_t)n);
		push();
		return true;
	}
	if (n == 0 || (errno != EAGAIN && errno != EINTR))
		close_stream(fd);
	return false;
}

/* True when the command itself has ended, with its status; others that it left are reaped as they end. */
static bool reap(int *status)
{
	bool ended = false;
	int s;

	for (pid_t pid; (pid = waitpid(-1, &s, WNOHANG)) > 0;)
		if (pid == child.pid) {
			*status = s;
			ended = true;
		}
	return ended;
}

static int run(int signals)
{
	int status = 0;

	while (!reap(&status)) {
		struct pollfd p[] = {
			{ .fd = port, .events = POLLIN | (out_len ? POLLOUT : 0) },
			{ .fd = signals, .events = POLLIN },
			{ .fd = input_len || input_ends ? child.in : -1, .events = POLLOUT },
			{ .fd = out_len ? -1 : child.out, .events = POLLIN },
			{ .fd = out_len ? -1 : child.err, .events = POLLIN },
		};
		struct signalfd_siginfo info;

		if (child.in < 0 && input_len)
			feed();
		if (poll(p, sizeof(p) / sizeof(p[0]), -1) < 0)
			continue;
		if (p[1].revents && read(signals, &info, sizeof(info)) < 0)
			continue;
		pull();
		feed();
		push();
		if (taken && !out_len) {
			put(JOB_TAKEN, &taken, sizeof(taken));
			taken = 0;
			push();
		}
		/* In turns: a full stream does not keep the other waiting. */
		drain(&child.err, JOB_ERR);
		drain(&child.out, JOB_OUT);
	}
	return status;
}

/*
 * What the command left behind. As these end the kernel writes what they have mapped of files: the host has all of it then. A
 * sync() would wait for the host's disk, too. One that waits for a host that does not answer cannot end, and the
 * command's status is not kept back for it for ever.
 */
static void end_others(void)
{
	const struct timespec limit = { .tv_sec = 10 };
	sigset_t ended;
	pid_t pid;

	sigemptyset(&ended);
	sigaddset(&ended, SIGCHLD);
	kill(-1, SIGKILL);
	while ((pid = waitpid(-1, NULL, WNOHANG)) >= 0)
		if (!pid && sigtimedwait(&ended, NULL, &limit) < 0)
			break;
}

/* What was written to the command's streams, all of it; those that it left behind write no more. */
static void drain_rest(void)
{
	end_others();
	do
		flush();
	while (drain(&child.err, JOB_ERR) || drain(&child.out, JOB_OUT));
	flush();
}

static uint64_t since_boot(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Whether a file system on a disk is mounted: on a file of a share, as there are no others. */
static bool has_disk(void)
{
	FILE *f = fopen("/proc/mounts", "re");
	char line[4096];
	bool found = !f;

	while (!found && fgets(line, sizeof(line), f))
		found = !strncmp(line, "/dev/", 5);
	if (f)
		fclose(f);
	return found;
}

static void told_exit(const struct job *job, int status, int exec_error)
{
	struct job_exit e = { .signal = WIFSIGNALED(status) ? (uint32_t)WTERMSIG(status) : 0,
			      .status = WIFEXITED(status) ? (uint32_t)WEXITSTATUS(status) : 0 };
	char text[300];

	if (exec_error) {
		/* As a shell has it. */
		e.status = exec_error == ENOENT || exec_error == ENOTDIR ? 127 : 126;
		snprintf(text, sizeof(text), "minivmm: cannot run '%.200s': %s\n", job->argv[0],
			 strerror(exec_error));
		put(JOB_ERR, text, strlen(text));
		flush();
	}
	put(JOB_EXIT, &e, sizeof(e));
	end_machine();
}

int main(void)
{
	struct job_started started = { .agent_ns = since_boot() };
	struct job job = { 0 };
	int signals, status = 0, err;
	sigset_t set;

	setvbuf(stdout, NULL, _IONBF, 0);
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	reboot(RB_DISABLE_CAD);
	port = open_port();
	read_job(&job);
	tty = job.tty;
	mount_root(&job);
	set_network(job.net); /* before a share may hide /etc */
	mount_shares(&job);
	started.root_ns = since_boot();
	err = spawn(&job, &child);
	started.command_ns = since_boot();
	put(JOB_STARTED, &started, sizeof(started));
	push();
	if (!err)
		status = run(signals);
	drain_rest();
	if (has_disk())
		sync();
	told_exit(&job, status, err);
}
