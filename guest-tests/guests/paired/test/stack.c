/*
 * The guest's network stack as a process on a tap, behind a bad line: loss, duplicates,
 * reordering, bit errors.
 *
 *	guest-stack TAP [loss=N] [duplicate=N] [reorder=N] [corrupt=N] [delay=MS] [seed=N]
 *
 * N is in thousandths, for each direction. A reordered frame is held back by up to 20 ms more. Ends
 * with a "quit" to its control port, or on SIGTERM, after printing the counters.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "guest-tests/guests/paired/counters.h"
#include "guest-tests/guests/paired/ip.h"
#include "guest-tests/guests/paired/netperf.h"
#include "guest-tests/guests/paired/services.h"
#include "guest-tests/guests/paired/test/hosted.h"

#define FRAME_MAX 1600
#define HELD_MAX  8192
#define HELD_US	  20000
#define THOUSAND  1000

/* A frame on the line. */
struct held {
	uint64_t due;
	uint32_t length;
	bool inward;
	uint8_t data[FRAME_MAX];
};

static struct {
	uint32_t loss, duplicate, reorder, corrupt, delay;
} line;
static struct held *held[HELD_MAX];
static uint32_t held_count;
static uint64_t seed = 1;
static int tap;
static volatile sig_atomic_t stop;

static uint32_t random_below(uint32_t limit)
{
	seed = seed * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)(seed >> 33) % limit;
}

static bool happens(uint32_t thousandths)
{
	return random_below(THOUSAND) < thousandths;
}

static void now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	hosted_us = (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void pass(struct held *f)
{
	if (f->inward) {
		struct net_frame frame = {
			.data = { f->data }, .length = { f->length }, .count = 1, .total = f->length
		};

		ip_receive(&frame);
	} else if (write(tap, f->data, f->length) < 0 && errno != EAGAIN && errno != ENOBUFS) {
		perror("guest-stack: tap");
		exit(1);
	}
}

static void onto_line(const uint8_t *data, uint32_t length, bool inward)
{
	uint32_t copies = happens(line.duplicate) ? 2 : 1;

	if (length > FRAME_MAX || happens(line.loss))
		return;
	while (copies-- > 0 && held_count < HELD_MAX) {
		struct held *f = malloc(sizeof(*f));

		if (f == NULL)
			return;
		f->due = hosted_us + line.delay * 1000;
		f->length = length;
		f->inward = inward;
		memcpy(f->data, data, length);
		if (happens(line.reorder))
			f->due += random_below(HELD_US);
		/* Not in the Ethernet header, which a real line protects. */
		if (happens(line.corrupt) && length > NET_ETH_HEADER)
			f->data[NET_ETH_HEADER + random_below(length - NET_ETH_HEADER)] ^=
				(uint8_t)(1 << random_below(8));
		held[held_count++] = f;
	}
}

void hosted_sent(const uint8_t *frame, uint32_t length)
{
	onto_line(frame, length, false);
}

/* Passes on what is due, in order of arrival; says how long nothing else will be. */
static int pass_due(void)
{
	uint64_t next = hosted_us + 10000;
	uint32_t kept = 0, count = held_count;
	static struct held *work[HELD_MAX];

	/* What passing answers is put behind what is kept. */
	memcpy(work, held, count * sizeof(*held));
	held_count = 0;
	for (uint32_t i = 0; i < count; i++) {
		if (work[i]->due > hosted_us) {
			if (work[i]->due < next)
				next = work[i]->due;
			work[kept++] = work[i];
			continue;
		}
		pass(work[i]);
		free(work[i]);
	}
	memmove(held + kept, held, held_count * sizeof(*held));
	memcpy(held, work, kept * sizeof(*held));
	held_count += kept;
	return (int)((next - hosted_us) / 1000);
}

static void on_signal(int number)
{
	stop = 1;
}

static int open_tap(const char *name)
{
	struct ifreq request = { .ifr_flags = IFF_TAP | IFF_NO_PI };
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK);

	if (fd < 0)
		return -1;
	strncpy(request.ifr_name, name, IFNAMSIZ - 1);
	if (ioctl(fd, TUNSETIFF, &request) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static bool option(const char *word, const char *key, uint32_t *value)
{
	size_t length = strlen(key);

	if (strncmp(word, key, length) != 0)
		return false;
	*value = (uint32_t)strtoul(word + length, NULL, 10);
	return true;
}

int main(int argc, char **argv)
{
	uint8_t frame[FRAME_MAX];
	uint32_t number;

	if (argc < 2) {
		fprintf(stderr, "usage: guest-stack TAP [loss=N] [duplicate=N] [reorder=N] "
				"[corrupt=N] [delay=MS] [seed=N]\n");
		return 2;
	}
	for (int i = 2; i < argc; i++) {
		if (option(argv[i], "seed=", &number)) {
			seed = number;
		} else if (!option(argv[i], "loss=", &line.loss) &&
			   !option(argv[i], "duplicate=", &line.duplicate) &&
			   !option(argv[i], "reorder=", &line.reorder) &&
			   !option(argv[i], "corrupt=", &line.corrupt) &&
			   !option(argv[i], "delay=", &line.delay)) {
			fprintf(stderr, "guest-stack: what is '%s'?\n", argv[i]);
			return 2;
		}
	}
	tap = open_tap(argv[1]);
	if (tap < 0) {
		fprintf(stderr, "guest-stack: tap %s: %s\n", argv[1], strerror(errno));
		return 1;
	}
	signal(SIGTERM, on_signal);
	now();
	if (!tcp_start() || !echo_start() || !http_start() || !netperf_start() || !control_start())
		return 1;
	printf("ready\n");
	fflush(stdout);
	while (!stop && control_quit() < 0) {
		struct pollfd wait = { .fd = tap, .events = POLLIN };
		int ms = pass_due();
		ssize_t length;

		poll(&wait, 1, ms < 1 ? 1 : ms);
		now();
		for (int i = 0; i < 64 && (length = read(tap, frame, sizeof(frame))) > 0; i++)
			onto_line(frame, (uint32_t)length, true);
		pass_due();
		tcp_timers();
		netperf_timers(hosted_us);
		tcp_flush();
	}
	pass_due();
	counters_print();
	return 0;
}
