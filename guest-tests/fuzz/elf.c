/* boot/elf.c: an ELF file that says it is a kernel. The input is what follows the magic number. */
#include "guest-tests/fuzz/fuzz.h"

#include <elf.h>
#include <string.h>

#include "boot/boot.h"
#include "vmm/x86/entry.h"
#include "vmm/x86/memmap.h"

void fuzz_one(struct fuzz *f)
{
	const uint64_t ram = (2 + fuzz_below(f, 63)) * MIB;
	const uint64_t size = fuzz_int(f, 3);
	struct boot_source src = { .cmdline = "console=ttyS0", .rsdp = BOOT_ACPI };
	static uint8_t image[64 * KIB] = ELFMAG;
	struct boot_entry entry;
	struct guestmem mem;
	const uint8_t *rest;
	size_t len;

	rest = fuzz_bytes(f, sizeof(image) - SELFMAG, &len);
	memcpy(image + SELFMAG, rest, len);
	src.kernel = fuzz_file(0, image, SELFMAG + len, size);
	fuzz_memory(&mem, ram, false);
	if (boot_load(&mem, &src, &entry))
		return;
	fuzz_check(entry.rip >= BOOT_HIGH_MEMORY && entry.rip < ram);
	fuzz_check(entry.long_mode ? entry.rsi == BOOT_ZERO_PAGE : entry.rbx == BOOT_PVH_INFO);
}
