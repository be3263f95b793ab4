/* Unit tests of IP reassembly: whole datagrams come out as they went in, everything else not at all. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "guest-tests/guests/paired/counters.h"
#include "guest-tests/guests/paired/fragment.h"
#include "guest-tests/guests/paired/test/hosted.h"
#include "vmm/base/test/unit.h"

#define PIECE 1480u

static uint8_t data[65536];
static struct net_frame frame;
static uint16_t id;

void hosted_sent(const uint8_t *sent, uint32_t length)
{
}

/* One fragment of data[], in two pieces of memory. */
static bool give(uint16_t nr, uint32_t offset, uint32_t length, bool more)
{
	struct fragment f = {
		.source = 1, .id = nr, .protocol = 17, .more = more, .offset = offset
	};
	uint32_t half = length / 2;

	frame = (struct net_frame){ .data = { data + offset, data + offset + half },
				    .length = { half, length - half },
				    .count = 2,
				    .total = length };
	return fragment_receive(&f, &frame);
}

static void is_whole(uint32_t length)
{
	assert_int_equal(frame.count, 1);
	assert_int_equal(frame.total, length);
	assert_int_equal(frame.length[0], length);
	assert_memory_equal(frame.data[0], data, length);
}

static int fresh(void **state)
{
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)rand();
	id++;
	hosted_us += 1000;
	return 0;
}

static void in_order(void **state)
{
	for (uint32_t length = PIECE + 1; length <= 65515; length += 6007) {
		id++;
		for (uint32_t at = 0; at < length; at += PIECE)
			assert_int_equal(give(id, at, length - at < PIECE ? length - at : PIECE,
					      length - at > PIECE),
					 length - at <= PIECE);
		is_whole(length);
	}
}

static void backwards_and_twice(void **state)
{
	assert_false(give(id, 2 * PIECE, 100, false));
	assert_false(give(id, 2 * PIECE, 100, false));
	assert_false(give(id, PIECE, PIECE, true));
	assert_false(give(id, PIECE, PIECE, true));
	assert_true(give(id, 0, PIECE, true));
	is_whole(2 * PIECE + 100);
	/* It is over: the same again begins anew. */
	assert_false(give(id, 0, PIECE, true));
}

static void several_at_once(void **state)
{
	for (uint32_t at = 0; at < 3; at++)
		for (uint16_t nr = 100; nr < 108; nr++)
			assert_int_equal(give(nr, at * PIECE, PIECE, at < 2), at == 2);
	is_whole(3 * PIECE);
}

static void the_oldest_gives_way(void **state)
{
	uint64_t lost = counters.rx_fragments_lost;

	for (uint16_t nr = 200; nr < 209; nr++, hosted_us++)
		assert_false(give(nr, 0, PIECE, true));
	assert_true(counters.rx_fragments_lost > lost);
	assert_false(give(200, PIECE, 8, false)); /* and so does the one after it, now */
	for (uint16_t nr = 202; nr < 209; nr++)
		assert_true(give(nr, PIECE, 8, false));
}

static void an_old_one_is_given_up(void **state)
{
	assert_false(give(id, 0, PIECE, true));
	hosted_us += 31000000;
	assert_false(give(id, PIECE, 8, false));
}

/* Each pair of a bad fragment with what else would complete the datagram; it must not. */
static void what_does_not_fit_is_given_up(void **state)
{
	static const struct {
		uint32_t offset, length;
		bool more;
	} bad[][4] = {
		{ { 0, 1480, true }, { 1472, 16, true }, { 1488, 8, false } }, /* overlaps before */
		{ { 1480, 16, false }, { 0, 1488, true } },		       /* and behind */
		{ { 0, 1480, true }, { 0, 2960, true }, { 2960, 8, false } },  /* and around */
		{ { 0, 16, true }, { 24, 8, false }, { 16, 16, false } },      /* a second end */
		{ { 8, 8, false }, { 16, 8, true }, { 0, 8, true } },	       /* beyond the end */
		{ { 8000, 8, true }, { 8, 8, false } }, /* an end before that */
		{ { 8000, 8, true }, { 8, 8, false }, { 0, 8, true } },
		{ { 0, 15, true }, { 16, 8, false } },		     /* no whole units */
		{ { 0, 8, true }, { 8, 0, false } },		     /* nothing */
		{ { 65512, 8, false }, { 0, 65512 / 8 * 8, true } }, /* longer than a datagram */
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		id++;
		for (int k = 0; k < 4 && (bad[i][k].length || bad[i][k].offset); k++)
			if (give(id, bad[i][k].offset, bad[i][k].length, bad[i][k].more))
				fail_msg("case %zu: completed by fragment %d", i, k);
	}
}

/* Whatever comes, what comes out is all there: every byte of it was given. */
static void anything(void **state)
{
	static uint8_t given[8][65536];

	srand(7);
	for (int i = 0; i < 200000; i++) {
		uint16_t nr = (uint16_t)(rand() % 4);
		uint32_t offset = (uint32_t)(rand() % 12) * 8, length = (uint32_t)(rand() % 5) * 8;
		bool more = rand() % 4 != 0;

		if (!more && rand() % 2)
			length += (uint32_t)(rand() % 8);
		hosted_us += 10;
		if (length > 0)
			memset(given[nr] + offset, 1, length);
		if (!give(nr, offset, length, more))
			continue;
		for (uint32_t k = 0; k < frame.total; k++)
			assert_int_equal(given[nr][k], 1);
		is_whole(frame.total);
		memset(given[nr], 0, sizeof(given[nr]));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(in_order, fresh),
		cmocka_unit_test_setup(backwards_and_twice, fresh),
		cmocka_unit_test_setup(several_at_once, fresh),
		cmocka_unit_test_setup(the_oldest_gives_way, fresh),
		cmocka_unit_test_setup(an_old_one_is_given_up, fresh),
		cmocka_unit_test_setup(what_does_not_fit_is_given_up, fresh),
		cmocka_unit_test_setup(anything, fresh),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
