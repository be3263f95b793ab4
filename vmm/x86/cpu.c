/* An x86 vCPU: what it starts with, and the exits that only x86 has. */
#include <string.h>
#include <sys/ioctl.h>

#include "vmm/arch.h"
#include "vmm/base/log.h"
#include "vmm/vcpu.h"
#include "vmm/x86/cpuid.h"
#include "vmm/x86/entry.h"
#include "vmm/x86/memmap.h"

static void set_msr(struct vcpu *vcpu, uint32_t index, uint64_t value)
{
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entry;
	} msr = { .head.nmsrs = 1, .entry = { .index = index, .data = value } };

	/* None is vital: a KVM without them is served all the same. */
	if (ioctl(vcpu->fd, KVM_SET_MSRS, &msr) != 1)
		log_info("vCPU %u: KVM does not take MSR %#x", vcpu->id, index);
}

/* LINT0 delivers the PIC's interrupts, LINT1 NMIs, as firmware would leave them. */
static int set_lapic(struct vcpu *vcpu)
{
	struct kvm_lapic_state lapic;
	const struct {
		unsigned int offset;
		uint32_t mode;
	} lint[] = { { 0x350, 7 }, { 0x360, 4 } };

	if (ioctl(vcpu->fd, KVM_GET_LAPIC, &lapic) < 0)
		return vcpu_fail(vcpu, "KVM_GET_LAPIC");
	for (unsigned int i = 0; i < ARRAY_SIZE(lint); i++) {
		uint32_t v;

		memcpy(&v, lapic.regs + lint[i].offset, sizeof(v));
		v = (v & ~0x700u) | lint[i].mode << 8;
		memcpy(lapic.regs + lint[i].offset, &v, sizeof(v));
	}
	if (ioctl(vcpu->fd, KVM_SET_LAPIC, &lapic) < 0)
		return vcpu_fail(vcpu, "KVM_SET_LAPIC");
	return 0;
}

int arch_vcpu_init(struct vcpu *vcpu, unsigned int nr_cpus)
{
	struct kvm_cpuid2 *cpuid = vcpu->kvm->arch;

	cpuid_patch(cpuid, vcpu->id, nr_cpus);
	if (ioctl(vcpu->fd, KVM_SET_CPUID2, cpuid) < 0)
		return vcpu_fail(vcpu, "KVM_SET_CPUID2");
	set_msr(vcpu, 0x2ff, 0x806);  /* MTRRdefType: on, write-back */
	set_msr(vcpu, 0x1a0, BIT(0)); /* MISC_ENABLE: fast strings */
	return set_lapic(vcpu);
}

static struct kvm_segment segment(uint16_t selector, uint8_t type, bool system)
{
	return (struct kvm_segment){
		.limit = 0xffffffff,
		.selector = selector,
		.type = type,
		.present = 1,
		.s = !system,
		.g = 1,
	};
}

int arch_vcpu_enter_at(struct vcpu *vcpu, const struct boot_entry *entry)
{
	struct kvm_sregs sregs;
	struct kvm_regs regs = {
		.rip = entry->rip,
		.rsp = entry->rsp,
		.rsi = entry->rsi,
		.rbx = entry->rbx,
		.rflags = 2,
	};
	struct kvm_fpu fpu = { .fcw = 0x37f, .mxcsr = 0x1f80 };

	if (ioctl(vcpu->fd, KVM_GET_SREGS, &sregs) < 0)
		return vcpu_fail(vcpu, "KVM_GET_SREGS");
	sregs.cs = segment(0x10, 11 /* code, read, accessed */, false);
	sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss =
		segment(0x18, 3 /* data, write, accessed */, false);
	sregs.tr = segment(0x20, 11 /* busy TSS */, true);
	sregs.tr.limit = 0x67;
	sregs.tr.g = 0;
	sregs.cs.l = entry->long_mode;
	sregs.cs.db = !entry->long_mode;
	sregs.ds.db = sregs.es.db = sregs.fs.db = sregs.gs.db = sregs.ss.db = 1;
	sregs.gdt.base = entry->gdt_base;
	sregs.gdt.limit = entry->gdt_limit;
	sregs.idt.base = 0;
	sregs.idt.limit =
		0;	  /* no handlers: a fault before the guest has its own is a triple fault */
	sregs.cr0 = 0x11; /* PE, ET */
	sregs.cr4 = 0;
	sregs.efer = 0;
	if (entry->long_mode) {
		sregs.cr3 = entry->cr3;
		sregs.cr4 = 0x20;	 /* PAE */
		sregs.cr0 |= 0x80000000; /* PG */
		sregs.efer = 0x500;	 /* LME, LMA */
	}
	if (ioctl(vcpu->fd, KVM_SET_SREGS, &sregs) < 0)
		return vcpu_fail(vcpu, "KVM_SET_SREGS");
	if (ioctl(vcpu->fd, KVM_SET_REGS, &regs) < 0)
		return vcpu_fail(vcpu, "KVM_SET_REGS");
	if (ioctl(vcpu->fd, KVM_SET_FPU, &fpu) < 0)
		return vcpu_fail(vcpu, "KVM_SET_FPU");
	return 0;
}

static void serve_pio(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	uint8_t *data = (uint8_t *)run + run->io.data_offset;

	vcpu->counters.pio++;
	for (uint32_t i = 0; i < run->io.count; i++, data += run->io.size) {
		uint64_t v = 0;

		if (run->io.direction == KVM_EXIT_IO_OUT) {
			memcpy(&v, data, run->io.size);
			bus_write(vcpu->pio, run->io.port, run->io.size, v);
		} else {
			bus_read(vcpu->pio, run->io.port, run->io.size, &v);
			memcpy(data, &v, run->io.size);
		}
	}
}

/*
 * The guest says at BOOT_WARM_WORD that it resets the machine, as kernels for PCs do however they go about it.
 * The registers do not tell: a CPU with SVM has lost them at a triple fault.
 */
static bool is_reset(const struct vcpu *vcpu)
{
	uint16_t word;

	return !guestmem_read(vcpu->mem, BOOT_WARM_WORD, &word, sizeof(word)) &&
	       word != BOOT_WARM_NONE;
}

enum arch_exit arch_serve_exit(struct vcpu *vcpu)
{
	switch (vcpu->run->exit_reason) {
	case KVM_EXIT_IO:
		serve_pio(vcpu);
		return ARCH_SERVED;
	case KVM_EXIT_HLT:
	case KVM_EXIT_IRQ_WINDOW_OPEN:
	case KVM_EXIT_SET_TPR:
		vcpu->counters.other++;
		return ARCH_SERVED;
	case KVM_EXIT_SHUTDOWN:
		vcpu->counters.other++;
		return is_reset(vcpu) ? ARCH_RESET : ARCH_CRASHED;
	default:
		vcpu->counters.other++;
		return ARCH_CRASHED;
	}
}
