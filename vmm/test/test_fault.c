/* A fault on a real terminal: whatever thread, whatever fault, it is put back, and one line says what happened. */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "vmm/base/test/messages.h"
#include "vmm/base/test/unit.h"
#include "vmm/console.h"
#include "vmm/fault.h"
#include "vmm/files.h"
#include "vmm/sandbox.h"
#include "vmm/stats.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1 /* their run-time has handlers of its own, and makes calls of its own */
#else
#define SANITIZED 0
#endif

static char stats_path[64];

/* ---- the child: a console on the terminal, and a thread that ends it ---- */

static void do_forbidden(void)
{
	syscall(SYS_socket, 2, 1, 0);
}

static volatile uintptr_t nowhere = 16; /* or the compiler sees it coming */

static void do_segv(void)
{
	*(volatile int *)nowhere = 0;
}

static void do_bus(void)
{
	char name[] = "/tmp/minivmm-test-fault-XXXXXX";
	const int fd = mkstemp(name);
	volatile char *p = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);

	unlink(name);
	(void)*p; /* beyond the file's end */
}

static void do_ill(void)
{
	__builtin_trap();
}

static void do_abort(void)
{
	abort();
}

/* Until there is no stack left, which a handler has none of, either. */
static int do_overflow_at(volatile char *caller)
{
	volatile char here[512];

	here[0] = caller ? *caller : 1;
	return nowhere ? do_overflow_at(here) + here[0] : 0;
}

static void do_overflow(void)
{
	do_overflow_at(NULL);
}

struct fault {
	void (*act)(void);
	bool sandbox;
	int status;	  /* as a shell has it */
	const char *said; /* behind the thread's name */
};

static const struct fault faults[] = {
	{ do_forbidden, true, 125, ": system call socket (0x2, 0x1, 0x0)" },
	{ do_segv, true, 128 + SIGSEGV, " ended by SIGSEGV at address 0x10: a fault of minivmm" },
	{ do_segv, false, 128 + SIGSEGV, " ended by SIGSEGV at address 0x10: a fault of minivmm" },
	{ do_overflow, true, 128 + SIGSEGV, " ended by SIGSEGV at address 0x" },
	{ do_overflow, false, 128 + SIGSEGV, " ended by SIGSEGV at address 0x" },
	{ do_bus, false, 128 + SIGBUS, " ended by SIGBUS at address 0x" },
	{ do_ill, true, 128 + SIGILL, " ended by SIGILL at address 0x" },
	{ do_abort, true, 128 + SIGABRT, " ended by SIGABRT: a fault of minivmm" },
};

static const struct fault *fault;
static void *const one = &fault;

static void act(void *arg)
{
	fault->act();
}

static void on_fault(int sig, siginfo_t *info, void *context)
{
	const int status = fault_handle(info, context);

	if (status)
		_exit(status);
}

static void quit(void *arg)
{
}

static void child(int slave, enum thread_kind kind)
{
	static const struct console_options options = { .where = NULL };
	const struct sigaction sa = { .sa_sigaction = on_fault,
				      .sa_flags = SA_SIGINFO | SA_RESETHAND | SA_ONSTACK };
	const struct rlimit no_core = { 0, 0 };
	struct thread t = { .kind = kind, .name = "thread", .fd = -1 };
	struct thread_signal_stack stack;
	struct console *console;
	struct sandbox sandbox;
	struct stats *stats;
	static struct counters counters;
	static struct files files;
	struct loop *loop;

	setsid();
	ioctl(slave, TIOCSCTTY, 0);
	for (int fd = 0; fd <= 2; fd++)
		dup2(slave, fd);
	setrlimit(RLIMIT_CORE, &no_core);
	thread_use_signal_stack(&stack);
	for (const int *s = fault_signals; *s; s++)
		sigaction(*s, &sa, NULL);
	if (loop_create(&loop, "test") || console_create(&console, &options, loop, quit, one) ||
	    stats_create(&stats, &counters, stats_path, 0) ||
	    files_open_output(&files, stats_output(stats)) ||
	    sandbox_create(&sandbox, fault->sandbox ? SANDBOX_ON : SANDBOX_OFF, &counters))
		_exit(1);
	/* A guest that has hidden the cursor. */
	if (sink_write(&console_output(console)->sink, "\033[?25l", 6, 1000) != 6)
		_exit(2);
	if (kind == THREAD_MAIN) {
		if (sandbox_enter_main(&sandbox))
			_exit(3);
		act(NULL);
	} else {
		t.guard = &sandbox.guard;
		if (kind == THREAD_FS)
			t.fd = open("/tmp", O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (thread_start(&t, act, NULL))
			_exit(4);
		thread_join(&t);
	}
	_exit(5);
}

/* ---- the parent, at the terminal's other end ---- */

static char screen[8192];

static int run(int master, int slave, enum thread_kind kind)
{
	struct pollfd p = { .fd = master, .events = POLLIN };
	size_t len = 0;
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (!pid)
		child(slave, kind);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	while (len < sizeof(screen) - 1 && poll(&p, 1, 0) == 1 && p.revents & POLLIN) {
		const ssize_t n = read(master, screen + len, sizeof(screen) - 1 - len);

		if (n <= 0)
			break;
		len += (size_t)n;
	}
	screen[len] = '\0';
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void check_stats(int status)
{
	char text[128] = "", want[128];
	const int fd = open(stats_path, O_RDONLY | O_CLOEXEC);
	const ssize_t n = read(fd, text, sizeof(text) - 1);

	close(fd);
	unlink(stats_path);
	assert_true(n > 0);
	snprintf(want, sizeof(want), "{\"outcome\":\"fault\", \"status\":%d}\n", status);
	assert_string_equal(text, want);
}

static void try(const struct fault *f, enum thread_kind kind)
{
	struct termios before = { 0 }, after = { 0 };
	int master = posix_openpt(O_RDWR | O_NOCTTY), slave, status;
	char said[128];

	assert_true(master >= 0 && !grantpt(master) && !unlockpt(master));
	slave = open(ptsname(master), O_RDWR | O_NOCTTY);
	assert_true(slave >= 0);
	assert_int_equal(tcgetattr(slave, &before), 0);
	assert_true(before.c_lflag & ICANON && before.c_lflag & ECHO);
	fault = f;
	status = run(master, slave, kind);
	snprintf(said, sizeof(said), "thread %s%s", kind == THREAD_MAIN ? "main" : "thread",
		 f->said);
	if (status != f->status || !strstr(screen, said) || !strstr(screen, "\033[?25h"))
		fail_msg("fault %d, kind %d: status %d, said: %s", (int)(f - faults), kind, status,
			 screen);
	assert_null(strstr(strstr(screen, "minivmm: ") + 1, "minivmm: ")); /* one line */
	assert_int_equal(tcgetattr(slave, &after), 0);
	assert_memory_equal(&before, &after, sizeof(before));
	check_stats(f->status);
	close(slave);
	close(master);
}

static void test_terminal(void **state)
{
	if (SANITIZED)
		skip();
	snprintf(stats_path, sizeof(stats_path), "/tmp/minivmm-test-fault-%d", getpid());
	for (unsigned int i = 0; i < ARRAY_SIZE(faults); i++)
		for (enum thread_kind kind = THREAD_MAIN; kind <= THREAD_JOB; kind++)
			try(&faults[i], kind);
}

/* ---- hooks ---- */

static unsigned int calls;

static void count_call(void *arg, int status)
{
	calls += (unsigned int)status;
}

static void test_hooks(void **state)
{
	const siginfo_t info = { .si_signo = SIGSEGV, .si_code = SEGV_MAPERR };
	int which[16];

	for (unsigned int i = 0; i < ARRAY_SIZE(which); i++)
		fault_hook_add(count_call, &which[i]); /* more than there is room for */
	fault_hook_remove(&which[1]);
	calls = 0;
	messages_begin();
	assert_int_equal(fault_handle(&info, NULL), 0);
	assert_int_equal(calls, 3 * (128 + SIGSEGV));
	/* Each once, also where a handler meets a fault of its own. */
	assert_int_equal(fault_handle(&info, NULL), 0);
	assert_non_null(strstr(messages_end(), "thread main ended by SIGSEGV at address 0x0: "));
	assert_int_equal(calls, 3 * (128 + SIGSEGV));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_terminal),
		cmocka_unit_test(test_hooks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
