/*
 * An RTL8139 for unit tests: on a host bridge with fake memory, in front of a socketpair that fails on demand, driven as
 * a driver would. One a process; functions fail the running cmocka test.
 */
#ifndef DEVICES_TEST_RTL8139_RIG_H
#define DEVICES_TEST_RTL8139_RIG_H

#include "devices/net/test/netbe_pair.h"
#include "devices/rtl8139.h"
#include "devices/test/pci_machine.h"
#include "vmm/base/guestmem.h"

#define RIG_MEMORY (16 * MIB)
#define RIG_SLOT   1
#define HDR	   NETBE_HDR_LEN

/* Where things lie in memory. */
#define RX_RING	  0x10000u /* of C+ */
#define TX_RING	  0x11000u
#define HIGH_RING 0x12000u
#define RX_BUFFER 0x20000u  /* the old mode's; of C+ 2 KiB for each descriptor */
#define TX_BUFFER 0x400000u /* 128 KiB for each descriptor */
#define TALLY	  0x13000u

#define RING 64u

/* opts1 */
#define OWN   BIT(31)
#define EOR   BIT(30)
#define FIRST BIT(29)
#define LAST  BIT(28)

/* Registers and bits that the tests name. */
enum {
	R_IDR = 0x00,
	R_MAR = 0x08,
	R_TSD = 0x10,
	R_DTCCR = 0x10,
	R_TSAD = 0x20,
	R_TNPDS = 0x20,
	R_THPDS = 0x28,
	R_RBSTART = 0x30,
	R_CR = 0x37,
	R_CAPR = 0x38,
	R_CBR = 0x3a,
	R_IMR = 0x3c,
	R_ISR = 0x3e,
	R_TCR = 0x40,
	R_RCR = 0x44,
	R_TCTR = 0x48,
	R_MPC = 0x4c,
	R_9346CR = 0x50,
	R_CONFIG1 = 0x52,
	R_TIMERINT = 0x54,
	R_MSR = 0x58,
	R_CONFIG3 = 0x59,
	R_TSADS = 0x60,
	R_BMCR = 0x62,
	R_BMSR = 0x64,
	R_CONFIG5 = 0xd8,
	R_TPPOLL = 0xd9,
	R_CPCR = 0xe0,
	R_RDSAR = 0xe4,
};
enum {
	ROK = 1,
	TOK = 4,
	TER = 8,
	RDU = 0x10,
	LINK = 0x20,
	TDU = 0x80,
	SWINT = 0x100,
	TIMEOUT = 0x4000,
	SERR = 0x8000
};
enum { RST = 0x10, RE = 8, TE = 4, BUFE = 1 };
enum { AAP = 1, APM = 2, AM = 4, AB = 8 };

extern struct pci_machine machine;
extern struct guestmem mem;
extern struct netbe_pair chip_pair;
extern struct device *card;
extern const uint8_t chip_mac[6];
extern uint8_t sent[HDR + 70000], received[HDR + 70000];

/* The 8139C+ in front of a backend with @features; the 8139C. Both may be bus masters. */
void chip_create(uint64_t features, bool cplus);
int chip_setup(void **state);	      /* C+, a backend that does nothing */
int chip_setup_offload(void **state); /* C+, one that does checksums and segmentation */
int chip_setup_old(void **state);     /* the 8139C */
int chip_teardown(void **state);

/* Registers, through memory. */
uint32_t get(unsigned int reg, unsigned int size);
void put(unsigned int reg, unsigned int size, uint32_t value);
void *at(uint64_t gpa);

/* PCI command register: decode, and be a bus master or not. */
void set_master(bool on);

/* C+ mode as Linux begins it: rings of 64, all receive buffers the card's. @cpcr: more than the two enables. */
void start_cplus(unsigned int cpcr);

/* The old mode: buffer at RX_BUFFER, @rcr more than to accept what is ours. */
void start_old(uint32_t rcr);

void set_desc(uint32_t ring, unsigned int n, uint32_t opts1, uint32_t opts2, uint64_t buffer);
uint32_t opts1_of(uint32_t ring, unsigned int n);
uint32_t opts2_of(uint32_t ring, unsigned int n);

/* Wait for what the card's thread does. */
void wait_isr(uint16_t bits);
void wait_given_back(uint32_t ring, unsigned int n);
uint64_t count_of(const char *group, const char *name);
void wait_count(const char *group, const char *name, uint64_t at_least);

/* INTA's level, as configuration space tells it. */
bool inta(void);

/* @sent is a frame of @len bytes behind a zeroed header, to @mac; returns @len. */
size_t fill_frame(size_t len, uint32_t seed);

/* The host sends @sent of @len bytes, and receives in @received: its length without header, or 0 if none comes. */
void host_send(size_t len);
size_t host_recv(void);
bool host_has(void);

/* Transmit @len bytes of @sent by C+'s next descriptor, or by descriptor @n of the old mode, and wait for its end. */
uint32_t guest_send(size_t len, uint32_t flags, uint32_t opts2);
uint32_t guest_send_old(unsigned int n, size_t len);

/* Frames both ways go as they should. */
void check_cplus_alive(void);

#endif
