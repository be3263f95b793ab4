/* The receive filter: every mode and command, good and bad. */
#include <errno.h>
#include <linux/virtio_net.h>
#include <string.h>

#include "devices/net/filter.h"
#include "vmm/base/test/unit.h"

#define RX	 VIRTIO_NET_CTRL_RX
#define MAC	 VIRTIO_NET_CTRL_MAC
#define F_RX	 BIT_ULL(VIRTIO_NET_F_CTRL_RX)
#define F_EXTRA	 BIT_ULL(VIRTIO_NET_F_CTRL_RX_EXTRA)
#define F_ADDR	 BIT_ULL(VIRTIO_NET_F_CTRL_MAC_ADDR)
#define FEATURES (F_RX | F_EXTRA | F_ADDR)

static const uint8_t mine[6] = { 0x52, 1, 2, 3, 4, 5 }, other[6] = { 0x52, 1, 2, 3, 4, 6 },
		     third[6] = { 2, 0, 0, 0, 0, 1 }, multi[6] = { 0x33, 0x33, 0, 0, 0, 1 },
		     multi2[6] = { 1, 0, 0x5e, 0, 0, 1 },
		     broadcast[6] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };

static struct net_filter f;

/* A command, its data in pieces of no particular size. */
static int send(uint8_t class, uint8_t command, const void *data, size_t len)
{
	struct iovec iov[3] = { { (void *)data, len / 2 } };

	iov[2] = (struct iovec){ (uint8_t *)data + len / 2, len - len / 2 };
	return net_filter_command(&f, class, command, iov, 3);
}

/* What passes, of: mine, other, third, multi, multi2, broadcast. */
static unsigned int passing(void)
{
	const uint8_t *const mac[] = { mine, other, third, multi, multi2, broadcast };
	unsigned int bits = 0;

	for (unsigned int i = 0; i < ARRAY_SIZE(mac); i++) {
		uint8_t frame[14] = { 0 };

		memcpy(frame, mac[i], 6);
		bits |= net_filter_accepts(&f, frame) ? BIT(i) : 0;
	}
	return bits;
}

static int mode(uint8_t command, uint8_t on)
{
	return send(RX, command, &on, 1);
}

/* A MAC table command's data: a count, then addresses that begin as @like. */
static size_t put_table(uint8_t *at, uint32_t claimed, uint32_t nr, const uint8_t *like)
{
	memcpy(at, &claimed, 4);
	for (uint32_t i = 0; i < nr; i++) {
		memcpy(at + 4 + i * 6, like, 6);
		at[4 + i * 6 + 4] = (uint8_t)(i ? i : like[4]); /* the first is @like itself */
	}
	return 4 + nr * 6;
}

static void test_modes(void **state)
{
	static const struct {
		uint8_t command, on;
		unsigned int passing;
	} steps[] = {
		{ VIRTIO_NET_CTRL_RX_PROMISC, 0, 0x21 }, { VIRTIO_NET_CTRL_RX_ALLMULTI, 1, 0x39 },
		{ VIRTIO_NET_CTRL_RX_NOMULTI, 1, 0x21 }, { VIRTIO_NET_CTRL_RX_ALLMULTI, 0, 0x21 },
		{ VIRTIO_NET_CTRL_RX_NOBCAST, 1, 0x01 }, { VIRTIO_NET_CTRL_RX_ALLUNI, 1, 0x07 },
		{ VIRTIO_NET_CTRL_RX_NOUNI, 1, 0x00 },	 { VIRTIO_NET_CTRL_RX_PROMISC, 1, 0x3f },
		{ VIRTIO_NET_CTRL_RX_PROMISC, 0, 0x00 }, { VIRTIO_NET_CTRL_RX_NOUNI, 0, 0x07 },
		{ VIRTIO_NET_CTRL_RX_NOBCAST, 0, 0x27 }, { VIRTIO_NET_CTRL_RX_ALLUNI, 0, 0x21 },
	};

	net_filter_init(&f, mine, 0, FEATURES);
	assert_int_equal(passing(), 0x3f);
	for (unsigned int i = 0; i < ARRAY_SIZE(steps); i++) {
		assert_int_equal(mode(steps[i].command, steps[i].on), 0);
		if (passing() != steps[i].passing)
			fail_msg("step %u: %#x", i, passing());
	}
}

static void test_tables(void **state)
{
	uint8_t data[4096];
	size_t len;

	net_filter_init(&f, mine, 0, FEATURES);
	assert_int_equal(mode(VIRTIO_NET_CTRL_RX_PROMISC, 0), 0);
	for (uint32_t n = 0; n <= NET_FILTER_MACS + 1; n++) {
		const bool all = n > NET_FILTER_MACS;

		len = put_table(data, n, n, third);
		len += put_table(data + len, n, n, multi);
		assert_int_equal(send(MAC, 0, data, len), 0);
		assert_int_equal(passing(), all ? 0x3f : n ? 0x2d : 0x21);
	}
	assert_int_equal(send(MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, other, 6), 0);
	len = put_table(data, 0, 0, third);
	len += put_table(data + len, 1, 1, multi2);
	assert_int_equal(send(MAC, 0, data, len), 0);
	assert_int_equal(passing(), 0x32);
}

static void test_bad_commands(void **state)
{
	struct {
		const char *name;
		uint64_t features;
		uint8_t class, command;
		uint8_t data[64];
		size_t len;
	} cases[] = {
		{ "no data", FEATURES, RX, 0, { 0 }, 0 },
		{ "neither on nor off", FEATURES, RX, 0, { 2 }, 1 },
		{ "neither on nor off", FEATURES, RX, 0, { 0xff }, 1 },
		{ "no such mode", FEATURES, RX, 6, { 0 }, 1 },
		{ "no such mode", FEATURES, RX, 255, { 0 }, 1 },
		{ "CTRL_RX not negotiated", F_EXTRA | F_ADDR, RX, 0, { 0 }, 1 },
		{ "CTRL_RX not negotiated", F_EXTRA | F_ADDR, RX, 1, { 0 }, 1 },
		{ "CTRL_RX_EXTRA not negotiated", F_RX, RX, 2, { 0 }, 1 },
		{ "CTRL_RX_EXTRA not negotiated", F_RX, RX, 5, { 0 }, 1 },
		{ "table without CTRL_RX", F_EXTRA | F_ADDR, MAC, 0, { 0 }, 8 },
		{ "no table", FEATURES, MAC, 0, { 0 }, 0 },
		{ "half a count", FEATURES, MAC, 0, { 0 }, 3 },
		{ "only one table", FEATURES, MAC, 0, { 0 }, 4 },
		{ "only one table", FEATURES, MAC, 0, { 1, 0, 0, 0, 2, 2, 2, 2, 2, 2 }, 10 },
		{ "half a second count", FEATURES, MAC, 0, { 0 }, 7 },
		{ "count too large", FEATURES, MAC, 0, { 10 }, 63 },
		{ "count far too large", FEATURES, MAC, 0, { 0xff, 0xff, 0xff, 0xff }, 64 },
		{ "count that wraps", FEATURES, MAC, 0, { 0xab, 0xaa, 0xaa, 0x2a }, 8 },
		{ "second count too large", FEATURES, MAC, 0, { 0, 0, 0, 0, 1 }, 13 },
		{ "address too short", FEATURES, MAC, 1, { 0 }, 5 },
		{ "address without CTRL_MAC_ADDR", F_RX | F_EXTRA, MAC, 1, { 0 }, 6 },
		{ "no such MAC command", FEATURES, MAC, 2, { 0 }, 6 },
		{ "no address", FEATURES, MAC, 1, { 0 }, 6 },
		{ "a group's address", FEATURES, MAC, 1, { 1, 0, 0x5e, 0, 0, 1 }, 6 },
		{ "everybody's address", FEATURES, MAC, 1, { 255, 255, 255, 255, 255, 255 }, 6 },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		struct net_filter before;

		net_filter_init(&f, mine, 0, cases[i].features);
		f.promisc = false;
		before = f;
		if (send(cases[i].class, cases[i].command, cases[i].data, cases[i].len) != -EINVAL)
			fail_msg("%s was accepted", cases[i].name);
		if (memcmp(&f, &before, sizeof(f)))
			fail_msg("%s has changed the filter", cases[i].name);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_modes),
		cmocka_unit_test(test_tables),
		cmocka_unit_test(test_bad_commands),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
