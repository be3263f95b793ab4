/*
 * fsops DIR SEED COUNT: so many operations on files below DIR, chosen by SEED, each told on standard output with all that
 * a program can see of its result. Done with the same seed on two file systems, the outputs are to be the same.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#define MAX_SIZE 300000u
#define NR_OPEN	 4

static uint64_t state;
static int open_fd[NR_OPEN] = { -1, -1, -1, -1 };

static unsigned int pick(unsigned int n)
{
	state = state * 6364136223846793005ull + 1442695040888963407ull;
	return (unsigned int)(state >> 33) % n;
}

/* One of few names, so that they meet each other: a, or d/a, or d/e/a. */
static const char *name(void)
{
	static char text[4][16];
	static unsigned int next;
	char *t = text[next++ % 4], *to = t;

	for (unsigned int depth = pick(3); depth; depth--)
		to += sprintf(to, "%c/", "de"[pick(2)]);
	sprintf(to, "%c", "abcde"[pick(5)]);
	return t;
}

static void __attribute__((format(printf, 2, 3))) told(long result, const char *fmt, ...)
{
	const int err = errno;
	va_list ap;

	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	if (result < 0)
		printf(": %s\n", strerrorname_np(err));
	else
		printf(": %ld\n", result);
}

static unsigned long sum(const unsigned char *data, size_t len)
{
	unsigned long s = len;

	for (size_t i = 0; i < len; i++)
		s = s * 31 + data[i];
	return s;
}

static unsigned char buffer[MAX_SIZE];

static size_t fill(void)
{
	const size_t len = pick(8) ? pick(5000) : pick(MAX_SIZE / 2);

	memset(buffer, (int)pick(256), len);
	return len;
}

static void look(const char *n)
{
	struct stat st;
	const int ret = lstat(n, &st);

	told(ret, "stat %s", n);
	if (!ret)
		printf("  %o %lu %ld %lu\n", st.st_mode,
		       S_ISDIR(st.st_mode) ? 0 : (unsigned long)st.st_nlink,
		       S_ISDIR(st.st_mode) ? 0 : (long)st.st_size, (unsigned long)st.st_uid);
}

static void contents(const char *n)
{
	const int fd = open(n, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
	ssize_t len = fd < 0 ? -1 : read(fd, buffer, sizeof(buffer));

	told(len, "read %s", n);
	if (len >= 0)
		printf("  %lx\n", sum(buffer, (size_t)len));
	if (fd >= 0)
		close(fd);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void list(const char *n)
{
	DIR *d = opendir(n);
	char *all[64];
	int nr = 0;

	told(d ? 0 : -1, "list %s", n);
	for (struct dirent *e; d && nr < 64 && (e = readdir(d));)
		if (asprintf(&all[nr], "%s %d", e->d_name, e->d_type) >= 0)
			nr++;
	qsort(all, (size_t)nr, sizeof(*all), by_name);
	for (int i = 0; i < nr; i++) {
		printf("  %s\n", all[i]);
		free(all[i]);
	}
	if (d)
		closedir(d);
}

static void open_one(const char *n)
{
	static const int flags[] = { O_RDWR,
				     O_RDWR | O_CREAT,
				     O_RDWR | O_CREAT | O_EXCL,
				     O_WRONLY | O_TRUNC,
				     O_WRONLY | O_CREAT | O_APPEND,
				     O_RDONLY,
				     O_RDWR | O_CREAT | O_TRUNC };
	const unsigned int i = pick(NR_OPEN), f = pick(sizeof(flags) / sizeof(flags[0]));

	if (open_fd[i] >= 0)
		told(close(open_fd[i]), "close #%u", i);
	open_fd[i] = open(n, flags[f] | O_NONBLOCK, 0666);
	told(open_fd[i] < 0 ? -1 : 0, "open #%u %s %x", i, n, flags[f]);
}

/* What may be done with a file that is open, whether it still has a name or not. */
static void use_open(unsigned int what)
{
	const unsigned int i = pick(NR_OPEN), j = pick(NR_OPEN);
	const off_t at = pick(MAX_SIZE / 2);
	const int fd = open_fd[i];
	off_t from = pick(1000), to = pick(1000);
	struct stat st;
	size_t len;
	ssize_t n;
	void *map;

	switch (what) {
	case 0:
	case 1:
		len = fill();
		told(what ? write(fd, buffer, len) : pwrite(fd, buffer, len, at), "write #%u %zu",
		     i, len);
		break;
	case 2:
		n = pread(fd, buffer, pick(MAX_SIZE), at);
		told(n, "pread #%u %ld", i, (long)at);
		if (n > 0)
			printf("  %lx\n", sum(buffer, (size_t)n));
		break;
	case 3:
		told(ftruncate(fd, at), "truncate #%u %ld", i, (long)at);
		break;
	case 4:
		n = fstat(fd, &st);
		told(n, "fstat #%u", i);
		if (!n)
			printf("  %o %lu %ld\n", st.st_mode, (unsigned long)st.st_nlink,
			       (long)st.st_size);
		break;
	case 5:
		told(pick(2) ? fsync(fd) : fdatasync(fd), "fsync #%u", i);
		break;
	case 6:
		told(fallocate(fd, pick(2) ? FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE : 0, at,
			       1 + pick(10000)),
		     "fallocate #%u %ld", i, (long)at);
		break;
	case 7:
		len = pick(20000);
		told(copy_file_range(fd, &from, open_fd[j], &to, len, 0), "copy #%u #%u %zu", i, j,
		     len);
		break;
	case 8:
		if (fstat(fd, &st) ||
		    !S_ISREG(st.st_mode)) /* of a directory it is each file system's own */
			break;
		told(lseek(fd, (off_t)pick(1000), (int)pick(3)), "lseek #%u", i);
		break;
	case 9:
		map = fstat(fd, &st) || !st.st_size
			      ? MAP_FAILED
			      : mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED,
				     fd, 0);
		told(map == MAP_FAILED ? -1 : 0, "mmap #%u", i);
		if (map != MAP_FAILED) {
			((unsigned char *)map)[pick((unsigned int)st.st_size)] = 77;
			printf("  %lx\n", sum(map, (size_t)st.st_size));
			munmap(map, (size_t)st.st_size);
		}
		break;
	}
}

static void one(void)
{
	const char *n = name(), *m = name();
	const mode_t mode = 0400 | pick(01000);
	struct timespec t[2] = { { (time_t)pick(1u << 31), pick(1000000000) },
				 { (time_t)pick(1u << 31), 5 } };
	struct stat st;
	ssize_t len;

	switch (pick(31)) {
	case 0:
		told(mkdir(n, mode | 0700), "mkdir %s %o", n, mode | 0700);
		break;
	case 1:
		told(mkdir("d", 0755) & mkdir("e", 0755) & mkdir("d/e", 0755), "mkdir d e");
		break;
	case 2:
		told(rmdir(n), "rmdir %s", n);
		break;
	case 3:
		told(unlink(n), "unlink %s", n);
		break;
	case 4:
		told(rename(n, m), "rename %s %s", n, m);
		break;
	case 5:
		told(renameat2(AT_FDCWD, n, AT_FDCWD, m, RENAME_NOREPLACE), "noreplace %s %s", n,
		     m);
		break;
	case 6:
		told(renameat2(AT_FDCWD, n, AT_FDCWD, m, RENAME_EXCHANGE), "exchange %s %s", n, m);
		break;
	case 7:
		told(link(n, m), "link %s %s", n, m);
		break;
	case 8:
		told(symlink(n, m), "symlink %s %s", n, m);
		break;
	case 9:
		len = readlink(n, (char *)buffer, sizeof(buffer));
		told(len, "readlink %s", n);
		break;
	case 10:
		told(mkfifo(n, mode), "mkfifo %s", n);
		break;
	case 11:
		if (stat(n, &st) || !S_ISFIFO(st.st_mode)) /* a share's stays before Linux 6.6 */
			told(chmod(n, mode | 0600), "chmod %s %o", n, mode | 0600);
		break;
	case 12:
		told(utimensat(AT_FDCWD, n, t, AT_SYMLINK_NOFOLLOW), "utimens %s", n);
		if (!lstat(n, &st))
			printf("  %ld.%09ld\n", (long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
		break;
	case 13:
		told(setxattr(n, "user.x", buffer, pick(100), (int)pick(3)), "setxattr %s", n);
		break;
	case 14:
		told(getxattr(n, "user.x", buffer, sizeof(buffer)), "getxattr %s", n);
		break;
	case 15:
		told(truncate(n, pick(MAX_SIZE / 2)), "truncate %s", n);
		break;
	case 16:
		list(pick(2) ? n : ".");
		break;
	case 17:
		contents(n);
		break;
	case 18:
		look(n);
		break;
	case 19:
		told(access(n, (int)pick(8)), "access %s", n);
		break;
	case 20:
	case 21:
		open_one(n);
		break;
	default:
		use_open(pick(10));
		break;
	}
}

int main(int argc, char **argv)
{
	if (argc != 4 || chdir(argv[1])) {
		fprintf(stderr, "usage: fsops DIR SEED COUNT\n");
		return 2;
	}
	signal(SIGPIPE, SIG_IGN); /* of a FIFO whose reader is gone the answer counts */
	umask(022);
	state = strtoull(argv[2], NULL, 0);
	for (unsigned long i = strtoul(argv[3], NULL, 0); i; i--)
		one();
	return 0;
}
