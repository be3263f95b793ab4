/* Taps of several queues, on the host's own. */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
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
#include "devices/net/filter.h"
#include "devices/net/tap.h"
#include "vmm/base/test/messages.h"
#include "devices/net/test/tap_rig.h"
#include "vmm/base/test/parent.h"

#include "vmm/base/test/unit.h"

static void test_queues(void **state)
{
	static const struct {
		const char *name;
		int flags; /* of the tap there is; 0: none */
		bool held; /* by another program */
		struct netbe_wish wish;
		int ret;
		unsigned int pairs;
		const char *said;
	} cases[] = {
		{ "mvq1", SINGLE, false, { 4, true }, -EINVAL, 0, "multi_queue user" },
		{ "mvq2", SINGLE, true, { 2, true }, -EINVAL, 0, "multi_queue user" },
		{ "mvq3", SINGLE, true, { 2, false }, -EBUSY, 0, "fdinfo" },
		{ "mvq4", SINGLE, true, { 1, true }, -EBUSY, 0, "fdinfo" },
		{ "mvq5", MULTI, true, { 2, true }, -EBUSY, 0, "open in another program" },
		{ "mvq6", MULTI, true, { 1, false }, -EBUSY, 0, "open in another program" },
		{ "lo", 0, false, { 2, true }, -EINVAL, 0, "is not a tap" },
		{ "mvtun2", IFF_TUN | IFF_NO_PI, false, { 2, true }, -EINVAL, 0, "is not a tap" },
		{ "mvq7", SINGLE, false, { 4, false }, 0, 1, "" },
		{ "mvq8", SINGLE, false, { 1, true }, 0, 1, "" },
		{ "mvq9", MULTI, false, { 1, true }, 0, 1, "" },
		{ "mvq10", MULTI, false, { 4, true }, 0, 4, "" },
		{ "mvq11", MULTI, false, { 8, false }, 0, 8, "" },
		{ "mvq12", 0, false, { 3, true }, 0, 3, "" },
		{ "mvq13", 0, false, { 2, false }, 0, 2, "" },
	};

	need_taps();
	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct netbe_tap_options config = { .tap = cases[i].name };
		struct netbe *be = NULL;
		const char *said;
		int holder = -1;

		if (cases[i].flags)
			make_persistent(cases[i].name, cases[i].flags);
		if (cases[i].held)
			holder = make_tap(cases[i].name, cases[i].flags);
		messages_begin();
		const int ret = netbe_tap.open(&be, &config, &cases[i].wish);
		said = messages_end();
		if (ret != cases[i].ret || (be ? be->pairs : 0) != cases[i].pairs)
			fail_msg("%s: %d: %s", cases[i].name, ret, said);
		if (ret && (!strstr(said, cases[i].said) || strchr(said, '\n')[1]))
			fail_msg("%s: said '%s'", cases[i].name, said);
		for (unsigned int q = 0; be && q < be->pairs; q++)
			assert_int_equal(fcntl(be->fd[q], F_GETFD), FD_CLOEXEC);
		if (be)
			be->ops->close(be);
		if (holder >= 0)
			close(holder);
	}
}

static void test_descriptors_of_queues(void **state)
{
	const struct netbe_wish wrong = { .pairs = 3, .exactly = true };
	struct netbe *be = NULL;
	struct ifreq ifr = { .ifr_flags = IFF_DETACH_QUEUE };

	need_taps();
	/* Of two taps; too few; one that gets no frames. */
	struct netbe_tap_options config = {
		.fds = { 2, { make_tap("mvf1", MULTI), make_tap("mvf2", MULTI) } }
	};
	assert_int_equal(netbe_tap.open(&be, &config, &one_pair), -EINVAL);
	close(config.fds.fd[1]);
	config.fds.fd[0] = make_tap("mvf3", MULTI);
	config.fds.fd[1] = make_tap("mvf3", MULTI);
	assert_int_equal(netbe_tap.open(&be, &config, &wrong), -EINVAL);
	assert_int_equal(ioctl(config.fds.fd[1], TUNSETQUEUE, &ifr), 0);
	messages_begin();
	assert_int_equal(netbe_tap.open(&be, &config, &one_pair), -EINVAL);
	assert_non_null(strstr(messages_end(), "detached"));
	assert_null(be);
	config.fds.fd[0] = make_tap("mvf4", MULTI);
	config.fds.fd[1] = make_tap("mvf4", MULTI);
	assert_int_equal(netbe_tap.open(&be, &config, &one_pair), 0);
	assert_int_equal(be->pairs, 2);
	be->ops->close(be);
	assert_int_equal(if_nametoindex("mvf4"), 0);
}

static void test_descriptor_list(void **state)
{
	static const char *const bad[] = {
		"",    ":",	"3:",	   ":3",   "3::4", "3:x", "x",
		"3.4", "1:2:1", "9999999", "3:-4", "+3",   " 3",  "1:2:3:4:5:6:7:8:9"
	};
	const struct option *o = netbe_tap_keys;
	struct netbe_tap_options config = { 0 };

	while (strcmp(o->name, "fd"))
		o++;
	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(option_set(o, &config, 0, bad[i]), -EINVAL);
	assert_int_equal(config.fds.nr, 0);
	assert_int_equal(option_set(o, &config, 0, "7"), 0);
	assert_int_equal(config.fds.nr, 1);
	assert_int_equal(option_set(o, &config, 0, "1001:1002:1003:1004:1005:1006:1007:1008"), 0);
	assert_int_equal(config.fds.nr, 8);
	assert_int_equal(config.fds.fd[7], 1008);

	/* A copy of a descriptor is no other, in one list and in two. */
	const int fd = open("/dev/null", O_RDONLY | O_CLOEXEC), copy = dup(fd),
		  another = open("/dev/null", O_RDONLY | O_CLOEXEC);
	const struct netbe_tap_options of[] = { { .fds = { 2, { another, fd } } },
						{ .fds = { 1, { copy } } },
						{ .fds = { 1, { another } } } };
	char list[32];

	snprintf(list, sizeof(list), "%d:%d:%d", fd, another, copy);
	assert_int_equal(option_set(o, &config, 0, list), -EINVAL);
	*strrchr(list, ':') = '\0';
	assert_int_equal(option_set(o, &config, 0, list), 0);
	assert_true(netbe_tap.same(&of[0], &of[1]));
	assert_true(netbe_tap.same(&of[0], &of[2]));
	assert_false(netbe_tap.same(&of[1], &of[2]));
	close(fd), close(copy), close(another);
}

/* ---- a tap of several queues ---- */

static void test_shared(void **state)
{
	const int flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | IFF_MULTI_QUEUE;
	struct netbe *first = NULL, *second = NULL;

	need_taps();
	need_proc();
	const int keeper = make_tap("mvmq", flags);
	assert_int_equal(ioctl(keeper, TUNSETPERSIST, 1), 0);
	close(keeper);
	for (unsigned int i = 0; i < 3;
	     i++) { /* by name, by descriptor; and free again afterwards */
		assert_int_equal(open_tap("mvmq", -1, &first), 0);
		messages_begin();
		const int ret = i % 2 ? open_tap(NULL, make_tap("mvmq", flags), &second)
				      : open_tap("mvmq", -1, &second);
		const char *said = messages_end();
		assert_int_equal(ret, -EBUSY);
		assert_non_null(strstr(said, "open in another program"));
		assert_non_null(strstr(said, "ip tuntap add"));
		assert_null(second);
		first->ops->close(first);
	}
	assert_int_equal(open_tap(NULL, make_tap("mvmq", flags), &first),
			 0); /* one queue, ours alone */
	first->ops->close(first);
}

/* Whatever a driver has accepted, a tap takes what is left of it without that which lacks its ground. */
static void test_every_feature_set(void **state)
{
	static const uint64_t bits[] = { NET_F(GUEST_CSUM), NET_F(GUEST_TSO4), NET_F(GUEST_TSO6),
					 NET_F(GUEST_ECN),  NET_F(GUEST_USO4), NET_F(GUEST_USO6),
					 NET_F(GUEST_UFO),  NET_F(CSUM),       NET_F(HOST_TSO4) };
	struct netbe *be = NULL;

	need_taps();
	assert_int_equal(open_tap("mvfeat", -1, &be), 0);
	for (unsigned int set = 0; set < BIT(ARRAY_SIZE(bits)); set++) {
		uint64_t features = 0;

		for (unsigned int i = 0; i < ARRAY_SIZE(bits); i++)
			features |= set & BIT(i) ? bits[i] : 0;
		features = net_filter_offloads(features & be->features);
		if (be->ops->set_features(be, features))
			fail_msg("%#llx", (unsigned long long)features);
	}
	be->ops->close(be);
}

/* A tap that vanishes says so for ever. */
static void test_deleted(void **state)
{
	uint8_t frame[NETBE_HDR_LEN + 60] = { 0 };
	struct iovec iov = { frame, sizeof(frame) };
	struct netbe *be;

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
		cmocka_unit_test(test_shared),
		cmocka_unit_test(test_every_feature_set),
		cmocka_unit_test(test_deleted),
		cmocka_unit_test(test_queues),
		cmocka_unit_test(test_descriptors_of_queues),
		cmocka_unit_test(test_descriptor_list),
	};

	return cmocka_run_group_tests(tests, tap_setup, NULL);
}
