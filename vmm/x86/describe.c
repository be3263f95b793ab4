/* Where an x86 vCPU stands that cannot go on. */
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "vmm/arch.h"
#include "vmm/vcpu.h"

#define MAX_INSN 15u

/* The bytes at RIP: from KVM where it supplies them, else from memory. Their number. */
static unsigned int instruction(struct vcpu *vcpu, uint64_t linear, uint8_t bytes[MAX_INSN])
{
	const struct kvm_run *run = vcpu->run;
	struct kvm_translation tr = { .linear_address = linear };

	if (run->exit_reason == KVM_EXIT_INTERNAL_ERROR &&
	    run->internal.suberror == KVM_INTERNAL_ERROR_EMULATION && run->internal.ndata >= 4 &&
	    run->emulation_failure.flags & KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES) {
		const unsigned int n =
			MIN((unsigned int)run->emulation_failure.insn_size, MAX_INSN);

		memcpy(bytes, run->emulation_failure.insn_bytes, n);
		return n;
	}
	if (ioctl(vcpu->fd, KVM_TRANSLATE, &tr) < 0 || !tr.valid)
		return 0;
	/* Short of the page's end: what follows may lie elsewhere. */
	const unsigned int n = MIN(MAX_INSN, 4096u - (unsigned int)(linear & 4095));
	return guestmem_read(vcpu->mem, tr.physical_address, bytes, n) ? 0 : n;
}

static const char *mode(const struct kvm_sregs *sregs)
{
	if (!(sregs->cr0 & 1))
		return "real";
	if (!(sregs->efer & 0x400))
		return "32-bit protected";
	return sregs->cs.l ? "64-bit" : "compatibility";
}

void arch_vcpu_describe(struct vcpu *vcpu, char *text, size_t size)
{
	char hex[3 * MAX_INSN + 1] = "";
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	uint8_t bytes[MAX_INSN];

	text[0] = 0;
	if (ioctl(vcpu->fd, KVM_GET_REGS, &regs) < 0 || ioctl(vcpu->fd, KVM_GET_SREGS, &sregs) < 0)
		return;
	const bool long_mode = sregs.efer & 0x400;
	const unsigned int n =
		instruction(vcpu, long_mode ? regs.rip : sregs.cs.base + regs.rip, bytes);
	for (unsigned int i = 0; i < n; i++)
		snprintf(hex + 3 * i, 4, " %02x", bytes[i]);
	snprintf(
		text, size,
		"; at RIP %#llx, %s mode, ring %u, instruction%s, CR0 %#llx CR2 %#llx CR3 %#llx CR4 %#llx EFER %#llx",
		(unsigned long long)regs.rip, mode(&sregs), sregs.cs.selector & 3u,
		n ? hex : " bytes not readable", (unsigned long long)sregs.cr0,
		(unsigned long long)sregs.cr2, (unsigned long long)sregs.cr3,
		(unsigned long long)sregs.cr4, (unsigned long long)sregs.efer);
}
