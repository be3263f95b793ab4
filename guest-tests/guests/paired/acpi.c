/* The ACPI tables (ACPI 6.4, chapter 5): just enough to find processors and to power off. */
#include "guest-tests/guests/paired/acpi.h"
#include "guest-tests/guests/paired/cpu.h"
#include "guest-tests/guests/paired/lib.h"
#include "guest-tests/guests/paired/machine.h"

#define RSDP_SCAN_START 0xe0000u
#define RSDP_SCAN_END	0x100000u
#define RSDP_REVISION	15
#define RSDP_RSDT	16
#define RSDP_XSDT	24
#define TABLE_HEADER	36
#define TABLE_LENGTH	4
#define TABLE_MAX	0x100000u

#define MADT_ENTRIES 44
#define MADT_LAPIC   0
#define MADT_X2APIC  9
#define MADT_ENABLED 1

#define FADT_PM1A_CONTROL 64
#define FADT_FLAGS	  112
#define FADT_HW_REDUCED	  (1u << 20)
#define FADT_SLEEP_CONTROL \
	244 /* generic address: space, width, offset, access, 64 bits of address */
#define SPACE_MEMORY 0
#define SPACE_IO     1

/*
 * The value for S5 stands in the DSDT's byte code, which nothing here reads. QEMU and minivmm use 5
 * with the sleep control register, QEMU 0 with the older PM1a control register.
 */
#define SLEEP_CONTROL_S5 (5 << 2 | 1 << 5)
#define PM1A_CONTROL_S5	 (0 << 10 | 1 << 13)

static uint32_t get32(const uint8_t *p)
{
	uint32_t v;

	__builtin_memcpy(&v, p, 4);
	return v;
}

static uint64_t get64(const uint8_t *p)
{
	return (uint64_t)get32(p + 4) << 32 | get32(p);
}

static const uint8_t *map_table(uint64_t address)
{
	const uint8_t *table = machine_map(address, TABLE_HEADER);

	if (address == 0 || table == NULL || get32(table + TABLE_LENGTH) < TABLE_HEADER ||
	    get32(table + TABLE_LENGTH) > TABLE_MAX)
		return NULL;
	return machine_map(address, get32(table + TABLE_LENGTH));
}

static const uint8_t *find_rsdp(void)
{
	if (machine.rsdp != 0)
		return machine_map(machine.rsdp, 36);
	for (uint32_t at = RSDP_SCAN_START; at < RSDP_SCAN_END; at += 16)
		if (memcmp((const void *)(uint64_t)at, "RSD PTR ", 8) == 0)
			return (const uint8_t *)(uint64_t)at;
	return NULL;
}

static const uint8_t *find_table(const char *signature)
{
	const uint8_t *rsdp = find_rsdp();

	if (rsdp == NULL)
		return NULL;
	bool wide = rsdp[RSDP_REVISION] >= 2 && get64(rsdp + RSDP_XSDT) != 0;
	const uint8_t *list = map_table(wide ? get64(rsdp + RSDP_XSDT) : get32(rsdp + RSDP_RSDT));
	uint32_t size = wide ? 8 : 4;

	if (list == NULL)
		return NULL;
	for (uint32_t at = TABLE_HEADER; at + size <= get32(list + TABLE_LENGTH); at += size) {
		const uint8_t *table = map_table(wide ? get64(list + at) : get32(list + at));

		if (table != NULL && memcmp(table, signature, 4) == 0)
			return table;
	}
	return NULL;
}

uint32_t acpi_processors(uint32_t *apic_ids, uint32_t max)
{
	const uint8_t *madt = find_table("APIC");
	uint32_t count = 0, length;

	if (madt == NULL)
		return 0;
	length = get32(madt + TABLE_LENGTH);
	for (uint32_t at = MADT_ENTRIES; at + 2 <= length && madt[at + 1] >= 2;
	     at += madt[at + 1]) {
		const uint8_t *entry = madt + at;
		uint32_t id;

		if (at + entry[1] > length)
			break;
		if (entry[0] == MADT_LAPIC && entry[1] >= 8 && (get32(entry + 4) & MADT_ENABLED))
			id = entry[3];
		else if (entry[0] == MADT_X2APIC && entry[1] >= 16 &&
			 (get32(entry + 8) & MADT_ENABLED))
			id = get32(entry + 4);
		else
			continue;
		if (count < max)
			apic_ids[count] = id;
		count++;
	}
	return count;
}

void acpi_sleep(void)
{
	const uint8_t *fadt = find_table("FACP");

	if (fadt == NULL)
		return;
	uint32_t length = get32(fadt + TABLE_LENGTH);

	if (length >= FADT_SLEEP_CONTROL + 12 && (get32(fadt + FADT_FLAGS) & FADT_HW_REDUCED)) {
		const uint8_t *reg = fadt + FADT_SLEEP_CONTROL;
		uint64_t address = get64(reg + 4);

		if (reg[0] == SPACE_IO)
			cpu_out8((uint16_t)address, SLEEP_CONTROL_S5);
		else if (reg[0] == SPACE_MEMORY && machine_map_registers(address, 1) != NULL)
			cpu_write8(address, SLEEP_CONTROL_S5);
	} else if (length >= FADT_PM1A_CONTROL + 4 && get32(fadt + FADT_PM1A_CONTROL) != 0) {
		cpu_out16((uint16_t)get32(fadt + FADT_PM1A_CONTROL), PM1A_CONTROL_S5);
	}
}
