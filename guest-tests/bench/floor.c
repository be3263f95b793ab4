/*
 * floor: the least that a VM's start can cost on a machine: a VM, its memory, a vCPU, and one HLT of the guest.
 *
 *   floor MIB TEXT   writes TEXT and a newline to standard output once the guest has halted, then waits for a signal
 *
 * `compare` starts it where it starts VMMs (its configuration "floor"), so that their starts have a bound that no
 * program can be below. Nothing is kept from costing what it has to: there is no interrupt controller, so that the HLT
 * is an exit to this process. Exit status: 125 when something fails.
 */
#include <err.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define STATUS_FAILED 125
#define MAX_MIB	      3072 /* below the devices' addresses, where KVM's own pages are */
#define ENTRY	      0x1000
#define X86_HLT	      0xf4
#define RFLAGS_ALWAYS 0x2 /* bit 1 of RFLAGS reads as one */

static int vm_with_memory(int kvm, uint64_t bytes)
{
	const int vm = ioctl(kvm, KVM_CREATE_VM, 0);
	uint8_t *memory;

	if (vm < 0)
		err(STATUS_FAILED, "KVM_CREATE_VM");
	memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (memory == MAP_FAILED)
		err(STATUS_FAILED, "%llu bytes of guest memory", (unsigned long long)bytes);
	memory[ENTRY] = X86_HLT;
	if (ioctl(vm, KVM_SET_USER_MEMORY_REGION,
		  &(struct kvm_userspace_memory_region){ .memory_size = bytes,
							 .userspace_addr = (uintptr_t)memory }))
		err(STATUS_FAILED, "KVM_SET_USER_MEMORY_REGION");
	return vm;
}

/* In real mode, as after a reset, but at ENTRY. */
static void set_registers(int vcpu)
{
	struct kvm_sregs sregs;

	if (ioctl(vcpu, KVM_GET_SREGS, &sregs))
		err(STATUS_FAILED, "KVM_GET_SREGS");
	sregs.cs.base = 0;
	sregs.cs.selector = 0;
	if (ioctl(vcpu, KVM_SET_SREGS, &sregs) ||
	    ioctl(vcpu, KVM_SET_REGS, &(struct kvm_regs){ .rip = ENTRY, .rflags = RFLAGS_ALWAYS }))
		err(STATUS_FAILED, "KVM_SET_SREGS, KVM_SET_REGS");
}

int main(int argc, char **argv)
{
	unsigned long mib = argc == 3 ? strtoul(argv[1], NULL, 10) : 0;
	const struct kvm_run *run;
	int kvm, vm, vcpu, size;

	if (mib < 1)
		errx(STATUS_FAILED, "usage: floor MIB TEXT");
	mib = mib < MAX_MIB ? mib : MAX_MIB; /* more, untouched, costs no more */
	kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (kvm < 0)
		err(STATUS_FAILED, "/dev/kvm");
	vm = vm_with_memory(kvm, (uint64_t)mib << 20);
	vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
	size = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (vcpu < 0 || size < (int)sizeof(*run))
		err(STATUS_FAILED, "KVM_CREATE_VCPU");
	run = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
	if (run == MAP_FAILED)
		err(STATUS_FAILED, "the vCPU's page");
	set_registers(vcpu);
	if (ioctl(vcpu, KVM_RUN, 0))
		err(STATUS_FAILED, "KVM_RUN");
	if (run->exit_reason != KVM_EXIT_HLT)
		errx(STATUS_FAILED, "the guest ended with exit %u, not with its HLT",
		     run->exit_reason);
	if (printf("%s\n", argv[2]) < 0 || fflush(stdout))
		err(STATUS_FAILED, "standard output");
	pause();
	return 0;
}
