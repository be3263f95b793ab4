/* A tap interface as net backend (the kernel's Documentation/networking/tuntap.rst). */
#include "devices/net/tap_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/base/log.h"

#ifndef TUN_F_USO4 /* Linux 6.2 */
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

#define TUN_NODE "/dev/net/tun"
#define MAX_FD	 (1u << 20)
#define ANY_NAME "mvm%d" /* the kernel puts a number there */

/* What taps of different ages can do, the best first. */
static const unsigned int offload_sets[] = {
	TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN | TUN_F_USO4 | TUN_F_USO6,
	TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN,
	TUN_F_CSUM,
};

/* An offload of the tap, what it is to a received frame and what it lets the guest send. */
static const struct {
	unsigned int tun_f;
	uint64_t guest, host;
} offload_map[] = {
	{ TUN_F_CSUM, NET_F(GUEST_CSUM), NET_F(CSUM) },
	{ TUN_F_TSO4, NET_F(GUEST_TSO4), NET_F(HOST_TSO4) },
	{ TUN_F_TSO6, NET_F(GUEST_TSO6), NET_F(HOST_TSO6) },
	{ TUN_F_TSO_ECN, NET_F(GUEST_ECN), NET_F(HOST_ECN) },
	{ TUN_F_USO4, NET_F(GUEST_USO4), NET_F(HOST_USO) },
	{ TUN_F_USO6, NET_F(GUEST_USO6), NET_F(HOST_USO) },
};

static ssize_t tap_recv(struct netbe *be, unsigned int pair, const struct iovec *iov, int n)
{
	const ssize_t len = readv(be->fd[pair], iov, n);

	return len < 0 ? -errno : len;
}

static int tap_send(struct netbe *be, unsigned int pair, const struct iovec *iov, int n)
{
	return writev(be->fd[pair], iov, n) < 0 ? -errno : 0;
}

static int set_offload(const struct netbe *be, unsigned int tun_f)
{
	return ioctl(be->fd[0], TUNSETOFFLOAD, (unsigned long)tun_f) < 0 ? -errno : 0;
}

static int tap_set_features(struct netbe *be, uint64_t features)
{
	const unsigned int uso = TUN_F_USO4 | TUN_F_USO6;
	unsigned int tun_f = 0;

	for (unsigned int i = 0; i < ARRAY_SIZE(offload_map); i++)
		if (features & offload_map[i].guest)
			tun_f |= offload_map[i].tun_f;
	if ((tun_f & uso) != uso) /* for both families or none */
		tun_f &= ~uso;
	return set_offload(be, tun_f);
}

static int tap_steer(struct netbe *be, const struct steering_rule *rule)
{
	return steering_apply(container_of(be, struct tap, be)->steering, be->fd[0], rule);
}

/* A tap has one length for all of its queues, a macvtap one for each. */
static int tap_set_header(struct netbe *be, unsigned int len)
{
	const int size = (int)len;

	for (unsigned int i = 0; i < be->pairs; i++)
		if (ioctl(be->fd[i], TUNSETVNETHDRSZ, &size) < 0)
			return -errno;
	return 0;
}

/* What the tap sends goes to the guest, what it receives comes from there; a frame is sent once it is read. */
static int tap_host(struct netbe *be, struct netbe_host *out, bool qdisc)
{
	struct tap *tap = container_of(be, struct tap, be);
	const struct ifstats_values *first = &tap->first;
	struct ifstats_values v;
	uint64_t now;
	int ret = ifstats_read(&tap->stats, &v);

	if (ret)
		return ret;
	*out = (struct netbe_host){ .passed = v.tx_packets - first->tx_packets,
				    .queue_full = v.tx_dropped - first->tx_dropped,
				    .taken = v.rx_packets - first->rx_packets,
				    .discarded = v.rx_dropped - first->rx_dropped };
	if (qdisc && !ifstats_read_qdisc(&tap->stats, &now)) {
		tap->qdisc += now < tap->last_qdisc ? now : now - tap->last_qdisc;
		tap->last_qdisc = now;
	}
	out->qdisc = tap->qdisc;
	return 0;
}

/* A macvtap whose interface is gone takes all frames and has none, without a word. */
static bool tap_is_gone(struct netbe *be)
{
	struct ifreq ifr = { 0 };
	char news[4096];

	while (read(be->link_fd, news, sizeof(news)) > 0 || errno == ENOBUFS)
		; /* whatever happened to whichever interface */
	return ioctl(be->fd[0], TUNGETIFF, &ifr) < 0;
}

static void tap_close(struct netbe *be)
{
	struct tap *tap = container_of(be, struct tap, be);
	char byte;

	if (be->link_fd)
		close(be->link_fd);
	ifstats_close(&tap->stats);
	if (tap->steering) { /* a tap may outlive us */
		tap_steer(be, NULL);
		tap_set_header(be, NETBE_HDR_LEN);
	}
	steering_destroy(tap->steering);
	for (unsigned int i = 0; i < be->pairs; i++)
		close(be->fd[i]);
	if (tap->life[0] >= 0) {
		close(tap->life[0]);
		TEMP_FAILURE_RETRY(read(tap->life[1], &byte, 1));
		close(tap->life[1]);
	}
	free(be);
}

static const struct netbe_ops tap_ops = {
	.recv = tap_recv,
	.send = tap_send,
	.set_features = tap_set_features,
	.steer = tap_steer,
	.set_header = tap_set_header,
	.host = tap_host,
	.is_gone = tap_is_gone,
	.close = tap_close,
};

static const char *why_no_node(int err)
{
	if (err == ENOENT || err == ENODEV)
		return " (load the module: modprobe tun)";
	if (err == EPERM)
		return " (" LOG_GIVE_NODE(TUN_NODE) ")";
	if (err == EACCES)
		return LOG_OPEN_NODE(TUN_NODE, TUN_NODE, " (", ")");
	return "";
}

static void report_denied(const char *name, const char *why)
{
	if (!strcmp(name, ANY_NAME))
		log_error(
			"cannot make a tap for the bridge: %s (have one: sudo ip tuntap add NAME mode tap user $USER; sudo ip link set NAME master BRIDGE up; and --net NAME)",
			why);
	else if (if_nametoindex(name))
		log_error(
			"cannot open tap '%s': %s (it is another's: sudo ip link del %s; sudo ip tuntap add %s mode tap user $USER)",
			name, why, name, name);
	else
		log_error(
			"cannot open tap '%s': %s (create it for your user: sudo ip tuntap add %s mode tap user $USER)",
			name, why, name);
}

static void report_attach(const char *name, int err)
{
	if (err == EPERM || err == EACCES)
		report_denied(name, strerror(err));
	else if (err == EBUSY)
		log_error(
			"cannot open tap '%s': another program holds it, and it has no queue to spare (which one: grep -l 'iff:.%s$' /proc/[0-9]*/fdinfo/*; or give each machine a tap of its own: ip tuntap add NAME mode tap user $USER)",
			name, name);
	else if (err == EINVAL)
		log_error(
			"cannot open tap '%s': an interface of that name exists and is not a tap (ip -d link show %s)",
			name, name);
	else
		log_otherwise("cannot open tap '%s': %s", name, strerror(err));
}

/* One more queue of the tap by name, which is made if there is none. -errno. */
static int attach_queue(struct tap *tap, const char *name, short flags)
{
	struct ifreq ifr = { .ifr_flags = (short)(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | flags) };
	const int fd = open(TUN_NODE, O_RDWR | O_CLOEXEC | O_NONBLOCK);
	int err;

	if (fd < 0) {
		err = errno;
		/* All is said by this, which report_attach() would not know. */
		return log_fail(-ENXIO, "cannot open %s: %s%s", TUN_NODE, strerror(err),
				why_no_node(err));
	}
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	if (ioctl(fd, TUNSETIFF, &ifr) < 0) {
		err = errno;
		close(fd);
		return -err;
	}
	memcpy(tap->ifname, ifr.ifr_name, sizeof(tap->ifname));
	tap->be.fd[tap->be.pairs++] = fd;
	return 0;
}

/* A multi-queue tap must be opened as one, and only one: EINVAL, as for an interface that is no tap. */
static int attach(struct tap *tap, const char *name, const struct netbe_wish *wish)
{
	const bool several = wish->pairs > 1;
	int ret = attach_queue(tap, name, several ? IFF_MULTI_QUEUE : 0);

	if (ret == -EINVAL) {
		ret = attach_queue(tap, name, several ? 0 : IFF_MULTI_QUEUE);
		if (several && wish->exactly && (!ret || ret == -EBUSY))
			return log_fail(
				-EINVAL,
				"cannot open %u queues of tap '%s': it was made for one (make it anew: ip link del %s; ip tuntap add %s mode tap multi_queue user $USER)",
				wish->pairs, name, name, name);
		if (!ret && !several && !wish->exactly)
			log_info("tap '%s' has several queues; one is used (queues=N)", name);
	} else {
		while (!ret && tap->be.pairs < wish->pairs)
			ret = attach_queue(tap, tap->ifname, IFF_MULTI_QUEUE);
	}
	if (ret && tap->be.pairs)
		log_otherwise("cannot open queue %u of tap '%s': %s", tap->be.pairs, tap->ifname,
			      strerror(-ret));
	else if (ret)
		report_attach(name, -ret);
	return ret;
}

/* A descriptor from the user: is it a tap, and one of the right kind? */
static int adopt_queue(struct tap *tap, int fd)
{
	struct ifreq ifr = { 0 };
	struct stat st;

	if ((tap->life[0] < 0 && !is_inherited(fd)) || ioctl(fd, TUNGETIFF, &ifr) < 0) {
		const int err = errno;
		const bool socket = fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode);

		return log_fail(-err, "fd=%d is not an open tap: TUNGETIFF: %s%s", fd,
				strerror(err),
				socket ? " (a stream socket is given by stream=N)" : "");
	}
	if (!(ifr.ifr_flags & IFF_TAP))
		return log_fail(-EINVAL,
				"fd=%d is the tun interface '%s': a tap is needed (IFF_TAP)", fd,
				ifr.ifr_name);
	/* Whether it has IFF_NO_PI its interface tells (tap_link.c): in this answer that bit means another thing. */
	if (!(ifr.ifr_flags & IFF_VNET_HDR))
		return log_fail(
			-EINVAL,
			"fd=%d, tap '%s', was opened without IFF_VNET_HDR: open it with IFF_TAP | IFF_NO_PI | IFF_VNET_HDR",
			fd, ifr.ifr_name);
	if (ifr.ifr_flags & IFF_DETACH_QUEUE)
		return log_fail(
			-EINVAL,
			"fd=%d, tap '%s', is a detached queue: no frame comes to it (TUNSETQUEUE with IFF_ATTACH_QUEUE)",
			fd, ifr.ifr_name);
	if (tap->be.pairs && strcmp(tap->ifname, ifr.ifr_name))
		return log_fail(
			-EINVAL,
			"fd=%d is tap '%s', and fd=%d is '%s': all are to be queues of one tap",
			tap->be.fd[0], tap->ifname, fd, ifr.ifr_name);
	if (fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK) < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
		return log_fail(-errno, "cannot make fd=%d non-blocking: %s", fd, strerror(errno));
	memcpy(tap->ifname, ifr.ifr_name, sizeof(tap->ifname));
	tap->be.fd[tap->be.pairs++] = fd;
	return 0;
}

static int adopt(struct tap *tap, const struct tap_fds *fds, const struct netbe_wish *wish)
{
	int ret = 0;

	if (wish->exactly && wish->pairs != fds->nr)
		return log_fail(-EINVAL, "queues=%u takes as many descriptors, not %u (fd=N:N:...)",
				wish->pairs, fds->nr);
	for (unsigned int i = 0; !ret && i < fds->nr; i++)
		ret = adopt_queue(tap, fds->fd[i]);
	return ret;
}

/* The header's length, and what the tap can do. */
static int negotiate(struct tap *tap)
{
	unsigned int best = 0;
	const int ret = tap_set_header(&tap->be, NETBE_HDR_LEN);

	if (ret)
		return log_fail(ret, "%s does not take a header of %d bytes: TUNSETVNETHDRSZ: %s",
				tap->be.name, NETBE_HDR_LEN, strerror(-ret));
	for (unsigned int i = 0; i < ARRAY_SIZE(offload_sets) && !best; i++)
		if (!set_offload(&tap->be, offload_sets[i]))
			best = offload_sets[i];
	for (unsigned int i = 0; i < ARRAY_SIZE(offload_map); i++)
		if (best & offload_map[i].tun_f)
			tap->be.features |= offload_map[i].guest | offload_map[i].host;
	/* None until the guest says what it copes with. */
	set_offload(&tap->be, 0);
	return 0;
}

/* RSS, if the kernel lets us; the tap's own flow steering is there in any case. */
static void prepare_steering(struct tap *tap)
{
	int ret = -ENOTSUP;

	if (tap->be.pairs > 1) {
		ret = steering_create(&tap->steering) ?: steering_probe(tap->be.fd[0]);
	}
	if (!ret) {
		tap->be.features |= NET_F(RSS) | NET_F(HASH_REPORT);
		return;
	}
	log_warn("%s: no RSS, its own flow steering remains: %s", tap->be.name,
		 tap->be.pairs == 1 ? "it has one queue (queues=N)"
		 : ret == -EPERM    ? "bpf(2) is not ours to call (CAP_BPF, or root)"
				    : strerror(-ret));
}

/* A name tells a tap within a namespace, and is often used again for the next; else its own address does. */
static void pick_mac(struct tap *tap, bool given)
{
	struct ifreq ifr = { 0 };
	const uint8_t *a = (const uint8_t *)ifr.ifr_hwaddr.sa_data;
	struct stat ns = { 0 };
	char key[64] = "";

	if (!given && stat(OUR_NETNS, &ns) == 0)
		snprintf(key, sizeof(key), "%llu %s", (unsigned long long)ns.st_ino, tap->ifname);
	else if (ioctl(tap->be.fd[0], SIOCGIFHWADDR, &ifr) == 0)
		snprintf(key, sizeof(key), "%x:%x:%x:%x:%x:%x", a[0], a[1], a[2], a[3], a[4], a[5]);
	netbe_pick_mac(&tap->be, *key ? key : NULL);
}

/*
 * A macvtap passes frames for its own address alone, so that is the card's; and its counters are not a tap's, as it
 * counts what goes to the guest as received.
 */
static void take_address(struct tap *tap)
{
	struct ifreq ifr = { 0 };

	if (ioctl(tap->be.fd[0], SIOCGIFHWADDR, &ifr) == 0)
		memcpy(tap->be.mac, ifr.ifr_hwaddr.sa_data, sizeof(tap->be.mac));
	ifstats_close(&tap->stats);
}

static int open_tap(struct netbe **out, const struct netbe_tap_options *config,
		    const struct netbe_wish *wish, const int *life)
{
	/* With a bridge and no name the kernel picks one; it is free by then. */
	const char *name = config->tap ? config->tap : ANY_NAME;
	const bool given = config->fds.nr, made = !given && !if_nametoindex(name);
	struct tap *tap = calloc(1, sizeof(*tap));
	int ret;

	if (!tap)
		return -ENOMEM;
	tap->be.ops = &tap_ops;
	tap->be.is_tap = true;
	tap->mtu = wish->mtu;
	tap->be.inherited = given && !life;
	tap->stats = IFSTATS_NONE;
	memcpy(tap->life, life ? life : (const int[2]){ -1, -1 }, sizeof(tap->life));
	ret = given ? adopt(tap, &config->fds, wish) : attach(tap, name, wish);
	snprintf(tap->be.name, sizeof(tap->be.name), "%s '%s'", life ? "macvtap" : "tap",
		 tap->ifname);
	if (!ret)
		ret = negotiate(tap);
	if (!ret && wish->steer)
		prepare_steering(tap);
	if (!ret)
		ret = tap_link_configure(tap, config, made);
	if (!ret && given)
		ret = tap_link_watch(tap);
	if (ret) {
		tap_close(&tap->be);
		return ret;
	}
	if (life)
		take_address(tap);
	else
		pick_mac(tap, given);
	if (ifstats_read(&tap->stats, &tap->first) ||
	    ifstats_read_qdisc(&tap->stats, &tap->last_qdisc))
		tap->last_qdisc = 0;
	*out = &tap->be;
	return 0;
}

static int tap_open(struct netbe **out, const void *options, const struct netbe_wish *wish)
{
	return open_tap(out, options, wish, NULL);
}

int netbe_tap_adopt(struct netbe **out, const struct tap_fds *fds, const struct netbe_wish *wish,
		    const int life[2])
{
	const struct netbe_tap_options options = { .fds = *fds };

	return open_tap(out, &options, wish, life);
}

static unsigned int tap_wanted(const void *options)
{
	const struct netbe_tap_options *o = options;

	return (o->fds.nr > 0) + (o->tap || o->bridge);
}

static bool tap_same(const void *a, const void *b)
{
	const struct netbe_tap_options *x = a, *y = b;

	for (unsigned int i = 0; i < x->fds.nr; i++)
		for (unsigned int j = 0; j < y->fds.nr; j++)
			if (netbe_is_same_file(x->fds.fd[i], y->fds.fd[j]))
				return true;
	return x->tap && y->tap && !strcmp(x->tap, y->tap);
}

int tap_parse_fds(void *at, const char *text)
{
	struct tap_fds fds = { 0 };

	do {
		char *end;
		const unsigned long fd = strtoul(text, &end, 10);

		if (*text < '0' || *text > '9' || fd > MAX_FD || fds.nr == ARRAY_SIZE(fds.fd) ||
		    (*end && *end != ':'))
			return -EINVAL;
		for (unsigned int i = 0; i < fds.nr; i++)
			if (netbe_is_same_file(fds.fd[i], (int)fd))
				return -EINVAL;
		fds.fd[fds.nr++] = (int)fd;
		text = end + 1;
		if (!*end)
			break;
	} while (true);
	*(struct tap_fds *)at = fds;
	return 0;
}

#define AT(field) offsetof(struct netbe_tap_options, field)
const struct option netbe_tap_keys[] = {
	{ "tap", OPTION_INTERFACE, AT(tap), "NAME", "a tap, which is made if need be" },
	{ "fd", OPTION_OTHER, AT(fds), "N[:N...]", "an open tap, a descriptor a queue",
	  .wanted = TAP_FDS_WANTED, .parse = tap_parse_fds },
	{ "bridge", OPTION_INTERFACE, AT(bridge), "NAME", "a tap of its own on that bridge" },
	{ 0 },
};

_Static_assert(sizeof(struct netbe_tap_options) <= NETBE_OPTIONS_ROOM, "room for options");

const struct netbe_kind netbe_tap = {
	.how = "a tap, fd=N, or bridge=NAME (with or without tap=NAME)",
	.wanted = tap_wanted,
	.same = tap_same,
	.open = tap_open,
};
