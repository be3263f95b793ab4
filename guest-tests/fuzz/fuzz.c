/* What the fuzz targets share; see fuzz.h. */
#include "guest-tests/fuzz/fuzz.h"

#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "vmm/base/event.h"
#include "vmm/base/loop.h"
#include "vmm/x86/memmap.h"

#if defined(__has_feature)
#if __has_feature(memory_sanitizer)
#include <sanitizer/msan_interface.h>
#define HAVE_MSAN
#endif
#endif

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	fuzz_one(&(struct fuzz){ data, size });
	return 0;
}

/* ---- the input ---- */

uint64_t fuzz_int(struct fuzz *f, unsigned int bytes)
{
	uint64_t v = 0;
	size_t len;
	const uint8_t *from = fuzz_bytes(f, bytes, &len);

	memcpy(&v, from, len);
	return v;
}

unsigned int fuzz_below(struct fuzz *f, unsigned int n)
{
	return (unsigned int)fuzz_int(f, n > 256 ? 2 : 1) % n;
}

const uint8_t *fuzz_bytes(struct fuzz *f, size_t max, size_t *len)
{
	const uint8_t *at = f->at;

	*len = MIN(max, f->left);
	f->at += *len;
	f->left -= *len;
	return at;
}

/* ---- guest memory ---- */

#define PAGE	  4096u
#define HIGH_SIZE (4 * GIB + 128 * KIB)

static uint8_t *reserve(uint64_t len)
{
	uint8_t *at = mmap(NULL, len + PAGE, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	fuzz_check(at != MAP_FAILED);
	madvise(at, len, MADV_NOHUGEPAGE);
	mprotect(at + len, PAGE, PROT_NONE);
	return at;
}

void fuzz_memory(struct guestmem *mem, uint64_t low, bool high)
{
	static uint8_t *low_ram, *high_ram;

	if (!low_ram) {
		low_ram = reserve(FUZZ_LOW_MAX);
		high_ram = reserve(HIGH_SIZE);
	}
	fuzz_check(low % PAGE == 0 && low <= FUZZ_LOW_MAX);
	*mem = (struct guestmem){ .nr_regions = high ? 2 : 1 };
	mem->region[0] = (struct guestmem_region){ 0, low, low_ram + FUZZ_LOW_MAX - low };
	mem->region[1] = (struct guestmem_region){ MEMMAP_HOLE_END, HIGH_SIZE, high_ram };
	for (unsigned int i = 0; i < mem->nr_regions; i++)
		madvise(mem->region[i].host, mem->region[i].len, MADV_DONTNEED);
#ifdef HAVE_MSAN
	__msan_unpoison(mem->region[0].host, low);
#endif
}

void fuzz_check_memory(const struct guestmem *mem)
{
#ifdef HAVE_MSAN
	__msan_check_mem_is_initialized(mem->region[0].host, mem->region[0].len);
#endif
}

/* ---- files ---- */

int fuzz_file_fd(unsigned int n)
{
	static int fd[FUZZ_FILES]; /* 0: not made yet */

	if (!fd[n])
		fd[n] = memfd_create("input", MFD_CLOEXEC);
	fuzz_check(fd[n] > 0);
	return fd[n];
}

const char *fuzz_file(unsigned int n, const void *bytes, size_t len, uint64_t size)
{
	static char path[FUZZ_FILES][32];
	const int fd = fuzz_file_fd(n);

	fuzz_check(!ftruncate(fd, 0) && !ftruncate(fd, (off_t)MAX(size, (uint64_t)len)));
	fuzz_check(pwrite(fd, bytes, len, 0) == (ssize_t)len);
	snprintf(path[n], sizeof(path[n]), "/proc/self/fd/%d", fd);
	return path[n];
}

/* ---- loops: linked with --wrap, so that their creators come here ---- */

#define MAX_LOOPS 32
#define ROUNDS	  4 /* notice a kick, work on it, ask for kicks, find what came meanwhile */

/* Each loop has a watch that is always ready and stops it: it then runs for one round. */
static struct {
	struct loop *loop;
	struct loop_watch once;
} loops[MAX_LOOPS];

int __real_loop_create(struct loop **out, const char *name);
int __wrap_loop_create(struct loop **out, const char *name);
int __wrap_loop_start(struct loop *loop, enum thread_kind kind, const struct thread_guard *guard);
void __real_loop_destroy(struct loop *loop);
void __wrap_loop_destroy(struct loop *loop);

static void on_round(void *arg, uint32_t events)
{
	loop_stop(arg);
}

int __wrap_loop_create(struct loop **out, const char *name)
{
	static int ready;
	unsigned int i = 0;

	if (!ready) {
		ready = event_create();
		event_signal(ready);
	}
	while (loops[i].loop)
		fuzz_check(++i < MAX_LOOPS);
	fuzz_check(!__real_loop_create(out, name));
	loops[i].loop = *out;
	loops[i].once = (struct loop_watch){ .fd = ready, .ready = on_round, .arg = *out };
	fuzz_check(!loop_watch(*out, &loops[i].once, EPOLLIN));
	return 0;
}

int __wrap_loop_start(struct loop *loop, enum thread_kind kind, const struct thread_guard *guard)
{
	return 0;
}

void __wrap_loop_destroy(struct loop *loop)
{
	for (unsigned int i = 0; i < MAX_LOOPS; i++)
		if (loops[i].loop == loop)
			loops[i].loop = NULL;
	__real_loop_destroy(loop);
}

void fuzz_turn(void)
{
	for (unsigned int round = 0; round < ROUNDS; round++)
		for (unsigned int i = 0; i < MAX_LOOPS; i++)
			if (loops[i].loop)
				loop_run(loops[i].loop);
}

/* ---- a bus access ---- */

void fuzz_access(struct fuzz *f, struct bus *bus, uint64_t base, uint64_t len)
{
	const unsigned int how = fuzz_below(f, 256);
	const unsigned int size = 1u << (how & 3);
	uint64_t offset = fuzz_int(f, len > 0x10000 ? 3 : len > 0x100 ? 2 : 1), value = 0;

	offset %= len;
	if (how & 8)
		offset = ALIGN_DOWN(offset, (uint64_t)size);
	if (how & 4) {
		bus_write(bus, base + offset, size, fuzz_int(f, size));
		return;
	}
	bus_read(bus, base + offset, size, &value);
	fuzz_check(size == 8 || value >> (8 * size) == 0);
}

uint64_t fuzz_counters(const struct counters *machine, const char *group, const char *name)
{
	struct counter_group *g = machine->first;
	uint64_t sum = 0;

	while (g && strcmp(g->name, group))
		g = g->next;
	fuzz_check(g);
	if (g->refresh)
		g->refresh(g);
	for (const struct counter_desc *desc = g->desc; desc->name; desc++)
		if (!strncmp(desc->name, name, strlen(name)))
			sum += *(const uint64_t *)((const char *)g->base + desc->offset);
	return sum;
}

/* ---- a driver ---- */

#define RAM_SIZE    (224 * KIB)
#define QUEUES_BASE 0x1000u /* 0 stays free for mistakes to be seen */
#define QUEUE_SPACE 0x8000u /* a queue's three rings */
#define AVAIL	    0x4000u
#define USED	    0x5000u
#define BUFFERS	    (QUEUES_BASE + FUZZ_QUEUES * QUEUE_SPACE)

static void no_queue_interrupt(void *transport, unsigned int queue)
{
}

static void no_config_interrupt(void *transport)
{
}

static const struct virtio_transport_ops transport_ops = { no_queue_interrupt,
							   no_config_interrupt };

static void *ram(struct fuzz_driver *d, uint64_t gpa)
{
	return d->mem.region[0].host + gpa;
}

static int plug(void *arg, struct virtio_dev *dev, enum device_transport wish)
{
	struct fuzz_driver *d = arg;

	d->dev = dev;
	virtio_attach(dev, &transport_ops, d);
	return 0;
}

void fuzz_driver_init(struct fuzz_driver *d, const char *name)
{
	memset(d, 0, sizeof(*d));
	d->env = (struct device_env){
		.name = name, .mem = &d->mem, .counters = &d->counters, .plug = plug, .arg = d
	};
	fuzz_memory(&d->mem, RAM_SIZE, true);
	d->next_buffer = BUFFERS;
	for (unsigned int q = 0; q < FUZZ_QUEUES; q++) {
		uint8_t *at = ram(d, QUEUES_BASE + q * QUEUE_SPACE);

		d->queue[q].size = 1;
		d->queue[q].desc = (void *)at;
		d->queue[q].avail = (void *)(at + AVAIL);
		d->queue[q].used = (void *)(at + USED);
	}
}

int fuzz_driver_create(struct fuzz_driver *d, const struct device_kind *kind, const void *options)
{
	return kind->create(&d->device, &d->env, options);
}

void fuzz_driver_destroy(struct fuzz_driver *d)
{
	fuzz_check_memory(&d->mem);
	d->device->ops->destroy(d->device);
	fuzz_check(!d->counters.first);
}

static unsigned int pick_queue(struct fuzz_driver *d, struct fuzz *f)
{
	return fuzz_below(f, MIN(d->dev->nr_vqs, FUZZ_QUEUES));
}

static void add_status(struct fuzz_driver *d, uint8_t bits)
{
	virtio_set_status(d->dev, virtio_get_status(d->dev) | bits);
}

void fuzz_driver_start(struct fuzz_driver *d, struct fuzz *f)
{
	/* Of what is not offered none: that would be the end of it. */
	const uint64_t features =
		(~fuzz_int(f, 8) | BIT_ULL(VIRTIO_F_VERSION_1)) & d->dev->device_features;

	virtio_set_status(d->dev, 0);
	add_status(d, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
	virtio_set_driver_features(d->dev, 0, (uint32_t)features);
	virtio_set_driver_features(d->dev, 1, (uint32_t)(features >> 32));
	add_status(d, VIRTIO_CONFIG_S_FEATURES_OK);
	memset(ram(d, QUEUES_BASE), 0, FUZZ_QUEUES * QUEUE_SPACE);
	for (unsigned int q = 0; q < MIN(d->dev->nr_vqs, FUZZ_QUEUES); q++) {
		const uint32_t max = virtio_get_queue(d->dev, q, VIRTIO_QUEUE_SIZE_MAX);
		const uint32_t base = QUEUES_BASE + q * QUEUE_SPACE;
		const unsigned int how = fuzz_below(f, 256);
		const uint32_t size = 1u << how % 11;

		d->queue[q].size = (uint16_t)MIN(size, max);
		d->queue[q].next_desc = 0;
		virtio_set_queue(d->dev, q, VIRTIO_QUEUE_SIZE, d->queue[q].size);
		virtio_set_queue(d->dev, q, VIRTIO_QUEUE_DESC_LO, base);
		virtio_set_queue(d->dev, q, VIRTIO_QUEUE_DRIVER_LO, base + AVAIL);
		virtio_set_queue(d->dev, q, VIRTIO_QUEUE_DEVICE_LO, base + USED);
		if (how >= 240) /* one register is wrong */
			virtio_set_queue(d->dev, q, (enum virtio_queue_reg)(how - 240),
					 (uint32_t)fuzz_int(f, 4));
		virtio_set_queue(d->dev, q, VIRTIO_QUEUE_READY, 1);
	}
	add_status(d, VIRTIO_CONFIG_S_DRIVER_OK);
}

/* Room for @len bytes, behind the last one's; around the end they overlap. */
static uint64_t buffer(struct fuzz_driver *d, uint32_t len)
{
	uint64_t gpa;

	if (len > RAM_SIZE - d->next_buffer)
		d->next_buffer = BUFFERS;
	gpa = d->next_buffer;
	d->next_buffer += MIN(len, RAM_SIZE - gpa);
	return gpa;
}

/* A descriptor: mostly a good one, at times of any size, or any address at all. */
static struct vring_desc descriptor(struct fuzz_driver *d, struct fuzz *f, bool in)
{
	struct vring_desc desc = { .flags = in ? VRING_DESC_F_WRITE : 0 };
	const unsigned int kind = fuzz_below(f, 256);
	const uint8_t *bytes;
	size_t len;

	if (kind >= 240) { /* anything */
		desc.addr = fuzz_int(f, 8);
		desc.len = (uint32_t)fuzz_int(f, 4);
		desc.flags = (uint16_t)fuzz_int(f, 2);
		return desc;
	}
	if (kind >= 208) { /* as long as they get */
		desc.addr = MEMMAP_HOLE_END + fuzz_int(f, 2);
		desc.len = ~(uint32_t)fuzz_int(f, 2);
		return desc;
	}
	desc.len = (uint32_t)fuzz_int(f, kind & 1 ? 2 : 1);
	desc.addr = buffer(d, desc.len);
	if (!in) {
		bytes = fuzz_bytes(f, MIN(desc.len, kind >> 1), &len);
		memcpy(ram(d, desc.addr), bytes, MIN(len, (size_t)(RAM_SIZE - desc.addr)));
	}
	return desc;
}

static void make_available(struct fuzz_driver *d, unsigned int q, uint16_t head)
{
	struct vring_avail *avail = d->queue[q].avail;

	avail->ring[avail->idx % d->queue[q].size] = head;
	avail->idx++;
}

static void add_chain(struct fuzz_driver *d, struct fuzz *f)
{
	const unsigned int q = pick_queue(d, f), shape = fuzz_below(f, 256);
	const unsigned int nr_out = shape & 3, nr = MAX(nr_out + (shape >> 2 & 7), 1u);
	const bool indirect = shape & 32;
	const uint16_t size = d->queue[q].size, head = d->queue[q].next_desc;
	struct vring_desc *table = d->queue[q].desc;
	const uint32_t table_len = nr * (uint32_t)sizeof(*table);
	uint64_t gpa = 0;

	if (indirect) {
		gpa = buffer(d, table_len);
		table = ram(d, gpa);
	}
	for (unsigned int i = 0; i < nr; i++) {
		const unsigned int at = indirect ? i : (head + i) % size;
		struct vring_desc desc = descriptor(d, f, i >= nr_out);

		if (i + 1 < nr)
			desc.flags |= VRING_DESC_F_NEXT;
		desc.next = (uint16_t)(indirect ? i + 1 : (head + i + 1) % size);
		memcpy(&table[at], &desc, sizeof(desc));
	}
	if (indirect)
		d->queue[q].desc[head] =
			(struct vring_desc){ gpa, table_len, VRING_DESC_F_INDIRECT, 0 };
	d->queue[q].next_desc = (uint16_t)((head + (indirect ? 1 : nr)) % size);
	make_available(d, q, head);
}

static void kick(struct fuzz_driver *d, unsigned int q)
{
	event_signal(d->dev->vq[q].kick_fd);
	fuzz_turn();
}

void fuzz_driver_request(struct fuzz_driver *d, unsigned int q, const void *head, uint32_t head_len,
			 uint32_t out_len, uint32_t in_len)
{
	const uint16_t size = d->queue[q].size, first = d->queue[q].next_desc;
	const uint32_t lens[] = { head_len, out_len, in_len };
	struct vring_desc *desc = NULL;
	unsigned int n = 0;

	for (unsigned int i = 0; i < ARRAY_SIZE(lens); i++) {
		if (!lens[i] || n == size)
			continue;
		if (desc)
			desc->flags |= VRING_DESC_F_NEXT;
		desc = &d->queue[q].desc[(first + n++) % size];
		*desc = (struct vring_desc){ buffer(d, lens[i]), lens[i],
					     i == 2 ? VRING_DESC_F_WRITE : 0,
					     (uint16_t)((first + n) % size) };
		if (!i)
			memcpy(ram(d, desc->addr), head, MIN(head_len, RAM_SIZE - desc->addr));
	}
	d->queue[q].next_desc = (uint16_t)((first + n) % size);
	make_available(d, q, first);
	kick(d, q);
}

void fuzz_driver_settle(const struct fuzz_driver *d, unsigned int q)
{
	const volatile struct virtq *vq = &d->dev->vq[q];
	const uint64_t deadline = now_ns() + 10000000000ull;

	event_signal(vq->kick_fd);
	while (d->dev->active && vq->live && !vq->broken &&
	       (vq->last_avail != vq->avail->idx || vq->used_idx != vq->last_avail)) {
		fuzz_check(now_ns() < deadline);
		nanosleep(&(struct timespec){ .tv_nsec = 1000 }, NULL);
	}
}

static void scribble(struct fuzz_driver *d, struct fuzz *f)
{
	const uint64_t gpa = fuzz_int(f, 3) % RAM_SIZE;
	size_t len;
	const uint8_t *bytes = fuzz_bytes(f, MIN(fuzz_int(f, 1), RAM_SIZE - gpa), &len);

	memcpy(ram(d, gpa), bytes, len);
}

static void touch_registers(struct fuzz_driver *d, struct fuzz *f)
{
	const uint32_t queue = (uint32_t)fuzz_int(f, 1), value = (uint32_t)fuzz_int(f, 4);
	const enum virtio_queue_reg reg = (enum virtio_queue_reg)fuzz_below(f, 9);

	virtio_set_queue(d->dev, queue, reg, value);
	virtio_get_queue(d->dev, queue, reg);
	virtio_set_driver_features(d->dev, queue, value);
	virtio_get_driver_features(d->dev, queue);
	virtio_get_device_features(d->dev, queue);
	virtio_write_config(d->dev, queue, 1u << (reg & 3), value);
	virtio_read_config(d->dev, queue, 1u << (reg & 3));
	virtio_get_config_generation(d->dev);
}

void fuzz_driver_act(struct fuzz_driver *d, struct fuzz *f)
{
	const unsigned int act = fuzz_below(f, 16);
	unsigned int q;

	switch (act) {
	case 0 ... 5:
		add_chain(d, f);
		break;
	case 6 ... 9:
		kick(d, pick_queue(d, f));
		break;
	case 10:
		fuzz_driver_start(d, f);
		break;
	case 11: /* indices that a good driver never makes */
		q = pick_queue(d, f);
		make_available(d, q, (uint16_t)fuzz_int(f, 2));
		d->queue[q].avail->idx += (uint16_t)fuzz_int(f, 2);
		break;
	case 12: /* which interrupts it wants */
		q = pick_queue(d, f);
		d->queue[q].avail->flags = (uint16_t)fuzz_int(f, 1);
		d->queue[q].avail->ring[d->queue[q].size] = (uint16_t)fuzz_int(f, 2);
		break;
	case 13:
		scribble(d, f);
		break;
	case 14:
		virtio_set_status(d->dev, (uint8_t)fuzz_int(f, 1));
		break;
	default:
		touch_registers(d, f);
		break;
	}
}
