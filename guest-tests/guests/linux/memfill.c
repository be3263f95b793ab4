/*
 * Use memory and check it: memfill MIB. Writes a pattern that depends on the page into so many MiB, reads all back,
 * and says how many of them lie at or above 4 GiB of physical memory (from /proc/self/pagemap, so run it as root).
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PAGE = 4096, WORDS = PAGE / sizeof(uint64_t) };

static uint64_t pattern(size_t page, size_t word)
{
	return (page * WORDS + word + 1) * 0x9e3779b97f4a7c15;
}

int main(int argc, char **argv)
{
	size_t mib = argc == 2 ? strtoull(argv[1], NULL, 10) : 0;
	size_t pages = (mib << 20) / PAGE, high = 0;
	int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	uint64_t *memory, entry;

	if (!pages || pagemap < 0) {
		fprintf(stderr, "usage: memfill MIB (with /proc mounted)\n");
		return 2;
	}
	memory = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		      0);
	if (memory == MAP_FAILED) {
		perror("memfill: mmap");
		return 1;
	}
	for (size_t p = 0; p < pages; p++) {
		for (size_t w = 0; w < WORDS; w++)
			memory[p * WORDS + w] = pattern(p, w);
	}
	for (size_t p = 0; p < pages; p++) {
		off_t at = (off_t)(((uintptr_t)memory / PAGE + p) * sizeof(entry));

		for (size_t w = 0; w < WORDS; w++) {
			if (memory[p * WORDS + w] != pattern(p, w)) {
				printf("memfill: page %zu word %zu is wrong\n", p, w);
				return 1;
			}
		}
		/* Bit 63: present; bits 0-54: page frame number (Documentation/admin-guide/mm/pagemap.rst). */
		if (pread(pagemap, &entry, sizeof(entry), at) == sizeof(entry) && entry >> 63 &&
		    (entry & ((1ULL << 55) - 1)) * PAGE >= 1ULL << 32)
			high++;
	}
	printf("memfill: %zu MiB right, %zu MiB of them above 4 GiB\n", mib, (high * PAGE) >> 20);
	return 0;
}
