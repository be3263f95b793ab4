/* What the user is told when a guest cannot go on. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "vmm/base/log.h"
#include "vmm/vcpu.h"

#define MAX_INSN 15u

static const char *internal_error(uint32_t suberror)
{
	switch (suberror) {
	case KVM_INTERNAL_ERROR_EMULATION:
		return "KVM could not emulate an instruction";
	case KVM_INTERNAL_ERROR_SIMUL_EX:
		return "exceptions met while one was being delivered";
	case KVM_INTERNAL_ERROR_DELIVERY_EV:
		return "an exit came while an event was being delivered";
	case KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON:
		return "KVM met an exit that it does not know";
	default:
		return "unknown suberror";
	}
}

static void what_happened(const struct vcpu *vcpu, char *text, size_t size)
{
	const struct kvm_run *run = vcpu->run;

	if (vcpu->run_error) {
		snprintf(text, size, "KVM_RUN: %s", strerror(vcpu->run_error));
		return;
	}
	switch (run->exit_reason) {
	case KVM_EXIT_SHUTDOWN:
		snprintf(text, size, "triple fault");
		break;
	case KVM_EXIT_INTERNAL_ERROR:
		snprintf(text, size, "KVM internal error %u: %s", run->internal.suberror,
			 internal_error(run->internal.suberror));
		break;
	case KVM_EXIT_FAIL_ENTRY:
		snprintf(text, size, "KVM could not enter the guest: hardware reason %#llx",
			 (unsigned long long)run->fail_entry.hardware_entry_failure_reason);
		break;
	default:
		snprintf(text, size, "KVM exit %u, which minivmm does not expect",
			 run->exit_reason);
	}
}

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

void vcpu_report_crash(struct vcpu *vcpu)
{
	char what[160], hex[3 * MAX_INSN + 1] = "";
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	uint8_t bytes[MAX_INSN];

	what_happened(vcpu, what, sizeof(what));
	if (ioctl(vcpu->fd, KVM_GET_REGS, &regs) < 0 ||
	    ioctl(vcpu->fd, KVM_GET_SREGS, &sregs) < 0) {
		log_error("the guest crashed on vCPU %u: %s", vcpu->id, what);
		return;
	}
	const bool long_mode = sregs.efer & 0x400;
	const unsigned int n =
		instruction(vcpu, long_mode ? regs.rip : sregs.cs.base + regs.rip, bytes);
	for (unsigned int i = 0; i < n; i++)
		snprintf(hex + 3 * i, 4, " %02x", bytes[i]);
	log_error(
		"the guest crashed on vCPU %u: %s; at RIP %#llx, %s mode, ring %u, instruction%s, CR0 %#llx CR2 %#llx CR3 %#llx CR4 %#llx EFER %#llx",
		vcpu->id, what, (unsigned long long)regs.rip,
		!(sregs.cr0 & 1) ? "real"
		: !long_mode	 ? "32-bit protected"
		: sregs.cs.l	 ? "64-bit"
				 : "compatibility",
		sregs.cs.selector & 3u, n ? hex : " bytes not readable",
		(unsigned long long)sregs.cr0, (unsigned long long)sregs.cr2,
		(unsigned long long)sregs.cr3, (unsigned long long)sregs.cr4,
		(unsigned long long)sregs.efer);
	if (vcpu->kvm->ring0_emulated)
		kvm_explain_ring0();
}
