/* What a kernel is told: the memory map, and Linux's zero page or PVH's start info; boot/ only. */
#ifndef BOOT_X86_PARAMS_H
#define BOOT_X86_PARAMS_H

#include "boot/kernel.h"
#include "vmm/base/guestmem.h"

/* Write the zero page to BOOT_ZERO_PAGE, with the kernel's own setup header in it. -EFAULT where
 * that is not RAM. */
int must_check boot_write_zero_page(const struct guestmem *mem, const struct setup_header *header,
				    const struct boot_params_in *in);

/* Write hvm_start_info, its memory map and module list to BOOT_PVH_INFO. -EFAULT as above. */
int must_check boot_write_start_info(const struct guestmem *mem, const struct boot_params_in *in);

#endif
