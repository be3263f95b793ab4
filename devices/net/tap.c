/* A tap interface as net backend (the kernel's Documentation/networking/tuntap.rst). */
#include "devices/net/netbe.h"

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
#include <unistd.h>

#include "vmm/base/log.h"

#ifndef TUN_F_USO4 /* Linux 6.2 */
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

#define TUN_NODE "/dev/net/tun"

struct tap {
	struct netbe be;
	char name[IFNAMSIZ];
};

/* What taps of different ages can do, the best first. */
static const unsigned int offload_sets[] = {
	TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN | TUN_F_USO4 | TUN_F_USO6,
	TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN,
	TUN_F_CSUM,
};

static ssize_t tap_recv(struct netbe *be, const struct iovec *iov, int n)
{
	const ssize_t len = readv(be->fd, iov, n);

	return len < 0 ? -errno : len;
}

static int tap_send(struct netbe *be, const struct iovec *iov, int n)
{
	return writev(be->fd, iov, n) < 0 ? -errno : 0;
}

static int tap_set_offload(struct netbe *be, unsigned int tun_f)
{
	return ioctl(be->fd, TUNSETOFFLOAD, (unsigned long)tun_f) < 0 ? -errno : 0;
}

static void tap_close(struct netbe *be)
{
	close(be->fd);
	free(be);
}

static const struct netbe_ops tap_ops = {
	.recv = tap_recv,
	.send = tap_send,
	.set_offload = tap_set_offload,
	.close = tap_close,
};

static const char *why_no_node(int err)
{
	switch (err) {
	case ENOENT:
	case ENODEV:
		return " (load the module: modprobe tun)";
	case EACCES:
	case EPERM:
		return " (its node is not yours to open: sudo chmod 0666 " TUN_NODE ")";
	default:
		return "";
	}
}

static void report_attach(const char *name, int err)
{
	switch (err) {
	case EPERM:
	case EACCES:
		log_error("cannot open tap '%s': %s (create it for your user: ip tuntap add %s "
			  "mode tap "
			  "user $USER)",
			  name, strerror(err), name);
		break;
	case EBUSY:
		log_error(
			"cannot open tap '%s': another program holds it (and it has no queue to spare)",
			name);
		break;
	case EINVAL:
		log_error("cannot open tap '%s': an interface of that name exists and is not a tap "
			  "(ip "
			  "-d link show %s)",
			  name, name);
		break;
	default:
		log_error("cannot open tap '%s': %s", name, strerror(err));
	}
}

/* Open the tap by name, or make it. A multi-queue tap must be opened as one, and only one. */
static int attach(struct tap *tap, const char *name)
{
	struct ifreq ifr = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
	int err;

	tap->be.fd = open(TUN_NODE, O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (tap->be.fd < 0) {
		err = errno;
		log_error("cannot open %s: %s%s", TUN_NODE, strerror(err), why_no_node(err));
		return -err;
	}
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	if (ioctl(tap->be.fd, TUNSETIFF, &ifr) < 0) {
		err = errno;
		if (err == EINVAL) {
			ifr.ifr_flags |= IFF_MULTI_QUEUE;
			if (ioctl(tap->be.fd, TUNSETIFF, &ifr) == 0) {
				log_info("tap '%s' has several queues; one is used", name);
				goto attached;
			}
			err = errno;
		}
		report_attach(name, err);
		return -err;
	}
attached:
	memcpy(tap->name, ifr.ifr_name, sizeof(tap->name));
	return 0;
}

/* A descriptor from the user: is it a tap, and one of the right kind? */
static int adopt(struct tap *tap, int fd)
{
	struct ifreq ifr = { 0 };

	if (ioctl(fd, TUNGETIFF, &ifr) < 0) {
		int err = errno;

		log_error("fd=%d is not an open tap: TUNGETIFF: %s", fd, strerror(err));
		return -err;
	}
	if (!(ifr.ifr_flags & IFF_TAP)) {
		log_error("fd=%d is the tun interface '%s': a tap is needed (IFF_TAP)", fd,
			  ifr.ifr_name);
		return -EINVAL;
	}
	/* Whether it has IFF_NO_PI cannot be asked: in the answer that bit means another thing. */
	if (!(ifr.ifr_flags & IFF_VNET_HDR)) {
		log_error(
			"fd=%d, tap '%s', was opened without IFF_VNET_HDR: open it with IFF_TAP | IFF_NO_PI | IFF_VNET_HDR",
			fd, ifr.ifr_name);
		return -EINVAL;
	}
	memcpy(tap->name, ifr.ifr_name, sizeof(tap->name));
	tap->be.fd = fd;
	if (fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK) < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0) {
		int err = errno;

		log_error("cannot make fd=%d non-blocking: %s", fd, strerror(err));
		return -err;
	}
	return 0;
}

/* The header's length, and what the tap can do. */
static int negotiate(struct tap *tap)
{
	int len = NETBE_HDR_LEN;

	if (ioctl(tap->be.fd, TUNSETVNETHDRSZ, &len) < 0) {
		int err = errno;

		log_error("tap '%s' does not take a header of %d bytes: TUNSETVNETHDRSZ: %s",
			  tap->name, len, strerror(err));
		return -err;
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(offload_sets) && !tap->be.offload; i++)
		if (!tap_set_offload(&tap->be, offload_sets[i]))
			tap->be.offload = offload_sets[i];
	/* None until the guest says what it copes with. */
	tap_set_offload(&tap->be, 0);
	return 0;
}

static int configure_interface(struct tap *tap, const struct netbe_tap_config *config, bool made)
{
	const int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq ifr = { 0 };
	const char *what = NULL;
	int err = 0;

	if (sock < 0)
		return 0; /* without IPv4 sockets the tap still carries frames */
	memcpy(ifr.ifr_name, tap->name, sizeof(ifr.ifr_name));
	if (config->mtu) {
		ifr.ifr_mtu = (int)config->mtu;
		if (ioctl(sock, SIOCSIFMTU, &ifr) < 0)
			what = "set its MTU";
	}
	if (!what && config->bridge) {
		struct ifreq br = { .ifr_ifindex = (int)if_nametoindex(tap->name) };

		snprintf(br.ifr_name, sizeof(br.ifr_name), "%s", config->bridge);
		if (ioctl(sock, SIOCBRADDIF, &br) < 0) {
			if (errno == EBUSY)
				log_warn("tap '%s' is on a bridge already; left there", tap->name);
			else
				what = "put it on the bridge";
		}
	}
	if (!what && ioctl(sock, SIOCGIFFLAGS, &ifr) == 0 && !(ifr.ifr_flags & IFF_UP)) {
		if (made) {
			ifr.ifr_flags |= IFF_UP;
			if (ioctl(sock, SIOCSIFFLAGS, &ifr) < 0)
				what = "bring it up";
		} else {
			log_warn("tap '%s' is down: no frame will pass (ip link set %s up)",
				 tap->name, tap->name);
		}
	}
	if (what) {
		err = errno;
		log_error("cannot %s: tap '%s'%s%s: %s", what, tap->name,
			  config->bridge ? ", bridge " : "", config->bridge ? config->bridge : "",
			  strerror(err));
	}
	if (!err && ioctl(sock, SIOCGIFMTU, &ifr) == 0)
		tap->be.mtu = (unsigned int)ifr.ifr_mtu;
	close(sock);
	return -err;
}

int netbe_tap_open(struct netbe **out, const struct netbe_tap_config *config)
{
	/* With a bridge and no name the kernel picks one; it is free by then. */
	const char *name = config->tap ? config->tap : "mvm%d";
	const bool made = config->fd < 0 && !if_nametoindex(name);
	struct tap *tap = calloc(1, sizeof(*tap));
	int ret;

	if (!tap)
		return -ENOMEM;
	tap->be.ops = &tap_ops;
	tap->be.fd = -1;
	ret = config->fd >= 0 ? adopt(tap, config->fd) : attach(tap, name);
	if (!ret)
		ret = negotiate(tap);
	if (!ret)
		ret = configure_interface(tap, config, made);
	if (ret) {
		if (tap->be.fd >= 0)
			close(tap->be.fd);
		free(tap);
		return ret;
	}
	*out = &tap->be;
	return 0;
}
