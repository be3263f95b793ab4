/*
 * What a vCPU says about itself: KVM's supported CPUID with this machine's APIC ids and topology.
 */
#ifndef VMM_X86_CPUID_H
#define VMM_X86_CPUID_H

#include <linux/kvm.h>

#include "vmm/base/util.h"

/* All that the host's KVM supports, with room for the topology; to be free()d. -errno with a message. */
int must_check cpuid_supported(int kvm_fd, struct kvm_cpuid2 **out);

/*
 * Rewrite @cpuid for the vCPU with APIC id @id of @nr_cpus: one package, one thread a core. Entries
 * are changed in place and none are added, so the same table can be patched for each vCPU in turn.
 */
void cpuid_patch(struct kvm_cpuid2 *cpuid, unsigned int id, unsigned int nr_cpus);

#endif
