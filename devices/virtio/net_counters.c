/* A network card's counters. */
#include "devices/virtio/net_counters.h"

#include <stdio.h>

/* clang-format off */
#define RX(field) COUNTER(struct rx_counters, field)
#define TX(field) COUNTER(struct tx_counters, field)

static const struct counter_desc rx_desc[] = {
	RX(packets), RX(bytes), RX(taken), RX(starved), RX(starved_lost), RX(held), RX(unread),
	RX(drop_too_big), RX(drop_filtered), RX(drop_offload), RX(drop_mtu), RX(drop_runt), RX(backend_errors), COUNTER_TIME(struct rx_counters, first_packet),
	COUNTER_END,
};

static const struct counter_desc tx_desc[] = {
	TX(packets), TX(bytes), TX(blocked), TX(drop_malformed), TX(drop_bad_header), TX(drop_down),
	TX(drop_error), TX(patient), TX(waiting), COUNTER_TIME(struct tx_counters, first_packet), COUNTER_END,
};
/* clang-format on */

void net_counters_register(struct counters *machine, struct net_counter_groups *g,
			   const struct net_counters *c, const char *card, int index,
			   void (*refresh)(struct counter_group *))
{
	char of[12] = "";

	if (index >= 0)
		snprintf(of, sizeof(of), "%d", index);
	g->group[0].refresh = g->group[1].refresh = refresh;
	counters_add(machine, &g->group[0], rx_desc, &c->rx, "%s.rx%s", card, of);
	counters_add(machine, &g->group[1], tx_desc, &c->tx, "%s.tx%s", card, of);
}

struct net_counter_groups *net_counters_groups(struct counter_group *group)
{
	return container_of(group->desc == tx_desc ? group - 1 : group, struct net_counter_groups,
			    group[0]);
}

void net_counters_unregister(struct net_counter_groups *g)
{
	for (unsigned int i = 0; i < 2; i++)
		counters_remove(&g->group[i]);
}

static void add(const struct counter_desc *desc, void *sum, const void *from)
{
	for (; desc->name; desc++) {
		uint64_t *s = (uint64_t *)((char *)sum + desc->offset);
		/* Its thread may be counting. */
		const uint64_t v = __atomic_load_n(
			(const uint64_t *)((const char *)from + desc->offset), __ATOMIC_RELAXED);

		if (!desc->is_time)
			*s += v;
		else if (v && (!*s || v < *s))
			*s = v;
	}
}

void net_counters_add(struct net_counters *sum, const struct net_counters *from)
{
	add(rx_desc, &sum->rx, &from->rx);
	add(tx_desc, &sum->tx, &from->tx);
}

void net_counters_account(const struct net_counters *c, struct ledger_source *to_guest,
			  struct ledger_source *from_guest)
{
	*to_guest = (struct ledger_source){
		.desc = rx_desc,
		.base = &c->rx,
		.in = &c->rx.taken,
		.delivered = &c->rx.packets,
		.unread = &c->rx.unread,
		.starved_lost = &c->rx.starved_lost,
		.backend_errors = &c->rx.backend_errors,
	};
	*from_guest = (struct ledger_source){
		.desc = tx_desc,
		.base = &c->tx,
		.delivered = &c->tx.packets,
		.waiting = &c->tx.waiting,
	};
}
