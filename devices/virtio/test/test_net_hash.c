/* virtio-net: the driver is told a received frame's hash, in a longer header. */
#include <string.h>
#include <unistd.h>

#include "devices/virtio/test/net_rig.h"
#include "vmm/base/test/unit.h"

#define LONG	 NETBE_HDR_HASH_LEN
#define PAIRS	 4u
#define FEATURES (USUAL | F(GUEST_CSUM) | F(HASH_REPORT))

/* The first of the hash's published vectors, with its ports and without. */
static const uint8_t key[STEERING_KEY_MAX] = {
	0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3,
	0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3,
	0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
};
static const uint8_t flow[12] = { 66,  9,  149,	      187,	  161,	     142,
				  100, 80, 2794 >> 8, 2794 & 255, 1766 >> 8, 1766 & 255 };
#define WITH_PORTS 0x51ccc178u
#define PLAIN	   0x323e8fc2u

/* A TCP segment behind a header of @hdr bytes, of which the backend leaves the end as it finds it. */
static size_t make_tcp(size_t hdr, size_t len, uint32_t seed)
{
	uint8_t *eth = frame + hdr;

	for (size_t i = 0; i < len; i++)
		eth[i] = (uint8_t)(i * 7 + seed);
	memset(frame, 0, NETBE_HDR_LEN);
	memset(frame + NETBE_HDR_LEN, 0xee, hdr - NETBE_HDR_LEN);
	memcpy(eth, mac, 6);
	memcpy(eth + 12, (uint8_t[3]){ 8, 0, 0x45 }, 3);
	memset(eth + 20, 0, 2);
	eth[23] = 6;
	memcpy(eth + 26, flow, sizeof(flow));
	return hdr + len;
}

/* What is to be in @frame when the guest has it. */
static void expect(uint16_t report, uint32_t value)
{
	struct virtio_net_hdr_v1_hash h;

	memcpy(&h, frame, sizeof(h));
	h.hash_value = value;
	h.hash_report = report;
	h.padding = 0;
	memcpy(frame, &h, sizeof(h));
}

/* A frame for pair @i comes with this hash. */
static void comes_with(unsigned int i, uint16_t report, uint32_t value)
{
	const size_t len = make_tcp(LONG, 60 + i, i);

	use_pair(i);
	post_plain(2048);
	vdriver_kick(&d, 2 * i);
	peer_send(len);
	expect(report, value);
	assert_got(collect(), len);
}

static uint8_t command(uint8_t cmd, const uint8_t *data, size_t len)
{
	uint8_t bytes[256] = { VIRTIO_NET_CTRL_MQ, cmd };

	memcpy(bytes + 2, data, len);
	return control(bytes, (uint32_t)len + 2, 2);
}

/* struct virtio_net_hash_config; what is reserved is left alone. */
static size_t hash_config(uint8_t data[64], uint32_t types, uint8_t key_len)
{
	memset(data, 0xaa, 64);
	memcpy(data, &types, 4);
	data[12] = key_len;
	memcpy(data + 13, key, MIN(key_len, 40));
	return 13u + key_len;
}

static uint8_t report_types(uint32_t types)
{
	uint8_t data[64];
	const size_t len = hash_config(data, types, 40);

	return command(VIRTIO_NET_CTRL_MQ_HASH_CONFIG, data, len);
}

static void test_reported(void **state)
{
	start(FEATURES);
	assert_int_equal(pair.header, LONG);
	comes_with(0, VIRTIO_NET_HASH_REPORT_NONE, 0); /* nobody has said what is to be hashed */
	assert_int_equal(report_types(STEERING_TYPES), VIRTIO_NET_OK);
	comes_with(0, VIRTIO_NET_HASH_REPORT_TCPv4, WITH_PORTS);
	assert_int_equal(report_types(VIRTIO_NET_RSS_HASH_TYPE_IPv4), VIRTIO_NET_OK);
	comes_with(0, VIRTIO_NET_HASH_REPORT_IPv4, PLAIN);
	assert_int_equal(report_types(VIRTIO_NET_RSS_HASH_TYPE_UDPv4), VIRTIO_NET_OK);
	comes_with(0, VIRTIO_NET_HASH_REPORT_NONE, 0);
	assert_int_equal(counter("rx", "bytes"), 4 * 60);
	assert_int_equal(counter("ctrl", "rss"), 0);

	/* The next driver begins anew, and one without has the header that it knows. */
	assert_int_equal(report_types(STEERING_TYPES), VIRTIO_NET_OK);
	vdriver_reset(&d);
	d.next_gpa = 0x100000;
	start(FEATURES);
	comes_with(0, VIRTIO_NET_HASH_REPORT_NONE, 0);
	vdriver_reset(&d);
	d.next_gpa = 0x100000;
	start(USUAL);
	assert_int_equal(pair.header, NETBE_HDR_LEN);
	assert_int_equal(report_types(STEERING_TYPES), VIRTIO_NET_ERR);
	check_alive();
}

/* All pairs tell it, and with RSS it is the hash that they were chosen by; the number of pairs does not change it. */
static void test_with_rss(void **state)
{
	uint8_t data[8 + 2 * 4 + 3 + 40] = { 0 };
	const uint32_t types = STEERING_TYPES;

	memcpy(data, &types, 4);
	data[4] = 3;
	for (unsigned int i = 0; i < 4; i++)
		data[8 + 2 * i] = (uint8_t)i;
	data[16] = PAIRS;
	data[18] = 40;
	memcpy(data + 19, key, 40);
	start(FEATURES | F(RSS) | F(MQ));
	assert_int_equal(command(VIRTIO_NET_CTRL_MQ_RSS_CONFIG, data, sizeof(data)), VIRTIO_NET_OK);
	for (unsigned int i = 0; i < PAIRS; i++)
		comes_with(i, VIRTIO_NET_HASH_REPORT_TCPv4, WITH_PORTS);
	assert_int_equal(command(VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, (uint8_t[2]){ 2 }, 2),
			 VIRTIO_NET_OK);
	comes_with(1, VIRTIO_NET_HASH_REPORT_TCPv4, WITH_PORTS);
	/* One that is refused has no part that holds. */
	data[8] = PAIRS;
	data[0] = VIRTIO_NET_RSS_HASH_TYPE_IPv4;
	assert_int_equal(command(VIRTIO_NET_CTRL_MQ_RSS_CONFIG, data, sizeof(data)),
			 VIRTIO_NET_ERR);
	comes_with(0, VIRTIO_NET_HASH_REPORT_TCPv4, WITH_PORTS);
}

static void test_bad_commands(void **state)
{
	uint8_t data[64];
	size_t whole;

	start(FEATURES);
	assert_int_equal(report_types(VIRTIO_NET_RSS_HASH_TYPE_IPv4), VIRTIO_NET_OK);
	whole = hash_config(data, STEERING_TYPES, 40);
	for (size_t len = 0; len < whole; len++)
		assert_int_equal(command(VIRTIO_NET_CTRL_MQ_HASH_CONFIG, data, len),
				 VIRTIO_NET_ERR);
	for (uint8_t key_len = 41; key_len; key_len++) { /* also more than is there */
		hash_config(data, STEERING_TYPES, 40);
		data[12] = key_len;
		assert_int_equal(
			command(VIRTIO_NET_CTRL_MQ_HASH_CONFIG, data, 13u + MIN(key_len, 51)),
			VIRTIO_NET_ERR);
	}
	for (unsigned int bit = 6; bit < 32; bit++)
		assert_int_equal(report_types(STEERING_TYPES | 1u << bit), VIRTIO_NET_ERR);
	comes_with(0, VIRTIO_NET_HASH_REPORT_IPv4, PLAIN); /* as it was */
	whole = hash_config(data, VIRTIO_NET_RSS_HASH_TYPE_TCPv4, 0);
	assert_int_equal(command(VIRTIO_NET_CTRL_MQ_HASH_CONFIG, data, whole), VIRTIO_NET_OK);
	comes_with(0, VIRTIO_NET_HASH_REPORT_TCPv4, 0); /* a key without bits */
	whole = hash_config(data, STEERING_TYPES, 40);
	assert_int_equal(command(VIRTIO_NET_CTRL_MQ_HASH_CONFIG, data, whole + 1), VIRTIO_NET_OK);
}

/* Buffers that end anywhere in the header, also those of a frame that has to wait for more of them. */
static void test_split(void **state)
{
	start(FEATURES);
	assert_int_equal(report_types(STEERING_TYPES), VIRTIO_NET_OK);
	for (uint32_t at = 1; at < LONG + 40; at++) {
		const uint32_t split[] = { at, at % 5 + 1, REST };
		const size_t len = make_tcp(LONG, 100, at);

		d.next_gpa = mark;
		post(split, 2048, at & 1);
		vdriver_kick(&d, RX);
		peer_send(len);
		expect(VIRTIO_NET_HASH_REPORT_TCPv4, WITH_PORTS);
		assert_got(collect(), len);
	}
}

static void post_one(uint32_t len)
{
	post_plain(len);
	vdriver_kick(&d, RX);
}

/* The held frame, which is the @n-th, has come: not where this host was too busy for its time. */
static bool came_in_time(uint64_t n, uint64_t dropped)
{
	while (counter("rx", "packets") + counter("rx", "drop_too_big") < n)
		usleep(1000);
	if (counter("rx", "drop_too_big") == dropped)
		return true;
	vdriver_reset(&d);
	d.next_gpa = 0x100000;
	return false;
}

static void test_held(void **state)
{
	const uint64_t drivers[] = { FEATURES, USUAL | F(GUEST_CSUM), FEATURES, FEATURES };

	for (uint32_t first = NETBE_HDR_LEN; first < 100;) {
		const uint64_t held = counter("rx", "held"),
			       dropped = counter("rx", "drop_too_big");
		const size_t len = make_tcp(LONG, 200, first);

		start(FEATURES);
		assert_int_equal(report_types(STEERING_TYPES), VIRTIO_NET_OK);
		post_one(first);
		peer_send(len);
		wait_counter("rx", "held", held + 1);
		post_one(2048);
		if (!came_in_time(held + 1, dropped))
			continue; /* once more */
		expect(VIRTIO_NET_HASH_REPORT_TCPv4, WITH_PORTS);
		assert_got(collect(), len);
		vdriver_reset(&d);
		d.next_gpa = 0x100000;
		first += 3;
	}
	/* For a driver with another header, and one that has not said yet what is hashed. */
	for (unsigned int i = 0; i + 1 < ARRAY_SIZE(drivers);) {
		const size_t hdr = drivers[i] & F(HASH_REPORT) ? LONG : NETBE_HDR_LEN;
		const size_t next = drivers[i + 1] & F(HASH_REPORT) ? LONG : NETBE_HDR_LEN;
		const uint64_t held = counter("rx", "held"),
			       dropped = counter("rx", "drop_too_big");
		const size_t len = make_tcp(hdr, 200, i);

		start(drivers[i]);
		post_one(40);
		peer_send(len);
		wait_counter("rx", "held", held + 1);
		vdriver_reset(&d);
		d.next_gpa = 0x100000;
		start(drivers[i + 1]);
		post_one(2048);
		if (!came_in_time(held + 1, dropped))
			continue;
		make_tcp(next, 200, i);
		if (next == LONG) {
			/* Of the same driver's kind it is as it was made. */
			expect(VIRTIO_NET_HASH_REPORT_NONE, 0);
		}
		assert_got(collect(), next + 200);
		vdriver_reset(&d);
		d.next_gpa = 0x100000;
		i++;
	}
}

/* The longest frame that waits has room for the header of the driver to come; a longer one does not wait. */
static void test_longest_held(void **state)
{
	const size_t longest = 14 + 4 + 65535;

	start(FEATURES & ~F(HASH_REPORT));
	post_one(40);
	for (size_t more = 1; more <= LONG - NETBE_HDR_LEN; more++) {
		peer_send(make_tcp(NETBE_HDR_LEN, longest + more, 1));
		wait_counter("rx", "drop_too_big", more);
	}
	assert_int_equal(counter("rx", "held"), 0);
	peer_send(make_tcp(NETBE_HDR_LEN, longest, 1));
	wait_counter("rx", "held", 1);
	vdriver_reset(&d);
	d.next_gpa = 0x100000;
	start(FEATURES);
	post_one(LONG + (uint32_t)longest);
	make_tcp(LONG, longest, 1);
	expect(VIRTIO_NET_HASH_REPORT_NONE, 0);
	assert_got(collect(), LONG + longest);
}

static void test_sent(void **state)
{
	start(FEATURES);
	for (size_t len = 0; len < LONG + 14; len++) { /* shorter than header and Ethernet's */
		make_tcp(LONG, 60, 0);
		if (len)
			transmit_plain(len);
	}
	vdriver_kick(&d, TX);
	wait_counter("tx", "drop_malformed", LONG + 13);
	const size_t len = make_tcp(LONG, 300, 1);

	transmit_plain(len);
	vdriver_kick(&d, TX);
	assert_int_equal(peer_recv(), len); /* whose header the backend knows the length of */
	assert_memory_equal(got, frame, len);
	wait_counter("tx", "packets", 1); /* the peer may be faster than the count */
	assert_int_equal(counter("tx", "bytes"), 300);
}

/* From the backend, too: what is shorter than a header and Ethernet's is no frame. */
static void test_runts(void **state)
{
	start(FEATURES);
	post_one(2048);
	for (size_t len = 1; len < LONG + 14; len++) {
		make_tcp(LONG, 60, 0);
		peer_send(len);
	}
	wait_counter("rx", "drop_runt", LONG + 13);
	comes_with(0, VIRTIO_NET_HASH_REPORT_NONE, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_rss, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_reported), TEST(test_with_rss), TEST(test_bad_commands),
		TEST(test_split),    TEST(test_held),	  TEST(test_longest_held),
		TEST(test_sent),     TEST(test_runts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
