/*
 * Stands in for clock, memory, network card and ring 0 when the guest's stack runs in a
 * program on the host.
 */
#include <sanitizer/lsan_interface.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "guest-tests/guests/paired/clock.h"
#include "guest-tests/guests/paired/console.h"
#include "guest-tests/guests/paired/machine.h"
#include "guest-tests/guests/paired/net.h"
#include "guest-tests/guests/paired/test/hosted.h"

#define MEMORY (64u << 20)

struct net net = { .mac = { 2, 0, 0, 0, 0, 2 }, .address = 0x0a000002 };
struct machine machine = { .cpus = 1 };
uint64_t hosted_us = 1;
uint32_t hosted_buffers_left = UINT32_MAX;

static uint64_t memory_left = MEMORY;
static uint8_t frame[NET_FRAME_MAX];

/* It finds its threads there. */
int __lsan_is_turned_off(void)
{
	return access("/proc/self/task", X_OK) != 0;
}

uint64_t clock_us(void)
{
	return hosted_us;
}

uint64_t clock_tsc_hz(void)
{
	return 1000000;
}

void *machine_alloc(uint64_t size)
{
	if (size > memory_left)
		return NULL;
	memory_left -= size;
	return calloc(1, size);
}

void *machine_of(uint32_t cpu, const volatile void *variable)
{
	return (void *)variable;
}

uint64_t machine_available(void)
{
	return memory_left;
}

uint32_t net_missed(void)
{
	return 0;
}

bool net_has_room(void)
{
	return hosted_buffers_left > 0;
}

uint8_t *net_frame_buffer(uint32_t length)
{
	return length <= sizeof(frame) && net_has_room() ? frame : NULL;
}

void net_send(uint32_t length, const struct net_offload *offload)
{
	if (hosted_buffers_left != UINT32_MAX)
		hosted_buffers_left--;
	hosted_sent(frame, length);
}

void console_write(const char *text, uint32_t length)
{
	fwrite(text, 1, length, stdout);
}
