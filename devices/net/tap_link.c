/* A tap's interface, which its name tells only within its network namespace. */
#include "devices/net/tap_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "devices/net/rtattr.h"
#include "vmm/base/log.h"

/* And its counters, where they can be had: the tap carries frames without. */
static int open_socket(struct tap *tap)
{
	if (ifstats_open(&tap->stats, tap->ifname))
		ifstats_close(&tap->stats);
	return socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
}

static int get_mtu(int sock, const char *ifname)
{
	struct ifreq ifr = { 0 };

	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", ifname);
	return ioctl(sock, SIOCGIFMTU, &ifr) < 0 ? 0 : ifr.ifr_mtu;
}

static bool same_netns(int ns)
{
	struct stat a, b;

	return fstat(ns, &a) == 0 && stat(OUR_NETNS, &b) == 0 && a.st_ino == b.st_ino &&
	       a.st_dev == b.st_dev;
}

/* Has our interface of that name the address of the tap behind the descriptor? */
static bool same_address(const struct tap *tap, int sock)
{
	struct ifreq theirs = { 0 }, ours = { 0 };

	memcpy(ours.ifr_name, tap->ifname, sizeof(ours.ifr_name));
	return ioctl(tap->be.fd[0], SIOCGIFHWADDR, &theirs) == 0 &&
	       ioctl(sock, SIOCGIFHWADDR, &ours) == 0 &&
	       !memcmp(theirs.ifr_hwaddr.sa_data, ours.ifr_hwaddr.sa_data, 6);
}

/* A socket keeps the namespace that its maker was in. -EXDEV if there is no way back. */
static int open_socket_in(struct tap *tap, int ns)
{
	const int home = open(OUR_NETNS, O_RDONLY | O_CLOEXEC);
	int sock = -1;

	if (home < 0)
		return -1;
	if (setns(ns, CLONE_NEWNET) == 0) {
		sock = open_socket(tap);
		if (setns(home, CLONE_NEWNET) < 0) {
			log_error("cannot return to the network namespace: %s", strerror(errno));
			close(sock);
			sock = -EXDEV;
		}
	}
	close(home);
	return sock;
}

/*
 * A socket in whose namespace the tap's name means the tap, or -1 where that cannot be had. A descriptor
 * from the user may be of a tap elsewhere, with a namesake here.
 */
static int socket_beside(struct tap *tap, bool given)
{
	const int ns = given ? ioctl(tap->be.fd[0], TUNGETDEVNETNS) : -1;
	int sock;

	if (ns >= 0 && !same_netns(ns)) {
		sock = open_socket_in(tap, ns);
	} else {
		sock = open_socket(tap);
		/* Only an administrator is told the namespace; then the address must do. */
		if (given && ns < 0 && sock >= 0 && !same_address(tap, sock)) {
			close(sock);
			ifstats_close(&tap->stats);
			sock = -1;
		}
	}
	close_fd(ns);
	return sock;
}

/* What the kernel says of the tap's interface; 0 where it does not. */
struct link {
	uint32_t master; /* the interface of the bridge that it is on */
	/* Of a tap alone, since Linux 4.17. */
	uint32_t queues; /* open ones */
	bool pi;	 /* without IFF_NO_PI: each frame is behind four bytes more */
};

static uint32_t number(const struct rtattr *a)
{
	uint32_t n = 0;

	if (a)
		memcpy(&n, RTA_DATA(a), MIN(sizeof(n), RTA_PAYLOAD(a)));
	return n;
}

static struct link ask_link(const struct tap *tap, int sock)
{
	struct {
		struct nlmsghdr h;
		struct ifinfomsg info;
		struct rtattr name;
		char ifname[IFNAMSIZ];
	} ask = {
		.h = { sizeof(ask), RTM_GETLINK, NLM_F_REQUEST, 1, 0 },
		.name = { RTA_LENGTH(IFNAMSIZ), IFLA_IFNAME },
	};
	union {
		struct nlmsghdr h;
		uint8_t room[16384];
	} answer;
	ssize_t len;

	memcpy(ask.ifname, tap->ifname, sizeof(ask.ifname));
	if (send(sock, &ask, sizeof(ask), 0) < 0)
		return (struct link){ 0 };
	len = recv(sock, &answer, sizeof(answer), 0);
	if (len < (ssize_t)NLMSG_LENGTH(sizeof(ask.info)) || answer.h.nlmsg_type != RTM_NEWLINK)
		return (struct link){ 0 };
	const void *all = answer.room + NLMSG_LENGTH(sizeof(ask.info));
	const int all_len = (int)len - (int)NLMSG_LENGTH(sizeof(ask.info));
	const struct rtattr *info = rtattr_find(all, all_len, IFLA_LINKINFO);
	const struct rtattr *kind = rtattr_find_in(info, IFLA_INFO_KIND);
	struct link link = { .master = number(rtattr_find(all, all_len, IFLA_MASTER)) };

	if (kind && !strncmp(RTA_DATA(kind), "tun", RTA_PAYLOAD(kind))) {
		const struct rtattr *data = rtattr_find_in(info, IFLA_INFO_DATA);

		link.queues = number(rtattr_find_in(data, IFLA_TUN_NUM_QUEUES));
		link.pi = number(rtattr_find_in(data, IFLA_TUN_PI));
	}
	return link;
}

/* @what has failed, which `ip link set TAP @how` is. */
static int cannot(const struct tap *tap, const char *what, const char *how)
{
	const int err = errno;

	if (err == EPERM)
		return log_fail(-err, "cannot %s: %s: %s (sudo ip link set %s %s)", what,
				tap->be.name, strerror(err), tap->ifname, how);
	return log_fail(-err, "cannot %s: %s, %s: %s", what, tap->be.name, how, strerror(err));
}

static int set_mtu(const struct tap *tap, int sock, unsigned int mtu)
{
	struct ifreq ifr = { .ifr_mtu = (int)mtu };
	char how[16];

	/* Who may not set it may have had it set. */
	if (get_mtu(sock, tap->ifname) == (int)mtu)
		return 0;
	memcpy(ifr.ifr_name, tap->ifname, sizeof(ifr.ifr_name));
	snprintf(how, sizeof(how), "mtu %u", mtu);
	if (ioctl(sock, SIOCSIFMTU, &ifr) == 0)
		return 0;
	if (errno == EINVAL && tap->life[0] >= 0)
		return log_fail(
			-EINVAL,
			"cannot set its MTU: %s, %s: its interface has less (ip link set DEV %s, with DEV as in macvtap=DEV)",
			tap->be.name, how, how);
	return cannot(tap, "set its MTU", how);
}

static int join_bridge(const struct tap *tap, int sock, const struct netbe_tap_options *config,
		       uint32_t master)
{
	struct ifreq br = { .ifr_ifindex = (int)if_nametoindex(tap->ifname) };
	const int old = get_mtu(sock, tap->ifname), mtu = get_mtu(sock, config->bridge);
	char how[8 + IFNAMSIZ];
	int ret = 0;

	if (master && master == if_nametoindex(config->bridge)) {
		netbe_warn_down(sock, "bridge", config->bridge);
		return 0;
	}
	/* A bridge has the MTU of its smallest port: a new one must not pull it down. */
	if (!tap->mtu && mtu && mtu != old)
		ret = set_mtu(tap, sock, (unsigned int)mtu);
	snprintf(br.ifr_name, sizeof(br.ifr_name), "%s", config->bridge);
	if (ret)
		return ret;
	if (ioctl(sock, SIOCBRADDIF, &br) == 0) {
		netbe_warn_down(sock, "bridge", config->bridge);
		return 0;
	}
	snprintf(how, sizeof(how), "master %s", config->bridge);
	if (errno != EBUSY)
		return cannot(tap, "put it on the bridge", how);
	log_warn("%s is on a bridge already; left there", tap->be.name);
	return tap->mtu ? 0 : set_mtu(tap, sock, (unsigned int)old);
}

static int bring_up(const struct tap *tap, int sock, bool made)
{
	struct ifreq ifr = { 0 };

	memcpy(ifr.ifr_name, tap->ifname, sizeof(ifr.ifr_name));
	if (!made)
		netbe_warn_down(sock, "tap", tap->ifname);
	if (!made || ioctl(sock, SIOCGIFFLAGS, &ifr) < 0 || ifr.ifr_flags & IFF_UP)
		return 0;
	ifr.ifr_flags |= IFF_UP;
	return ioctl(sock, SIOCSIFFLAGS, &ifr) < 0 ? cannot(tap, "bring it up", "up") : 0;
}

int tap_link_watch(struct tap *tap)
{
	const struct sockaddr_nl address = { .nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK };
	const int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);

	tap->be.link_fd = MAX(fd, 0);
	if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		return log_fail(-errno, "cannot watch %s: %s", tap->be.name, strerror(errno));
	return 0;
}

int tap_link_configure(struct tap *tap, const struct netbe_tap_options *config, bool made)
{
	const int sock = socket_beside(tap, config->fds.nr > 0);
	struct link link;
	int ret = 0;

	if (sock < 0 && (tap->mtu || sock == -EXDEV))
		return log_fail(
			-EXDEV,
			"cannot set the MTU of %s: it is in a network namespace out of reach (set it there, without mtu=)",
			tap->be.name);
	if (sock < 0)
		return 0; /* it still carries frames */
	link = ask_link(tap, sock);
	if (link.queues > tap->be.pairs)
		ret = log_fail(
			-EBUSY,
			"%s is open in another program too, and each would get a part of its frames (give each machine a tap of its own: ip tuntap add NAME mode tap)",
			tap->be.name);
	if (!ret && link.pi)
		ret = log_fail(
			-EINVAL,
			"%s was opened without IFF_NO_PI: open it with IFF_TAP | IFF_NO_PI | IFF_VNET_HDR",
			tap->be.name);
	if (!ret && tap->mtu)
		ret = set_mtu(tap, sock, tap->mtu);
	if (!ret && config->bridge)
		ret = join_bridge(tap, sock, config, link.master);
	if (!ret)
		ret = bring_up(tap, sock, made);
	tap->be.mtu = (unsigned int)get_mtu(sock, tap->ifname);
	close(sock);
	return ret;
}
