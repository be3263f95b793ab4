/* passt as the network of a job. */
#include "vmm/passt.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/ethernet.h>
#include <net/if_arp.h>
#include <netinet/if_ether.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vmm/base/log.h"

#define ITS_SOCKET 3 /* its descriptor of it */
#define READY_MS   10000
#define END_MS	   1000

/*
 * --no-map-gw: the gateway is not the host. What is left of the host's loopback, frames to 127.0.0.0/8 themselves, is for
 * the backend to stop (host-loopback=off).
 */
static char *const command[] = {
	"passt",	"-f",	       "-q",	      "-F",	 "3",
	"-4",		"-a",	       PASST_ADDRESS, "-n",	 PASST_PREFIX,
	"-g",		PASST_GATEWAY, "-m",	      PASST_MTU, "--dns-forward",
	PASST_RESOLVER, "--no-map-gw", "-t",	      "none",	 "-u",
	"none",		NULL
};

static int spawn(pid_t *pid, int socket, int words)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t all;
	int err;

	sigfillset(&all);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);
	posix_spawnattr_setsigmask(&attr, &all);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, words, STDERR_FILENO);
	posix_spawn_file_actions_adddup2(&actions, socket, ITS_SOCKET);
	posix_spawn_file_actions_addclosefrom_np(&actions, ITS_SOCKET + 1);
	err = posix_spawnp(pid, command[0], &actions, &attr, command, environ);
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attr);
	return -err;
}

int passt_start(struct passt *p)
{
	int ends[2] = { -1, -1 }, words[2] = { -1, -1 }, ret = 0;

	/*
	 * Our end is named by an option, as if inherited: not close-on-exec. A pipe that is full takes no more: it never
	 * waits for us to read.
	 */
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) < 0 ||
	    pipe2(words, O_CLOEXEC | O_NONBLOCK) < 0)
		ret = -errno;
	if (!ret)
		ret = spawn(&p->pid, ends[1], words[1]);
	close(ends[1]);
	close(words[1]);
	p->socket = ends[0];
	p->words = words[0];
	if (!ret)
		return 0;
	log_error("cannot start passt: %s%s", strerror(-ret),
		  ret == -ENOENT ? " (install it: apt-get install passt; or give a tap: --net TAP)"
				 : "");
	passt_end(p);
	return ret;
}

static bool wait_for(int fd, int ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return TEMP_FAILURE_RETRY(poll(&p, 1, ms)) > 0;
}

/* ---- the first frame: who is the gateway? It answers as soon as it carries frames. ---- */

struct arp_frame {
	uint32_t len;
	struct ether_header eth;
	struct ether_arp arp;
} __attribute__((packed));

static bool ask(int socket)
{
	static const uint8_t us[ETH_ALEN] = { 0x02, 0, 0, 0, 0, 1 };
	struct arp_frame f = {
		.len = htonl(sizeof(f) - sizeof(f.len)),
		.eth = { .ether_type = htons(ETHERTYPE_ARP) },
		.arp.ea_hdr = { htons(ARPHRD_ETHER), htons(ETHERTYPE_IP), ETH_ALEN, 4,
				htons(ARPOP_REQUEST) },
	};

	memset(f.eth.ether_dhost, 0xff, ETH_ALEN);
	memcpy(f.eth.ether_shost, us, ETH_ALEN);
	memcpy(f.arp.arp_sha, us, ETH_ALEN);
	inet_pton(AF_INET, PASST_ADDRESS, f.arp.arp_spa);
	inet_pton(AF_INET, PASST_GATEWAY, f.arp.arp_tpa);
	return write(socket, &f, sizeof(f)) == sizeof(f);
}

static bool read_all(int socket, void *to, size_t len)
{
	for (uint8_t *at = to; len;) {
		const ssize_t n = wait_for(socket, READY_MS) ? read(socket, at, len) : -1;

		if (n <= 0)
			return false;
		at += n;
		len -= (size_t)n;
	}
	return true;
}

/* Whole frames are taken until it comes, so that the guest's begin with a whole one. */
static bool answered(int socket)
{
	uint8_t frame[65536];
	uint32_t len;

	do {
		if (!read_all(socket, &len, sizeof(len)))
			return false;
		len = ntohl(len);
		if (len < sizeof(struct ether_header) || len > sizeof(frame) ||
		    !read_all(socket, frame, len))
			return false;
	} while (frame[12] != ETHERTYPE_ARP >> 8 || frame[13] != (ETHERTYPE_ARP & 0xff));
	return true;
}

/* ---- its end ---- */

/* Reads all that it says, until it is gone; false if it is not by then. Lines go to @text, with "; " between them. */
static bool hear_out(int words, char *text, size_t room)
{
	char buf[4096], *line, *rest;
	size_t len = 0;
	ssize_t n = -1;

	while (len < sizeof(buf) - 1 && wait_for(words, END_MS) &&
	       (n = read(words, buf + len, sizeof(buf) - 1 - len)) > 0)
		len += (size_t)n;
	buf[len] = '\0';
	*text = '\0';
	for (rest = buf; (line = strsep(&rest, "\n"));) {
		/* Of every line that has no syslog to go to, and of a root that it will not be. */
		if (!*line || strstr(line, "to syslog") || strstr(line, "run as root"))
			continue;
		len = strlen(text);
		snprintf(text + len, room - len, "%s%s", len ? "; " : "", line);
	}
	return n == 0;
}

int passt_ready(struct passt *p)
{
	char text[300];
	bool gone;

	if (ask(p->socket) && answered(p->socket)) {
		signal(SIGCHLD, SIG_IGN); /* whenever it ends, nobody need wait for it */
		return 0;
	}
	close(p->socket);
	p->socket = -1;
	gone = hear_out(p->words, text, sizeof(text));
	if (!gone)
		kill(p->pid, SIGKILL);
	waitpid(p->pid, NULL, 0);
	log_error("passt %s: %s%s", gone ? "cannot carry the network" : "does not answer",
		  *text ? text : "it said nothing",
		  strstr(text, "routable")
			  ? " (this host needs a default route: ip route add default via GATEWAY)"
			  : "");
	passt_end(p);
	return -ENETDOWN;
}

void passt_end(struct passt *p)
{
	char buf[512];

	close_fd(p->socket);
	while (p->words >= 0 && wait_for(p->words, END_MS) && read(p->words, buf, sizeof(buf)) > 0)
		;
	close_fd(p->words);
	p->socket = p->words = -1;
}
