/* launch: run a VMM and take the time of what its guest says and of its first answer. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vmm/base/util.h"

#define MAX_MARKS      8
#define LINE_BYTES     4096
#define KILL_NS	       5000000000u /* between asking a program to end and making it */
#define STATUS_FAILED  125
#define STATUS_SIGNALS 128

static const char usage[] =
	"usage: launch [OPTION]... -- PROGRAM [ARG]...\n"
	"Runs PROGRAM with an input that never ends, and notes when things happen, in ms since its start:\n"
	"  --marks FILE        one line KEY<TAB>MS each, written as they happen; first_output_ms is one\n"
	"  --mark KEY=TEXT     when a line with TEXT in it comes from PROGRAM (up to 8)\n"
	"  --probe KEY=IP:PORT  when a UDP datagram to there is first answered; one is sent each ms\n"
	"  --console FILE      keep PROGRAM's output (default: standard output); errors go to FILE.err\n"
	"  --pid FILE          PROGRAM's process id\n"
	"SIGTERM and SIGINT end PROGRAM with SIGTERM, after five seconds with SIGKILL. The status is PROGRAM's,\n"
	"128+N when it died of signal N, 125 when it could not be run.\n";

struct mark {
	const char *key, *text;
	bool seen;
};

struct launch {
	struct mark mark[MAX_MARKS];
	unsigned int marks;
	const char *probe_key;
	int probe; /* UDP socket, -1 when answered or not wanted */
	int marks_fd, console;
	uint64_t start;
	bool any_output;
	char line[LINE_BYTES];
	size_t line_length;
};

static void note(const struct launch *l, const char *key)
{
	if (l->marks_fd >= 0)
		dprintf(l->marks_fd, "%s\t%.3f\n", key, (double)(now_ns() - l->start) / 1e6);
}

static void line_complete(struct launch *l)
{
	l->line[l->line_length] = 0;
	l->line_length = 0;
	for (unsigned int i = 0; i < l->marks; i++) {
		if (!l->mark[i].seen && strstr(l->line, l->mark[i].text)) {
			l->mark[i].seen = true;
			note(l, l->mark[i].key);
		}
	}
}

/* Returns false when the program has closed its output. */
static bool take_output(struct launch *l, int fd)
{
	char buffer[LINE_BYTES];
	ssize_t n = read(fd, buffer, sizeof(buffer));

	if (n <= 0)
		return n < 0 && errno == EINTR;
	if (!l->any_output)
		note(l, "first_output_ms");
	l->any_output = true;
	if (write(l->console, buffer, (size_t)n) < 0)
		return false;
	for (ssize_t i = 0; i < n; i++) {
		/* A line too long is looked at in pieces. */
		if (buffer[i] == '\n' || l->line_length == LINE_BYTES - 1)
			line_complete(l);
		if (buffer[i] && buffer[i] != '\n')
			l->line[l->line_length++] = buffer[i];
	}
	return true;
}

/* Milliseconds until the next probe: often enough to see 1.6 %, seldom enough not to disturb a slow start. */
static int probe_pause(const struct launch *l)
{
	uint64_t pause = (now_ns() - l->start) / 64 / 1000000;

	return pause < 1 ? 1 : pause > 500 ? 500 : (int)pause;
}

static void probe(struct launch *l)
{
	char answer[64];

	if (recv(l->probe, answer, sizeof(answer), MSG_DONTWAIT) > 0) {
		note(l, l->probe_key);
		close(l->probe);
		l->probe = -1;
		return;
	}
	/* Refused or unreachable is no answer yet; the next one may be. */
	if (send(l->probe, "?", 1, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		return;
}

/* @spec is IP:PORT. Returns a connected UDP socket, or -1 with errno. */
static int open_probe(const char *spec)
{
	struct sockaddr_in to = { .sin_family = AF_INET };
	const char *colon = strchr(spec, ':');
	char address[INET_ADDRSTRLEN];
	int fd, port = colon ? atoi(colon + 1) : 0;

	errno = EINVAL;
	if (!colon || (size_t)(colon - spec) >= sizeof(address) || port < 1 || port > 65535)
		return -1;
	memcpy(address, spec, (size_t)(colon - spec));
	address[colon - spec] = 0;
	to.sin_port = htons((uint16_t)port);
	if (inet_pton(AF_INET, address, &to.sin_addr) != 1)
		return -1;
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof(to))) {
		close(fd);
		return -1;
	}
	return fd;
}

/* Runs the program until it ends; returns its wait status. */
static int watch(struct launch *l, pid_t pid, int output, int signals)
{
	struct pollfd fds[] = { { .fd = output, .events = POLLIN },
				{ .fd = signals, .events = POLLIN } };
	struct signalfd_siginfo info;
	uint64_t kill_at = 0;
	int status;

	for (;;) {
		poll(fds, 2, l->probe >= 0 ? probe_pause(l) : kill_at ? 100 : -1);
		if (fds[0].revents && !take_output(l, output))
			fds[0].fd = -1;
		if (fds[1].revents && read(signals, &info, sizeof(info)) == sizeof(info) &&
		    info.ssi_signo != SIGCHLD && !kill_at) {
			kill(pid, SIGTERM);
			kill_at = now_ns() + KILL_NS;
		}
		if (waitpid(pid, &status, WNOHANG) == pid)
			break;
		if (kill_at && now_ns() > kill_at)
			kill(pid, SIGKILL);
		if (l->probe >= 0)
			probe(l);
	}
	/* What it said last is still in the pipe. */
	fds[0].revents = 0;
	while (fds[0].fd >= 0 && poll(fds, 1, 0) > 0 && take_output(l, output))
		;
	return status;
}

static int run(struct launch *l, char **argv, const char *console_path, const char *pid_path)
{
	int input[2], output[2], errors = STDERR_FILENO, signals, status;
	char path[4096];
	sigset_t set;
	FILE *f;
	pid_t pid;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signals = signalfd(-1, &set, SFD_CLOEXEC);
	if (signals < 0 || pipe2(input, O_CLOEXEC) || pipe2(output, O_CLOEXEC))
		return -errno;
	if (console_path) {
		snprintf(path, sizeof(path), "%s.err", console_path);
		l->console = open(console_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
		errors = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
		if (l->console < 0 || errors < 0)
			return -errno;
	}
	l->start = now_ns();
	pid = fork();
	if (pid < 0)
		return -errno;
	if (!pid) {
		sigprocmask(SIG_UNBLOCK, &set, NULL);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(input[0], STDIN_FILENO);
		dup2(output[1], STDOUT_FILENO);
		dup2(errors, STDERR_FILENO);
		execvp(argv[0], argv);
		dprintf(STDERR_FILENO, "launch: cannot run '%s': %s\n", argv[0], strerror(errno));
		_exit(STATUS_FAILED);
	}
	close(output[1]);
	f = pid_path ? fopen(pid_path, "we") : NULL;
	if (f) {
		fprintf(f, "%d\n", (int)pid);
		fclose(f);
	}
	status = watch(l, pid, output[0], signals);
	return WIFSIGNALED(status) ? STATUS_SIGNALS + WTERMSIG(status) : WEXITSTATUS(status);
}

static int bad(const char *what, const char *value)
{
	fprintf(stderr, "launch: %s '%s'%s%s\n", what, value, errno ? ": " : "",
		errno ? strerror(errno) : "");
	return STATUS_FAILED;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "marks", required_argument, NULL, 'm' },
		{ "mark", required_argument, NULL, 't' },
		{ "probe", required_argument, NULL, 'p' },
		{ "console", required_argument, NULL, 'c' },
		{ "pid", required_argument, NULL, 'i' },
		{ NULL, 0, NULL, 0 },
	};
	static struct launch l = { .probe = -1, .marks_fd = -1, .console = STDOUT_FILENO };
	const char *console = NULL, *pid = NULL;
	char *equals;
	int option, rc;

	while ((option = getopt_long(argc, argv, "+", options, NULL)) != -1) {
		errno = 0;
		equals = optarg ? strchr(optarg, '=') : NULL;
		switch (option) {
		case 'm':
			l.marks_fd = open(
				optarg, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0644);
			if (l.marks_fd < 0)
				return bad("cannot write", optarg);
			break;
		case 't':
			if (!equals || !equals[1] || l.marks == MAX_MARKS)
				return bad("bad or one too many --mark", optarg);
			*equals = 0;
			l.mark[l.marks++] = (struct mark){ .key = optarg, .text = equals + 1 };
			break;
		case 'p':
			if (!equals || l.probe >= 0)
				return bad("bad or second --probe", optarg);
			*equals = 0;
			l.probe_key = optarg;
			l.probe = open_probe(equals + 1);
			if (l.probe < 0)
				return bad("cannot probe", equals + 1);
			break;
		case 'c':
			console = optarg;
			break;
		case 'i':
			pid = optarg;
			break;
		default:
			fputs(usage, stderr);
			return STATUS_FAILED;
		}
	}
	if (optind == argc) {
		fputs(usage, stderr);
		return STATUS_FAILED;
	}
	rc = run(&l, argv + optind, console, pid);
	if (rc < 0) {
		fprintf(stderr, "launch: cannot run '%s': %s\n", argv[optind], strerror(-rc));
		return STATUS_FAILED;
	}
	return rc;
}
