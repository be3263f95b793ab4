/* The virtio core: status steps, features, queue registers, config space, reset. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "devices/virtio/test/vdriver.h"
#include "vmm/base/test/messages.h"
#include "vmm/base/test/unit.h"

#define ACK	    VIRTIO_CONFIG_S_ACKNOWLEDGE
#define DRIVER	    VIRTIO_CONFIG_S_DRIVER
#define FEATURES    VIRTIO_CONFIG_S_FEATURES_OK
#define OK	    VIRTIO_CONFIG_S_DRIVER_OK
#define NEEDS_RESET VIRTIO_CONFIG_S_NEEDS_RESET
#define FAILED	    VIRTIO_CONFIG_S_FAILED
#define RUNNING	    (ACK | DRIVER | FEATURES | OK)

#define NR_VQS	  2u
#define QUEUE_MAX 8u
#define OFFERED	  (BIT_ULL(3) | BIT_ULL(40))

/* A device that notes what is asked of it; its worker publishes and fails without end. */
static struct fake {
	struct virtio_dev dev;
	struct virtq vq[NR_VQS];
	uint8_t config[10];
	unsigned int activated, reset, paused, resumed, config_writes;
	int activate_ret, resume_ret;
	bool busy;
	pthread_t worker;
	atomic_bool stop;
} fake;

static struct vdriver d;

static void *work(void *arg)
{
	while (!atomic_load(&fake.stop)) {
		virtio_publish(&fake.dev, 0);
		virtio_fail(&fake.dev, "a test");
	}
	return NULL;
}

static int fake_activate(struct virtio_dev *dev)
{
	assert_ptr_equal(dev, &fake.dev);
	assert_false(dev->active);
	fake.activated++;
	if (!fake.activate_ret && fake.busy) {
		atomic_store(&fake.stop, false);
		assert_int_equal(pthread_create(&fake.worker, NULL, work, NULL), 0);
	}
	return fake.activate_ret;
}

static void fake_reset(struct virtio_dev *dev)
{
	assert_true(dev->active);
	assert_int_equal(fake.vq[0].live,
			 fake.vq[0].ready); /* its queues are there until it has let go of them */
	fake.reset++;
	if (fake.busy) {
		atomic_store(&fake.stop, true);
		pthread_join(fake.worker, NULL);
	}
}

static void fake_pause(struct virtio_dev *dev)
{
	assert_true(dev->active && fake.vq[1].live);
	fake.paused++;
}

static int fake_resume(struct virtio_dev *dev)
{
	assert_true(dev->active && !fake.vq[1].live);
	fake.resumed++;
	return fake.resume_ret;
}

static void fake_config_write(struct virtio_dev *dev, uint32_t offset, const void *src,
			      uint32_t len)
{
	assert_true(offset < sizeof(fake.config) && len <= sizeof(fake.config) - offset);
	memcpy((uint8_t *)dev->config + offset, src, len);
	fake.config_writes++;
}

static const struct virtio_ops ops = { fake_config_write, fake_activate, fake_reset, fake_pause,
				       fake_resume };
static const struct virtio_ops read_only_ops = { NULL, fake_activate, fake_reset };

static int setup(void **state)
{
	memset(&fake, 0, sizeof(fake));
	vdriver_init(&d, 2 * MIB);
	for (unsigned int i = 0; i < NR_VQS; i++)
		fake.vq[i].size_max = QUEUE_MAX;
	fake.dev.ops = &ops;
	fake.dev.device_features = OFFERED;
	fake.dev.vq = fake.vq;
	fake.dev.nr_vqs = NR_VQS;
	fake.dev.config = fake.config;
	fake.dev.config_len = sizeof(fake.config);
	assert_int_equal(virtio_init(&fake.dev, &d.env), 0);
	vdriver_attach(&d, &fake.dev);
	return 0;
}

static int teardown(void **state)
{
	virtio_destroy(&fake.dev);
	assert_int_equal(fake.reset, fake.activate_ret ? 0 : fake.activated);
	vdriver_destroy(&d);
	return 0;
}

static void write_status(uint8_t value)
{
	virtio_set_status(&fake.dev, value);
}

static void accept_version_1(void)
{
	virtio_set_driver_features(&fake.dev, 1, 1);
}

/* Reach a legal state by single steps. */
static void reach(uint8_t wanted)
{
	static const uint8_t steps[] = { ACK, DRIVER, FEATURES, OK };
	uint8_t s = 0;

	write_status(0);
	for (unsigned int i = 0; i < ARRAY_SIZE(steps) && s != wanted; i++) {
		if (steps[i] == FEATURES)
			accept_version_1();
		write_status(s |= steps[i]);
	}
	assert_int_equal(virtio_get_status(&fake.dev), wanted);
}

/* Every value written in every legal state. */
static void test_status(void **state)
{
	static const uint8_t states[] = { 0, ACK, ACK | DRIVER, ACK | DRIVER | FEATURES, RUNNING };

	for (unsigned int i = 0; i < ARRAY_SIZE(states); i++)
		for (unsigned int value = 0; value < 256; value++) {
			uint8_t want = states[i];

			reach(want);
			accept_version_1();
			write_status((uint8_t)value);
			/* A write repeats all that is set and adds the steps next in line. */
			if (!value) {
				want = 0;
			} else if (value & FAILED) {
				want |= FAILED;
			} else if (!(want & ~value)) {
				if (value & ACK)
					want |= ACK;
				if (want & ACK && value & DRIVER)
					want |= DRIVER;
				/* In one write from before DRIVER no feature can be accepted. */
				if (states[i] & DRIVER && value & FEATURES)
					want |= FEATURES;
				if (want & FEATURES && value & OK)
					want |= OK;
			}
			if (virtio_get_status(&fake.dev) != want)
				fail_msg("%#x written in state %#x: %#x, not %#x", value, states[i],
					 virtio_get_status(&fake.dev), want);
			assert_int_equal(fake.dev.active, !!(want & OK));
		}
}

static void test_needs_version_1(void **state)
{
	write_status(ACK);
	write_status(ACK | DRIVER);
	virtio_set_driver_features(&fake.dev, 0, (uint32_t)OFFERED);
	write_status(ACK | DRIVER | FEATURES);
	assert_int_equal(virtio_get_status(&fake.dev), ACK | DRIVER);
	write_status(RUNNING);
	assert_int_equal(virtio_get_status(&fake.dev), ACK | DRIVER);
	accept_version_1();
	write_status(RUNNING);
	assert_int_equal(virtio_get_status(&fake.dev), RUNNING);
	assert_int_equal(fake.activated, 1);
}

/* FAILED and NEEDS_RESET end only with a reset. */
static void test_given_up(void **state)
{
	static const uint8_t states[] = { 0, ACK, ACK | DRIVER, ACK | DRIVER | FEATURES, RUNNING };

	for (unsigned int i = 0; i < ARRAY_SIZE(states); i++)
		for (unsigned int fail = 0; fail < 2; fail++) {
			const uint8_t s = (uint8_t)(states[i] | (fail ? NEEDS_RESET : FAILED));

			reach(states[i]);
			if (fail)
				virtio_fail(&fake.dev, "a test");
			else
				write_status(FAILED);
			for (unsigned int value = 1; value < FAILED; value++) {
				write_status((uint8_t)value);
				assert_int_equal(virtio_get_status(&fake.dev), s);
			}
			write_status(0);
			assert_int_equal(virtio_get_status(&fake.dev), 0);
		}
}

static void test_fail_once(void **state)
{
	/* Before DRIVER_OK nobody is interrupted; once running, once. */
	virtio_fail(&fake.dev, "an early test");
	reach(RUNNING);
	for (unsigned int i = 0; i < 5; i++)
		virtio_fail(&fake.dev, "a test");
	vdriver_wait_needs_reset(&d);
	assert_int_equal(fake.dev.counters.needs_resets, 2);
	assert_true(fake.dev.active); /* its workers are joined on reset */
	virtio_fail(&fake.dev, "a test");
	write_status(0);
	assert_int_equal(fake.reset, 1);
}

/* As often as the guest likes, but told of the 1st, 2nd, 4th ... time. */
static void test_fail_often(void **state)
{
	unsigned int lines = 0;

	messages_begin();
	for (unsigned int i = 0; i < 1000; i++) {
		virtio_fail(&fake.dev, "a test");
		write_status(0);
	}
	for (const char *said = messages_end(); (said = strchr(said, '\n')); said++)
		lines++;
	assert_int_equal(fake.dev.counters.needs_resets, 1000);
	assert_int_equal(lines, 10);
}

static int plug(void *arg, struct virtio_dev *dev, enum device_transport wish)
{
	assert_ptr_equal(dev, &fake.dev);
	assert_int_equal(wish, TRANSPORT_PCI);
	return 0;
}

/* The machine's stop ends all activity, and only what the driver resets counts as a reset. */
static void test_stop_is_no_reset(void **state)
{
	const struct device_env env = { .name = "fake0", .mem = &d.mem, .plug = plug };
	const struct virtio_options options = { .transport = TRANSPORT_PCI, .packed = true };
	struct device *device = NULL;

	assert_int_equal(virtio_plug(&device, &fake.dev, &env, &options, 0), 0);
	assert_true(fake.dev.device_features & BIT_ULL(VIRTIO_F_RING_PACKED));
	assert_ptr_equal(device, &fake.dev.device);
	device->ops->stop(device); /* nothing runs as yet */
	assert_int_equal(fake.reset, 0);
	reach(RUNNING);
	write_status(0);
	write_status(0); /* of a device that is at rest: no reset of anything */
	assert_int_equal(fake.dev.counters.resets, 1);
	reach(RUNNING);
	for (unsigned int i = 0; i < 3; i++) {
		device->ops->stop(device);
		assert_false(fake.dev.active);
		assert_int_equal(fake.reset, 2);
		assert_int_equal(fake.dev.counters.resets, 1);
	}
	assert_true(virtio_get_status(&fake.dev) &
		    OK); /* what the driver made of it stays to be seen */
	write_status(0);
	assert_int_equal(fake.dev.counters.resets, 1);
}

static void test_features(void **state)
{
	const uint64_t all = OFFERED | BIT_ULL(VIRTIO_F_VERSION_1) |
			     BIT_ULL(VIRTIO_RING_F_EVENT_IDX) |
			     BIT_ULL(VIRTIO_RING_F_INDIRECT_DESC);

	assert_int_equal(virtio_get_device_features(&fake.dev, 0), (uint32_t)all);
	assert_int_equal(virtio_get_device_features(&fake.dev, 1), all >> 32);
	for (uint32_t sel = 2; sel; sel <<= 1) {
		assert_int_equal(virtio_get_device_features(&fake.dev, sel), 0);
		assert_int_equal(virtio_get_driver_features(&fake.dev, sel), 0);
	}
	/* Too early, then in time, then too late. */
	for (uint8_t s = 0, i = 0; i < 5; i++) {
		static const uint8_t steps[] = { 0, ACK, DRIVER, FEATURES, OK };

		write_status(s |= steps[i]);
		virtio_set_driver_features(&fake.dev, 0, 0);
		virtio_set_driver_features(&fake.dev, 0, i < 3 ? (uint32_t)all : 0);
		virtio_set_driver_features(&fake.dev, 1, i < 3 ? all >> 32 : 0);
		virtio_set_driver_features(&fake.dev, 2, i < 2 || i > 2 ? ~0u : 0);
		virtio_set_driver_features(&fake.dev, ~0u, 0);
		assert_int_equal(fake.dev.features, i < 2 ? 0 : all);
		assert_int_equal(virtio_get_driver_features(&fake.dev, 0),
				 i < 2 ? 0 : (uint32_t)all);
		assert_int_equal(virtio_get_driver_features(&fake.dev, 1), i < 2 ? 0 : all >> 32);
	}
	assert_int_equal(virtio_get_status(&fake.dev), RUNNING);
	write_status(0);
	assert_int_equal(fake.dev.features, 0);
}

/* ---- queues ---- */

static uint32_t get(uint32_t queue, enum virtio_queue_reg reg)
{
	return virtio_get_queue(&fake.dev, queue, reg);
}

static void set(uint32_t queue, enum virtio_queue_reg reg, uint32_t value)
{
	virtio_set_queue(&fake.dev, queue, reg, value);
}

/* What is no valid subset is refused at FEATURES_OK, and the driver may try again; it never comes to a reset. */
static void test_invalid_features(void **state)
{
	const uint64_t v1 = BIT_ULL(VIRTIO_F_VERSION_1),
		       event_idx = BIT_ULL(VIRTIO_RING_F_EVENT_IDX);
	const struct {
		uint64_t features;
		bool valid;
	} sets[] = {
		{ v1, true },
		{ 0, false },
		{ BIT_ULL(3), false },
		{ v1 | BIT_ULL(3), true },
		{ v1 | BIT_ULL(5), true },
		{ v1 | BIT_ULL(5) | BIT_ULL(3), true },
		{ v1 | BIT_ULL(40), true },
		{ v1 | BIT_ULL(5) | BIT_ULL(39), false },
		{ v1 | BIT_ULL(5) | BIT_ULL(40) | event_idx, true },
		{ v1 | BIT_ULL(7), false },
		{ v1 | BIT_ULL(63), false },
		{ UINT64_MAX, false },
	};

	fake.dev.device_features = BIT_ULL(3) | BIT_ULL(5) | BIT_ULL(40) | v1 | event_idx;
	for (unsigned int i = 0; i < ARRAY_SIZE(sets); i++) {
		write_status(0);
		write_status(ACK);
		write_status(ACK | DRIVER);
		virtio_set_driver_features(&fake.dev, 0, (uint32_t)sets[i].features);
		virtio_set_driver_features(&fake.dev, 1, (uint32_t)(sets[i].features >> 32));
		write_status(ACK | DRIVER | FEATURES);
		assert_int_equal(!!(virtio_get_status(&fake.dev) & FEATURES), sets[i].valid);
		write_status(RUNNING);
		assert_int_equal(virtio_get_status(&fake.dev),
				 sets[i].valid ? RUNNING : ACK | DRIVER);
		if (sets[i].valid)
			continue;
		virtio_set_driver_features(&fake.dev, 0, 0);
		accept_version_1();
		write_status(RUNNING);
		assert_int_equal(virtio_get_status(&fake.dev), RUNNING);
	}
	for (uint32_t sel = 2; sel; sel <<= 1) { /* there is no bit above 63 */
		write_status(0);
		write_status(ACK);
		write_status(ACK | DRIVER);
		accept_version_1();
		virtio_set_driver_features(&fake.dev, sel, 0);
		virtio_set_driver_features(&fake.dev, sel, 1);
		write_status(RUNNING);
		assert_int_equal(virtio_get_status(&fake.dev), ACK | DRIVER);
	}
	assert_int_equal(fake.dev.counters.needs_resets, 0);
	write_status(0);
}

static void test_queue_registers(void **state)
{
	static const uint8_t states[] = { 0, ACK, ACK | DRIVER, ACK | DRIVER | FEATURES, RUNNING };

	for (unsigned int i = 0; i < ARRAY_SIZE(states); i++) {
		const bool legal = states[i] == (ACK | DRIVER | FEATURES);

		reach(states[i]);
		for (uint32_t q = 0; q < NR_VQS; q++) {
			/* Two rounds: the second, of a queue that is ready, changes nothing. */
			for (uint32_t round = 0; round < 2; round++) {
				for (enum virtio_queue_reg reg = VIRTIO_QUEUE_SIZE_MAX;
				     reg <= VIRTIO_QUEUE_DEVICE_HI; reg++)
					if (reg != VIRTIO_QUEUE_READY)
						set(q, reg, q * 100 + reg + round);
				set(q, VIRTIO_QUEUE_READY, 3);
			}
			assert_int_equal(get(q, VIRTIO_QUEUE_SIZE_MAX), QUEUE_MAX);
			for (enum virtio_queue_reg reg = VIRTIO_QUEUE_DESC_LO;
			     reg <= VIRTIO_QUEUE_DEVICE_HI; reg++)
				assert_int_equal(get(q, reg), legal ? q * 100 + reg : 0);
			assert_int_equal(get(q, VIRTIO_QUEUE_READY), legal);
		}
		for (uint32_t q = NR_VQS; q; q <<= 1)
			for (int reg = 0; reg <= VIRTIO_QUEUE_DEVICE_HI; reg++) {
				set(q, (enum virtio_queue_reg)reg, 1);
				assert_int_equal(get(q, (enum virtio_queue_reg)reg), 0);
			}
	}
	reach(ACK | DRIVER | FEATURES);
	set(0, VIRTIO_QUEUE_READY, 1);
	set(0, VIRTIO_QUEUE_READY, 2);
	assert_int_equal(get(0, VIRTIO_QUEUE_READY), 0);
	set(0, VIRTIO_QUEUE_SIZE, 0x10004); /* not 4 */
	assert_int_equal(get(0, VIRTIO_QUEUE_SIZE), 0xffff);
}

/* The driver takes a queue back: the device holds still meanwhile, and the queue stays out of it until a reset. */
static void test_queue_stopped(void **state)
{
	vdriver_start(&d, 0);
	for (unsigned int i = 0; i < 2; i++) {
		set(1, VIRTIO_QUEUE_READY, 0);
		set(1, VIRTIO_QUEUE_DESC_LO, 16);
		assert_true(fake.vq[0].live && !fake.vq[1].live && fake.vq[1].desc_addr != 16);
		assert_int_equal(fake.paused, 1);
		assert_int_equal(fake.resumed, 1);
		set(1, VIRTIO_QUEUE_READY, 1);
		assert_int_equal(get(1, VIRTIO_QUEUE_READY), 0);
	}
	vdriver_reset(&d);

	/* One that may not touch memory yet begins without it. */
	virtio_set_dma(&fake.dev, false);
	vdriver_start(&d, 0);
	set(1, VIRTIO_QUEUE_READY, 0);
	virtio_set_dma(&fake.dev, true);
	assert_true(fake.dev.active && fake.vq[0].live && !fake.vq[1].live);
	vdriver_reset(&d);

	fake.resume_ret = -EIO;
	vdriver_start(&d, 0);
	set(1, VIRTIO_QUEUE_READY, 0);
	vdriver_wait_needs_reset(&d);
	assert_int_equal(fake.paused, 2);
	vdriver_reset(&d);
}

/* A queue that cannot work is a device that needs a reset; then all is well again. */
static void test_bad_queues(void **state)
{
	static const struct {
		enum virtio_queue_reg reg;
		uint32_t value;
	} cases[] = {
		{ VIRTIO_QUEUE_SIZE, 0 },
		{ VIRTIO_QUEUE_SIZE, 3 },
		{ VIRTIO_QUEUE_SIZE, 16 },
		{ VIRTIO_QUEUE_SIZE, 0x10008 },
		{ VIRTIO_QUEUE_SIZE, ~0u },
		{ VIRTIO_QUEUE_DESC_LO, 0x100008 },
		{ VIRTIO_QUEUE_DESC_HI, 1 },
		{ VIRTIO_QUEUE_DRIVER_LO, 0x100001 },
		{ VIRTIO_QUEUE_DRIVER_HI, ~0u },
		{ VIRTIO_QUEUE_DEVICE_LO, 0x100002 },
		{ VIRTIO_QUEUE_DEVICE_LO, 0x1ffffc },
		{ VIRTIO_QUEUE_DEVICE_HI, 0x80000000 },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		vdriver_negotiate(&d, 0);
		vdriver_setup_queue(&d, 0, 4);
		vdriver_setup_queue(&d, 1, 4);
		set(1, VIRTIO_QUEUE_READY, 0);
		set(1, cases[i].reg, cases[i].value);
		set(1, VIRTIO_QUEUE_READY, 1);
		vdriver_driver_ok(&d);
		vdriver_wait_needs_reset(&d);
		assert_false(fake.dev.active);
		vdriver_reset(&d);
		assert_false(fake.vq[0].live || fake.vq[1].live);
	}
	assert_int_equal(fake.activated, 0);
	vdriver_start(&d, 0);
	assert_true(fake.vq[1].live);
	vdriver_reset(&d);
	assert_int_equal(fake.vq[1].size, QUEUE_MAX);
	assert_false(fake.vq[1].ready || fake.vq[1].live || fake.vq[1].desc_addr);
	/* A queue that the driver leaves alone stays out of it. */
	vdriver_negotiate(&d, 0);
	vdriver_setup_queue(&d, 0, 4);
	vdriver_driver_ok(&d);
	assert_true(fake.dev.active && fake.vq[0].live && !fake.vq[1].live);
}

static void test_activation_fails(void **state)
{
	fake.activate_ret = -EIO;
	for (unsigned int i = 1; i < 4; i++) {
		vdriver_negotiate(&d, 0);
		vdriver_setup_queue(&d, 0, 4);
		vdriver_driver_ok(&d);
		vdriver_wait_needs_reset(&d);
		assert_int_equal(fake.activated, i);
		assert_false(fake.dev.active);
		vdriver_reset(&d);
		assert_int_equal(fake.reset, 0);
	}
}

/* Reset joins a worker that publishes and fails all the time, and leaves a clean status. */
static void test_reset_joins(void **state)
{
	fake.busy = true;
	for (unsigned int i = 0; i < 300; i++) {
		vdriver_start(&d, 0);
		if (i % 2)
			vdriver_wait_needs_reset(&d);
		vdriver_reset(&d);
		assert_int_equal(fake.reset, i + 1);
		d.next_gpa = 0x100000;
	}
	vdriver_start(&d, 0); /* for virtio_destroy() */
}

/* ---- config space ---- */

static void test_config(void **state)
{
	uint32_t generation;

	for (uint8_t i = 0; i < sizeof(fake.config); i++)
		fake.config[i] = (uint8_t)(i + 1);
	for (uint32_t len = 1; len <= 8; len *= 2)
		for (uint64_t offset = 0; offset < 20; offset++) {
			uint64_t want = 0;

			for (uint32_t i = 0; i < len && offset + i < sizeof(fake.config); i++)
				want |= (offset + i + 1) << (8 * i);
			assert_int_equal(virtio_read_config(&fake.dev, offset, len), want);
			assert_int_equal(virtio_read_config(&fake.dev, ~0ull - offset, len), 0);
		}
	virtio_write_config(&fake.dev, 2, 4, 0xa1b2c3d4);
	assert_int_equal(virtio_read_config(&fake.dev, 2, 8), 0x0a090807a1b2c3d4);
	assert_int_equal(fake.config_writes, 1);
	virtio_write_config(&fake.dev, 7, 4, ~0u);
	virtio_write_config(&fake.dev, 3, 8, ~0u);
	virtio_write_config(&fake.dev, 10, 1, ~0u);
	virtio_write_config(&fake.dev, ~0ull, 1, ~0u);
	virtio_write_config(&fake.dev, ~0ull - 3, 8, ~0u);
	assert_int_equal(fake.config_writes, 1);
	fake.dev.ops = &read_only_ops;
	virtio_write_config(&fake.dev, 0, 1, 0xff);
	assert_int_equal(virtio_read_config(&fake.dev, 0, 1), 1);

	generation = virtio_get_config_generation(&fake.dev);
	virtio_config_update(&fake.dev, 4, "\x77", 1); /* nobody is interrupted yet */
	assert_int_equal(virtio_get_config_generation(&fake.dev), generation + 1);
	assert_int_equal(virtio_read_config(&fake.dev, 4, 1), 0x77);
	vdriver_start(&d, 0);
	virtio_config_update(&fake.dev, 4, "\x78", 1);
	vdriver_wait_config(&d);
	assert_int_equal(virtio_get_config_generation(&fake.dev), generation + 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_status),	     TEST(test_needs_version_1),  TEST(test_given_up),
		TEST(test_fail_once),	     TEST(test_stop_is_no_reset), TEST(test_features),
		TEST(test_invalid_features), TEST(test_queue_registers),  TEST(test_bad_queues),
		TEST(test_queue_stopped),    TEST(test_activation_fails), TEST(test_reset_joins),
		TEST(test_config),	     TEST(test_fail_often),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
