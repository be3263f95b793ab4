/*
 * Unit tests of what reads and writes text and numbers: cmdline, console, checksum, netperf's
 * seconds.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "guest-tests/guests/paired/checksum.h"
#include "guest-tests/guests/paired/cmdline.h"
#include "guest-tests/guests/paired/console.h"
#include "guest-tests/guests/paired/netperf.h"
#include "guest-tests/guests/paired/test/hosted.h"
#include "vmm/base/test/unit.h"

void hosted_sent(const uint8_t *frame, uint32_t length)
{
}

static void words(void **state)
{
	const char *line = "ip=dhcp  x\tip=10.0.0.2/24\nmode=irq ipx=1 ip=";
	size_t length;

	assert_memory_equal(cmdline_find(line, "ip=", 0, &length), "dhcp", 4);
	assert_int_equal(length, 4);
	assert_memory_equal(cmdline_find(line, "ip=", 1, &length), "10.0.0.2/24", 11);
	assert_int_equal(length, 11);
	assert_non_null(cmdline_find(line, "ip=", 2, &length));
	assert_int_equal(length, 0);
	assert_null(cmdline_find(line, "ip=", 3, &length));
	assert_null(cmdline_find(line, "p=", 0, &length)); /* not in the middle of a word */
	assert_null(cmdline_find("", "ip=", 0, &length));
	assert_null(cmdline_find("i", "ip=", 0, &length));
	assert_true(cmdline_is(line, "mode=", "irq"));
	assert_false(cmdline_is(line, "mode=", "ir"));
	assert_false(cmdline_is(line, "mode=", "irqs"));
	assert_false(cmdline_is(line, "case=", "irq"));
}

static void numbers(void **state)
{
	static const struct {
		const char *text;
		bool good;
		uint64_t value;
		size_t taken;
	} rows[] = {
		{ "0", true, 0, 1 },
		{ "4K@", true, 4096, 2 },
		{ "512", true, 512, 3 },
		{ "0xfeb00000:5", true, 0xfeb00000, 10 },
		{ "0XaB", true, 0xab, 4 },
		{ "3G", true, 3ull << 30, 2 },
		{ "18446744073709551615", true, UINT64_MAX, 20 },
		{ "18446744073709551616", false, 0, 0 },
		{ "0x10000000000000000", false, 0, 0 },
		{ "99999999999999999999999", false, 0, 0 },
		{ "17179869184G", false, 0, 0 },
		{ "", false, 0, 0 },
		{ "x", false, 0, 0 },
		{ "K", false, 0, 0 },
		{ "-1", false, 0, 0 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *at = rows[i].text;
		uint64_t value;
		bool good = cmdline_number(&at, at + strlen(at), &value);

		assert_int_equal(good, rows[i].good);
		if (good) {
			assert_true(value == rows[i].value);
			assert_int_equal(at - rows[i].text, rows[i].taken);
		} else {
			assert_ptr_equal(at, rows[i].text);
		}
	}
}

static void addresses(void **state)
{
	static const char *const bad[] = { "",		 "10",	      "10.0.0",	    "10.0.0.",
					   "10.0.0.256", "10.0.0.2x", "10.0.0.2.3", "a.b.c.d",
					   "10..0.2",	 "-1.0.0.1",  "dhcp",	    "10,0,0,2" };
	uint32_t address;

	assert_true(cmdline_address("10.0.0.2", 8, &address));
	assert_int_equal(address, 0x0a000002);
	assert_true(cmdline_address("192.168.255.1/24", 16, &address));
	assert_int_equal(address, 0xc0a8ff01);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(cmdline_address(bad[i], strlen(bad[i]), &address));
	assert_false(cmdline_address("10.0.0.2", 6, &address)); /* the length ends it */
}

static void virtio_mmio_words(void **state)
{
	static const char *const bad[] = { "",
					   "4K",
					   "4K@",
					   "4K@0xfeb00000",
					   "4K@0xfeb00000:",
					   "@0xfeb00000:5",
					   "4K:0xfeb00000@5",
					   "4K@0xfeb00000:256",
					   "4K@0xfeb00000:5x" };
	uint64_t size, base;
	uint32_t irq;

	assert_true(cmdline_virtio_mmio("4K@0xfeb00000:5", 15, &size, &base, &irq));
	assert_true(size == 4096 && base == 0xfeb00000 && irq == 5);
	assert_true(cmdline_virtio_mmio("512@0xfeb02e00:12:3", 19, &size, &base, &irq));
	assert_true(size == 512 && base == 0xfeb02e00 && irq == 12);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(cmdline_virtio_mmio(bad[i], strlen(bad[i]), &size, &base, &irq));
}

static void formats(void **state)
{
	char text[64];

	assert_int_equal(console_format(text, sizeof(text), "a %s %u %x|", "bc", 0u, 0xffffffffu),
			 16);
	assert_memory_equal(text, "a bc 0 ffffffff|", 16);
	assert_int_equal(console_format(text, sizeof(text), "%lu", UINT64_MAX), 20);
	assert_memory_equal(text, "18446744073709551615", 20);
	text[4] = '#';
	assert_int_equal(console_format(text, 4, "%s", "longer than that"), 4);
	assert_int_equal(text[4], '#');
	assert_int_equal(console_format(text, 0, "x"), 0);
}

/* The sum, byte by byte, as RFC 1071 describes it. */
static uint16_t slow_sum(const uint8_t *data, uint32_t length)
{
	uint32_t sum = 0;

	for (uint32_t i = 0; i < length; i++)
		sum += i % 2 == 0 ? data[i] : (uint32_t)data[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

static void checksums(void **state)
{
	uint8_t data[300];

	srand(1);
	for (int round = 0; round < 2000; round++) {
		uint32_t length = (uint32_t)rand() % sizeof(data), cut = length / 4 * 2;

		for (uint32_t i = 0; i < length; i++)
			data[i] = round % 3 == 0 ? 0xff : (uint8_t)rand();
		uint16_t whole = checksum_fold(checksum_add(0, data, length));
		uint16_t pieces = checksum_fold(
			checksum_add(checksum_add(0, data, cut), data + cut, length - cut));

		/* 0 and 0xffff are the same number. */
		assert_int_equal(whole % 0xffff, slow_sum(data, length) % 0xffff);
		assert_int_equal(pieces % 0xffff, whole % 0xffff);
	}
}

static void seconds(void **state)
{
	static const uint64_t times[] = {
		0, 1, 10, 999999, 1000000, 1500000, 3000000, 123456789, 60000000000, 86400000000000
	};

	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
		uint32_t bits = netperf_seconds(times[i]);
		float value;

		memcpy(&value, &bits, sizeof(value));
		double exact = (double)times[i] / 1e6;

		assert_true(value <= exact * 1.0000001 && value >= exact * 0.9999998);
	}
}

static void counts_as_doubles(void **state)
{
	static const uint64_t counts[] = { 0,	      1, 2, 3, 65507, 4294967296, (1ull << 53) - 1,
					   1ull << 60 };

	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		uint64_t bits = netperf_double(counts[i]);
		double value;

		memcpy(&value, &bits, sizeof(value));
		assert_true(value == (double)counts[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words),     cmocka_unit_test(numbers),
		cmocka_unit_test(addresses), cmocka_unit_test(virtio_mmio_words),
		cmocka_unit_test(formats),   cmocka_unit_test(checksums),
		cmocka_unit_test(seconds),   cmocka_unit_test(counts_as_doubles),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
