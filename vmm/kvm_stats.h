/*
 * KVM's own accounts of a vCPU: exits of every kind, halts, injected interrupts, also those that never
 * reach user space (KVM_GET_STATS_FD; Linux 5.14).
 */
#ifndef VMM_KVM_STATS_H
#define VMM_KVM_STATS_H

#include "vmm/base/counters.h"

struct kvm_stats;

/*
 * Add them as counter group "kvm.vcpuN", under KVM's names; read anew each time that the accounts
 * are written. *out is NULL where this KVM has none, which is no error.
 */
void kvm_stats_create(struct kvm_stats **out, struct counters *counters, int vcpu_fd,
		      unsigned int id);

/* Safe on NULL. */
void kvm_stats_destroy(struct kvm_stats *stats);

#endif
