/*
 * Which system calls each kind of thread may make, and the seccomp filter made of that list (the kernel's
 * Documentation/userspace-api/seccomp_filter.rst).
 */
#ifndef VMM_SECCOMP_H
#define VMM_SECCOMP_H

#include <linux/filter.h>
#include <stdint.h>

#include "vmm/base/thread.h"

#define SECCOMP_MAX_CODE 512u

/*
 * Write the filter of @kind into @code; returns its length. @vm_fd and @own_fd (struct thread) are the descriptors that ioctls are
 * bound to, where the kind has any. @otherwise (SECCOMP_RET_*) is the fate of what is not on the list.
 */
unsigned int seccomp_filter(struct sock_filter code[SECCOMP_MAX_CODE], enum thread_kind kind,
			    int vm_fd, int own_fd, uint32_t otherwise);

#endif
