/*
 * The drop ledger of a card: for every frame that left one side and did not reach the other, which hop lost it and why.
 *
 * Two groups of the accounts, "net0.to_guest" and "net0.from_guest", in the order of the way:
 *
 *   sent          frames that set out: into the host's interface; into the guest's ring
 *   lost_...      by cause: of the way to the guest first the host's (lost_qdisc before the interface's queue,
 *                 lost_queue_full in it, lost_no_buffer in it while the guest had no buffer, lost_backend_error on the
 *                 way out of it), then the card's, each "drop_X" of its counters as "lost_X"
 *   lost_vhost    of vhost alone, taken by the host's kernel: from the guest, and never seen by the interface; to the guest,
 *                 and without a chain of its ring (a frame has one at least)
 *   waiting       neither lost nor delivered at the end: held for want of buffers; in the guest's ring
 *   unread        the same, in the backend's queue
 *   delivered     given to the guest; taken by the host
 *   discarded     what the host's kernel then dropped, as nobody there wanted it (or the interface was down)
 *   unexplained   what the host's kernel has counted, less what the card has: 0, or there is a bug
 *   host_counts   1: the host's kernel was asked; 0: its part is not known, and the card's counters are compared
 *                 with one another
 *
 * so that sent = all of lost_... + waiting + unread + delivered + unexplained. While frames are under way the two
 * sides cannot be read at one instant: then unexplained is what cannot be due to that; and what vhost has done is
 * known a moment later only. A frame that is larger than all of the guest's buffers vhost drops before anybody counts it.
 */
#ifndef DEVICES_NET_LEDGER_H
#define DEVICES_NET_LEDGER_H

#include "devices/net/netbe.h"
#include "vmm/base/counters.h"

/* What a card counts of one way of a queue pair. Any of the pointers may be NULL. */
struct ledger_source {
	const struct counter_desc
		*desc; /* each drop_... is a cause; the same in all pairs of a card */
	const void *base;
	const uint64_t *in;	   /* frames that the card has taken on this way */
	const uint64_t *delivered; /* that came through */
	const uint64_t *waiting;   /* that it has not done with */
	const uint64_t *unread;	   /* to the guest: that it found in the backend at its end */
	const uint64_t *looped;	   /* that went from one way to the other within the card */

	/* To the guest: what the backend's queue lost while there were no buffers; and if they are wanting just now,
	 * what it had lost when that began, else LEDGER_NOT_STARVED. */
	const uint64_t *starved_lost, *starved_since;
	const uint64_t *backend_errors;

	/* Of vhost: times that the kernel had the rings; chains that it has done with. */
	const uint64_t *given, *by_kernel;
};
#define LEDGER_NOT_STARVED UINT64_MAX

enum ledger_way { LEDGER_TO_GUEST, LEDGER_FROM_GUEST };

#define LEDGER_MAX_ROWS 32u

struct ledger {
	struct netbe *be;
	bool settled;	 /* the card has ended: no frame is under way any more */
	unsigned int nr; /* pairs */
	struct ledger_source source[2][NETBE_MAX_PAIRS];
	struct ledger_book {
		struct ledger *ledger;
		struct counter_desc desc[LEDGER_MAX_ROWS];
		uint64_t row[LEDGER_MAX_ROWS];
		unsigned int nr_rows;
		char names[LEDGER_MAX_ROWS][24]; /* of the causes */
		struct counter_group group;
	} book[2];
};

/* With no pairs as yet. */
void ledger_init(struct ledger *ledger, struct netbe *be);

/* Another pair. @to_guest and @from_guest live as long as the ledger does. */
void ledger_add(struct ledger *ledger, const struct ledger_source *to_guest,
		const struct ledger_source *from_guest);

/* Into the accounts, as those of @card ("net0"), and out of them. Closing is safe on one that was not opened. */
void ledger_open(struct ledger *ledger, struct counters *counters, const char *card);
void ledger_close(struct ledger *ledger);

#endif
