/* The virtio PCI transport, driven through the buses as a driver's, and a hostile guest's, accesses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdlib.h>
#include <stdatomic.h>
#include <string.h>

#include <linux/pci_regs.h>
#include <linux/virtio_pci.h>

#include "devices/test/pci_machine.h"
#include "devices/virtio/pci.h"
#include "vmm/base/test/messages.h"
#include "vmm/x86/memmap.h"

#define NR_VQS	   3u
#define QUEUE_SIZE 16u
#define SLOT	   1u
#define STATUS_RUN                                                                            \
	(VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK | \
	 VIRTIO_CONFIG_S_DRIVER_OK)

/* A device that does nothing but notice what is asked of it. */
struct fake {
	struct virtio_dev dev;
	struct virtq vq[NR_VQS];
	uint8_t config[12];
	unsigned int activated, resets, pauses, resumes;
	bool busy; /* between activate and reset a worker raises interrupts without end */
	pthread_t worker;
	atomic_bool stop;
};

struct fixture {
	struct pci_machine m;
	struct guestmem mem;
	struct fake fake;
	struct pci_func *func;
	uint64_t common, isr, device, notify; /* addresses */
	struct bus *notify_bus;
	uint32_t notify_len, notify_mult;
};

static void *work(void *arg)
{
	struct fake *f = arg;

	while (!atomic_load(&f->stop)) {
		f->dev.transport_ops->queue_interrupt(f->dev.transport, 0);
		f->dev.transport_ops->config_interrupt(f->dev.transport);
	}
	return NULL;
}

static int fake_activate(struct virtio_dev *dev)
{
	struct fake *f = container_of(dev, struct fake, dev);

	f->activated++;
	atomic_store(&f->stop, false);
	return f->busy ? -pthread_create(&f->worker, NULL, work, f) : 0;
}

static void fake_reset(struct virtio_dev *dev)
{
	struct fake *f = container_of(dev, struct fake, dev);

	f->resets++;
	atomic_store(&f->stop, true);
	if (f->busy)
		pthread_join(f->worker, NULL);
}

static void fake_pause(struct virtio_dev *dev)
{
	container_of(dev, struct fake, dev)->pauses++;
}

static int fake_resume(struct virtio_dev *dev)
{
	container_of(dev, struct fake, dev)->resumes++;
	return 0;
}

static void fake_config_write(struct virtio_dev *dev, uint32_t offset, const void *src,
			      uint32_t len)
{
	memcpy((uint8_t *)dev->config + offset, src, len);
}

static const struct virtio_ops fake_ops = {
	.activate = fake_activate,
	.reset = fake_reset,
	.pause = fake_pause,
	.resume = fake_resume,
	.config_write = fake_config_write,
};

/* ---- what a driver does ---- */

static uint64_t common_get(struct fixture *x, unsigned int field, unsigned int size)
{
	return bus_get(&x->m.mmio, x->common + field, size);
}

static void common_put(struct fixture *x, unsigned int field, unsigned int size, uint64_t value)
{
	bus_put(&x->m.mmio, x->common + field, size, value);
}

static uint8_t get_status(struct fixture *x)
{
	return (uint8_t)common_get(x, VIRTIO_PCI_COMMON_STATUS, 1);
}

static void set_status(struct fixture *x, uint8_t status)
{
	common_put(x, VIRTIO_PCI_COMMON_STATUS, 1, status);
}

static void select_queue(struct fixture *x, unsigned int queue)
{
	common_put(x, VIRTIO_PCI_COMMON_Q_SELECT, 2, queue);
}

/* The capability with @type, or 0. */
static unsigned int find_virtio_cap(struct fixture *x, uint8_t type)
{
	unsigned int cap = cfg_find_cap(&x->m, SLOT, PCI_CAP_ID_VNDR, 0);

	while (cap && cfg_get(&x->m, SLOT, cap + VIRTIO_PCI_CAP_CFG_TYPE, 1) != type)
		cap = cfg_find_cap(&x->m, SLOT, PCI_CAP_ID_VNDR, cap);
	return cap;
}

static uint64_t cap_address(struct fixture *x, unsigned int cap)
{
	return cfg_bar(&x->m, SLOT, cfg_get(&x->m, SLOT, cap + VIRTIO_PCI_CAP_BAR, 1)) +
	       cfg_get(&x->m, SLOT, cap + VIRTIO_PCI_CAP_OFFSET, 4);
}

/* Find the structures in the BARs, wherever these are now. */
static void locate(struct fixture *x)
{
	const unsigned int notify = find_virtio_cap(x, VIRTIO_PCI_CAP_NOTIFY_CFG);
	const unsigned int bar = cfg_get(&x->m, SLOT, notify + VIRTIO_PCI_CAP_BAR, 1);

	x->common = cap_address(x, find_virtio_cap(x, VIRTIO_PCI_CAP_COMMON_CFG));
	x->isr = cap_address(x, find_virtio_cap(x, VIRTIO_PCI_CAP_ISR_CFG));
	x->device = cap_address(x, find_virtio_cap(x, VIRTIO_PCI_CAP_DEVICE_CFG));
	x->notify = cap_address(x, notify);
	x->notify_len = cfg_get(&x->m, SLOT, notify + VIRTIO_PCI_CAP_LENGTH, 4);
	x->notify_mult = cfg_get(&x->m, SLOT, notify + VIRTIO_PCI_NOTIFY_CAP_MULT, 4);
	x->notify_bus =
		cfg_get(&x->m, SLOT, PCI_BASE_ADDRESS_0 + 4 * bar, 4) & PCI_BASE_ADDRESS_SPACE_IO
			? &x->m.pio
			: &x->m.mmio;
}

/* Vector v of queue v, the last for configuration changes; all of them unmasked. */
static void use_msix(struct fixture *x)
{
	const unsigned int cap = cfg_find_cap(&x->m, SLOT, PCI_CAP_ID_MSIX, 0);
	const uint64_t table =
		cfg_bar(&x->m, SLOT, cfg_get(&x->m, SLOT, cap + PCI_MSIX_TABLE, 4) & 7);

	cfg_put(&x->m, SLOT, cap + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE);
	for (unsigned int v = 0; v <= NR_VQS; v++) {
		bus_put(&x->m.mmio, table + v * PCI_MSIX_ENTRY_SIZE, 8, 0xfee00000);
		bus_put(&x->m.mmio, table + v * PCI_MSIX_ENTRY_SIZE + 8, 8, 0x40 + v);
	}
	for (unsigned int q = 0; q < NR_VQS; q++) {
		select_queue(x, q);
		common_put(x, VIRTIO_PCI_COMMON_Q_MSIX, 2, q);
		assert_int_equal(common_get(x, VIRTIO_PCI_COMMON_Q_MSIX, 2), q);
	}
	common_put(x, VIRTIO_PCI_COMMON_MSIX, 2, NR_VQS);
	assert_int_equal(common_get(x, VIRTIO_PCI_COMMON_MSIX, 2), NR_VQS);
}

static void negotiate(struct fixture *x)
{
	uint64_t features = 0;

	set_status(x, 0);
	assert_int_equal(get_status(x), 0);
	set_status(x, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	set_status(x, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
	for (unsigned int sel = 0; sel < 2; sel++) {
		common_put(x, VIRTIO_PCI_COMMON_DFSELECT, 4, sel);
		features |= common_get(x, VIRTIO_PCI_COMMON_DF, 4) << 32 * sel;
	}
	assert_true(features & BIT_ULL(VIRTIO_F_VERSION_1));
	for (unsigned int sel = 0; sel < 2; sel++) {
		common_put(x, VIRTIO_PCI_COMMON_GFSELECT, 4, sel);
		common_put(x, VIRTIO_PCI_COMMON_GF, 4, features >> 32 * sel);
	}
	set_status(x, STATUS_RUN & ~VIRTIO_CONFIG_S_DRIVER_OK);
	assert_true(get_status(x) & VIRTIO_CONFIG_S_FEATURES_OK);
}

static uint64_t ring_address(unsigned int queue, unsigned int part)
{
	return 0x10000 + queue * 0x3000 + part * 0x1000;
}

static void start(struct fixture *x)
{
	negotiate(x);
	for (unsigned int q = 0; q < NR_VQS; q++) {
		select_queue(x, q);
		assert_int_equal(common_get(x, VIRTIO_PCI_COMMON_Q_SIZE, 2), QUEUE_SIZE);
		assert_int_equal(common_get(x, VIRTIO_PCI_COMMON_Q_ENABLE, 2), 0);
		common_put(x, VIRTIO_PCI_COMMON_Q_SIZE, 2, QUEUE_SIZE / 2);
		for (unsigned int part = 0; part < 3; part++) {
			const unsigned int field = VIRTIO_PCI_COMMON_Q_DESCLO + 8 * part;

			common_put(x, field, 4, ring_address(q, part));
			common_put(x, field + 4, 4, 0);
		}
		common_put(x, VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
		assert_int_equal(common_get(x, VIRTIO_PCI_COMMON_Q_ENABLE, 2), 1);
	}
	set_status(x, STATUS_RUN);
	assert_int_equal(get_status(x), STATUS_RUN);
}

static void queue_interrupt(struct fixture *x, unsigned int queue)
{
	x->fake.dev.transport_ops->queue_interrupt(x->fake.dev.transport, queue);
}

static void config_interrupt(struct fixture *x)
{
	x->fake.dev.transport_ops->config_interrupt(x->fake.dev.transport);
}

static uint64_t kicks(struct fixture *x, unsigned int queue)
{
	return eventfd_take(x->fake.vq[queue].kick_fd);
}

static uint64_t interrupts(struct fixture *x, unsigned int vector)
{
	struct irq *irq = &x->func->msix.vector[vector].irq;

	return irq->masked ? 0 : eventfd_take(irq->fd);
}

static int setup(void **state)
{
	static struct fixture x;
	struct virtio_dev *dev = &x.fake.dev;
	const struct device_env env = { .name = "fake0", .mem = &x.mem, .counters = &x.m.counters };

	memset(&x, 0, sizeof(x));
	pci_machine_init(&x.m);
	assert_int_equal(guestmem_init(&x.mem, 1 * MIB, NULL), 0);
	for (unsigned int q = 0; q < NR_VQS; q++)
		x.fake.vq[q].size_max = QUEUE_SIZE;
	dev->ops = &fake_ops;
	dev->device_id = VIRTIO_ID_NET;
	dev->vq = x.fake.vq;
	dev->nr_vqs = NR_VQS;
	dev->config = x.fake.config;
	dev->config_len = sizeof(x.fake.config);
	for (unsigned int i = 0; i < sizeof(x.fake.config); i++)
		x.fake.config[i] = (uint8_t)(0x10 + i);
	dev->pci_class = 0x020000;
	assert_int_equal(virtio_init(dev, &env), 0);
	assert_int_equal(virtio_pci_create(dev, x.m.host), 0);
	x.func = pci_host_func(x.m.host, SLOT);
	assert_non_null(x.func);
	cfg_put(&x.m, SLOT, PCI_COMMAND, 2,
		PCI_COMMAND_MEMORY | PCI_COMMAND_IO | PCI_COMMAND_MASTER);
	locate(&x);
	*state = &x;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *x = *state;

	virtio_detach(&x->fake.dev);
	virtio_destroy(&x->fake.dev);
	guestmem_destroy(&x->mem);
	pci_machine_destroy(&x->m);
	return 0;
}

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
	unsigned int cap = 0, seen = 0;

	while ((cap = cfg_find_cap(&x->m, SLOT, PCI_CAP_ID_VNDR, cap))) {
		const unsigned int type = cfg_get(&x->m, SLOT, cap + VIRTIO_PCI_CAP_CFG_TYPE, 1);
		const unsigned int bar = cfg_get(&x->m, SLOT, cap + VIRTIO_PCI_CAP_BAR, 1);
		const uint64_t offset = cfg_get(&x->m, SLOT, cap + VIRTIO_PCI_CAP_OFFSET, 4);
		const uint64_t len = cfg_get(&x->m, SLOT, cap + VIRTIO_PCI_CAP_LENGTH, 4);

		assert_false(seen & BIT(type));
		seen |= BIT(type);
		assert_true(cfg_get(&x->m, SLOT, cap + VIRTIO_PCI_CAP_LEN, 1) >=
			    sizeof(struct virtio_pci_cap));
		assert_true(offset + len <= x->func->bar[bar].size && offset % 4 == 0);
	}
	assert_int_equal(seen, BIT(VIRTIO_PCI_CAP_COMMON_CFG) | BIT(VIRTIO_PCI_CAP_NOTIFY_CFG) |
				       BIT(VIRTIO_PCI_CAP_ISR_CFG) |
				       BIT(VIRTIO_PCI_CAP_DEVICE_CFG) |
				       BIT(VIRTIO_PCI_CAP_PCI_CFG));
	assert_int_equal(x->notify_mult, 4);
	assert_true(x->notify_len >= NR_VQS * x->notify_mult);
	cap = cfg_find_cap(&x->m, SLOT, PCI_CAP_ID_MSIX, 0);
	assert_int_equal(cfg_get(&x->m, SLOT, cap + PCI_MSIX_FLAGS, 2), NR_VQS);
}

/* ---- common configuration ---- */

static void driver_brings_the_device_up(void **state)
{
	struct fixture *x = *state;

	assert_int_equal(common_get(x, VIRTIO_PCI_COMMON_NUMQ, 2), NR_VQS);
	start(x);
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
	start(x);
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
	start(x);
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
	start(x);
	use_msix(x);
	virtio_config_update(&x->fake.dev, 3, &link, 1);
	assert_int_equal(common_get(x, VIRTIO_PCI_COMMON_CFGGENERATION, 1), 1);
	assert_int_equal(bus_get(&x->m.mmio, x->device + 3, 1), link);
	assert_int_equal(interrupts(x, NR_VQS), 1);
}

/* ---- notifications ---- */

static void kick_reaches_its_queue(void **state)
{
	struct fixture *x = *state;

	for (unsigned int q = 0; q < NR_VQS; q++) {
		select_queue(x, q);
		const uint64_t addr =
			x->notify + common_get(x, VIRTIO_PCI_COMMON_Q_NOFF, 2) * x->notify_mult;

		bus_put(x->notify_bus, addr, 2, q);
		bus_put(x->notify_bus, addr, 4, q);
		for (unsigned int other = 0; other < NR_VQS; other++)
			assert_int_equal(kicks(x, other), other == q ? 2 : 0);
	}
}

static void kick_beside_a_queue_is_dropped(void **state)
{
	struct fixture *x = *state;
	const uint64_t end = x->notify_bus == &x->m.pio ? 16 : 0x1000;

	for (uint64_t offset = 0; offset < end; offset++)
		if (offset % 4 || offset >= NR_VQS * 4)
			bus_write(x->notify_bus, x->notify + offset, 1, 0);
	for (unsigned int q = 0; q < NR_VQS; q++)
		assert_int_equal(kicks(x, q), 0);
	assert_int_equal(bus_get(x->notify_bus, x->notify, 2), 0); /* written only */
}

static void doorbells_follow_the_bar(void **state)
{
	struct fixture *x = *state;
	const uint64_t old = x->notify;
	const bool io = x->notify_bus == &x->m.pio;
	const unsigned int reg = PCI_BASE_ADDRESS_0 + (io ? 8 : 0);

	assert_int_equal(x->notify_bus->nr_doorbells, NR_VQS);
	assert_int_equal(x->m.pio.nr_doorbells + x->m.mmio.nr_doorbells, NR_VQS);
	cfg_put(&x->m, SLOT, reg, 4, io ? 0x4000 : 0xd0000000);
	locate(x);
	assert_int_not_equal(x->notify, old);
	assert_false(bus_write(x->notify_bus, old + 4, 2, 1));
	bus_put(x->notify_bus, x->notify + 4, 2, 1);
	assert_int_equal(kicks(x, 1), 1);
	assert_int_equal(x->notify_bus->nr_doorbells, NR_VQS);
	cfg_put(&x->m, SLOT, PCI_COMMAND, 2, 0);
	assert_int_equal(x->notify_bus->nr_doorbells, 0);
	assert_false(bus_write(x->notify_bus, x->notify + 4, 2, 1));
	assert_int_equal(kicks(x, 1), 0);
}

static void kick_without_doorbell_arrives_too(void **state)
{
	struct fixture *x = *state;

	for (unsigned int q = 0; q < NR_VQS; q++)
		bus_doorbell_remove(x->notify_bus, x->notify + 4 * q, BUS_DOORBELL_ANY);
	bus_put(x->notify_bus, x->notify + 8, 2, 2);
	assert_int_equal(kicks(x, 2), 1);
	kick_beside_a_queue_is_dropped(state);
}

/* The driver moves its BARs as often as it likes; that a doorbell cannot be had is said by powers of two. */
static void missing_doorbells_are_few_words(void **state)
{
	struct fixture *x = *state;
	unsigned int lines = 0;

	messages_begin();
	for (unsigned int i = 0; i < 500; i++) {
		cfg_put(&x->m, SLOT, PCI_COMMAND, 2, 0);
		assert_int_equal(bus_doorbell_add(x->notify_bus, x->notify, BUS_DOORBELL_ANY,
						  x->fake.vq[0].kick_fd),
				 0);
		cfg_put(&x->m, SLOT, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_IO);
	}
	for (const char *at = messages_end(); (at = strstr(at, "no doorbell for queue 0")); at++)
		lines++;
	assert_int_equal(lines, 9);
}

/* ---- interrupts ---- */

static void without_msix_the_isr_tells(void **state)
{
	struct fixture *x = *state;

	start(x);
	assert_int_equal(bus_get(&x->m.mmio, x->isr, 1), 0);
	queue_interrupt(x, 1);
	assert_true(x->func->intx_line);
	config_interrupt(x);
	assert_int_equal(bus_get(&x->m.mmio, x->isr, 1), 3);
	assert_false(x->func->intx_line);
	assert_int_equal(bus_get(&x->m.mmio, x->isr, 1), 0);
	queue_interrupt(x, 0);
	/* Other accesses than a byte's read acknowledge nothing. */
	assert_int_equal(bus_get(&x->m.mmio, x->isr, 4), 0);
	assert_int_equal(bus_get(&x->m.mmio, x->isr, 2), 0);
	assert_int_equal(bus_get(&x->m.mmio, x->isr + 1, 1), 0);
	bus_put(&x->m.mmio, x->isr, 1, 0xff);
	assert_true(x->func->intx_line);
	assert_int_equal(bus_get(&x->m.mmio, x->isr, 1), 1);
	for (unsigned int v = 0; v <= NR_VQS; v++)
		assert_int_equal(interrupts(x, v), 0);
}

/* A driver may clear it at any time (Linux does before kexec), and set it late. */
static void device_follows_bus_mastering(void **state)
{
	struct fixture *x = *state;

	start(x);
	assert_int_equal(x->fake.activated, 1);
	for (unsigned int i = 1; i < 4; i++) {
		cfg_put(&x->m, SLOT, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
		cfg_put(&x->m, SLOT, PCI_COMMAND, 1, PCI_COMMAND_MEMORY | PCI_COMMAND_IO);
		assert_int_equal(x->fake.pauses, i);
		assert_int_equal(x->fake.resumes, i - 1);
		cfg_put(&x->m, SLOT, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
		cfg_put(&x->m, SLOT, PCI_COMMAND, 4, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
		assert_int_equal(x->fake.pauses, i);
		assert_int_equal(x->fake.resumes, i);
	}
	assert_int_equal(get_status(x), STATUS_RUN);
	cfg_put(&x->m, SLOT, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	set_status(x, 0);
	assert_int_equal(x->fake.resets, 1);
	start(x); /* as far as it goes */
	assert_int_equal(x->fake.activated, 1);
	cfg_put(&x->m, SLOT, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	assert_int_equal(x->fake.activated, 2);
	assert_int_equal(x->fake.resumes, 3);
	virtio_fail(&x->fake.dev, "test");
	cfg_put(&x->m, SLOT, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	cfg_put(&x->m, SLOT, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	assert_int_equal(x->fake.resumes, 3); /* broken until reset */
	set_status(x, 0);
	cfg_put(&x->m, SLOT, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	set_status(x, 0);
	cfg_put(&x->m, SLOT, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	assert_int_equal(x->fake.activated, 2); /* nobody drives it */
}

static void with_msix_vectors_tell(void **state)
{
	struct fixture *x = *state;

	start(x);
	use_msix(x);
	queue_interrupt(x, 1);
	assert_int_equal(interrupts(x, 1), 1);
	assert_int_equal(bus_get(&x->m.mmio, x->isr, 1), 0);
	config_interrupt(x);
	assert_int_equal(interrupts(x, NR_VQS), 1);
	assert_false(x->func->intx_line);
	assert_int_equal(bus_get(&x->m.mmio, x->isr, 1), VIRTIO_PCI_ISR_CONFIG);
	/* Two queues may share a vector. */
	select_queue(x, 0);
	common_put(x, VIRTIO_PCI_COMMON_Q_MSIX, 2, 2);
	queue_interrupt(x, 0);
	queue_interrupt(x, 2);
	assert_int_equal(interrupts(x, 2), 2);
	assert_int_equal(interrupts(x, 0), 0);
}

static void queue_without_vector_is_silent(void **state)
{
	struct fixture *x = *state;

	start(x);
	use_msix(x);
	select_queue(x, 1);
	common_put(x, VIRTIO_PCI_COMMON_Q_MSIX, 2, VIRTIO_MSI_NO_VECTOR);
	queue_interrupt(x, 1);
	for (unsigned int v = 0; v <= NR_VQS; v++)
		assert_int_equal(interrupts(x, v), 0);
	assert_false(x->func->intx_line);
}

static void vectors_out_of_range_are_refused(void **state)
{
	struct fixture *x = *state;
	static const uint16_t vectors[] = { NR_VQS + 1, 0x800, 0xfffe, 0xffff };

	for (unsigned int i = 0; i < ARRAY_SIZE(vectors); i++) {
		use_msix(x);
		common_put(x, VIRTIO_PCI_COMMON_MSIX, 2, vectors[i]);
		common_put(x, VIRTIO_PCI_COMMON_Q_MSIX, 2, vectors[i]);
		assert_int_equal(common_get(x, VIRTIO_PCI_COMMON_MSIX, 2), VIRTIO_MSI_NO_VECTOR);
		assert_int_equal(common_get(x, VIRTIO_PCI_COMMON_Q_MSIX, 2), VIRTIO_MSI_NO_VECTOR);
	}
}

static void reset_forgets_interrupts(void **state)
{
	struct fixture *x = *state;
	const unsigned int cap = cfg_find_cap(&x->m, SLOT, PCI_CAP_ID_MSIX, 0);

	start(x);
	use_msix(x);
	cfg_put(&x->m, SLOT, cap + PCI_MSIX_FLAGS, 2,
		PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
	queue_interrupt(x, 0);
	config_interrupt(x);
	assert_true(irq_pending(&x->func->msix.vector[0].irq));
	set_status(x, 0);
	for (unsigned int q = 0; q < NR_VQS; q++) {
		select_queue(x, q);
		assert_int_equal(common_get(x, VIRTIO_PCI_COMMON_Q_MSIX, 2), VIRTIO_MSI_NO_VECTOR);
	}
	assert_int_equal(common_get(x, VIRTIO_PCI_COMMON_MSIX, 2), VIRTIO_MSI_NO_VECTOR);
	cfg_put(&x->m, SLOT, cap + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE);
	for (unsigned int v = 0; v <= NR_VQS; v++)
		assert_int_equal(interrupts(x, v), 0);
	cfg_put(&x->m, SLOT, cap + PCI_MSIX_FLAGS, 2, 0);
	start(x);
	queue_interrupt(x, 0);
	assert_true(x->func->intx_line);
	set_status(x, 0);
	assert_false(x->func->intx_line);
	assert_int_equal(bus_get(&x->m.mmio, x->isr, 1), 0);
}

/* ---- access through configuration space ---- */

static void window(struct fixture *x, unsigned int bar, uint32_t offset, uint32_t len)
{
	const unsigned int cap = find_virtio_cap(x, VIRTIO_PCI_CAP_PCI_CFG);

	cfg_put(&x->m, SLOT, cap + VIRTIO_PCI_CAP_BAR, 1, bar);
	cfg_put(&x->m, SLOT, cap + VIRTIO_PCI_CAP_OFFSET, 4, offset);
	cfg_put(&x->m, SLOT, cap + VIRTIO_PCI_CAP_LENGTH, 4, len);
}

static uint32_t window_get(struct fixture *x, unsigned int size)
{
	return cfg_get(&x->m, SLOT, find_virtio_cap(x, VIRTIO_PCI_CAP_PCI_CFG) + 16, size);
}

static void window_put(struct fixture *x, unsigned int size, uint32_t value)
{
	cfg_put(&x->m, SLOT, find_virtio_cap(x, VIRTIO_PCI_CAP_PCI_CFG) + 16, size, value);
}

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
	/* Less than the access needs, or not from the data's start. */
	window(x, 0, 0x2000, 4);
	window_put(x, 1, 0xff);
	assert_int_equal(window_get(x, 2), 0);
	cfg_put(&x->m, SLOT, find_virtio_cap(x, VIRTIO_PCI_CAP_PCI_CFG) + 18, 2, 0xffff);
	assert_int_equal(bus_get(&x->m.mmio, x->device, 8), 0x1716151413121110ull);
}

/* ---- threads and noise ---- */

/* Reset waits for a worker that interrupts all the time: none of the locks may bring them to a halt. */
static void busy_device_resets(void **state)
{
	struct fixture *x = *state;

	x->fake.busy = true;
	for (unsigned int i = 0; i < 100; i++) {
		start(x);
		if (i % 2)
			use_msix(x);
		bus_get(&x->m.mmio, x->isr, 1);
		if (i % 4 < 2) {
			set_status(x, 0);
		} else {
			window(x, 0, VIRTIO_PCI_COMMON_STATUS, 1);
			window_put(x, 1, 0);
		}
		assert_int_equal(x->fake.resets, i + 1);
		assert_int_equal(get_status(x), 0);
		assert_int_equal(bus_get(&x->m.mmio, x->isr, 1), 0);
		assert_false(x->func->intx_line);
		cfg_put(&x->m, SLOT, cfg_find_cap(&x->m, SLOT, PCI_CAP_ID_MSIX, 0) + PCI_MSIX_FLAGS,
			2, 0);
	}
}

static void noise_is_contained(void **state)
{
	struct fixture *x = *state;
	static const unsigned int sizes[] = { 1, 2, 4, 8 };
	const uint64_t regs = cfg_bar(&x->m, SLOT, 0), msix = cfg_bar(&x->m, SLOT, 1);
	unsigned int seed = 2;

	for (unsigned int i = 0; i < 200000; i++) {
		const unsigned int r = (unsigned int)rand_r(&seed);
		const unsigned int size = sizes[r % 4];
		const unsigned int at = r / 16 % 8 ? r / 1024 % 64 : r / 1024 % 4096;
		const uint64_t addr = (r / 4 % 8 ? regs + (r / 4 % 4) * 0x1000 : msix) + at;
		uint64_t value = (uint64_t)rand_r(&seed);

		if (r / 128 % 2)
			value &= 0xf;
		if (r / 256 % 2)
			bus_write(&x->m.mmio, addr, size, value << 3 ^ value);
		else
			bus_read(&x->m.mmio, addr, size, &value);
		if (i % 64 == 0) {
			window(x, r % 8, r / 8 % 0x5000, sizes[r % 3]);
			window_put(x, 4, (uint32_t)value);
			queue_interrupt(x, r % NR_VQS);
			config_interrupt(x);
		}
	}
	start(x);
	use_msix(x);
	for (unsigned int v = 0; v <= NR_VQS; v++)
		interrupts(x, v);
	queue_interrupt(x, 1);
	assert_int_equal(interrupts(x, 1), 1);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

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
		TEST(kick_reaches_its_queue),
		TEST(kick_beside_a_queue_is_dropped),
		TEST(doorbells_follow_the_bar),
		TEST(kick_without_doorbell_arrives_too),
		TEST(missing_doorbells_are_few_words),
		TEST(without_msix_the_isr_tells),
		TEST(device_follows_bus_mastering),
		TEST(with_msix_vectors_tell),
		TEST(queue_without_vector_is_silent),
		TEST(vectors_out_of_range_are_refused),
		TEST(reset_forgets_interrupts),
		TEST(window_reaches_registers_unmapped),
		TEST(window_outside_is_closed),
		TEST(busy_device_resets),
		TEST(noise_is_contained),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
