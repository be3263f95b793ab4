#include "devices/net/test/tap_rig.h"

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
#include <sys/syscall.h>
#include <unistd.h>

#include "vmm/base/test/unit.h"

const struct netbe_wish one_pair = { .pairs = 1 };

static bool may_make_taps;

int make_tap(const char *name, int flags)
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

int tap_setup(void **state)
{
	int fd = -1;

	if (unshare(CLONE_NEWNET) == 0)
		fd = make_tap("probe", IFF_TAP);
	may_make_taps = fd >= 0;
	if (!may_make_taps)
		print_message("taps cannot be made here (%s): their tests are skipped\n",
			      strerror(errno));
	else
		close(fd);
	return 0;
}

void need_taps(void)
{
	if (!may_make_taps)
		skip();
}

int open_tap(const char *name, int fd, struct netbe **be)
{
	const struct netbe_tap_options config = { .tap = name, .fds = { fd >= 0, { fd } } };

	return netbe_tap.open(be, &config, &one_pair);
}

void make_persistent(const char *name, int flags)
{
	const int fd = make_tap(name, flags);

	assert_true(fd >= 0);
	assert_int_equal(ioctl(fd, TUNSETPERSIST, 1), 0);
	close(fd);
}
