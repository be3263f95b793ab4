/*
 * The machine's map: every physical address, I/O port and interrupt that the guest can meet.
 *
 *   guest physical memory                          I/O ports
 *   0x0000_0000  RAM, up to 3 GiB                  0x0020,0xa0 PICs (in KVM)
 *   0xc000_0000  PCI memory window, 512 MiB        0x0040-43   PIT (in KVM)
 *   0xe000_0000  PCI ECAM, bus 0, 1 MiB            0x0060,0x64 i8042 (reset only)
 *   0xfeb0_0000  virtio-mmio, 4 KiB each           0x0061      PC speaker port (in KVM)
 *   0xfec0_0000  I/O APIC (in KVM)                 0x0080      POST code, delay
 *   0xfee0_0000  local APICs (in KVM)              0x00f4      exit status of the guest
 *   0xfffb_c000  KVM's identity map and TSS        0x03f8      serial port
 *   0x1_0000_0000  RAM that did not fit below      0x0600-0604 ACPI sleep and reset registers
 *                                                  0x0cf8-cff  PCI configuration mechanism 1
 *                                                  0x1000-7fff PCI I/O window
 *   interrupts (GSI = I/O APIC pin)
 *   0 PIT   4 serial   5-15 and 20-23 virtio-mmio (edge)   16-19 PCI INTA-INTD (level, low)
 *
 *   low RAM while booting (boot/): see the BOOT_ names below.
 */
#ifndef VMM_X86_MEMMAP_H
#define VMM_X86_MEMMAP_H

#include "vmm/base/util.h"

#define MEMMAP_HOLE_START 0xc0000000ull	 /* RAM stops here ... */
#define MEMMAP_HOLE_END	  0x100000000ull /* ... and goes on here */

#define MEMMAP_HOLE                                \
	{                                          \
		MEMMAP_HOLE_START, MEMMAP_HOLE_END \
	} /* a struct guestmem_hole */

#define MEMMAP_PCI_MEM_BASE 0xc0000000ull
#define MEMMAP_PCI_MEM_SIZE (512 * MIB)
#define MEMMAP_ECAM_BASE    0xe0000000ull /* bus 0 alone */
#define MEMMAP_ECAM_SIZE    (1 * MIB)

#define MEMMAP_VIRTIO_MMIO_BASE	  0xfeb00000ull
#define MEMMAP_VIRTIO_MMIO_STRIDE 0x1000ull /* one page each */
#define MEMMAP_VIRTIO_MMIO_MAX	  15u	    /* one interrupt each */

#define MEMMAP_VIRTIO_MMIO                                                 \
	{                                                                  \
		.gpa = MEMMAP_VIRTIO_MMIO_BASE,                            \
		.len = MEMMAP_VIRTIO_MMIO_MAX * MEMMAP_VIRTIO_MMIO_STRIDE, \
	} /* a struct kvm_window */

#define MEMMAP_IOAPIC_BASE	0xfec00000ull
#define MEMMAP_LAPIC_BASE	0xfee00000ull
#define MEMMAP_KVM_IDENTITY_MAP 0xfffbc000ull
#define MEMMAP_KVM_TSS		0xfffbd000ull /* three pages */

#define PORT_I8042_DATA	   0x60
#define PORT_I8042_COMMAND 0x64
#define PORT_POST	   0x80
#define PORT_SYSTEM_A	   0x92
#define PORT_EXIT_STATUS   0xf4
#define PORT_SERIAL	   0x3f8
#define PORT_SERIAL_LEN	   8
#define PORT_SLEEP_CONTROL 0x600 /* ACPI 6.4, 4.8.3.7 */
#define PORT_SLEEP_STATUS  0x601
#define PORT_RESET	   0x604 /* ACPI 6.4, 4.8.3.6; write RESET_VALUE */
#define PORT_PCI_ADDRESS   0xcf8
#define PORT_RESET_CONTROL 0xcf9 /* single bytes, amid the dword above */
#define PORT_PCI_DATA	   0xcfc
#define PORT_PCI_IO_BASE   0x1000
#define PORT_PCI_IO_SIZE   0x7000

#define RESET_VALUE   0x01
#define SLEEP_TYPE_S5 5 /* SLP_TYP of \_S5 */

/* A struct power_ports */
#define MEMMAP_POWER                                                                         \
	{                                                                                    \
		.sleep = PORT_SLEEP_CONTROL, .reset = PORT_RESET, .system_a = PORT_SYSTEM_A, \
		.reset_control = PORT_RESET_CONTROL, .i8042 = PORT_I8042_DATA,               \
		.status = PORT_EXIT_STATUS, .post = PORT_POST, .reset_value = RESET_VALUE,   \
		.sleep_type = SLEEP_TYPE_S5,                                                 \
	}

#define GSI_SERIAL	4u
#define GSI_PCI_INTA	16u /* to 19: device n, pin A is on 16 + n % 4 */
#define GSI_PCI_INTX_NR 4u

/* A struct pci_layout */
#define MEMMAP_PCI                                                                         \
	{                                                                                  \
		.mem = { MEMMAP_PCI_MEM_BASE, MEMMAP_PCI_MEM_SIZE },                       \
		.io = { PORT_PCI_IO_BASE, PORT_PCI_IO_SIZE },                              \
		.ecam = { MEMMAP_ECAM_BASE, MEMMAP_ECAM_SIZE }, .ports = PORT_PCI_ADDRESS, \
		.inta = GSI_PCI_INTA, .nr_intx = GSI_PCI_INTX_NR,                          \
	}

/* Where the n-th virtio-mmio device lies, and its GSI. */
static inline uint64_t memmap_virtio_mmio_base(unsigned n)
{
	return MEMMAP_VIRTIO_MMIO_BASE + n * MEMMAP_VIRTIO_MMIO_STRIDE;
}

static inline unsigned memmap_virtio_mmio_gsi(unsigned n)
{
	return n < 11 ? 5 + n : 20 + (n - 11);
}

/* Low memory while booting. Everything lies below BOOT_LOW_END, in RAM of any legal size. */
#define BOOT_WARM_WORD	 0x472ull /* of the BIOS data area; see BOOT_WARM_NONE */
#define BOOT_GDT	 0x500ull
#define BOOT_PVH_INFO	 0x6000ull
#define BOOT_ZERO_PAGE	 0x7000ull
#define BOOT_STACK	 0x8ff0ull
#define BOOT_PAGE_TABLES 0x9000ull  /* 6 pages */
#define BOOT_CMDLINE	 0x20000ull /* up to 64 KiB */
#define BOOT_CMDLINE_MAX 0x10000ull
#define BOOT_LOW_END	 0x9fc00ull /* usable below the EBDA */
#define BOOT_ACPI	 0xe0000ull /* RSDP first: found by scanning too */
#define BOOT_ACPI_END	 0xffff0ull
#define BOOT_RESET_CODE	 0xffff0ull /* F000:FFF0, where a PC's CPU starts */
#define BOOT_HIGH_MEMORY 0x100000ull

/*
 * Before it resets a PC, a kernel says at BOOT_WARM_WORD how it wants to start again: 0, or 0x1234 for "warm". This
 * stands there until it does, so that a triple fault that is meant as a reset differs from a crash.
 */
#define BOOT_WARM_NONE 0xffff

#endif
