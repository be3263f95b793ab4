/*
 * Change a file through memory and stay: mapped FILE MIB. Numbers the words of a shared mapping of so many MiB, says
 * "mapped" and waits to be ended. Who ends it is who sees to it that the file has them.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	const size_t len = argc == 3 ? strtoull(argv[2], NULL, 10) << 20 : 0;
	const int fd = len ? open(argv[1], O_RDWR | O_CREAT | O_CLOEXEC, 0644) : -1;
	uint64_t *words;

	if (fd < 0 || ftruncate(fd, (off_t)len) < 0) {
		fprintf(stderr, "usage: mapped FILE MIB (FILE can be written)\n");
		return 2;
	}
	words = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (words == MAP_FAILED) {
		perror("mapped: mmap");
		return 1;
	}
	for (size_t i = 0; i < len / sizeof(*words); i++)
		words[i] = i;
	puts("mapped");
	fflush(stdout);
	for (;;)
		pause();
}
