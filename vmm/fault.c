/* What is put back and said when the process ends by a fault of its own. All of it in a signal handler, so by hand. */
#include "vmm/fault.h"

#include <poll.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vmm/arch.h"
#include "vmm/status.h"

static const char *const call_names[] = {
#include "syscall_names.h"
};

const int fault_signals[] = { SIGSYS, SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGABRT, 0 };

/* A handler has no argument of ours. */
static struct {
	fault_hook *_Atomic hook;
	void *arg;
} hooks[4];

void fault_hook_add(fault_hook *hook, void *arg)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(hooks); i++)
		if (!hooks[i].hook) {
			hooks[i].arg = arg;
			hooks[i].hook = hook;
			break;
		}
}

void fault_hook_remove(void *arg)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(hooks); i++)
		if (hooks[i].arg == arg)
			hooks[i].hook = NULL;
}

void fault_put_back(int status)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(hooks); i++) {
		fault_hook *const hook = atomic_exchange(&hooks[i].hook, NULL);

		if (hook)
			hook(hooks[i].arg, status);
	}
}

/* ---- the line ---- */

struct line {
	char text[256];
	size_t len;
};

static void put(struct line *l, const char *text)
{
	while (*text && l->len < sizeof(l->text))
		l->text[l->len++] = *text++;
}

static void put_hex(struct line *l, uint64_t v)
{
	char digits[19];
	char *at = digits + sizeof(digits);

	*--at = '\0';
	do
		*--at = "0123456789abcdef"[v % 16];
	while (v /= 16);
	*--at = 'x';
	*--at = '0';
	put(l, at);
}

static void put_thread(struct line *l)
{
	char name[16] = "main"; /* the process has a name of its own */

	if (gettid() != getpid())
		prctl(PR_GET_NAME, name);
	put(l, name);
}

static void put_forbidden_call(struct line *l, unsigned int nr, const void *context)
{
	uint64_t arg[ARCH_SYSCALL_ARGUMENTS];

	arch_syscall_arguments(context, arg);
	put(l, "minivmm: the sandbox stopped thread ");
	put_thread(l);
	put(l, ": system call ");
	if (nr < ARRAY_SIZE(call_names) && call_names[nr])
		put(l, call_names[nr]);
	else
		put_hex(l, nr);
	for (unsigned int i = 0; i < ARRAY_SIZE(arg); i++) {
		put(l, i ? ", " : " (");
		put_hex(l, arg[i]);
	}
	put(l, ")\n");
}

static void put_crash(struct line *l, const siginfo_t *info)
{
	put(l, "minivmm: thread ");
	put_thread(l);
	put(l, " ended by SIG");
	put(l, sigabbrev_np(info->si_signo));
	if (info->si_code > 0) {
		put(l, " at address ");
		put_hex(l, (uintptr_t)info->si_addr);
	}
	put(l, ": a fault of minivmm itself (please report it, with what the guest was doing)\n");
}

int fault_handle(const siginfo_t *info, const void *context)
{
	const bool forbidden = info->si_signo == SIGSYS;
	const int status = forbidden ? STATUS_CANNOT : STATUS_SIGNAL + info->si_signo;
	struct pollfd err = { .fd = STDERR_FILENO, .events = POLLOUT };
	struct line l = { .len = 0 };

	fault_put_back(status);
	if (forbidden)
		put_forbidden_call(&l, (unsigned int)info->si_syscall, context);
	else
		put_crash(&l, info);
	/* Nobody may be reading, and the process is to end. */
	if (poll(&err, 1, 0) == 1) {
		const ssize_t n = write(err.fd, l.text, l.len);
		(void)n;
	}
	/* abort() would go on to a call of its own that is forbidden. */
	if (info->si_signo == SIGABRT)
		syscall(SYS_tgkill, getpid(), gettid(), SIGABRT);
	return forbidden ? STATUS_CANNOT : 0;
}
