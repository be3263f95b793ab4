/* What a kernel image says of its own release. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "boot/boot.h"
#include "boot/file.h"

#define HEADER_MAGIC	 0x202 /* "HdrS" (Documentation/arch/x86/boot.rst) */
#define HEADER_VERSION	 0x20e /* where its version is, from 0x200 on */
#define VERSION_AT	 0x200
#define BANNER		 "Linux version "
#define RELEASE_MAX	 127u
#define ELF_SEARCHED_MAX (64u << 20)

/* The first word of @text, which need not end. */
static int first_word(const char *text, size_t len, char *release, size_t room)
{
	size_t n = 0;

	while (n < len && text[n] > ' ' && text[n] < 0x7f && text[n] != '/')
		n++;
	if (!n || n == len || n >= room)
		return -ENOEXEC;
	memcpy(release, text, n);
	release[n] = '\0';
	return 0;
}

static int of_bzimage(const struct boot_file *f, char *release, size_t room)
{
	uint8_t header[HEADER_VERSION + 2];
	char text[RELEASE_MAX + 1];
	uint64_t at;
	int ret;

	if (f->size < sizeof(header))
		return boot_file_bad(f, "it is too short for a kernel");
	ret = boot_file_read(f, 0, header, sizeof(header));
	if (ret)
		return ret;
	at = VERSION_AT + (header[HEADER_VERSION] | (unsigned int)header[HEADER_VERSION + 1] << 8);
	if (memcmp(header + HEADER_MAGIC, "HdrS", 4) || at >= f->size)
		return boot_file_bad(f, "it does not say which release it is");
	const size_t len = MIN(f->size - at, sizeof(text));
	ret = boot_file_read(f, at, text, len);
	if (ret)
		return ret;
	return first_word(text, len, release, room)
		       ? boot_file_bad(f, "it does not say which release it is")
		       : 0;
}

/* A vmlinux has its banner somewhere. */
static int of_elf(const struct boot_file *f, char *release, size_t room)
{
	const size_t len = MIN(f->size, (uint64_t)ELF_SEARCHED_MAX);
	char *data = malloc(len), *banner;
	int ret = data ? boot_file_read(f, 0, data, len) : -ENOMEM;

	if (!ret) {
		banner = memmem(data, len, BANNER, strlen(BANNER));
		if (banner)
			banner += strlen(BANNER);
		if (!banner || first_word(banner, len - (size_t)(banner - data), release, room))
			ret = boot_file_bad(f, "it does not say which release it is");
	}
	free(data);
	return ret;
}

int boot_kernel_release(const char *path, char *release, size_t room)
{
	struct boot_file f;
	int ret = boot_file_open(&f, "kernel", path);

	if (ret)
		return ret;
	ret = boot_file_is_elf(&f);
	if (ret >= 0)
		ret = ret ? of_elf(&f, release, room) : of_bzimage(&f, release, room);
	boot_file_close(&f);
	return ret;
}
