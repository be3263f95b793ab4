/* CPUID: topology as a guest works it out, on tables such as Intel's and AMD's hosts give. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "vmm/base/test/unit.h"
#include "vmm/x86/cpuid.h"
#include "vmm/base/test/messages.h"

#define INDEXED KVM_CPUID_FLAG_SIGNIFCANT_INDEX

/* Hosts of 24 CPUs, seen from CPU 5. The last word of a leaf that is not patched must stay. */
static const struct kvm_cpuid_entry2 intel_old[] = {
	{ 0x1, 0, 0, 0x000306c3, 0x05180800, 0x00000001, 0x178bfbff },
	{ 0x4, 0, INDEXED, 0x3c004121, 0x01c0003f, 0x3f, 1 },
	{ 0x4, 1, INDEXED, 0x3c004122, 0x01c0003f, 0x3f, 2 },
	{ 0x4, 2, INDEXED, 0x3c004143, 0x03c0003f, 0x7ff, 3 },
	{ 0x4, 3, INDEXED, 0x3c07c163, 0x0380003f, 0x1bfff, 4 },
	{ 0x4, 4, INDEXED, 0, 0, 0, 0 },
	{ 0xb, 0, INDEXED, 1, 2, 0x100, 5 },
	{ 0xb, 1, INDEXED, 5, 24, 0x201, 5 },
	{ 0xb, 2, INDEXED, 0, 0, 2, 5 },
	{ 0x80000008, 0, 0, 0x3027, 0, 0, 0x1234 },
};
static const struct kvm_cpuid_entry2 intel_new[] = {
	{ 0x1, 0, 0, 0x000a0678, 0x05180800, 0x00000001, 0x078bfbff },
	{ 0x4, 3, INDEXED, 0x0407c163, 0x0380003f, 0x1bfff, 4 },
	{ 0xb, 0, INDEXED, 0, 0, 0, 0 }, /* no topology: ours to say */
	{ 0x1f, 0, INDEXED, 0, 0, 0, 0 },
};
static const struct kvm_cpuid_entry2 amd[] = {
	{ 0x1, 0, 0, 0x00a20f12, 0x05180800, 0x00000001, 0x178bfbff },
	{ 0x80000008, 0, 0, 0x3030, 0, 0x5017, 0x10007 },
	{ 0x8000001d, 0, INDEXED, 0x4121, 0x01c0003f, 0x3f, 0 },
	{ 0x8000001d, 2, INDEXED, 0x4143, 0x01c0003f, 0x3ff, 2 },
	{ 0x8000001d, 3, INDEXED, 0x3c163, 0x03c0003f, 0x7fff, 1 },
	{ 0x8000001d, 4, INDEXED, 0, 0, 0, 0 },
	{ 0x8000001e, 0, 0, 5, 0x102, 0x1, 7 },
};

static const struct host {
	const char *name;
	const struct kvm_cpuid_entry2 *table;
	unsigned int nr;
} hosts[] = {
	{ "Intel, before Linux 6.2", intel_old, ARRAY_SIZE(intel_old) },
	{ "Intel", intel_new, ARRAY_SIZE(intel_new) },
	{ "AMD", amd, ARRAY_SIZE(amd) },
};

/* In place of KVM: what the table says, or an error. */
static const struct host *host;
static int kvm_error;

int ioctl(int fd, unsigned long request, ...)
{
	struct kvm_cpuid2 *cpuid;
	va_list ap;

	assert_int_equal(fd, 99);
	assert_int_equal(request, KVM_GET_SUPPORTED_CPUID);
	va_start(ap, request);
	cpuid = va_arg(ap, struct kvm_cpuid2 *);
	va_end(ap);
	if (kvm_error) {
		errno = kvm_error;
		return -1;
	}
	assert_true(cpuid->nent >= host->nr);
	cpuid->nent = host->nr;
	memcpy(cpuid->entries, host->table, host->nr * sizeof(cpuid->entries[0]));
	return 0;
}

static const struct kvm_cpuid_entry2 *leaf(const struct kvm_cpuid2 *cpuid, uint32_t function,
					   uint32_t index)
{
	for (uint32_t i = 0; i < cpuid->nent; i++)
		if (cpuid->entries[i].function == function && cpuid->entries[i].index == index)
			return &cpuid->entries[i];
	return NULL;
}

static unsigned int width(unsigned int nr)
{
	unsigned int w = 0;

	while ((1u << w) < nr)
		w++;
	return w;
}

/* Leaves 0xb and 0x1f: one thread a core, all cores in one package. */
static void check_levels(const struct kvm_cpuid2 *cpuid, uint32_t function, unsigned int id,
			 unsigned int nr)
{
	const struct kvm_cpuid_entry2 *smt = leaf(cpuid, function, 0);
	const struct kvm_cpuid_entry2 *core = leaf(cpuid, function, 1);

	if (!smt)
		return;
	assert_non_null(core);
	assert_int_equal(core->flags, INDEXED);
	assert_int_equal(smt->eax, 0);
	assert_int_equal(smt->ebx, 1);
	assert_int_equal(smt->ecx, 0x100);
	assert_int_equal(core->eax, width(nr));
	assert_int_equal(core->ebx, nr);
	assert_int_equal(core->ecx, 0x201);
	assert_int_equal(smt->edx, id);
	assert_int_equal(core->edx, id);
	assert_int_equal(id >> core->eax, 0); /* one package */
	if (leaf(cpuid, function, 2)) {
		assert_int_equal(leaf(cpuid, function, 2)->eax, 0);
		assert_int_equal(leaf(cpuid, function, 2)->ecx, 2); /* the end */
	}
}

static void check_caches(const struct kvm_cpuid2 *cpuid, uint32_t function, unsigned int nr)
{
	for (uint32_t i = 0; i < cpuid->nent; i++) {
		const struct kvm_cpuid_entry2 *e = &cpuid->entries[i];
		const unsigned int level = e->eax >> 5 & 7;

		if (e->function != function || !(e->eax & 31)) {
			if (e->function == function)
				assert_int_equal(e->eax | e->ebx | e->ecx | e->edx, 0);
			continue;
		}
		assert_int_equal((e->eax >> 14 & 0xfff) + 1, level == 3 ? 1u << width(nr) : 1);
		if (function == 4)
			assert_int_equal((e->eax >> 26) + 1, MIN(1u << width(nr), 64u));
	}
}

static void check(const struct kvm_cpuid2 *cpuid, unsigned int id, unsigned int nr)
{
	const struct kvm_cpuid_entry2 *e = leaf(cpuid, 1, 0);

	assert_int_equal(e->ebx >> 24, id & 0xff);
	assert_int_equal(e->ebx >> 16 & 0xff, MIN(1u << width(nr), 255u));
	assert_int_equal(e->ebx & 0xffff, 0x0800);
	assert_int_equal(e->ecx, 1 | 1u << 31 | 1u << 24);
	assert_int_equal(e->edx, 0x078bfbff | (nr > 1 ? 1u << 28 : 0));
	check_levels(cpuid, 0xb, id, nr);
	check_levels(cpuid, 0x1f, id, nr);
	check_caches(cpuid, 4, nr);
	check_caches(cpuid, 0x8000001d, nr);
	e = leaf(cpuid, 0x80000008, 0);
	if (e) {
		assert_int_equal(e->ecx & 0xff, MIN(nr - 1, 255u));
		assert_int_equal(e->ecx >> 12 & 15, width(nr));
		assert_int_equal(e->eax, host->table == amd ? 0x3030 : 0x3027);
	}
	e = leaf(cpuid, 0x8000001e, 0);
	if (e) {
		assert_int_equal(e->eax, id);
		assert_int_equal(e->ebx, id & 0xff);
		assert_int_equal(e->ecx, 0);
		assert_int_equal(e->edx, 7);
	}
}

static void test_topology(void **state)
{
	static const unsigned int counts[] = { 1, 2, 3, 4, 5, 64, 255, 256, 1024 };

	for (unsigned int h = 0; h < ARRAY_SIZE(hosts); h++)
		for (unsigned int c = 0; c < ARRAY_SIZE(counts); c++) {
			struct kvm_cpuid2 *cpuid;

			host = &hosts[h];
			assert_int_equal(cpuid_supported(99, &cpuid), 0);
			assert_int_equal(cpuid->nent,
					 host->nr + (host->table == intel_new ? 2 : 0));
			/* One table for all, patched in turn. */
			for (unsigned int id = 0; id < counts[c]; id++) {
				cpuid_patch(cpuid, id, counts[c]);
				check(cpuid, id, counts[c]);
			}
			free(cpuid);
		}
}

static void test_kvm_fails(void **state)
{
	struct kvm_cpuid2 *cpuid = NULL;

	kvm_error = E2BIG;
	messages_begin();
	assert_int_equal(cpuid_supported(99, &cpuid), -E2BIG);
	assert_non_null(strstr(messages_end(), "KVM_GET_SUPPORTED_CPUID: Argument list too long"));
	assert_null(cpuid);
	kvm_error = 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_topology),
		cmocka_unit_test(test_kvm_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
