/* Driver of the virtio network device (virtio 1.2, 5.1). */
#ifndef VIRTIO_NET_H
#define VIRTIO_NET_H

#include <stdbool.h>
#include <stdint.h>

#include "guest-tests/guests/paired/net.h"

/*
 * Finds and starts the first network device; fills net. False (and a line on the console) if there
 * is none that works.
 */
bool virtio_net_start(bool interrupts);

/* Hands up to a batch of received frames to receive(); returns how many. */
uint32_t virtio_net_poll(void (*receive)(struct net_frame *frame));

/* Publishes frames sent and buffers given back, and rings the doorbells that the device wants. */
void virtio_net_flush(void);

/*
 * Sleeps until a frame is received, sent frames are wanted back, or clock_us() reaches deadline.
 * Flushes on the way: use it in place of virtio_net_flush().
 */
void virtio_net_sleep(uint64_t deadline);

/* Resets the device and starts it again. Frames under way are lost. */
bool virtio_net_restart(void);

/* The device's status register, for tests. */
uint8_t virtio_net_status(void);

#endif
