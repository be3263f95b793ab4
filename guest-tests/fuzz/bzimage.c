/* boot/x86/bzimage.c: a file that says it is a kernel. The input is what stands from its setup header on. */
#include "guest-tests/fuzz/fuzz.h"

#include <string.h>

#include "boot/boot.h"
#include "vmm/x86/entry.h"
#include "vmm/x86/memmap.h"

#define HEADER 0x1f1u

void fuzz_one(struct fuzz *f)
{
	const uint64_t ram = (2 + fuzz_below(f, 63)) * MIB;
	const uint64_t size = fuzz_int(f, 3);
	struct boot_source src = { .cmdline = "console=ttyS0", .rsdp = BOOT_ACPI };
	static uint8_t image[64 * KIB];
	struct boot_entry entry;
	struct guestmem mem;
	const uint8_t *header;
	size_t len;

	header = fuzz_bytes(f, sizeof(image) - HEADER, &len);
	memcpy(image + HEADER, header, len);
	src.kernel = fuzz_file(0, image, HEADER + len, size);
	fuzz_memory(&mem, ram, false);
	if (boot_load(&mem, &src, &entry))
		return;
	fuzz_check(entry.long_mode && entry.rsi == BOOT_ZERO_PAGE);
	fuzz_check(entry.rip >= BOOT_HIGH_MEMORY + 0x200 && entry.rip < ram);
}
