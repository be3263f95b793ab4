/*
 * Driver of the virtio network device (virtio 1.2, 5.1): one queue pair, that of this processor, a fixed
 * buffer behind each descriptor, never a chain.
 */
#include "guest-tests/guests/paired/card.h"
#include "guest-tests/guests/paired/clock.h"
#include "guest-tests/guests/paired/console.h"
#include "guest-tests/guests/paired/counters.h"
#include "guest-tests/guests/paired/cpu.h"
#include "guest-tests/guests/paired/lib.h"
#include "guest-tests/guests/paired/machine.h"
#include "guest-tests/guests/paired/smp.h"
#include "guest-tests/guests/paired/virtio.h"

#define F_CSUM	     0
#define F_GUEST_CSUM 1
#define F_MAC	     5
#define F_GUEST_TSO4 7
#define F_HOST_TSO4  11
#define F_MRG_RXBUF  15
#define F_CTRL_VQ    17
#define F_MQ	     22
#define F_RSS	     60

#define CONFIG_MAX_PAIRS 8
#define QUEUE_RX	 ((uint16_t)(2 * machine.cpu))
#define QUEUE_TX	 ((uint16_t)(2 * machine.cpu + 1))

/* Of the control queue (5.1.6.5.6). */
#define CONTROL_MQ    4
#define CONTROL_PAIRS 0
#define CONTROL_RSS   1
#define CONTROL_OK    0
#define CONTROL_US    1000000

#define RSS_TABLE 16
#define RSS_KEY	  40
#define RSS_IPV4  1
#define RSS_TCPV4 2

/* struct virtio_net_hdr */
struct net_header {
	uint8_t flags, gso_type;
	uint16_t header_length, gso_size, checksum_start, checksum_offset, buffers;
};
#define HEADER_NEEDS_CSUM 1
#define HEADER_DATA_VALID 2
#define HEADER_GSO_TCPV4  1

#define RX_QUEUE_MAX 512
#define TX_QUEUE_MAX 256
#define RX_BUFFER    4096
#define TX_SMALL     4096    /* a header and a small frame: one behind each descriptor */
#define TX_LARGE     0x11000 /* a header and the longest frame: so many as memory allows */
#define TX_LARGE_MAX 64
#define NOT_LARGE    UINT16_MAX
/* Small enough that answers do not wait for a full ring, large enough that doorbells are few. */
#define BATCH	     64

_Static_assert(NET_SMALL_FRAME == TX_SMALL - sizeof(struct net_header),
	       "it fits behind its header");

static struct virtio_device device;
static struct virtq rx, tx, control;
static uint64_t features;
static uint8_t *rx_buffers, *tx_small, *tx_large;
static uint16_t tx_free[TX_QUEUE_MAX], large_free[TX_LARGE_MAX];
static uint16_t large_of[TX_QUEUE_MAX]; /* which large buffer a descriptor is under way with */
static uint32_t tx_free_count, large_count, large_free_count;
static bool tx_waiting;	   /* frame_buffer() had to say no */
static bool tx_next_large; /* what it gave last */
static bool interrupts_on;

static void flush(void);
static bool has_room(void);

static bool has(unsigned feature)
{
	return features >> feature & 1;
}

/* Takes back the buffers of what was sent; returns whether there were any. */
static bool collect_sent(void)
{
	struct virtq_used_elem elem;
	uint16_t before = tx.last_used;

	while (virtq_take(&tx, &elem)) {
		if (elem.id >= tx.size || tx_free_count == tx.size)
			continue;
		if (large_of[elem.id] != NOT_LARGE && large_free_count < large_count)
			large_free[large_free_count++] = large_of[elem.id];
		large_of[elem.id] = NOT_LARGE;
		tx_free[tx_free_count++] = (uint16_t)elem.id;
	}
	return tx.last_used != before;
}

static bool start_device(void)
{
	uint64_t wanted = 1ull << F_CSUM | 1ull << F_GUEST_CSUM | 1ull << F_MAC |
			  1ull << F_HOST_TSO4 | 1ull << F_GUEST_TSO4 | 1ull << F_MRG_RXBUF |
			  1ull << VIRTIO_F_EVENT_IDX;
	uint64_t offered = virtio_features(&device);

	if (smp_processors() > 1)
		wanted |= 1ull << F_MQ | 1ull << F_CTRL_VQ | 1ull << F_RSS;
	/* Large frames need a checksum left open, and as many buffers as it takes. */
	if (!(offered >> F_MRG_RXBUF & 1) || !(offered >> F_GUEST_CSUM & 1))
		wanted &= ~(1ull << F_GUEST_TSO4);
	if (!(offered >> F_CSUM & 1))
		wanted &= ~(1ull << F_HOST_TSO4);
	if (!virtio_begin(&device, wanted, &features)) {
		console_print("net: the device refuses the features %lx\n", wanted);
		return false;
	}
	net.checksums = has(F_CSUM);
	net.segments = has(F_HOST_TSO4);
	for (uint32_t i = 0; has(F_MAC) && i < 6; i++)
		net.mac[i] = virtio_config8(&device, i);
	return true;
}

static uint32_t max_pairs(void)
{
	return virtio_config8(&device, CONFIG_MAX_PAIRS) |
	       (uint32_t)virtio_config8(&device, CONFIG_MAX_PAIRS + 1) << 8;
}

static uint32_t pairs(void)
{
	if (!has(F_MQ))
		return 1;
	/* Each processor takes its own pair's interrupts. */
	return interrupts_on ? min_u32(max_pairs(), max_u32(1, device.vectors)) : max_pairs();
}

/*
 * At once and from ring 3. Where KVM emulates ring 0, going there and back takes 12 us, the write
 * from here 7 us, of which the device waits for half; saving it for the way to sleep made requests
 * wait longer than it saved.
 */
static void ring(const struct irq_write *doorbell)
{
	if (doorbell->width == 2)
		cpu_write16(doorbell->address, (uint16_t)doorbell->value);
	else
		cpu_write32(doorbell->address, doorbell->value);
	counters.kicks++;
}

/* A command of the control queue, its class first. */
static bool command(const void *request, uint32_t length)
{
	static uint8_t answer;
	uint64_t deadline = clock_us() + CONTROL_US;
	struct virtq_used_elem elem;

	answer = CONTROL_OK + 1;
	control.desc[0] = (struct virtq_desc){ (uint64_t)request, length, VIRTQ_DESC_NEXT, 1 };
	control.desc[1] = (struct virtq_desc){ (uint64_t)&answer, 1, VIRTQ_DESC_WRITE, 0 };
	virtq_add(&control, 0);
	if (virtq_publish(&control))
		ring(&control.doorbell);
	while (!virtq_take(&control, &elem))
		if (clock_us() > deadline)
			return false;
	return *(volatile uint8_t *)&answer == CONTROL_OK;
}

/*
 * So many pairs receive. A connection lives on one processor, so its frames must stay on one pair: by a hash, where the
 * device can; else by where the guest sends it from, which the host may forget between two frames.
 */
static bool set_pairs(uint32_t count)
{
	static uint8_t pairs_request[4] = { CONTROL_MQ, CONTROL_PAIRS };
	static struct {
		uint8_t class, command;
		uint32_t types;
		uint16_t mask, unclassified, table[RSS_TABLE], max_send;
		uint8_t key_length, key[RSS_KEY];
	} __attribute__((packed)) rss_request = { CONTROL_MQ, CONTROL_RSS };

	if (!has(F_RSS)) {
		pairs_request[2] = (uint8_t)count;
		return command(pairs_request, sizeof(pairs_request));
	}
	rss_request.types = RSS_IPV4 | RSS_TCPV4;
	rss_request.mask = RSS_TABLE - 1;
	for (uint32_t i = 0; i < RSS_TABLE; i++)
		rss_request.table[i] = (uint16_t)(i % count);
	rss_request.max_send = (uint16_t)count;
	rss_request.key_length = RSS_KEY;
	for (uint32_t i = 0; i < RSS_KEY; i++) /* any will do that has no pattern */
		rss_request.key[i] = (uint8_t)((i + 1) * 0x9e3779b97f4a7c15ull >> 56);
	return command(&rss_request, sizeof(rss_request));
}

static void fill_queues(void)
{
	for (uint16_t i = 0; i < rx.size; i++) {
		rx.desc[i] = (struct virtq_desc){ .address = (uint64_t)rx_buffers + i * RX_BUFFER,
						  .length = RX_BUFFER,
						  .flags = VIRTQ_DESC_WRITE };
		virtq_add(&rx, i);
	}
	tx_free_count = large_free_count = 0;
	for (uint16_t i = 0; i < tx.size; i++) {
		large_of[i] = NOT_LARGE;
		tx_free[tx_free_count++] = (uint16_t)(tx.size - 1 - i);
	}
	for (uint16_t i = 0; i < large_count; i++)
		large_free[large_free_count++] = i;
}

static bool start(bool interrupts)
{
	static const uint8_t own_mac[6] = { 0x02, 0x6d, 0x69, 0x6e, 0x69, 0x01 };
	interrupts_on = interrupts;
	memcpy(net.mac, own_mac, sizeof(own_mac));
	return virtio_find(&device) && start_device();
}

static bool open_queues(void)
{
	const bool event_idx = has(VIRTIO_F_EVENT_IDX);

	if (machine.cpu == 0 && machine.cpus > 1 &&
	    !virtq_setup(&control, &device, (uint16_t)(2 * max_pairs()), 2, event_idx))
		return false;
	return virtq_setup(&rx, &device, QUEUE_RX, RX_QUEUE_MAX, event_idx) &&
	       virtq_setup(&tx, &device, QUEUE_TX, TX_QUEUE_MAX, event_idx);
}

static bool allocate_buffers(void)
{
	rx_buffers = machine_alloc(rx.size * (uint64_t)RX_BUFFER);
	tx_small = machine_alloc(tx.size * (uint64_t)TX_SMALL);
	/* In little memory fewer large frames are under way at once; all else is as in much. */
	large_count = (uint32_t)(machine_available() / 8 / TX_LARGE);
	large_count = max_u32(1, min_u32(large_count, TX_LARGE_MAX));
	tx_large = machine_alloc(large_count * (uint64_t)TX_LARGE);
	return rx_buffers != NULL && tx_small != NULL && tx_large != NULL;
}

static bool open(void)
{
	if (!open_queues())
		return false;
	if (!allocate_buffers()) {
		console_print("net: not enough memory for buffers\n");
		return false;
	}
	if (interrupts_on)
		device.transport->route_interrupt(&device, machine.cpu);
	fill_queues();
	if (machine.cpu != 0)
		return true;
	virtio_go(&device);
	flush();
	if (machine.cpus > 1 && !set_pairs(machine.cpus)) {
		console_print("net: the device refuses %u queue pairs\n", machine.cpus);
		return false;
	}
	return true;
}

static bool restart(void)
{
	if (!start_device())
		return false;
	virtq_clear(&rx, has(VIRTIO_F_EVENT_IDX));
	virtq_clear(&tx, has(VIRTIO_F_EVENT_IDX));
	virtq_enable(&rx, &device, QUEUE_RX);
	virtq_enable(&tx, &device, QUEUE_TX);
	fill_queues();
	virtio_go(&device);
	flush();
	return true;
}

/* Takes the buffers of one frame; false if the device has left out some, which it must not. */
static bool take_frame(const struct virtq_used_elem *first, struct net_frame *frame,
		       uint16_t ids[NET_PIECES])
{
	struct virtq_used_elem elem = *first;
	uint32_t buffers = 1, skip = sizeof(struct net_header);

	frame->count = 0;
	frame->total = 0;
	for (;;) {
		if (elem.id >= rx.size || elem.length > RX_BUFFER || elem.length < skip)
			return false;
		const uint8_t *buffer = rx_buffers + elem.id * RX_BUFFER;

		if (frame->count == 0) {
			const struct net_header *header = (const void *)buffer;

			if (has(F_MRG_RXBUF))
				buffers = header->buffers;
			if (buffers > NET_PIECES)
				return false;
			frame->checksum_good =
				header->flags & (HEADER_NEEDS_CSUM | HEADER_DATA_VALID);
		}
		ids[frame->count] = (uint16_t)elem.id;
		frame->data[frame->count] = buffer + skip;
		frame->length[frame->count] = elem.length - skip;
		frame->total += elem.length - skip;
		skip = 0;
		if (++frame->count >= buffers)
			return true;
		if (!virtq_take(&rx, &elem))
			return false;
	}
}

static uint32_t poll(void (*receive)(struct net_frame *frame))
{
	struct virtq_used_elem elem;
	struct net_frame frame;
	uint16_t ids[NET_PIECES];
	uint32_t frames = 0;

	while (frames < BATCH && has_room() && virtq_take(&rx, &elem)) {
		frames++;
		if (take_frame(&elem, &frame, ids)) {
			counters.rx_packets++;
			counters.rx_bytes += frame.total;
			receive(&frame);
		} else {
			counters.rx_bad_device++;
		}
		for (uint32_t i = 0; i < frame.count; i++)
			virtq_add(&rx, ids[i]);
	}
	return frames;
}

static bool has_room(void)
{
	if (tx_free_count == 0)
		collect_sent();
	tx_waiting |= tx_free_count == 0;
	return tx_free_count > 0;
}

static uint8_t *tx_buffer(void)
{
	return tx_next_large ? tx_large + (uint64_t)large_free[large_free_count - 1] * TX_LARGE
			     : tx_small + (uint64_t)tx_free[tx_free_count - 1] * TX_SMALL;
}

static uint8_t *frame_buffer(uint32_t length)
{
	tx_next_large = length > NET_SMALL_FRAME;
	if (tx_next_large && large_free_count == 0)
		collect_sent();
	if (!has_room())
		return NULL;
	if (tx_next_large && large_free_count == 0) {
		tx_waiting = true;
		return NULL;
	}
	return tx_buffer() + sizeof(struct net_header);
}

static void send(uint32_t length, const struct net_offload *offload)
{
	struct net_header *header = (void *)tx_buffer();
	uint16_t id = tx_free[--tx_free_count];

	large_of[id] = tx_next_large ? large_free[--large_free_count] : NOT_LARGE;
	*header = (struct net_header){ .buffers = 0 };
	if (offload->checksum_start != 0) {
		header->flags = HEADER_NEEDS_CSUM;
		header->checksum_start = offload->checksum_start;
		header->checksum_offset = offload->checksum_offset;
	}
	if (offload->segment != 0) {
		header->gso_type = HEADER_GSO_TCPV4;
		header->gso_size = offload->segment;
		header->header_length = offload->headers;
	}
	tx.desc[id].address = (uint64_t)header;
	tx.desc[id].length = (uint32_t)sizeof(*header) + length;
	virtq_add(&tx, id);
	counters.tx_packets++;
	counters.tx_bytes += length;
}

static void flush(void)
{
	if (virtq_publish(&rx))
		ring(&rx.doorbell);
	if (virtq_publish(&tx))
		ring(&tx.doorbell);
	if (tx_free_count < tx.size / 2u)
		collect_sent();
}

static void sleep_until(uint64_t deadline)
{
	struct irq_write doorbells[2];
	uint32_t count = 0;

	if (virtq_publish(&rx))
		doorbells[count++] = rx.doorbell;
	if (virtq_publish(&tx))
		doorbells[count++] = tx.doorbell;
	/*
	 * Sent frames are wanted back only by those who wait for one. Without any room, received ones stay where
	 * they are: they are no reason to wake up.
	 */
	bool busy = collect_sent() && tx_waiting;

	if (tx_free_count > 0)
		busy |= virtq_want_interrupt(&rx, 0);
	if (tx_waiting)
		busy |= virtq_want_interrupt(&tx, (uint16_t)((tx.size - tx_free_count) / 4));
	tx_waiting = false;
	if (busy) {
		for (uint32_t i = 0; i < count; i++)
			ring(&doorbells[i]);
	} else {
		counters.kicks += count;
		irq_sleep(doorbells, count, deadline);
		counters.sleeps++;
	}
	virtq_want_no_interrupt(&rx);
	virtq_want_no_interrupt(&tx);
}

const struct card_driver virtio_net_driver = {
	.start = start,
	.pairs = pairs,
	.open = open,
	.restart = restart,
	.poll = poll,
	.flush = flush,
	.sleep = sleep_until,
	.frame_buffer = frame_buffer,
	.has_room = has_room,
	.send = send,
};
