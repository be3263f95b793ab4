/* What all net backends share. */
#include "devices/net/netbe.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/random.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "devices/net/tap.h"
#include "vmm/base/log.h"

/* The kinds, and where their options lie in struct netbe_options. */
static const struct {
	const struct netbe_kind *kind;
	size_t at;
} kinds[] = {
	{ &netbe_tap, 0 },
};

_Static_assert(sizeof(struct netbe_tap_options) <= sizeof(struct netbe_options),
	       "room for options");

const struct option_group netbe_options = {
	.size = sizeof(struct netbe_options),
	.of = (const struct option_rows[]){ { netbe_tap_keys, 0 }, { 0 } },
};

static const void *options_of(const struct netbe_options *options, unsigned int i)
{
	return options->of_kinds + kinds[i].at;
}

int netbe_options_check(const struct netbe_options *options, const char *text)
{
	unsigned int nr = 0;

	for (unsigned int i = 0; i < ARRAY_SIZE(kinds); i++)
		nr += kinds[i].kind->wanted(options_of(options, i));
	if (nr == 1)
		return 0;
	log_error("--net %s: give a tap, fd=N, or bridge=NAME (with or without tap=NAME)", text);
	return -EINVAL;
}

bool netbe_options_same(const struct netbe_options *a, const struct netbe_options *b)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(kinds); i++)
		if (kinds[i].kind->wanted(options_of(a, i)))
			return kinds[i].kind->same(options_of(a, i), options_of(b, i));
	return false;
}

int netbe_open(struct netbe **out, const struct netbe_options *options)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(kinds); i++)
		if (kinds[i].kind->wanted(options_of(options, i)))
			return kinds[i].kind->open(out, options_of(options, i));
	return -EINVAL;
}

bool netbe_lost(struct netbe *be, const char *card, int err)
{
	if ((err == -EBADFD || err == -EBADF) && !atomic_exchange(&be->gone, true))
		log_warn("%s: %s is gone; the guest's frames are dropped from now on", card,
			 be->name);
	return netbe_is_gone(be);
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
