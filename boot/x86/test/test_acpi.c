/* ACPI tables: structure, checksums, contents; and what iasl makes of them where it is installed. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "boot/x86/acpi.h"
#include "boot/x86/aml.h"
#include "boot/test/guest.h"
#include "vmm/base/test/unit.h"
#include "vmm/x86/memmap.h"

#define HEADER 36u

static const struct acpi_config full = {
	.nr_cpus = 4,
	.nr_virtio_mmio = MEMMAP_VIRTIO_MMIO_MAX,
	.serial = true,
	.pci = true,
};
static const struct acpi_config least = { .nr_cpus = 1 };

static struct guest guest;

static int setup(void **state)
{
	guest_init(&guest, 16 * MIB);
	return 0;
}

static int teardown(void **state)
{
	guest_destroy(&guest);
	return 0;
}

static uint64_t get(const uint8_t *p, size_t offset, size_t size)
{
	uint64_t value = 0;

	memcpy(&value, p + offset, size);
	return value;
}

static uint8_t sum(const uint8_t *p, size_t len)
{
	uint8_t s = 0;

	for (size_t i = 0; i < len; i++)
		s = (uint8_t)(s + p[i]);
	return s;
}

/* The table at @gpa, which must lie in its place and have a right checksum. */
static const uint8_t *table_at(uint64_t gpa)
{
	const uint8_t *t = guestmem_ptr(&guest.mem, gpa, HEADER);
	size_t len;

	assert_non_null(t);
	assert_int_equal(gpa % 4, 0);
	len = get(t, 4, 4);
	assert_in_range(len, HEADER, BOOT_ACPI_END - gpa);
	assert_true(gpa >= BOOT_ACPI);
	assert_int_equal(sum(t, len), 0);
	assert_memory_equal(t + 10, "MINIVM", 6);
	return t;
}

static const uint8_t *build(const struct acpi_config *config)
{
	uint64_t rsdp = 0;

	guest_wipe(&guest);
	assert_int_equal(acpi_build(&guest.mem, config, &rsdp), 0);
	assert_int_equal(rsdp, BOOT_ACPI);
	return guestmem_ptr(&guest.mem, rsdp, 36);
}

/* The table of that name, by way of the XSDT (the DSDT: of the FADT); NULL where there is none. */
static const uint8_t *find(const uint8_t *rsdp, const char *signature)
{
	const uint8_t *xsdt = table_at(get(rsdp, 24, 8));
	const uint8_t *found = NULL;

	assert_memory_equal(xsdt, "XSDT", 4);
	for (size_t at = HEADER; at < get(xsdt, 4, 4); at += 8) {
		const uint8_t *t = table_at(get(xsdt, at, 8));

		if (memcmp(t, "FACP", 4) == 0 && strcmp(signature, "DSDT") == 0)
			t = table_at(get(t, 140, 8));
		if (memcmp(t, signature, 4) == 0) {
			assert_null(found);
			found = t;
		}
	}
	return found;
}

static void test_root_pointer(void **state)
{
	const uint8_t *rsdp = build(&full);

	assert_memory_equal(rsdp, "RSD PTR ", 8);
	assert_int_equal(sum(rsdp, 20), 0);
	assert_int_equal(sum(rsdp, 36), 0);
	assert_int_equal(rsdp[15], 2);
	assert_int_equal(get(rsdp, 20, 4), 36);
}

static void test_nothing_else_is_written(void **state)
{
	build(&full);
	assert_true(guest_is_zero(&guest, 0, BOOT_ACPI));
	assert_true(guest_is_zero(&guest, BOOT_ACPI_END, 16 * MIB));
}

static void assert_port(const uint8_t *gas, uint64_t port)
{
	assert_int_equal(gas[0], 1); /* system I/O, a byte */
	assert_int_equal(gas[1], 8);
	assert_int_equal(gas[2], 0);
	assert_int_equal(gas[3], 1);
	assert_int_equal(get(gas, 4, 8), port);
}

static void test_fadt(void **state)
{
	const uint8_t *fadt = find(build(&full), "FACP");

	assert_non_null(fadt);
	assert_int_equal(get(fadt, 4, 4), 276);
	assert_int_equal(fadt[8], 6);
	assert_int_equal(fadt[131], 4);
	assert_int_equal(get(fadt, 40, 4), get(fadt, 140, 8));
	assert_true(get(fadt, 112, 4) & BIT(20));	      /* hardware-reduced */
	assert_true(get(fadt, 112, 4) & BIT(10));	      /* reset register */
	assert_int_equal(get(fadt, 109, 2), BIT(2) | BIT(5)); /* no VGA, no CMOS clock, no i8042 */
	assert_port(fadt + 116, PORT_RESET);
	assert_int_equal(fadt[128], RESET_VALUE);
	assert_port(fadt + 244, PORT_SLEEP_CONTROL);
	assert_port(fadt + 256, PORT_SLEEP_STATUS);
	for (size_t i = 46; i < 109; i++) /* fixed hardware */
		assert_int_equal(fadt[i], 0);
}

/* APIC ids from 0 to @nr_cpus - 1, each once and in order, then one I/O APIC. */
static void assert_madt(unsigned int nr_cpus)
{
	const struct acpi_config config = { .nr_cpus = nr_cpus };
	const uint8_t *madt = find(build(&config), "APIC");
	unsigned int cpus = 0, ioapics = 0;
	size_t end, at;

	assert_non_null(madt);
	end = get(madt, 4, 4);
	assert_int_equal(get(madt, 36, 4), MEMMAP_LAPIC_BASE);
	for (at = 44; at + 2 <= end; at += madt[at + 1]) {
		const uint8_t *e = madt + at;

		if (e[0] == 1) {
			assert_int_equal(e[1], 12);
			assert_int_equal(get(e, 4, 4), MEMMAP_IOAPIC_BASE);
			assert_int_equal(get(e, 8, 4), 0);
			ioapics++;
		} else if (cpus < 255) {
			assert_int_equal(e[0], 0);
			assert_int_equal(e[1], 8);
			assert_int_equal(e[2], cpus);
			assert_int_equal(e[3], cpus);
			assert_int_equal(get(e, 4, 4), 1);
			cpus++;
		} else {
			assert_int_equal(e[0], 9);
			assert_int_equal(e[1], 16);
			assert_int_equal(get(e, 4, 4), cpus);
			assert_int_equal(get(e, 8, 4), 1);
			assert_int_equal(get(e, 12, 4), cpus);
			cpus++;
		}
	}
	assert_int_equal(at, end);
	assert_int_equal(cpus, nr_cpus);
	assert_int_equal(ioapics, 1);
}

static void test_madt(void **state)
{
	assert_madt(1);
	assert_madt(4);
	assert_madt(254);
	assert_madt(255);
	assert_madt(256);
	assert_madt(4096);
}

static void test_mcfg_only_with_pci(void **state)
{
	const uint8_t *mcfg = find(build(&full), "MCFG");

	assert_non_null(mcfg);
	assert_int_equal(get(mcfg, 4, 4), 60);
	assert_int_equal(get(mcfg, 44, 8), MEMMAP_ECAM_BASE);
	assert_int_equal(get(mcfg, 52, 2), 0);
	assert_int_equal(mcfg[54], 0);
	assert_int_equal((mcfg[55] + 1) * MIB, MEMMAP_ECAM_SIZE);
	assert_null(find(build(&least), "MCFG"));
}

/* How often @bytes occur in @table. */
static unsigned int count(const uint8_t *table, const void *bytes, size_t len)
{
	unsigned int n = 0;

	for (size_t at = 0; at + len <= get(table, 4, 4); at++)
		n += memcmp(table + at, bytes, len) == 0;
	return n;
}

static void test_dsdt_has_what_was_asked_for(void **state)
{
	const uint8_t s5[] = "\x08\\_S5_\x12";
	const uint8_t com1[] = "\x0c\x41\xd0\x05\x01"; /* PNP0501 */
	const uint8_t bridge[] = "\x0c\x41\xd0\x0a\x08";
	const uint8_t *dsdt = find(build(&full), "DSDT");

	assert_non_null(dsdt);
	assert_int_equal(count(dsdt, s5, sizeof(s5) - 1), 1);
	assert_int_equal(count(dsdt, com1, 5), 1);
	assert_int_equal(count(dsdt, bridge, 5), 1);
	assert_int_equal(count(dsdt, "LNRO0005", 9), MEMMAP_VIRTIO_MMIO_MAX);

	dsdt = find(build(&least), "DSDT");
	assert_non_null(dsdt);
	assert_int_equal(count(dsdt, s5, sizeof(s5) - 1), 1);
	assert_int_equal(count(dsdt, com1, 5), 0);
	assert_int_equal(count(dsdt, bridge, 5), 0);
	assert_int_equal(count(dsdt, "LNRO0005", 9), 0);
}

/* Each node's registers and interrupt are the ones of memmap.h, each device's pin A is routed. */
static void test_dsdt_agrees_with_the_memory_map(void **state)
{
	const uint8_t *dsdt = find(build(&full), "DSDT");
	const uint8_t com1[] = { 0x47, 1, 0xf8, 3, 0xf8, 3, 1, 8, 0x89, 6, 0, 3, 1, 4, 0, 0, 0 };

	assert_int_equal(count(dsdt, com1, sizeof(com1)), 1);
	for (unsigned int n = 0; n < MEMMAP_VIRTIO_MMIO_MAX; n++) {
		uint8_t crs[] = { 0x86, 9, 0, 1, 0, 0, 0, 0, 0, 0x10, 0, 0,
				  0x89, 6, 0, 3, 1, 0, 0, 0, 0, 0x79, 0 };
		const uint32_t base = (uint32_t)(MEMMAP_VIRTIO_MMIO_BASE + 0x1000 * n);
		const uint32_t gsi = memmap_virtio_mmio_gsi(n);

		memcpy(crs + 4, &base, 4);
		memcpy(crs + 17, &gsi, 4);
		assert_int_equal(count(dsdt, crs, sizeof(crs)), 1);
	}
	for (unsigned int n = 1; n < 32; n++) {
		const uint8_t route[] = {
			0x12, 0x8d,	  0, 0, 4, 0x0c, 0xff,
			0xff, (uint8_t)n, 0, 0, 0, 0x0a, (uint8_t)(GSI_PCI_INTA + n % 4)
		};

		assert_int_equal(count(dsdt, route, sizeof(route)), 1);
	}
}

static void test_too_much_is_refused(void **state)
{
	const struct acpi_config cpus = { .nr_cpus = 9000, .pci = true };
	const struct acpi_config devices = { .nr_cpus = 1,
					     .nr_virtio_mmio = MEMMAP_VIRTIO_MMIO_MAX + 1 };
	struct guest small;
	uint64_t rsdp;

	assert_int_equal(acpi_build(&guest.mem, &cpus, &rsdp), -ENOSPC);
	assert_said("9000 CPUs");
	assert_true(guest_is_zero(&guest, BOOT_ACPI_END, 16 * MIB));
	assert_int_equal(acpi_build(&guest.mem, &devices, &rsdp), -ENOSPC);
	assert_said("16 virtio-mmio devices");

	guest_init(&small, BOOT_ACPI_END - 4096);
	assert_int_equal(acpi_build(&small.mem, &least, &rsdp), -EFAULT);
	assert_said("no RAM at 0xe0000");
	assert_true(guest_is_zero(&small, 0, BOOT_ACPI_END - 4096));
	guest_destroy(&small);
}

/* With every smaller buffer the writer stays inside and still says what it wanted. */
static void test_writer_stays_in_its_buffer(void **state)
{
	uint8_t buf[256];
	size_t wanted = 0;

	for (size_t size = sizeof(buf); size-- > 0;) {
		struct aml a = { .buf = buf, .size = size };
		const size_t device = aml_open_device(&a, "DEV0");
		size_t crs, package;

		memset(buf, 0xa5, sizeof(buf));
		aml_name(&a, "_HID");
		aml_string(&a, "LNRO0005");
		crs = aml_open_resources(&a);
		aml_window_memory(&a, 0, 0x1000);
		aml_close_resources(&a, crs);
		package = aml_open_package(&a, 2);
		aml_integer(&a, 0x12345);
		aml_integer(&a, 0x123);
		aml_close(&a, package);
		aml_close(&a, device);
		if (!wanted)
			wanted = a.len;
		assert_int_equal(a.len, wanted);
		for (size_t i = size; i < sizeof(buf); i++)
			assert_int_equal(buf[i], 0xa5);
	}
	assert_in_range(wanted, 64, sizeof(buf) - 1);
}

/* Run @cmd in @dir; its output goes to the test's own only if it fails. */
static void run(const char *dir, const char *cmd)
{
	char line[512];

	snprintf(line, sizeof(line), "cd %s && { %s; } >log 2>&1 || { cat log; false; }", dir, cmd);
	if (system(line) != 0)
		fail_msg("failed: %s", cmd);
}

static void save(const char *dir, const uint8_t *table)
{
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%.4s", dir, (const char *)table);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_int_equal(fwrite(table, get(table, 4, 4), 1, f), 1);
	assert_int_equal(fclose(f), 0);
}

static void assert_iasl_content(const uint8_t *rsdp)
{
	const char *const names[] = { "FACP", "APIC", "MCFG", "DSDT" };
	char dir[] = "/tmp/minivmm-acpi-XXXXXX";

	assert_non_null(mkdtemp(dir));
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		const uint8_t *table = find(rsdp, names[i]);
		char cmd[256];

		if (!table)
			continue;
		save(dir, table);
		snprintf(cmd, sizeof(cmd),
			 "iasl -d %s && test -s %s.dsl && ! grep -iE 'warning|error|invalid' log",
			 names[i], names[i]);
		run(dir, cmd);
		/* -we: a warning is an error; the same table must come back. */
		snprintf(cmd, sizeof(cmd), "iasl -we -oa -p again %s.dsl", names[i]);
		run(dir, cmd);
	}
	run(dir, "grep -q 'Name (._S5' DSDT.dsl");
	run(dir, "rm -f * && rmdir $PWD");
}

static void test_iasl_has_no_complaint(void **state)
{
	if (system("iasl -v >/dev/null 2>&1") != 0) {
		print_message("skipped: iasl is not installed (package acpica-tools)\n");
		skip();
	}
	assert_iasl_content(build(&full));
	assert_iasl_content(build(&least));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_root_pointer),
		TEST(test_nothing_else_is_written),
		TEST(test_fadt),
		TEST(test_madt),
		TEST(test_mcfg_only_with_pci),
		TEST(test_dsdt_has_what_was_asked_for),
		TEST(test_dsdt_agrees_with_the_memory_map),
		TEST(test_too_much_is_refused),
		TEST(test_writer_stays_in_its_buffer),
		TEST(test_iasl_has_no_complaint),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
