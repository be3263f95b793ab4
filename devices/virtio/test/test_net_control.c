/* virtio-net: features, configuration and the control queue. */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "devices/virtio/test/net_rig.h"
#include "vmm/base/event.h"
#include "vmm/base/test/messages.h"
#include "vmm/base/test/unit.h"

static void test_features(void **state)
{
	static const struct {
		uint64_t features;
		uint64_t set;
	} cases[] = {
		{ 0, 0 },
		{ F(CSUM) | F(HOST_TSO4) | F(HOST_TSO6) | F(HOST_ECN), 0 },
		{ F(GUEST_CSUM), F(GUEST_CSUM) },
		{ F(GUEST_TSO4), 0 }, /* rests on GUEST_CSUM */
		{ F(GUEST_CSUM) | F(GUEST_TSO4), F(GUEST_CSUM) | F(GUEST_TSO4) },
		{ F(GUEST_CSUM) | F(GUEST_ECN), F(GUEST_CSUM) },
		{ F(GUEST_CSUM) | F(GUEST_TSO4) | F(GUEST_TSO6) | F(GUEST_ECN), SEGMENTS },
	};
	uint64_t offered;

	offered = virtio_get_device_features(dev, 0) | (uint64_t)virtio_get_device_features(dev, 1)
							       << 32;
	assert_int_equal(offered, USUAL | F(MTU) | F(CSUM) | F(GUEST_CSUM) | F(HOST_TSO4) |
					  F(HOST_TSO6) | F(HOST_ECN) | F(GUEST_TSO4) |
					  F(GUEST_TSO6) | F(GUEST_ECN) | F(CTRL_GUEST_OFFLOADS) |
					  BIT_ULL(VIRTIO_F_VERSION_1));
	assert_int_equal(virtio_read_config(dev, 0, 4), 0x12005452);
	assert_int_equal(virtio_read_config(dev, 4, 4), 0x15634); /* link up */
	assert_int_equal(virtio_read_config(dev, 10, 2), 1400);
	virtio_write_config(dev, 0, 1, 0xff);
	assert_int_equal(virtio_read_config(dev, 0, 1), 0x52);
	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		start(cases[i].features);
		assert_int_equal(pair.features, cases[i].set);
		vdriver_reset(&d);
		assert_int_equal(pair.features, 0);
	}
	netbe_pair_fail(&pair.features_fault, EINVAL, 1);
	vdriver_negotiate(&d, 0);
	vdriver_driver_ok(&d);
	vdriver_wait_needs_reset(&d);
	vdriver_reset(&d);
	start(USUAL);
	check_alive();
}

static void test_control(void **state)
{
	static const struct {
		const char *name;
		uint32_t len;
		uint8_t bytes[16], ack;
		int offload; /* afterwards; -1: as it was */
	} cases[] = {
		{ "promiscuous on", 3, { 0, 0, 1 }, VIRTIO_NET_OK, -1 },
		{ "promiscuous perhaps", 3, { 0, 0, 2 }, VIRTIO_NET_ERR, -1 },
		{ "MAC address", 8, { 1, 1, 2, 0, 0, 0, 0, 1 }, VIRTIO_NET_OK, -1 },
		{ "half a MAC address", 5, { 1, 1, 2, 0, 0 }, VIRTIO_NET_ERR, -1 },
		{ "offloads off", 10, { 5, 0 }, VIRTIO_NET_OK, 0 },
		{ "offload checksums", 10, { 5, 0, 2 }, VIRTIO_NET_OK, 2 },
		{ "offload what was not negotiated", 10, { 5, 0, 2, 4 }, VIRTIO_NET_ERR, -1 },
		{ "offload what does not exist",
		  10,
		  { 5, 0, 2, 0, 0, 0, 0, 0, 0, 0x80 },
		  VIRTIO_NET_ERR,
		  -1 },
		{ "offload, short", 9, { 5, 0, 2 }, VIRTIO_NET_ERR, -1 },
		{ "offload, and a byte more", 11, { 5, 0, 2 }, VIRTIO_NET_OK, 2 },
		{ "no such offload command", 10, { 5, 1, 2 }, VIRTIO_NET_ERR, -1 },
		{ "both checksums and TSO4", 10, { 5, 0, 0x82 }, VIRTIO_NET_OK, 0x82 },
		{ "no such class", 3, { 2, 0, 1 }, VIRTIO_NET_ERR, -1 },
		{ "queue pairs", 4, { 4, 0, 1, 0 }, VIRTIO_NET_ERR, -1 },
		{ "class alone", 1, { 0 }, VIRTIO_NET_ERR, -1 },
		{ "nothing", 0, { 0 }, VIRTIO_NET_ERR, -1 },
	};
	unsigned int refused = 0, done = 0;

	start(USUAL | F(GUEST_CSUM) | F(GUEST_TSO4) | F(CTRL_GUEST_OFFLOADS));
	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++)
		for (uint32_t split = 0; split <= cases[i].len; split++, done++) {
			const uint64_t before = pair.features;

			d.next_gpa = mark;
			if (control(cases[i].bytes, cases[i].len, split) != cases[i].ack)
				fail_msg("%s, split at %u", cases[i].name, split);
			assert_int_equal(pair.features, cases[i].offload < 0
								? before
								: (uint64_t)cases[i].offload);
			refused += cases[i].ack != VIRTIO_NET_OK;
		}
	netbe_pair_fail(&pair.features_fault, EINVAL, 1);
	assert_int_equal(control((uint8_t[10]){ 5, 0, 2 }, 10, 2), VIRTIO_NET_ERR);

	assert_int_equal(counter("ctrl", "commands"), done + 1);
	assert_int_equal(counter("ctrl", "refused"), refused + 1);
}

/* A ringful of commands at once, some without room for an answer. */
static void test_control_batch(void **state)
{
	struct vdriver_buf cmd, ack;

	start(USUAL);
	cmd = vdriver_buf(&d, 3);
	for (unsigned int round = 0; round < 20; round++) {
		for (unsigned int i = 0; i < 40; i++) {
			ack = vdriver_buf(&d, 1);
			vdriver_add(&d, CTRL, (struct vdriver_buf[]){ cmd, ack }, 1, i < 24);
		}
		vdriver_kick(&d, CTRL);
		for (unsigned int i = 0; i < 40; i++)
			assert_int_equal(vdriver_wait(&d, CTRL).len, i < 24);
	}
	assert_int_equal(counter("ctrl", "commands"), 800);
}

/* ---- addresses ---- */

static void set_mode(uint8_t mode, uint8_t on)
{
	assert_int_equal(control((uint8_t[3]){ VIRTIO_NET_CTRL_RX, mode, on }, 3, 2),
			 VIRTIO_NET_OK);
}

/* Whether a frame to @to gets to the guest. */
static bool is_received(const uint8_t to[6])
{
	const uint64_t filtered = counter("rx", "drop_filtered");
	const size_t len = make_frame(60, 1);
	bool received;

	post_plain(200);
	vdriver_kick(&d, RX);
	memcpy(frame + HDR, to, 6);
	peer_send(len);
	while (!(received = counter("rx", "packets") > 0) &&
	       counter("rx", "drop_filtered") == filtered)
		usleep(100);
	return received;
}

static void assert_address(const uint8_t expected[6])
{
	for (unsigned int i = 0; i < 6; i++)
		assert_int_equal(virtio_read_config(dev, i, 1), expected[i]);
}

/* The address that is set is the card's in every respect, until the reset. */
static void test_address(void **state)
{
	static const uint8_t bad[][6] = { { 1, 0, 0x5e, 0, 0, 1 },
					  { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff },
					  { 0x53, 0x54, 0, 0, 0, 1 },
					  { 0 } };
	uint8_t cmd[8] = { VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, 2, 0, 0, 0, 0, 1 };
	uint32_t generation;

	for (unsigned int round = 0; round < 3; round++) {
		start(USUAL);
		assert_address(mac);
		set_mode(VIRTIO_NET_CTRL_RX_PROMISC, 0);
		generation = virtio_get_config_generation(dev);
		assert_int_equal(control(cmd, 8, round), VIRTIO_NET_OK);
		assert_address(cmd + 2);
		assert_int_not_equal(virtio_get_config_generation(dev), generation);
		for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
			uint8_t refused[8] = { cmd[0], cmd[1] };

			memcpy(refused + 2, bad[i], 6);
			assert_int_equal(control(refused, 8, round), VIRTIO_NET_ERR);
			assert_address(cmd + 2);
		}
		vdriver_reset(&d);
		assert_address(mac);
	}
	start(USUAL);
	set_mode(VIRTIO_NET_CTRL_RX_PROMISC, 0);
	assert_int_equal(control(cmd, 8, 2), VIRTIO_NET_OK);
	assert_false(is_received(mac));
	assert_true(is_received(cmd + 2));
}

/* A vCPU reads the address while the card changes it: one or the other, never half of each. */
static void *read_address(void *arg)
{
	atomic_uint *torn = arg;
	uint64_t v;

	do {
		v = virtio_read_config(dev, 0, 4);
		if (v != 0x02020202 && v != 0x04040404 && v != 0x12005452)
			atomic_fetch_add(torn, 1);
	} while (!atomic_load(&pair.closed) && v != 0x12005452);
	return NULL;
}

static void test_address_changes_at_once(void **state)
{
	uint8_t cmd[8] = { VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET };
	atomic_uint torn = 0;
	pthread_t reader;

	start(USUAL);
	memset(cmd + 2, 2, 6);
	assert_int_equal(control(cmd, 8, 2), VIRTIO_NET_OK);
	assert_int_equal(pthread_create(&reader, NULL, read_address, &torn), 0);
	for (unsigned int i = 0; i < 2000; i++) {
		d.next_gpa = mark;
		memset(cmd + 2, i % 2 ? 2 : 4, 6);
		assert_int_equal(control(cmd, 8, 2), VIRTIO_NET_OK);
	}
	vdriver_reset(&d); /* the reader sees the first address and ends */
	pthread_join(reader, NULL);
	assert_int_equal(torn, 0);
}

/* A list that is longer than the card's makes it less choosy: it is never refused (5.1.6.5.2). */
static void test_long_lists(void **state)
{
	static const struct {
		uint32_t uni, multi, missing;
	} cases[] = {
		{ 0, 64, 0 },  { 0, 65, 0 },	  { 0, 681, 0 },  { 0, 682, 0 },  { 5, 5000, 0 },
		{ 700, 1, 0 }, { 9000, 9000, 0 }, { 0, 5000, 1 }, { 5000, 0, 1 }, { 0, 682, 6 },
	};
	static const uint8_t other_multi[6] = { 0x33, 0x33, 9, 9, 9, 9 },
			     other[6] = { 2, 9, 9, 9, 9, 9 };
	static uint8_t cmd[2 + 8 + 18000 * 6];

	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		const uint32_t uni = cases[i].uni, multi = cases[i].multi;
		uint32_t len = 2 + 8 + (uni + multi) * 6 - cases[i].missing;

		start(USUAL);
		set_mode(VIRTIO_NET_CTRL_RX_PROMISC, 0);
		memset(cmd, 0, sizeof(cmd));
		cmd[0] = VIRTIO_NET_CTRL_MAC;
		memcpy(cmd + 2, &uni, 4);
		memset(cmd + 6, 2, uni * 6ul);
		memcpy(cmd + 6 + uni * 6ul, &multi, 4);
		memset(cmd + 10 + uni * 6ul, 0x33, multi * 6ul);
		const uint8_t ack = control(cmd, len, i * 1000);
		assert_int_equal(ack, cases[i].missing ? VIRTIO_NET_ERR : VIRTIO_NET_OK);
		const uint64_t before = counter("rx", "packets");
		const bool all_uni = !cases[i].missing && uni > 64,
			   all_multi = !cases[i].missing && multi > 64;
		for (unsigned int m = 0; m < 2; m++) {
			post_plain(200);
			vdriver_kick(&d, RX);
			make_frame(60, 1);
			memcpy(frame + HDR, m ? other_multi : other, 6);
			peer_send(HDR + 60);
		}
		peer_send(make_frame(60, 1));
		post_plain(200);
		vdriver_kick(&d, RX);
		while (counter("rx", "packets") < before + all_uni + all_multi + 1)
			usleep(100);
		vdriver_reset(&d);
		assert_int_equal(counter("rx", "packets"), before + all_uni + all_multi + 1);
		d.next_gpa = 0x100000;
	}
}

/* ---- a backend that is gone, or refuses, and a driver that resets all the time ---- */

static unsigned int lines(const char *text)
{
	unsigned int n = 0;

	for (; *text; text++)
		n += *text == '\n';
	return n;
}

/* The tap was deleted while no driver was bound. */
static void test_gone_before_the_driver(void **state)
{
	const char *said;

	messages_begin();
	close(pair.peer);
	pair.peer = -1;
	netbe_pair_fail(&pair.features_fault, EBADFD, 1000000);
	for (unsigned int i = 0; i < 500; i++) {
		start(USUAL);
		transmit_plain(make_frame(60, i));
		vdriver_kick(&d, TX);
		vdriver_wait(&d, TX);
		assert_int_equal(counter("tx", "drop_down"), i + 1);
		assert_int_equal(control((uint8_t[3]){ 0, 0, 1 }, 3, 2), VIRTIO_NET_OK);
		vdriver_reset(&d);
		d.next_gpa = 0x100000;
	}
	said = messages_end();
	assert_string_equal(
		said,
		"minivmm: net0: the test's peer is gone; the guest's frames are dropped from now on\n");
	assert_int_equal(counter("device", "needs_resets"), 0);
}

/* A macvtap's interface is gone: it takes frames as ever. */
static void test_gone_without_a_word(void **state)
{
	const size_t status = offsetof(struct virtio_net_config, status);

	start(USUAL);
	messages_begin();
	event_signal(pair.be.link_fd); /* another one's */
	transmit_plain(make_frame(60, 0));
	vdriver_kick(&d, TX);
	vdriver_wait(&d, TX);
	assert_int_equal(virtio_read_config(dev, status, 2), VIRTIO_NET_S_LINK_UP);
	pair.gone = true;
	event_signal(pair.be.link_fd);
	vdriver_wait_config(&d);
	assert_int_equal(virtio_read_config(dev, status, 2), 0);
	transmit_plain(make_frame(60, 1));
	vdriver_kick(&d, TX);
	vdriver_wait(&d, TX);
	assert_int_equal(counter("tx", "drop_down"), 1);
	event_signal(pair.be.link_fd);
	vdriver_reset(&d);
	start(USUAL);
	assert_int_equal(lines(messages_end()), 1);
}

/* However often a driver tries, a line is said the 1st, 2nd, 4th, 8th ... time. */
static void test_few_words(void **state)
{
	messages_begin();
	netbe_pair_fail(&pair.features_fault, EINVAL, 1000000);
	for (unsigned int i = 0; i < 2000; i++) {
		vdriver_negotiate(&d, USUAL);
		vdriver_driver_ok(&d);
		assert_true(virtio_get_status(dev) & VIRTIO_CONFIG_S_NEEDS_RESET);
		vdriver_reset(&d);
	}
	netbe_pair_fail(&pair.features_fault, 0, 0);
	peer_send(make_frame(60, 1));		  /* waits for a ring to go to */
	for (unsigned int i = 0; i < 2000; i++) { /* and broken rings alike */
		start(USUAL);
		vdriver_make_avail(&d, i % 3, 0xffff);
		vdriver_force_kick(&d, i % 3);
		vdriver_wait_needs_reset(&d);
		vdriver_reset(&d);
		d.next_gpa = 0x100000;
	}
	assert_int_equal(lines(messages_end()), 11 + 12);
	start(USUAL);
	post_plain(200);
	vdriver_kick(&d, RX);
	collect();
}

#define TEST(name, setup) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_features, setup),
		TEST(test_control, setup),
		TEST(test_control_batch, setup),
		TEST(test_address, setup),
		TEST(test_address_changes_at_once, setup),
		TEST(test_long_lists, setup),
		TEST(test_gone_before_the_driver, setup),
		TEST(test_gone_without_a_word, setup),
		TEST(test_gone_without_a_word, setup_queues),
		TEST(test_few_words, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
