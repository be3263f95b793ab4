/* The sandbox: for each kind of thread, what ends the process and what does not. Each trial is a child of its own. */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/futex.h>
#include <linux/if_tun.h>
#include <linux/kvm.h>
#include <linux/vhost.h>
#include <linux/sockios.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vmm/base/log.h"
#include "vmm/base/test/unit.h"
#include "vmm/fault.h"
#include "vmm/sandbox.h"

#define STOPPED	 125 /* as main.c has it */
#define SURVIVED 7
#define X32	 0x40000000
#define VM_FD	 40
#define VCPU_FD	 41
#define OTHER_FD 42

enum { MAIN = 1, VCPU = 2, NET = 4, DISK = 8, RNG = 16, FS = 32, JOB = 64, ALL = 127 };

static const char *const kind_name[] = { "main", "vcpu0", "net0",   "disk0.0",
					 "rng0", "fs0.0", "job.out" };

struct trial {
	const char *name; /* the call's, as the line has it */
	unsigned int kinds;
	long nr, arg[6];
};

/* ---- a child in which one thread of a kind does one thing ---- */

static struct counters counters;

struct child {
	struct sandbox sandbox;
	enum thread_kind kind;
	void (*body)(void *arg);
	void *arg;
};

/* _exit(), without what a sanitizer puts into it. */
static void leave(int status)
{
	syscall(SYS_exit_group, status);
}

static void on_forbidden_call(int sig, siginfo_t *info, void *context)
{
	leave(fault_handle(info, context));
}

static void ready(void)
{
	struct sigaction sa = { .sa_sigaction = on_forbidden_call, .sa_flags = SA_SIGINFO };
	const int null = open("/dev/null", O_RDWR);

	sigaction(SIGSYS, &sa, NULL);
	for (int fd = VM_FD; fd <= OTHER_FD; fd++)
		dup2(null, fd);
	alarm(60); /* a trial that waits for ever */
}

static void run_child(struct child *c)
{
	ready();
	if (c->kind == THREAD_MAIN) {
		if (sandbox_enter_main(&c->sandbox))
			leave(1);
		c->body(c->arg);
	} else {
		struct thread t = {
			.kind = c->kind,
			.name = kind_name[c->kind],
			.fd = c->kind == THREAD_FS ? open("/tmp", O_PATH | O_DIRECTORY | O_CLOEXEC)
						   : VCPU_FD,
			.guard = &c->sandbox.guard,
		};

		if (thread_start(&t, c->body, c->arg))
			leave(1);
		thread_join(&t);
	}
	leave(SURVIVED);
}

/* The exit status, and what was said. */
static int try(struct child *c, char *said, size_t size)
{
	size_t len = 0;
	ssize_t n;
	int pipes[2], status;
	pid_t pid;

	assert_int_equal(pipe(pipes), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		dup2(pipes[1], STDERR_FILENO);
		run_child(c);
	}
	close(pipes[1]);
	while (len < size - 1 && (n = read(pipes[0], said + len, size - 1 - len)) > 0)
		len += (size_t)n;
	said[len] = '\0';
	close(pipes[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void make_call(void *arg)
{
	const struct trial *t = arg;
	const long *a = t->arg;

	syscall(t->nr, a[0], a[1], a[2], a[3], a[4], a[5]);
	leave(SURVIVED);
}

static int try_call(const struct trial *t, enum thread_kind kind, enum sandbox_mode mode,
		    char *said, size_t size)
{
	struct child c = { .kind = kind, .body = make_call, .arg = (void *)t };
	int status;

	assert_int_equal(sandbox_create(&c.sandbox, mode, &counters), 0);
	c.sandbox.vm_fd = VM_FD;
	status = try(&c, said, size);
	sandbox_destroy(&c.sandbox);
	return status;
}

/* ---- what is forbidden ---- */

static char text[] = "/etc/passwd";
static char *const argv[] = { text, NULL };
#define T ((long)text)

static const struct trial forbidden[] = {
	{ "open", ALL, SYS_open, { T, O_RDONLY } },
	{ "openat", ALL, SYS_openat, { AT_FDCWD, T, O_RDONLY } },
	{ "openat2", ALL & ~FS, SYS_openat2, { AT_FDCWD, T } },
	{ "creat", ALL, SYS_creat, { T } },
	{ "open_by_handle_at", ALL, SYS_open_by_handle_at, { -1, T } },
	{ "readlink", ALL, SYS_readlink, { T } },
	{ "stat", ALL, SYS_stat, { T, T } },
	{ "unlink", ALL, SYS_unlink, { T } },
	{ "rename", ALL, SYS_rename, { T, T } },
	{ "chmod", ALL, SYS_chmod, { T } },
	{ "socket", ALL, SYS_socket, { 2, 1 } },
	{ "socketpair", ALL, SYS_socketpair, { 1, 1, 0, T } },
	{ "connect", ALL, SYS_connect, { OTHER_FD, T, 16 } },
	{ "sendto", ALL, SYS_sendto, { OTHER_FD, T, 1 } },
	{ "sendmsg", ALL, SYS_sendmsg, { OTHER_FD, T } },
	{ "execve", ALL, SYS_execve, { T, (long)argv } },
	{ "execveat", ALL, SYS_execveat, { AT_FDCWD, T, (long)argv } },
	{ "fork", ALL, SYS_fork, { 0 } },
	{ "vfork", ALL, SYS_vfork, { 0 } },
	{ "clone", ALL, SYS_clone, { SIGCHLD } },
	{ "clone3", ALL, SYS_clone3, { T, 88 } },
	{ "ptrace", ALL, SYS_ptrace, { PTRACE_TRACEME } },
	{ "process_vm_writev", ALL, SYS_process_vm_writev, { 1 } },
	{ "kill", ALL, SYS_kill, { 1, 0 } },
	{ "tkill", ALL, SYS_tkill, { 1, 0 } },
	{ "tgkill", ALL, SYS_tgkill, { 1, 1, SIGABRT } }, /* another process */
	{ "tgkill", ALL, SYS_tgkill, { 1, 1, SIGURG } },
	{ "pidfd_open", ALL, SYS_pidfd_open, { 1 } },
	{ "mprotect", ALL, SYS_mprotect, { 0x10000, 4096, PROT_READ | PROT_EXEC } },
	{ "mprotect", ALL, SYS_mprotect, { 0x10000, 4096, PROT_READ | PROT_WRITE } },
	{ "pkey_mprotect", ALL, SYS_pkey_mprotect, { 0x10000, 4096, PROT_READ, -1 } },
	{ "mmap", ALL, SYS_mmap, { 0, 4096, PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1 } },
	{ "mmap", ALL, SYS_mmap, { 0, 4096, 7, MAP_PRIVATE | MAP_ANONYMOUS, -1 } },
	{ "mmap", ALL, SYS_mmap, { 0, 4096, PROT_READ, MAP_PRIVATE, OTHER_FD } },
	{ "mmap", ALL, SYS_mmap, { 0, 4096, PROT_READ, MAP_SHARED, OTHER_FD } },
	{ "mmap", ALL, SYS_mmap, { 0, 4096, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1 } },
	{ "mremap", ALL, SYS_mremap, { 0, 4096, 4096, MREMAP_MAYMOVE | MREMAP_FIXED } },
	{ "memfd_create", ALL, SYS_memfd_create, { T } },
	{ "madvise", ALL, SYS_madvise, { 0, 0, MADV_HUGEPAGE } },
	{ "prctl", ALL, SYS_prctl, { PR_SET_DUMPABLE, 1 } },
	{ "prctl", ALL, SYS_prctl, { PR_SET_NAME, T } },
	{ "arch_prctl", ALL, SYS_arch_prctl, { 0x1001, 0 } },
	{ "seccomp", ALL, SYS_seccomp, { 0 } },
	{ "bpf", ALL, SYS_bpf, { 0 } },
	{ "io_uring_setup", ALL, SYS_io_uring_setup, { 1, T } },
	{ "userfaultfd", ALL, SYS_userfaultfd, { 0 } },
	{ "perf_event_open", ALL, SYS_perf_event_open, { 0 } },
	{ "keyctl", ALL, SYS_keyctl, { 0 } },
	{ "unshare", ALL, SYS_unshare, { CLONE_NEWUSER } },
	{ "setns", ALL, SYS_setns, { OTHER_FD } },
	{ "mount", ALL, SYS_mount, { T, T } },
	{ "chroot", ALL, SYS_chroot, { T } },
	{ "setuid", ALL, SYS_setuid, { 0 } },
	{ "setrlimit", ALL, SYS_setrlimit, { 0, T } },
	{ "rt_sigaction", ALL, SYS_rt_sigaction, { SIGSYS, 0, 0, 8 } },
	{ "dup2", ALL, SYS_dup2, { 0, OTHER_FD } },
	{ "fcntl", ALL, SYS_fcntl, { 0, F_GETFL } },
	{ "futex", ALL, SYS_futex, { T, FUTEX_CMP_REQUEUE_PI } },
	{ "futex", ALL, SYS_futex, { T, FUTEX_LOCK_PI | FUTEX_PRIVATE_FLAG } },
	{ "ioctl", ALL, SYS_ioctl, { STDIN_FILENO, TIOCSTI, T } },
	{ "ioctl", ALL, SYS_ioctl, { OTHER_FD, TCSETS, T } },
	{ "ioctl", ALL, SYS_ioctl, { OTHER_FD, KVM_RUN } },
	{ "ioctl", ALL, SYS_ioctl, { VM_FD, KVM_RUN } },
	{ "ioctl", ALL, SYS_ioctl, { OTHER_FD, KVM_CREATE_VM } },
	{ "ioctl", ALL, SYS_ioctl, { VM_FD, KVM_SET_USER_MEMORY_REGION, T } },
	{ "ioctl", ALL, SYS_ioctl, { VM_FD, KVM_CREATE_VCPU, 1 } },
	{ "ioctl", ALL, SYS_ioctl, { VCPU_FD, KVM_SET_REGS, T } },
	{ "ioctl", ALL, SYS_ioctl, { OTHER_FD, KVM_IRQFD, T } },
	{ "ioctl", ALL, SYS_ioctl, { OTHER_FD, KVM_IRQ_LINE, T } },
	{ "ioctl", JOB, SYS_ioctl, { VM_FD, KVM_IRQ_LINE, T } },
	{ "ioctl", ALL, SYS_ioctl, { OTHER_FD, TUNSETIFF, T } },
	{ "ioctl", ALL, SYS_ioctl, { OTHER_FD, VHOST_NET_SET_BACKEND, T } },
	{ "ioctl", ALL & ~NET, SYS_ioctl, { VCPU_FD, VHOST_NET_SET_BACKEND, T } },
	{ "ioctl", ALL, SYS_ioctl, { VCPU_FD, VHOST_SET_MEM_TABLE, T } },
	{ "ioctl", ALL, SYS_ioctl, { VCPU_FD, VHOST_SET_OWNER } },
	{ "ioctl", ALL & ~VCPU, SYS_ioctl, { VCPU_FD, KVM_RUN } },
	{ "ioctl", ALL & ~VCPU, SYS_ioctl, { VCPU_FD, KVM_GET_REGS, T } },
	{ "ioctl", ALL, SYS_ioctl, { OTHER_FD, TIOCGPGRP, T } },
	{ "flock", ALL, SYS_flock, { OTHER_FD, LOCK_EX } },
	{ "flock", ALL & ~MAIN, SYS_flock, { OTHER_FD, LOCK_UN } },
	{ "close", ALL & ~(FS | MAIN | VCPU), SYS_close, { OTHER_FD } },
	{ "ftruncate", ALL & ~(MAIN | FS), SYS_ftruncate, { OTHER_FD } },
	{ "epoll_create1", ALL, SYS_epoll_create1, { 0 } },
	{ "eventfd2", ALL, SYS_eventfd2, { 0 } },
	{ "pwritev", ALL & ~(DISK | FS), SYS_pwritev, { OTHER_FD } },
	{ "fallocate", ALL & ~(DISK | FS), SYS_fallocate, { OTHER_FD, 1, 0, 1 } },
	{ "fallocate", DISK, SYS_fallocate, { OTHER_FD, 8 /* FALLOC_FL_COLLAPSE_RANGE */, 0, 1 } },
	{ "readv", ALL & ~NET, SYS_readv, { OTHER_FD } },
	{ "getrandom", ALL & ~RNG, SYS_getrandom, { 0 } },
	/* The numbers of x32: none is a call of ours. */
	{ "0x40000000", ALL, X32 | SYS_read, { -1 } },
	{ "0x40000001", ALL, X32 | SYS_write, { -1 } },
	{ "0x40000202", ALL, X32 | 514, { OTHER_FD, KVM_RUN } },
};

static void test_forbidden(void **state)
{
	char said[512], want[128];

	for (unsigned int i = 0; i < ARRAY_SIZE(forbidden); i++)
		for (unsigned int kind = 0; kind < ARRAY_SIZE(kind_name); kind++) {
			const struct trial *t = &forbidden[i];
			int status;

			if (!(t->kinds & BIT(kind)))
				continue;
			status = try_call(t, kind, SANDBOX_ON, said, sizeof(said));
			snprintf(want, sizeof(want),
				 "minivmm: the sandbox stopped thread %s: system call %s (",
				 kind_name[kind], t->name);
			if (status != STOPPED || strncmp(said, want, strlen(want)) ||
			    strchr(said, '\n') != said + strlen(said) - 1)
				fail_msg("row %u: %s of %s: status %d, said: %s", i, t->name,
					 kind_name[kind], status, said);
		}
}

/* Calls by the table of 32-bit programs, where 5 is open() and our 0 to 2 are others. */
static void call_32(void *arg)
{
	long ret;

	__asm__ volatile("int $0x80" : "=a"(ret) : "a"(20L) : "memory", "r8", "r9", "r10", "r11");
	leave(SURVIVED);
}

static void test_32_bit_calls(void **state)
{
	char said[512];

	for (unsigned int kind = 0; kind < ARRAY_SIZE(kind_name); kind++) {
		struct child c = { .kind = kind, .body = call_32 };
		int status;

		assert_int_equal(sandbox_create(&c.sandbox, SANDBOX_ON, &counters), 0);
		status = try(&c, said, sizeof(said));
		if (status != -SIGSEGV) { /* a kernel that has no such calls */
			assert_int_equal(status, STOPPED);
			assert_non_null(strstr(said, "the sandbox stopped thread"));
		}
		sandbox_destroy(&c.sandbox);
	}
}

/* ---- what is allowed: whatever the kernel answers, the thread lives ---- */

static const struct trial allowed[] = {
	{ "write", ALL, SYS_write, { -1 } },
	{ "read", ALL, SYS_read, { -1 } },
	{ "poll", ALL, SYS_poll, { 0 } },
	{ "futex", ALL, SYS_futex, { T, FUTEX_WAKE_PRIVATE, 1 } },
	{ "futex", ALL, SYS_futex, { T, FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME, 1, 0, 0, 1 } },
	{ "madvise", ALL & ~MAIN, SYS_madvise, { 0, 0, MADV_DONTNEED } },
	{ "mmap", ALL, SYS_mmap, { 0, 4096, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1 } },
	{ "clock_gettime", ALL, SYS_clock_gettime, { 0, T } },
	{ "prctl", ALL, SYS_prctl, { PR_GET_NAME, T } },
	{ "epoll_wait", MAIN | NET | RNG, SYS_epoll_wait, { -1 } },
	{ "epoll_ctl", MAIN | NET | RNG, SYS_epoll_ctl, { -1 } },
	{ "readv", NET, SYS_readv, { -1 } },
	{ "writev", NET, SYS_writev, { -1 } },
	{ "getrandom", RNG, SYS_getrandom, { 0 } },
	{ "preadv", DISK, SYS_preadv, { -1 } },
	{ "pwritev", DISK, SYS_pwritev, { -1 } },
	{ "fdatasync", DISK, SYS_fdatasync, { -1 } },
	{ "fallocate", DISK, SYS_fallocate, { -1, 3 } },
	{ "ioctl", VCPU, SYS_ioctl, { VCPU_FD, KVM_RUN } },
	{ "ioctl", VCPU, SYS_ioctl, { VCPU_FD, KVM_GET_REGS, T } },
	{ "ioctl", VCPU | MAIN, SYS_ioctl, { VM_FD, KVM_IRQFD, T } },
	{ "ioctl", VCPU | MAIN, SYS_ioctl, { VM_FD, KVM_IOEVENTFD, T } },
	{ "ioctl", ALL & ~JOB, SYS_ioctl, { VM_FD, KVM_IRQ_LINE, T } },
	{ "ioctl", VCPU, SYS_ioctl, { VM_FD, KVM_SET_GSI_ROUTING, T } },
	{ "ioctl", MAIN | VCPU | NET, SYS_ioctl, { OTHER_FD, TUNSETOFFLOAD } },
	{ "ioctl", MAIN | VCPU | NET, SYS_ioctl, { OTHER_FD, TUNSETSTEERINGEBPF, T } },
	{ "ioctl", ALL, SYS_ioctl, { STDIN_FILENO, TCSETS, T } },
	{ "ioctl", ALL, SYS_ioctl, { STDIN_FILENO, TIOCGPGRP, T } },
	{ "ioctl", MAIN, SYS_ioctl, { OTHER_FD, FIONREAD, T } },
	{ "ioctl", MAIN | NET, SYS_ioctl, { OTHER_FD, SIOCGIFNAME, T } },
	{ "lseek", MAIN, SYS_lseek, { -1 } },
	{ "ftruncate", MAIN, SYS_ftruncate, { -1 } },
	{ "close", MAIN, SYS_close, { -1 } },
};

static void test_allowed(void **state)
{
	char said[512];

	for (unsigned int i = 0; i < ARRAY_SIZE(allowed); i++)
		for (unsigned int kind = 0; kind < ARRAY_SIZE(kind_name); kind++) {
			const struct trial *t = &allowed[i];
			int status;

			if (!(t->kinds & BIT(kind)))
				continue;
			status = try_call(t, kind, SANDBOX_ON, said, sizeof(said));
			if (status != SURVIVED || *said)
				fail_msg("row %u: %s of %s: status %d, said: %s", i, t->name,
					 kind_name[kind], status, said);
		}
}

/* The C library's own: memory, messages, the end of a thread; abort() is an end like any other. */
static void live(void *arg)
{
	void *p[64];

	for (unsigned int i = 0; i < ARRAY_SIZE(p); i++)
		p[i] = malloc(1000ul << (i % 10));
	for (unsigned int i = 0; i < ARRAY_SIZE(p); i++)
		free(p[i]);
	log_warn("lives");
}

static void die(void *arg)
{
	abort();
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1 /* their run-time makes calls of its own */
#else
#define SANITIZED 0
#endif

static void test_library(void **state)
{
	char said[512];

	if (SANITIZED)
		skip();
	for (unsigned int kind = 0; kind < ARRAY_SIZE(kind_name); kind++) {
		struct child c = { .kind = kind, .body = live };

		assert_int_equal(sandbox_create(&c.sandbox, SANDBOX_ON, &counters), 0);
		assert_int_equal(try(&c, said, sizeof(said)), SURVIVED);
		assert_string_equal(said, "minivmm: lives\n");
		c.body = die;
		assert_int_equal(try(&c, said, sizeof(said)), -SIGABRT);
		assert_string_equal(said, "");
		sandbox_destroy(&c.sandbox);
	}
}

/* ---- the rest of it: rights, capabilities, Landlock ---- */

struct rights {
	bool landlock, bounded;
	uint32_t kept; /* capabilities */
};

static void check_rights(void *arg)
{
	const struct rights *r = arg;
	const bool landlock = r->landlock;
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct caps[2];

	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
		leave(11);
	/* A thread that serves files keeps power over those. */
	if (syscall(SYS_capget, &head, caps) ||
	    (caps[0].effective | caps[0].permitted) & ~r->kept ||
	    caps[0].inheritable | caps[1].effective | caps[1].permitted | caps[1].inheritable)
		leave(12);
	if (r->bounded && prctl(PR_CAPBSET_READ, CAP_SYS_ADMIN, 0, 0, 0) != 0)
		leave(13);
	if (landlock && (open("/etc/passwd", O_RDONLY) >= 0 || errno != EACCES))
		leave(14);
	if (landlock && (mkdir("/tmp/minivmm-test-that-nobody-has", 0700) == 0 || errno != EACCES))
		leave(15);
	if (!landlock && open("/etc/passwd", O_RDONLY) < 0)
		leave(16);
}

/* Whether the bounding set is ours to make smaller, as a test before may have done already. */
static bool may_bound(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct caps[2];

	assert_int_equal(syscall(SYS_capget, &head, caps), 0);
	return caps[0].effective & BIT(CAP_SETPCAP);
}

/* Without the filter, which would not let the thread look. */
static void test_rights(void **state)
{
	char said[512];

	for (unsigned int kind = 0; kind < ARRAY_SIZE(kind_name); kind++) {
		struct rights r = { .kept = kind == THREAD_FS
						    ? BIT(CAP_CHOWN) | BIT(CAP_DAC_OVERRIDE) |
							      BIT(CAP_DAC_READ_SEARCH) |
							      BIT(CAP_FOWNER)
						    : 0,
				    .bounded = may_bound() };
		struct child c = { .kind = kind, .body = check_rights, .arg = &r };

		assert_int_equal(sandbox_create(&c.sandbox, SANDBOX_ON, &counters), 0);
		c.sandbox.seccomp = false;
		r.landlock = c.sandbox.counters.landlock > 0;
		assert_int_equal(r.landlock, syscall(SYS_landlock_create_ruleset, NULL, 0, 1) > 0);
		assert_int_equal(try(&c, said, sizeof(said)), SURVIVED);
		sandbox_destroy(&c.sandbox);
	}
}

/* ---- modes ---- */

static void test_modes(void **state)
{
	static const struct trial open_file = { "openat", ALL, SYS_openat, { AT_FDCWD, T } };
	char said[512];

	for (unsigned int kind = 0; kind < ARRAY_SIZE(kind_name); kind++) {
		assert_int_equal(try_call(&open_file, kind, SANDBOX_DEFAULT, said, 512), STOPPED);
		assert_int_equal(try_call(&open_file, kind, SANDBOX_LOG, said, 512), SURVIVED);
		assert_string_equal(said, "");
		assert_int_equal(try_call(&open_file, kind, SANDBOX_OFF, said, 512), SURVIVED);
		assert_string_equal(said, "");
	}
}

/* Nobody reads what is said, and the end is the same. */
static void test_unread(void **state)
{
	static const struct trial open_file = { "openat", ALL, SYS_openat, { AT_FDCWD, T } };
	int pipes[2], status;
	pid_t pid;

	if (SANITIZED)
		skip(); /* it has something to say as well, and waits for its reader */
	assert_int_equal(pipe2(pipes, O_NONBLOCK), 0);
	while (write(pipes[1], text, 1) == 1)
		;
	fcntl(pipes[1], F_SETFL, 0);
	pid = fork();
	if (!pid) {
		struct child c = { .kind = THREAD_NET,
				   .body = make_call,
				   .arg = (void *)&open_file };

		dup2(pipes[1], STDERR_FILENO);
		if (sandbox_create(&c.sandbox, SANDBOX_ON, &counters))
			leave(1);
		run_child(&c);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == STOPPED);
	close(pipes[0]);
	close(pipes[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_forbidden), cmocka_unit_test(test_32_bit_calls),
		cmocka_unit_test(test_allowed),	  cmocka_unit_test(test_library),
		cmocka_unit_test(test_rights),	  cmocka_unit_test(test_modes),
		cmocka_unit_test(test_unread),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
