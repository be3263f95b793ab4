/* The list of allowed system calls, and a filter of it. */
#include "vmm/seccomp.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/falloc.h>
#include <linux/futex.h>
#include <linux/if_tun.h>
#include <linux/kvm.h>
#include <linux/seccomp.h>
#include <linux/sockios.h>
#include <linux/vhost.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vmm/arch.h"

#ifndef SYS_fchmodat2 /* Linux 6.6 */
#define SYS_fchmodat2 452
#endif

enum {
	MAIN = BIT(THREAD_MAIN),
	VCPU = BIT(THREAD_VCPU),
	NET = BIT(THREAD_NET),
	DISK = BIT(THREAD_DISK),
	RNG = BIT(THREAD_RNG),
	FS = BIT(THREAD_FS),
	JOB = BIT(THREAD_JOB),
	ALL = MAIN | VCPU | NET | DISK | RNG | FS | JOB,
};

/* Values that are known only when the filter is made; no descriptor, process or signal has such a number. */
enum { VM_FD = INT_MIN, OWN_FD, OWN_PID, KICK_SIGNAL };

/* Argument @arg, in the bits of @mask, is @value. Of 64 bits the lower: these calls look at no more. */
struct check {
	uint32_t mask, value;
	uint8_t arg;
};

struct rule {
	int nr;
	unsigned int kinds;
	struct check check[2]; /* both hold; mask 0: none */
	const char *reason;    /* "rare: ..." need not occur in an ordinary run */
};

/* clang-format off */
#define IS(n, v)	{ .arg = n, .mask = ~0u, .value = v }
#define ONLY(n, bits)	{ .arg = n, .mask = ~(uint32_t)(bits), .value = 0 }
#define FUTEX(op)	{ .arg = 1, .mask = ~(uint32_t)(FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME), .value = op }
#define NEW_MEMORY	{ .arg = 3, .mask = ~(uint32_t)MAP_NORESERVE, .value = MAP_PRIVATE | MAP_ANONYMOUS }

/*
 * Calls without conditions cost nothing from Linux 5.11 on, which keeps them in a bitmap; so the hot ones have none, but
 * for the one that enters the guest. Of several rules for a call the kernel asks in this order. No other mapping than of
 * new memory, none that can be executed; no thread, no file.
 */
static const struct rule rules[] = {
	{ SYS_ioctl, VCPU, { IS(0, OWN_FD), IS(1, KVM_RUN) }, "enter the guest" },
	{ SYS_epoll_wait, MAIN | NET | DISK | RNG | FS, {}, "wait for work" },
	{ SYS_readv, NET, {}, "a frame from the tap" },
	{ SYS_writev, NET, {}, "a frame to the tap" },
	{ SYS_write, ALL, {}, "interrupts and kicks, serial output, accounts, messages" },
	{ SYS_read, MAIN | NET | DISK | RNG | FS | JOB, {}, "kicks, timers, signals, standard input" },
	{ SYS_read, VCPU, {}, "rare: an interrupt that waits behind a mask" },
	{ SYS_epoll_ctl, MAIN | NET | RNG, {}, "stop and resume watching" },
	{ SYS_epoll_ctl, VCPU, {}, "rare: a reset while the machine ends, whose loop runs no more" },
	{ SYS_preadv, DISK | FS, {}, "the guest reads" },
	{ SYS_pwritev, DISK, {}, "the guest writes" },
	{ SYS_pwritev2, FS, {}, "the guest writes, appends, writes through" },
	{ SYS_getrandom, RNG, {}, "entropy" },
	{ SYS_fdatasync, DISK, {}, "the guest flushes" },
	{ SYS_poll, VCPU, {}, "serial output, whether its reader is slow" },
	{ SYS_poll, MAIN | NET | DISK | RNG | FS | JOB, {}, "rare: a message, whether its reader is slow" },
	{ SYS_futex, ALL, { FUTEX(FUTEX_WAIT) }, "rare: a lock is taken" },
	{ SYS_futex, ALL, { FUTEX(FUTEX_WAKE) }, "rare: somebody waits for a lock, a condition, a thread" },
	{ SYS_futex, ALL, { FUTEX(FUTEX_WAIT_BITSET) }, "rare: a condition, or the end of a thread" },
	{ SYS_timerfd_settime, VCPU | NET, {}, "the serial port's timer, a pause after errors" },
	{ SYS_timerfd_settime, MAIN, {}, "rare: the serial port's timer, once more" },
	{ SYS_rt_sigreturn, ALL, {}, "rare: a stop request interrupts the guest" },
	{ SYS_clock_gettime, ALL, {}, "rare: where the host's clock cannot be read without a call" },

	{ SYS_ioctl, MAIN, { IS(0, VM_FD), IS(1, KVM_IRQFD) }, "interrupts are released" },
	{ SYS_ioctl, VCPU, { IS(0, VM_FD), IS(1, KVM_IRQFD) }, "rare: the guest masks an interrupt" },
	{ SYS_ioctl, VCPU | MAIN, { IS(0, VM_FD), IS(1, KVM_IOEVENTFD) }, "doorbells move with their BAR" },
	{ SYS_ioctl, VCPU, { IS(0, VM_FD), IS(1, KVM_SET_GSI_ROUTING) }, "the guest moves an MSI" },
	{ SYS_ioctl, MAIN | VCPU | NET | DISK | RNG | FS, { IS(0, VM_FD), IS(1, KVM_IRQ_LINE) }, "rare: a pin that PCI devices without MSI-X share; let go at the end" },
	{ SYS_ioctl, MAIN | VCPU, { IS(1, TUNSETOFFLOAD) }, "offloads are negotiated, and taken back" },
	{ SYS_sched_getscheduler, NET, { IS(0, 0) }, "rare: doorbells come while the driver is at work" },
	{ SYS_sched_setscheduler, NET, { IS(0, 0), IS(1, SCHED_BATCH) }, "rare: the same, so it is let go on" },
	{ SYS_sched_setscheduler, NET, { IS(0, 0), IS(1, SCHED_OTHER) }, "rare: they do no longer" },
	{ SYS_ioctl, NET, { IS(1, TUNSETOFFLOAD) }, "rare: the driver changes offloads by its control queue" },
	{ SYS_ioctl, MAIN | VCPU, { IS(1, TUNSETVNETHDRSZ) }, "rare: the driver has hashes reported, or leaves" },
	{ SYS_ioctl, MAIN | VCPU | NET, { IS(1, TUNSETSTEERINGEBPF) }, "rare: the driver asks for RSS, or leaves" },
	/* Where the host's kernel moves the frames; no other memory than the guest's, no other worker. */
	{ SYS_ioctl, NET, { IS(0, OWN_FD), IS(1, VHOST_GET_VRING_BASE) }, "rare: how far the kernel is, with vhost" },
	{ SYS_ioctl, NET, { IS(0, OWN_FD), IS(1, VHOST_SET_FEATURES) }, "rare: a driver's rings go to the kernel" },
	{ SYS_ioctl, NET, { IS(0, OWN_FD), IS(1, VHOST_SET_VRING_NUM) }, "rare: the same" },
	{ SYS_ioctl, NET, { IS(0, OWN_FD), IS(1, VHOST_SET_VRING_ADDR) }, "rare: the same" },
	{ SYS_ioctl, NET, { IS(0, OWN_FD), IS(1, VHOST_SET_VRING_BASE) }, "rare: the same" },
	{ SYS_ioctl, NET, { IS(0, OWN_FD), IS(1, VHOST_SET_VRING_CALL) }, "rare: the same, and the driver moves interrupts" },
	{ SYS_ioctl, NET, { IS(0, OWN_FD), IS(1, VHOST_SET_VRING_KICK) }, "rare: rings go to the kernel and come back" },
	{ SYS_ioctl, NET, { IS(0, OWN_FD), IS(1, VHOST_NET_SET_BACKEND) }, "rare: the same" },

	{ SYS_ioctl, VCPU, { IS(0, OWN_FD), IS(1, KVM_GET_REGS) }, "rare: a crash is explained" },
	{ SYS_ioctl, VCPU, { IS(0, OWN_FD), IS(1, KVM_GET_SREGS) }, "rare: a crash is explained" },
	{ SYS_ioctl, VCPU, { IS(0, OWN_FD), IS(1, KVM_TRANSLATE) }, "rare: a crash is explained" },
	{ SYS_fallocate, DISK, { ONLY(1, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE) }, "the guest discards and zeroes" },

	/* Files of a share: by one name below a directory that is open, which Landlock holds as well. */
	{ SYS_openat2, FS, {}, "the guest looks a name up, opens, creates" },
	{ SYS_statx, FS, {}, "attributes" },
	{ SYS_umask, FS, {}, "rare: the guest mounts what it may write to, whose modes are its own" },
	{ SYS_getdents64, FS, {}, "the guest lists a directory" },
	{ SYS_readlinkat, FS, {}, "the guest reads a link" },
	{ SYS_mkdirat, FS, {}, "the guest makes a directory" },
	{ SYS_symlinkat, FS, {}, "the guest makes a link" },
	{ SYS_linkat, FS, { IS(4, 0) }, "the guest gives a file another name; no link is followed" },
	{ SYS_mknodat, FS, {}, "rare: the guest makes a FIFO or a socket" },
	{ SYS_unlinkat, FS, {}, "the guest removes" },
	{ SYS_renameat2, FS, {}, "the guest renames" },
	{ SYS_fchmodat2, FS, { IS(3, AT_EMPTY_PATH) }, "the guest changes a mode" },
	{ SYS_fchmod, FS, {}, "rare: the same before Linux 6.6" },
	{ SYS_fchownat, FS, { IS(4, AT_EMPTY_PATH) }, "rare: the guest changes an owner" },
	{ SYS_utimensat, FS, { IS(3, AT_EMPTY_PATH) }, "the guest changes times" },
	{ SYS_fgetxattr, FS, {}, "rare: the guest reads an attribute" },
	{ SYS_flistxattr, FS, {}, "rare: the guest lists attributes" },
	{ SYS_fsetxattr, FS, {}, "rare: the guest sets an attribute" },
	{ SYS_fremovexattr, FS, {}, "rare: the guest removes an attribute" },
	{ SYS_fstatfs, FS, {}, "rare: the guest asks for free space; file systems of another kind" },
	{ SYS_fsync, FS, {}, "the guest flushes" },
	{ SYS_fdatasync, FS, {}, "rare: the data alone" },
	{ SYS_syncfs, FS, {}, "rare: the guest unmounts" },
	{ SYS_fallocate, FS, {}, "rare: the guest reserves space" },
	{ SYS_copy_file_range, FS, {}, "rare: the guest copies" },
	{ SYS_fcntl, FS, { IS(1, F_DUPFD_CLOEXEC) }, "rare: a file on a network is closed: errors that come late" },

	{ SYS_lseek, MAIN | FS, {}, "accounts are rewritten in place" },
	{ SYS_ftruncate, MAIN | FS, {}, "accounts are rewritten in place" },
	{ SYS_pread64, MAIN, {}, "KVM's own statistics, the tap's" },
	{ SYS_pread64, NET, {}, "rare: the tap's, where the guest has no buffers" },
	{ SYS_ioctl, NET, { IS(1, TUNGETIFF) }, "rare: an interface is gone, and it may be this macvtap" },
	{ SYS_ioctl, MAIN | NET, { IS(1, SIOCGIFNAME) }, "rare: the tap's name, which may have changed" },
	{ SYS_ioctl, MAIN, { IS(0, STDIN_FILENO), IS(1, TCSETS) }, "a terminal is put back" },
	{ SYS_ioctl, MAIN, { IS(0, STDIN_FILENO), IS(1, TCGETS) }, "a terminal is put back" },
	{ SYS_ioctl, MAIN, { IS(0, STDIN_FILENO), IS(1, TIOCGPGRP) }, "rare: whether the terminal is ours now" },
	{ SYS_ioctl, ALL & ~MAIN, { IS(0, STDIN_FILENO), IS(1, TCSETS) }, "rare: a fault ends us, and the terminal is put back" },
	{ SYS_ioctl, ALL & ~MAIN, { IS(0, STDIN_FILENO), IS(1, TCGETS) }, "rare: the same" },
	{ SYS_ioctl, ALL & ~MAIN, { IS(0, STDIN_FILENO), IS(1, TIOCGPGRP) }, "rare: the same, if it is ours now" },
	{ SYS_tgkill, MAIN, { IS(0, OWN_PID), IS(2, KICK_SIGNAL) }, "the vCPUs are asked to stop" },
	{ SYS_tgkill, MAIN, { IS(0, OWN_PID), IS(2, SIGTSTP) }, "rare: stopped, with the terminal put back" },
	{ SYS_ioctl, MAIN, { IS(0, STDIN_FILENO), IS(1, TIOCGWINSZ) }, "rare: the terminal's new size, for a job's" },
	{ SYS_ioctl, MAIN, { IS(1, FIONREAD) }, "rare: what is left in a FIFO that nobody reads" },
	{ SYS_flock, MAIN, { IS(1, LOCK_UN) }, "rare: the end of a disk, whose lock the parent may have as well" },
	{ SYS_fcntl, MAIN, { IS(1, F_OFD_SETLK) }, "rare: the same, of the locks that QEMU knows" },
	{ SYS_close, MAIN | FS, {}, "the end" },
	{ SYS_close, NET, { IS(0, OWN_FD) }, "rare: vhost that does not give rings back" },
	{ SYS_close, VCPU, {}, "rare: what a guest had open when its driver resets a share" },
	{ SYS_exit, VCPU | NET | DISK | RNG | FS | JOB, {}, "the end of a thread" },
	{ SYS_exit_group, MAIN, {}, "the end" },
	{ SYS_exit_group, VCPU | NET | DISK | RNG | FS | JOB, {}, "rare: the end by a forbidden call" },

	/* What the C library needs: memory, signals around the end of a thread, abort(). */
	{ SYS_brk, ALL, {}, "rare: malloc" },
	{ SYS_mmap, ALL, { ONLY(2, PROT_READ | PROT_WRITE), NEW_MEMORY }, "rare: malloc" },
	{ SYS_mremap, MAIN | FS, { IS(3, MREMAP_MAYMOVE) }, "rare: the accounts of very many vCPUs" },
	{ SYS_munmap, ALL, {}, "rare: free; memory at the end" },
	{ SYS_madvise, VCPU | NET | DISK | RNG | FS | JOB, { IS(2, MADV_DONTNEED) }, "the stack of a thread that ends" },
	{ SYS_rt_sigprocmask, ALL, {}, "a thread ends or is signalled; abort" },
	{ SYS_getpid, MAIN, {}, "pthread_kill" },
	{ SYS_getpid, VCPU | NET | DISK | RNG | FS | JOB, {}, "rare: abort" },
	{ SYS_gettid, ALL, {}, "rare: abort" },
	{ SYS_tgkill, ALL, { IS(0, OWN_PID), IS(2, SIGABRT) }, "rare: abort" },
	{ SYS_restart_syscall, ALL, {}, "rare: a wait goes on after SIGSTOP and SIGCONT" },
	{ SYS_prctl, ALL, { IS(0, PR_GET_NAME) }, "rare: the line that says what was forbidden" },
};
/* clang-format on */

/* ---- the assembler ---- */

struct filter {
	struct sock_filter *code;
	unsigned int len;
	enum thread_kind kind;
	int vm_fd, own_fd;
	uint32_t otherwise;
};

static void emit(struct filter *f, uint16_t op, uint32_t k, uint8_t jt, uint8_t jf)
{
	f->code[f->len++] = (struct sock_filter){ .code = op, .jt = jt, .jf = jf, .k = k };
}

static void load(struct filter *f, size_t offset)
{
	emit(f, BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset, 0, 0);
}

/* Goes on if A is @k, else jumps over @over instructions. */
static void want(struct filter *f, uint32_t k, unsigned int over)
{
	emit(f, BPF_JMP | BPF_JEQ | BPF_K, k, 0, (uint8_t)over);
}

static bool whole(const struct check *c)
{
	return c->mask == ~0u;
}

static unsigned int check_len(const struct check *c)
{
	return !c->mask ? 0 : whole(c) ? 2 : 3;
}

static uint32_t resolve(uint32_t value, int vm_fd, int own_fd)
{
	switch ((int)value) {
	case VM_FD:
		return (uint32_t)vm_fd;
	case OWN_FD:
		return (uint32_t)own_fd;
	case OWN_PID:
		return (uint32_t)getpid();
	case KICK_SIGNAL:
		return (uint32_t)SIGURG;
	default:
		return value;
	}
}

/* The call is the rule's: allow it, or go on behind. */
static void add_checks(struct filter *f, const struct rule *r)
{
	unsigned int left = check_len(&r->check[0]) + check_len(&r->check[1]) + 1;

	for (unsigned int i = 0; i < ARRAY_SIZE(r->check) && r->check[i].mask; i++) {
		const struct check *c = &r->check[i];

		load(f, offsetof(struct seccomp_data, args[c->arg]));
		if (!whole(c))
			emit(f, BPF_ALU | BPF_AND | BPF_K, c->mask, 0, 0);
		left -= check_len(c);
		want(f, resolve(c->value, f->vm_fd, f->own_fd), left);
	}
	emit(f, BPF_RET | BPF_K, SECCOMP_RET_ALLOW, 0, 0);
}

/* From behind the instruction at @jump to here. */
static uint8_t distance(const struct filter *f, unsigned int jump)
{
	const unsigned int over = f->len - jump - 1;

	if (over > UINT8_MAX)
		abort();
	return (uint8_t)over;
}

/*
 * The rules of the calls @nr, @n of them in order: found by halves, since for its bitmap Linux runs a new filter with every
 * number that there is, which took longer than all else that confines a thread.
 */
static void add_numbers(struct filter *f, const int *nr, unsigned int n)
{
	const unsigned int jump = f->len, half = n / 2;

	if (half) {
		emit(f, BPF_JMP | BPF_JGE | BPF_K, (uint32_t)nr[half], 0, 0);
		add_numbers(f, nr, half);
		f->code[jump].jt = distance(f, jump);
		add_numbers(f, nr + half, n - half);
		return;
	}
	want(f, (uint32_t)*nr, 0);
	for (unsigned int i = 0; i < ARRAY_SIZE(rules); i++)
		if (rules[i].nr == *nr && rules[i].kinds & BIT(f->kind))
			add_checks(f, &rules[i]);
	f->code[jump].jf = distance(f, jump);
	emit(f, BPF_RET | BPF_K, f->otherwise, 0, 0);
}

unsigned int seccomp_filter(struct sock_filter code[SECCOMP_MAX_CODE], enum thread_kind kind,
			    int vm_fd, int own_fd, uint32_t otherwise)
{
	struct filter f = { code, 0, kind, vm_fd, own_fd, otherwise };
	int nr[ARRAY_SIZE(rules)];
	unsigned int n = 0;

	for (unsigned int i = 0; i < ARRAY_SIZE(rules); i++) {
		unsigned int at = 0;

		if (!(rules[i].kinds & BIT(kind)))
			continue;
		while (at < n && nr[at] < rules[i].nr)
			at++;
		if (at < n && nr[at] == rules[i].nr)
			continue;
		memmove(&nr[at + 1], &nr[at], (n++ - at) * sizeof(*nr));
		nr[at] = rules[i].nr;
	}
	/* In another table the numbers mean other calls. */
	load(&f, offsetof(struct seccomp_data, arch));
	emit(&f, BPF_JMP | BPF_JEQ | BPF_K, arch_audit, 1, 0);
	emit(&f, BPF_RET | BPF_K, otherwise, 0, 0);
	load(&f, offsetof(struct seccomp_data, nr));
	add_numbers(&f, nr, n);
	return f.len;
}
