/* What the user is told when a guest cannot go on. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "vmm/arch.h"
#include "vmm/base/log.h"
#include "vmm/vcpu.h"

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

void vcpu_report_crash(struct vcpu *vcpu)
{
	char what[160], where[320];

	if (vcpu->run_error) {
		log_error(
			"cannot run vCPU %u: KVM_RUN: %s%s", vcpu->id, strerror(vcpu->run_error),
			vcpu->run_error == EAGAIN
				? " (KVM may start no thread: raise the limit of processes, ulimit -u)"
				: "");
		return;
	}
	what_happened(vcpu, what, sizeof(what));
	arch_vcpu_describe(vcpu, where, sizeof(where));
	log_error("the guest crashed on vCPU %u: %s%s", vcpu->id, what, where);
	if (vcpu->kvm->kernel_mode_emulated)
		arch_explain_emulation();
}
