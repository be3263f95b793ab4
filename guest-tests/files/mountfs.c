/*
 * mountfs DIR MOUNTPOINT [ro | frozen] [owner=UID:GID]: what a guest's share is, without a guest: the FUSE server
 * (devices/virtio/fuse.h) for DIR behind this host's own FUSE client. Until it is unmounted; then it says what the server
 * has had to do, how often each kind of request came, and what it still holds. As root.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "devices/virtio/fuse.h"

#define THREADS	    4 /* as the device has */
#define REQUEST_MAX (FUSE_MAX_TRANSFER + 4096)

static struct fuse *fuse;
static int dev;
static _Atomic unsigned long requests, malformed, most_inodes, most_fds;

#define KIND(name) [FUSE_##name] = #name
static const char *const kind[] = {
	KIND(LOOKUP),
	KIND(FORGET),
	KIND(GETATTR),
	KIND(SETATTR),
	KIND(READLINK),
	KIND(SYMLINK),
	KIND(MKNOD),
	KIND(MKDIR),
	KIND(UNLINK),
	KIND(RMDIR),
	KIND(RENAME),
	KIND(LINK),
	KIND(OPEN),
	KIND(READ),
	KIND(WRITE),
	KIND(STATFS),
	KIND(RELEASE),
	KIND(FSYNC),
	KIND(SETXATTR),
	KIND(GETXATTR),
	KIND(LISTXATTR),
	KIND(REMOVEXATTR),
	KIND(FLUSH),
	KIND(INIT),
	KIND(OPENDIR),
	KIND(READDIR),
	KIND(RELEASEDIR),
	KIND(FSYNCDIR),
	KIND(CREATE),
	KIND(INTERRUPT),
	KIND(DESTROY),
	KIND(BATCH_FORGET),
	KIND(FALLOCATE),
	KIND(READDIRPLUS),
	KIND(RENAME2),
	KIND(LSEEK),
	KIND(COPY_FILE_RANGE),
};
static _Atomic unsigned long of_kind[sizeof(kind) / sizeof(kind[0])];

static void note_usage(void)
{
	uint64_t inodes, fds;

	fuse_usage(fuse, &inodes, &fds);
	if (inodes > most_inodes)
		most_inodes = inodes;
	if (fds > most_fds)
		most_fds = fds;
}

static void tell_kinds(void)
{
	for (size_t i = 0; i < sizeof(kind) / sizeof(kind[0]); i++)
		if (of_kind[i])
			printf("%s %lu\n", kind[i] ? kind[i] : "OTHER", of_kind[i]);
}

static void *serve(void *arg)
{
	struct fuse_buffer *buffer = calloc(1, fuse_buffer_size);
	uint8_t *in = malloc(REQUEST_MAX), *out = malloc(REQUEST_MAX);

	for (;;) {
		const ssize_t n = read(dev, in, REQUEST_MAX);
		struct iovec from = { in, (size_t)n }, to = { out, REQUEST_MAX };
		struct fuse_result result;
		uint32_t len;

		if (n < 0 && (errno == EINTR || errno == ENOENT || errno == EAGAIN))
			continue;
		if (n <= 0)
			break; /* ENODEV: unmounted */
		len = fuse_serve(fuse, buffer, &from, 1, &to, 1, &result);
		if (++requests % 64 == 0)
			note_usage();
		malformed += result.malformed;
		if (result.opcode < sizeof(kind) / sizeof(kind[0]))
			of_kind[result.opcode]++;
		/* ENOENT: it was interrupted. */
		if (len && write(dev, out, len) < 0 && errno != ENOENT)
			perror("mountfs: cannot answer");
	}
	free(buffer);
	free(in);
	free(out);
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t thread[THREADS];
	uint64_t inodes, fds;
	unsigned int uid, gid;
	char options[128];
	enum fuse_access access = FUSE_READ_WRITE;

	if (argc < 3) {
		fprintf(stderr, "usage: mountfs DIR MOUNTPOINT [ro | frozen] [owner=UID:GID]\n");
		return 2;
	}
	if (argc > 3 && !strcmp(argv[3], "ro"))
		access = FUSE_READ_ONLY;
	if (argc > 3 && !strcmp(argv[3], "frozen"))
		access = FUSE_FROZEN;
	dev = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	snprintf(options, sizeof(options),
		 "fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other,default_permissions", dev);
	if (dev < 0 || fuse_create(&fuse, argv[1], access) ||
	    mount("mountfs", argv[2], "fuse",
		  MS_NOSUID | MS_NODEV | (access == FUSE_READ_WRITE ? 0 : MS_RDONLY),
		  options) < 0) {
		perror("mountfs");
		return 1;
	}
	if (argc > 3 && sscanf(argv[argc - 1], "owner=%u:%u", &uid, &gid) == 2)
		fuse_set_owner(fuse, uid, gid);
	for (int i = 0; i < THREADS; i++)
		pthread_create(&thread[i], NULL, serve, NULL);
	puts("ready");
	fflush(stdout);
	for (int i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	tell_kinds();
	note_usage();
	fuse_reset(fuse);
	fuse_usage(fuse, &inodes, &fds);
	printf("requests %lu malformed %lu inodes %lu fds %lu left %lu %lu\n", requests, malformed,
	       most_inodes, most_fds, (unsigned long)inodes, (unsigned long)fds);
	fuse_destroy(fuse);
	return 0;
}
