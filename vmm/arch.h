/*
 * The architecture: all of a virtual machine and its CPUs that depends on the kind of CPU. One
 * implementation stands behind this header, vmm/x86/; a second touches nothing outside its folder
 * and boot's. Where an entry point and addresses lie is the implementation's too: entry.h, memmap.h.
 */
#ifndef VMM_ARCH_H
#define VMM_ARCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/base/util.h"

struct guestmem;
struct irqchip;
struct kvm;
struct vcpu;
struct boot_entry; /* entry.h of the architecture: how the boot vCPU starts */

/* A capability that KVM must have, and its name for messages. */
struct kvm_need {
	int cap;
	const char *name;
};

/* What KVM must offer besides what every machine needs; ends with a NULL name. */
extern const struct kvm_need arch_needs[];

/* The host's KVM emulates the guest's kernel mode instruction by instruction; and what to tell the
 * user about it. */
bool arch_kernel_mode_emulated(void);
void arch_explain_emulation(void);

/*
 * The same, found out: a vCPU of @kvm, which has 16 MiB of memory and no vCPU yet, is given one instruction. 1: the
 * processor runs it, 0: KVM emulates it, or cannot; -errno with a message.
 */
int must_check arch_kernel_mode_native(const struct kvm *kvm, const struct guestmem *mem);

/* After KVM_CREATE_VM, while kvm->fd is open: interrupt chips, timer and what all vCPUs share.
 * -errno with a message; arch_vm_destroy() undoes it, also half-done. */
int must_check arch_vm_init(struct kvm *kvm);
void arch_vm_destroy(struct kvm *kvm);

/* What the pins of the interrupt chips are routed to. */
int must_check arch_irq_pins(struct irqchip *chip);

/* A vCPU that was just created, of @nr_cpus: what it says of itself, and its registers as firmware
 * would leave them. -errno with a message. */
int must_check arch_vcpu_init(struct vcpu *vcpu, unsigned int nr_cpus);

/* Put the boot vCPU's registers as @entry says. -errno with a message. */
int must_check arch_vcpu_enter_at(struct vcpu *vcpu, const struct boot_entry *entry);

enum arch_exit {
	ARCH_SERVED,
	ARCH_RESET,   /* the guest resets the machine */
	ARCH_CRASHED, /* it cannot go on */
};

/* Serve an exit that vcpu.c does not know, on the vCPU's thread. */
enum arch_exit arch_serve_exit(struct vcpu *vcpu);

/* Where a vCPU stands that cannot go on (address, mode, instruction bytes), as the end of a
 * sentence; empty where KVM does not say. */
void arch_vcpu_describe(struct vcpu *vcpu, char *text, size_t size);

/* ---- of the program itself, for the sandbox ---- */

/* Which table its system calls are numbered by: AUDIT_ARCH_* of linux/audit.h, as seccomp has it. */
extern const uint32_t arch_audit;

/* The first arguments of the call that a handler of SIGSYS was called for; @context is the handler's third. */
#define ARCH_SYSCALL_ARGUMENTS 3u
void arch_syscall_arguments(const void *context, uint64_t arg[ARCH_SYSCALL_ARGUMENTS]);

#endif
