/* The kernel's own counters of this network namespace, and what they grew by in a run. */
#include <ifaddrs.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "guest-tests/bench/netstat.h"

const char *const netstat_names[NETSTAT_COUNT] = { "tcp.RetransSegs", "tcp.ListenOverflows",
						   "tcp.ListenDrops", "dev.tx_dropped" };

static void take(struct netstat *now, const char *name, const char *value)
{
	for (int i = 0; i < NETSTAT_COUNT; i++)
		if (!strcmp(name, strchr(netstat_names[i], '.') + 1))
			now->value[i] = strtoll(value, NULL, 10);
}

/* Both files hold pairs of lines with the same first word: names, then values in the same order. */
static void read_pairs(const char *dir, const char *file, const char *first_word,
		       struct netstat *now)
{
	char path[256], names[8192], values[8192];
	char *save_n, *save_v, *n, *v;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, file);
	f = fopen(path, "re");
	if (!f)
		return;
	while (fgets(names, sizeof(names), f) && fgets(values, sizeof(values), f)) {
		if (strncmp(names, first_word, strlen(first_word)))
			continue;
		n = strtok_r(names, " \n", &save_n);
		v = strtok_r(values, " \n", &save_v);
		while (n && v) {
			take(now, n, v);
			n = strtok_r(NULL, " \n", &save_n);
			v = strtok_r(NULL, " \n", &save_v);
		}
	}
	fclose(f);
}

/* Lines "NAME: 8 numbers of what came, then bytes, packets, errors and drops of what was sent". */
static void read_interface(const char *dir, const char *interface, struct netstat *now)
{
	char path[256], line[512], name[32];
	long long dropped;
	FILE *f;

	snprintf(path, sizeof(path), "%s/dev", dir);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, " %31[^:]: %*d %*d %*d %*d %*d %*d %*d %*d %*d %*d %*d %lld", name,
			   &dropped) == 2 &&
		    !strcmp(name, interface))
			now->value[NETSTAT_TX_DROPPED] = dropped;
	if (f)
		fclose(f);
}

void netstat_interface(struct in_addr host, char *name)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(9), .sin_addr = host };
	socklen_t length = sizeof(at);
	struct ifaddrs *all = NULL;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	*name = 0;
	/* Connecting sends nothing, but chooses the address that it would be sent from. */
	if (!connect(fd, (struct sockaddr *)&at, sizeof(at)) &&
	    !getsockname(fd, (struct sockaddr *)&at, &length) && !getifaddrs(&all))
		for (struct ifaddrs *i = all; i && !*name; i = i->ifa_next)
			if (i->ifa_addr && i->ifa_addr->sa_family == AF_INET &&
			    ((struct sockaddr_in *)i->ifa_addr)->sin_addr.s_addr ==
				    at.sin_addr.s_addr)
				snprintf(name, IFNAMSIZ, "%s", i->ifa_name);
	freeifaddrs(all);
	if (fd >= 0)
		close(fd);
}

void netstat_read(const char *dir, const char *interface, struct netstat *now)
{
	for (int i = 0; i < NETSTAT_COUNT; i++)
		now->value[i] = -1;
	read_pairs(dir, "snmp", "Tcp:", now);
	read_pairs(dir, "netstat", "TcpExt:", now);
	read_interface(dir, interface, now);
}

struct netstat netstat_delta(const struct netstat *before, const struct netstat *after)
{
	struct netstat d;

	for (int i = 0; i < NETSTAT_COUNT; i++) {
		d.value[i] = -1;
		if (before->value[i] >= 0 && after->value[i] >= 0)
			d.value[i] = after->value[i] - before->value[i];
	}
	return d;
}
