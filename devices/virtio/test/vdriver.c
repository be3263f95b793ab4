/* A virtio driver for unit tests. */
#include "devices/virtio/test/vdriver.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "vmm/base/test/account.h"
#include "vmm/base/test/unit.h"

#define FIRST_GPA 0x100000 /* 0 and its neighbourhood stay free for mistakes to be seen */
#define NO_DESC	  0xffff
#define FREE_DESC 0xfffe

static bool use_packed;

int vdriver_use_packed(void **state)
{
	use_packed = true;
	return 0;
}

static void signal_fd(int fd)
{
	assert_int_equal(eventfd_write(fd, 1), 0);
}

static unsigned int drain_fd(int fd)
{
	eventfd_t n;

	return eventfd_read(fd, &n) == 0 ? (unsigned int)n : 0;
}

static void wait_fd(int fd, const char *what)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	if (poll(&p, 1, VDRIVER_TIMEOUT_MS) != 1)
		fail_msg("%s did not come", what);
	drain_fd(fd);
}

static int new_fd(void)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	assert_true(fd >= 0);
	return fd;
}

/* ---- the machine ---- */

static int plug(void *arg, struct virtio_dev *dev, enum device_transport wish)
{
	vdriver_attach(arg, dev);
	return 0;
}

void vdriver_init(struct vdriver *d, uint64_t mem_size)
{
	memset(d, 0, sizeof(*d));
	assert_int_equal(guestmem_init(&d->mem, mem_size, NULL), 0);
	d->next_gpa = FIRST_GPA;
	d->env = (struct device_env){
		.name = "fake0", .mem = &d->mem, .counters = &d->counters, .plug = plug, .arg = d
	};
	d->config_irq_fd = new_fd();
	for (unsigned int i = 0; i < VDRIVER_MAX_QUEUES; i++)
		d->queue[i].irq_fd = new_fd();
}

static void free_queue(struct vdriver_queue *vq)
{
	free(vq->free);
	free(vq->next);
	free(vq->packed.nr_entries);
	*vq = (struct vdriver_queue){ .irq_fd = vq->irq_fd };
}

void vdriver_destroy(struct vdriver *d)
{
	if (d->device)
		d->device->ops->destroy(d->device);
	assert_null(d->counters.first);
	for (unsigned int i = 0; i < VDRIVER_MAX_QUEUES; i++) {
		close(d->queue[i].irq_fd);
		free_queue(&d->queue[i]);
	}
	close(d->config_irq_fd);
	guestmem_destroy(&d->mem);
}

int vdriver_create(struct vdriver *d, const struct device_kind *kind, const char *name,
		   const void *options)
{
	d->env.name = name;
	return kind->create(&d->device, &d->env, options);
}

uint64_t vdriver_counter(struct vdriver *d, const char *group, const char *name)
{
	char full[32];

	snprintf(full, sizeof(full), "%s%s%s", d->env.name, *group ? "." : "", group);
	return account_of(&d->counters, full, name);
}

/* ---- memory ---- */

uint64_t vdriver_alloc(struct vdriver *d, uint64_t len, uint64_t align)
{
	uint64_t gpa = ALIGN_UP(d->next_gpa, align);
	void *host = guestmem_ptr(&d->mem, gpa, len);

	if (!host)
		fail_msg("the test uses more guest memory than it asked for");
	memset(host, 0, len);
	d->next_gpa = gpa + len;
	return gpa;
}

struct vdriver_buf vdriver_buf(struct vdriver *d, uint32_t len)
{
	uint64_t gpa = vdriver_alloc(d, len, 16);

	return (struct vdriver_buf){ gpa, len, guestmem_ptr(&d->mem, gpa, len) };
}

struct vdriver_buf vdriver_part(struct vdriver_buf b, uint32_t offset, uint32_t len)
{
	assert_true(offset <= b.len && len <= b.len - offset);
	return (struct vdriver_buf){ b.gpa + offset, len, b.host + offset };
}

/* ---- the transport ---- */

static void queue_interrupt(void *transport, unsigned int queue)
{
	struct vdriver *d = transport;

	signal_fd(d->queue[queue].irq_fd);
}

static void config_interrupt(void *transport)
{
	struct vdriver *d = transport;

	signal_fd(d->config_irq_fd);
}

static int queue_event(void *transport, unsigned int queue)
{
	const struct vdriver *d = transport;

	return d->no_events ? -ENOTSUP : d->queue[queue].irq_fd;
}

static const struct virtio_transport_ops transport_ops = { .queue_interrupt = queue_interrupt,
							   .config_interrupt = config_interrupt,
							   .queue_event = queue_event };

void vdriver_attach(struct vdriver *d, struct virtio_dev *dev)
{
	assert_true(dev->nr_vqs <= VDRIVER_MAX_QUEUES);
	d->dev = dev;
	if (use_packed)
		dev->device_features |= BIT_ULL(VIRTIO_F_RING_PACKED);
	virtio_attach(dev, &transport_ops, d);
}

/* ---- initialisation ---- */

static void add_status(struct vdriver *d, uint8_t bit)
{
	virtio_set_status(d->dev, virtio_get_status(d->dev) | bit);
}

void vdriver_negotiate(struct vdriver *d, uint64_t features)
{
	features |= BIT_ULL(VIRTIO_F_VERSION_1);
	if (use_packed)
		features |= BIT_ULL(VIRTIO_F_RING_PACKED);
	d->event_idx = features & BIT_ULL(VIRTIO_RING_F_EVENT_IDX);
	d->is_packed = features & BIT_ULL(VIRTIO_F_RING_PACKED);
	add_status(d, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	add_status(d, VIRTIO_CONFIG_S_DRIVER);
	virtio_set_driver_features(d->dev, 0, (uint32_t)features);
	virtio_set_driver_features(d->dev, 1, (uint32_t)(features >> 32));
	add_status(d, VIRTIO_CONFIG_S_FEATURES_OK);
	assert_true(virtio_get_status(d->dev) & VIRTIO_CONFIG_S_FEATURES_OK);
	assert_int_equal(d->dev->features, features);
}

static void set_address(struct vdriver *d, unsigned int q, enum virtio_queue_reg low, uint64_t gpa)
{
	virtio_set_queue(d->dev, q, low, (uint32_t)gpa);
	virtio_set_queue(d->dev, q, low + 1, (uint32_t)(gpa >> 32));
}

void vdriver_setup_queue(struct vdriver *d, unsigned int q, uint16_t size)
{
	struct vdriver_queue *vq = &d->queue[q];
	const uint64_t desc_len = size * sizeof(struct vring_desc);
	const uint64_t avail_len = d->is_packed ? sizeof(struct vring_packed_desc_event)
						: sizeof(struct vring_avail) + size * 2 + 2;
	const uint64_t used_len = d->is_packed ? sizeof(struct vring_packed_desc_event)
					       : sizeof(struct vring_used) +
							 size * sizeof(struct vring_used_elem) + 2;

	free_queue(vq);
	drain_fd(vq->irq_fd);
	vq->size = size;
	vq->desc_gpa = vdriver_alloc(d, desc_len, 16);
	vq->avail_gpa = vdriver_alloc(d, avail_len, d->is_packed ? 4 : 2);
	vq->used_gpa = vdriver_alloc(d, used_len, 4);
	if (d->is_packed) {
		vq->packed.ring = guestmem_ptr(&d->mem, vq->desc_gpa, desc_len);
		vq->packed.driver_event = guestmem_ptr(&d->mem, vq->avail_gpa, avail_len);
		vq->packed.device_event = guestmem_ptr(&d->mem, vq->used_gpa, used_len);
		vq->packed.avail_wrap = vq->packed.used_wrap = true;
		vq->packed.nr_free = size;
		vq->packed.nr_entries = calloc(size, sizeof(*vq->packed.nr_entries));
		assert_non_null(vq->packed.nr_entries);
	} else {
		vq->desc = guestmem_ptr(&d->mem, vq->desc_gpa, desc_len);
		vq->avail = guestmem_ptr(&d->mem, vq->avail_gpa, avail_len);
		vq->used = guestmem_ptr(&d->mem, vq->used_gpa, used_len);
	}
	vq->free = calloc(size, sizeof(*vq->free));
	vq->next = calloc(size, sizeof(*vq->next));
	assert_true(vq->free && vq->next);
	for (uint16_t i = 0; i < size; i++) {
		vq->free[vq->nr_free++] = (uint16_t)(size - 1 - i);
		vq->next[i] = FREE_DESC;
	}
	virtio_set_queue(d->dev, q, VIRTIO_QUEUE_SIZE, size);
	set_address(d, q, VIRTIO_QUEUE_DESC_LO, vq->desc_gpa);
	set_address(d, q, VIRTIO_QUEUE_DRIVER_LO, vq->avail_gpa);
	set_address(d, q, VIRTIO_QUEUE_DEVICE_LO, vq->used_gpa);
	virtio_set_queue(d->dev, q, VIRTIO_QUEUE_READY, 1);
}

void vdriver_driver_ok(struct vdriver *d)
{
	add_status(d, VIRTIO_CONFIG_S_DRIVER_OK);
}

void vdriver_start_sized(struct vdriver *d, uint64_t features, uint16_t size)
{
	vdriver_negotiate(d, features);
	for (unsigned int q = 0; q < d->dev->nr_vqs; q++) {
		uint32_t max = virtio_get_queue(d->dev, q, VIRTIO_QUEUE_SIZE_MAX);

		vdriver_setup_queue(d, q, size ? size : (uint16_t)max);
	}
	vdriver_driver_ok(d);
	/* Each by itself: a wider look would take in the status, which a worker may be changing. */
	assert_true(__atomic_load_n(&d->dev->active, __ATOMIC_RELAXED) ||
		    __atomic_load_n(&d->dev->no_dma, __ATOMIC_RELAXED));
}

void vdriver_start(struct vdriver *d, uint64_t features)
{
	vdriver_start_sized(d, features, 0);
}

void vdriver_reset(struct vdriver *d)
{
	virtio_set_status(d->dev, 0);
	assert_int_equal(virtio_get_status(d->dev), 0);
	for (unsigned int q = 0; q < VDRIVER_MAX_QUEUES; q++)
		free_queue(&d->queue[q]);
	drain_fd(d->config_irq_fd);
}

/* ---- the driver's side of a queue ---- */

void vdriver_set_desc(struct vdriver *d, unsigned int q, uint16_t i, uint64_t gpa, uint32_t len,
		      uint16_t flags, uint16_t next)
{
	d->queue[q].desc[i] = (struct vring_desc){ gpa, len, flags, next };
}

void vdriver_make_avail(struct vdriver *d, unsigned int q, uint16_t head)
{
	struct vdriver_queue *vq = &d->queue[q];
	const uint16_t idx = vq->avail->idx;

	vq->avail->ring[idx % vq->size] = head;
	__atomic_store_n(&vq->avail->idx, (uint16_t)(idx + 1), __ATOMIC_RELEASE);
	vq->pending++;
}

static uint16_t take_desc(struct vdriver_queue *vq)
{
	if (!vq->nr_free)
		fail_msg("the test has used up all descriptors of a queue");
	return vq->free[--vq->nr_free];
}

static uint16_t desc_flags(unsigned int i, unsigned int nr_out, unsigned int nr)
{
	return (uint16_t)((i < nr_out ? 0 : VRING_DESC_F_WRITE) |
			  (i + 1 < nr ? VRING_DESC_F_NEXT : 0));
}

/* ---- packed rings (2.8) ---- */

#define AVAIL BIT(VRING_PACKED_DESC_F_AVAIL)
#define USED  BIT(VRING_PACKED_DESC_F_USED)

static void packed_advance(const struct vdriver_queue *vq, uint16_t *at, bool *wrap, unsigned int n)
{
	while (n--)
		if (++*at == vq->size) {
			*at = 0;
			*wrap = !*wrap;
		}
}

/* A chain of @nr buffers, or with @extra of one table of them. */
static uint16_t packed_add(struct vdriver *d, unsigned int q, const struct vdriver_buf *bufs,
			   unsigned int nr_out, unsigned int nr, uint16_t extra)
{
	struct vdriver_queue *vq = &d->queue[q];
	const uint16_t id = take_desc(vq), first = vq->packed.next_avail;
	uint16_t first_flags = 0;

	if (vq->packed.nr_free < nr)
		fail_msg("the test has used up all entries of a queue");
	for (unsigned int i = 0; i < nr; i++) {
		struct vring_packed_desc *e = &vq->packed.ring[vq->packed.next_avail];
		const uint16_t flags = (uint16_t)(desc_flags(i, nr_out, nr) | extra |
						  (vq->packed.avail_wrap ? AVAIL : USED));

		e->addr = bufs[i].gpa;
		e->len = bufs[i].len;
		e->id = id;
		if (i)
			e->flags = flags;
		else
			first_flags = flags;
		packed_advance(vq, &vq->packed.next_avail, &vq->packed.avail_wrap, 1);
	}
	__atomic_store_n(&vq->packed.ring[first].flags, first_flags, __ATOMIC_RELEASE);
	vq->next[id] = NO_DESC;
	vq->packed.nr_entries[id] = (uint16_t)nr;
	vq->packed.nr_free = (uint16_t)(vq->packed.nr_free - nr);
	vq->packed.added = (uint16_t)(vq->packed.added + nr);
	vq->pending++;
	return id;
}

static bool packed_kick_wanted(struct vdriver *d, struct vdriver_queue *vq)
{
	const struct vring_packed_desc_event *e = vq->packed.device_event;
	const uint16_t new = vq->packed.next_avail, added = vq->packed.added;
	const uint16_t flags = __atomic_load_n(&e->flags, __ATOMIC_ACQUIRE);
	const uint16_t off_wrap = __atomic_load_n(&e->off_wrap, __ATOMIC_RELAXED);
	uint16_t event = off_wrap & 0x7fff;

	vq->packed.added = 0;
	if (flags != VRING_PACKED_EVENT_FLAG_DESC)
		return flags == VRING_PACKED_EVENT_FLAG_ENABLE;
	assert_true(d->event_idx);
	if (off_wrap >> 15 != vq->packed.avail_wrap)
		event = (uint16_t)(event - vq->size);
	return vring_need_event(event, new, (uint16_t)(new - added));
}

static bool packed_take(struct vdriver_queue *vq, struct vring_used_elem *elem)
{
	const struct vring_packed_desc *e = &vq->packed.ring[vq->packed.next_used];
	const uint16_t flags = __atomic_load_n(&e->flags, __ATOMIC_ACQUIRE);

	if (!(flags & AVAIL) != !(flags & USED) || !(flags & USED) == vq->packed.used_wrap)
		return false;
	*elem = (struct vring_used_elem){ e->id, e->len };
	if (elem->id >= vq->size)
		fail_msg("the device gave back chain %u of a queue of %u", elem->id, vq->size);
	const uint16_t nr = vq->packed.nr_entries[elem->id];
	vq->packed.nr_free = (uint16_t)(vq->packed.nr_free + nr);
	packed_advance(vq, &vq->packed.next_used, &vq->packed.used_wrap, nr);
	return true;
}

/* ---- chains ---- */

uint16_t vdriver_add(struct vdriver *d, unsigned int q, const struct vdriver_buf *bufs,
		     unsigned int nr_out, unsigned int nr_in)
{
	struct vdriver_queue *vq = &d->queue[q];
	const unsigned int nr = nr_out + nr_in;
	uint16_t head, at;

	if (d->is_packed)
		return packed_add(d, q, bufs, nr_out, nr, 0);
	head = at = take_desc(vq);
	for (unsigned int i = 0; i < nr; i++) {
		uint16_t next = i + 1 < nr ? take_desc(vq) : NO_DESC;

		vdriver_set_desc(d, q, at, bufs[i].gpa, bufs[i].len, desc_flags(i, nr_out, nr),
				 next);
		vq->next[at] = next;
		at = next;
	}
	vdriver_make_avail(d, q, head);
	return head;
}

uint16_t vdriver_add_indirect(struct vdriver *d, unsigned int q, const struct vdriver_buf *bufs,
			      unsigned int nr_out, unsigned int nr_in)
{
	struct vdriver_queue *vq = &d->queue[q];
	const unsigned int nr = nr_out + nr_in;
	struct vdriver_buf table = vdriver_buf(d, nr * (uint32_t)sizeof(struct vring_desc));
	uint16_t head;

	for (unsigned int i = 0; i < nr; i++) {
		struct vring_desc desc = { bufs[i].gpa, bufs[i].len, desc_flags(i, nr_out, nr),
					   (uint16_t)(i + 1) };

		if (d->is_packed) /* addr and len stand where they do in a split ring */
			desc = (struct vring_desc){ desc.addr, desc.len, 0, desc.flags };
		memcpy(table.host + i * sizeof(desc), &desc, sizeof(desc));
	}
	if (d->is_packed)
		return packed_add(d, q, &table, 1, 1, VRING_DESC_F_INDIRECT);
	head = take_desc(vq);
	vdriver_set_desc(d, q, head, table.gpa, table.len, VRING_DESC_F_INDIRECT, 0);
	vq->next[head] = NO_DESC;
	vdriver_make_avail(d, q, head);
	return head;
}

void vdriver_force_kick(struct vdriver *d, unsigned int q)
{
	signal_fd(d->dev->vq[q].kick_fd);
}

bool vdriver_kick(struct vdriver *d, unsigned int q)
{
	struct vdriver_queue *vq = &d->queue[q];
	uint16_t old = vq->kicked, new = 0;
	bool wanted;

	/* Publish, then read the device's wish (2.7.10). */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (!d->is_packed)
		new = vq->avail->idx;
	if (d->is_packed) {
		wanted = packed_kick_wanted(d, vq);
	} else if (d->event_idx) {
		uint16_t *event = (uint16_t *)&vq->used->ring[vq->size];

		wanted = vring_need_event(__atomic_load_n(event, __ATOMIC_RELAXED), new, old);
	} else {
		wanted = !(__atomic_load_n(&vq->used->flags, __ATOMIC_RELAXED) &
			   VRING_USED_F_NO_NOTIFY);
	}
	vq->kicked = new;
	if (wanted)
		vdriver_force_kick(d, q);
	return wanted;
}

/* Descriptors that vdriver_add() handed out are free again. */
static void release(struct vdriver_queue *vq, uint32_t id)
{
	if (id >= vq->size)
		fail_msg("the device gave back chain %u of a queue of %u", id, vq->size);
	for (uint16_t at = (uint16_t)id, next; at != NO_DESC; at = next) {
		next = vq->next[at];
		if (next == FREE_DESC)
			return; /* made by hand */
		vq->next[at] = FREE_DESC;
		vq->free[vq->nr_free++] = at;
	}
}

bool vdriver_take(struct vdriver *d, unsigned int q, struct vring_used_elem *elem)
{
	struct vdriver_queue *vq = &d->queue[q];

	if (d->is_packed) {
		if (!packed_take(vq, elem))
			return false;
	} else {
		if (__atomic_load_n(&vq->used->idx, __ATOMIC_ACQUIRE) == vq->last_used)
			return false;
		*elem = vq->used->ring[vq->last_used++ % vq->size];
	}
	if (!vq->pending--)
		fail_msg("the device gave back more chains than it was given");
	release(vq, elem->id);
	return true;
}

void vdriver_ask_for_interrupt(struct vdriver *d, unsigned int q)
{
	struct vdriver_queue *vq = &d->queue[q];
	struct vring_packed_desc_event *e = vq->packed.driver_event;

	if (!d->is_packed) {
		__atomic_store_n(&vq->avail->ring[vq->size], vq->last_used, __ATOMIC_RELAXED);
	} else if (d->event_idx) {
		__atomic_store_n(&e->off_wrap,
				 (uint16_t)(vq->packed.next_used | vq->packed.used_wrap << 15),
				 __ATOMIC_RELAXED);
		__atomic_store_n(&e->flags, VRING_PACKED_EVENT_FLAG_DESC, __ATOMIC_RELEASE);
	}
}

struct vring_used_elem vdriver_wait(struct vdriver *d, unsigned int q)
{
	struct vdriver_queue *vq = &d->queue[q];
	struct vring_used_elem elem = { 0 };

	while (!vdriver_take(d, q, &elem)) {
		/* Ask for an interrupt, look again, sleep. */
		vdriver_ask_for_interrupt(d, q);
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		if (vdriver_take(d, q, &elem))
			break;
		wait_fd(vq->irq_fd, "an interrupt for a used chain");
	}
	return elem;
}

void vdriver_wait_config(struct vdriver *d)
{
	wait_fd(d->config_irq_fd, "a config interrupt");
}

unsigned int vdriver_interrupts(struct vdriver *d, unsigned int q)
{
	return drain_fd(d->queue[q].irq_fd);
}

void vdriver_wait_needs_reset(struct vdriver *d)
{
	vdriver_wait_config(d);
	assert_true(virtio_get_status(d->dev) & VIRTIO_CONFIG_S_NEEDS_RESET);
}
