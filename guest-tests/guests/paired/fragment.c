/* IP reassembly: a buffer a datagram, and a bit for each 8 bytes that have come. */
#include "guest-tests/guests/paired/clock.h"
#include "guest-tests/guests/paired/counters.h"
#include "guest-tests/guests/paired/fragment.h"
#include "guest-tests/guests/paired/lib.h"
#include "guest-tests/guests/paired/machine.h"

#define DATAGRAMS   8u
#define UNIT	    8u
#define PAYLOAD_MAX (65535u - 20) /* behind the shortest header */
#define UNITS	    ((PAYLOAD_MAX + UNIT - 1) / UNIT)
#define TOO_OLD_US  30000000ull

struct datagram {
	uint64_t started; /* clock_us() time; 0: free */
	uint32_t source;
	uint16_t id;
	uint8_t protocol;
	uint32_t end;	/* bytes in all; 0: not known yet */
	uint32_t reach; /* the furthest that has come */
	uint32_t units; /* that have come */
	uint64_t came[UNITS / 64 + 1];
	uint8_t data[UNITS * UNIT];
};

static struct datagram *datagrams; /* taken at the first fragment: most guests never see one */

static bool is_of(const struct datagram *d, const struct fragment *f)
{
	return d->started != 0 && d->source == f->source && d->id == f->id &&
	       d->protocol == f->protocol;
}

static void give_up(struct datagram *d)
{
	if (d->started != 0)
		counters.rx_fragments_lost++;
	d->started = 0;
}

/* The fragment's datagram: begun before, or now, in place of the oldest if need be. */
static struct datagram *find(const struct fragment *f)
{
	struct datagram *oldest = datagrams;
	uint64_t now = clock_us();

	for (struct datagram *d = datagrams; d < datagrams + DATAGRAMS; d++) {
		if (d->started != 0 && now - d->started > TOO_OLD_US)
			give_up(d);
		if (is_of(d, f))
			return d;
		if (d->started < oldest->started)
			oldest = d;
	}
	give_up(oldest);
	oldest->started = now;
	oldest->source = f->source;
	oldest->id = f->id;
	oldest->protocol = f->protocol;
	oldest->end = oldest->reach = oldest->units = 0;
	memset(oldest->came, 0, sizeof(oldest->came));
	return oldest;
}

/* Marks units as come; returns how many of them had come before. */
static uint32_t mark(struct datagram *d, uint32_t first, uint32_t count)
{
	uint32_t before = 0;

	for (uint32_t unit = first; unit < first + count; unit++) {
		uint64_t bit = 1ull << unit % 64;

		before += (d->came[unit / 64] & bit) != 0;
		d->came[unit / 64] |= bit;
	}
	d->units += count - before;
	return before;
}

static void copy(uint8_t *to, const struct net_frame *frame)
{
	for (uint32_t i = 0; i < frame->count; i++) {
		memcpy(to, frame->data[i], frame->length[i]);
		to += frame->length[i];
	}
}

bool fragment_receive(const struct fragment *f, struct net_frame *frame)
{
	uint32_t length = frame->total, end = f->offset + length;
	uint32_t units = (length + UNIT - 1) / UNIT, before;
	struct datagram *d;

	counters.rx_fragments++;
	if (datagrams == NULL) {
		datagrams = machine_alloc(DATAGRAMS * sizeof(*datagrams));
		for (uint32_t i = 0; datagrams != NULL && i < DATAGRAMS; i++)
			datagrams[i].started = 0;
	}
	if (datagrams == NULL || length == 0 || end > PAYLOAD_MAX ||
	    (f->more && length % UNIT != 0)) {
		counters.rx_bad_frame++;
		return false;
	}
	d = find(f);
	before = mark(d, f->offset / UNIT, units);
	if (before == units)
		return false; /* a duplicate, of which the first stands */
	/* Beyond the end, a second end, or an end before what has come already. */
	if (before != 0 || (d->end != 0 && (end > d->end || !f->more)) ||
	    (!f->more && end < d->reach)) {
		give_up(d);
		return false;
	}
	d->reach = max_u32(d->reach, end);
	if (!f->more)
		d->end = end;
	copy(d->data + f->offset, frame);
	if (d->end == 0 || d->units < (d->end + UNIT - 1) / UNIT)
		return false;
	d->started = 0;
	*frame = (struct net_frame){
		.data = { d->data }, .length = { d->end }, .count = 1, .total = d->end
	};
	return true;
}
