/*
 * A virtual CPU: a thread that enters the guest and serves its exits.
 */
#ifndef VMM_VCPU_H
#define VMM_VCPU_H

#include <linux/kvm.h>
#include <stdbool.h>
#include <stdint.h>

#include "vmm/base/bus.h"
#include "vmm/base/counters.h"
#include "vmm/base/thread.h"
#include "vmm/kvm.h"

struct vcpu_counters {
	uint64_t pio, mmio, interrupted, other;
	uint64_t first_entry; /* time stamp of the first entry into the guest */
};

struct vcpu {
	unsigned int id;
	int fd;
	struct kvm_run *run;
	const struct kvm *kvm;
	const struct guestmem *mem; /* for reports */
	struct bus *pio, *mmio;
	struct counters *accounts; /* the machine's */
	/* Called once, from the vCPU's thread, if the guest cannot go on (see vcpu_report_crash());
	 * not when it was asked to stop. */
	void (*crashed)(void *arg, struct vcpu *vcpu);
	void (*reset)(void *arg); /* likewise, if the guest reset the machine by itself */
	void *arg;
	struct thread thread;
	sem_t go;      /* until then the thread waits */
	bool stop;     /* atomic: leave the loop */
	int run_error; /* errno with which KVM_RUN failed for good, or 0 */
	struct vcpu_counters counters;
	struct counter_group group;
	struct kvm_stats *kvm_stats; /* KVM's own accounts, or NULL */
	char name[16];
};

/*
 * Create vCPU @vcpu->id of @nr_cpus on @kvm. The fields kvm, mem, pio, mmio, accounts, crashed,
 * arg and id are the caller's to set before. Where the boot vCPU starts is then said to arch.h. -errno with a
 * message.
 */
int must_check vcpu_create(struct vcpu *vcpu, unsigned int nr_cpus);

/*
 * All @n vCPUs of a machine, each as @like but for its number, with KVM's own accounts if @kvm_accounts. *@nr of *@out are
 * there, also where it fails. -errno with a message.
 */
int must_check vcpu_create_all(struct vcpu **out, unsigned int *nr, unsigned int n,
			       const struct vcpu *like, bool kvm_accounts);
/* Ask them to stop, now, and wait; says so loudly if that takes long. */
void vcpu_stop_all(struct vcpu *vcpu, unsigned int nr);
void vcpu_destroy_all(struct vcpu *vcpu, unsigned int nr);

/* Give it its thread, behind @guard, which waits to be let go into the guest. -errno with a message. */
int must_check vcpu_start(struct vcpu *vcpu, const struct thread_guard *guard);
void vcpu_go(struct vcpu *vcpu);

/* Not to enter the guest again after the exit that it is serving; any thread, also its own. */
void vcpu_leave(struct vcpu *vcpu);

/* Say that it cannot be set up, as @what gave errno: -errno. */
int vcpu_fail(const struct vcpu *vcpu, const char *what);

/* Release what vcpu_create() took. */
void vcpu_destroy(struct vcpu *vcpu);

/*
 * Tell the user why the guest cannot go on, after crashed() was called: what happened, where, and,
 * where the host's KVM emulates the guest's kernel mode, what that means.
 */
void vcpu_report_crash(struct vcpu *vcpu);

#endif
