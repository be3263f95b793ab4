/* An x86 virtual machine: interrupt chips and their pins, timer, and the pages that KVM wants. */
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "vmm/arch.h"
#include "vmm/base/irq.h"
#include "vmm/base/log.h"
#include "vmm/kvm.h"
#include "vmm/x86/cpuid.h"
#include "vmm/x86/memmap.h"

#define PIC_PINS    8u
#define IOAPIC_PINS 24u

_Static_assert(IOAPIC_PINS <= IRQ_PINS, "irq.h has room for the I/O APIC's pins");

const struct kvm_need arch_needs[] = {
	{ KVM_CAP_PIT2, "KVM_CAP_PIT2 (timer)" },
	{ KVM_CAP_SET_TSS_ADDR, "KVM_CAP_SET_TSS_ADDR" },
	{ KVM_CAP_SET_IDENTITY_MAP_ADDR, "KVM_CAP_SET_IDENTITY_MAP_ADDR" },
	{ KVM_CAP_EXT_CPUID, "KVM_CAP_EXT_CPUID" },
	{ 0 },
};

bool arch_kernel_mode_emulated(void)
{
	char line[8192];
	bool found = false;
	FILE *f = fopen("/proc/cpuinfo", "re");

	if (!f)
		return false; /* cannot tell: assume the ordinary */
	while (!found && fgets(line, sizeof(line), f))
		if (!strncmp(line, "flags", 5)) {
			found = strstr(line, " vmx") || strstr(line, " svm");
			break;
		}
	fclose(f);
	return !found;
}

void arch_explain_emulation(void)
{
	log_warn(
		"this host's KVM has neither VMX nor SVM and emulates the guest's ring 0, not every instruction of it: stock kernels cannot run on it (the paired guest kernel can: make run; stock kernels run under guest-tests/host/run)");
}

int arch_vm_init(struct kvm *kvm)
{
	struct kvm_pit_config pit = { .flags = KVM_PIT_SPEAKER_DUMMY };
	uint64_t identity = MEMMAP_KVM_IDENTITY_MAP;
	struct kvm_cpuid2 *cpuid;
	int ret;

	if (ioctl(kvm->vm_fd, KVM_SET_IDENTITY_MAP_ADDR, &identity) < 0)
		return kvm_fail("KVM_SET_IDENTITY_MAP_ADDR");
	if (ioctl(kvm->vm_fd, KVM_SET_TSS_ADDR, (unsigned long)MEMMAP_KVM_TSS) < 0)
		return kvm_fail("KVM_SET_TSS_ADDR");
	if (ioctl(kvm->vm_fd, KVM_CREATE_IRQCHIP, 0) < 0)
		return kvm_fail("KVM_CREATE_IRQCHIP");
	if (ioctl(kvm->vm_fd, KVM_CREATE_PIT2, &pit) < 0)
		return kvm_fail("KVM_CREATE_PIT2");
	ret = cpuid_supported(kvm->fd, &cpuid);
	if (!ret)
		kvm->arch = cpuid;
	return ret;
}

void arch_vm_destroy(struct kvm *kvm)
{
	free(kvm->arch);
	kvm->arch = NULL;
}

static void add_pin(struct kvm_irq_routing_entry *route, unsigned int gsi, unsigned int chip,
		    unsigned int pin)
{
	*route = (struct kvm_irq_routing_entry){
		.gsi = gsi,
		.type = KVM_IRQ_ROUTING_IRQCHIP,
		.u.irqchip = { .irqchip = chip, .pin = pin },
	};
}

/* The same GSI reaches PIC and I/O APIC, as KVM_CREATE_IRQCHIP has set it up. */
int arch_irq_pins(struct irqchip *chip)
{
	struct kvm_irq_routing_entry route[2 * PIC_PINS + IOAPIC_PINS];
	unsigned int n = 0;

	for (unsigned int gsi = 0; gsi < IOAPIC_PINS; gsi++) {
		if (gsi < 2 * PIC_PINS)
			add_pin(&route[n++], gsi,
				gsi < PIC_PINS ? KVM_IRQCHIP_PIC_MASTER : KVM_IRQCHIP_PIC_SLAVE,
				gsi % PIC_PINS);
		add_pin(&route[n++], gsi, KVM_IRQCHIP_IOAPIC, gsi);
	}
	return irqchip_set_pins(chip, route, n);
}
