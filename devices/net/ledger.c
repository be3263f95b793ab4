/* The drop ledger: two sets of counters, the host's and the card's, set against each other. */
#include "devices/net/ledger.h"

#include <stdio.h>
#include <string.h>

/* The sums of a card's counters over its pairs. */
struct sums {
	uint64_t delivered, waiting, unread, looped, starved_lost, backend_errors, by_kernel;
	bool vhost; /* the kernel has moved some */
	uint64_t lost[LEDGER_MAX_ROWS], all_lost;
};

static uint64_t get(const uint64_t *counter)
{
	return counter ? __atomic_load_n(counter, __ATOMIC_RELAXED) : 0;
}

static bool is_cause(const struct counter_desc *d)
{
	return !strncmp(d->name, "drop_", 5);
}

static void sum_causes(const struct ledger_source *s, struct sums *sums)
{
	unsigned int i = 0;

	for (const struct counter_desc *d = s->desc; d && d->name; d++) {
		if (!is_cause(d))
			continue;
		const uint64_t n = get((const void *)((const char *)s->base + d->offset));

		sums->lost[i++] += n;
		sums->all_lost += n;
	}
}

static struct sums sum_up(const struct ledger *l, enum ledger_way way)
{
	struct sums sums = { 0 };

	for (unsigned int i = 0; i < l->nr; i++) {
		const struct ledger_source *s = &l->source[way][i];

		sum_causes(s, &sums);
		sums.looped += get(s->looped);
		sums.delivered += get(s->delivered);
		sums.by_kernel += get(s->by_kernel);
		sums.vhost |= get(s->given);
		sums.waiting += get(s->waiting);
		sums.unread += get(s->unread);
		sums.starved_lost += get(s->starved_lost);
		sums.backend_errors += get(s->backend_errors);
	}
	return sums;
}

/*
 * The frames that the card has taken, by its own count. While it works this is to be asked between the two times that
 * their fates are summed up: only then is it between the two, give or take one a pair.
 */
static uint64_t sum_in(const struct ledger *l, enum ledger_way way)
{
	uint64_t in = 0;

	for (unsigned int i = 0; i < l->nr; i++)
		in += get(l->source[way][i].in);
	return in;
}

static uint64_t met_its_fate(const struct sums *s)
{
	return s->all_lost + s->delivered + s->by_kernel + s->waiting + s->unread;
}

/*
 * By how much @counted is off what was accounted for, @before and @after it was counted. While the card works a frame of
 * each pair may be between the two counts, whichever of them comes first.
 */
static uint64_t difference(const struct ledger *l, uint64_t counted, uint64_t before,
			   uint64_t after)
{
	const uint64_t between = l->settled ? 0 : l->nr;

	if (counted + between < before)
		return before - counted;
	return counted > after + between ? counted - after : 0;
}

/* ---- rows ---- */

static bool has_vhost(const struct ledger *l, enum ledger_way way)
{
	return l->source[way][0].given;
}

/* The next row; they are the same ones each time. */
static void put(struct ledger_book *b, const char *name, uint64_t value)
{
	const unsigned int i = b->nr_rows++;

	b->desc[i] = (struct counter_desc){ name, (uint32_t)(i * sizeof(b->row[0])), false };
	b->row[i] = value;
}

static void put_causes(struct ledger_book *b, const struct counter_desc *causes,
		       const struct sums *s)
{
	unsigned int i = 0;

	for (const struct counter_desc *d = causes; d && d->name; d++) {
		char *name = b->names[i];

		if (!is_cause(d))
			continue;
		snprintf(name, sizeof(b->names[i]), "lost_%s", d->name + strlen("drop_"));
		put(b, name, s->lost[i++]);
	}
}

/* Of what the backend's queue has lost, what it lost for want of the guest's buffers. */
static uint64_t lost_starved(const struct ledger *l, const struct sums *s, uint64_t queue_full)
{
	uint64_t lost = s->starved_lost;

	for (unsigned int i = 0; i < l->nr; i++) {
		const uint64_t *since = l->source[LEDGER_TO_GUEST][i].starved_since;
		const uint64_t from = since ? get(since) : LEDGER_NOT_STARVED;

		if (from < queue_full)
			lost += queue_full - from;
	}
	return MIN(lost, queue_full);
}

static void refresh_to_guest(struct ledger *l, struct ledger_book *b)
{
	struct sums before = sum_up(l, LEDGER_TO_GUEST), after;
	struct netbe_host host = { 0 };
	const bool known = l->be->ops->host && !l->be->ops->host(l->be, &host, true);
	uint64_t chains, lost = 0;

	if (!known)
		host.passed = sum_in(l, LEDGER_TO_GUEST);
	after = sum_up(l, LEDGER_TO_GUEST);
	chains = after.by_kernel;
	before.by_kernel = after.by_kernel = 0;
	const uint64_t starved = lost_starved(l, &after, host.queue_full);
	const uint64_t passed = host.passed + after.looped;
	uint64_t off = difference(l, passed, met_its_fate(&before), met_its_fate(&after));

	/* All that the card has not seen the kernel has, and for each frame it has filled a chain at least. */
	if (after.vhost && passed > met_its_fate(&after)) {
		after.by_kernel = passed - met_its_fate(&after);
		off = 0;
	}
	if (l->settled &&
	    after.by_kernel > chains) /* until then its chains are counted now and then */
		lost = after.by_kernel - chains;

	put(b, "sent",
	    host.qdisc + host.queue_full + after.backend_errors + met_its_fate(&after) + off);
	put(b, "lost_qdisc", host.qdisc);
	put(b, "lost_queue_full", host.queue_full - starved);
	put(b, "lost_no_buffer", starved);
	put(b, "lost_backend_error", after.backend_errors);
	put_causes(b, l->source[LEDGER_TO_GUEST][0].desc, &after);
	if (has_vhost(l, LEDGER_TO_GUEST))
		put(b, "lost_vhost", lost);
	put(b, "waiting", after.waiting);
	put(b, "unread", after.unread);
	put(b, "delivered", after.delivered + after.by_kernel - lost);
	put(b, "unexplained", off);
	put(b, "host_counts", known);
}

static void refresh_from_guest(struct ledger *l, struct ledger_book *b)
{
	struct sums before = sum_up(l, LEDGER_FROM_GUEST), after;
	struct netbe_host host = { 0 };
	const bool known = l->be->ops->host && !l->be->ops->host(l->be, &host, false);
	const uint64_t in = sum_in(l, LEDGER_FROM_GUEST);
	uint64_t off, lost = 0;

	after = sum_up(l, LEDGER_FROM_GUEST);
	before.delivered += before.by_kernel;
	after.delivered += after.by_kernel;
	const uint64_t taken = host.taken + after.looped;
	off = known ? difference(l, taken, before.delivered, after.delivered) : 0;
	if (after.vhost && known && l->settled && taken < after.delivered) {
		lost = MIN(after.delivered - taken, after.by_kernel);
		off -= lost;
	}
	/* Chains that the ring has back without a fate. */
	if (l->source[LEDGER_FROM_GUEST][0].in)
		off += difference(l, in, before.all_lost + before.delivered,
				  after.all_lost + after.delivered);
	if (after.vhost && !l->settled) /* the kernel's are counted now and then */
		off = 0;
	put(b, "sent", after.all_lost + after.delivered + after.waiting + off);
	put_causes(b, l->source[LEDGER_FROM_GUEST][0].desc, &after);
	if (has_vhost(l, LEDGER_FROM_GUEST))
		put(b, "lost_vhost", lost);
	put(b, "waiting", after.waiting);
	put(b, "delivered", after.delivered - lost);
	put(b, "discarded", host.discarded);
	put(b, "unexplained", off);
	put(b, "host_counts", known);
}

static void refresh(struct counter_group *group)
{
	struct ledger_book *b = container_of(group, struct ledger_book, group);

	b->nr_rows = 0;
	if (b == &b->ledger->book[LEDGER_TO_GUEST])
		refresh_to_guest(b->ledger, b);
	else
		refresh_from_guest(b->ledger, b);
}

/* ---- life ---- */

void ledger_init(struct ledger *l, struct netbe *be)
{
	memset(l, 0, sizeof(*l));
	l->be = be;
}

void ledger_add(struct ledger *l, const struct ledger_source *to_guest,
		const struct ledger_source *from_guest)
{
	l->source[LEDGER_TO_GUEST][l->nr] = *to_guest;
	l->source[LEDGER_FROM_GUEST][l->nr] = *from_guest;
	l->nr++;
}

void ledger_open(struct ledger *l, struct counters *counters, const char *card)
{
	for (unsigned int way = 0; way < 2; way++) {
		struct ledger_book *b = &l->book[way];

		b->ledger = l;
		b->group.refresh = refresh;
		refresh(&b->group); /* for the rows' names */
		counters_add(counters, &b->group, b->desc, b->row, "%s.%s", card,
			     way == LEDGER_TO_GUEST ? "to_guest" : "from_guest");
	}
}

void ledger_close(struct ledger *l)
{
	for (unsigned int way = 0; way < 2; way++)
		counters_remove(&l->book[way].group);
}
