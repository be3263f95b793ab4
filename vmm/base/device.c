/* What all devices share. */
#include "vmm/base/device.h"

const char *const device_transports[] = { "mmio", "pci", NULL };
