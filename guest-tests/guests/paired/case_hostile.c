/*
 * Rings that break the rules. The VMM must neither end nor hang, may say that the
 * device needs a reset, and the device must work behind that reset.
 */
#include "guest-tests/guests/paired/cases.h"
#include "guest-tests/guests/paired/clock.h"
#include "guest-tests/guests/paired/cmdline.h"
#include "guest-tests/guests/paired/console.h"
#include "guest-tests/guests/paired/cpu.h"
#include "guest-tests/guests/paired/lib.h"
#include "guest-tests/guests/paired/machine.h"
#include "guest-tests/guests/paired/virtio.h"

#define QUEUE_RX  0
#define QUEUE_TX  1
#define HEADER	  12
#define FRAME	  64
#define SIZE	  16
#define LOOK_US	  20000 /* for what the device makes of a bad ring */
#define STRICT_US 5000000
#define SENT_US	  10000000
#define NOWHERE	  0xffffffff00000000ull
#define ROM	  0xfff00000ull
#define LAPIC	  0xfee00000ull
#define TABLE	  2048 /* of indirect descriptors, in the buffer */

static struct virtio_device device;
static struct virtq queues[2];
static uint8_t *buffer;
static struct virtio_queue_addresses at; /* of the queue under test */

/* Brings the device up with both queues. */
static bool start(uint64_t features)
{
	uint64_t agreed;

	if (!virtio_begin(&device, features, &agreed))
		return false;
	for (uint16_t i = 0; i < 2; i++) {
		virtq_clear(&queues[i], false);
		virtq_enable(&queues[i], &device, i);
	}
	virtio_go(&device);
	return true;
}

static void ring(struct virtq *q)
{
	if (q->doorbell.width == 2)
		cpu_write16(q->doorbell.address, (uint16_t)q->doorbell.value);
	else
		cpu_write32(q->doorbell.address, q->doorbell.value);
}

/* An honest frame, sent: the device works. */
static bool sends(void)
{
	struct virtq *q = &queues[QUEUE_TX];
	uint64_t deadline = clock_us() + SENT_US;
	struct virtq_used_elem elem;

	memset(buffer, 0, HEADER + FRAME);
	memset(buffer + HEADER, 0xff, 6);
	q->desc[0] = (struct virtq_desc){ (uint64_t)buffer, HEADER + FRAME, 0, 0 };
	virtq_add(q, 0);
	virtq_publish(q);
	ring(q);
	while (!virtq_take(q, &elem))
		if (clock_us() > deadline)
			return false;
	return elem.id == 0;
}

static struct virtq_desc honest(const struct virtq *q)
{
	return (struct virtq_desc){ (uint64_t)buffer, HEADER + FRAME,
				    q == &queues[QUEUE_RX] ? VIRTQ_DESC_WRITE : 0, 0 };
}

/* What is done to a queue before its doorbell rings. */

static void bad_address(struct virtq *q)
{
	q->desc[0].address = NOWHERE;
}

static void address_in_hole(struct virtq *q)
{
	q->desc[0].address = ROM;
}

static void address_of_device(struct virtq *q)
{
	q->desc[0].address = LAPIC;
}

static void length_wraps(struct virtq *q)
{
	q->desc[0].address = UINT64_MAX - 8;
}

static void huge_length(struct virtq *q)
{
	q->desc[0].length = UINT32_MAX;
}

static void zero_length(struct virtq *q)
{
	q->desc[0].length = 0;
}

static void short_header(struct virtq *q)
{
	q->desc[0].length = HEADER - 3;
}

static void wrong_direction(struct virtq *q)
{
	q->desc[0].flags ^= VIRTQ_DESC_WRITE;
}

static void loop(struct virtq *q)
{
	q->desc[0].flags |= VIRTQ_DESC_NEXT;
	q->desc[0].next = 0;
}

static void long_loop(struct virtq *q)
{
	for (uint16_t i = 0; i < q->size; i++) {
		q->desc[i] = q->desc[0];
		q->desc[i].flags |= VIRTQ_DESC_NEXT;
		q->desc[i].next = (uint16_t)((i + 1) & (q->size - 1));
	}
}

static void next_out_of_range(struct virtq *q)
{
	q->desc[0].flags |= VIRTQ_DESC_NEXT;
	q->desc[0].next = q->size;
}

static void indirect_odd_length(struct virtq *q)
{
	q->desc[0].flags |= VIRTQ_DESC_INDIRECT;
	q->desc[0].length = 17;
}

static void indirect_nested(struct virtq *q)
{
	struct virtq_desc *table = (void *)(buffer + TABLE);

	table[0] = q->desc[0];
	table[0].flags |= VIRTQ_DESC_INDIRECT;
	table[0].address = (uint64_t)table;
	table[0].length = 16;
	q->desc[0] = table[0];
	q->desc[0].flags = VIRTQ_DESC_INDIRECT;
}

static void indirect_and_next(struct virtq *q)
{
	struct virtq_desc *table = (void *)(buffer + TABLE);

	table[0] = q->desc[0];
	q->desc[0].address = (uint64_t)table;
	q->desc[0].length = 16;
	q->desc[0].flags = VIRTQ_DESC_INDIRECT | VIRTQ_DESC_NEXT;
	q->desc[0].next = 1;
}

static void unknown_flags(struct virtq *q)
{
	q->desc[0].flags |= 0xfff0;
}

static void head_out_of_range(struct virtq *q)
{
	q->avail->ring[0] = 0xffff;
}

static void index_far_ahead(struct virtq *q)
{
	q->avail_idx = 0x8000;
}

static void index_back(struct virtq *q)
{
	q->avail_idx = 0xffff;
}

static void rings_nowhere(struct virtq *q)
{
	at.desc = at.avail = at.used = NOWHERE;
}

static void used_nowhere(struct virtq *q)
{
	at.used = NOWHERE;
}

static void used_in_device(struct virtq *q)
{
	at.used = LAPIC;
}

static void avail_unaligned(struct virtq *q)
{
	at.avail = (uint64_t)q->avail + 1;
}

static void size_not_power(struct virtq *q)
{
	at.size = 3;
}

static void size_too_large(struct virtq *q)
{
	at.size = 0x8000;
}

static const struct {
	const char *name;
	void (*spoil)(struct virtq *q);
	/*
	 * It can never work, and the transmit queue is always looked at: case=hostile strict wants
	 * it noticed.
	 */
	bool must;
} crimes[] = {
	{ "bad address", bad_address, true },
	{ "address in a hole", address_in_hole, true },
	{ "address of a device", address_of_device, false },
	{ "length wraps", length_wraps, true },
	{ "huge length", huge_length, false },
	{ "zero length", zero_length, false },
	{ "short header", short_header, false },
	{ "wrong direction", wrong_direction, false },
	{ "loop", loop, true },
	{ "long loop", long_loop, true },
	{ "next out of range", next_out_of_range, true },
	{ "indirect, odd length", indirect_odd_length, true },
	{ "indirect, nested", indirect_nested, true },
	{ "indirect and next", indirect_and_next, false },
	{ "unknown flags", unknown_flags, false },
	{ "head out of range", head_out_of_range, true },
	{ "index far ahead", index_far_ahead, true },
	{ "index goes back", index_back, false },
	{ "rings nowhere", rings_nowhere, true },
	{ "used ring nowhere", used_nowhere, true },
	{ "used ring in a device", used_in_device, false },
	{ "avail ring unaligned", avail_unaligned, true },
	{ "size no power of two", size_not_power, true },
	{ "size too large", size_too_large, true },
};

/* Everything up, one queue spoilt. Returns the status that the device shows then. */
static uint8_t commit(uint16_t queue, void (*spoil)(struct virtq *q), uint64_t look_us)
{
	struct virtq *q = &queues[queue];
	uint64_t agreed, deadline;
	uint8_t status;

	if (!virtio_begin(&device, 1ull << 28 /* VIRTIO_F_INDIRECT_DESC */, &agreed))
		return VIRTIO_FAILED;
	for (uint16_t i = 0; i < 2; i++)
		virtq_clear(&queues[i], false);
	q->desc[0] = honest(q);
	virtq_add(q, 0);
	at = (struct virtio_queue_addresses){ (uint64_t)q->desc, (uint64_t)q->avail,
					      (uint64_t)q->used, q->size };
	spoil(q);
	virtq_enable(&queues[!queue], &device, !queue);
	device.transport->queue_enable(&device, queue, &at, &q->doorbell);
	virtio_go(&device);
	virtq_publish(q);
	ring(q);
	deadline = clock_us() + look_us;
	do
		status = device.transport->status(&device);
	while (!(status & VIRTIO_NEEDS_RESET) && clock_us() < deadline);
	return status;
}

static int case_hostile(void)
{
	uint32_t noticed = 0, total = 0;
	size_t length;
	bool strict = cmdline_find(machine.cmdline, "strict", 0, &length) != NULL;

	buffer = machine_alloc(8192);
	if (buffer == NULL || !virtio_find(&device) || !virtio_reset(&device) ||
	    !virtq_setup(&queues[QUEUE_RX], &device, QUEUE_RX, SIZE, false) ||
	    !virtq_setup(&queues[QUEUE_TX], &device, QUEUE_TX, SIZE, false)) {
		console_print("hostile: no network device\n");
		return 1;
	}
	for (uint16_t queue = QUEUE_RX; queue <= QUEUE_TX; queue++) {
		for (uint32_t i = 0; i < ARRAY_SIZE(crimes); i++) {
			bool must = strict && queue == QUEUE_TX && crimes[i].must;
			uint8_t status = commit(queue, crimes[i].spoil, must ? STRICT_US : LOOK_US);

			total++;
			noticed += status & VIRTIO_NEEDS_RESET ? 1 : 0;
			console_print("hostile: %s: %s: status %x\n",
				      queue == QUEUE_RX ? "receive" : "transmit", crimes[i].name,
				      (uint32_t)status);
			if (must && !(status & VIRTIO_NEEDS_RESET))
				return 4;
			if (!start(0) || !sends()) {
				console_print("hostile: the device does not work any more\n");
				return 2;
			}
		}
	}
	/* Before there are queues, and of queues that are not there. */
	virtio_reset(&device);
	ring(&queues[QUEUE_TX]);
	for (uint32_t queue = 2; queue < 0x10000; queue = queue * 5 + 1) {
		struct virtq other = queues[QUEUE_TX];

		other.doorbell.value = queue;
		ring(&other);
	}
	if (!start(0) || !sends()) {
		console_print("hostile: the device does not work any more\n");
		return 3;
	}
	console_print("hostile: noticed=%u of=%u\n", noticed, total);
	return 0;
}
GUEST_CASE("hostile", case_hostile);
