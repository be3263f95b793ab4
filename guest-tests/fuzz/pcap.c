/*
 * devices/net/pcap.c: frames of every length, in pieces of every length, from two pairs. The file is whole pcapng blocks,
 * one for each frame that is counted, with that frame's bytes.
 */
#include <string.h>
#include <unistd.h>

#include "devices/net/pcap.h"
#include "guest-tests/fuzz/fuzz.h"

#define MAX_FRAME 70000u
#define PAIRS	  2u
#define SECTION	  0x0a0d0d0au
#define INTERFACE 1u
#define PACKET	  6u

static uint8_t frame[MAX_FRAME], block[MAX_FRAME + 64];
static uint8_t kept[1 << 16]; /* the first byte of each frame, in its order for its pair */
static unsigned int nr_kept[PAIRS], nr_seen[PAIRS];

static uint8_t *first_byte(unsigned int pair, unsigned int n)
{
	return &kept[pair * (sizeof(kept) / PAIRS) + n];
}

static void add(struct pcap *p, struct fuzz *f)
{
	const unsigned int pair = fuzz_below(f, PAIRS), skip = fuzz_below(f, 20);
	const size_t len = fuzz_below(f, 8) ? 1 + fuzz_int(f, 1) : 1 + fuzz_int(f, 2);
	const size_t cut = fuzz_int(f, 2) % (len + 1);
	const struct iovec iov[] = { { frame, skip },
				     { frame + skip, cut },
				     { frame + skip + cut, len - cut } };

	if (nr_kept[pair] == sizeof(kept) / PAIRS)
		return;
	frame[skip] = (uint8_t)fuzz_int(f, 1);
	*first_byte(pair, nr_kept[pair]++) = frame[skip];
	pcap_frame(p, pair, fuzz_below(f, 2) ? PCAP_TO_GUEST : PCAP_FROM_GUEST, iov, 3, skip, len);
}

static uint32_t word(size_t at)
{
	uint32_t v;

	memcpy(&v, block + at, sizeof(v));
	return v;
}

/* A packet block ends with: its flags and its queue, 12 bytes each (less the padding), the end of options, the length. */
static void check_packet(uint32_t total, unsigned int snap)
{
	const uint32_t captured = word(20), original = word(24);
	const size_t options = 28 + ALIGN_UP((size_t)captured, 4);
	const uint32_t pair = word(options + 12);

	fuzz_check(captured == MIN(original, snap) && options + 24 <= total);
	fuzz_check(pair < PAIRS && nr_seen[pair] < nr_kept[pair]);
	fuzz_check(block[28] == *first_byte(pair, nr_seen[pair]++));
}

static void check_file(unsigned int snap, uint64_t frames)
{
	const int fd = fuzz_file_fd(0);
	uint32_t total;
	off_t at = 0;

	for (uint64_t n = 0; pread(fd, block, sizeof(block), at) >= 12; n++, at += total) {
		total = word(4);
		fuzz_check(total % 4 == 0 && total >= 12 && total <= sizeof(block));
		fuzz_check(word(total - 4) == total);
		fuzz_check(word(0) == (n == 0 ? SECTION : n == 1 ? INTERFACE : PACKET));
		if (n > 1)
			check_packet(total, snap);
	}
	fuzz_check(at == lseek(fd, 0, SEEK_END));
	fuzz_check(nr_seen[0] + nr_seen[1] == frames && nr_seen[0] == nr_kept[0]);
}

void fuzz_one(struct fuzz *f)
{
	struct counters counters = { 0 };
	const struct device_env env = { .name = "net0", .counters = &counters };
	const unsigned int snap = 14 + (unsigned int)fuzz_int(f, fuzz_below(f, 2) + 1);
	const char *path = fuzz_file(0, "", 0, 0);
	struct output *o;
	struct pcap *p;

	memset(nr_kept, 0, sizeof(nr_kept));
	memset(nr_seen, 0, sizeof(nr_seen));
	fuzz_check(!pcap_create(&p, &env, path, PAIRS, snap));
	o = pcap_output(p);
	fuzz_check(!sink_open(&o->sink, path));
	sink_begin(&o->sink);
	o->begun = true;
	while (f->left)
		add(p, f);
	pcap_finish(p);
	const uint64_t frames = fuzz_counters(&counters, "net0.pcap", "frames");
	/* What was lost for want of room would leave a gap in what is kept here. */
	if (!fuzz_counters(&counters, "net0.pcap", "lost"))
		check_file(snap, frames);
	pcap_destroy(p);
}
