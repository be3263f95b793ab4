/*
 * What a parent may have left, put right before any test: closed standard descriptors, signals ignored or blocked, a
 * strange umask. minivmm itself sees to these in main(), which tests have not; all else it must cope with anywhere.
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

__attribute__((constructor)) static void put_right(void)
{
	struct sigaction inherited;
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
}
