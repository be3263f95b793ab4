/*
 * ACPI tables (ACPI 6.4): the guest's only source of truth about its devices.
 *
 * RSDP, XSDT, FADT (hardware-reduced, with reset register and sleep registers), MADT, MCFG where
 * there is PCI, and a DSDT with \_S5, the serial port (PNP0501), an LNRO0005 node for each
 * virtio-mmio device, and the PCI host bridge (PNP0A08) with its windows and interrupt routing.
 */
#ifndef BOOT_X86_ACPI_H
#define BOOT_X86_ACPI_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/base/guestmem.h"

struct acpi_config {
	unsigned int nr_cpus;	     /* APIC ids 0 to nr_cpus - 1 */
	unsigned int nr_virtio_mmio; /* devices 0 to n - 1, at the places that memmap.h gives */
	bool serial;
	bool pci;
};

/* Write the tables at BOOT_ACPI; the RSDP's address goes to @rsdp. -ENOSPC (with a message) where
 * they do not fit, -EFAULT where that is not RAM. */
int must_check acpi_build(const struct guestmem *mem, const struct acpi_config *config,
			  uint64_t *rsdp);

#endif
