/* The agent: the command is started, with exactly what the job says. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "boot/agent/agent.h"

/* What can fail before the command runs. */
enum spawn_step { SPAWN_USER, SPAWN_CWD, SPAWN_EXEC };

#define SCRATCH 16 /* descriptors below are the command's */

/* As systemd has it: who needs many asks for them, and the others close a thousand, not a million. */
static const struct rlimit descriptors = { 1024, 524288 };

/* Our end and the command's of each stream. */
struct ends {
	int ours[3], theirs[3];
};

/* The command's own, so that it can open /dev/stdout. */
static void make_pipes(const struct job *job, struct ends *e)
{
	const int nr = job->err_is_out ? 2 : 3;

	for (int i = 0; i < nr; i++) {
		int fd[2];

		if (pipe2(fd, O_CLOEXEC) < 0 || fchown(fd[0], job->uid, job->gid) < 0)
			fail("make", "a pipe", errno);
		e->ours[i] = fd[i == 0];
		e->theirs[i] = fcntl(fd[i != 0], F_DUPFD_CLOEXEC, SCRATCH);
		close(fd[i != 0]);
	}
	if (job->err_is_out) {
		e->ours[2] = -1;
		e->theirs[2] = fcntl(e->theirs[1], F_DUPFD_CLOEXEC, SCRATCH);
	}
}

/* One terminal for all three. */
static void make_tty(const struct job *job, struct ends *e)
{
	const int fd = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
	const struct winsize size = { .ws_row = job->rows, .ws_col = job->cols };
	const char *name = fd < 0 || grantpt(fd) < 0 || unlockpt(fd) < 0 ? NULL : ptsname(fd);

	if (!name)
		fail("open", "a terminal", errno);
	ioctl(fd, TIOCSWINSZ, &size);
	e->ours[0] = e->ours[1] = fd;
	e->ours[2] = -1;
	for (int i = 0; i < 3; i++) {
		const int end = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);

		if (end < 0)
			fail("open", name, errno);
		e->theirs[i] = fcntl(end, F_DUPFD_CLOEXEC, SCRATCH);
		close(end);
	}
	if (job->uid && fchown(e->theirs[0], job->uid, (gid_t)-1) < 0)
		fail("give away", name, errno);
}

/* In the child; returns what it cannot do, with errno. */
static enum spawn_step become(const struct job *job, const struct ends *e)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	for (int i = 1; i < NSIG; i++)
		signal(i, SIG_DFL);
	setsid();
	for (int i = 0; i < 3; i++)
		if (dup2(e->theirs[i], i) < 0)
			return SPAWN_USER;
	if (job->tty)
		ioctl(0, TIOCSCTTY, 0);
	setrlimit(RLIMIT_NOFILE, &descriptors);
	if (job->uid || job->gid)
		if (setgroups(0, NULL) < 0 || setgid(job->gid) < 0 || setuid(job->uid) < 0)
			return SPAWN_USER;
	if (chdir(job->cwd) < 0)
		return SPAWN_CWD;
	environ = job->env; /* execvp() looks at its PATH */
	execvp(job->argv[0], job->argv);
	return SPAWN_EXEC;
}

int spawn(const struct job *job, struct child *child)
{
	struct ends e;
	int report[2];
	struct {
		enum spawn_step step;
		int err;
	} failed = { 0 };

	if (job->tty)
		make_tty(job, &e);
	else
		make_pipes(job, &e);
	if (pipe2(report, O_CLOEXEC) < 0)
		fail("make", "a pipe", errno);
	child->pid = fork();
	if (child->pid < 0)
		fail("start", job->argv[0], errno);
	if (!child->pid) {
		const int out = fcntl(report[1], F_DUPFD_CLOEXEC, SCRATCH);

		failed.step = become(job, &e);
		failed.err = errno;
		if (write(out, &failed, sizeof(failed)) < 0)
			_exit(126);
		_exit(127);
	}
	close(report[1]);
	for (int i = 0; i < 3; i++)
		close(e.theirs[i]);
	if (read(report[0], &failed, sizeof(failed)) != sizeof(failed))
		failed.err = 0; /* it was closed by the execve */
	close(report[0]);
	if (failed.err && failed.step == SPAWN_CWD)
		fail("change to directory", job->cwd, failed.err);
	if (failed.err == E2BIG) /* the file is as good as any */
		fail("give its arguments to", job->argv[0], failed.err);
	if (failed.err && failed.step == SPAWN_USER)
		fail("become the user of", job->argv[0], failed.err);
	for (int i = 0; i < 3; i++)
		if (e.ours[i] >= 0)
			fcntl(e.ours[i], F_SETFL, O_NONBLOCK);
	child->in = e.ours[0];
	child->out = e.ours[1];
	child->err = e.ours[2];
	return failed.err;
}
