/* Whether a guest's kernel mode runs on the processor. */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include "vmm/arch.h"
#include "vmm/base/log.h"
#include "vmm/vcpu.h"
#include "vmm/x86/entry.h"

#define CODE_AT 0x1000

/* pxor %mm0, %mm0, which every 64-bit processor has and KVM's emulator has not; out %al, $0x80. */
static const uint8_t code[] = { 0x0f, 0xef, 0xc0, 0xe6, 0x80 };

int arch_kernel_mode_native(const struct kvm *kvm, const struct guestmem *mem)
{
	static const struct boot_entry entry = { .rip = CODE_AT };
	struct counters counters = { NULL };
	struct vcpu vcpu = { .kvm = kvm, .mem = mem, .accounts = &counters, .fd = -1 };
	int ret = guestmem_write(mem, CODE_AT, code, sizeof(code)) ?:
		  vcpu_create(&vcpu, 1) ?:
		  arch_vcpu_enter_at(&vcpu, &entry);

	while (!ret && ioctl(vcpu.fd, KVM_RUN, 0) < 0)
		if (errno != EINTR) {
			ret = -errno;
			log_error("cannot run a vCPU: %s", strerror(-ret));
		}
	if (!ret)
		ret = vcpu.run->exit_reason == KVM_EXIT_IO;
	vcpu_destroy(&vcpu);
	return ret;
}
