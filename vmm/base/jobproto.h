/*
 * What minivmm and the agent in the guest say to each other.
 *
 * The job is a file of the initramfs, JOB_FILE: strings `key=value`, each ended by a 0, in the order in which they
 * count. No value is quoted or changed on its way.
 *
 *   arg=TEXT          the command, then its arguments
 *   env=NAME=VALUE    its environment, nothing else
 *   cwd=DIR           where it starts; "/" without
 *   user=UID:GID      as whom; 0:0 without
 *   tty=ROWSxCOLS     on a terminal of its own
 *   run=root          its /run is the root's, not one of its own
 *   err=out           its standard error is its standard output: what it writes to both stays in order
 *   fs=TAG:MODE:DIR   the virtio-fs TAG is mounted at DIR, MODE ro or rw. The first is the root (DIR "/"): read-only
 *                     below a throw-away layer in memory
 *   net=[ADDRESS/PREFIX]:[GATEWAY]:[RESOLVER][:DOMAIN ...]   there is a network card, which comes up with these (IPv4);
 *                     names are looked for in these domains, too
 *
 * While it runs they exchange frames over the virtio-console port named JOB_PORT: a header, then `len` bytes. Numbers
 * are little-endian.
 */
#ifndef VMM_BASE_JOBPROTO_H
#define VMM_BASE_JOBPROTO_H

#include <stdint.h>

#define JOB_FILE	"job"
#define JOB_PORT	"minivmm.job"
/* What the agent writes to the exit-status port where it finds no such port, for want of a driver. */
#define JOB_STATUS_PORT 0xf4
#define JOB_NO_PORT	64

#define JOB_FRAME_MAX 32768u /* bytes behind a header */
#define JOB_WINDOW    65536u /* bytes of JOB_IN that may be on their way, not yet JOB_TAKEN */

enum job_frame_type {
	/* From the agent. */
	JOB_STARTED = 1, /* the command runs; a struct job_started */
	JOB_OUT,	 /* bytes of its standard output, or its terminal's */
	JOB_ERR,	 /* bytes of its standard error */
	JOB_TAKEN, /* uint32_t: so many bytes of input were written to it, or thrown away as nobody reads them */
	JOB_EXIT,   /* the last frame; a struct job_exit */
	JOB_FAILED, /* the last frame: the agent could not start it; text, one line */

	/* From minivmm. */
	JOB_IN = 32, /* bytes for its standard input */
	JOB_EOF,     /* no more of them */
	JOB_SIGNAL,  /* uint32_t: a signal for its process group */
	JOB_WINCH,   /* uint16_t rows, columns: the terminal's new size */
	JOB_CLOSE,   /* uint32_t: nobody reads standard output (1) or error (2) any more */
};

struct job_frame {
	uint32_t type, len;
};

/* Nanoseconds since the guest's kernel started. */
struct job_started {
	uint64_t agent_ns, root_ns, command_ns;
};

struct job_exit {
	uint32_t signal; /* that ended it, or 0 */
	uint32_t status; /* else its exit status */
};

#endif
