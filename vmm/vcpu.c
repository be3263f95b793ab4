/* A virtual CPU: set-up, thread, exits. */
#include "vmm/vcpu.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "vmm/arch.h"
#include "vmm/base/log.h"
#include "vmm/kvm_stats.h"

/* Interrupts KVM_RUN so that a stop request is seen. */
#define KICK_SIGNAL SIGURG

#define JOIN_SLICE_MS 20u

static const struct counter_desc vcpu_counter_desc[] = {
	COUNTER(struct vcpu_counters, pio),
	COUNTER(struct vcpu_counters, mmio),
	COUNTER(struct vcpu_counters, interrupted),
	COUNTER(struct vcpu_counters, other),
	COUNTER_TIME(struct vcpu_counters, first_entry),
	COUNTER_END,
};

int vcpu_fail(const struct vcpu *vcpu, const char *what)
{
	return log_fail(-errno, "cannot set up vCPU %u: %s: %s", vcpu->id, what, strerror(errno));
}

int vcpu_create(struct vcpu *vcpu, unsigned int nr_cpus)
{
	void *run;
	int ret;

	vcpu->run = NULL;
	vcpu->fd = ioctl(vcpu->kvm->vm_fd, KVM_CREATE_VCPU, (unsigned long)vcpu->id);
	if (vcpu->fd < 0)
		return vcpu_fail(vcpu, "KVM_CREATE_VCPU");
	run = mmap(NULL, (size_t)vcpu->kvm->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu->fd,
		   0);
	if (run == MAP_FAILED)
		return vcpu_fail(vcpu, "mmap");
	vcpu->run = run;
	ret = arch_vcpu_init(vcpu, nr_cpus);
	snprintf(vcpu->name, sizeof(vcpu->name), "vcpu%u", vcpu->id);
	counters_add(vcpu->accounts, &vcpu->group, vcpu_counter_desc, &vcpu->counters, "%s",
		     vcpu->name);
	return ret;
}

/* ---- the thread ---- */

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

static enum arch_exit serve_exit(struct vcpu *vcpu)
{
	switch (vcpu->run->exit_reason) {
	case KVM_EXIT_MMIO:
		serve_mmio(vcpu);
		return ARCH_SERVED;
	case KVM_EXIT_INTR:
		vcpu->counters.interrupted++;
		return ARCH_SERVED;
	default:
		return arch_serve_exit(vcpu);
	}
}

static void on_kick(int signal)
{
	/* Its arrival is all that matters. */
}

/* Enter the guest and serve its exit; false when it does not go on. */
static bool run_once(struct vcpu *vcpu)
{
	const int err = ioctl(vcpu->fd, KVM_RUN, 0) < 0 ? errno : 0;

	/*
	 * EAGAIN: woken, but not by a start-up IPI. The boot vCPU waits for none: to it KVM says so that it cannot have a
	 * thread of its own (RLIMIT_NPROC), and would for ever.
	 */
	if (err == EINTR || (err == EAGAIN && vcpu->id)) {
		vcpu->counters.interrupted += err == EINTR;
		return true;
	}
	vcpu->run_error = err;
	switch (err ? ARCH_CRASHED : serve_exit(vcpu)) {
	case ARCH_SERVED:
		return true;
	case ARCH_RESET:
		vcpu->reset(vcpu->arg);
		return false;
	default:
		vcpu->crashed(vcpu->arg, vcpu);
		return false;
	}
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
	while (!__atomic_load_n(&vcpu->stop, __ATOMIC_ACQUIRE) && run_once(vcpu))
		;
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

static void stop(struct vcpu *vcpu)
{
	if (!vcpu->thread.started)
		return;
	vcpu_leave(vcpu);
	vcpu_go(vcpu);
	pthread_kill(vcpu->thread.id, KICK_SIGNAL);
}

static void join(struct vcpu *vcpu)
{
	for (unsigned int ms = JOIN_SLICE_MS;; ms += JOIN_SLICE_MS) {
		stop(vcpu); /* again: the last may have come just before a call that waits */
		if (thread_join_within(&vcpu->thread, JOIN_SLICE_MS))
			return;
		if (ms % 1000 == 0)
			log_warn("vCPU %u has not stopped for %u s", vcpu->id, ms / 1000);
	}
}

void vcpu_destroy(struct vcpu *vcpu)
{
	counters_remove(&vcpu->group);
	if (vcpu->run)
		munmap(vcpu->run, (size_t)vcpu->kvm->run_size);
	close_fd(vcpu->fd);
	vcpu->run = NULL;
	vcpu->fd = -1;
}

/* ---- all of a machine ---- */

int vcpu_create_all(struct vcpu **out, unsigned int *nr, unsigned int n, const struct vcpu *like,
		    bool kvm_accounts)
{
	int ret = 0;

	if (n > like->kvm->max_cpus)
		return log_fail(-EINVAL, "this host's KVM offers at most %u vCPUs, not %u",
				like->kvm->max_cpus, n);
	*out = calloc(n, sizeof(**out));
	if (!*out)
		return -ENOMEM;
	while (!ret && *nr < n) {
		struct vcpu *v = &(*out)[*nr];

		*v = *like;
		v->id = (*nr)++;
		ret = vcpu_create(v, n);
		if (!ret && kvm_accounts)
			kvm_stats_create(&v->kvm_stats, v->accounts, v->fd, v->id);
	}
	return ret;
}

void vcpu_stop_all(struct vcpu *vcpu, unsigned int nr)
{
	for (unsigned int i = 0; i < nr; i++)
		stop(&vcpu[i]);
	for (unsigned int i = 0; i < nr; i++)
		join(&vcpu[i]);
}

void vcpu_destroy_all(struct vcpu *vcpu, unsigned int nr)
{
	for (unsigned int i = 0; i < nr; i++) {
		kvm_stats_destroy(vcpu[i].kvm_stats);
		vcpu_destroy(&vcpu[i]);
	}
	free(vcpu);
}
