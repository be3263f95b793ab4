/* The tap backend: descriptors that are none, and, for root, taps of all kinds in a namespace of our own. */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "devices/net/filter.h"
#include "devices/net/tap.h"
#include "vmm/base/test/messages.h"
#include "devices/net/test/tap_rig.h"
#include "vmm/base/test/parent.h"

#include "vmm/base/test/unit.h"

static void test_not_a_tap(void **state)
{
	struct netbe *be = NULL;
	int fd[2];

	assert_int_equal(open_tap(NULL, 12345, &be), -EBADF);
	assert_int_equal(pipe(fd), 0);
	assert_int_equal(open_tap(NULL, fd[0], &be), -ENOTTY);
	fd[1] = open("/dev/null", O_RDWR);
	assert_int_equal(open_tap(NULL, fd[1], &be), -ENOTTY);
	assert_null(be);
}

static void test_made(void **state)
{
	uint8_t in[2000], frame[NETBE_HDR_LEN + 60] = { 0 };
	struct iovec iov = { frame, sizeof(frame) };
	struct netbe *be;

	need_taps();
	assert_int_equal(open_tap("mvt0", -1, &be), 0);
	assert_int_not_equal(if_nametoindex("mvt0"), 0);
	assert_true(be->features & NET_F(GUEST_CSUM));
	assert_int_equal(be->mtu, 1500);
	assert_int_equal(be->ops->set_features(be, be->features), 0);
	assert_int_equal(be->ops->set_features(be, 0), 0);
	/* It is up: a frame goes out; one too short, or with a bad header, is refused. */
	memset(frame + NETBE_HDR_LEN, 0xff, 6);
	assert_int_equal(be->ops->send(be, 0, &iov, 1), 0);
	iov.iov_len = NETBE_HDR_LEN;
	assert_int_equal(be->ops->send(be, 0, &iov, 1), -EINVAL);
	iov.iov_len = sizeof(frame);
	frame[1] = 0xee; /* no such kind of segmentation */
	assert_int_equal(be->ops->send(be, 0, &iov, 1), -EINVAL);
	/* What the kernel has sent by itself, until there is no more. */
	ssize_t len;
	iov = (struct iovec){ in, sizeof(in) };
	while ((len = be->ops->recv(be, 0, &iov, 1)) >= 0)
		assert_true(len >= NETBE_HDR_LEN + 14);
	assert_int_equal(len, -EAGAIN);
	be->ops->close(be);
	assert_int_equal(if_nametoindex("mvt0"), 0); /* gone with it */
}

static void test_kinds(void **state)
{
	static const struct {
		const char *name;
		int flags;	    /* of the holder's descriptor */
		bool persist;	    /* the holder lets go of it */
		int by_name, by_fd; /* what opening it gives */
	} cases[] = {
		{ "mvtap", IFF_TAP | IFF_NO_PI | IFF_VNET_HDR, true, 0, 0 },
		{ "mvbare", IFF_TAP | IFF_NO_PI, true, 0, -EINVAL },
		{ "mvinfo", IFF_TAP | IFF_VNET_HDR, true, 0, -EINVAL },
		{ "mvmulti", IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | IFF_MULTI_QUEUE, true, 0, 0 },
		{ "mvbusy", IFF_TAP | IFF_NO_PI | IFF_VNET_HDR, false, -EBUSY, 0 },
		{ "mvshare", IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | IFF_MULTI_QUEUE, false, -EBUSY,
		  0 },
		{ "mvtun", IFF_TUN | IFF_NO_PI, true, -EINVAL, -EINVAL },
	};

	need_taps();
	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		struct netbe *be = NULL;
		int fd = make_tap(cases[i].name, cases[i].flags);

		assert_true(fd >= 0);
		if (open_tap(NULL, fd, &be) != cases[i].by_fd)
			fail_msg("%s by descriptor", cases[i].name);
		if (be) {
			assert_int_equal(fcntl(fd, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
			assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
			be->ops->close(be);
			assert_int_equal(fcntl(fd, F_GETFD), -1);
		} else {
			close(fd);
		}
		be = NULL;
		fd = make_tap(cases[i].name, cases[i].flags);
		assert_true(fd >= 0);
		if (cases[i].persist) {
			assert_int_equal(ioctl(fd, TUNSETPERSIST, 1), 0);
			close(fd);
		}
		if (open_tap(cases[i].name, -1, &be) != cases[i].by_name)
			fail_msg("%s by name", cases[i].name);
		if (be)
			be->ops->close(be);
		assert_int_not_equal(if_nametoindex(cases[i].name), 0); /* left as it was found */
		if (!cases[i].persist)
			close(fd);
	}
	struct netbe *be = NULL;
	assert_int_equal(open_tap("lo", -1, &be), -EINVAL); /* no tap at all */
}

/* With or without the right to administrate networks. */
static void administrate(bool may)
{
	struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct data[2];

	assert_int_equal(syscall(SYS_capget, &header, data), 0);
	data[0].effective &= ~BIT(CAP_NET_ADMIN);
	data[0].effective |= may ? BIT(CAP_NET_ADMIN) : 0;
	assert_int_equal(syscall(SYS_capset, &header, data), 0);
}

/* Somebody else's taps, and one that is not ours to make. */
static void test_forbidden(void **state)
{
	static const char *const names[] = { "mvother", "mvothers", "mvnew" };
	struct netbe *be = NULL;

	need_taps();
	for (unsigned int i = 0; i < 2; i++) {
		const int fd = make_tap(names[i], IFF_TAP | IFF_NO_PI | IFF_VNET_HDR |
							  (i ? IFF_MULTI_QUEUE : 0));

		assert_true(fd >= 0);
		if (ioctl(fd, TUNSETOWNER, 12345) < 0)
			skip(); /* a namespace without other users */
		assert_int_equal(ioctl(fd, TUNSETPERSIST, 1), 0);
		close(fd);
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(names); i++) {
		administrate(false);
		const int ret = open_tap(names[i], -1, &be);
		administrate(true);
		if (ret != -EPERM)
			fail_msg("%s: %s", names[i], strerror(-ret));
	}
	assert_null(be);
}

static void test_settings(void **state)
{
	struct netbe_tap_options config = { .tap = "mvset" };
	struct netbe_wish wish = { .pairs = 1, .mtu = 9000 };
	struct netbe *be = NULL;

	need_taps();
	assert_int_equal(netbe_tap.open(&be, &config, &wish), 0);
	assert_int_equal(be->mtu, 9000);
	be->ops->close(be);
	be = NULL;
	wish.mtu = 1u << 30;
	assert_int_equal(netbe_tap.open(&be, &config, &wish), -EINVAL);
	assert_int_equal(if_nametoindex("mvset"), 0);
	config = (struct netbe_tap_options){ .bridge = "nobridge" };
	assert_int_equal(netbe_tap.open(&be, &config, &one_pair), -ENODEV);
	assert_null(be);
}

/* ---- a bridge ---- */

static int sock(void)
{
	const int fd = socket(AF_INET, SOCK_DGRAM, 0);

	assert_true(fd >= 0);
	return fd;
}

static int mtu_of(const char *name)
{
	struct ifreq ifr = { 0 };
	const int fd = sock();

	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	if (ioctl(fd, SIOCGIFMTU, &ifr) < 0)
		ifr.ifr_mtu = -errno;
	close(fd);
	return ifr.ifr_mtu;
}

static void set_mtu(const char *name, int mtu)
{
	struct ifreq ifr = { .ifr_mtu = mtu };
	const int fd = sock();

	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	assert_int_equal(ioctl(fd, SIOCSIFMTU, &ifr), 0);
	close(fd);
}

/* A bridge with a port of @mtu; the port's descriptor, or -1 where bridges cannot be made. */
static int make_bridge(const char *name, const char *port, int mtu)
{
	const int fd = sock(), tap = make_tap(port, IFF_TAP | IFF_NO_PI);
	struct ifreq ifr = { 0 };

	assert_true(tap >= 0);
	set_mtu(port, mtu);
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	ifr.ifr_ifindex = (int)if_nametoindex(port);
	if (ioctl(fd, SIOCBRADDBR, name) < 0 || ioctl(fd, SIOCBRADDIF, &ifr) < 0) {
		close(tap);
		close(fd);
		return -1;
	}
	close(fd);
	return tap;
}

/* A new port of a bridge does not pull its MTU down, unless the user wants that. */
static void test_bridge_mtu(void **state)
{
	static const struct {
		const char *tap;
		bool exists;
		int bridge;
		unsigned int mtu, expected, bridge_after;
	} cases[] = {
		{ NULL, false, 9000, 0, 9000, 9000 },	 { "mvp1", false, 9000, 0, 9000, 9000 },
		{ "mvp2", true, 9000, 0, 9000, 9000 },	 { NULL, false, 1400, 0, 1400, 1400 },
		{ NULL, false, 9000, 9000, 9000, 9000 }, { NULL, false, 9000, 2000, 2000, 2000 },
		{ "mvp3", true, 1500, 0, 1500, 1500 },
	};

	need_taps();
	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		const int port = make_bridge("mvbr", "mvport", cases[i].bridge);
		const struct netbe_tap_options config = { .tap = cases[i].tap, .bridge = "mvbr" };
		const struct netbe_wish wish = { .pairs = 1, .mtu = cases[i].mtu };
		struct netbe *be = NULL;
		int fd;

		if (port < 0) {
			print_message("no bridges here\n");
			skip();
		}
		assert_int_equal(mtu_of("mvbr"), cases[i].bridge);
		if (cases[i].exists) {
			fd = make_tap(cases[i].tap, IFF_TAP | IFF_NO_PI | IFF_VNET_HDR);
			assert_int_equal(ioctl(fd, TUNSETPERSIST, 1), 0);
			close(fd);
		}
		assert_int_equal(netbe_tap.open(&be, &config, &wish), 0);
		assert_int_equal(be->mtu, cases[i].expected);
		assert_int_equal(mtu_of("mvbr"), cases[i].bridge_after);
		be->ops->close(be);
		if (cases[i].exists) { /* on the bridge already, and left as it is */
			set_mtu(cases[i].tap, 1300);
			assert_int_equal(netbe_tap.open(&be, &config, &wish), 0);
			assert_int_equal(be->mtu, 1300);
			be->ops->close(be);
			fd = make_tap(cases[i].tap, IFF_TAP | IFF_NO_PI | IFF_VNET_HDR);
			assert_int_equal(ioctl(fd, TUNSETPERSIST, 0), 0);
			close(fd);
		}
		close(port);
		fd = sock();
		assert_int_equal(ioctl(fd, SIOCBRDELBR, "mvbr"), 0);
		close(fd);
	}
}

/* ---- the address of a card that was given none ---- */

static void mac_of(uint8_t mac[6], const struct netbe_tap_options *config)
{
	struct netbe *be = NULL;

	assert_int_equal(netbe_tap.open(&be, config, &one_pair), 0);
	memcpy(mac, be->mac, 6);
	assert_true(!(mac[0] & 1) && mac[0] & 2); /* unicast, locally administered */
	be->ops->close(be);
}

/* Each differs from all others; where there is a name, it is the same from run to run. */
static void test_addresses(void **state)
{
	uint8_t mac[24][6], again[6];
	struct netbe *be[4] = { NULL };
	unsigned int n = 0;
	int elsewhere[4];

	need_taps();
	need_proc();
	for (unsigned int i = 0; i < 4; i++, n++) {
		char name[16];

		snprintf(name, sizeof(name), "mvmac%u", i);
		const struct netbe_tap_options config = { .tap = name };
		mac_of(mac[n], &config);
		mac_of(again, &config);
		assert_memory_equal(mac[n], again, 6);
	}
	const int port = make_bridge("mvbr", "mvport", 1500);
	for (unsigned int i = 0; port >= 0 && i < 4; i++, n++) { /* at once, on one bridge */
		const struct netbe_tap_options config = { .bridge = "mvbr" };

		assert_int_equal(netbe_tap.open(&be[i], &config, &one_pair), 0);
		memcpy(mac[n], be[i]->mac, 6);
	}
	for (unsigned int i = 0; i < 4; i++)
		if (be[i])
			be[i]->ops->close(be[i]);
	if (port >= 0)
		close(port);
	for (unsigned int i = 0; i < 4; i++, n++) { /* descriptors; the tap goes with each */
		const struct netbe_tap_options config = {
			.fds = { 1, { make_tap("mvsame", IFF_TAP | IFF_NO_PI | IFF_VNET_HDR) } }
		};
		mac_of(mac[n], &config);
	}
	for (unsigned int i = 0; i < 4; i++, n++) { /* the same name, elsewhere */
		const struct netbe_tap_options config = { .tap = "mvmac0" };

		/* One that is gone gives its number to the next: it has to stay. */
		elsewhere[i] = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
		assert_true(elsewhere[i] >= 0);
		assert_int_equal(unshare(CLONE_NEWNET), 0);
		mac_of(mac[n], &config);
	}
	for (unsigned int i = 0; i < 4; i++)
		close(elsewhere[i]);
	for (unsigned int i = 0; i < n; i++)
		for (unsigned int j = 0; j < i; j++)
			assert_memory_not_equal(mac[i], mac[j], 6);
	struct netbe none = { 0 }, other = { 0 };
	netbe_pick_mac(&none, NULL);
	netbe_pick_mac(&other, NULL);
	assert_memory_not_equal(none.mac, other.mac, 6);
}

/* One descriptor after another of a tap that stays: one address. */
static void test_address_of_descriptor(void **state)
{
	uint8_t mac[2][6];
	int fd;

	need_taps();
	for (unsigned int i = 0; i < 2; i++) {
		fd = make_tap("mvkeep", IFF_TAP | IFF_NO_PI | IFF_VNET_HDR);
		assert_int_equal(ioctl(fd, TUNSETPERSIST, 1), 0);
		const struct netbe_tap_options config = { .fds = { 1, { fd } } };
		mac_of(mac[i], &config);
	}
	assert_memory_equal(mac[0], mac[1], 6);
}

/* ---- taps that are not where their namesakes are ---- */

static void set_up(const char *name)
{
	struct ifreq ifr = { 0 };
	const int fd = sock();

	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	assert_int_equal(ioctl(fd, SIOCGIFFLAGS, &ifr), 0);
	ifr.ifr_flags |= IFF_UP;
	assert_int_equal(ioctl(fd, SIOCSIFFLAGS, &ifr), 0);
	close(fd);
}

/* What the host counts of it can be had wherever it is, if we may ask where that is; and never of a namesake. */
static void check_counts(struct netbe *be, bool may)
{
	uint8_t frame[NETBE_HDR_LEN + 60] = { 0 };
	const struct iovec iov = { frame, sizeof(frame) };
	struct netbe_host host;

	memset(frame + NETBE_HDR_LEN, 0xff, 6);
	for (unsigned int i = 1; i <= 3; i++) {
		assert_int_equal(be->ops->send(be, 0, &iov, 1), 0);
		const int ret = be->ops->host(be, &host, true);

		assert_int_equal(ret < 0, !may);
		assert_true(ret < 0 || (host.taken == i && !host.qdisc && !host.queue_full));
	}
}

/* A descriptor means its own tap: with the right to reach it, without, with a namesake here and without. */
static void test_elsewhere(void **state)
{
	const int flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;

	need_taps();
	need_proc();
	for (unsigned int i = 0; i < 8; i++) {
		const bool namesake = i & 1, may = i & 2, sets_mtu = i & 4;
		const int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
		struct netbe_tap_options config = { 0 };
		const struct netbe_wish wish = { .pairs = 1, .mtu = sets_mtu ? 2000 : 0 };
		struct netbe *be = NULL;
		int ours = -1, there;
		const char *said;

		assert_int_equal(unshare(CLONE_NEWNET), 0);
		there = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
		config.fds = (struct tap_fds){ 1, { make_tap("mvaway", flags) } };
		assert_true(config.fds.fd[0] >= 0);
		set_mtu("mvaway", 4000);
		set_up("mvaway");
		assert_int_equal(setns(home, CLONE_NEWNET), 0);
		if (namesake) {
			ours = make_tap("mvaway", flags); /* down, 1500 */
			assert_true(ours >= 0);
		}
		messages_begin();
		administrate(may);
		const int ret = netbe_tap.open(&be, &config, &wish);
		administrate(true);
		said = messages_end();
		if (may) {
			assert_int_equal(ret, 0);
			assert_int_equal(be->mtu, sets_mtu ? 2000 : 4000);
		} else if (sets_mtu) {
			assert_int_equal(ret, -EXDEV);
			assert_non_null(strstr(said, "network namespace"));
		} else {
			assert_int_equal(ret, 0);
			assert_int_equal(be->mtu, 0);
		}
		assert_null(strstr(said, "is down"));
		if (namesake)
			assert_int_equal(mtu_of("mvaway"), 1500);
		else
			assert_int_equal(if_nametoindex("mvaway"), 0);
		struct ifreq here = { .ifr_name = "lo" };
		const int fd = sock(); /* and we are where we were */
		assert_int_equal(ioctl(fd, SIOCGIFFLAGS, &here), 0);
		close(fd);
		if (be) {
			check_counts(be, may);
			assert_int_equal(setns(there, CLONE_NEWNET), 0);
			assert_int_equal(mtu_of("mvaway"), may && sets_mtu ? 2000 : 4000);
			assert_int_equal(setns(home, CLONE_NEWNET), 0);
			be->ops->close(be);
		}
		if (ours >= 0)
			close(ours);
		close(there);
		close(home);
	}
}

/* One of our own, that we have no right to ask the namespace of. */
static void test_here_without_rights(void **state)
{
	struct netbe_tap_options config = {
		.fds = { 1, { make_tap("mvhere", IFF_TAP | IFF_NO_PI | IFF_VNET_HDR) } }
	};
	struct netbe *be = NULL;

	need_taps();
	set_mtu("mvhere", 3000);
	messages_begin();
	administrate(false);
	const int ret = netbe_tap.open(&be, &config, &one_pair);
	administrate(true);
	assert_non_null(strstr(messages_end(), "tap 'mvhere' is down"));
	assert_int_equal(ret, 0);
	assert_int_equal(be->mtu, 3000);
	be->ops->close(be);
}

static void rename_to(const char *from, const char *to)
{
	struct ifreq ifr = { 0 };
	const int fd = sock();

	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", from);
	assert_int_equal(ioctl(fd, SIOCSIFFLAGS, &ifr), 0); /* down, as older kernels want it */
	snprintf(ifr.ifr_newname, sizeof(ifr.ifr_newname), "%s", to);
	assert_int_equal(ioctl(fd, SIOCSIFNAME, &ifr), 0);
	close(fd);
	set_up(to);
}

/* What is counted is the tap's, whatever it is called now, and whoever has taken its name. */
static void test_renamed(void **state)
{
	uint8_t frame[NETBE_HDR_LEN + 60] = { 0 };
	const struct iovec iov = { frame, sizeof(frame) };
	struct netbe *be = NULL;
	struct netbe_host host;
	int other = -1;

	need_taps();
	need_proc();
	assert_int_equal(open_tap("mvold", -1, &be), 0);
	rename_to("mvold", "mvnew");
	for (unsigned int i = 1; i <= 3; i++) {
		assert_int_equal(be->ops->send(be, 0, &iov, 1), 0);
		assert_int_equal(be->ops->host(be, &host, true), 0);
		assert_int_equal(host.taken, i);
		if (i == 2)
			other = make_tap("mvold", IFF_TAP);
	}
	assert_true(other >= 0);
	be->ops->close(be);
	close(other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_not_a_tap), cmocka_unit_test(test_made),
		cmocka_unit_test(test_kinds),	  cmocka_unit_test(test_forbidden),
		cmocka_unit_test(test_settings),  cmocka_unit_test(test_bridge_mtu),
		cmocka_unit_test(test_addresses), cmocka_unit_test(test_address_of_descriptor),
		cmocka_unit_test(test_elsewhere), cmocka_unit_test(test_here_without_rights),
		cmocka_unit_test(test_renamed),
	};

	return cmocka_run_group_tests(tests, tap_setup, NULL);
}
