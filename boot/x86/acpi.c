/*
 * ACPI tables (ACPI 6.4).
 *
 * They lie one behind the other at BOOT_ACPI: RSDP, DSDT, FADT, MADT, MCFG (with PCI), XSDT. Flags
 * are chosen so that Linux does not look for what is not there: no i8042, CMOS clock, VGA, 8259 or
 * PIT is probed for, and the timers of a hardware-reduced platform come from the CPU and KVM.
 */
#include "boot/x86/acpi.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "boot/x86/aml.h"
#include "vmm/base/log.h"
#include "vmm/x86/memmap.h"

#define packed __attribute__((packed))

struct rsdp { /* 5.2.5.3 */
	char signature[8];
	uint8_t checksum; /* of the first 20 bytes */
	char oem_id[6];
	uint8_t revision;
	uint32_t rsdt;
	uint32_t length;
	uint64_t xsdt;
	uint8_t extended_checksum;
	uint8_t reserved[3];
} packed;
#define RSDP_V1_LENGTH 20

struct table_header { /* 5.2.6 */
	char signature[4];
	uint32_t length;
	uint8_t revision;
	uint8_t checksum;
	char oem_id[6];
	char oem_table_id[8];
	uint32_t oem_revision;
	char creator_id[4];
	uint32_t creator_revision;
} packed;

struct gas { /* 5.2.3.2: generic address structure */
	uint8_t space;
	uint8_t bit_width;
	uint8_t bit_offset;
	uint8_t access_size;
	uint64_t address;
} packed;

struct fadt { /* 5.2.9, behind the header */
	uint32_t firmware_ctrl;
	uint32_t dsdt;
	uint8_t fixed_hardware[65]; /* unused where hardware-reduced */
	uint16_t boot_arch;
	uint8_t reserved;
	uint32_t flags;
	struct gas reset_register;
	uint8_t reset_value;
	uint16_t arm_boot_arch;
	uint8_t minor_version;
	uint64_t x_firmware_ctrl;
	uint64_t x_dsdt;
	struct gas x_fixed_hardware[8];
	struct gas sleep_control;
	struct gas sleep_status;
	char hypervisor_vendor[8];
} packed;
_Static_assert(sizeof(struct table_header) + sizeof(struct fadt) == 276, "FADT 6.4");

/* FADT flags (table 5.10) and IA-PC boot architecture flags (table 5.11) */
#define FADT_WBINVD	   BIT(0)
#define FADT_PWR_BUTTON	   BIT(4) /* no fixed-hardware power or sleep button */
#define FADT_SLP_BUTTON	   BIT(5)
#define FADT_RESET_REG_SUP BIT(10)
#define FADT_HW_REDUCED	   BIT(20)
#define BOOT_ARCH_NO_VGA   BIT(2)
#define BOOT_ARCH_NO_RTC   BIT(5) /* bit 1, "there is an i8042", is clear too */

struct madt { /* 5.2.12, behind the header */
	uint32_t lapic_address;
	uint32_t flags;
} packed;
#define MADT_PCAT_COMPAT BIT(0) /* KVM's 8259s are there */
#define MADT_ENABLED	 BIT(0)

struct madt_lapic { /* 5.2.12.2 */
	uint8_t type, length;
	uint8_t uid, apic_id;
	uint32_t flags;
} packed;

struct madt_x2apic { /* 5.2.12.12 */
	uint8_t type, length;
	uint16_t reserved;
	uint32_t apic_id, flags, uid;
} packed;

struct madt_ioapic { /* 5.2.12.3 */
	uint8_t type, length;
	uint8_t id, reserved;
	uint32_t address, gsi_base;
} packed;

struct mcfg { /* PCI Firmware Specification 3.2, 4.1.2 */
	uint64_t reserved;
	uint64_t base;
	uint16_t segment;
	uint8_t first_bus, last_bus;
	uint32_t reserved2;
} packed;

#define XAPIC_ID_MAX 254u /* 255 is the broadcast */

static uint8_t checksum(const uint8_t *p, size_t len)
{
	uint8_t sum = 0;

	while (len--)
		sum = (uint8_t)(sum + *p++);
	return (uint8_t)-sum;
}

static uint64_t next_address(struct aml *a)
{
	while (a->len % 16)
		aml_bytes(a, "", 1);
	return BOOT_ACPI + a->len;
}

static size_t open_table(struct aml *a, const char *signature, uint8_t revision)
{
	struct table_header h = {
		.revision = revision,
		.oem_id = "MINIVM",
		.oem_table_id = "MINIVMM",
		.oem_revision = 1,
		.creator_id = "MVMM",
		.creator_revision = 1,
	};
	const size_t mark = a->len;

	memcpy(h.signature, signature, sizeof(h.signature));
	aml_bytes(a, &h, sizeof(h));
	return mark;
}

static void close_table(struct aml *a, size_t mark)
{
	const uint32_t length = (uint32_t)(a->len - mark);
	uint8_t sum;

	if (a->len > a->size)
		return;
	aml_patch(a, mark + offsetof(struct table_header, length), &length, sizeof(length));
	sum = checksum(a->buf + mark, length);
	aml_patch(a, mark + offsetof(struct table_header, checksum), &sum, 1);
}

static struct gas port(uint64_t address)
{
	return (struct gas){ .space = 1, .bit_width = 8, .access_size = 1, .address = address };
}

static void write_fadt(struct aml *a, uint64_t dsdt)
{
	const struct fadt fadt = {
		.dsdt = (uint32_t)dsdt,
		.boot_arch = BOOT_ARCH_NO_VGA | BOOT_ARCH_NO_RTC,
		.flags = FADT_WBINVD | FADT_PWR_BUTTON | FADT_SLP_BUTTON | FADT_RESET_REG_SUP |
			 FADT_HW_REDUCED,
		.reset_register = port(PORT_RESET),
		.reset_value = RESET_VALUE,
		.minor_version = 4,
		.x_dsdt = dsdt,
		.sleep_control = port(PORT_SLEEP_CONTROL),
		.sleep_status = port(PORT_SLEEP_STATUS),
		.hypervisor_vendor = "MINIVMM",
	};
	const size_t mark = open_table(a, "FACP", 6);

	aml_bytes(a, &fadt, sizeof(fadt));
	close_table(a, mark);
}

/* Interrupt source overrides are not needed: every GSI is the I/O APIC's pin of that number. */
static void write_madt(struct aml *a, unsigned int nr_cpus)
{
	const struct madt madt = { (uint32_t)MEMMAP_LAPIC_BASE, MADT_PCAT_COMPAT };
	const struct madt_ioapic ioapic = {
		.type = 1,
		.length = sizeof(ioapic),
		.address = (uint32_t)MEMMAP_IOAPIC_BASE,
	};
	const size_t mark = open_table(a, "APIC", 5);

	aml_bytes(a, &madt, sizeof(madt));
	for (unsigned int id = 0; id < nr_cpus && a->len <= a->size; id++) {
		const struct madt_lapic lapic = {
			.type = 0,
			.length = sizeof(lapic),
			.uid = (uint8_t)id,
			.apic_id = (uint8_t)id,
			.flags = MADT_ENABLED,
		};
		const struct madt_x2apic x2apic = {
			.type = 9,
			.length = sizeof(x2apic),
			.apic_id = id,
			.flags = MADT_ENABLED,
			.uid = id,
		};

		if (id <= XAPIC_ID_MAX)
			aml_bytes(a, &lapic, sizeof(lapic));
		else
			aml_bytes(a, &x2apic, sizeof(x2apic));
	}
	aml_bytes(a, &ioapic, sizeof(ioapic));
	close_table(a, mark);
}

static void write_mcfg(struct aml *a)
{
	const struct mcfg mcfg = { .base = MEMMAP_ECAM_BASE }; /* segment 0, bus 0 to 0 */
	const size_t mark = open_table(a, "MCFG", 1);

	aml_bytes(a, &mcfg, sizeof(mcfg));
	close_table(a, mark);
}

static void add_serial(struct aml *a)
{
	const size_t device = aml_open_device(a, "COM1");
	size_t crs;

	aml_name(a, "_HID");
	aml_eisa_id(a, "PNP0501");
	aml_name(a, "_UID");
	aml_integer(a, 0);
	crs = aml_open_resources(a);
	aml_io(a, PORT_SERIAL, PORT_SERIAL_LEN);
	aml_interrupt(a, GSI_SERIAL);
	aml_close_resources(a, crs);
	aml_close(a, device);
}

/* The node that Linux's virtio-mmio driver binds to. */
static void add_virtio_mmio(struct aml *a, unsigned int n)
{
	size_t device, crs;
	char name[5];

	snprintf(name, sizeof(name), "VI%02u", n % 100);
	device = aml_open_device(a, name);
	aml_name(a, "_HID");
	aml_string(a, "LNRO0005");
	aml_name(a, "_UID");
	aml_integer(a, n);
	aml_name(a, "_CCA"); /* cache-coherent */
	aml_integer(a, 1);
	crs = aml_open_resources(a);
	aml_memory32(a, (uint32_t)(MEMMAP_VIRTIO_MMIO_BASE + n * MEMMAP_VIRTIO_MMIO_STRIDE),
		     MEMMAP_VIRTIO_MMIO_STRIDE);
	aml_interrupt(a, memmap_virtio_mmio_gsi(n));
	aml_close_resources(a, crs);
	aml_close(a, device);
}

/* Device n, pin A to GSI 16 + n % 4; no function has another pin. Level and low, as PCI has it. */
static void add_pci_routing(struct aml *a)
{
	const unsigned int first = 1, last = 31; /* slot 0 is the bridge itself */
	size_t prt;

	aml_name(a, "_PRT");
	prt = aml_open_package(a, last - first + 1);
	for (unsigned int n = first; n <= last; n++) {
		const size_t route = aml_open_package(a, 4);

		aml_integer(a, n << 16 | 0xffff); /* every function of device n */
		aml_integer(a, 0);		  /* pin A */
		aml_integer(a, 0);		  /* no link device: the next is a GSI */
		aml_integer(a, GSI_PCI_INTA + n % GSI_PCI_INTX_NR);
		aml_close(a, route);
	}
	aml_close(a, prt);
}

static void add_pci(struct aml *a)
{
	size_t device, crs;

	device = aml_open_device(a, "PCI0");
	aml_name(a, "_HID");
	aml_eisa_id(a, "PNP0A08");
	aml_name(a, "_CID");
	aml_eisa_id(a, "PNP0A03");
	aml_name(a, "_UID");
	aml_integer(a, 0);
	aml_name(a, "_SEG");
	aml_integer(a, 0);
	aml_name(a, "_BBN");
	aml_integer(a, 0);
	crs = aml_open_resources(a);
	aml_window_bus(a, 0, 1);
	aml_io(a, PORT_PCI_ADDRESS, 8);
	aml_window_io(a, PORT_PCI_IO_BASE, PORT_PCI_IO_SIZE);
	aml_window_memory(a, (uint32_t)MEMMAP_PCI_MEM_BASE, (uint32_t)MEMMAP_PCI_MEM_SIZE);
	aml_close_resources(a, crs);
	add_pci_routing(a);
	aml_close(a, device);

	/* The ECAM window must be some device's, or Linux does not trust the MCFG. */
	device = aml_open_device(a, "ECAM");
	aml_name(a, "_HID");
	aml_eisa_id(a, "PNP0C02");
	aml_name(a, "_UID");
	aml_integer(a, 0);
	crs = aml_open_resources(a);
	aml_memory32(a, (uint32_t)MEMMAP_ECAM_BASE, MEMMAP_ECAM_SIZE);
	aml_close_resources(a, crs);
	aml_close(a, device);
}

static void write_dsdt(struct aml *a, const struct acpi_config *config)
{
	const size_t mark = open_table(a, "DSDT", 2);
	size_t scope, s5;

	aml_name(a, "\\_S5_");
	s5 = aml_open_package(a, 4);
	aml_integer(a, SLEEP_TYPE_S5);
	for (int i = 0; i < 3; i++)
		aml_integer(a, 0);
	aml_close(a, s5);

	scope = aml_open_scope(a, "\\_SB_");
	if (config->serial)
		add_serial(a);
	for (unsigned int n = 0; n < config->nr_virtio_mmio; n++)
		add_virtio_mmio(a, n);
	if (config->pci)
		add_pci(a);
	aml_close(a, scope);
	close_table(a, mark);
}

static void write_xsdt(struct aml *a, const uint64_t *tables, size_t len)
{
	const size_t mark = open_table(a, "XSDT", 1);

	aml_bytes(a, tables, len);
	close_table(a, mark);
}

static void write_rsdp(struct aml *a, uint64_t xsdt)
{
	struct rsdp rsdp = {
		.signature = "RSD PTR ",
		.oem_id = "MINIVM",
		.revision = 2,
		.length = sizeof(rsdp),
		.xsdt = xsdt,
	};

	rsdp.checksum = checksum((const uint8_t *)&rsdp, RSDP_V1_LENGTH);
	rsdp.extended_checksum = checksum((const uint8_t *)&rsdp, sizeof(rsdp));
	aml_patch(a, 0, &rsdp, sizeof(rsdp));
}

int acpi_build(const struct guestmem *mem, const struct acpi_config *config, uint64_t *rsdp)
{
	struct aml a = { .size = BOOT_ACPI_END - BOOT_ACPI };
	uint64_t tables[3], dsdt, xsdt;
	unsigned int n = 0;

	a.buf = guestmem_ptr(mem, BOOT_ACPI, a.size);
	if (!a.buf)
		return log_fail(-EFAULT, "cannot write ACPI tables: the guest has no RAM at %#llx",
				BOOT_ACPI);
	if (config->nr_virtio_mmio > MEMMAP_VIRTIO_MMIO_MAX)
		return log_fail(
			-ENOSPC,
			"cannot describe %u virtio-mmio devices: there are interrupts for %u",
			config->nr_virtio_mmio, MEMMAP_VIRTIO_MMIO_MAX);

	aml_bytes(&a, &(struct rsdp){ 0 }, sizeof(struct rsdp));
	dsdt = next_address(&a);
	write_dsdt(&a, config);
	tables[n++] = next_address(&a);
	write_fadt(&a, dsdt);
	tables[n++] = next_address(&a);
	write_madt(&a, config->nr_cpus);
	if (config->pci) {
		tables[n++] = next_address(&a);
		write_mcfg(&a);
	}
	xsdt = next_address(&a);
	write_xsdt(&a, tables, n * sizeof(tables[0]));
	write_rsdp(&a, xsdt);

	if (a.len > a.size)
		return log_fail(-ENOSPC,
				"cannot write ACPI tables for %u CPUs: they do not fit in %zu KiB",
				config->nr_cpus, a.size / (size_t)KIB);
	*rsdp = BOOT_ACPI;
	return 0;
}
