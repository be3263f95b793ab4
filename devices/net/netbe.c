/* What all net backends share. */
#include "devices/net/netbe.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "vmm/base/log.h"

/* All kinds there are. */
#define KINDS(X) X(tap) X(stream) X(macvtap)

#define DECLARE(name)                                \
	extern const struct netbe_kind netbe_##name; \
	extern const struct option netbe_##name##_keys[];
KINDS(DECLARE)

#define NUMBER(name) KIND_##name,
enum { KINDS(NUMBER) NR_KINDS };
_Static_assert(NR_KINDS <= NETBE_MAX_KINDS, "room for options");

#define POINTER(name) &netbe_##name,
static const struct netbe_kind *const kinds[] = { KINDS(POINTER) };

#define ROWS(name) { netbe_##name##_keys, KIND_##name * NETBE_OPTIONS_ROOM },
const struct option_group netbe_options = {
	.size = sizeof(struct netbe_options),
	.of = (const struct option_rows[]){ KINDS(ROWS){ 0 } },
};

int netbe_options_check(const struct netbe_options *options, const char *text)
{
	char how[512] = "";
	size_t len = 0;
	unsigned int nr = 0;

	for (unsigned int i = 0; i < NR_KINDS; i++) {
		nr += kinds[i]->wanted(options->of_kind[i]);
		len += (size_t)snprintf(how + len, sizeof(how) - len, "%s%s", i ? "; or " : "",
					kinds[i]->how);
	}
	if (nr == 1)
		return 0;
	return log_fail(-EINVAL, "--net %s: give %s", text, how);
}

bool netbe_is_same_file(int a, int b)
{
	const pid_t us = getpid();

	return a == b || syscall(SYS_kcmp, us, us, KCMP_FILE, a, b) == 0;
}

bool netbe_options_same(const struct netbe_options *a, const struct netbe_options *b)
{
	for (unsigned int i = 0; i < NR_KINDS; i++)
		if (kinds[i]->wanted(a->of_kind[i]))
			return kinds[i]->same && kinds[i]->same(a->of_kind[i], b->of_kind[i]);
	return false;
}

static int open_kind(struct netbe **out, const struct netbe_options *options,
		     const struct netbe_wish *wish)
{
	for (unsigned int i = 0; i < NR_KINDS; i++)
		if (kinds[i]->wanted(options->of_kind[i]))
			return kinds[i]->open(out, options->of_kind[i], wish);
	return -EINVAL;
}

int netbe_open(struct netbe **out, const struct netbe_options *options,
	       const struct netbe_wish *wish)
{
	const int ret = open_kind(out, options, wish);

	if (ret || !wish->exactly || (*out)->pairs == wish->pairs)
		return ret;
	log_error("queues=%u: %s has %u", wish->pairs, (*out)->name, (*out)->pairs);
	(*out)->ops->close(*out);
	return -EINVAL;
}

bool netbe_lost(struct netbe *be, const char *card, int err)
{
	const bool broken = err == -EPROTO;

	if ((netbe_is_end(err) || broken) && !atomic_exchange(&be->gone, true))
		log_warn("%s: %s %s; the guest's frames are dropped from now on", card, be->name,
			 broken ? "sends what is no frame" : "is gone");
	return netbe_is_gone(be);
}

void netbe_warn_down(int sock, const char *kind, const char *ifname)
{
	struct ifreq ifr = { 0 };

	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", ifname);
	if (ioctl(sock, SIOCGIFFLAGS, &ifr) == 0 && !(ifr.ifr_flags & IFF_UP))
		log_warn("%s '%s' is down: no frame will pass (ip link set %s up)", kind, ifname,
			 ifname);
}

static uint32_t hash(uint32_t h, const char *s) /* FNV-1a */
{
	for (; *s; s++)
		h = (h ^ (uint8_t)*s) * 16777619u;
	return h;
}

/* Hosts on one network have taps of the same names: the host is part of the key. */
static uint32_t host_hash(void)
{
	char id[64] = "";
	struct utsname name;
	const int fd = open("/etc/machine-id", O_RDONLY | O_CLOEXEC);

	if (fd >= 0) {
		const ssize_t n = read(fd, id, sizeof(id) - 1);

		id[MAX(n, 0)] = 0;
		close(fd);
	}
	if (!*id && uname(&name) == 0)
		return hash(2166136261u, name.nodename);
	return hash(2166136261u, id);
}

void netbe_pick_mac(struct netbe *be, const char *key)
{
	const uint8_t prefix[2] = { 0x52, 0x54 }; /* locally administered, unicast */
	uint32_t h = 0;

	if (key)
		h = hash(host_hash(), key);
	else if (getrandom(&h, sizeof(h), 0) != sizeof(h))
		h = (uint32_t)now_ns();
	memcpy(be->mac, prefix, sizeof(prefix));
	memcpy(be->mac + sizeof(prefix), &h, sizeof(h));
}
