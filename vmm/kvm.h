/*
 * The host's KVM: opened, checked and explained; and the virtual machine made of it.
 */
#ifndef VMM_KVM_H
#define VMM_KVM_H

#include <stdbool.h>

#include "vmm/base/bus.h"
#include "vmm/base/guestmem.h"

/*
 * Pages of ours that the guest reads by itself; its writes there are accesses to the bus. What stands in those that
 * nobody fills is zero.
 */
struct kvm_window {
	uint64_t gpa, len;
	uint8_t *host; /* set by kvm_create(); NULL where KVM has none to give */
};

struct kvm {
	int fd;	      /* /dev/kvm */
	int vm_fd;    /* the virtual machine */
	int run_size; /* bytes of struct kvm_run and what follows it */
	unsigned int max_cpus;
	bool kernel_mode_emulated; /* kernels run instruction by instruction */
	struct kvm_window window;
	void *arch; /* the architecture's own */
};

/* Open the node, /dev/kvm: its descriptor, or -errno with a message that says what would help. */
int must_check kvm_open(const char *node);

/*
 * Open /dev/kvm, or take @fd where that is not -1, check what it offers, create a VM with its in-kernel interrupt chips and timer, and
 * give it @mem and @window (or NULL). -errno with a message that says what would help; @fd is closed then, unless it is no
 * KVM.
 */
int must_check kvm_create(struct kvm *kvm, int fd, const struct guestmem *mem,
			  const struct kvm_window *window);
void kvm_destroy(struct kvm *kvm);

/* Say that the machine cannot be made, as @what gave errno: -errno. */
int kvm_fail(const char *what);

/* What the guest sees at @gpa, in the window; NULL where there is none. */
static inline uint8_t *kvm_window_at(const struct kvm *kvm, uint64_t gpa)
{
	return kvm->window.host ? kvm->window.host + (gpa - kvm->window.gpa) : NULL;
}

/* All vCPUs are made: the node is not needed any more, and no other virtual machine is to come of it. */
void kvm_close_node(struct kvm *kvm);

/* For struct bus: ring a doorbell in the kernel. @arg is the struct kvm; for memory and for ports. */
int kvm_doorbell_mmio(void *arg, const struct bus_doorbell *bell, bool add);
int kvm_doorbell_pio(void *arg, const struct bus_doorbell *bell, bool add);

#endif
