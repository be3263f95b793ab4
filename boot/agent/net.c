/*
 * IPv4 of the card eth0 and the loopback, of whoever is the init of a guest: the agent, and that of the small guest of the
 * tests. Both have their own fail().
 */
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <net/route.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "boot/agent/agent.h"

static void set(int s, unsigned int what, struct ifreq *r, const char *to, in_addr_t address)
{
	const struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = address };

	memcpy(&r->ifr_addr, &a, sizeof(a));
	if (ioctl(s, what, r) < 0)
		fail("set up the network card for", to, errno);
}

static in_addr_t address(const char *text)
{
	struct in_addr a;

	if (inet_pton(AF_INET, text, &a) != 1)
		fail("understand address", text, EINVAL);
	return a.s_addr;
}

/* Of "1" to "32", the length of a network's prefix. */
static in_addr_t netmask(const char *length)
{
	const size_t digits = strspn(length, "0123456789");
	const int bits = digits <= 2 ? atoi(length) : 0;

	if (length[digits] || bits < 1 || bits > 32)
		fail("understand prefix length", length, EINVAL);
	return htonl((uint32_t)(~0ull << (32 - bits)));
}

/* Up, and ready to send: the driver learns of its link by itself, and what is sent before that is lost. */
static void interface_up(int s, const char *name)
{
	struct ifreq r = { 0 };

	strncpy(r.ifr_name, name, IFNAMSIZ - 1);
	if (ioctl(s, SIOCGIFFLAGS, &r) < 0)
		fail("find network card", name, errno);
	r.ifr_flags |= IFF_UP;
	if (ioctl(s, SIOCSIFFLAGS, &r) < 0)
		fail("bring up network card", name, errno);
	for (int ms = 0; ms < 1000 && !(r.ifr_flags & IFF_RUNNING); ms++) {
		usleep(1000);
		ioctl(s, SIOCGIFFLAGS, &r);
	}
}

static void add_route(int s, const char *gateway)
{
	const struct sockaddr_in any = { .sin_family = AF_INET },
				 by = { .sin_family = AF_INET,
					.sin_addr.s_addr = address(gateway) };
	struct rtentry route = { .rt_flags = RTF_UP | RTF_GATEWAY };

	memcpy(&route.rt_dst, &any, sizeof(any));
	memcpy(&route.rt_genmask, &any, sizeof(any));
	memcpy(&route.rt_gateway, &by, sizeof(by));
	if (ioctl(s, SIOCADDRT, &route) < 0)
		fail("set the route to", gateway, errno);
}

/* Whatever stood there, a link elsewhere included, is replaced in the throw-away layer. */
static void write_resolver(const char *resolver, const char *domains)
{
	FILE *f;

	mkdir("/etc", 0755);
	unlink("/etc/resolv.conf");
	f = fopen("/etc/resolv.conf", "we");
	if (!f || fprintf(f, "nameserver %s\n", resolver) < 0 ||
	    (*domains && fprintf(f, "search %s\n", domains) < 0) || fclose(f))
		fail("write", "/etc/resolv.conf", errno);
}

/* All may ping, as where systemd is the init: the programs of a job's root have no capabilities by their files. */
static void allow_ping(void)
{
	FILE *f = fopen("/proc/sys/net/ipv4/ping_group_range", "we");

	if (f) {
		fputs("0 2147483647", f);
		fclose(f);
	}
}

void set_network(const char *net)
{
	const int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	char copy[512] = "", *rest = copy;
	struct ifreq r = { .ifr_name = "eth0" };

	allow_ping();
	interface_up(s, "lo");
	if (net) {
		strncpy(copy, net, sizeof(copy) - 1);
		const char *own = strsep(&rest, ":"), *gateway = strsep(&rest, ":"),
			   *resolver = strsep(&rest, ":"), *domains = rest ? rest : "";
		char *prefix = strchr(own, '/');

		if (!resolver || (*own && !prefix))
			fail("understand", net, EINVAL);
		if (*own) {
			const in_addr_t mask = netmask(prefix + 1);

			*prefix = '\0';
			set(s, SIOCSIFADDR, &r, own, address(own));
			set(s, SIOCSIFNETMASK, &r, own, mask);
		}
		interface_up(s, r.ifr_name);
		if (*gateway)
			add_route(s, gateway);
		if (*resolver)
			write_resolver(resolver, domains);
	}
	close(s);
}
