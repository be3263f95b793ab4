/*
 * An event: a wake-up that one thread gives another, as a file descriptor (an eventfd) that a loop can
 * watch, KVM can signal (ioeventfd) and KVM can listen to (irqfd).
 *
 * Signals between two looks add up to one wake-up. The descriptor belongs to who created it and is
 * closed with close().
 */
#ifndef VMM_BASE_EVENT_H
#define VMM_BASE_EVENT_H

#include <errno.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "vmm/base/util.h"

/* The descriptor of a new event, not signalled; or -errno. */
static inline int must_check event_create(void)
{
	const int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	return fd < 0 ? -errno : fd;
}

/* From any thread or signal handler; never blocks. */
static inline void event_signal(int fd)
{
	const uint64_t one = 1;
	const ssize_t n = write(fd, &one, sizeof(one));

	(void)n; /* full: the wake-up is pending anyway */
}

/* Take the signals; how many there were, 0 for none. */
static inline uint64_t event_clear(int fd)
{
	uint64_t signals = 0;

	return read(fd, &signals, sizeof(signals)) == sizeof(signals) ? signals : 0;
}

#endif
