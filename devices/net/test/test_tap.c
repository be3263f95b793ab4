/* The tap backend: descriptors that are none, and, for root, taps of all kinds in a namespace of our own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "devices/net/tap.h"

static bool may_make_taps;

/* A tap or tun of our own, -1 with errno where the kernel refuses. */
static int make(const char *name, int flags)
{
	struct ifreq ifr = { .ifr_flags = (short)flags };
	const int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK);

	if (fd < 0)
		return -1;
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	if (ioctl(fd, TUNSETIFF, &ifr) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static int setup(void **state)
{
	int fd = -1;

	(void)state;
	if (unshare(CLONE_NEWNET) == 0)
		fd = make("probe", IFF_TAP);
	may_make_taps = fd >= 0;
	if (!may_make_taps)
		print_message("taps cannot be made here (%s): their tests are skipped\n",
			      strerror(errno));
	else
		close(fd);
	return 0;
}

static void need_taps(void)
{
	if (!may_make_taps)
		skip();
}

static int open_tap(const char *name, int fd, struct netbe **be)
{
	const struct netbe_tap_config config = { .tap = name, .fd = fd };

	return netbe_tap_open(be, &config);
}

static void test_not_a_tap(void **state)
{
	struct netbe *be = NULL;
	int fd[2];

	(void)state;
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

	(void)state;
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
		/* Not to be known: the kernel reports IFF_NOFILTER in the bit of IFF_NO_PI. */
		{ "mvinfo", IFF_TAP | IFF_VNET_HDR, true, 0, 0 },
		{ "mvmulti", IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | IFF_MULTI_QUEUE, true, 0, 0 },
		{ "mvbusy", IFF_TAP | IFF_NO_PI | IFF_VNET_HDR, false, -EBUSY, 0 },
		{ "mvshare", IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | IFF_MULTI_QUEUE, false, -EBUSY,
		  0 },
		{ "mvtun", IFF_TUN | IFF_NO_PI, true, -EINVAL, -EINVAL },
	};

	(void)state;
	need_taps();
	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		struct netbe *be = NULL;
		int fd = make(cases[i].name, cases[i].flags);

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
		fd = make(cases[i].name, cases[i].flags);
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

	(void)state;
	need_taps();
	for (unsigned int i = 0; i < 2; i++) {
		const int fd = make(names[i],
				    IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | (i ? IFF_MULTI_QUEUE : 0));

		assert_true(fd >= 0);
		assert_int_equal(ioctl(fd, TUNSETOWNER, 12345), 0);
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
	struct netbe_tap_config config = { .tap = "mvset", .fd = -1, .mtu = 9000 };
	struct netbe *be = NULL;

	(void)state;
	need_taps();
	assert_int_equal(netbe_tap_open(&be, &config), 0);
	assert_int_equal(be->mtu, 9000);
	be->ops->close(be);
	be = NULL;
	config.mtu = 1u << 30;
	assert_int_equal(netbe_tap_open(&be, &config), -EINVAL);
	assert_int_equal(if_nametoindex("mvset"), 0);
	config = (struct netbe_tap_config){ .bridge = "nobridge", .fd = -1 };
	assert_int_equal(netbe_tap_open(&be, &config), -ENODEV);
	assert_null(be);
}

/* A tap that vanishes says so for ever. */
static void test_deleted(void **state)
{
	uint8_t frame[NETBE_HDR_LEN + 60] = { 0 };
	struct iovec iov = { frame, sizeof(frame) };
	struct netbe *be;

	(void)state;
	need_taps();
	assert_int_equal(open_tap("mvgone", -1, &be), 0);
	if (system("ip link del mvgone 2>/dev/null")) {
		be->ops->close(be);
		print_message("no ip(8) to delete a tap with\n");
		skip();
	}
	struct pollfd p = { .fd = be->fd[0], .events = POLLIN };
	assert_int_equal(poll(&p, 1, 5000), 1);
	assert_true(p.revents & POLLERR);
	assert_int_equal(be->ops->send(be, 0, &iov, 1), -EBADFD);
	assert_int_equal(be->ops->recv(be, 0, &iov, 1), -EBADFD);
	be->ops->close(be);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_not_a_tap), cmocka_unit_test(test_made),
		cmocka_unit_test(test_kinds),	  cmocka_unit_test(test_forbidden),
		cmocka_unit_test(test_settings),  cmocka_unit_test(test_deleted),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
