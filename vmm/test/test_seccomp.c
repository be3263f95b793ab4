/* What the filter costs: the instructions that the kernel runs for each hot call, by an interpreter of our own. */
#include <linux/kvm.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "vmm/arch.h"
#include "vmm/base/test/unit.h"
#include "vmm/seccomp.h"

#define VM_FD	  7
#define VCPU_FD	  8
#define STOPPED	  SECCOMP_RET_TRAP
#define MOST	  12 /* instructions for any call: the table, its number by halves, the verdict */
#define ARGUMENTS 4  /* and to look at two of them */

static struct sock_filter code[SECCOMP_MAX_CODE];
static unsigned int code_len;

struct verdict {
	uint32_t action;
	unsigned int instructions;
	bool constant; /* no argument was looked at: Linux keeps it in a bitmap from 5.11 on, and runs nothing */
};

static struct verdict run(const struct seccomp_data *data)
{
	struct verdict v = { .constant = true };
	uint32_t a = 0;

	for (unsigned int pc = 0; pc < code_len; pc++) {
		const struct sock_filter *i = &code[pc];

		v.instructions++;
		switch (i->code) {
		case BPF_LD | BPF_W | BPF_ABS:
			assert_true(i->k <= sizeof(*data) - 4);
			memcpy(&a, (const char *)data + i->k, sizeof(a));
			if (i->k >= offsetof(struct seccomp_data, instruction_pointer))
				v.constant = false;
			break;
		case BPF_ALU | BPF_AND | BPF_K:
			a &= i->k;
			break;
		case BPF_JMP | BPF_JEQ | BPF_K:
			pc += a == i->k ? i->jt : i->jf;
			break;
		case BPF_JMP | BPF_JGE | BPF_K:
			pc += a >= i->k ? i->jt : i->jf;
			break;
		case BPF_RET | BPF_K:
			v.action = i->k;
			return v;
		default:
			fail_msg("instruction %u: code %#x", pc, i->code);
		}
	}
	fail_msg("the filter has no end");
	return v;
}

static struct verdict ask(long nr, uint64_t first, uint64_t second)
{
	const struct seccomp_data data = { .nr = (int)nr,
					   .arch = arch_audit,
					   .args = { first, second } };

	return run(&data);
}

static void filter_of(enum thread_kind kind)
{
	code_len = seccomp_filter(code, kind, VM_FD, VCPU_FD, STOPPED);
	assert_true(code_len <= SECCOMP_MAX_CODE);
}

static void test_hot_calls(void **state)
{
	/* What each kind does for every frame, request and exit. */
	static const struct {
		enum thread_kind kind;
		long nr;
	} hot[] = {
		{ THREAD_NET, SYS_epoll_wait }, { THREAD_NET, SYS_readv },
		{ THREAD_NET, SYS_writev },	{ THREAD_NET, SYS_write },
		{ THREAD_NET, SYS_read },	{ THREAD_DISK, SYS_epoll_wait },
		{ THREAD_DISK, SYS_write },	{ THREAD_DISK, SYS_read },
		{ THREAD_DISK, SYS_preadv },	{ THREAD_DISK, SYS_pwritev },
		{ THREAD_FS, SYS_epoll_wait },	{ THREAD_FS, SYS_write },
		{ THREAD_VCPU, SYS_write },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(hot); i++) {
		filter_of(hot[i].kind);
		const struct verdict v = ask(hot[i].nr, 0, 0);

		if (v.action != SECCOMP_RET_ALLOW || !v.constant || v.instructions > MOST)
			fail_msg("row %u: action %#x, constant %d, %u instructions", i, v.action,
				 v.constant, v.instructions);
	}
	/* The one hot call that depends on arguments. */
	filter_of(THREAD_VCPU);
	const struct verdict v = ask(SYS_ioctl, VCPU_FD, KVM_RUN);
	assert_int_equal(v.action, SECCOMP_RET_ALLOW);
	assert_true(v.instructions <= MOST + ARGUMENTS);
	assert_int_equal(ask(SYS_ioctl, VM_FD, KVM_RUN).action, STOPPED);
}

/* No number of a call, with no arguments, runs into code that is not there; and another table's means nothing. */
static void test_every_number(void **state)
{
	const struct seccomp_data other = { .nr = SYS_read, .arch = arch_audit ^ 1 };

	for (enum thread_kind kind = THREAD_MAIN; kind <= THREAD_JOB; kind++) {
		unsigned int allowed = 0;

		filter_of(kind);
		for (long nr = -1; nr < 1024; nr++) {
			const struct verdict v = ask(nr, 0, 0);

			assert_true(v.action == SECCOMP_RET_ALLOW || v.action == STOPPED);
			assert_true(v.instructions <= MOST || !v.constant);
			allowed += v.action == SECCOMP_RET_ALLOW;
		}
		assert_true(allowed > 5 && allowed < 60);
		assert_int_equal(run(&other).action, STOPPED);
	}
}

/* Calls from both ends of the numbers, with arguments and without; and a card's thread may be patient, and no more. */
static void test_rules(void **state)
{
	static const struct {
		unsigned int kinds;
		long nr;
		uint64_t first, second;
	} allowed[] = {
		{ ~0u, SYS_rt_sigprocmask, 0, 0 },
		{ ~0u, SYS_gettid, 0, 0 },
		{ ~0u, SYS_restart_syscall, 0, 0 },
		{ ~0u, SYS_prctl, PR_GET_NAME, 0 },
		{ ~BIT(THREAD_MAIN), SYS_exit, 0, 0 },
		{ ~0u, SYS_exit_group, 0, 0 },
		{ BIT(THREAD_NET), SYS_sched_getscheduler, 0, 0 },
		{ BIT(THREAD_NET), SYS_sched_setscheduler, 0, SCHED_BATCH },
		{ BIT(THREAD_NET), SYS_sched_setscheduler, 0, SCHED_OTHER },
		{ 0, SYS_sched_setscheduler, 0, SCHED_FIFO },
		{ 0, SYS_sched_setscheduler, 1, SCHED_BATCH },
		{ 0, SYS_sched_getscheduler, 1, 0 },
		{ 0, SYS_execve, 0, 0 },
		{ 0, SYS_ptrace, 0, 0 },
		{ 0, SYS_prctl, PR_SET_NAME, 0 },
	};

	for (enum thread_kind kind = THREAD_MAIN; kind <= THREAD_JOB; kind++) {
		filter_of(kind);
		for (unsigned int i = 0; i < ARRAY_SIZE(allowed); i++) {
			const bool may = allowed[i].kinds & BIT(kind);
			const struct verdict v =
				ask(allowed[i].nr, allowed[i].first, allowed[i].second);

			if (v.action != (may ? SECCOMP_RET_ALLOW : STOPPED))
				fail_msg("kind %d, row %u: action %#x", (int)kind, i, v.action);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hot_calls),
		cmocka_unit_test(test_every_number),
		cmocka_unit_test(test_rules),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
