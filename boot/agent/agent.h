/* The agent: the one init that runs in Linux guests. Its parts. */
#ifndef BOOT_AGENT_AGENT_H
#define BOOT_AGENT_AGENT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "vmm/base/jobproto.h"

struct job {
	char **argv, **env; /* NULL-terminated */
	const char *cwd;
	uid_t uid;
	gid_t gid;
	bool tty, err_is_out, run_is_roots;
	uint16_t rows, cols;
	const char *net;
	const char **fs; /* NULL-terminated */
};

/* Give up: minivmm is told why, or the console where there is no port; the machine ends. */
void fail(const char *what, const char *on, int err) __attribute__((noreturn));

/* job.c: the job as JOB_FILE has it. */
void read_job(struct job *job);

/* setup.c: what the kernel needs before the port can be opened, its descriptor, and the world of the command. */
int open_port(void);
void mount_root(const struct job *job);
void mount_shares(const struct job *job);

/* net.c: the loopback, and, unless @net (of JOB_FILE) is NULL, the card. */
void set_network(const char *net);

/* spawn.c: the command, with our ends of its standard streams; -1 for those that it has not. */
struct child {
	pid_t pid;
	int in, out, err;
};

/* 0, or the errno of its execve. */
int spawn(const struct job *job, struct child *child);

#endif
