/*
 * The sandbox: what a guest that has taken a thread over could still ask of the host's kernel.
 *
 * Each thread goes in by itself, before its work begins, and the main one last, before the first guest instruction:
 *
 *   no_new_privs    no program that it starts could gain rights (it can start none)
 *   capabilities    none, in any set
 *   Landlock        nothing but what is open already: no path, no TCP port, no abstract socket
 *   seccomp         the system calls of its kind of thread, see seccomp.c; any other ends the process with
 *                   one line that names thread and call, and STATUS_CANNOT (fault.h)
 *
 * Where the host's kernel has no Landlock or no seccomp the machine runs without it, and the accounts say so.
 */
#ifndef VMM_SANDBOX_H
#define VMM_SANDBOX_H

#include "vmm/base/counters.h"
#include "vmm/base/thread.h"

enum sandbox_mode {
	SANDBOX_DEFAULT, /* on, as far as the host's kernel goes */
	SANDBOX_ON,	 /* on, and no machine where the kernel has no seccomp */
	SANDBOX_OFF,
	/* Nothing is forbidden; the kernel's log names each call that would be. */
	SANDBOX_LOG,
};

/* Their names, from SANDBOX_ON on; NULL at the end. */
extern const char *const sandbox_words[];

struct sandbox_counters {
	uint64_t seccomp;  /* threads behind a filter */
	uint64_t landlock; /* the ABI in force; 0: none */
};

struct sandbox {
	enum sandbox_mode mode;
	int vm_fd;
	int ruleset_fd; /* Landlock's, or -1 */
	bool seccomp;	/* the kernel has it */
	struct sandbox_counters counters;
	struct counter_group group;
	struct thread_guard guard; /* for every thread that is made */
};

/* What this host's kernel has of it: Landlock's ABI (0: none), seccomp with the actions that are needed. */
unsigned int sandbox_landlock(void);
bool sandbox_seccomp(void);

/* Find out what the kernel has, before threads are made. -errno with a message. */
int must_check sandbox_create(struct sandbox *sandbox, enum sandbox_mode mode,
			      struct counters *counters);
void sandbox_destroy(struct sandbox *sandbox);

/*
 * Put the calling thread in, for good, as the main one. In every mode descriptors that were left open by whoever
 * started us are closed. -errno with a message.
 */
int must_check sandbox_enter_main(struct sandbox *sandbox);

#endif
