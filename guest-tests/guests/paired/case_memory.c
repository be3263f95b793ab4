/* The memory map is walked to its ends. */
#include "guest-tests/guests/paired/cases.h"
#include "guest-tests/guests/paired/console.h"
#include "guest-tests/guests/paired/cpu.h"
#include "guest-tests/guests/paired/lib.h"
#include "guest-tests/guests/paired/machine.h"

#define PAGE  4096ull
#define STEP  (64ull << 20)
#define MARKS 4096
#define LOW   0x100000ull /* what boot loaders and firmware use is left alone */

extern const char kernel_end[];

/*
 * Everything that is written to, to be looked at when all is written: a region that appears twice
 * shows.
 */
static struct {
	volatile uint64_t *at;
	uint64_t before;
} marks[MARKS];
static uint32_t mark_count;

static void mark(uint64_t address)
{
	if (address < LOW || (address >= LOW && address < (uint64_t)kernel_end) ||
	    mark_count == MARKS)
		return;
	volatile uint64_t *at = machine_map(address, sizeof(*at));

	if (at == NULL)
		return;
	marks[mark_count].at = at;
	marks[mark_count++].before = *at;
	*at = address ^ 0x5a5a5a5aa5a5a5a5ull;
}

static int case_memory(void)
{
	uint64_t total = 0, last = 0;

	for (uint32_t i = 0; i < machine.region_count; i++) {
		const struct machine_region *r = &machine.regions[i];

		console_print("memory: %lx size %lx type %u\n", r->start, r->size, r->type);
		if (r->type != MACHINE_RAM || r->size < PAGE)
			continue;
		total += r->size;
		if (r->start + r->size > last)
			last = r->start + r->size;
		for (uint64_t at = r->start; at < r->start + r->size; at += STEP)
			mark(at);
		mark(r->start + PAGE - 8);
		mark(r->start + r->size - PAGE);
		mark(r->start + r->size - 8);
	}
	for (uint32_t i = 0; i < mark_count; i++) {
		uint64_t expected = (uint64_t)marks[i].at ^ 0x5a5a5a5aa5a5a5a5ull;

		if (*marks[i].at != expected) {
			console_print("memory: %lx at %lx, not %lx\n", *marks[i].at,
				      (uint64_t)marks[i].at, expected);
			return 1;
		}
	}
	while (mark_count > 0) {
		mark_count--;
		*marks[mark_count].at = marks[mark_count].before;
	}
	console_print("memory: total=%lu end=%lx\n", total, last);
	return total > 0 ? 0 : 2;
}
GUEST_CASE("memory", case_memory);

static bool in_map(uint64_t address)
{
	for (uint32_t i = 0; i < machine.region_count; i++)
		if (address >= machine.regions[i].start &&
		    address - machine.regions[i].start < machine.regions[i].size)
			return true;
	return false;
}

/* Nothing answers: all ones, whatever the width, and writing does nothing. */
static bool empty_memory(uint64_t address)
{
	if (machine_map_registers(address, PAGE) == NULL)
		return false;
	cpu_write32(address, 0);
	return cpu_read8(address) == UINT8_MAX && cpu_read16(address + 2) == UINT16_MAX &&
	       cpu_read32(address + 4) == UINT32_MAX &&
	       *(volatile uint64_t *)(address + 8) == UINT64_MAX;
}

static bool empty_port(uint16_t port)
{
	cpu_out8(port, 0);
	return cpu_in8(port) == UINT8_MAX && cpu_in16(port) == UINT16_MAX &&
	       cpu_in32(port) == UINT32_MAX;
}

static int case_holes(void)
{
	static const uint64_t addresses[] = { 0xf0000000, 0xfc000000, 0xfe000000, 0xff000000 };
	static const uint16_t ports[] = { 0x2a0, 0x5f0, 0xe00, 0x8000, 0xfff0 };
	uint64_t end = 0;

	for (uint32_t i = 0; i < machine.region_count; i++) {
		const struct machine_region *r = &machine.regions[i];

		if (r->type == MACHINE_RAM && r->start + r->size > end)
			end = r->start + r->size;
	}
	/* Right behind the last memory; below 4 GiB only where no window may begin. */
	if ((end >= 1ull << 32 || end < 0xb0000000) && !in_map(end + PAGE) &&
	    !empty_memory((end + PAGE + (2 << 20)) & ~(PAGE - 1))) {
		console_print("holes: something behind the end of memory at %lx\n", end);
		return 1;
	}
	for (uint32_t i = 0; i < ARRAY_SIZE(addresses); i++)
		if (!in_map(addresses[i]) && !empty_memory(addresses[i])) {
			console_print("holes: something at %lx\n", addresses[i]);
			return 2;
		}
	for (uint32_t i = 0; i < ARRAY_SIZE(ports); i++)
		if (!empty_port(ports[i])) {
			console_print("holes: something at port %x\n", (uint32_t)ports[i]);
			return 3;
		}
	return 0;
}
GUEST_CASE("holes", case_holes);
