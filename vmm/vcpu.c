/* A virtual CPU: set-up, thread, exits. */
#include "vmm/vcpu.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "vmm/base/log.h"

/* Interrupts KVM_RUN so that a stop request is seen. */
#define KICK_SIGNAL SIGRTMIN

static const struct counter_desc vcpu_counter_desc[] = {
	COUNTER(struct vcpu_counters, pio),
	COUNTER(struct vcpu_counters, mmio),
	COUNTER(struct vcpu_counters, interrupted),
	COUNTER(struct vcpu_counters, other),
	COUNTER_TIME(struct vcpu_counters, first_entry),
	COUNTER_END,
};

static int fail(const struct vcpu *vcpu, const char *what)
{
	int err = errno;

	log_error("cannot set up vCPU %u: %s: %s", vcpu->id, what, strerror(err));
	return -err;
}

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
		return fail(vcpu, "KVM_GET_LAPIC");
	for (unsigned int i = 0; i < ARRAY_SIZE(lint); i++) {
		uint32_t v;

		memcpy(&v, lapic.regs + lint[i].offset, sizeof(v));
		v = (v & ~0x700u) | lint[i].mode << 8;
		memcpy(lapic.regs + lint[i].offset, &v, sizeof(v));
	}
	if (ioctl(vcpu->fd, KVM_SET_LAPIC, &lapic) < 0)
		return fail(vcpu, "KVM_SET_LAPIC");
	return 0;
}

int vcpu_create(struct vcpu *vcpu, struct kvm_cpuid2 *cpuid)
{
	void *run;
	int ret;

	vcpu->run = NULL;
	vcpu->fd = ioctl(vcpu->kvm->vm_fd, KVM_CREATE_VCPU, (unsigned long)vcpu->id);
	if (vcpu->fd < 0)
		return fail(vcpu, "KVM_CREATE_VCPU");
	run = mmap(NULL, (size_t)vcpu->kvm->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu->fd,
		   0);
	if (run == MAP_FAILED)
		return fail(vcpu, "mmap");
	vcpu->run = run;
	if (ioctl(vcpu->fd, KVM_SET_CPUID2, cpuid) < 0)
		return fail(vcpu, "KVM_SET_CPUID2");
	set_msr(vcpu, 0x2ff, 0x806);  /* MTRRdefType: on, write-back */
	set_msr(vcpu, 0x1a0, BIT(0)); /* MISC_ENABLE: fast strings */
	ret = set_lapic(vcpu);
	snprintf(vcpu->name, sizeof(vcpu->name), "vcpu%u", vcpu->id);
	vcpu->group = (struct counter_group){ .name = vcpu->name,
					      .desc = vcpu_counter_desc,
					      .base = &vcpu->counters };
	counters_register(&vcpu->group);
	return ret;
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

int vcpu_set_entry(struct vcpu *vcpu, const struct boot_entry *entry)
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
		return fail(vcpu, "KVM_GET_SREGS");
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
		return fail(vcpu, "KVM_SET_SREGS");
	if (ioctl(vcpu->fd, KVM_SET_REGS, &regs) < 0)
		return fail(vcpu, "KVM_SET_REGS");
	if (ioctl(vcpu->fd, KVM_SET_FPU, &fpu) < 0)
		return fail(vcpu, "KVM_SET_FPU");
	return 0;
}

/* ---- the thread ---- */

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

static void serve_mmio(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	const uint32_t len = MIN(run->mmio.len, 8u);
	uint64_t v = 0;

	vcpu->counters.mmio++;
	if (run->mmio.is_write) {
		memcpy(&v, run->mmio.data, len);
		bus_write(vcpu->mmio, run->mmio.phys_addr, len, v);
	} else {
		bus_read(vcpu->mmio, run->mmio.phys_addr, len, &v);
		memcpy(run->mmio.data, &v, len);
	}
}

/* False when the guest cannot go on. */
static bool serve_exit(struct vcpu *vcpu)
{
	switch (vcpu->run->exit_reason) {
	case KVM_EXIT_IO:
		serve_pio(vcpu);
		return true;
	case KVM_EXIT_MMIO:
		serve_mmio(vcpu);
		return true;
	case KVM_EXIT_INTR:
		vcpu->counters.interrupted++;
		return true;
	case KVM_EXIT_HLT:
	case KVM_EXIT_IRQ_WINDOW_OPEN:
	case KVM_EXIT_SET_TPR:
		vcpu->counters.other++;
		return true;
	default:
		vcpu->counters.other++;
		return false;
	}
}

static void on_kick(int signal)
{
	(void)signal; /* its arrival is all that matters */
}

static void vcpu_thread(void *arg)
{
	struct vcpu *vcpu = arg;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, KICK_SIGNAL);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	while (sem_wait(&vcpu->go) < 0)
		; /* the signal came early */
	vcpu->counters.first_entry = now_ns();
	while (!__atomic_load_n(&vcpu->stop, __ATOMIC_ACQUIRE)) {
		const int err = ioctl(vcpu->fd, KVM_RUN, 0) < 0 ? errno : 0;

		if (err == EINTR) {
			vcpu->counters.interrupted++;
		} else if (err == EAGAIN) {
			continue; /* woken before its start-up IPI */
		} else if (err || !serve_exit(vcpu)) {
			vcpu->run_error = err;
			vcpu->crashed(vcpu->arg, vcpu);
			break;
		}
	}
}

int vcpu_start(struct vcpu *vcpu, const struct thread_guard *guard)
{
	struct sigaction sa = { .sa_handler = on_kick };

	sigaction(KICK_SIGNAL, &sa, NULL);
	sem_init(&vcpu->go, 0, 0);
	vcpu->thread = (struct thread){
		.kind = THREAD_VCPU, .name = vcpu->name, .fd = vcpu->fd, .guard = guard
	};
	return thread_start(&vcpu->thread, vcpu_thread, vcpu);
}

void vcpu_go(struct vcpu *vcpu)
{
	sem_post(&vcpu->go);
}

void vcpu_leave(struct vcpu *vcpu)
{
	__atomic_store_n(&vcpu->stop, true, __ATOMIC_RELEASE);
	/* Makes the next KVM_RUN return at once, in case the signal comes just before it. */
	__atomic_store_n(&vcpu->run->immediate_exit, 1, __ATOMIC_RELEASE);
}

void vcpu_stop(struct vcpu *vcpu)
{
	if (!vcpu->thread.started)
		return;
	vcpu_leave(vcpu);
	vcpu_go(vcpu);
	pthread_kill(vcpu->thread.id, KICK_SIGNAL);
}

void vcpu_join(struct vcpu *vcpu)
{
	if (!vcpu->thread.started)
		return;
	for (int seconds = 1;; seconds++) {
		struct timespec deadline;

		vcpu_stop(vcpu);
		clock_gettime(CLOCK_REALTIME, &deadline);
		deadline.tv_sec++;
		if (pthread_timedjoin_np(vcpu->thread.id, NULL, &deadline) != ETIMEDOUT)
			break;
		log_warn("vCPU %u has not stopped for %d s", vcpu->id, seconds);
	}
	vcpu->thread.started = false;
}

void vcpu_destroy(struct vcpu *vcpu)
{
	if (vcpu->run)
		munmap(vcpu->run, (size_t)vcpu->kvm->run_size);
	if (vcpu->fd >= 0)
		close(vcpu->fd);
	vcpu->run = NULL;
	vcpu->fd = -1;
}
