/*
 * devices/virtio/virtq*.c: rings of both kinds whose every byte is the guest's, at any time. Chains lie in memory, no more
 * of them are in hand than the ring has entries, and what the device writes stays inside its rings.
 */
#include <string.h>

#include "devices/virtio/virtq.h"
#include "guest-tests/fuzz/fuzz.h"

#define SIZE  (64 * KIB)
#define RINGS 0x1000u /* the three areas are in here, wherever the guest likes */
#define HAND  64u

static struct guestmem mem;
static struct virtq vq;
static struct iovec iov[VIRTQ_SIZE_MAX];
static struct virtq_chain hand[HAND]; /* taken and not given back */
static unsigned int nr;

static void check(const struct virtq_chain *c)
{
	const uint8_t *base = mem.region[0].host;

	for (unsigned int i = 0; i < c->nr_out + c->nr_in; i++) {
		const uint64_t at = (uint64_t)((uint8_t *)iov[i].iov_base - base);

		fuzz_check(iov[i].iov_len && at < SIZE && iov[i].iov_len <= SIZE - at);
	}
	fuzz_check(iov_size(iov, c->nr_out) == c->out_len);
	fuzz_check(iov_size(iov + c->nr_out, c->nr_in) == c->in_len);
}

static void take(struct fuzz *f)
{
	const unsigned int max = fuzz_below(f, 8) ? VIRTQ_SIZE_MAX : fuzz_below(f, 4);
	unsigned int entries = 0;

	if (nr == HAND || virtq_pop(&vq, &hand[nr], iov, max) <= 0)
		return;
	check(&hand[nr]);
	if (fuzz_below(f, 4) == 0) {
		virtq_unpop(&vq, &hand[nr]);
		return;
	}
	nr++;
	for (unsigned int i = 0; i < nr; i++)
		entries += vq.packed ? hand[i].nr_entries : 1;
	fuzz_check(entries <= vq.size);
}

static void give(struct fuzz *f)
{
	const unsigned int i = nr ? fuzz_below(f, nr) : 0;

	if (!nr)
		return;
	virtq_push(&vq, &hand[i], (uint32_t)fuzz_int(f, 4));
	hand[i] = hand[--nr];
}

/* Any bytes, into the rings or anywhere. */
static void scribble(struct fuzz *f)
{
	const unsigned int at = fuzz_below(f, 4) ? fuzz_below(f, RINGS) : fuzz_below(f, SIZE - 32);
	const uint8_t *bytes;
	size_t n;

	bytes = fuzz_bytes(f, 1 + fuzz_below(f, 32), &n);
	memcpy((uint8_t *)mem.region[0].host + at, bytes, n);
}

void fuzz_one(struct fuzz *f)
{
	fuzz_memory(&mem, SIZE, false);
	fuzz_check(!virtq_init(&vq, (uint16_t)(1u << fuzz_below(f, 11))));
	nr = 0;
	vq.size = (uint16_t)fuzz_int(f, 2);
	vq.desc_addr = fuzz_below(f, RINGS / 16) * 16;
	vq.driver_addr = fuzz_below(f, RINGS / 4) * 4;
	vq.device_addr = fuzz_below(f, RINGS / 4) * 4;
	const unsigned int how = fuzz_below(f, 4);
	if (!virtq_start(&vq, &mem, how & 1, how & 2))
		while (f->left) {
			switch (fuzz_below(f, 8)) {
			case 0 ... 1:
				take(f);
				break;
			case 2:
				give(f);
				break;
			case 3:
				(void)!virtq_publish(&vq);
				break;
			case 4:
				virtq_kicks_off(&vq);
				break;
			case 5:
				(void)!virtq_kicks_on(&vq);
				fuzz_check(virtq_waiting(&vq) <= vq.size);
				break;
			default:
				scribble(f);
				break;
			}
		}
	virtq_destroy(&vq);
}
