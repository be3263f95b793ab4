/*
 * `minivmm run`: one command in a machine of its own. A directory is the guest's root; the kernel is the host's or any
 * other with its modules; the agent (boot/agent) is its init.
 */
#ifndef VMM_RUN_H
#define VMM_RUN_H

#include "vmm/config.h"

/*
 * Make the machine of the command line @argv (argv[0] is "run"): kernel, initramfs, devices, job. @devices as for
 * config_parse(). -EINVAL and others with a message. What is in *@config lives as long as the process.
 */
int must_check run_parse(struct config *config, const struct option_group *const *devices, int argc,
			 char **argv, enum config_action *action);

/* Behind the end of the machine: nothing of the job is left. */
void run_end(void);

/* Its options, and what its exit statuses mean. */
extern const struct option_group run_options;
extern const char run_exit_status[];

/* The text of `minivmm run --help`. */
void run_help(FILE *f);

#endif
