/* A host's kernel with vhost-net, for unit tests. */
#include "devices/virtio/test/fake_vhost.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/vhost.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "devices/net/test/netbe_pair.h"
#include "vmm/base/event.h"
#include "vmm/base/test/unit.h"

static struct fake_vhost *fakes[NETBE_MAX_PAIRS];
static unsigned int nr_fakes;

int __wrap_ioctl(int fd, unsigned long request, ...);

int fake_vhost_new(struct fake_vhost *f)
{
	*f = (struct fake_vhost){ .offers = VHOST_RING_FEATURES & ~BIT_ULL(VIRTIO_F_RING_PACKED) };
	pthread_mutex_init(&f->lock, NULL);
	for (unsigned int i = 0; i < 2; i++)
		f->ring[i] =
			(struct fake_vhost_ring){ .kick = -1, .call = -1, .err = -1, .tap = -1 };
	f->fd = open("/dev/null", O_RDWR);
	assert_true(f->fd >= 0 && nr_fakes < ARRAY_SIZE(fakes));
	fakes[nr_fakes++] = f;
	return f->fd;
}

void fake_vhost_forget(void)
{
	nr_fakes = 0;
}

bool fake_vhost_is_closed(const struct fake_vhost *f)
{
	return fcntl(f->fd, F_GETFD) < 0;
}

/* ---- ioctls ---- */

static int set_memory(struct fake_vhost *f, const struct vhost_memory *m)
{
	assert_true(m->nregions <= GUESTMEM_MAX_REGIONS && !m->padding);
	f->nr_regions = m->nregions;
	for (unsigned int i = 0; i < m->nregions; i++) {
		const struct vhost_memory_region *r = &m->regions[i];

		assert_int_equal(r->flags_padding, 0);
		f->region[i] = (struct guestmem_region){ r->guest_phys_addr, r->memory_size,
							 (uint8_t *)(uintptr_t)r->userspace_addr };
	}
	return 0;
}

static int set_backend(struct fake_vhost *f, struct fake_vhost_ring *r, int tap)
{
	if (tap >= 0 && (!r->num || !r->used || !f->nr_regions))
		return -EFAULT;
	if (tap >= 0)
		r->last_used = ((struct vring_used *)r->used)->idx;
	r->tap = tap;
	r->stuck = false;
	f->starts += tap >= 0;
	return 0;
}

static int set_ring(struct fake_vhost *f, unsigned long request, void *arg)
{
	struct vhost_vring_state *s = arg;
	const struct vhost_vring_file *file = arg;
	const struct vhost_vring_addr *a = arg;
	struct fake_vhost_ring *r = &f->ring[s->index];

	assert_true(s->index < 2);
	switch (request) {
	case VHOST_SET_VRING_NUM:
		if (r->tap >= 0 || !IS_POWER_OF_2(s->num) || s->num > UINT16_MAX)
			return r->tap >= 0 ? -EBUSY : -EINVAL;
		r->num = (uint16_t)s->num;
		return 0;
	case VHOST_SET_VRING_BASE:
		if (r->tap >= 0 || s->num > UINT16_MAX)
			return r->tap >= 0 ? -EBUSY : -EINVAL;
		r->base = (uint16_t)s->num;
		return 0;
	case VHOST_GET_VRING_BASE:
		s->num = r->base;
		return 0;
	case VHOST_SET_VRING_ADDR:
		if (a->flags || a->desc_user_addr % 16 || a->avail_user_addr % 2 ||
		    a->used_user_addr % 4)
			return a->flags ? -EOPNOTSUPP : -EINVAL;
		r->desc = a->desc_user_addr;
		r->avail = a->avail_user_addr;
		r->used = a->used_user_addr;
		return 0;
	case VHOST_SET_VRING_KICK:
		r->kick = file->fd;
		return 0;
	case VHOST_SET_VRING_CALL:
		r->call = file->fd;
		return 0;
	case VHOST_SET_VRING_ERR:
		r->err = file->fd;
		return 0;
	case VHOST_SET_VRING_BUSYLOOP_TIMEOUT:
		r->poll = s->num;
		return 0;
	case VHOST_NET_SET_BACKEND:
		return set_backend(f, r, file->fd);
	default:
		fail_msg("vhost: request %#lx", request);
		return -ENOTTY;
	}
}

static int serve(struct fake_vhost *f, unsigned long request, void *arg)
{
	const struct vhost_vring_file *file = arg;

	f->calls++;
	if (request == f->fails &&
	    (request != VHOST_NET_SET_BACKEND || f->unbinding == (file->fd < 0)) && !f->spared--) {
		f->spared = 0;
		return -f->err;
	}
	if (request == VHOST_GET_FEATURES) {
		*(uint64_t *)arg = f->offers;
		return 0;
	}
	if (request == VHOST_SET_OWNER) {
		if (f->owned)
			return -EBUSY;
		f->owned = true;
		return 0;
	}
	if (!f->owned)
		return -EPERM;
	if (request == VHOST_SET_MEM_TABLE)
		return set_memory(f, arg);
	if (request == VHOST_SET_FEATURES) {
		if (*(uint64_t *)arg & ~f->offers)
			return -EOPNOTSUPP;
		f->features = *(uint64_t *)arg;
		return 0;
	}
	return set_ring(f, request, arg);
}

int __wrap_ioctl(int fd, unsigned long request, ...)
{
	struct fake_vhost *f = NULL;
	va_list ap;
	void *arg;
	int ret;

	va_start(ap, request);
	arg = va_arg(ap, void *);
	va_end(ap);
	if (fd < 0 && _IOC_TYPE(request) == VHOST_VIRTIO)
		abort(); /* as the sandbox has it */
	for (unsigned int i = 0; i < nr_fakes; i++)
		if (fakes[i]->fd == fd)
			f = fakes[i];
	if (!f || fake_vhost_is_closed(f) || _IOC_TYPE(request) != VHOST_VIRTIO)
		return (int)syscall(SYS_ioctl, fd, request, arg);
	pthread_mutex_lock(&f->lock);
	ret = serve(f, request, arg);
	pthread_mutex_unlock(&f->lock);
	errno = ret < 0 ? -ret : errno;
	return ret < 0 ? -1 : ret;
}

/* ---- the worker ---- */

static uint8_t *host(const struct fake_vhost *f, uint64_t gpa, uint64_t len)
{
	for (unsigned int i = 0; i < f->nr_regions; i++)
		if (gpa >= f->region[i].gpa && gpa + len <= f->region[i].gpa + f->region[i].len)
			return f->region[i].host + (gpa - f->region[i].gpa);
	return NULL;
}

/* The next chain: its head, and its buffers, all writable or none; -1: none, or an error. */
static int take(struct fake_vhost *f, struct fake_vhost_ring *r, bool write, struct iovec *iov,
		int *nr)
{
	const struct vring_avail *avail = (void *)r->avail;
	const struct vring_desc *desc = (void *)r->desc;
	const uint16_t idx = __atomic_load_n(&avail->idx, __ATOMIC_ACQUIRE);

	if (idx == r->base || r->stuck)
		return -1;
	const uint16_t head = avail->ring[r->base & (r->num - 1)];
	uint16_t at = head;

	for (*nr = 0; *nr < 64 && at < r->num; at = desc[at].next) {
		uint8_t *p = host(f, desc[at].addr, desc[at].len);

		if (!p || !(desc[at].flags & VRING_DESC_F_WRITE) == write)
			break;
		iov[(*nr)++] = (struct iovec){ p, desc[at].len };
		if (!(desc[at].flags & VRING_DESC_F_NEXT)) {
			r->base++;
			return head;
		}
	}
	/* As the kernel does: what is of the wrong form is taken, what can't be followed isn't. */
	if (at < r->num)
		r->base++;
	r->stuck = true;
	event_signal(r->err);
	return -1;
}

static void give_back(struct fake_vhost_ring *r, int head, uint32_t len)
{
	struct vring_used *used = (void *)r->used;

	used->ring[r->last_used & (r->num - 1)] = (struct vring_used_elem){ (uint32_t)head, len };
	__atomic_store_n(&used->idx, ++r->last_used, __ATOMIC_RELEASE);
	if (r->call >= 0)
		event_signal(r->call);
}

static bool send_one(struct fake_vhost *f, struct netbe_pair *pair)
{
	struct fake_vhost_ring *r = &f->ring[VHOST_TX];
	struct iovec iov[64];
	struct msghdr msg = { .msg_iov = iov };
	int nr, head;

	head = r->tap < 0 ? -1 : take(f, r, false, iov, &nr);
	if (head < 0)
		return false;
	msg.msg_iovlen = (size_t)nr;
	if (sendmsg(r->tap, &msg, MSG_NOSIGNAL) < 0 && errno == EAGAIN) {
		r->base--;
		return false;
	}
	atomic_fetch_add(&pair->taken, 1);
	give_back(r, head, 0);
	return true;
}

static bool receive_one(struct fake_vhost *f, struct netbe_pair *pair)
{
	static const uint8_t one[2] = { 1, 0 };
	struct fake_vhost_ring *r = &f->ring[VHOST_RX];
	struct iovec iov[64];
	uint8_t byte;
	int nr, head;

	if (r->tap < 0 || recv(r->tap, &byte, 1, MSG_PEEK) <= 0)
		return false;
	head = take(f, r, true, iov, &nr);
	if (head < 0)
		return false;
	const ssize_t len = readv(r->tap, iov, nr);
	assert_true(len > 0);
	if (f->features & NET_F(MRG_RXBUF))
		memcpy((uint8_t *)iov[0].iov_base + 10, one, sizeof(one));
	atomic_fetch_add(&pair->passed, 1);
	give_back(r, head, (uint32_t)len);
	return true;
}

unsigned int fake_vhost_work(struct fake_vhost *f, struct netbe_pair *pair)
{
	unsigned int frames = 0;

	pthread_mutex_lock(&f->lock);
	while (send_one(f, pair))
		frames++;
	while (receive_one(f, pair))
		frames++;
	pthread_mutex_unlock(&f->lock);
	return frames;
}
