/* Counters of a network interface. */
#include "devices/net/ifstats.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/gen_stats.h>
#include <linux/pkt_sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "devices/net/rtattr.h"

#define DEV_PATH "/proc/thread-self/net/dev"

int ifstats_open(struct ifstats *s, const char *name)
{
	struct ifstats_values values;

	*s = IFSTATS_NONE;
	s->index = (int)if_nametoindex(name);
	s->dev_fd = open(DEV_PATH, O_RDONLY | O_CLOEXEC);
	if (s->dev_fd < 0)
		return -errno;
	s->netlink_fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
	return s->netlink_fd < 0 ? -errno : ifstats_read(s, &values);
}

void ifstats_close(struct ifstats *s)
{
	close_fd(s->dev_fd);
	close_fd(s->netlink_fd);
	*s = IFSTATS_NONE;
}

/* "NAME: 8 numbers of what came, 8 of what was sent": true where @line is of the interface @name. */
static bool parse_line(const char *name, const char *line, struct ifstats_values *v)
{
	const size_t len = strlen(name);
	unsigned long long rx[3], tx[3];

	line += strspn(line, " ");
	if (strncmp(line, name, len) || line[len] != ':')
		return false;
	if (sscanf(line + len + 1, "%*u %llu %llu %llu %*u %*u %*u %*u %*u %llu %llu %llu", &rx[0],
		   &rx[1], &rx[2], &tx[0], &tx[1], &tx[2]) != 6)
		return false;
	*v = (struct ifstats_values){ rx[0], rx[1], rx[2], tx[0], tx[1], tx[2] };
	return true;
}

int ifstats_read(const struct ifstats *s, struct ifstats_values *out)
{
	struct ifreq now = { .ifr_ifindex = s->index };
	char text[4096 + 1];
	size_t have = 0;
	off_t at = 0;

	if (ioctl(s->netlink_fd, SIOCGIFNAME, &now) < 0)
		return -errno;

	for (;;) {
		const ssize_t n = pread(s->dev_fd, text + have, sizeof(text) - 1 - have, at);
		char *line = text, *end;

		if (n <= 0)
			return n < 0 ? -errno : -ENODEV;
		at += n;
		have += (size_t)n;
		text[have] = '\0';
		for (; (end = strchr(line, '\n')); line = end + 1) {
			*end = '\0';
			if (parse_line(now.ifr_name, line, out))
				return 0;
		}
		have -= (size_t)(line - text); /* a line in two pieces */
		memmove(text, line, have);
		if (have == sizeof(text) - 1)
			return -EPROTO;
	}
}

/* ---- queueing disciplines ---- */

/* One message of the dump: 1 where it is our root's, with its drops. */
static int take_qdisc(const struct ifstats *s, const struct nlmsghdr *h, uint64_t *dropped)
{
	const struct tcmsg *tc = NLMSG_DATA(h);
	const struct rtattr *a;
	struct gnet_stats_queue queue;

	if (h->nlmsg_type != RTM_NEWQDISC || h->nlmsg_len < NLMSG_LENGTH(sizeof(*tc)) ||
	    tc->tcm_ifindex != s->index || tc->tcm_parent != TC_H_ROOT)
		return 0;
	a = rtattr_find((const char *)tc + NLMSG_ALIGN(sizeof(*tc)),
			(int)(h->nlmsg_len - NLMSG_LENGTH(sizeof(*tc))), TCA_STATS2);
	a = rtattr_find_in(a, TCA_STATS_QUEUE);
	if (!a || RTA_PAYLOAD(a) < sizeof(queue))
		return 0;
	memcpy(&queue, RTA_DATA(a), sizeof(queue));
	*dropped = queue.drops;
	return 1;
}

/*
 * The kernel answers while it is asked, so that a read never waits. write() and read(), not send() and recv(): the
 * sandbox has those already.
 */
int ifstats_read_qdisc(const struct ifstats *s, uint64_t *dropped)
{
	const struct {
		struct nlmsghdr h;
		struct tcmsg tc;
	} ask = {
		.h = { sizeof(ask), RTM_GETQDISC, NLM_F_REQUEST | NLM_F_DUMP, 1, 0 },
		.tc = { .tcm_family = AF_UNSPEC, .tcm_ifindex = s->index },
	};
	union {
		struct nlmsghdr h;
		uint8_t room[32768];
	} answer;
	bool found = false;

	if (write(s->netlink_fd, &ask, sizeof(ask)) < 0)
		return -errno;
	for (;;) {
		ssize_t len = read(s->netlink_fd, &answer, sizeof(answer));

		if (len <= 0)
			return len < 0 ? -errno : -ENODATA;
		for (const struct nlmsghdr *h = &answer.h; NLMSG_OK(h, (size_t)len);
		     h = NLMSG_NEXT(h, len)) {
			if (h->nlmsg_type == NLMSG_DONE)
				return found ? 0 : -ENOENT;
			if (h->nlmsg_type == NLMSG_ERROR)
				return ((const struct nlmsgerr *)NLMSG_DATA(h))->error ?: -EPROTO;
			found |= take_qdisc(s, h, dropped);
		}
	}
}
