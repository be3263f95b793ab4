/* vhost-net: rings in the hands of the host's kernel. */
#include "devices/net/vhost.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/vhost.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "vmm/base/event.h"
#include "vmm/base/log.h"

#define NODE "/dev/vhost-net"

static const char *const modes[] = { "on", "off", "auto", NULL };

#define AT(field) offsetof(struct vhost_options, field)
const struct option vhost_keys[] = {
	{ "vhost", OPTION_WORD, AT(mode), "on|off|auto",
	  "the host's kernel moves the frames (/dev/vhost-net); auto: where it can\n(default off)",
	  .words = modes, .min = VHOST_ON },
	{ "vhost-fd", OPTION_OTHER, AT(fds), "N[:N...]",
	  "/dev/vhost-net, open already, a descriptor a queue pair", .wanted = TAP_FDS_WANTED,
	  .parse = tap_parse_fds },
	{ 0 },
};

bool vhost_wanted(const struct vhost_options *o)
{
	return o->mode == VHOST_ON || o->mode == VHOST_AUTO || o->fds.nr;
}

bool vhost_insisted(const struct vhost_options *o)
{
	return vhost_wanted(o) && o->mode != VHOST_AUTO;
}

/* ---- opening ---- */

static int open_node(char why[VHOST_WHY])
{
	const int fd = open(NODE, O_RDWR | O_CLOEXEC), err = errno;
	const char *help = "";

	if (fd >= 0)
		return fd;
	if (err == ENOENT || err == ENODEV || err == ENXIO)
		help = " (load the module: sudo modprobe vhost_net)";
	else if (err == EPERM)
		help = " (" LOG_GIVE_NODE(NODE) ")";
	else if (err == EACCES)
		help = LOG_OPEN_NODE(NODE, NODE, " (", ")");
	snprintf(why, VHOST_WHY, "cannot open " NODE ": %s%s", strerror(err), help);
	return -err;
}

static int adopt(int fd, char why[VHOST_WHY])
{
	uint64_t features;
	int err;

	if (is_inherited(fd) && ioctl(fd, VHOST_GET_FEATURES, &features) == 0 &&
	    fcntl(fd, F_SETFD, FD_CLOEXEC) == 0)
		return fd;
	err = errno;
	snprintf(why, VHOST_WHY, "vhost-fd=%d is not an open " NODE ": %s", fd, strerror(err));
	return -err;
}

static int set_memory(const struct vhost *v, const struct guestmem *mem)
{
	struct {
		struct vhost_memory head;
		struct vhost_memory_region region[GUESTMEM_MAX_REGIONS];
	} table = { .head.nregions = mem->nr_regions };

	for (unsigned int i = 0; i < mem->nr_regions; i++)
		table.region[i] = (struct vhost_memory_region){
			.guest_phys_addr = mem->region[i].gpa,
			.memory_size = mem->region[i].len,
			.userspace_addr = (uintptr_t)mem->region[i].host,
		};
	return ioctl(v->fd, VHOST_SET_MEM_TABLE, &table);
}

/* What stays as it is while the pair lives. The name of what failed, with errno. */
static const char *set_up(struct vhost *v, const struct guestmem *mem, unsigned int poll_us)
{
	uint64_t features;

	v->err_fd = event_create();
	if (v->err_fd < 0) {
		errno = -v->err_fd;
		return "an event";
	}
	if (ioctl(v->fd, VHOST_SET_OWNER) < 0)
		return "VHOST_SET_OWNER";
	if (ioctl(v->fd, VHOST_GET_FEATURES, &features) < 0)
		return "VHOST_GET_FEATURES";
	if (set_memory(v, mem) < 0)
		return "VHOST_SET_MEM_TABLE";
	for (unsigned int i = VHOST_RX; i <= VHOST_TX; i++) {
		struct vhost_vring_file err = { i, v->err_fd };
		struct vhost_vring_state poll = { i, poll_us };

		if (ioctl(v->fd, VHOST_SET_VRING_ERR, &err) < 0)
			return "VHOST_SET_VRING_ERR";
		if (poll_us && ioctl(v->fd, VHOST_SET_VRING_BUSYLOOP_TIMEOUT, &poll) < 0)
			return "VHOST_SET_VRING_BUSYLOOP_TIMEOUT, for poll=";
	}
	v->features = features & VHOST_RING_FEATURES;
	errno = EOPNOTSUPP;
	if (!(features & NET_F(MRG_RXBUF)))
		return "VIRTIO_NET_F_MRG_RXBUF";
	return features & BIT_ULL(VIRTIO_F_VERSION_1) ? NULL : "VIRTIO_F_VERSION_1";
}

int vhost_open(struct vhost *v, int fd, const struct guestmem *mem, unsigned int poll_us,
	       char why[VHOST_WHY])
{
	const char *what;
	int err;

	*v = VHOST_NONE;
	fd = fd < 0 ? open_node(why) : adopt(fd, why);
	if (fd < 0)
		return fd;
	v->fd = fd;
	what = set_up(v, mem, poll_us);
	if (!what)
		return 0;
	err = errno;
	snprintf(why, VHOST_WHY, NODE " refuses %s: %s%s", what, strerror(err),
		 err == EBUSY ? " (another program uses this descriptor)" : "");
	vhost_close(v);
	return -err;
}

void vhost_close(struct vhost *v)
{
	close_fd(v->fd);
	close_fd(v->err_fd);
	*v = VHOST_NONE;
}

/* ---- rings ---- */

/* Give the ring to the kernel, which begins at the last of these. */
static const char *start_ring(const struct vhost *v, unsigned int i, const struct vhost_ring *r,
			      int tap_fd)
{
	struct vhost_vring_state num = { i, r->size }, base = { i, r->next };
	struct vhost_vring_addr addr = {
		.index = i,
		.desc_user_addr = (uintptr_t)r->desc,
		.avail_user_addr = (uintptr_t)r->avail,
		.used_user_addr = (uintptr_t)r->used,
	};
	struct vhost_vring_file kick = { i, r->kick }, call = { i, r->call }, tap = { i, tap_fd };

	if (ioctl(v->fd, VHOST_SET_VRING_NUM, &num) < 0)
		return "VHOST_SET_VRING_NUM";
	if (ioctl(v->fd, VHOST_SET_VRING_BASE, &base) < 0)
		return "VHOST_SET_VRING_BASE";
	if (ioctl(v->fd, VHOST_SET_VRING_ADDR, &addr) < 0)
		return "VHOST_SET_VRING_ADDR";
	if (ioctl(v->fd, VHOST_SET_VRING_CALL, &call) < 0)
		return "VHOST_SET_VRING_CALL";
	if (ioctl(v->fd, VHOST_SET_VRING_KICK, &kick) < 0)
		return "VHOST_SET_VRING_KICK";
	return ioctl(v->fd, VHOST_NET_SET_BACKEND, &tap) < 0 ? "VHOST_NET_SET_BACKEND" : NULL;
}

int vhost_start(struct vhost *v, const struct vhost_ring rings[2], uint64_t features, int tap_fd,
		const char **what)
{
	features &= VHOST_RING_FEATURES;
	*what = ioctl(v->fd, VHOST_SET_FEATURES, &features) < 0 ? "VHOST_SET_FEATURES" : NULL;
	for (unsigned int i = VHOST_RX; !*what && i <= VHOST_TX; i++)
		*what = start_ring(v, i, &rings[i], tap_fd);
	if (!*what)
		return 0;
	const int err = errno;
	vhost_stop(v);
	return -err;
}

/* What was never started is stopped, too. */
void vhost_stop(struct vhost *v)
{
	bool stopped = true;

	if (v->fd < 0)
		return;
	for (unsigned int i = VHOST_RX; i <= VHOST_TX; i++) {
		struct vhost_vring_file none = { i, VHOST_FILE_UNBIND };

		stopped &= ioctl(v->fd, VHOST_NET_SET_BACKEND, &none) == 0;
		/* Or each kick would wake a worker that has nothing to do. */
		ioctl(v->fd, VHOST_SET_VRING_KICK, &none);
	}
	if (!stopped) { /* by force, then */
		close(v->fd);
		v->fd = -1;
	}
}

int vhost_next(const struct vhost *v, enum vhost_way way, uint16_t *next)
{
	struct vhost_vring_state base = { .index = way };

	if (v->fd < 0) /* not even to be asked: of another descriptor the sandbox allows nothing */
		return -EBADF;
	if (ioctl(v->fd, VHOST_GET_VRING_BASE, &base) < 0)
		return -errno;
	*next = (uint16_t)base.num;
	return 0;
}

int vhost_set_call(const struct vhost *v, enum vhost_way way, int call)
{
	struct vhost_vring_file file = { way, call };

	return ioctl(v->fd, VHOST_SET_VRING_CALL, &file) < 0 ? -errno : 0;
}
