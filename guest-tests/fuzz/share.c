/* A directory of the host for a guest that must not get out of it. */
#include "guest-tests/fuzz/fuzz.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#define FILE_MAX (1 * MIB)

static char top[128]; /* holds the file "outside" and the directory "share", no more */
static int nr_open;

static void write_file(int dir, const char *name, const char *text)
{
	const int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

	fuzz_check(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	close(fd);
}

static int count_entries(const char *path)
{
	DIR *dir = opendir(path);
	int n = 0;

	fuzz_check(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

const char *fuzz_share(void)
{
	static char path[160];
	/* In memory, where a thousand a second can be made. */
	const char *tmp = access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm";
	int dir;

	/* A guest may make a file as long as the host lets it, and have as much open. */
	signal(SIGXFSZ, SIG_IGN);
	setrlimit(RLIMIT_NOFILE, &(struct rlimit){ 128, 128 });
	setrlimit(RLIMIT_FSIZE, &(struct rlimit){ FILE_MAX, FILE_MAX });
	snprintf(top, sizeof(top), "%s/minivmm-fuzz-XXXXXX", tmp);
	fuzz_check(mkdtemp(top));
	snprintf(path, sizeof(path), "%s/share", top);
	dir = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	fuzz_check(dir >= 0);
	write_file(dir, "outside", "untouched");
	fuzz_check(!mkdirat(dir, "share", 0755) && !mkdirat(dir, "share/d", 0755));
	write_file(dir, "share/a", "some text");
	write_file(dir, "share/d/b", "");
	fuzz_check(!symlinkat("../outside", dir, "share/up") &&
		   !symlinkat("/etc", dir, "share/abs"));
	fuzz_check(!mkfifoat(dir, "share/p", 0644));
	close(dir);
	nr_open = count_entries("/proc/self/fd");
	return path;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

void fuzz_share_remove(void)
{
	char path[160], text[32] = "";
	int fd;

	fuzz_check(count_entries("/proc/self/fd") == nr_open);
	fuzz_check(count_entries(top) == 4);
	snprintf(path, sizeof(path), "%s/outside", top);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	fuzz_check(fd >= 0 && read(fd, text, sizeof(text)) == 9 && !strcmp(text, "untouched"));
	close(fd);
	fuzz_check(!nftw(top, remove_one, 16, FTW_DEPTH | FTW_PHYS));
}
