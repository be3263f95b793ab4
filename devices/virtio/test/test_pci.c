/* The virtio PCI transport, driven through the buses as a driver's, and a hostile guest's, accesses. */
#include <linux/pci_regs.h>
#include <linux/virtio_pci.h>

#include "devices/virtio/test/virtio_pci_rig.h"
#include "vmm/base/test/unit.h"

/* ---- discovery ---- */

static void function_is_a_modern_virtio_device(void **state)
{
	struct fixture *x = *state;

	assert_int_equal(cfg_get(&x->m, SLOT, PCI_VENDOR_ID, 2), 0x1af4);
	assert_int_equal(cfg_get(&x->m, SLOT, PCI_DEVICE_ID, 2), 0x1041);
	assert_int_equal(cfg_get(&x->m, SLOT, PCI_CLASS_REVISION, 4), 0x02000001);
	assert_true(cfg_get(&x->m, SLOT, PCI_SUBSYSTEM_ID, 2) >= 0x40);
}

static void capabilities_lie_within_their_bars(void **state)
{
	struct fixture *x = *state;
	unsigned int cap = 0, seen = 0, notify = 0;

	while ((cap = cfg_find_cap(&x->m, SLOT, PCI_CAP_ID_VNDR, cap))) {
		const unsigned int type = cfg_get(&x->m, SLOT, cap + VIRTIO_PCI_CAP_CFG_TYPE, 1);
		const unsigned int bar = cfg_get(&x->m, SLOT, cap + VIRTIO_PCI_CAP_BAR, 1);
		const uint64_t offset = cfg_get(&x->m, SLOT, cap + VIRTIO_PCI_CAP_OFFSET, 4);
		const uint64_t len = cfg_get(&x->m, SLOT, cap + VIRTIO_PCI_CAP_LENGTH, 4);

		if (type == VIRTIO_PCI_CAP_NOTIFY_CFG) { /* 4.1.4: ports are to be preferred */
			assert_int_equal(x->func->bar[bar].io, notify == 0);
			assert_int_equal(cfg_get(&x->m, SLOT, cap + VIRTIO_PCI_NOTIFY_CAP_MULT, 4),
					 4);
			assert_int_equal(len, NR_VQS * 4);
			notify++;
		} else {
			assert_false(seen & BIT(type));
		}
		seen |= BIT(type);
		assert_true(cfg_get(&x->m, SLOT, cap + VIRTIO_PCI_CAP_LEN, 1) >=
			    sizeof(struct virtio_pci_cap));
		assert_true(offset + len <= x->func->bar[bar].size && offset % 4 == 0);
	}
	assert_int_equal(seen, BIT(VIRTIO_PCI_CAP_COMMON_CFG) | BIT(VIRTIO_PCI_CAP_NOTIFY_CFG) |
				       BIT(VIRTIO_PCI_CAP_ISR_CFG) |
				       BIT(VIRTIO_PCI_CAP_DEVICE_CFG) |
				       BIT(VIRTIO_PCI_CAP_PCI_CFG));
	assert_int_equal(notify, 2);
	cap = cfg_find_cap(&x->m, SLOT, PCI_CAP_ID_MSIX, 0);
	assert_int_equal(cfg_get(&x->m, SLOT, cap + PCI_MSIX_FLAGS, 2), NR_VQS);
}

/* ---- common configuration ---- */

static void driver_brings_the_device_up(void **state)
{
	struct fixture *x = *state;

	assert_int_equal(common_get(x, VIRTIO_PCI_COMMON_NUMQ, 2), NR_VQS);
	start_driver(x);
	assert_int_equal(x->fake.activated, 1);
	for (unsigned int q = 0; q < NR_VQS; q++) {
		assert_true(x->fake.vq[q].live);
		assert_int_equal(x->fake.vq[q].size, QUEUE_SIZE / 2);
		assert_int_equal(x->fake.vq[q].desc_addr, ring_address(q, 0));
		assert_int_equal(x->fake.vq[q].driver_addr, ring_address(q, 1));
		assert_int_equal(x->fake.vq[q].device_addr, ring_address(q, 2));
	}
	set_status(x, 0);
	assert_int_equal(get_status(x), 0);
	assert_int_equal(x->fake.resets, 1);
	assert_int_equal(common_get(x, VIRTIO_PCI_COMMON_Q_ENABLE, 2), 0);
	assert_int_equal(common_get(x, VIRTIO_PCI_COMMON_Q_SIZE, 2), QUEUE_SIZE);
	start_driver(x);
	assert_int_equal(x->fake.activated, 2);
}

static void queue_addresses_may_be_qwords(void **state)
{
	struct fixture *x = *state;

	negotiate(x);
	select_queue(x, 1);
	common_put(x, VIRTIO_PCI_COMMON_Q_DESCLO, 8, 0x1122334455667788ull);
	common_put(x, VIRTIO_PCI_COMMON_Q_AVAILLO, 8, 0x99aabbccddeeff00ull);
	common_put(x, VIRTIO_PCI_COMMON_Q_USEDLO, 4, 0x0badcafe);
	common_put(x, VIRTIO_PCI_COMMON_Q_USEDHI, 4, 0x7);
	assert_int_equal(x->fake.vq[1].desc_addr, 0x1122334455667788ull);
	assert_int_equal(x->fake.vq[1].driver_addr, 0x99aabbccddeeff00ull);
	assert_int_equal(x->fake.vq[1].device_addr, 0x70badcafeull);
	assert_int_equal(common_get(x, VIRTIO_PCI_COMMON_Q_DESCHI, 4), 0x11223344);
	assert_int_equal(common_get(x, VIRTIO_PCI_COMMON_Q_USEDLO, 8), 0x70badcafeull);
	assert_int_equal(x->fake.vq[0].desc_addr, 0);
}

static void fields_have_one_width(void **state)
{
	struct fixture *x = *state;
	static const struct {
		uint8_t offset, width;
	} fields[] = {
		{ VIRTIO_PCI_COMMON_DFSELECT, 4 },  { VIRTIO_PCI_COMMON_GFSELECT, 4 },
		{ VIRTIO_PCI_COMMON_MSIX, 2 },	    { VIRTIO_PCI_COMMON_STATUS, 1 },
		{ VIRTIO_PCI_COMMON_Q_SELECT, 2 },  { VIRTIO_PCI_COMMON_Q_SIZE, 2 },
		{ VIRTIO_PCI_COMMON_Q_MSIX, 2 },    { VIRTIO_PCI_COMMON_Q_ENABLE, 2 },
		{ VIRTIO_PCI_COMMON_Q_DESCLO, 4 },  { VIRTIO_PCI_COMMON_Q_DESCHI, 4 },
		{ VIRTIO_PCI_COMMON_Q_AVAILLO, 4 }, { VIRTIO_PCI_COMMON_Q_USEDHI, 4 },
	};

	use_msix(x);
	negotiate(x);
	common_put(x, VIRTIO_PCI_COMMON_DFSELECT, 4, 1);
	common_put(x, VIRTIO_PCI_COMMON_GFSELECT, 4, 1);
	select_queue(x, 1);
	for (unsigned int i = 0; i < ARRAY_SIZE(fields); i++) {
		const unsigned int field = fields[i].offset, width = fields[i].width;
		const uint64_t before = common_get(x, field, width);

		for (unsigned int size = 1; size <= 4; size *= 2) {
			if (size == width)
				continue;
			common_put(x, field, size, 0); /* of status, this would be a reset */
			common_put(x, field, size, 0x01010101);
			assert_int_equal(common_get(x, field, size), 0);
			assert_int_equal(common_get(x, field, width), before);
		}
	}
	assert_int_equal(get_status(x), STATUS_RUN & ~VIRTIO_CONFIG_S_DRIVER_OK);
}

static void misaligned_and_unknown_registers_read_zero(void **state)
{
	struct fixture *x = *state;

	negotiate(x);
	for (unsigned int offset = 1; offset < VIRTIO_PCI_COMMON_Q_USEDHI; offset += 2) {
		if (offset == VIRTIO_PCI_COMMON_CFGGENERATION)
			continue;
		common_put(x, offset, 2, 0xffff);
		common_put(x, offset, 4, 0xffffffff);
		assert_int_equal(common_get(x, offset, 1), 0);
		assert_int_equal(common_get(x, offset, 2), 0);
		assert_int_equal(common_get(x, offset, 4), 0);
	}
	/* queue_notify_data and queue_reset belong to features that are not offered. */
	for (unsigned int offset = VIRTIO_PCI_COMMON_Q_NDATA; offset < 0x1000; offset += 2) {
		common_put(x, offset, 2, 1);
		assert_int_equal(common_get(x, offset, 2), 0);
	}
	assert_int_equal(get_status(x), STATUS_RUN & ~VIRTIO_CONFIG_S_DRIVER_OK);
}

static void read_only_fields_stay(void **state)
{
	struct fixture *x = *state;
	const uint64_t features = common_get(x, VIRTIO_PCI_COMMON_DF, 4);

	common_put(x, VIRTIO_PCI_COMMON_DF, 4, ~features);
	common_put(x, VIRTIO_PCI_COMMON_NUMQ, 2, 100);
	common_put(x, VIRTIO_PCI_COMMON_CFGGENERATION, 1, 100);
	common_put(x, VIRTIO_PCI_COMMON_Q_NOFF, 2, 100);
	assert_int_equal(common_get(x, VIRTIO_PCI_COMMON_DF, 4), features);
	assert_int_equal(common_get(x, VIRTIO_PCI_COMMON_NUMQ, 2), NR_VQS);
	assert_int_equal(common_get(x, VIRTIO_PCI_COMMON_CFGGENERATION, 1), 0);
	assert_int_equal(common_get(x, VIRTIO_PCI_COMMON_Q_NOFF, 2), 0);
}

static void queues_that_do_not_exist_take_nothing(void **state)
{
	struct fixture *x = *state;
	static const uint16_t queues[] = { NR_VQS, NR_VQS + 1, 0x7fff, 0xffff };

	negotiate(x);
	for (unsigned int i = 0; i < ARRAY_SIZE(queues); i++) {
		select_queue(x, queues[i]);
		assert_int_equal(common_get(x, VIRTIO_PCI_COMMON_Q_SELECT, 2), queues[i]);
		common_put(x, VIRTIO_PCI_COMMON_Q_SIZE, 2, 4);
		common_put(x, VIRTIO_PCI_COMMON_Q_MSIX, 2, 0);
		common_put(x, VIRTIO_PCI_COMMON_Q_DESCLO, 8, 0x1000);
		common_put(x, VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
		assert_int_equal(common_get(x, VIRTIO_PCI_COMMON_Q_SIZE, 2), 0);
		assert_int_equal(common_get(x, VIRTIO_PCI_COMMON_Q_MSIX, 2), VIRTIO_MSI_NO_VECTOR);
		assert_int_equal(common_get(x, VIRTIO_PCI_COMMON_Q_DESCLO, 8), 0);
		assert_int_equal(common_get(x, VIRTIO_PCI_COMMON_Q_ENABLE, 2), 0);
		assert_int_equal(common_get(x, VIRTIO_PCI_COMMON_Q_NOFF, 2), 0);
	}
}

static void feature_words_beyond_64_bits_are_empty(void **state)
{
	struct fixture *x = *state;

	set_status(x, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	set_status(x, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
	for (unsigned int i = 0; i < 3; i++) {
		const uint32_t sel = i == 0 ? 2 : i == 1 ? 0x80000000 : 0xffffffff;

		common_put(x, VIRTIO_PCI_COMMON_DFSELECT, 4, sel);
		common_put(x, VIRTIO_PCI_COMMON_GFSELECT, 4, sel);
		assert_int_equal(common_get(x, VIRTIO_PCI_COMMON_GFSELECT, 4), sel);
		common_put(x, VIRTIO_PCI_COMMON_GF, 4, 0xffffffff);
		assert_int_equal(common_get(x, VIRTIO_PCI_COMMON_DF, 4), 0);
		assert_int_equal(common_get(x, VIRTIO_PCI_COMMON_GF, 4), 0);
	}
	assert_int_equal(x->fake.dev.features, 0);
}

static void queue_enable_takes_one_only(void **state)
{
	struct fixture *x = *state;

	negotiate(x);
	select_queue(x, 0);
	common_put(x, VIRTIO_PCI_COMMON_Q_ENABLE, 2, 3);
	assert_int_equal(common_get(x, VIRTIO_PCI_COMMON_Q_ENABLE, 2), 0);
	common_put(x, VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
	common_put(x, VIRTIO_PCI_COMMON_Q_ENABLE, 2, 0);
	assert_int_equal(common_get(x, VIRTIO_PCI_COMMON_Q_ENABLE, 2), 1);
}

static void bad_queue_needs_reset(void **state)
{
	struct fixture *x = *state;

	negotiate(x);
	select_queue(x, 0);
	common_put(x, VIRTIO_PCI_COMMON_Q_DESCLO, 8, 0xfffffffffffff000ull);
	common_put(x, VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
	set_status(x, STATUS_RUN);
	assert_true(get_status(x) & VIRTIO_CONFIG_S_NEEDS_RESET);
	assert_int_equal(x->fake.activated, 0);
	assert_true(bus_get(&x->m.mmio, x->isr, 1) & VIRTIO_PCI_ISR_CONFIG);
	start_driver(x);
	assert_int_equal(x->fake.activated, 1);
}

/* ---- device configuration ---- */

static void device_config_has_bounds(void **state)
{
	struct fixture *x = *state;

	assert_int_equal(bus_get(&x->m.mmio, x->device, 1), 0x10);
	assert_int_equal(bus_get(&x->m.mmio, x->device + 2, 2), 0x1312);
	assert_int_equal(bus_get(&x->m.mmio, x->device + 8, 4), 0x1b1a1918);
	assert_int_equal(bus_get(&x->m.mmio, x->device + 8, 8), 0x1b1a1918);
	assert_int_equal(bus_get(&x->m.mmio, x->device + 12, 4), 0);
	assert_int_equal(bus_get(&x->m.mmio, x->device + 0xff8, 8), 0);
	bus_put(&x->m.mmio, x->device + 4, 2, 0xbeef);
	assert_int_equal(bus_get(&x->m.mmio, x->device + 4, 4), 0x1716beef);
	bus_put(&x->m.mmio, x->device + 8, 8, ~0ull); /* half of it is not there */
	bus_put(&x->m.mmio, x->device + 12, 4, ~0ull);
	assert_int_equal(bus_get(&x->m.mmio, x->device + 8, 4), 0x1b1a1918);
}

static void config_update_shows_in_the_generation(void **state)
{
	struct fixture *x = *state;
	const uint8_t link = 0x77;

	use_msix(x);
	start_driver(x);
	use_msix(x);
	virtio_config_update(&x->fake.dev, 3, &link, 1);
	assert_int_equal(common_get(x, VIRTIO_PCI_COMMON_CFGGENERATION, 1), 1);
	assert_int_equal(bus_get(&x->m.mmio, x->device + 3, 1), link);
	assert_int_equal(interrupts(x, NR_VQS), 1);
}

/* ---- access through configuration space ---- */

static void window_reaches_registers_unmapped(void **state)
{
	struct fixture *x = *state;

	cfg_put(&x->m, SLOT, PCI_COMMAND, 2, 0);
	window(x, 0, VIRTIO_PCI_COMMON_STATUS, 1);
	window_put(x, 1, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	assert_int_equal(window_get(x, 1), VIRTIO_CONFIG_S_ACKNOWLEDGE);
	window_put(x, 4, 0xffffff00 | VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
	assert_int_equal(window_get(x, 4), VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
	window(x, 0, 0x2008, 4);
	assert_int_equal(window_get(x, 4), 0x1b1a1918);
	window(x, 0, 0x3004, 2);
	window_put(x, 2, 1);
	assert_int_equal(kicks(x, 1), 1);
	window(x, 1, PCI_MSIX_ENTRY_DATA, 4);
	window_put(x, 4, 0x99);
	assert_int_equal(x->func->msix.vector[0].data, 0x99);
}

static void window_outside_is_closed(void **state)
{
	struct fixture *x = *state;
	static const struct {
		unsigned int bar;
		uint32_t offset, len;
	} bad[] = {
		{ 6, 0, 4 },	      { 0xff, 0, 4 },	{ 2, 0, 4 },	      { 0, 0, 0 },
		{ 0, 0, 3 },	      { 0, 0, 8 },	{ 0, 0, 0xffffffff }, { 0, 0x4000, 4 },
		{ 0, 0xfffffffc, 4 }, { 0, 0x2001, 2 }, { 0, 0x2002, 4 },     { 0, 0x80000000, 1 },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		window(x, bad[i].bar, bad[i].offset, bad[i].len);
		window_put(x, 4, 0xffffffff);
		assert_int_equal(window_get(x, 4), 0);
	}
	/* Less than the access needs, or not from the data's start_driver. */
	window(x, 0, 0x2000, 4);
	window_put(x, 1, 0xff);
	assert_int_equal(window_get(x, 2), 0);
	cfg_put(&x->m, SLOT, find_virtio_cap(x, VIRTIO_PCI_CAP_PCI_CFG) + 18, 2, 0xffff);
	assert_int_equal(bus_get(&x->m.mmio, x->device, 8), 0x1716151413121110ull);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(function_is_a_modern_virtio_device),
		TEST(capabilities_lie_within_their_bars),
		TEST(driver_brings_the_device_up),
		TEST(queue_addresses_may_be_qwords),
		TEST(fields_have_one_width),
		TEST(misaligned_and_unknown_registers_read_zero),
		TEST(read_only_fields_stay),
		TEST(queues_that_do_not_exist_take_nothing),
		TEST(feature_words_beyond_64_bits_are_empty),
		TEST(queue_enable_takes_one_only),
		TEST(bad_queue_needs_reset),
		TEST(device_config_has_bounds),
		TEST(config_update_shows_in_the_generation),
		TEST(window_reaches_registers_unmapped),
		TEST(window_outside_is_closed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
