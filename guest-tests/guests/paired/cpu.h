/* The instructions that C has no words for: ports, device registers, time stamps, barriers. */
#ifndef CPU_H
#define CPU_H

#include <stdint.h>

/* cpu_inN() and cpu_outN(): ports. cpu_readN() and cpu_writeN(): device registers, by plain moves, which every VMM's
 * instruction decoder knows. */
#define CPU_ACCESS(bits, suffix)                                                                \
	static inline uint##bits##_t cpu_in##bits(uint16_t port)                                \
	{                                                                                       \
		uint##bits##_t value;                                                           \
                                                                                                \
		__asm__ volatile("in" suffix " %1, %0" : "=a"(value) : "Nd"(port) : "memory");  \
		return value;                                                                   \
	}                                                                                       \
	static inline void cpu_out##bits(uint16_t port, uint##bits##_t value)                   \
	{                                                                                       \
		__asm__ volatile("out" suffix " %0, %1" : : "a"(value), "Nd"(port) : "memory"); \
	}                                                                                       \
	static inline uint##bits##_t cpu_read##bits(uint64_t address)                           \
	{                                                                                       \
		uint##bits##_t value;                                                           \
                                                                                                \
		__asm__ volatile("mov" suffix " (%1), %0"                                       \
				 : "=a"(value)                                                  \
				 : "r"(address)                                                 \
				 : "memory");                                                   \
		return value;                                                                   \
	}                                                                                       \
	static inline void cpu_write##bits(uint64_t address, uint##bits##_t value)              \
	{                                                                                       \
		__asm__ volatile("mov" suffix " %0, (%1)"                                       \
				 :                                                              \
				 : "a"(value), "r"(address)                                     \
				 : "memory");                                                   \
	}

CPU_ACCESS(8, "b")
CPU_ACCESS(16, "w")
CPU_ACCESS(32, "l")

static inline uint64_t cpu_tsc(void)
{
	uint32_t low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high) : : "memory");
	return (uint64_t)high << 32 | low;
}

static inline void cpu_id(uint32_t leaf, uint32_t regs[4])
{
	__asm__ volatile("cpuid"
			 : "=a"(regs[0]), "=b"(regs[1]), "=c"(regs[2]), "=d"(regs[3])
			 : "a"(leaf), "c"(0));
}

static inline void cpu_pause(void)
{
	__asm__ volatile("pause" : : : "memory");
}

/* Orders this processor's stores before its later loads, as seen by the device. */
static inline void cpu_barrier(void)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

/* Keeps the compiler from moving accesses: enough between stores, and between loads, on x86. */
static inline void cpu_compiler_barrier(void)
{
	__asm__ volatile("" : : : "memory");
}

#endif
