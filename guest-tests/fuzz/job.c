/* boot/modules.c, release.c, agent.c: a file that says it is a kernel module, and one that says it is a kernel. */
#include "guest-tests/fuzz/fuzz.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "boot/boot.h"

static char dir[64];

static void put(const char *name, const void *data, size_t len)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	fuzz_check(fd >= 0 && write(fd, data, len) == (ssize_t)len);
	close(fd);
}

static void remove_all(void)
{
	static const char *const names[] = { "modules.builtin", "virtio-pci.ko", "dep.ko", "" };
	char path[128];

	for (unsigned int i = 0; i < 4; i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		remove(path);
	}
}

/* All that a job needs is built in, but for one module, which is the input's. */
static void make_dir(void)
{
	static const char builtin[] =
		"kernel/virtio_mmio.ko\nkernel/virtio_console.ko\nkernel/virtiofs.ko\nkernel/overlay.ko\nkernel/virtio_net.ko\n";

	strcpy(dir, "/tmp/fuzz-job.XXXXXX");
	fuzz_check(mkdtemp(dir));
	atexit(remove_all);
	put("modules.builtin", builtin, sizeof(builtin) - 1);
}

void fuzz_one(struct fuzz *f)
{
	const unsigned int what = fuzz_below(f, 4);
	const void *initramfs = NULL;
	char release[32];
	size_t len, size;
	const uint8_t *data = fuzz_bytes(f, 64 * KIB, &len);

	if (!*dir)
		make_dir();
	if (what == 0) {
		const char *path = fuzz_file(0, data, len, len);

		if (!boot_kernel_release(path, release, sizeof(release)))
			fuzz_check(strlen(release) > 0 && !strchr(release, '/'));
		return;
	}
	put(what == 3 ? "dep.ko" : "virtio-pci.ko", data, len);
	if (!boot_agent_initramfs(&initramfs, &size, dir, what == 2, "arg=x", 6)) {
		fuzz_check(memmem(initramfs, size, "TRAILER!!!", 11));
		free((void *)initramfs);
	}
}
