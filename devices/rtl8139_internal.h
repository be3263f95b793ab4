/* What the files of the RTL8139 share; rtl8139.h is the manual. */
#ifndef DEVICES_RTL8139_INTERNAL_H
#define DEVICES_RTL8139_INTERNAL_H

#include <pthread.h>

#include "devices/net/segment.h"
#include "devices/pci.h"
#include "devices/rtl8139.h"
#include "devices/rtl8139_eeprom.h"
#include "devices/net/ledger.h"
#include "devices/net/pcap.h"
#include "vmm/base/counters.h"
#include "vmm/base/guestmem.h"
#include "vmm/base/loop.h"

/* CR, 0x37 */
#define CR_RST	0x10
#define CR_RE	0x08
#define CR_TE	0x04
#define CR_BUFE 0x01

/* IMR 0x3c, ISR 0x3e */
#define INT_ROK	  0x0001
#define INT_TOK	  0x0004
#define INT_TER	  0x0008
#define INT_RDU	  0x0010 /* no receive descriptor, or the old mode's buffer is full */
#define INT_LINK  0x0020
#define INT_TDU	  0x0080
#define INT_SW	  0x0100
#define INT_TIMER 0x4000
#define INT_SERR  0x8000
#define INT_ALL	  0xe1ff

/* TCR 0x40, RCR 0x44 */
#define TCR_LOOPBACK 0x00060000u
#define TCR_WRITABLE 0x030707f0u /* not the hardware's version */
#define RCR_AAP	     0x01u	 /* accept all, those to us, multicast by hash, broadcast */
#define RCR_APM	     0x02u
#define RCR_AM	     0x04u
#define RCR_AB	     0x08u
#define RCR_WRAP     0x80u /* a frame goes on behind the end of the buffer */
#define RCR_RBLEN    0x1800u

/* CPCR, 0xe0 */
#define CPCR_TXEN   0x01
#define CPCR_RXEN   0x02
#define CPCR_RXCSUM 0x20
#define CPCR_RXVLAN 0x40

/* TPPoll, 0xd9 */
#define POLL_HIGH   0x80
#define POLL_NORMAL 0x40
#define POLL_SW_INT 0x01

/* TSD, 0x10 */
#define TSD_SIZE 0x1fffu
#define TSD_OWN	 BIT(13)
#define TSD_TOK	 BIT(15)
#define TSD_TABT BIT(30)

/* What a received frame is, as the old mode's header says it; C+ has the bits elsewhere. */
#define RX_OK	     0x0001
#define RX_BROADCAST 0x2000
#define RX_PHYSICAL  0x4000
#define RX_MULTICAST 0x8000

#define OLD_DESCRIPTORS	  4u
#define RING_DESCRIPTORS  64u /* of a C+ ring, at most */
#define MIN_FRAME	  14u
#define WIRE_MIN	  60u /* what a frame on a wire has at least */
#define FCS		  4u
#define RTL8139_MAX_FRAME (14u + 4 + 65535)

struct rtl8139_rx_counters {
	uint64_t packets, bytes;
	uint64_t taken;		/* frames that the backend gave */
	uint64_t looped;	/* that the card sent to itself */
	uint64_t unread;	/* left in the backend at the machine's end */
	uint64_t drop_missed;	/* the guest had no room: MPC */
	uint64_t drop_too_big;	/* longer than the chip can say, or than all its buffers */
	uint64_t drop_filtered; /* not for the guest's addresses */
	uint64_t drop_off;	/* the receiver was turned off while it was on its way */
	uint64_t drop_offload;	/* left unfinished by the backend, which was not asked to */
	uint64_t drop_runt;	/* shorter than an Ethernet header */
	uint64_t backend_errors;
	uint64_t first_packet;
};

struct rtl8139_tx_counters {
	uint64_t packets, bytes;  /* a large send is as many as go to the backend */
	uint64_t blocked;	  /* times that the backend took no more: frames wait in the ring */
	uint64_t drop_malformed;  /* descriptors that are no frame */
	uint64_t drop_bad_header; /* the backend refused the size (EINVAL) */
	uint64_t drop_down;	  /* the interface was down (EIO) or gone */
	uint64_t drop_error;	  /* any other error of the backend */
	uint64_t drop_reset;	  /* the driver turned the card off while it waited */
	uint64_t waiting;	  /* 1: one was still to be sent when the machine ended */
	uint64_t first_packet;
};

/* Counted under the lock. */
struct rtl8139_chip_counters {
	uint64_t reads, writes; /* of registers */
	uint64_t kicks;		/* writes that gave the card something to do */
	uint64_t interrupts;	/* times that INTA was asserted */
	uint64_t resets;
	uint64_t ring_faults; /* rings and buffers that are not in memory */
};

/* The tally counters, as they are dumped. */
struct rtl8139_tally {
	uint64_t tx_ok, rx_ok, tx_errors;
	uint32_t rx_errors;
	uint16_t missed, alignment;
	uint32_t tx_one_collision, tx_collisions;
	uint64_t rx_physical, rx_broadcast;
	uint32_t rx_multicast;
	uint16_t tx_aborted, tx_underrun;
};
_Static_assert(sizeof(struct rtl8139_tally) == 64, "as the chip dumps it");

/* The registers that hold something, by their names. */
struct rtl8139_regs {
	uint8_t idr[8], mar[8];
	uint32_t tsd[OLD_DESCRIPTORS], tsad[OLD_DESCRIPTORS];
	uint32_t dtccr[2];
	uint32_t rbstart;
	uint32_t read, write; /* where in the receive ring: CAPR without its 16, CBR */
	uint8_t cr;
	uint16_t imr, isr;
	uint32_t tcr, rcr, mpc;
	uint32_t timer_int;
	uint64_t timer_start; /* ns: when TCTR was 0 */
	uint8_t cr9346, config1, config3, config4, config5;
	uint16_t mulint, bmcr, anar, cscr;
	uint16_t cpcr;
	uint32_t rdsar[2];
	uint8_t etthr;
};

/* A frame on its way out. Its thread's own. */
struct rtl8139_out {
	uint8_t *frame;	  /* RTL8139_MAX_FRAME bytes */
	size_t len;	  /* 0: there is none */
	bool ip_sum, sum; /* the IP header's checksum is wanted, the transport's */
	unsigned int mss; /* large send, in segments of so many bytes; 0: none */
	bool loopback;

	struct net_packet packet;
	struct virtio_net_hdr_v1 hdr; /* what the backend is to do */
	size_t headers;		      /* of a segment that is made here; 0: it goes as it is */
	size_t at;		      /* bytes behind them that have gone */
	unsigned int segment;
	bool sent;   /* all of it: only its descriptors are still to be given back ... */
	bool failed; /* ... and to say that it was not taken */

	/* Where it is from, unless the driver has begun anew since. */
	unsigned int epoch;
	bool cplus;
	unsigned int ring, first, nr;	  /* C+: its descriptors */
	uint32_t opts1[RING_DESCRIPTORS]; /* as they were */
};

struct rtl8139 {
	struct device device;
	struct pci_func func;
	const struct guestmem *mem;
	struct netbe *be;
	bool cplus;
	uint64_t features;

	pthread_mutex_t lock; /* of all up to the thread's own */
	struct rtl8139_regs r;
	struct rtl8139_eeprom eeprom;
	struct rtl8139_tally tally;
	struct rtl8139_chip_counters chip;
	bool master;		 /* may be a bus master */
	bool rx_fault, tx_fault; /* a direction has lost its ring */
	unsigned int epoch;	 /* the driver has begun anew so often */
	unsigned int rx_next;	 /* C+: descriptor for the next frame */
	unsigned int tx_next[2]; /* C+: of the normal and the high priority ring */
	bool tx_polled[2];	 /* C+: there may be something in it ... */
	bool tx_unavailable[2];	 /* ... and that there is no more is still to be said */
	unsigned int old_next;	 /* old mode: descriptor to be sent next */
	bool kicked, asleep;	 /* there may be work; the thread waits for an event */
	bool intx;		 /* INTA is asserted */
	struct loop_timer timer; /* TimerInt */

	/* The thread's own. */
	struct loop *loop;
	struct loop_watch kick, backend;
	struct loop_watch link;	 /* what becomes of the backend without a frame */
	struct loop_timer pause; /* ends rx_pause */
	bool rx_ready;		 /* the backend may have a frame */
	bool rx_pause;		 /* it failed: leave it alone until the timer */
	bool tx_wait;		 /* it took no more: wait until it does */
	uint8_t *rx_frame; /* NETBE_HDR_LEN and RTL8139_MAX_FRAME bytes, and room for the FCS */
	struct rtl8139_out out;
	struct rtl8139_rx_counters rx;
	struct rtl8139_tx_counters tx;
	int error; /* of watching */

	struct counter_group groups[3];
	struct ledger ledger;
	struct pcap *pcap; /* or NULL */
};

/* ---- rtl8139.c; under the lock unless it says otherwise ---- */

/* There may be work for the thread. */
void rtl8139_kick(struct rtl8139 *d);

/* Set bits of ISR; INTA follows with rtl8139_sync_interrupt(). */
void rtl8139_interrupt(struct rtl8139 *d, uint16_t bits);
void rtl8139_sync_interrupt(struct rtl8139 *d);

/* Frames may be moved that way, and it is C+'s. */
static inline bool rtl8139_rx_is_on(const struct rtl8139 *d)
{
	return d->master && d->r.cr & CR_RE && !d->rx_fault;
}

static inline bool rtl8139_tx_is_on(const struct rtl8139 *d)
{
	return d->master && d->r.cr & CR_TE && !d->tx_fault;
}

static inline bool rtl8139_rx_is_cplus(const struct rtl8139 *d)
{
	return d->r.cpcr & CPCR_RXEN;
}

static inline bool rtl8139_tx_is_cplus(const struct rtl8139 *d)
{
	return d->r.cpcr & CPCR_TXEN;
}

/* A direction's ring or a buffer is not in memory. */
void rtl8139_fault(struct rtl8139 *d, bool *direction);

/* The backend takes no more. On the thread. */
void rtl8139_block(struct rtl8139 *d);

/* ---- rtl8139_regs.c ---- */

extern const struct bus_ops rtl8139_registers;

/* As after power-on: the address from the EEPROM, too. */
void rtl8139_power_on(struct rtl8139 *d);

/* TimerInt has come. */
void rtl8139_timer_expired(struct rtl8139 *d);

/* ---- receive: a frame of @len bytes (WIRE_MIN or more), behind which FCS bytes may be written; under the lock ---- */

enum rtl8139_fate { RX_DELIVERED, RX_MISSED, RX_TOO_BIG, RX_FAULT };

enum rtl8139_fate rtl8139_old_receive(struct rtl8139 *d, const uint8_t *frame, size_t len,
				      uint16_t flags);
enum rtl8139_fate rtl8139_cplus_receive(struct rtl8139 *d, uint8_t *frame, size_t len,
					uint16_t flags);

/* Of the old mode's buffer, in bytes. */
uint32_t rtl8139_old_ring_size(const struct rtl8139_regs *r);

/* ---- transmit: the next frame into d->out, under the lock ---- */

enum rtl8139_fetch { TX_NONE, TX_FRAME, TX_MALFORMED /* given back */ };

enum rtl8139_fetch rtl8139_old_fetch(struct rtl8139 *d);
enum rtl8139_fetch rtl8139_cplus_fetch(struct rtl8139 *d);

/* It has gone: its descriptors are the driver's. */
void rtl8139_old_complete(struct rtl8139 *d);
void rtl8139_cplus_complete(struct rtl8139 *d);

/* ---- rtl8139_tx.c; on the thread, not under the lock ---- */

/* One frame or segment; false when there is nothing to do before the next event. */
bool rtl8139_transmit(struct rtl8139 *d);

/* ---- rtl8139_rx.c; on the thread, not under the lock ---- */

/* One frame from the backend; false when there is nothing to do before the next event. */
bool rtl8139_receive(struct rtl8139 *d);

/* Count what the backend has still got, at the end of the machine. */
void rtl8139_count_unread(struct rtl8139 *d);

/* A frame in d->rx_frame, behind a header: whatever its fate, it is counted. */
void rtl8139_take(struct rtl8139 *d, size_t len);

/* @err came from the backend: is it gone? The link is then down. */
bool rtl8139_lose_backend(struct rtl8139 *d, int err);

#endif
