/* A macvtap as net backend: made by netlink (rtnetlink(7)), moved by its nodes as a tap is. */
#include "devices/net/macvtap.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/if_tun.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "devices/net/tap.h"
#include "vmm/base/log.h"

/* ---- netlink ---- */

struct request {
	struct nlmsghdr h;
	struct ifinfomsg info;
	char attributes[256];
};

static struct request request(unsigned short type, unsigned short flags)
{
	return (struct request){
		.h = { .nlmsg_len = NLMSG_LENGTH(sizeof(struct ifinfomsg)),
		       .nlmsg_type = type,
		       .nlmsg_flags = (unsigned short)(NLM_F_REQUEST | NLM_F_ACK | flags) },
	};
}

/* An attribute behind the others; what is added until end() is in it. */
static struct rtattr *add(struct request *r, unsigned short type, const void *data, size_t len)
{
	struct rtattr *a = (void *)((char *)r + NLMSG_ALIGN(r->h.nlmsg_len));

	*a = (struct rtattr){ .rta_len = (unsigned short)RTA_LENGTH(len), .rta_type = type };
	if (len)
		memcpy(RTA_DATA(a), data, len);
	r->h.nlmsg_len = NLMSG_ALIGN(r->h.nlmsg_len) + RTA_ALIGN(a->rta_len);
	return a;
}

static void end(struct request *r, struct rtattr *a)
{
	a->rta_len = (unsigned short)((char *)r + r->h.nlmsg_len - (char *)a);
}

/* Ask, and wait for the answer: 0 or -errno. */
static int ask(int sock, const struct request *r)
{
	struct {
		struct nlmsghdr h;
		struct nlmsgerr err;
		char more[512];
	} answer;
	ssize_t len;

	if (send(sock, r, r->h.nlmsg_len, 0) < 0)
		return -errno;
	len = recv(sock, &answer, sizeof(answer), 0);
	if (len < 0)
		return -errno;
	return len < (ssize_t)NLMSG_LENGTH(sizeof(int)) || answer.h.nlmsg_type != NLMSG_ERROR
		       ? -EPROTO
		       : answer.err.error;
}

static int make(int sock, int lower, const char *name, const uint8_t *mac)
{
	const uint32_t mode = MACVLAN_MODE_BRIDGE;
	struct request r = request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
	struct rtattr *info, *data;

	r.info.ifi_flags = r.info.ifi_change = IFF_UP;
	add(&r, IFLA_IFNAME, name, strlen(name) + 1);
	add(&r, IFLA_LINK, &lower, sizeof(lower));
	if (mac)
		add(&r, IFLA_ADDRESS, mac, 6);
	info = add(&r, IFLA_LINKINFO, NULL, 0);
	add(&r, IFLA_INFO_KIND, "macvtap", sizeof("macvtap"));
	data = add(&r, IFLA_INFO_DATA, NULL, 0);
	add(&r, IFLA_MACVLAN_MODE, &mode, sizeof(mode));
	end(&r, data);
	end(&r, info);
	return ask(sock, &r);
}

static void delete (int sock, int index)
{
	struct request r = request(RTM_DELLINK, 0);

	r.info.ifi_index = index;
	ask(sock, &r);
}

/* ---- who removes it ---- */

/*
 * The process that is left when all others have ended, or the backend is closed: it alone has kept the right to remove
 * the interface. It is no child of ours, and of ours it has nothing open but what it needs; it ends by a signal, as
 * what a process does at its end is not for it.
 */
static void wait_and_remove(int sock, int index, int life, int done)
{
	sigset_t all;
	char byte;

	prctl(PR_SET_NAME, "minivmm-macvtap");
	setsid();
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	dup2(sock, 0);
	dup2(life, 1);
	dup2(done, 2);
	if (syscall(SYS_close_range, 3u, ~0u, 0u) < 0) /* before Linux 5.9 */
		for (int fd = 3; fd < 1024; fd++)
			close(fd);
	TEMP_FAILURE_RETRY(read(1, &byte, 1));
	delete (0, index);
	kill(getpid(), SIGKILL);
}

/* Start it; life[0] is what holds the interface, and life[1] ends when it is gone. */
static int hand_over(int sock, int index, int life[2])
{
	int hold[2] = { -1, -1 }, gone[2] = { -1, -1 };
	pid_t pid;
	int err = 0;

	if (pipe2(hold, O_CLOEXEC) < 0 || pipe2(gone, O_CLOEXEC) < 0 || (pid = fork()) < 0) {
		err = -errno;
		close(hold[0]);
		close(hold[1]);
		close(gone[0]);
		close(gone[1]);
		return err;
	}
	if (!pid) {
		if (fork() == 0) {
			close(hold[1]);
			wait_and_remove(sock, index, hold[0], gone[1]);
		}
		kill(getpid(), SIGKILL);
	}
	waitpid(pid, NULL, 0);
	close(hold[0]);
	close(gone[1]);
	life[0] = hold[1];
	life[1] = gone[0];
	return 0;
}

/* ---- the backend ---- */

static int cannot(const char *lower, int ret)
{
	const char *help = "";

	if (ret == -EPERM)
		help = " (it takes CAP_NET_ADMIN; or have it made for you: ip link add link DEV name NAME type macvtap mode bridge, and fd=N)";
	else if (ret == -EOPNOTSUPP)
		help = " (load the module: modprobe macvtap)";
	else if (ret == -EINVAL)
		help = " (it takes an Ethernet interface)";
	else if (ret == -EBUSY || ret == -EADDRINUSE)
		help = " (another has it with this mac=, or it is a port of a bridge)";
	return log_fail(ret, "cannot make a macvtap on '%s': %s%s", lower, strerror(-ret), help);
}

/* A queue of it: its node is /dev/tapINDEX. */
static int open_queue(const char *name, int index, bool several)
{
	const short flags =
		(short)(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | (several ? IFF_MULTI_QUEUE : 0));
	struct ifreq ifr = { .ifr_flags = flags };
	char node[32];
	int fd, err = 0;

	snprintf(node, sizeof(node), "/dev/tap%d", index);
	fd = open(node, O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0 || ioctl(fd, TUNSETIFF, &ifr) < 0 || ioctl(fd, TUNGETIFF, &ifr) < 0)
		err = errno;
	else if (strcmp(ifr.ifr_name, name))
		err = EXDEV; /* of another network namespace */
	if (!err)
		return fd;
	log_error("cannot open %s, the node of macvtap '%s': %s%s", node, name, strerror(err),
		  err == ENOENT ? " (it takes a devtmpfs on /dev)" : "");
	close_fd(fd);
	return -err;
}

static int open_queues(struct netbe **out, const char *name, int index,
		       const struct netbe_wish *wish, const int life[2])
{
	struct tap_fds fds = { .nr = 0 };

	while (fds.nr < wish->pairs) {
		const int fd = open_queue(name, index, wish->pairs > 1);

		if (fd < 0) {
			while (fds.nr)
				close(fds.fd[--fds.nr]);
			close(life[0]);
			close(life[1]);
			return fd;
		}
		fds.fd[fds.nr++] = fd;
	}
	return netbe_tap_adopt(out, &fds, wish, life);
}

static int macvtap_open(struct netbe **out, const void *options, const struct netbe_wish *wish)
{
	const char *lower = ((const struct netbe_macvtap_options *)options)->lower;
	const int of = (int)if_nametoindex(lower);
	const int sock = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	char name[IFNAMSIZ];
	int ret = sock < 0 || !of ? -errno : -EEXIST, life[2];

	/* A name of our own: that of the interface's node goes with it. */
	for (unsigned int i = 0; i < 64 && ret == -EEXIST; i++) {
		snprintf(name, sizeof(name), "mvt%x.%x", (unsigned int)getpid(), i);
		ret = make(sock, of, name, wish->mac);
	}
	if (ret) {
		cannot(lower, ret);
		goto out;
	}
	const int index = (int)if_nametoindex(name);
	ret = hand_over(sock, index, life);
	if (ret) {
		log_error("cannot start who removes macvtap '%s': %s", name, strerror(-ret));
		delete (sock, index);
		goto out;
	}
	ret = open_queues(out, name, index, wish, life);
	if (!ret)
		netbe_warn_down(sock, "interface", lower);
out:
	close_fd(sock);
	return ret;
}

static unsigned int macvtap_wanted(const void *options)
{
	return ((const struct netbe_macvtap_options *)options)->lower != NULL;
}

const struct option netbe_macvtap_keys[] = {
	{ "macvtap", OPTION_INTERFACE, offsetof(struct netbe_macvtap_options, lower), "DEV",
	  "a macvtap of its own on interface DEV" },
	{ 0 },
};

_Static_assert(sizeof(struct netbe_macvtap_options) <= NETBE_OPTIONS_ROOM, "room for options");

const struct netbe_kind netbe_macvtap = {
	.how = "macvtap=DEV",
	.wanted = macvtap_wanted,
	.open = macvtap_open,
};
