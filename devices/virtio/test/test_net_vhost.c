/* vhost: what keeps the host's kernel from a card's rings, and guests that are bad to it. */
#include <errno.h>
#include <limits.h>
#include <linux/vhost.h>
#include <string.h>
#include <unistd.h>

#include "devices/virtio/test/vhost_rig.h"
#include "vmm/base/test/messages.h"
#include "vmm/base/test/unit.h"

/* ---- it cannot be had ---- */

/* With vhost=on there is no card, and one line that says @words; with auto a card without, and the same words. */
static void assert_obstacle(const char *words, const char *row, void (*spoil)(void),
			    unsigned int pairs)
{
	for (unsigned int mode = VHOST_ON; mode <= VHOST_AUTO; mode += VHOST_AUTO - VHOST_ON) {
		const char *said;

		vhost_begin(pairs);
		options.vhost.mode = mode;
		messages_begin();
		if (spoil)
			spoil();
		const int ret = vhost_try();
		said = messages_end();
		if (!strstr(said, words))
			fail_msg("'%s' is not in: %s", words, said);
		assert_ptr_equal(strchr(said, '\n'), said + strlen(said) - 1);
		if (mode == VHOST_ON) {
			assert_true(ret < 0);
			assert_null(d.device);
		} else {
			assert_int_equal(ret, 0);
			dev = d.dev;
			assert_int_equal(counter("vhost", row), 1);
			assert_true(dev->device_features & F(CTRL_RX));
			start(FEATURES & dev->device_features);
			check_alive();
		}
		vhost_end();
	}
}

static unsigned long failing;

static void fail_that(void)
{
	kernel[nr_pairs - 1].fails = failing;
	kernel[nr_pairs - 1].err = ENOMEM;
	options.poll_us = 50;
}

static void each_request_fails_at_the_start(void **state)
{
	static const struct {
		unsigned long request;
		const char *words;
	} row[] = {
		{ VHOST_GET_FEATURES, "is not an open /dev/vhost-net: Cannot allocate memory" },
		{ VHOST_SET_OWNER, "VHOST_SET_OWNER: Cannot allocate memory" },
		{ VHOST_SET_MEM_TABLE, "VHOST_SET_MEM_TABLE: Cannot allocate memory" },
		{ VHOST_SET_VRING_ERR, "VHOST_SET_VRING_ERR: Cannot allocate memory" },
		{ VHOST_SET_VRING_BUSYLOOP_TIMEOUT, "for poll=: Cannot allocate memory" },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(row); i++) {
		failing = row[i].request;
		assert_obstacle(row[i].words, "off_refused", fail_that, 1);
	}
	/* Of the second pair alone: neither has it. */
	failing = VHOST_SET_OWNER;
	assert_obstacle("VHOST_SET_OWNER", "off_refused", fail_that, 2);
}

static void no_version_1(void)
{
	kernel[0].offers &= ~BIT_ULL(VIRTIO_F_VERSION_1);
}

static void used_by_another(void)
{
	kernel[0].owned = true;
}

static void no_vhost(void)
{
	fake_vhost_forget();
}

static void a_closed_one(void)
{
	close(kernel[0].fd);
	options.vhost.fds.fd[0] = INT_MAX;
}

static void by_mmio(void)
{
	options.virtio.transport = TRANSPORT_MMIO;
}

static void by_mmio_of_the_machine(void)
{
	machine_transport = TRANSPORT_MMIO;
}

static void no_tap_at_all(void)
{
	no_tap = true;
}

static void packed_rings(void)
{
	options.virtio.packed = true;
}

static void a_capture(void)
{
	options.pcap = "/nonexistent/capture";
	if (options.vhost.mode == VHOST_AUTO)
		options.pcap = "/dev/null";
}

static void no_checksums(void)
{
	options.switches.csum = NET_SWITCH_OFF;
}

static void no_mergeable_buffers(void)
{
	options.switches.mrg = NET_SWITCH_OFF;
}

static void no_mergeable_kernel(void)
{
	kernel[0].offers &= ~F(MRG_RXBUF);
}

static void too_few(void)
{
	options.vhost.fds.nr = 1;
	close(kernel[1].fd);
}

static void it_cannot_be_had(void **state)
{
	assert_obstacle("VIRTIO_F_VERSION_1", "off_refused", no_version_1, 1);
	assert_obstacle("another program uses this descriptor", "off_refused", used_by_another, 1);
	assert_obstacle("is not an open /dev/vhost-net: Inappropriate ioctl", "off_refused",
			no_vhost, 1);
	assert_obstacle("is not an open /dev/vhost-net: Bad file descriptor", "off_refused",
			a_closed_one, 1);
	assert_obstacle("transport=pci", "off_mmio", by_mmio, 1);
	assert_obstacle("transport=pci", "off_mmio", by_mmio_of_the_machine, 1);
	assert_obstacle("the test's peer is no tap", "off_backend", no_tap_at_all, 1);
	assert_obstacle("mergeable buffers and checksums", "off_features", no_checksums, 1);
	assert_obstacle("mergeable buffers and checksums", "off_features", no_mergeable_buffers, 1);
	assert_obstacle("VIRTIO_NET_F_MRG_RXBUF", "off_refused", no_mergeable_kernel, 1);
	assert_obstacle("leave out packed", "off_packed", packed_rings, 1);
	assert_obstacle("pcap= would see none", "off_pcap", a_capture, 1);
	assert_obstacle("1 of the 2 descriptors", "off_fds", too_few, 2);
}

static void features_of_both(void **state)
{
	vhost_begin(1);
	kernel[0].offers = BIT_ULL(VIRTIO_F_VERSION_1) | INDIRECT | F(MRG_RXBUF);
	vhost_create();
	assert_false(dev->device_features &
		     (EVENT_IDX | F(CTRL_RX) | F(CTRL_RX_EXTRA) | BIT_ULL(VIRTIO_F_RING_PACKED)));
	assert_true(dev->device_features & F(CTRL_GUEST_OFFLOADS));
	start(FEATURES);
	wait_given(0, 1);
	assert_int_equal(kernel[0].features, BIT_ULL(VIRTIO_F_VERSION_1) | INDIRECT | F(MRG_RXBUF));
	frame_each_way(0, 1);
	vhost_end();
}

/* ---- the kernel does not take a driver's rings, or does not let go of them ---- */

static void each_request_fails_for_a_driver(void **state)
{
	static const unsigned long request[] = { VHOST_SET_FEATURES,   VHOST_SET_VRING_NUM,
						 VHOST_SET_VRING_BASE, VHOST_SET_VRING_ADDR,
						 VHOST_SET_VRING_CALL, VHOST_SET_VRING_KICK,
						 VHOST_NET_SET_BACKEND };

	for (unsigned int i = 0; i < ARRAY_SIZE(request); i++)
		/* Of the first ring, then of the second, when the kernel has the first. */
		for (unsigned int spared = 0; spared < 2; spared++) {
			vhost_begin(1);
			vhost_create();
			if (!i && spared)
				kernel[0].spared = 1; /* the next driver's, then */
			kernel[0].fails = request[i];
			kernel[0].err = EFAULT;
			kernel[0].spared = spared;
			messages_begin();
			start(FEATURES);
			if (!i && spared) {
				wait_given(0, 1);
				for (uint32_t f = 0; f < 100; f++) /* the rings' size is 64 */
					frame_each_way(0, f);
				vdriver_reset(&d);
				start(FEATURES);
			}
			wait_counter("vhost", "refusals", 1);
			check_alive();
			const char *said = messages_end();
			assert_non_null(strstr(said, "Bad address"));
			assert_ptr_equal(strchr(said, '\n'), said + strlen(said) - 1);
			assert_int_equal(counter("vhost", "active"), 0);
			assert_int_equal(kernel[0].ring[VHOST_RX].tap, -1);
			assert_int_equal(kernel[0].ring[VHOST_TX].tap, -1);
			/* The next one has better luck. */
			kernel[0].fails = 0;
			vdriver_reset(&d);
			start(FEATURES);
			wait_given(0, 1);
			frame_each_way(0, 2);
			vhost_end();
		}
}

static void it_does_not_let_go(void **state)
{
	vhost_begin(1);
	vhost_start_card(FEATURES);
	frame_each_way(0, 1);
	kernel[0].fails = VHOST_NET_SET_BACKEND;
	kernel[0].err = EFAULT;
	kernel[0].unbinding = true;
	vdriver_reset(&d);
	assert_true(fake_vhost_is_closed(&kernel[0])); /* which is what ends it */
	start(FEATURES);
	check_alive();
	assert_int_equal(counter("vhost", "given"), 1);
	vhost_end();
}

/* Then the index of what is used says where to go on. */
static void it_does_not_say_where_it_is(void **state)
{
	vhost_begin(1);
	vhost_start_card(FEATURES);
	frame_each_way(0, 1);
	kernel[0].fails = VHOST_GET_VRING_BASE;
	kernel[0].err = EFAULT;
	post_plain(2048);
	virtio_set_dma(dev, false);
	virtio_set_dma(dev, true);
	wait_counter("vhost", "given", 2);
	assert_int_equal(kernel[0].ring[VHOST_RX].base, 1);
	assert_int_equal(kernel[0].ring[VHOST_TX].base, 1);
	frame_each_way(0, 2);
	vhost_end();
}

/* ---- a bad guest ---- */

static void rings_outside_memory(void **state)
{
	static const uint64_t bad[] = { 1ull << 40, 64 * MIB - 16, UINT64_MAX - 15, 0x100008 };

	vhost_begin(1);
	vhost_create();
	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		vdriver_negotiate(&d, FEATURES);
		for (unsigned int q = 0; q < 3; q++)
			vdriver_setup_queue(&d, q, 64);
		virtio_set_queue(dev, TX, VIRTIO_QUEUE_READY, 0);
		virtio_set_queue(dev, TX, VIRTIO_QUEUE_DESC_LO, (uint32_t)bad[i]);
		virtio_set_queue(dev, TX, VIRTIO_QUEUE_DESC_HI, (uint32_t)(bad[i] >> 32));
		virtio_set_queue(dev, TX, VIRTIO_QUEUE_READY, 1);
		const unsigned int calls = kernel[0].calls;
		vdriver_driver_ok(&d);
		vdriver_wait_needs_reset(&d);
		assert_int_equal(kernel[0].calls, calls);
		vdriver_reset(&d);
	}
	start(FEATURES);
	wait_given(0, 1);
	frame_each_way(0, 1);
	vhost_end();
}

/* Without these a received header would have to be as the kernel does not make it (5.1.6.4.1): it is the thread's. */
static void a_driver_that_lacks(void **state)
{
	static const uint64_t lacking[] = { F(MRG_RXBUF), F(GUEST_CSUM) };

	vhost_begin(1);
	vhost_create();
	for (unsigned int i = 0; i < 2; i++) {
		start(FEATURES & ~lacking[i]);
		check_alive();
		make_frame(100, i);
		frame[0] = VIRTIO_NET_HDR_F_DATA_VALID;
		post_plain(2048);
		vdriver_force_kick(&d, RX);
		peer_send(HDR + 100);
		collect();
		assert_int_equal(got[0], i ? 0 : VIRTIO_NET_HDR_F_DATA_VALID);
		assert_int_equal(counter("vhost", "given"), 0);
		vdriver_reset(&d);
	}
	vhost_end();
}

/* A driver that has set up one of the two rings: the thread, which can work with that, keeps it. */
static void half_a_pair(void **state)
{
	vhost_begin(1);
	vhost_create();
	vdriver_negotiate(&d, FEATURES);
	vdriver_setup_queue(&d, TX, 64);
	vdriver_driver_ok(&d);
	use_queues(FEATURES);
	transmit_plain(make_frame(100, 1));
	vdriver_force_kick(&d, TX);
	vdriver_wait(&d, TX);
	peer_recv();
	assert_int_equal(counter("vhost", "given"), 0);
	vhost_end();
}

/* What the kernel stumbles on the thread judges; what it passes over is counted. */
static void malformed_chains(void **state)
{
	vhost_begin(1);
	vhost_start_card(FEATURES);
	for (unsigned int i = 1; i <= 20; i++) {
		struct vdriver_buf b = vdriver_buf(&d, 100);
		const size_t len = make_frame(100, i);

		if (i % 2)
			vdriver_add(&d, TX, &b, 0, 1); /* writable */
		else
			vdriver_add(&d, RX, &b, 1, 0); /* not */
		transmit_plain(len);
		vdriver_force_kick(&d, TX);
		if (i % 2 == 0) {
			post_plain(2048);
			peer_send(make_frame(100, i));
		}
		fake_vhost_work(&kernel[0], &pair);
		wait_counter("vhost", "errors", i);
		wait_counter("vhost", "given", i + 1);
		fake_vhost_work(&kernel[0], &pair);
		peer_recv();
		wait_counter("tx", "drop_malformed", (i + 1) / 2);
		if (i % 2 == 0) {
			struct vring_used_elem e = vdriver_wait(&d, RX);

			if (!e.len) /* the one that is no buffer */
				e = vdriver_wait(&d, RX);
			assert_int_equal(e.len, HDR + 100);
		}
	}
	assert_int_equal(virtio_get_status(dev) & VIRTIO_CONFIG_S_NEEDS_RESET, 0);
	vhost_end();
}

static void a_broken_ring(void **state)
{
	vhost_begin(1);
	vhost_start_card(FEATURES);
	for (unsigned int i = 0; i < 2; i++) {
		vdriver_make_avail(&d, i ? RX : TX, 4711);
		if (i)
			peer_send(make_frame(100, 1));
		messages_begin();
		fake_vhost_work(&kernel[0], &pair);
		vdriver_wait_needs_reset(&d);
		assert_non_null(strstr(messages_end(), "ring is broken"));
		assert_int_equal(kernel[0].ring[TX].tap, -1);
		vdriver_reset(&d);
		start(FEATURES);
		if (i) /* the frame is still there, and this driver's */
			post_plain(2048), vdriver_force_kick(&d, RX), collect();
		wait_given(0, i + 2);
		frame_each_way(0, i);
	}
	vhost_end();
}

/* The index by which the rings come back is in the guest's memory. */
static void a_scribbled_index(void **state)
{
	vhost_begin(1);
	vhost_start_card(FEATURES);
	for (unsigned int i = 0; i < 5; i++) {
		frame_each_way(0, i);
		d.queue[RX].used->idx = (uint16_t)(d.queue[RX].used->idx + 1 + i * 8191);
		d.queue[TX].used->idx = (uint16_t)(d.queue[TX].used->idx - 65 - i * 1000);
		virtio_set_dma(dev, false);
		virtio_set_dma(dev, true);
		messages_begin();
		vdriver_reset(&d);
		messages_end();
		start(FEATURES);
		wait_given(0, i + 2);
	}
	frame_each_way(0, 9);
	vhost_end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_request_fails_at_the_start),
		cmocka_unit_test(it_cannot_be_had),
		cmocka_unit_test(features_of_both),
		cmocka_unit_test(each_request_fails_for_a_driver),
		cmocka_unit_test(it_does_not_let_go),
		cmocka_unit_test(it_does_not_say_where_it_is),
		cmocka_unit_test(rings_outside_memory),
		cmocka_unit_test(a_driver_that_lacks),
		cmocka_unit_test(half_a_pair),
		cmocka_unit_test(malformed_chains),
		cmocka_unit_test(a_broken_ring),
		cmocka_unit_test(a_scribbled_index),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
