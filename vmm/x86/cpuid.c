/* CPUID for each vCPU. Leaf numbers and fields as in Intel's SDM vol. 2, CPUID, and AMD's APM vol. 3, E. */
#include "vmm/x86/cpuid.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "vmm/base/log.h"

#define MAX_ENTRIES 512u

/* Replace bits @lo to @hi of @reg. */
static uint32_t set_bits(uint32_t reg, unsigned int hi, unsigned int lo, uint32_t value)
{
	const uint32_t mask = (uint32_t)(((1ull << (hi - lo + 1)) - 1) << lo);

	return (reg & ~mask) | (value << lo & mask);
}

/* Bits that hold ids 0 to n - 1. */
static unsigned int id_width(unsigned int n)
{
	return n > 1 ? 32 - (unsigned int)__builtin_clz(n - 1) : 0;
}

/* Since Linux 6.2 KVM gives leaves 0xb and 0x1f without a level of cores. */
static void add_core_level(struct kvm_cpuid2 *cpuid, uint32_t function)
{
	bool given = false;

	for (uint32_t i = 0; i < cpuid->nent; i++) {
		const struct kvm_cpuid_entry2 *e = &cpuid->entries[i];

		given |= e->function == function;
		if (e->function == function && e->index == 1)
			return;
	}
	if (given && cpuid->nent < MAX_ENTRIES)
		cpuid->entries[cpuid->nent++] = (struct kvm_cpuid_entry2){
			.function = function, .index = 1, .flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX
		};
}

int cpuid_supported(int kvm_fd, struct kvm_cpuid2 **out)
{
	struct kvm_cpuid2 *cpuid =
		calloc(1, sizeof(*cpuid) + MAX_ENTRIES * sizeof(struct kvm_cpuid_entry2));

	if (!cpuid)
		return -ENOMEM;
	cpuid->nent = MAX_ENTRIES;
	if (ioctl(kvm_fd, KVM_GET_SUPPORTED_CPUID, cpuid) < 0) {
		int err = errno;

		log_error("cannot ask KVM for its CPUID: KVM_GET_SUPPORTED_CPUID: %s",
			  strerror(err));
		free(cpuid);
		return -err;
	}
	add_core_level(cpuid, 0xb);
	add_core_level(cpuid, 0x1f);
	*out = cpuid;
	return 0;
}

/* Leaves 0xb and 0x1f: threads of a core (one), then cores of the package. */
static void patch_topology(struct kvm_cpuid_entry2 *e, unsigned int id, unsigned int nr_cpus)
{
	const uint32_t level_type[] = { 1 /* SMT */, 2 /* core */ };

	e->edx = id;
	e->ecx = e->index;
	e->eax = e->ebx = 0;
	if (e->index < ARRAY_SIZE(level_type)) {
		e->ecx |= level_type[e->index] << 8;
		e->eax = e->index == 0 ? 0 : id_width(nr_cpus);
		e->ebx = e->index == 0 ? 1 : nr_cpus;
	}
}

void cpuid_patch(struct kvm_cpuid2 *cpuid, unsigned int id, unsigned int nr_cpus)
{
	for (uint32_t i = 0; i < cpuid->nent; i++) {
		struct kvm_cpuid_entry2 *e = &cpuid->entries[i];

		switch (e->function) {
		case 0x1:
			e->ebx = set_bits(e->ebx, 31, 24, id);
			/* Ids that are set aside, a power of two: older systems divide by it. */
			e->ebx = set_bits(e->ebx, 23, 16, MIN(BIT(id_width(nr_cpus)), 255u));
			e->ecx |=
				BIT(31) /* hypervisor */ | BIT(24) /* TSC deadline timer, by KVM */;
			e->edx = set_bits(e->edx, 28, 28, nr_cpus > 1); /* HTT */
			break;
		case 0x4:
		case 0x8000001d: {
			/* Sharing: level 3 by all, the others by one core. */
			const uint32_t level = e->eax >> 5 & 7;

			if (!(e->eax & 0x1f))
				break;
			e->eax = set_bits(e->eax, 25, 14,
					  level >= 3 ? BIT(id_width(nr_cpus)) - 1 : 0);
			if (e->function == 0x4)
				e->eax = set_bits(e->eax, 31, 26,
						  MIN(BIT(id_width(nr_cpus)) - 1, 63u));
			break;
		}
		case 0xb:
		case 0x1f:
			patch_topology(e, id, nr_cpus);
			break;
		case 0x80000008:
			e->ecx = set_bits(e->ecx, 7, 0, MIN(nr_cpus - 1, 255u));
			e->ecx = set_bits(e->ecx, 15, 12, id_width(nr_cpus));
			break;
		case 0x8000001e:
			e->eax = id;
			e->ebx = id & 0xff; /* core id, one thread */
			e->ecx = 0;	    /* one node */
			break;
		}
	}
}
