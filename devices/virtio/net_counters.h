/* What a network card counts: frames each way, and the causes of those that were lost. */
#ifndef DEVICES_VIRTIO_NET_COUNTERS_H
#define DEVICES_VIRTIO_NET_COUNTERS_H

#include "devices/net/ledger.h"
#include "vmm/base/counters.h"

struct rx_counters {
	uint64_t packets, bytes;
	uint64_t taken;		/* frames that the backend gave */
	uint64_t starved;	/* times that the guest had no buffer: frames wait in the backend */
	uint64_t starved_lost;	/* frames that its queue lost meanwhile, where that is known */
	uint64_t held;		/* frames that had to wait for a second helping of buffers */
	uint64_t unread;	/* frames left in the backend at the machine's end */
	uint64_t drop_too_big;	/* larger than all buffers that the guest offers */
	uint64_t drop_filtered; /* not for the guest's addresses */
	uint64_t drop_offload;	/* in need of an offload that the driver has not on (any longer) */
	uint64_t drop_mtu;	/* longer than the MTU that the driver was told */
	uint64_t drop_runt;	/* shorter than an Ethernet header */
	uint64_t backend_errors; /* with each of which it lost a frame */
	uint64_t first_packet;
};

struct tx_counters {
	uint64_t packets, bytes;
	uint64_t blocked;	  /* times that the backend took no more: frames wait in the ring */
	uint64_t drop_malformed;  /* chains that are no frame: too short, or writable */
	uint64_t drop_bad_header; /* the backend refused the header or the size (EINVAL) */
	uint64_t drop_down;	  /* the interface was down (EIO) or gone */
	uint64_t drop_error;	  /* any other error of the backend */
	uint64_t patient;	  /* doorbells that were not to stop the guest */
	uint64_t waiting;	  /* chains left in the ring when the card last stopped */
	uint64_t first_packet;
};

/* One queue pair's, or the sum of several. */
struct net_counters {
	struct rx_counters rx;
	struct tx_counters tx;
};

/* "net0.rx" and "net0.tx" in the accounts; with an index, "net0.rx1". */
struct net_counter_groups {
	struct counter_group group[2];
};

/* @index < 0: without. Who is to @refresh() them before they are read knows them by net_counters_groups(). */
void net_counters_register(struct counters *machine, struct net_counter_groups *groups,
			   const struct net_counters *counters, const char *card, int index,
			   void (*refresh)(struct counter_group *));
struct net_counter_groups *net_counters_groups(struct counter_group *group);
void net_counters_unregister(struct net_counter_groups *groups);

/* What a pair counts, but for what waits at the backend, as sources for the card's ledger. */
void net_counters_account(const struct net_counters *counters, struct ledger_source *to_guest,
			  struct ledger_source *from_guest);

/* Add @from to @sum; of the times the first counts. */
void net_counters_add(struct net_counters *sum, const struct net_counters *from);

#endif
