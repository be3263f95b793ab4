/* Captures: what is in the file, at the ring's edge too; readers that do not read, and files that take no more. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "devices/net/pcap.h"
#include "vmm/base/test/account.h"
#include "vmm/base/test/messages.h"
#include "vmm/base/test/unit.h"

static char path[] = "/tmp/minivmm-pcap-XXXXXX";
static uint8_t frame[65550];
static bool ordered = true;
static struct counters counters;
static const struct device_env env = { .name = "net0", .counters = &counters };

static int setup(void **state)
{
	strcpy(path + sizeof(path) - 7, "XXXXXX");
	close(mkstemp(path));
	for (size_t i = 0; i < sizeof(frame); i++)
		frame[i] = (uint8_t)(i * 7 + (i >> 8));
	return 0;
}

static int teardown(void **state)
{
	unlink(path);
	assert_null(counters.first);
	return 0;
}

static struct pcap *begin(const char *to, unsigned int pairs, unsigned int snap)
{
	struct output *o;
	struct pcap *p;

	assert_int_equal(pcap_create(&p, &env, to, pairs, snap), 0);
	o = pcap_output(p);
	assert_string_equal(o->path, to);
	assert_int_equal(sink_open(&o->sink, to), 0);
	sink_begin(&o->sink);
	o->begun = true;
	o->patience_ms = 1000;
	return p;
}

static uint64_t counted(const char *name)
{
	return account_of(&counters, "net0.pcap", name);
}

static void add(struct pcap *p, unsigned int pair, enum pcap_way way, size_t len)
{
	/* In two pieces, behind a header. */
	const struct iovec iov[] = { { frame, 5 }, { frame + 5, len + 7 } };

	pcap_frame(p, pair, way, iov, 2, 12, len);
}

/* The file is well-formed: a section, an interface, whole blocks; each as @check wants it. Returns the packets. */
static unsigned int read_file(void (*check)(unsigned int n, const uint32_t *block))
{
	static uint32_t at[8192];
	const int fd = open(path, O_RDONLY);
	unsigned int n = 0;
	uint64_t before = 0;

	for (unsigned int block = 0;; block++) {
		const ssize_t got = read(fd, at, 8);

		if (!got)
			break;
		assert_int_equal(got, 8);
		assert_in_range(at[1], 12, sizeof(at));
		assert_int_equal(at[1] % 4, 0);
		assert_int_equal(read(fd, at + 2, at[1] - 8), at[1] - 8);
		assert_int_equal(at[at[1] / 4 - 1], at[1]);
		if (block < 2) {
			assert_int_equal(at[0], block ? 1 : 0x0a0d0d0a);
			assert_int_equal(at[2], block ? 1 : 0x1a2b3c4d);
			if (block) {
				assert_memory_equal(at + 4, "\2\0\4\0net0\11\0\1\0\11", 13);
				assert_int_equal(at[1], 40);
			}
			continue;
		}
		assert_int_equal(at[0], 6);
		const uint64_t ns = (uint64_t)at[3] << 32 | at[4];
		assert_true(ns > 1600000000ull * 1000000000 && (ns >= before || !ordered));
		before = ns;
		if (check)
			check(n, at);
		n++;
	}
	close(fd);
	return n;
}

static void check_small(unsigned int n, const uint32_t *b)
{
	const size_t len = 14 + n, padded = ALIGN_UP(len, 4);
	const uint32_t options[] = { 4 << 16 | 2, n % 2 ? 2 : 1, 4 << 16 | 6, 0, 0 };

	assert_int_equal(b[5], len);
	assert_int_equal(b[6], len);
	assert_memory_equal(b + 7, frame + 12, len);
	for (size_t i = len; i < padded; i++)
		assert_int_equal(((const uint8_t *)(b + 7))[i], 0);
	assert_memory_equal(b + 7 + padded / 4, options, sizeof(options));
}

static void test_blocks(void **state)
{
	struct pcap *p = begin(path, 1, PCAP_WHOLE);

	for (unsigned int i = 0; i < 300; i++)
		add(p, 0, i % 2 ? PCAP_FROM_GUEST : PCAP_TO_GUEST, 14 + i);
	pcap_finish(p);
	pcap_finish(p);
	assert_int_equal(counted("frames"), 300);
	assert_int_equal(counted("lost"), 0);
	assert_int_equal(read_file(check_small), 300);
	pcap_destroy(p);
}

static void test_no_frames(void **state)
{
	struct pcap *p = begin(path, 2, PCAP_WHOLE);

	pcap_finish(p);
	assert_int_equal(read_file(NULL), 0);
	pcap_destroy(p);
	/* A machine that never began: nothing is opened, and nothing is said. */
	messages_begin();
	const int ret = pcap_create(&p, &env, path, 1, PCAP_WHOLE);
	pcap_destroy(p);
	assert_string_equal(messages_end(), "");
	assert_int_equal(ret, 0);
}

static void check_snap(unsigned int n, const uint32_t *b)
{
	(void)n;
	assert_int_equal(b[5], MIN(b[6], 97u));
	assert_memory_equal(b + 7, frame + 12, b[5]);
}

static void test_snap(void **state)
{
	struct pcap *p = begin(path, 1, 97);

	for (unsigned int i = 0; i < 200; i++)
		add(p, 0, PCAP_TO_GUEST, 14 + i);
	pcap_finish(p);
	assert_int_equal(read_file(check_snap), 200);
	pcap_destroy(p);
}

/* Many times around the ring, with lengths that meet its edge in every way; nothing is torn, and all is counted. */
static void check_content(unsigned int n, const uint32_t *b)
{
	(void)n;
	assert_memory_equal(b + 7, frame + 12, b[5]);
}

static void test_round_the_ring(void **state)
{
	struct pcap *p = begin(path, 1, PCAP_WHOLE);
	uint64_t bytes = 0;
	unsigned int n = 0;

	for (; bytes < 60 * MIB; n++) {
		const size_t len = 14 + n * 4099u % 30000;

		add(p, 0, PCAP_TO_GUEST, len);
		bytes += len;
		if (n % 100 == 0)
			usleep(1000);
	}
	pcap_finish(p);
	assert_int_equal(counted("frames") + counted("lost"), n);
	assert_true(counted("frames") > 200); /* a ring's worth */
	assert_int_equal(read_file(check_content), counted("frames"));
	pcap_destroy(p);
}

/* It takes no more: said once, counted, and the ring's owner goes on. */
static void test_full_device(void **state)
{
	struct pcap *p = begin("/dev/full", 1, PCAP_WHOLE);

	messages_begin();
	for (unsigned int i = 0; i < 100; i++)
		add(p, 0, PCAP_TO_GUEST, 1000);
	pcap_finish(p);
	const char *said = messages_end();
	assert_non_null(strstr(said, "cannot write capture '/dev/full': No space left on device"));
	assert_non_null(strstr(said, "100 frames are missing"));
	assert_int_equal(counted("frames"), 0);
	assert_int_equal(counted("lost"), 100);
	assert_int_equal(counted("bytes"), 0);
	pcap_destroy(p);
}

/* Nobody reads: the packet's thread never waits, and the end comes in bounded time. */
static void test_fifo_without_reader(void **state)
{
	struct pcap *p;

	unlink(path);
	assert_int_equal(mkfifo(path, 0600), 0);
	for (unsigned int patience_ms = 0; patience_ms <= 200; patience_ms += 200) {
		p = begin(path, 1, PCAP_WHOLE);
		messages_begin();
		for (unsigned int i = 0; i < 20000; i++)
			add(p, 0, PCAP_TO_GUEST, 1500);
		const uint64_t begun = now_ns();
		pcap_output(p)->patience_ms = patience_ms;
		pcap_finish(p);
		const uint64_t ms = (now_ns() - begun) / 1000000;
		const char *said = messages_end();
		assert_in_range(ms, patience_ms, 60000);
		assert_non_null(strstr(said, "its reader does not keep up"));
		assert_non_null(strstr(said, "bytes were not read"));
		assert_true(counted("lost") > 10000);
		assert_int_equal(counted("frames") + counted("lost"), 20000);
		assert_int_equal(counted("bytes"), 1500 * counted("frames"));
		pcap_destroy(p);
	}
}

/* A file that reaches its limit ends with a whole block. */
static void test_limit(void **state)
{
	struct pcap *p = begin(path, 1, PCAP_WHOLE);

	pcap_output(p)->sink.room = 10001;
	messages_begin();
	for (unsigned int i = 0; i < 100; i++)
		add(p, 0, PCAP_TO_GUEST, 1000);
	pcap_finish(p);
	messages_end();
	assert_int_equal(counted("frames"), (10001 - 68) / 1052);
	assert_int_equal(read_file(check_content), counted("frames"));
	pcap_destroy(p);
}

static void check_queues(unsigned int n, const uint32_t *b)
{
	static unsigned int seen[3];
	const uint32_t queue = b[b[1] / 4 - 3];

	(void)n;
	assert_in_range(queue, 0, 2);
	assert_int_equal(b[5], 100 + queue * 1000 + seen[queue]++);
}

static void test_queues(void **state)
{
	struct pcap *p = begin(path, 3, PCAP_WHOLE);

	for (unsigned int i = 0; i < 50; i++)
		for (unsigned int q = 0; q < 3; q++)
			add(p, q, PCAP_TO_GUEST, 100 + q * 1000 + i);
	pcap_finish(p);
	ordered = false; /* within a queue only */
	assert_int_equal(read_file(check_queues), 150);
	ordered = true;
	assert_int_equal(counted("frames"), 150);
	pcap_destroy(p);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_blocks),	   TEST(test_no_frames),   TEST(test_snap),
		TEST(test_round_the_ring), TEST(test_full_device), TEST(test_fifo_without_reader),
		TEST(test_limit),	   TEST(test_queues),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
