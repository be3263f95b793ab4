/* Packet capture: a ring of packet blocks for each queue pair, and the thread that writes them out. */
#include "devices/net/pcap.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "vmm/base/counters.h"
#include "vmm/base/event.h"
#include "vmm/base/iov.h"
#include "vmm/base/log.h"
#include "vmm/base/sink.h"

#define RING_SIZE (8 * MIB)
#define GATHER_MS 5  /* so long frames gather before the writer takes them */
#define STUCK_MS  50 /* how long one write may wait */

#define BLOCK_SECTION	  0x0a0d0d0au
#define BLOCK_INTERFACE	  1u
#define BLOCK_PACKET	  6u
#define BYTE_ORDER_MAGIC  0x1a2b3c4du
#define LINKTYPE_ETHERNET 1
#define OPT_END		  0
#define OPT_IF_NAME	  2
#define OPT_IF_TSRESOL	  9
#define OPT_EPB_FLAGS	  2
#define OPT_EPB_QUEUE	  6

/* An enhanced packet block, without the packet in its midst. */
struct packet_head {
	uint32_t type, total, interface, time_high, time_low, captured, original;
};

struct option32 {
	uint16_t code, len;
	uint32_t value;
};

struct packet_tail {
	struct option32 flags, queue;
	uint32_t end, total;
};

/*
 * Whole blocks between tail and head, which only grow; their place is that modulo the size. None goes over the edge:
 * what is left before it is skipped, from wrap_end on.
 */
struct ring {
	uint8_t *bytes;
	_Atomic uint64_t head; /* the pair's */
	_Atomic uint64_t tail; /* the writer's */
	_Atomic uint64_t wrap_end;
	uint64_t frames, captured_bytes, lost;
};

struct pcap_counters {
	uint64_t frames, bytes; /* in the file, or on their way there */
	uint64_t lost;		/* for want of room, or of a file that takes them */
};

struct pcap {
	struct output output;
	const char *card;
	unsigned int snap, pairs;
	struct ring *ring;
	struct thread thread;
	char thread_name[16];
	int wake_fd;
	atomic_bool idle, stop, failed;
	uint64_t deadline; /* for the rest, once it is to stop */
	uint64_t written;  /* bytes of whole blocks */
	uint64_t lost;	   /* frames that came out of a ring and did not go into the file */
	uint64_t lost_bytes;
	struct pcap_counters counters;
	struct counter_group group;
};

static const struct counter_desc counter_desc[] = {
	COUNTER(struct pcap_counters, frames),
	COUNTER(struct pcap_counters, bytes),
	COUNTER(struct pcap_counters, lost),
	COUNTER_END,
};

/* ---- a pair's thread ---- */

/* @len bytes in one piece, or NULL where there is no room; *@head becomes what is to be the ring's. */
static uint8_t *reserve(struct ring *r, size_t len, uint64_t *head)
{
	const uint64_t from = atomic_load_explicit(&r->head, memory_order_relaxed);
	const uint64_t tail = atomic_load_explicit(&r->tail, memory_order_acquire);
	const uint64_t edge = ALIGN_DOWN(from, RING_SIZE) + RING_SIZE;
	const uint64_t at = from + len > edge ? edge : from;

	if (at + len - tail > RING_SIZE)
		return NULL;
	if (at != from)
		atomic_store_explicit(&r->wrap_end, from, memory_order_relaxed);
	else if (from + len == edge)
		atomic_store_explicit(&r->wrap_end, edge, memory_order_relaxed);
	*head = at + len;
	return r->bytes + at % RING_SIZE;
}

static void put_packet(uint8_t *to, const struct iovec *iov, unsigned int nr, size_t skip,
		       struct packet_head *head, const struct packet_tail *tail)
{
	const size_t padded = ALIGN_UP((size_t)head->captured, 4);
	struct timespec now;
	uint64_t ns;

	clock_gettime(CLOCK_REALTIME, &now);
	ns = (uint64_t)now.tv_sec * 1000000000ull + (uint64_t)now.tv_nsec;
	head->time_high = (uint32_t)(ns >> 32);
	head->time_low = (uint32_t)ns;
	memcpy(to, head, sizeof(*head));
	iov_to_buf(iov, nr, skip, to + sizeof(*head), head->captured);
	memset(to + sizeof(*head) + head->captured, 0, padded - head->captured);
	memcpy(to + sizeof(*head) + padded, tail, sizeof(*tail));
}

void pcap_add(struct pcap *p, unsigned int pair, enum pcap_way way, const struct iovec *iov,
	      unsigned int nr, size_t skip, size_t len)
{
	struct ring *r = &p->ring[pair];
	const uint32_t captured = (uint32_t)MIN(len, (size_t)p->snap);
	const uint32_t total = (uint32_t)(sizeof(struct packet_head) + ALIGN_UP(captured, 4u) +
					  sizeof(struct packet_tail));
	struct packet_head head = { .type = BLOCK_PACKET,
				    .total = total,
				    .captured = captured,
				    .original = (uint32_t)len };
	const struct packet_tail tail = { .flags = { OPT_EPB_FLAGS, 4, way },
					  .queue = { OPT_EPB_QUEUE, 4, pair },
					  .total = total };
	uint64_t new_head;
	uint8_t *to = atomic_load_explicit(&p->failed, memory_order_relaxed)
			      ? NULL
			      : reserve(r, total, &new_head);

	if (!to) {
		r->lost++;
		return;
	}
	put_packet(to, iov, nr, skip, &head, &tail);
	r->frames++;
	r->captured_bytes += captured;
	atomic_store_explicit(&r->head, new_head, memory_order_seq_cst);
	if (atomic_load_explicit(&p->idle, memory_order_seq_cst) &&
	    atomic_exchange(&p->idle, false))
		event_signal(p->wake_fd);
}

/* ---- the writer ---- */

static void give_up(struct pcap *p, int err)
{
	atomic_store(&p->failed, true);
	log_error("cannot write capture '%s': %s (frames are missing in it from here on)",
		  p->output.path, sink_strerror(err));
}

/* How much of it was taken, however long a slow reader takes while the machine runs. */
static size_t put(struct pcap *p, const uint8_t *bytes, size_t len)
{
	size_t done = 0;

	while (done < len && !atomic_load(&p->failed)) {
		done += sink_write(&p->output.sink, bytes + done, len - done, STUCK_MS);
		if (done == len)
			break;
		if (p->output.sink.error != EAGAIN && p->output.sink.error != EINTR)
			give_up(p, p->output.sink.error);
		else if (atomic_load(&p->stop) && now_ns() > p->deadline)
			give_up(p, EAGAIN);
	}
	return done;
}

/* Its section, and its one interface: Ethernet, named as the card, times in units of 10^-9 s. */
static void put_header(struct pcap *p)
{
	const uint32_t section[] = { BLOCK_SECTION, 28, BYTE_ORDER_MAGIC, 1, ~0u, ~0u, 28 };
	const uint16_t name_len = (uint16_t)strnlen(p->card, 16);
	const uint32_t padded = ALIGN_UP(name_len, 4u), total = 16 + 4 + padded + 8 + 4 + 4;
	const uint16_t name[] = { OPT_IF_NAME, name_len };
	const struct option32 resolution = { OPT_IF_TSRESOL, 1, 9 };
	uint32_t block[17] = { BLOCK_INTERFACE, total, LINKTYPE_ETHERNET, p->snap };

	memcpy(&block[4], name, sizeof(name));
	memcpy(&block[5], p->card, name_len);
	memcpy((uint8_t *)&block[5] + padded, &resolution, sizeof(resolution));
	block[total / 4 - 1] = total;
	if (put(p, (const void *)section, sizeof(section)) == sizeof(section))
		p->written = sizeof(section);
	if (put(p, (const void *)block, total) == total)
		p->written += total;
}

static struct packet_head head_at(const uint8_t *at)
{
	struct packet_head head;

	memcpy(&head, at, sizeof(head));
	return head;
}

/* Whole blocks; of those that the file does not take it is known how many, and where the last whole one ends. */
static void put_blocks(struct pcap *p, const uint8_t *bytes, size_t len)
{
	const size_t done = put(p, bytes, len);
	size_t at = 0;

	while (at < len && at + head_at(bytes + at).total <= done)
		at += head_at(bytes + at).total;
	p->written += at;
	for (; at < len; at += head_at(bytes + at).total) {
		p->lost++;
		p->lost_bytes += head_at(bytes + at).captured;
	}
}

/* What is in the ring; false if nothing is. */
static bool drain(struct pcap *p, struct ring *r)
{
	const uint64_t head = atomic_load_explicit(&r->head, memory_order_acquire);
	const uint64_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);
	const uint64_t edge = ALIGN_DOWN(tail, RING_SIZE) + RING_SIZE;
	uint64_t end = head, next = head;

	if (head == tail)
		return false;
	if (head >= edge) {
		end = atomic_load_explicit(&r->wrap_end, memory_order_relaxed);
		next = edge;
	}
	if (end != tail)
		put_blocks(p, r->bytes + tail % RING_SIZE, end - tail);
	atomic_store_explicit(&r->tail, next, memory_order_release);
	return true;
}

static bool drain_all(struct pcap *p)
{
	bool any = false;

	for (unsigned int i = 0; i < p->pairs; i++)
		any |= drain(p, &p->ring[i]);
	return any;
}

static void write_out(void *arg)
{
	struct pcap *p = arg;
	struct pollfd wake = { .fd = p->wake_fd, .events = POLLIN };
	bool ending;

	poll(&wake, 1, -1);
	event_clear(p->wake_fd);
	if (!p->output.begun)
		return; /* the machine never ran */
	put_header(p);
	do {
		ending = atomic_load(&p->stop);
		while (drain_all(p))
			;
		if (ending)
			break;
		/* Frames that came before this is seen are seen by the second look. */
		atomic_store(&p->idle, true);
		if (!drain_all(p))
			poll(&wake, 1, -1);
		atomic_store(&p->idle, false);
		event_clear(p->wake_fd);
		if (!atomic_load(&p->stop))
			poll(&wake, 1, GATHER_MS);
	} while (!ending);
}

/* ---- life ---- */

static void refresh(struct counter_group *group)
{
	struct pcap *p = container_of(group, struct pcap, group);
	const uint64_t lost = __atomic_load_n(&p->lost, __ATOMIC_RELAXED);
	const uint64_t lost_bytes = __atomic_load_n(&p->lost_bytes, __ATOMIC_RELAXED);
	struct pcap_counters sum = { .lost = lost };

	for (unsigned int i = 0; i < p->pairs; i++) {
		sum.frames += __atomic_load_n(&p->ring[i].frames, __ATOMIC_RELAXED);
		sum.bytes += __atomic_load_n(&p->ring[i].captured_bytes, __ATOMIC_RELAXED);
		sum.lost += __atomic_load_n(&p->ring[i].lost, __ATOMIC_RELAXED);
	}
	sum.frames -= lost;
	sum.bytes -= lost_bytes;
	p->counters = sum;
}

int pcap_create(struct pcap **out, const struct device_env *env, const char *path,
		unsigned int pairs, unsigned int snap)
{
	struct pcap *p = calloc(1, sizeof(*p));
	int ret;

	if (!p)
		return -ENOMEM;
	p->output = (struct output){ .what = "capture", .path = path, .sink = SINK_NOWHERE };
	p->card = env->name;
	p->snap = snap;
	p->pairs = pairs;
	p->wake_fd = event_create();
	p->idle = true;
	p->ring = calloc(pairs, sizeof(*p->ring));
	ret = !p->ring ? -ENOMEM : MIN(p->wake_fd, 0);
	for (unsigned int i = 0; !ret && i < pairs; i++) {
		p->ring[i].bytes = malloc(RING_SIZE);
		ret = p->ring[i].bytes ? 0 : -ENOMEM;
	}
	snprintf(p->thread_name, sizeof(p->thread_name), "%s.pcap", env->name);
	p->thread = (struct thread){
		.kind = THREAD_DISK, .name = p->thread_name, .fd = -1, .guard = env->guard
	};
	p->group.refresh = refresh;
	if (!ret)
		ret = thread_start(&p->thread, write_out, p);
	if (ret) {
		pcap_destroy(p);
		return ret;
	}
	counters_add(env->counters, &p->group, counter_desc, &p->counters, "%s.pcap", env->name);
	*out = p;
	return 0;
}

struct output *pcap_output(struct pcap *p)
{
	return p ? &p->output : NULL;
}

void pcap_finish(struct pcap *p)
{
	uint64_t unread;

	if (!p || atomic_load(&p->stop))
		return;
	p->deadline = now_ns() + p->output.patience_ms * 1000000ull;
	atomic_store(&p->stop, true);
	event_signal(p->wake_fd);
	thread_join(&p->thread);
	/* A block in part would make all of it doubtful; not to be had in a pipe. */
	if (p->output.sink.plain && p->failed &&
	    ftruncate(p->output.sink.fd, (off_t)p->written) < 0)
		p->written = 0;
	refresh(&p->group);
	unread = sink_finish(&p->output.sink);
	if (unread || p->counters.lost)
		log_warn("capture '%s': %llu frames are missing, %llu bytes were not read",
			 p->output.path, (unsigned long long)p->counters.lost,
			 (unsigned long long)unread);
}

void pcap_destroy(struct pcap *p)
{
	if (!p)
		return;
	pcap_finish(p);
	counters_remove(&p->group);
	sink_close(&p->output.sink);
	for (unsigned int i = 0; p->ring && i < p->pairs; i++)
		free(p->ring[i].bytes);
	free(p->ring);
	close_fd(p->wake_fd);
	free(p);
}
