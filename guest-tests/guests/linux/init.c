/*
 * /init of the Linux guest: brings up the network, runs crr (and netserver, if there is one), and ends the machine with
 * crr's status: 0 by power-off, 1-123 through I/O port 0xf4.
 *
 * On the kernel's command line:
 *
 *   ip=A.B.C.D[/LEN]   eth0's address (default 10.0.1.2/24)
 *   gw=A.B.C.D         the default route (default: none)
 *   -- WORD...         crr's arguments (default: server)
 */
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <net/route.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#define STATUS_PORT 0xf4
#define STATUS_MAX  123
#define NETSERVER   "/bin/netserver"
#define MAX_ARGS    64

static const char default_address[] = "10.0.1.2/24";

__attribute__((noreturn)) static void end(int status)
{
	fflush(stdout);
	/* What the console still has to say would end with the machine. */
	tcdrain(STDOUT_FILENO);
	if (status && ioperm(STATUS_PORT, 1, 1) == 0)
		outb(status > STATUS_MAX ? STATUS_MAX : (unsigned char)status, STATUS_PORT);
	reboot(RB_POWER_OFF);
	for (;;)
		pause();
}

__attribute__((noreturn, format(printf, 1, 2))) static void fail(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	printf("init: ");
	vprintf(format, args);
	printf("\n");
	va_end(args);
	end(STATUS_MAX);
}

static void mount_all(void)
{
	if (mount("proc", "/proc", "proc", 0, NULL) || mount("sysfs", "/sys", "sysfs", 0, NULL) ||
	    mount("dev", "/dev", "devtmpfs", 0, NULL) || mount("tmp", "/tmp", "tmpfs", 0, NULL))
		fail("cannot mount: %s", strerror(errno));
}

/* The kernel's own limits would drop connections of a burst that the server could take. */
static void raise_limit(const char *path)
{
	FILE *f = fopen(path, "w");

	if (!f || fputs("65535", f) < 0 || fclose(f))
		fail("cannot write '%s': %s", path, strerror(errno));
}

/* Reads "A.B.C.D", or with len "A.B.C.D/LEN"; without /LEN, *len stays as it is. */
static struct sockaddr_in address(const char *word, const char *value, unsigned int *len)
{
	struct sockaddr_in sin = { .sin_family = AF_INET };
	char text[INET_ADDRSTRLEN + sizeof("/32")];
	char *slash, *rest;
	unsigned long n;

	if (strlen(value) >= sizeof(text))
		fail("bad %s=%s", word, value);
	strcpy(text, value);
	slash = len ? strchr(text, '/') : NULL;
	if (slash) {
		*slash = '\0';
		n = strtoul(slash + 1, &rest, 10);
		if (rest == slash + 1 || *rest || n < 1 || n > 32)
			fail("bad %s=%s: the length is 1 to 32", word, value);
		*len = (unsigned int)n;
	}
	if (inet_pton(AF_INET, text, &sin.sin_addr) != 1)
		fail("bad %s=%s: A.B.C.D%s expected", word, value, len ? "[/LEN]" : "");
	return sin;
}

static void request(int fd, unsigned long code, struct ifreq *ifr, const char *what)
{
	if (ioctl(fd, code, ifr))
		fail("cannot set %s of %s: %s", what, ifr->ifr_name, strerror(errno));
}

static void link_up(int fd, const char *name)
{
	struct ifreq ifr = { .ifr_flags = IFF_UP };

	strcpy(ifr.ifr_name, name);
	request(fd, SIOCSIFFLAGS, &ifr, "the flags");
}

static void set_address(int fd, const char *name, const char *value)
{
	struct sockaddr_in mask = { .sin_family = AF_INET };
	struct sockaddr_in sin;
	struct ifreq ifr = { 0 };
	unsigned int len = 24;

	sin = address("ip", value, &len);
	mask.sin_addr.s_addr = htonl(~0u << (32 - len));
	strcpy(ifr.ifr_name, name);
	memcpy(&ifr.ifr_addr, &sin, sizeof(sin));
	request(fd, SIOCSIFADDR, &ifr, "the address");
	memcpy(&ifr.ifr_netmask, &mask, sizeof(mask));
	request(fd, SIOCSIFNETMASK, &ifr, "the netmask");
}

static void add_route(int fd, const char *value)
{
	struct sockaddr_in any = { .sin_family = AF_INET };
	struct sockaddr_in gateway = address("gw", value, NULL);
	struct rtentry route = { .rt_flags = RTF_UP | RTF_GATEWAY };

	memcpy(&route.rt_dst, &any, sizeof(any));
	memcpy(&route.rt_genmask, &any, sizeof(any));
	memcpy(&route.rt_gateway, &gateway, sizeof(gateway));
	if (ioctl(fd, SIOCADDRT, &route))
		fail("cannot add the route by gw=%s: %s", value, strerror(errno));
}

static void network(void)
{
	/* The kernel makes environment of words NAME=VALUE that it does not know. */
	const char *ip = getenv("ip"), *gw = getenv("gw");
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		fail("no sockets: %s", strerror(errno));
	link_up(fd, "lo");
	if (if_nametoindex("eth0")) {
		/* kvmtool puts an ip=dhcp of its own on the command line. */
		if (!ip || !strcmp(ip, "dhcp"))
			ip = default_address;
		set_address(fd, "eth0", ip);
		link_up(fd, "eth0");
		if (gw)
			add_route(fd, gw);
	} else {
		printf("init: no network card\n");
	}
	close(fd);
}

static pid_t run(const char *path, char **argv)
{
	pid_t pid = fork();

	if (pid < 0)
		fail("cannot fork: %s", strerror(errno));
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
		fail("cannot read /proc/cmdline: %s", strerror(errno));
	fclose(f);
	word = strstr(line, " -- ");
	if (!word)
		return args;
	for (word = strtok(word + 4, " \n"); word && n <= MAX_ARGS; word = strtok(NULL, " \n"))
		args[n++] = word;
	if (word)
		fail("more than %d words after --", MAX_ARGS);
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
