/*
 * What a parent may have left, put right before any test: closed standard descriptors, signals ignored or blocked, a
 * strange umask, soft limits. minivmm itself sees to these in main(), which tests have not; all else it must cope with anywhere.
 * And what the programs that tests start go by, PATH and the language.
 */
#include "vmm/base/test/parent.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/base/test/unit.h"
#include "vmm/base/util.h"

__attribute__((constructor)) static void put_right(void)
{
	static const int limits[] = { RLIMIT_NOFILE, RLIMIT_AS, RLIMIT_DATA, RLIMIT_FSIZE };
	struct sigaction inherited;
	struct rlimit limit;
	sigset_t none;

	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) < 0)
			_exit(125);
	for (int s = 1; s <= SIGRTMAX; s++)
		if (sigaction(s, NULL, &inherited) == 0 && inherited.sa_handler == SIG_IGN)
			signal(s, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	umask(022);
	if (!getenv("PATH") || !*getenv("PATH"))
		setenv("PATH", "/usr/sbin:/usr/bin:/sbin:/bin", 1);
	setenv("LC_ALL", "C", 1);
	for (unsigned int i = 0; i < ARRAY_SIZE(limits); i++) {
		getrlimit(limits[i], &limit);
		limit.rlim_cur = limit.rlim_max;
		setrlimit(limits[i], &limit);
	}
}

void need_descriptors(unsigned int n)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur >= n)
		return;
	print_message("it takes %u descriptors (ulimit -n)\n", n);
	skip();
}

void need_memory(size_t bytes)
{
	void *all = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (all != MAP_FAILED) {
		munmap(all, bytes);
		return;
	}
	print_message("it reserves %zu MiB (ulimit -v)\n", bytes >> 20);
	skip();
}

void need_proc(void)
{
	if (access("/proc/self/fd", X_OK) == 0)
		return;
	print_message("it takes /proc\n");
	skip();
}
