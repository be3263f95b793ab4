/* What all net backends share. */
#include "devices/net/netbe.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/random.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "vmm/base/log.h"

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
