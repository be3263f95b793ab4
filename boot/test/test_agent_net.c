/* The network of a guest as its init sets it up, on a tap named eth0 in a namespace of our own. */
#include "vmm/base/test/unit.h"
#undef fail

#include <fcntl.h>
#include <linux/if_tun.h>
#include <sched.h>

#include "vmm/base/util.h"

/* Its functions are the agent's, a program of its own. */
#include "boot/agent/net.c"

static jmp_buf failed;
static char said[300];
static bool have_card;

void fail(const char *what, const char *on, int err)
{
	snprintf(said, sizeof(said), "%s '%s': %d", what, on, err);
	longjmp(failed, 1);
}

/* What it says of these words, or "". */
static const char *set_up(const char *net)
{
	*said = '\0';
	if (!setjmp(failed))
		set_network(net);
	return said;
}

static int setup(void **state)
{
	struct ifreq r = { .ifr_name = "eth0", .ifr_flags = IFF_TAP | IFF_NO_PI };
	int fd;

	if (unshare(CLONE_NEWNET) && unshare(CLONE_NEWUSER | CLONE_NEWNET))
		return 0;
	fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC); /* open to the end */
	have_card = fd >= 0 && ioctl(fd, TUNSETIFF, &r) == 0;
	return 0;
}

static in_addr_t value(unsigned int what)
{
	struct ifreq r = { .ifr_name = "eth0" };
	const int s = socket(AF_INET, SOCK_DGRAM, 0);

	assert_int_equal(ioctl(s, what, &r), 0);
	close(s);
	return ((struct sockaddr_in *)&r.ifr_addr)->sin_addr.s_addr;
}

static void bad_words_are_refused(void **state)
{
	static const char *const cases[][2] = {
		{ "10.0.1/24::", "understand address '10.0.1': 22" },
		{ "10.0.1.2.3.4.5.6.7.8.9/24::",
		  "understand address '10.0.1.2.3.4.5.6.7.8.9': 22" },
		{ "here/24::", "understand address 'here': 22" },
		{ "10.0.1.2/33::", "understand prefix length '33': 22" },
		{ "10.0.1.2/0::", "understand prefix length '0': 22" },
		{ "10.0.1.2/::", "understand prefix length '': 22" },
		{ "10.0.1.2/2x::", "understand prefix length '2x': 22" },
		{ "10.0.1.2/+2::", "understand prefix length '+2': 22" },
		{ "10.0.1.2/4294967297::", "understand prefix length '4294967297': 22" },
		{ "10.0.1.2/24", "understand '10.0.1.2/24': 22" },
		{ "10.0.1.2::", "understand '10.0.1.2::': 22" },
		{ "10.0.1.2/24:10.0.1.1/24:", "understand address '10.0.1.1/24': 22" },
		{ "10.0.1.2/24:here:", "understand address 'here': 22" },
		{ "10.0.1.2/24:10.3.3.3:", "set the route to '10.3.3.3': 101" },
	};

	if (!have_card)
		skip();
	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++)
		assert_string_equal(set_up(cases[i][0]), cases[i][1]);
}

static void good_words_are_the_cards(void **state)
{
	if (!have_card)
		skip();
	assert_string_equal(set_up("10.0.1.9/30:10.0.1.10:"), "");
	assert_int_equal(value(SIOCGIFADDR), inet_addr("10.0.1.9"));
	assert_int_equal(value(SIOCGIFNETMASK), inet_addr("255.255.255.252"));
	assert_string_equal(set_up("10.1.2.3/32::"), "");
	assert_int_equal(value(SIOCGIFNETMASK), inet_addr("255.255.255.255"));
	assert_string_equal(set_up("::"), "");
	assert_string_equal(set_up(NULL), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bad_words_are_refused),
		cmocka_unit_test(good_words_are_the_cards),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
