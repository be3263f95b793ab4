/* Which signals end the machine. */
#include "vmm/signals.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "vmm/base/event.h"
#include "vmm/base/log.h"
#include "vmm/fault.h"

/* Where the handler of a fault passes on what was sent: it has no argument of ours. */
static atomic_int pass_on_fd = -1;

/* abort() unblocks its own. */
static bool is_fault(int signal)
{
	for (const int *s = fault_signals; *s; s++)
		if (*s == signal)
			return signal != SIGABRT;
	return false;
}

static bool is_ours(int signal)
{
	struct sigaction inherited;

	switch (signal) {
	case SIGCHLD: /* these do nothing by themselves; SIGURG asks a vCPU to stop */
	case SIGURG:
	case SIGTTIN: /* a background job is stopped, as any other */
	case SIGTTOU:
		return false;
	default:
		return !is_fault(signal) && !sigaction(signal, NULL, &inherited) &&
		       inherited.sa_handler != SIG_IGN;
	}
}

void signals_block(struct signals *s)
{
	*s = (struct signals){ .blocked.fd = -1, .sent.fd = -1 };
	sigemptyset(&s->set);
	for (int signal = 1; signal <= SIGRTMAX; signal++)
		if (is_ours(signal))
			sigaddset(&s->set, signal);
	pthread_sigmask(SIG_BLOCK, &s->set, NULL);
}

static void on_blocked(void *arg, uint32_t events)
{
	struct signals *s = arg;
	struct signalfd_siginfo info;

	if (read(s->blocked.fd, &info, sizeof(info)) == sizeof(info))
		s->arrived(s->arg, (int)info.ssi_signo);
}

static void on_sent(void *arg, uint32_t events)
{
	struct signals *s = arg;
	uint64_t signo;

	/* Several would be added up; one is enough to end. */
	if (read(s->sent.fd, &signo, sizeof(signo)) == sizeof(signo))
		s->arrived(s->arg, (int)MIN(signo, (uint64_t)SIGSYS));
}

int signals_watch(struct signals *s, struct loop *loop, void (*arrived)(void *arg, int signo),
		  void *arg)
{
	int ret;

	s->loop = loop;
	s->arrived = arrived;
	s->arg = arg;
	s->blocked = (struct loop_watch){
		.fd = signalfd(-1, &s->set, SFD_CLOEXEC | SFD_NONBLOCK),
		.ready = on_blocked,
		.arg = s,
	};
	ret = s->blocked.fd < 0 ? -errno : loop_watch(loop, &s->blocked, EPOLLIN);
	s->sent = (struct loop_watch){ .fd = event_create(), .ready = on_sent, .arg = s };
	if (!ret)
		ret = s->sent.fd < 0 ? s->sent.fd : loop_watch(loop, &s->sent, EPOLLIN);
	if (ret)
		log_error("cannot receive signals: %s", strerror(-ret));
	else
		pass_on_fd = s->sent.fd;
	return ret;
}

void signals_close(struct signals *s)
{
	pass_on_fd = -1;
	close_fd(s->blocked.fd);
	close_fd(s->sent.fd);
}

bool signals_pass_on(const siginfo_t *info)
{
	const uint64_t signo = (uint64_t)info->si_signo;
	const int fd = pass_on_fd, saved = errno;

	/* abort() sends its signal, too. */
	if (info->si_code > 0 || (info->si_code == SI_TKILL && info->si_pid == getpid()))
		return false;
	if (fd < 0)
		return false;
	const bool passed = write(fd, &signo, sizeof(signo)) == sizeof(signo);
	errno = saved;
	return passed;
}

void signals_stop_here(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTSTP);
	raise(SIGTSTP);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
}
