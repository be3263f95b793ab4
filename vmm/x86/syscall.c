/* System calls of this program, which is x86-64 like its guests. */
#include <linux/audit.h>
#include <ucontext.h>

#include "vmm/arch.h"

/* The calls of x32, which have this value too, have numbers with a bit of their own. */
const uint32_t arch_audit = AUDIT_ARCH_X86_64;

void arch_syscall_arguments(const void *context, uint64_t arg[ARCH_SYSCALL_ARGUMENTS])
{
	const greg_t *reg = ((const ucontext_t *)context)->uc_mcontext.gregs;

	arg[0] = (uint64_t)reg[REG_RDI];
	arg[1] = (uint64_t)reg[REG_RSI];
	arg[2] = (uint64_t)reg[REG_RDX];
}
