/* A TCP peer made by hand, whose clock and line the tests own. */
#ifndef GUEST_TESTS_GUESTS_PAIRED_TEST_TCP_PEER_H
#define GUEST_TESTS_GUESTS_PAIRED_TEST_TCP_PEER_H

#include <stdint.h>

#include "guest-tests/guests/paired/test/hosted.h"

#define PEER	 0x0a000001u
#define US	 1000000u
#define SENT_MAX 16384

/* What the guest has sent. */
struct sent {
	uint16_t to_port;
	uint32_t seq, ack, window, length;
	uint8_t flags;
	uint32_t options_length;
	uint8_t options[40];
	uint8_t data[1500];
};

extern struct sent sent[SENT_MAX];
extern unsigned int sent_count, sent_read;
extern uint16_t port; /* the peer's; a new one in each test */

/* Sends one segment to the guest, with options if there are any, and lets the guest work. */
void segment_with(uint16_t to, uint8_t flags, uint32_t seq, uint32_t ack, uint32_t window,
		  const void *data, uint32_t length, const uint8_t *options,
		  uint32_t options_length);

void segment(uint16_t to, uint8_t flags, uint32_t seq, uint32_t ack, const void *data,
	     uint32_t length);
struct sent *next_sent(void);
void nothing_sent(void);

/* Moves the clock on, in small steps as the main loop would. */
void wait_us(uint64_t us);

/* Connects; *seq and *ack are then the peer's next sequence number and the guest's. */
void connect_to(uint16_t to, uint32_t *seq, uint32_t *ack);

/* The connection is not there any more: a reset answers. */
void is_gone(uint16_t to, uint32_t seq, uint32_t ack);

void expect_segment(uint8_t flags, uint32_t seq, uint32_t ack, const char *data);

/* Forgets what was sent, so that tests do not see each other's. */
int peer_fresh(void **state);

int peer_start(void **state);

#endif
