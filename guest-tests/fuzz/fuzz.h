/*
 * What the fuzz targets share: the input, fake guest memory, files, and a driver without manners.
 *
 * A target is one file with fuzz_one(), which builds a device, lets the input act on it and takes it
 * down again: nothing is carried from one input to the next. All of it runs on one thread. The loops
 * of the devices get no thread of their own (fuzz.c stands in front of loop_start()); their callbacks
 * and their work run inside fuzz_turn(), so that an input does the same each time.
 */
#ifndef GUEST_TESTS_FUZZ_FUZZ_H
#define GUEST_TESTS_FUZZ_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "devices/virtio/core.h"
#include "vmm/base/bus.h"
#include "vmm/base/guestmem.h"

/* ---- the input: used up from the front; 0 once there is no more ---- */

struct fuzz {
	const uint8_t *at;
	size_t left;
};

/* Each target's own. */
void fuzz_one(struct fuzz *f);

/* An integer of @bytes (1-8) bytes; one in [0, n). */
uint64_t fuzz_int(struct fuzz *f, unsigned int bytes);
unsigned int fuzz_below(struct fuzz *f, unsigned int n);

/* The next bytes, at most @max of them; *len says how many. */
const uint8_t *fuzz_bytes(struct fuzz *f, size_t max, size_t *len);

/* What must hold, and a finding where it does not. */
#define fuzz_check(what)         \
	do {                     \
		if (!(what))     \
			abort(); \
	} while (0)

/* The sum of the counters of @group that begin with @name. */
uint64_t fuzz_counters(const struct counters *machine, const char *group, const char *name);

/* ---- guest memory ---- */

#define FUZZ_LOW_MAX (64 * MIB)

/*
 * RAM, all zero: @low bytes (whole pages, at most FUZZ_LOW_MAX) with a page behind them that faults,
 * and, with @high, more than 4 GiB above the hole: as much as one descriptor can name. One at a time.
 */
void fuzz_memory(struct guestmem *mem, uint64_t low, bool high);

/* Nothing in low RAM is uninitialised memory of ours; checked where MSan can tell. */
void fuzz_check_memory(const struct guestmem *mem);

/* ---- files ---- */

#define FUZZ_FILES 2u

/* Make file @n hold these bytes and zeroes up to @size; its path. And its descriptor. */
const char *fuzz_file(unsigned int n, const void *bytes, size_t len, uint64_t size);
int fuzz_file_fd(unsigned int n);

/*
 * A directory to share, below one of its own: the file a, the directory d with the file d/b, links up (to a
 * file outside) and abs, the FIFO p. Until it is removed, which finds out whether anything outside has changed.
 */
const char *fuzz_share(void);
void fuzz_share_remove(void);

/* ---- loops ---- */

/* Let each loop look at its descriptors and do its work a few times. */
void fuzz_turn(void);

/* ---- a bus access of any size, at an offset from @base ---- */

void fuzz_access(struct fuzz *f, struct bus *bus, uint64_t base, uint64_t len);

/* ---- a driver ---- */

#define FUZZ_QUEUES 5u

struct fuzz_driver {
	struct guestmem mem;
	struct counters counters;
	struct device_env env; /* its plug makes dev what is driven */
	struct device *device;
	struct virtio_dev *dev;
	uint64_t next_buffer;
	struct {
		uint16_t size, next_desc;
		struct vring_desc *desc; /* in RAM, at fixed places */
		struct vring_avail *avail;
		struct vring_used *used;
	} queue[FUZZ_QUEUES];
};

/* Memory first, then the device d->dev that uses it; the driver is its transport unless the caller attaches one. */
void fuzz_driver_init(struct fuzz_driver *d, const char *name);
void fuzz_driver_destroy(struct fuzz_driver *d);

/* A device of this kind; -errno. */
int fuzz_driver_create(struct fuzz_driver *d, const struct device_kind *kind, const void *options);

/* Reset, negotiate, set up the queues and go live, as the input likes it. */
void fuzz_driver_start(struct fuzz_driver *d, struct fuzz *f);

/* A well-formed request: @head and @out_len bytes more to read, @in_len to write; kicked and served. */
void fuzz_driver_request(struct fuzz_driver *d, unsigned int q, const void *head, uint32_t head_len,
			 uint32_t out_len, uint32_t in_len);

/* Wake the threads of their own that serve queue @q, and wait until they have served all there is. */
void fuzz_driver_settle(const struct fuzz_driver *d, unsigned int q);

/* One thing that a driver might do: chains of all kinds, indices, kicks, registers, scribbling. */
void fuzz_driver_act(struct fuzz_driver *d, struct fuzz *f);

#endif
