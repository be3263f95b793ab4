/* The drivers of network cards behind net.h, and the one in use. */
#ifndef CARD_H
#define CARD_H

#include <stdbool.h>
#include <stdint.h>

#include "guest-tests/guests/paired/net.h"

struct card_driver {
	/* Finds and starts the first such card; fills net. False if there is none, or, with a line on the console, none that
	 * works. */
	bool (*start)(bool interrupts);
	/* How many queue pairs it has, each for a processor; or NULL, for one that start() has set up. */
	uint32_t (*pairs)(void);
	/* Sets up this processor's queue pair; the first processor comes last, and has the card go. False, mostly with a line. */
	bool (*open)(void);
	/* Resets the card and starts it again. Frames under way are lost. */
	bool (*restart)(void);
	/* Hands up to a batch of received frames to receive(); returns how many. */
	uint32_t (*poll)(void (*receive)(struct net_frame *frame));
	/* Publishes frames sent and buffers given back, and rings the doorbells that the device wants. */
	void (*flush)(void);
	/*
	 * Sleeps until a frame is received, sent frames are wanted back, or clock_us() reaches deadline. Flushes on the
	 * way: use it in place of flush.
	 */
	void (*sleep)(uint64_t deadline);
	/* As in net.h. */
	uint8_t *(*frame_buffer)(uint32_t length);
	bool (*has_room)(void);
	void (*send)(uint32_t length, const struct net_offload *offload);
	uint32_t (*missed)(void); /* or NULL */
};

extern const struct card_driver virtio_net_driver; /* virtio 1.2, 5.1 */
extern const struct card_driver rtl8139_driver;	   /* RTL8139C+ */

/* The driver in use, once card_start() has found one that has a card. */
extern const struct card_driver *card;
bool card_start(bool interrupts);
/* How many processors can each have a queue pair, and one for this one. */
uint32_t card_pairs(void);
bool card_open(void);

#endif
