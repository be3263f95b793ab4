/* The instructions that C has no words for: ports, device registers, time stamps, barriers. */
#ifndef CPU_H
#define CPU_H

#include <stdint.h>

static inline void cpu_out8(uint16_t port, uint8_t value)
{
	__asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

static inline void cpu_out16(uint16_t port, uint16_t value)
{
	__asm__ volatile("outw %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

static inline void cpu_out32(uint16_t port, uint32_t value)
{
	__asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

static inline uint8_t cpu_in8(uint16_t port)
{
	uint8_t value;

	__asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port) : "memory");
	return value;
}

static inline uint16_t cpu_in16(uint16_t port)
{
	uint16_t value;

	__asm__ volatile("inw %1, %0" : "=a"(value) : "Nd"(port) : "memory");
	return value;
}

static inline uint32_t cpu_in32(uint16_t port)
{
	uint32_t value;

	__asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port) : "memory");
	return value;
}

/* Device registers: plain moves, which every VMM's instruction decoder knows. */
static inline uint8_t cpu_read8(uint64_t address)
{
	uint8_t value;

	__asm__ volatile("movb (%1), %0" : "=a"(value) : "r"(address) : "memory");
	return value;
}

static inline uint16_t cpu_read16(uint64_t address)
{
	uint16_t value;

	__asm__ volatile("movw (%1), %0" : "=a"(value) : "r"(address) : "memory");
	return value;
}

static inline uint32_t cpu_read32(uint64_t address)
{
	uint32_t value;

	__asm__ volatile("movl (%1), %0" : "=a"(value) : "r"(address) : "memory");
	return value;
}

static inline void cpu_write8(uint64_t address, uint8_t value)
{
	__asm__ volatile("movb %0, (%1)" : : "a"(value), "r"(address) : "memory");
}

static inline void cpu_write16(uint64_t address, uint16_t value)
{
	__asm__ volatile("movw %0, (%1)" : : "a"(value), "r"(address) : "memory");
}

static inline void cpu_write32(uint64_t address, uint32_t value)
{
	__asm__ volatile("movl %0, (%1)" : : "a"(value), "r"(address) : "memory");
}

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
