/*
 * /init of the small Linux guest: brings up the network, runs crr (and netserver, if there is one), and ends the machine
 * with crr's status: 0 by power-off, 1-123 through I/O port 0xf4.
 *
 * The agent cannot stand in for it: that takes its job from minivmm, over a port that only minivmm has, and this guest is
 * measured under every VMM, without a file system behind it. The network is set up by the agent's own code.
 *
 * On the kernel's command line:
 *
 *   ip=A.B.C.D[/LEN]   eth0's address (default 10.0.1.2/24)
 *   gw=A.B.C.D         the default route (default: none)
 *   -- WORD...         crr's arguments (default: server)
 */
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "boot/agent/agent.h"

#define STATUS_MAX 123
#define NETSERVER  "/bin/netserver"
#define MAX_ARGS   64

__attribute__((noreturn)) static void end(int status)
{
	fflush(stdout);
	/* What the console still has to say would end with the machine. */
	tcdrain(STDOUT_FILENO);
	if (status && ioperm(JOB_STATUS_PORT, 1, 1) == 0)
		outb(status > STATUS_MAX ? STATUS_MAX : (unsigned char)status, JOB_STATUS_PORT);
	reboot(RB_POWER_OFF);
	for (;;)
		pause();
}

void fail(const char *what, const char *on, int err)
{
	printf("init: cannot %s '%s': %s\n", what, on, strerror(err));
	end(STATUS_MAX);
}

static void mount_all(void)
{
	if (mount("proc", "/proc", "proc", 0, NULL) || mount("sysfs", "/sys", "sysfs", 0, NULL) ||
	    mount("dev", "/dev", "devtmpfs", 0, NULL) || mount("tmp", "/tmp", "tmpfs", 0, NULL))
		fail("mount", "/proc, /sys, /dev or /tmp", errno);
}

/* The kernel's own limits would drop connections of a burst that the server could take. */
static void raise_limit(const char *path)
{
	FILE *f = fopen(path, "w");

	if (!f || fputs("65535", f) < 0 || fclose(f))
		fail("write", path, errno);
}

static void network(void)
{
	/* The kernel makes environment of words NAME=VALUE that it does not know. */
	const char *ip = getenv("ip"), *gw = getenv("gw");
	char net[100];

	if (!if_nametoindex("eth0")) {
		printf("init: no network card\n");
		set_network(NULL);
		return;
	}
	/* kvmtool puts an ip=dhcp of its own on the command line. */
	if (!ip || !strcmp(ip, "dhcp"))
		ip = "10.0.1.2";
	if ((size_t)snprintf(net, sizeof(net), "%s%s:%s:", ip, strchr(ip, '/') ? "" : "/24",
			     gw ? gw : "") >= sizeof(net))
		fail("understand", ip, ENAMETOOLONG);
	set_network(net);
}

static pid_t run(const char *path, char **argv)
{
	pid_t pid = fork();

	if (pid < 0)
		fail("start", path, errno);
	if (pid == 0) {
		execv(path, argv);
		printf("init: cannot run '%s': %s\n", path, strerror(errno));
		fflush(stdout);
		_exit(STATUS_MAX);
	}
	return pid;
}

/*
 * What follows "--" on the command line, else the server. Our own arguments are not that: the kernel also puts there
 * every bare word that it does not know, and kvmtool has such.
 */
static char **crr_arguments(void)
{
	static char *args[MAX_ARGS + 2] = { "crr", "server" };
	static char line[4096];
	FILE *f = fopen("/proc/cmdline", "r");
	char *word;
	int n = 1;

	if (!f || !fgets(line, sizeof(line), f))
		fail("read", "/proc/cmdline", errno);
	fclose(f);
	word = strstr(line, " -- ");
	if (!word)
		return args;
	for (word = strtok(word + 4, " \n"); word && n <= MAX_ARGS; word = strtok(NULL, " \n"))
		args[n++] = word;
	if (word)
		fail("take so many words as behind", "--", E2BIG);
	args[n] = NULL;
	return args;
}

int main(void)
{
	char *netserver[] = { "netserver", NULL };
	int how, status;
	pid_t crr;

	/* The sign of life that guest-tests/bench/compare takes the time of. */
	printf("bench-guest: up\n");
	mount_all();
	raise_limit("/proc/sys/net/core/somaxconn");
	raise_limit("/proc/sys/net/ipv4/tcp_max_syn_backlog");
	network();
	if (access(NETSERVER, X_OK) == 0)
		run(NETSERVER, netserver);
	crr = run("/bin/crr", crr_arguments());
	/* Also the end of every orphan is ours to see. */
	while (wait(&how) != crr)
		continue;
	status = WIFEXITED(how) ? WEXITSTATUS(how) : STATUS_MAX;
	printf("init: crr ended with status %d\n", status);
	end(status);
}
