/* No new rights, no capabilities, Landlock, seccomp. */
#include "vmm/sandbox.h"

#include <dirent.h>
#include <errno.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vmm/base/log.h"
#include "vmm/seccomp.h"

const char *const sandbox_words[] = { "on", "off", "log", NULL };

static const struct counter_desc counter_desc[] = {
	COUNTER(struct sandbox_counters, seccomp),
	COUNTER(struct sandbox_counters, landlock),
	COUNTER_END,
};

/* ---- Landlock: Documentation/userspace-api/landlock.rst ---- */

/* What the newest ABI known here handles; libc's headers may be older. */
struct landlock_ruleset {
	uint64_t access_fs, access_net, scoped;
};

#define LANDLOCK_VERSION   1u
#define ACCESS_FS_TRUNCATE BIT_ULL(14) /* ABI 3 */

unsigned int sandbox_landlock(void)
{
	const long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_VERSION);

	return abi > 0 ? (unsigned int)abi : 0;
}

bool sandbox_seccomp(void)
{
	const uint32_t action = SECCOMP_RET_TRAP;

	return syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0;
}

/* A ruleset without rules: of all that the kernel's ABI can forbid, nothing is allowed. */
static int landlock_ruleset(uint64_t *abi)
{
	const unsigned int version = sandbox_landlock();
	/* Bits of access to files, by ABI: device ioctls came with 5, truncation with 3, linking elsewhere with 2. */
	const unsigned int fs = version >= 5 ? 16 : version >= 3 ? 15 : version == 2 ? 14 : 13;
	const struct landlock_ruleset ruleset = {
		.access_fs = BIT_ULL(fs) - 1,
		.access_net = version >= 4 ? 3 : 0, /* to bind and to connect a TCP port */
		/* Abstract sockets; and signals, which with 6 would not reach our own threads. */
		.scoped = version >= 7	 ? 3
			  : version == 6 ? 1
					 : 0,
	};

	*abi = version;
	if (!*abi)
		return -1;
	return (int)syscall(SYS_landlock_create_ruleset, &ruleset, sizeof(ruleset), 0);
}

/* What a thread that serves a directory may do below it: whatever makes no device and executes nothing. */
static int allow_directory(int ruleset_fd, const struct thread *t, uint64_t abi)
{
	uint64_t access = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;

	if (t->writable)
		access |= LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |
			  LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_DIR |
			  LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK |
			  LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_SYM;
	if (t->writable && abi >= 2)
		access |= LANDLOCK_ACCESS_FS_REFER;
	if (t->writable && abi >= 3)
		access |= ACCESS_FS_TRUNCATE;
	const struct landlock_path_beneath_attr rule = { .allowed_access = access,
							 .parent_fd = t->fd };

	return (int)syscall(SYS_landlock_add_rule, ruleset_fd, LANDLOCK_RULE_PATH_BENEATH, &rule,
			    0);
}

static int restrict_files(const struct sandbox *s, const struct thread *t)
{
	uint64_t abi;
	int fd, ret;

	if (s->ruleset_fd < 0)
		return 0;
	if (t->kind != THREAD_FS)
		return (int)syscall(SYS_landlock_restrict_self, s->ruleset_fd, 0);
	fd = landlock_ruleset(&abi);
	ret = fd < 0 ? fd : allow_directory(fd, t, abi);
	if (!ret)
		ret = (int)syscall(SYS_landlock_restrict_self, fd, 0);
	close_fd(fd);
	return ret;
}

/* ---- going in ---- */

#define MAX_FD 65536 /* of descriptors that are looked at one by one */

/* For all threads to come. Takes CAP_SETPCAP: without it the set stays, and gives nothing to anybody. */
static void bound_capabilities(void)
{
	for (unsigned long cap = 0; prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) == 0; cap++)
		;
}

/* @keep: what stays, of what there is. */
static void drop_capabilities(uint32_t keep)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct set[2] = { 0 };

	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	syscall(SYS_capget, &head, set);
	set[0].effective &= keep;
	set[0].permitted &= keep;
	set[0].inheritable = set[1].effective = set[1].permitted = set[1].inheritable = 0;
	syscall(SYS_capset, &head, set);
}

/* A share is the caller's, with the caller's power over files, root's too. */
#define FILE_CAPABILITIES \
	(BIT(CAP_CHOWN) | BIT(CAP_DAC_OVERRIDE) | BIT(CAP_DAC_READ_SEARCH) | BIT(CAP_FOWNER))

static int cannot(const char *what, const char *name)
{
	return log_fail(-errno, "cannot confine thread %s: %s: %s (--sandbox off runs without)",
			name, what, strerror(errno));
}

static int enter(void *sandbox, const struct thread *t)
{
	struct sandbox *s = sandbox;
	const bool log = s->mode == SANDBOX_LOG;
	struct sock_filter code[SECCOMP_MAX_CODE];
	struct sock_fprog prog = { .filter = code };

	if (s->mode == SANDBOX_OFF)
		return 0;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return cannot("PR_SET_NO_NEW_PRIVS", t->name);
	if (!log)
		drop_capabilities(t->kind == THREAD_FS ? FILE_CAPABILITIES : 0);
	if (restrict_files(s, t) < 0)
		return cannot("landlock_restrict_self", t->name);
	if (!s->seccomp)
		return 0;
	prog.len = (unsigned short)seccomp_filter(code, t->kind, s->vm_fd, t->fd,
						  log ? SECCOMP_RET_LOG : SECCOMP_RET_TRAP);
	/* Kernels before 5.16 else slow the thread down against speculation, and the guest with it. */
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW, &prog))
		return cannot("seccomp", t->name);
	__atomic_add_fetch(&s->counters.seccomp, 1, __ATOMIC_RELAXED);
	return 0;
}

static void close_inherited_fd(int fd)
{
	if (fd > STDERR_FILENO && is_inherited(fd))
		close(fd);
}

/*
 * What a careless parent left open is not for a guest to find. Until now it may have been opened by a path (/dev/fd/N).
 * All that we open, or are given by an option, is close-on-exec; what is not was there before us.
 */
static void close_inherited(void)
{
	DIR *dir = opendir("/proc/self/fd");
	const struct dirent *e;

	while (dir && (e = readdir(dir)))
		close_inherited_fd(atoi(e->d_name));
	if (dir)
		closedir(dir);
	else /* no /proc, or no descriptor to spare */
		for (int fd = 0; fd < MAX_FD; fd++)
			close_inherited_fd(fd);
}

int sandbox_enter_main(struct sandbox *s)
{
	const struct thread main = { .kind = THREAD_MAIN, .name = "main", .fd = -1 };

	close_inherited();
	return enter(s, &main);
}

int sandbox_create(struct sandbox *s, enum sandbox_mode mode, struct counters *counters)
{
	*s = (struct sandbox){
		.mode = mode,
		.vm_fd = -1,
		.ruleset_fd = -1,
		.guard = { .confine = enter, .arg = s },
	};
	counters_add(counters, &s->group, counter_desc, &s->counters, "sandbox");
	if (mode == SANDBOX_OFF)
		return 0;
	if (mode != SANDBOX_LOG)
		bound_capabilities();
	mallopt(M_ARENA_MAX, 1); /* an arena for each thread would take mprotect() */
	s->seccomp = sandbox_seccomp();
	if (!s->seccomp && mode != SANDBOX_DEFAULT)
		return log_fail(
			-ENOSYS,
			"this host's kernel has no seccomp, which --sandbox needs (without the option minivmm runs without it)");
	if (mode != SANDBOX_LOG)
		s->ruleset_fd = landlock_ruleset(&s->counters.landlock);
	return 0;
}

void sandbox_destroy(struct sandbox *s)
{
	counters_remove(&s->group);
	close_fd(s->ruleset_fd);
}
