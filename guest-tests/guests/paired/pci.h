/* PCI bus 0, through ports 0xcf8 and 0xcfc (PCI Local Bus 3.0, 3.2.2.3.2). */
#ifndef PCI_H
#define PCI_H

#include <stdint.h>

#define PCI_ID		 0x00
#define PCI_COMMAND	 0x04
#define PCI_CLASS	 0x08
#define PCI_HEADER	 0x0c
#define PCI_CAPABILITIES 0x34
#define PCI_INTERRUPT	 0x3c
#define COMMAND_IO	 0x1
#define COMMAND_MEMORY	 0x2
#define COMMAND_MASTER	 0x4
#define STATUS_CAP_LIST	 0x100000

/* The function behind another one, or the first behind 0; 0 at the end. */
uint32_t pci_next(uint32_t function);

uint32_t pci_read(uint32_t function, uint32_t reg);
void pci_write(uint32_t function, uint32_t reg, uint32_t value);

/* Any byte of configuration space. */
uint8_t pci_read8(uint32_t function, uint32_t reg);

/* Lets it decode, and be a bus master. */
void pci_enable(uint32_t function);

/* Maps registers in a memory BAR, as firmware or the VMM has placed it; 0 if that cannot be. */
uint64_t pci_map(uint32_t function, unsigned bar, uint32_t offset, uint32_t size);

#endif
