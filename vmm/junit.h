/*
 * A job's result as a JUnit report: one test case with its time, its status and the last of its output.
 *
 * The file is there from the start, and says then that minivmm did not come to its end; so it says whatever happens,
 * SIGKILL included. A FIFO or a device gets the one report at the end, if it takes it.
 */
#ifndef VMM_JUNIT_H
#define VMM_JUNIT_H

#include <stddef.h>

#include "vmm/base/util.h"
#include "vmm/files.h"

struct junit;

/* From now on what minivmm says is noted. NULL where there is no memory. */
struct junit *junit_create(void);
void junit_destroy(struct junit *junit); /* safe on NULL */

/*
 * The report is of @command (NULL-terminated), at @path, which must clash with none of @files. -errno with a message,
 * and then nothing was written nor will be.
 */
int must_check junit_open(struct junit *junit, const char *path, char *const *command,
			  struct files *files);

/* Note it among @files, before others are. -EINVAL with a message where it clashes. Safe on NULL. */
int must_check junit_add_file(const struct junit *junit, struct files *files);

/* What the command wrote, to whichever stream; from any thread. Safe on NULL. */
void junit_output(struct junit *junit, const void *bytes, size_t len);

/* The end of minivmm, with @status: write it, in @ms milliseconds at most. Safe on NULL and on one that is not open. */
void junit_finish(struct junit *junit, int status, unsigned int ms);

#endif
