/*
 * The host's KVM: opened, checked and explained; and the virtual machine made of it.
 */
#ifndef VMM_KVM_H
#define VMM_KVM_H

#include <stdbool.h>

#include "vmm/base/bus.h"
#include "vmm/base/guestmem.h"

struct kvm {
	int fd;	      /* /dev/kvm */
	int vm_fd;    /* the virtual machine */
	int run_size; /* bytes of struct kvm_run and what follows it */
	unsigned int max_cpus;
	bool kernel_mode_emulated; /* kernels run instruction by instruction */
	void *arch;		   /* the architecture's own */
};

/* Open the node, /dev/kvm: its descriptor, or -errno with a message that says what would help. */
int must_check kvm_open(const char *node);

/*
 * Open /dev/kvm, or take @fd where that is not -1, check what it offers, create a VM with its in-kernel interrupt chips and timer, and
 * give it @mem. -errno with a message that says what would help.
 */
int must_check kvm_create(struct kvm *kvm, int fd, const struct guestmem *mem);
void kvm_destroy(struct kvm *kvm);

/* Say that the machine cannot be made, as @what gave errno: -errno. */
int kvm_fail(const char *what);

/* All vCPUs are made: the node is not needed any more, and no other virtual machine is to come of it. */
void kvm_close_node(struct kvm *kvm);

/* For struct bus: ring a doorbell in the kernel. @arg is the struct kvm; for memory and for ports. */
int kvm_doorbell_mmio(void *arg, const struct bus_doorbell *bell, bool add);
int kvm_doorbell_pio(void *arg, const struct bus_doorbell *bell, bool add);

#endif
