/* What all loaders share. */
#include "boot/kernel.h"

#include <errno.h>

#include "vmm/base/log.h"

int boot_no_room(const struct boot_file *f, const struct guestmem *mem, uint64_t at, uint64_t len)
{
	const bool ever = at < boot_arch.low_ram_max && len <= boot_arch.low_ram_max - at;

	return log_fail(
		-ENOMEM,
		"kernel '%s' needs %llu KiB of RAM at %#llx, the guest has %llu KiB below %llu GiB%s",
		f->path, (unsigned long long)(len / KIB + (len % KIB != 0)), (unsigned long long)at,
		(unsigned long long)(boot_low_ram(mem) / KIB), boot_arch.low_ram_max / GIB,
		ever ? " (give it more memory)" : " (more memory does not help)");
}
