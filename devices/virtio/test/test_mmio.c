/* The virtio MMIO transport, driven through the bus as Linux's virtio_mmio drives it, and as it does not. */
#include <errno.h>
#include <linux/virtio_mmio.h>
#include <string.h>
#include <sys/eventfd.h>

#include "devices/virtio/mmio.h"
#include "vmm/base/test/unit.h"
#include "vmm/x86/memmap.h"

#define NR_VQS	2u
#define RUNNING 15u

static struct guestmem mem;
static struct bus bus;
static struct irqchip *chip;
static struct virtio_dev dev;
static struct virtq vqs[NR_VQS];
static _Alignas(8) uint8_t page[0x1000]; /* what the guest may read by itself */
static bool given;			 /* and it does */
static uint8_t config[6] = { 1, 2, 3, 4, 5, 6 };

static void config_write(struct virtio_dev *vdev, uint32_t offset, const void *src, uint32_t len)
{
	memcpy((uint8_t *)vdev->config + offset, src, len);
}

static int activate(struct virtio_dev *vdev)
{
	return 0;
}

static void reset(struct virtio_dev *vdev)
{
	/* As a worker's last act before it is joined. */
	vdev->transport_ops->queue_interrupt(vdev->transport, 0);
}

static void pause_queues(struct virtio_dev *vdev)
{
}

static const struct virtio_ops ops = { config_write, activate, reset, pause_queues, activate };

static int create(void)
{
	return virtio_mmio_create(&dev, memmap_virtio_mmio_base(1), memmap_virtio_mmio_gsi(1),
				  given ? page : NULL, &bus, chip);
}

static int setup(void **state)
{
	static struct counters counters;
	const struct device_env env = { .name = "fake0", .mem = &mem, .counters = &counters };

	assert_int_equal(guestmem_init(&mem, 1 * MIB, NULL), 0);
	bus_init(&bus);
	assert_int_equal(irqchip_create(&chip, -1), 0);
	for (unsigned int i = 0; i < NR_VQS; i++)
		vqs[i].size_max = 64;
	dev = (struct virtio_dev){ .ops = &ops,
				   .device_id = 42,
				   .device_features = BIT_ULL(5) | BIT_ULL(33),
				   .vq = vqs,
				   .nr_vqs = NR_VQS,
				   .config = config,
				   .config_len = sizeof(config) };
	assert_int_equal(virtio_init(&dev, &env), 0);
	assert_int_equal(create(), 0);
	return 0;
}

static int setup_page(void **state)
{
	given = true;
	memset(page, 0, sizeof(page));
	return setup(state);
}

static int teardown(void **state)
{
	virtio_set_status(&dev, 0); /* it interrupts when it is reset */
	virtio_detach(&dev);
	virtio_destroy(&dev);
	assert_int_equal(bus.nr_ranges + bus.nr_doorbells, 0);
	irqchip_destroy(chip);
	bus_destroy(&bus);
	guestmem_destroy(&mem);
	given = false;
	return 0;
}

static uint64_t get_sized(uint64_t offset, unsigned int size)
{
	uint64_t v = 0;

	if (given) {
		memcpy(&v, page + offset, size);
		return v;
	}
	assert_true(bus_read(&bus, MEMMAP_VIRTIO_MMIO_BASE + 0x1000 + offset, size, &v));
	return v;
}

static uint32_t get(uint64_t offset)
{
	return (uint32_t)get_sized(offset, 4);
}

static void put_sized(uint64_t offset, unsigned int size, uint64_t value)
{
	assert_true(bus_write(&bus, MEMMAP_VIRTIO_MMIO_BASE + 0x1000 + offset, size, value));
}

static void put(uint64_t offset, uint32_t value)
{
	put_sized(offset, 4, value);
}

static void put_address(uint64_t low, uint64_t gpa)
{
	put(low, (uint32_t)gpa);
	put(low + 4, (uint32_t)(gpa >> 32));
}

/* vm_find_vqs() and what stands around it. */
static void start(void)
{
	put(VIRTIO_MMIO_STATUS, 0);
	put(VIRTIO_MMIO_STATUS, 1);
	put(VIRTIO_MMIO_STATUS, 3);
	put(VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
	put(VIRTIO_MMIO_DRIVER_FEATURES, 1);
	put(VIRTIO_MMIO_DRIVER_FEATURES_SEL, 0);
	put(VIRTIO_MMIO_DRIVER_FEATURES, BIT(5));
	put(VIRTIO_MMIO_STATUS, 11);
	assert_int_equal(get(VIRTIO_MMIO_STATUS), 11);
	for (uint32_t q = 0; q < NR_VQS; q++) {
		put(VIRTIO_MMIO_QUEUE_SEL, q);
		assert_int_equal(get(VIRTIO_MMIO_QUEUE_READY), 0);
		assert_int_equal(get(VIRTIO_MMIO_QUEUE_NUM_MAX), 64);
		put(VIRTIO_MMIO_QUEUE_NUM, 16u << q);
		put_address(VIRTIO_MMIO_QUEUE_DESC_LOW, 0x10000 + q * 0x8000);
		put_address(VIRTIO_MMIO_QUEUE_AVAIL_LOW, 0x12000 + q * 0x8000);
		put_address(VIRTIO_MMIO_QUEUE_USED_LOW, 0x14000 + q * 0x8000);
		put(VIRTIO_MMIO_QUEUE_READY, 1);
		assert_int_equal(get(VIRTIO_MMIO_QUEUE_READY), 1);
	}
	put(VIRTIO_MMIO_STATUS, RUNNING);
	assert_int_equal(get(VIRTIO_MMIO_STATUS), RUNNING);
}

static void test_driver(void **state)
{
	assert_int_equal(get(VIRTIO_MMIO_MAGIC_VALUE), 0x74726976);
	assert_int_equal(get(VIRTIO_MMIO_VERSION), 2);
	assert_int_equal(get(VIRTIO_MMIO_DEVICE_ID), 42);
	put(VIRTIO_MMIO_DEVICE_FEATURES_SEL, 0);
	assert_true(get(VIRTIO_MMIO_DEVICE_FEATURES) & BIT(5));
	put(VIRTIO_MMIO_DEVICE_FEATURES_SEL, 1);
	assert_int_equal(get(VIRTIO_MMIO_DEVICE_FEATURES), 3);
	put(VIRTIO_MMIO_DEVICE_FEATURES_SEL, 2);
	assert_int_equal(get(VIRTIO_MMIO_DEVICE_FEATURES), 0);
	start();
	assert_true(dev.active && vqs[0].live && vqs[1].live);
	assert_int_equal(dev.features, BIT_ULL(5) | BIT_ULL(32));
	assert_int_equal(vqs[0].size, 16);
	assert_int_equal(vqs[1].size, 32);
	assert_int_equal(vqs[1].desc_addr, 0x18000);
	assert_int_equal(vqs[1].driver_addr, 0x1a000);
	assert_int_equal(vqs[1].device_addr, 0x1c000);
	put(VIRTIO_MMIO_QUEUE_SEL, 2);
	assert_int_equal(get(VIRTIO_MMIO_QUEUE_NUM_MAX), 0);
	assert_int_equal(get(VIRTIO_MMIO_QUEUE_READY), 0);
	put(VIRTIO_MMIO_QUEUE_SEL, ~0u);
	put(VIRTIO_MMIO_QUEUE_READY, 1);
	assert_int_equal(get(VIRTIO_MMIO_QUEUE_READY), 0);
	/* To take a queue back, a driver writes 0 and waits until that is what it reads (4.2.2.2). */
	put(VIRTIO_MMIO_QUEUE_SEL, 0);
	put(VIRTIO_MMIO_QUEUE_READY, 0);
	assert_int_equal(get(VIRTIO_MMIO_QUEUE_READY), 0);
	assert_true(!vqs[0].live && vqs[1].live);
	put(VIRTIO_MMIO_STATUS, 0);
	put(VIRTIO_MMIO_QUEUE_SEL, 1);
	assert_int_equal(get(VIRTIO_MMIO_QUEUE_READY), 0);
}

static uint64_t kicks(unsigned int q)
{
	eventfd_t n = 0;

	return eventfd_read(vqs[q].kick_fd, &n) ? 0 : n;
}

static void test_notify(void **state)
{
	start();
	put(VIRTIO_MMIO_QUEUE_NOTIFY, 1);
	put(VIRTIO_MMIO_QUEUE_NOTIFY, 1);
	put(VIRTIO_MMIO_QUEUE_NOTIFY, 0);
	assert_int_equal(kicks(0), 1);
	assert_int_equal(kicks(1), 2);
	/* Queues that do not exist, and notifications that are none. */
	put(VIRTIO_MMIO_QUEUE_NOTIFY, 2);
	put(VIRTIO_MMIO_QUEUE_NOTIFY, ~0u);
	put_sized(VIRTIO_MMIO_QUEUE_NOTIFY, 2, 1);
	put_sized(VIRTIO_MMIO_QUEUE_NOTIFY, 8, 1);
	put_sized(VIRTIO_MMIO_QUEUE_NOTIFY + 2, 2, 0);
	assert_int_equal(kicks(0) + kicks(1), 0);
	assert_int_equal(get(VIRTIO_MMIO_STATUS), RUNNING);
}

static void test_interrupts(void **state)
{
	start();
	assert_int_equal(get(VIRTIO_MMIO_INTERRUPT_STATUS), 0);
	dev.transport_ops->queue_interrupt(dev.transport, 1);
	assert_int_equal(get(VIRTIO_MMIO_INTERRUPT_STATUS), 1);
	virtio_config_update(&dev, 0, "\x09", 1);
	assert_int_equal(get(VIRTIO_MMIO_INTERRUPT_STATUS), 3);
	assert_int_equal(get(VIRTIO_MMIO_CONFIG_GENERATION), 1);
	put(VIRTIO_MMIO_INTERRUPT_ACK, ~3u);
	assert_int_equal(get(VIRTIO_MMIO_INTERRUPT_STATUS), 3);
	/* A queue's goes no further than the kernel, which changes no page. */
	put(VIRTIO_MMIO_INTERRUPT_ACK, 1);
	assert_int_equal(get(VIRTIO_MMIO_INTERRUPT_STATUS), given ? 3 : 2);
	put(VIRTIO_MMIO_INTERRUPT_ACK, given ? 3 : 2);
	assert_int_equal(get(VIRTIO_MMIO_INTERRUPT_STATUS), 0);
	virtio_fail(&dev, "a test");
	assert_int_equal(get(VIRTIO_MMIO_INTERRUPT_STATUS), 2);
	assert_int_equal(get(VIRTIO_MMIO_STATUS), RUNNING | VIRTIO_CONFIG_S_NEEDS_RESET);
	/* A reset leaves nothing behind, whatever a worker did until it was joined. */
	put(VIRTIO_MMIO_STATUS, 0);
	assert_int_equal(get(VIRTIO_MMIO_INTERRUPT_STATUS), 0);
	start();
	put(VIRTIO_MMIO_STATUS, 0x100); /* the register has eight bits, and these are zero */
	assert_int_equal(get(VIRTIO_MMIO_STATUS), 0);
	assert_int_equal(get(VIRTIO_MMIO_INTERRUPT_STATUS), 0);
}

/* Registers answer to aligned 32-bit accesses alone; config space to all. */
static void test_sizes(void **state)
{
	for (unsigned int size = 1; !given && size <= 8; size *= 2)
		for (uint64_t offset = 0; offset < VIRTIO_MMIO_CONFIG; offset++) {
			if (size == 4 && offset % 4 == 0)
				continue;
			assert_int_equal(get_sized(offset, size), 0);
			put_sized(offset, size, ~0ull);
		}
	assert_int_equal(get(VIRTIO_MMIO_STATUS), 0);
	/* Every 32-bit register, with nonsense: the status is the only one that could matter. */
	for (uint64_t offset = 0; offset < VIRTIO_MMIO_CONFIG; offset += 4)
		if (offset != VIRTIO_MMIO_STATUS)
			put(offset, 0xdeadbeef);
	start();
	put_sized(VIRTIO_MMIO_CONFIG, 1, 1);
	assert_int_equal(get_sized(VIRTIO_MMIO_CONFIG, 1), 1);
	assert_int_equal(get_sized(VIRTIO_MMIO_CONFIG + 1, 2), 0x302);
	assert_int_equal(get_sized(VIRTIO_MMIO_CONFIG + 3, 4), 0x60504);
	assert_int_equal(get_sized(VIRTIO_MMIO_CONFIG, 8), 0x60504030201);
	assert_int_equal(get_sized(0x1000 - 8, 8), 0);
	put_sized(VIRTIO_MMIO_CONFIG + 5, 1, 0x66);
	put_sized(VIRTIO_MMIO_CONFIG + 5, 2, ~0u);
	put_sized(0x1000 - 1, 1, 0x66);
	assert_int_equal(config[5], 0x66);
	config[5] = 6;
	/* Nothing hangs over the page's end. */
	uint64_t v;
	assert_false(bus_read(&bus, MEMMAP_VIRTIO_MMIO_BASE + 0x1ffe, 4, &v));
	assert_int_equal(v, ~0u);
	assert_int_equal(get(VIRTIO_MMIO_SHM_LEN_LOW), ~0u);
	assert_int_equal(get(VIRTIO_MMIO_SHM_LEN_HIGH), ~0u);
	assert_int_equal(get(VIRTIO_MMIO_SHM_BASE_LOW), ~0u);
	assert_int_equal(get(VIRTIO_MMIO_SHM_BASE_HIGH), ~0u);
}

/* A word of the registers or of the configuration space: what an access would give. */
static uint32_t expected(uint64_t offset, uint32_t feature_sel, uint32_t queue_sel)
{
	switch (offset) {
	case VIRTIO_MMIO_MAGIC_VALUE:
		return 0x74726976;
	case VIRTIO_MMIO_VERSION:
		return 2;
	case VIRTIO_MMIO_DEVICE_ID:
		return 42;
	case VIRTIO_MMIO_VENDOR_ID:
		return get(offset);
	case VIRTIO_MMIO_DEVICE_FEATURES:
		return virtio_get_device_features(&dev, feature_sel);
	case VIRTIO_MMIO_QUEUE_NUM_MAX:
		return virtio_get_queue(&dev, queue_sel, VIRTIO_QUEUE_SIZE_MAX);
	case VIRTIO_MMIO_QUEUE_READY:
		return virtio_get_queue(&dev, queue_sel, VIRTIO_QUEUE_READY);
	case VIRTIO_MMIO_STATUS:
		return virtio_get_status(&dev);
	case VIRTIO_MMIO_INTERRUPT_STATUS:
		return get(offset) & 3;
	case VIRTIO_MMIO_SHM_LEN_LOW:
	case VIRTIO_MMIO_SHM_LEN_HIGH:
	case VIRTIO_MMIO_SHM_BASE_LOW:
	case VIRTIO_MMIO_SHM_BASE_HIGH:
		return ~0u;
	case VIRTIO_MMIO_CONFIG_GENERATION:
		return virtio_get_config_generation(&dev);
	default:
		return offset < VIRTIO_MMIO_CONFIG
			       ? 0
			       : (uint32_t)virtio_read_config(&dev, offset - VIRTIO_MMIO_CONFIG, 4);
	}
}

/* Whatever is written, in whatever width, and whatever the device does meanwhile: the page says how it is, all of it. */
static void test_page_follows(void **state)
{
	static const uint32_t values[] = { 0, 1, 2, 3, 11, 15, 64, 0x80, 0xff, 0x100, ~0u };
	uint32_t feature_sel = 0, queue_sel = 0, random = 1;
	uint8_t before[sizeof(config)];

	memcpy(before, config, sizeof(config));
	for (unsigned int i = 0; i < 2000; i++) {
		random = random * 1664525 + 1013904223;
		const unsigned int what = random >> 28;
		const bool is_register = what < 10;
		const unsigned int size = is_register ? 4 : 1u << (random >> 26 & 3);
		const uint64_t offset = random >> 14 & (is_register ? 0xfc : 0xfff);
		const uint64_t value = values[(random >> 8) % ARRAY_SIZE(values)];

		switch (what) {
		case 13:
			dev.transport_ops->queue_interrupt(dev.transport, 1);
			break;
		case 14:
			virtio_config_update(&dev, 2, &value, 2);
			break;
		case 15:
			virtio_fail(&dev, "a test");
			break;
		default: /* that the end of the page cuts some of them is no matter */
			bus_write(&bus, memmap_virtio_mmio_base(1) + offset, size, value);
			if (size == 4 && offset == VIRTIO_MMIO_DEVICE_FEATURES_SEL)
				feature_sel = (uint32_t)value;
			if (size == 4 && offset == VIRTIO_MMIO_QUEUE_SEL)
				queue_sel = (uint32_t)value;
		}
		/* The registers and the start of what is behind them; now and then all. */
		for (uint64_t at = 0; at < (i % 64 ? VIRTIO_MMIO_CONFIG + 64 : sizeof(page));
		     at += 4)
			assert_int_equal(get(at), expected(at, feature_sel, queue_sel));
	}
	memcpy(config, before, sizeof(config));
}

static void test_create_fails(void **state)
{
	assert_int_equal(create(), -EEXIST);
	assert_int_equal(bus.nr_ranges, 1);
	assert_int_equal(bus.nr_doorbells, NR_VQS + given);
	start(); /* the first one is as it was */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define PAGE(name) cmocka_unit_test_setup_teardown(name, setup_page, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = { TEST(test_driver),	     TEST(test_notify),
					    TEST(test_interrupts),   TEST(test_sizes),
					    TEST(test_create_fails), PAGE(test_driver),
					    PAGE(test_notify),	     PAGE(test_interrupts),
					    PAGE(test_sizes),	     PAGE(test_create_fails),
					    TEST(test_page_follows), PAGE(test_page_follows) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
