/*
 * `minivmm doctor`: whether `minivmm run` can work on this host, and what would mend it.
 *
 * Each thing that a job needs is done as a job does it, by the same functions: /dev/kvm is opened and runs a vCPU, the
 * kernel is read, its modules are unpacked. One line on standard output for each:
 *
 *   ok    NAME   what was found
 *   FAIL  NAME   why no job can run, and the command that mends it
 *   note  NAME   the same, of what was not asked for: only `--net`, or the sandbox, needs it
 */
#ifndef VMM_DOCTOR_H
#define VMM_DOCTOR_H

#include <stdbool.h>
#include <stdio.h>

#include "vmm/base/options.h"

/* The host, which is another in tests. */
struct doctor_host {
	const char *root;    /* before all paths: "" */
	const char *release; /* of the running kernel, as uname(2) has it */
	const char *path;    /* where programs are: $PATH */
	/* arch_kernel_mode_native() on a machine of the node that is open as @fd, which it closes; with a message. */
	int (*kernel_mode_native)(int fd);
	unsigned int (*landlock)(void);
	bool (*seccomp)(void);
};
void doctor_this_host(struct doctor_host *host);

/* `minivmm doctor [OPTION]...` (argv[0] is "doctor"): the exit status, 0 or STATUS_CANNOT. */
int doctor_main(const struct doctor_host *host, FILE *out, int argc, char **argv);

/* Its options, and what its exit statuses mean. */
extern const struct option_group doctor_options;
extern const char doctor_exit_status[];

#endif
