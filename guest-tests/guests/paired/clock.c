/*
 * The time-stamp counter, its rate taken from KVM's paravirtual clock, from CPUID, or
 * measured by the PIT.
 */
#include <stdbool.h>

#include "guest-tests/guests/paired/clock.h"
#include "guest-tests/guests/paired/cpu.h"
#include "guest-tests/guests/paired/lib.h"
#include "guest-tests/guests/paired/ring0.h"

/* Linux, Documentation/virt/kvm/x86/cpuid.rst and msr.rst. */
#define KVM_LEAF	    0x40000000u
#define KVM_LEAF_FEATURES   0x40000001u
#define KVM_FEATURE_CLOCK2  (1u << 3)
#define MSR_KVM_SYSTEM_TIME 0x4b564d01u
#define CPUID_TSC_RATIO	    0x15u

#define PIT_CHANNEL2  0x42
#define PIT_COMMAND   0x43
#define PIT_SPEAKER   0x61
#define PIT_HZ	      1193182u
#define PIT_ONE_SHOT2 0xb0 /* channel 2, low then high byte, mode 0 */
#define PIT_WAIT      (PIT_HZ / 100)
#define PIT_TRIES     1000000
#define TSC_HZ_GUESS  2000000000ull

struct kvm_clock {
	uint32_t version, pad;
	uint64_t tsc, system_time;
	uint32_t tsc_to_ns; /* ns = (ticks << shift) * tsc_to_ns / 2^32 */
	int8_t shift;
	uint8_t flags, pad2[2];
};

static uint64_t tsc_hz, tsc_start;
static uint64_t us_per_tick; /* as a fraction of 2^32 */

static uint64_t hz_from_kvm(void)
{
	static volatile struct kvm_clock clock __attribute__((aligned(64)));
	uint32_t r[4];

	cpu_id(KVM_LEAF, r);
	if (r[1] != 0x4b4d564b || r[2] != 0x564b4d56 || r[3] != 0x4d) /* "KVMKVMKVM" */
		return 0;
	cpu_id(KVM_LEAF_FEATURES, r);
	if (!(r[0] & KVM_FEATURE_CLOCK2))
		return 0;
	ring0_call(RING0_WRMSR, MSR_KVM_SYSTEM_TIME, (uint64_t)&clock | 1);
	uint64_t scale = clock.tsc_to_ns;
	int shift = clock.shift;

	ring0_call(RING0_WRMSR, MSR_KVM_SYSTEM_TIME, 0);
	if (scale == 0 || shift < -31 || shift > 31)
		return 0;
	uint64_t hz = (1000000000ull << 32) / scale;

	return shift < 0 ? hz << -shift : hz >> shift;
}

static uint64_t hz_from_cpuid(void)
{
	uint32_t r[4];

	cpu_id(0, r);
	if (r[0] < CPUID_TSC_RATIO)
		return 0;
	cpu_id(CPUID_TSC_RATIO, r);
	return r[0] != 0 ? (uint64_t)r[2] * r[1] / r[0] : 0;
}

static uint64_t hz_from_pit(void)
{
	uint8_t speaker = cpu_in8(PIT_SPEAKER);

	cpu_out8(PIT_SPEAKER, (uint8_t)((speaker & ~2u) | 1)); /* gate on, sound off */
	cpu_out8(PIT_COMMAND, PIT_ONE_SHOT2);
	cpu_out8(PIT_CHANNEL2, PIT_WAIT & 0xff);
	cpu_out8(PIT_CHANNEL2, PIT_WAIT >> 8);
	uint64_t start = cpu_tsc();

	for (int tries = 0; tries < PIT_TRIES; tries++)
		if (cpu_in8(PIT_SPEAKER) & 0x20)
			return tries > 0 ? (cpu_tsc() - start) * 100
					 : 0; /* at once: there is no PIT */
	return 0;
}

void clock_start(void)
{
	tsc_hz = hz_from_kvm();
	if (tsc_hz == 0)
		tsc_hz = hz_from_cpuid();
	if (tsc_hz == 0)
		tsc_hz = hz_from_pit();
	if (tsc_hz < 1000000)
		tsc_hz = TSC_HZ_GUESS;
	us_per_tick = (1000000ull << 32) / tsc_hz;
	tsc_start = cpu_tsc();
}

uint64_t clock_us(void)
{
	return (uint64_t)(((unsigned __int128)(cpu_tsc() - tsc_start) * us_per_tick) >> 32);
}

uint64_t clock_tsc_hz(void)
{
	return tsc_hz;
}

void clock_wait_us(uint64_t us)
{
	uint64_t end = clock_us() + us;

	while (clock_us() < end)
		cpu_pause();
}
