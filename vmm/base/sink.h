/*
 * A sink: where output goes whose reader may be slow, stuck or gone.
 *
 * The rule of the house: a thread that ends the machine, or on which others wait, never waits for a
 * reader longer than it says. So nothing is written but through a sink:
 *
 *   - messages (log.h) never wait; what is not taken is queued, then dropped and counted;
 *   - the guest's output holds up the guest (serial.h), and not the main loop;
 *   - accounts (stats.h) are kept until the reader goes on, and a new one is skipped meanwhile;
 *   - at the end each gets a bounded chance, a short one where a signal or the timeout ends the machine.
 *
 * A descriptor that was inherited is shared with other processes, so O_NONBLOCK is not ours to set: a
 * terminal or pipe is opened once more, without blocking. Where that cannot be (the pipe of another
 * user, a socket, the master of a pseudo-terminal) poll() is asked first, for no more than it promises.
 * The caller ignores SIGPIPE and SIGXFSZ. A sink is for one thread at a time.
 */
#ifndef VMM_BASE_SINK_H
#define VMM_BASE_SINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/base/util.h"

struct sink {
	int fd;	       /* -1: nowhere; all is taken */
	int own_fd;    /* to be closed, or -1 */
	int reader_fd; /* of a FIFO that nobody else was reading, or -1 */
	size_t piece;  /* the longest write */
	uint64_t room; /* bytes that may still be written */
	int error; /* why the last write took less than all: EAGAIN, EFBIG (no room), other errno */
	bool terminal;
	bool controls; /* it is a terminal and was sent more than plain lines */
	bool plain;    /* a file that was opened, and whose contents can be replaced */
};

#define SINK_NOWHERE ((struct sink){ .fd = -1, .own_fd = -1, .reader_fd = -1, .room = UINT64_MAX })

/*
 * Another door to the same terminal or pipe, that does not block: their flags are shared with others. Closed by the caller;
 * -1 where there is none.
 */
int sink_reopen(int fd, int access);

/* Write to @fd, which stays the caller's. */
void sink_init(struct sink *sink, int fd);

/*
 * Write to a file, made if need be, that is left as it is until it is written to. A FIFO need not have a
 * reader yet: it keeps what it can hold for one that comes. What is a standard output of ours as well (/dev/stdout) is
 * appended to. -errno without a message.
 */
int must_check sink_open(struct sink *sink, const char *path);

/* Begin: a plain file is emptied. */
void sink_begin(struct sink *sink);

/* How many of the bytes were taken, within @ms milliseconds or until a signal comes. */
size_t sink_write(struct sink *sink, const void *bytes, size_t len, unsigned int ms);

/*
 * A plain file is to have these bytes and no others. What was there is overwritten and then cut off, so that a full
 * disk takes the new as it had the old; where it does not, nothing is left rather than a part. -errno.
 */
int must_check sink_replace(struct sink *sink, const char *text, size_t len);

/* What an @error of a sink's means, for messages. */
const char *sink_strerror(int error);

/* Wait until it takes bytes: 0, -EAGAIN after @ms milliseconds, -EINTR when a signal came. */
int must_check sink_wait(const struct sink *sink, unsigned int ms);

/* No more will be written; how many bytes were taken that nobody can read (@error is then EAGAIN). */
uint64_t sink_finish(struct sink *sink);

/* The caller's descriptor stays open. Safe on a zeroed one of which nothing was opened. */
void sink_close(struct sink *sink);

/*
 * A file of the user's that is written to. The machine opens it last of all things, after it is known to be no other's, and
 * empties it when nothing can fail any more; before the guest runs (files.h).
 */
struct output {
	const char *what,
		*path;	  /* for messages: "capture", and its name; NULL: there is none to open */
	struct sink sink; /* SINK_NOWHERE until it is open; closed by its owner */
	uint64_t max;	  /* bytes that it may get; 0: any number */
	bool begun;	  /* it may be written to */
	unsigned int patience_ms; /* how long its reader has for the rest, at the end */
};

#endif
