/* minivmm: command line in, exit status out. The only file that ends the process. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "vmm/config.h"
#include "vmm/base/log.h"
#include "vmm/base/thread.h"
#include "vmm/doctor.h"
#include "vmm/fault.h"
#include "vmm/machine.h"
#include "vmm/run.h"
#include "vmm/signals.h"
#include "vmm/status.h"

/* Or the first file that is opened would become standard output. */
static void open_standard_descriptors(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		/* For reading only, so that output which goes nowhere is still told of and counted. */
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDONLY) < 0 &&
		    open("/", O_PATH) < 0)
			_exit(STATUS_CANNOT);
}

/* Threads need little; the usual 8 MiB would cost a huge page each where the host gives those freely. */
static void limit_stacks(void)
{
	pthread_attr_t attr;

	if (pthread_attr_init(&attr))
		return;
	if (!pthread_attr_setstacksize(&attr, 256 * KIB))
		pthread_setattr_default_np(&attr);
	pthread_attr_destroy(&attr);
}

#define STACK_MIN (128 * KIB) /* for this thread */

/* A parent may have allowed less than we need. */
static int want_stack(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_STACK, &limit) < 0 || limit.rlim_cur >= STACK_MIN)
		return 0;
	const struct rlimit wanted = { STACK_MIN, MAX(limit.rlim_max, (rlim_t)STACK_MIN) };

	if (setrlimit(RLIMIT_STACK, &wanted) == 0)
		return 0;
	log_error("cannot run on a stack of %llu KiB (ulimit -s %llu)",
		  (unsigned long long)(limit.rlim_cur / KIB),
		  (unsigned long long)(STACK_MIN / KIB));
	return -ENOMEM;
}

static void on_fault(int signal, siginfo_t *info, void *context)
{
	const int status = signals_pass_on(info) ? 0 : fault_handle(info, context);

	if (status)
		_exit(status);
}

static void give_up(int status)
{
	_exit(status);
}

static void catch_faults(void)
{
	const struct sigaction sa = { .sa_sigaction = on_fault,
				      .sa_flags =
					      SA_SIGINFO | SA_RESETHAND | SA_RESTART | SA_ONSTACK };
	struct sigaction inherited;
	sigset_t set;

	sigemptyset(&set);
	for (const int *s = fault_signals; *s; s++) {
		sigaddset(&set, *s);
		/* Where the parent has one ignored, only a fault of our own still ends us; the filter's is always caught. */
		if (*s == SIGSYS ||
		    (!sigaction(*s, NULL, &inherited) && inherited.sa_handler != SIG_IGN))
			sigaction(*s, &sa, NULL);
	}
	sigprocmask(SIG_UNBLOCK, &set, NULL); /* a parent may have blocked them */
}

/* @status, if all of standard output was taken. */
static int said_it(int status)
{
	if (fflush(stdout) == 0)
		return status;
	log_error("cannot write to standard output: %s", strerror(errno));
	log_flush(1000);
	return STATUS_CANNOT;
}

static int doctor(int argc, char **argv)
{
	struct doctor_host host;

	doctor_this_host(&host);
	const int status = doctor_main(&host, stdout, argc, argv);
	log_flush(1000);
	return said_it(status);
}

int main(int argc, char **argv)
{
	const uint64_t start_ns = now_ns();
	static struct thread_signal_stack stack; /* main's own may be small (RLIMIT_STACK) */
	static struct config config;
	enum config_action action;

	open_standard_descriptors();
	log_open();
	if (want_stack()) {
		log_flush(1000);
		return STATUS_CANNOT;
	}
	limit_stacks();
	/* A reader that went away is an error of write(2), and a full file too, not our end. */
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	signal(SIGCHLD, SIG_DFL); /* who ignores it cannot wait for the programs that it starts */
	thread_use_signal_stack(&stack);
	catch_faults();
	if (argc > 1 && !strcmp(argv[1], "doctor"))
		return doctor(argc - 1, argv + 1);
	const bool run = argc > 1 && !strcmp(argv[1], "run");
	const int ret = run ? run_parse(&config, machine_devices(), argc - 1, argv + 1, &action)
			    : config_parse(&config, machine_devices(), argc, argv, &action);
	if (ret) {
		log_otherwise("cannot read the options: %s", strerror(-ret));
		log_flush(1000);
		return STATUS_CANNOT;
	}
	switch (action) {
	case CONFIG_HELP:
		if (run)
			run_help(stdout);
		else
			config_help(stdout, machine_devices());
		return said_it(EXIT_SUCCESS);
	case CONFIG_VERSION:
		puts("minivmm " MINIVMM_VERSION);
		return said_it(EXIT_SUCCESS);
	case CONFIG_RUN:
		break;
	}
	log_set_verbose(config.verbose);
	const int status = machine_run(&config, start_ns, give_up);

	if (run)
		run_end();
	return status;
}
