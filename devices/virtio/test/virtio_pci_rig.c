#include "devices/virtio/test/virtio_pci_rig.h"

#include <linux/pci_regs.h>
#include <linux/virtio_pci.h>
#include <string.h>

#include "vmm/base/test/unit.h"

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

static void fake_moved(struct virtio_dev *dev)
{
	container_of(dev, struct fake, dev)->moves++;
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
	.interrupts_moved = fake_moved,
	.config_write = fake_config_write,
};

uint64_t common_get(struct fixture *x, unsigned int field, unsigned int size)
{
	return bus_get(&x->m.mmio, x->common + field, size);
}

void common_put(struct fixture *x, unsigned int field, unsigned int size, uint64_t value)
{
	bus_put(&x->m.mmio, x->common + field, size, value);
}

uint8_t get_status(struct fixture *x)
{
	return (uint8_t)common_get(x, VIRTIO_PCI_COMMON_STATUS, 1);
}

void set_status(struct fixture *x, uint8_t status)
{
	common_put(x, VIRTIO_PCI_COMMON_STATUS, 1, status);
}

void select_queue(struct fixture *x, unsigned int queue)
{
	common_put(x, VIRTIO_PCI_COMMON_Q_SELECT, 2, queue);
}

/* The one behind @cap. */
static unsigned int next_virtio_cap(struct fixture *x, uint8_t type, unsigned int cap)
{
	do
		cap = cfg_find_cap(&x->m, SLOT, PCI_CAP_ID_VNDR, cap);
	while (cap && cfg_get(&x->m, SLOT, cap + VIRTIO_PCI_CAP_CFG_TYPE, 1) != type);
	return cap;
}

unsigned int find_virtio_cap(struct fixture *x, uint8_t type)
{
	return next_virtio_cap(x, type, 0);
}

static unsigned int cap_bar(struct fixture *x, unsigned int cap)
{
	return cfg_get(&x->m, SLOT, cap + VIRTIO_PCI_CAP_BAR, 1);
}

static uint64_t cap_address(struct fixture *x, unsigned int cap)
{
	return cfg_bar(&x->m, SLOT, cap_bar(x, cap)) +
	       cfg_get(&x->m, SLOT, cap + VIRTIO_PCI_CAP_OFFSET, 4);
}

void locate(struct fixture *x)
{
	unsigned int notify = find_virtio_cap(x, VIRTIO_PCI_CAP_NOTIFY_CFG);

	while (x->in_memory && x->func->bar[cap_bar(x, notify)].io)
		notify = next_virtio_cap(x, VIRTIO_PCI_CAP_NOTIFY_CFG, notify);
	assert_int_not_equal(notify, 0);
	x->common = cap_address(x, find_virtio_cap(x, VIRTIO_PCI_CAP_COMMON_CFG));
	x->isr = cap_address(x, find_virtio_cap(x, VIRTIO_PCI_CAP_ISR_CFG));
	x->device = cap_address(x, find_virtio_cap(x, VIRTIO_PCI_CAP_DEVICE_CFG));
	x->notify = cap_address(x, notify);
	x->notify_mult = cfg_get(&x->m, SLOT, notify + VIRTIO_PCI_NOTIFY_CAP_MULT, 4);
	x->notify_bus = cfg_get(&x->m, SLOT, PCI_BASE_ADDRESS_0 + 4 * cap_bar(x, notify), 4) &
					PCI_BASE_ADDRESS_SPACE_IO
				? &x->m.pio
				: &x->m.mmio;
}

void use_msix(struct fixture *x)
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

void negotiate(struct fixture *x)
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

uint64_t ring_address(unsigned int queue, unsigned int part)
{
	return 0x10000 + queue * 0x3000 + part * 0x1000;
}

void start_driver(struct fixture *x)
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

void queue_interrupt(struct fixture *x, unsigned int queue)
{
	x->fake.dev.transport_ops->queue_interrupt(x->fake.dev.transport, queue);
}

void config_interrupt(struct fixture *x)
{
	x->fake.dev.transport_ops->config_interrupt(x->fake.dev.transport);
}

uint64_t kicks(struct fixture *x, unsigned int queue)
{
	return eventfd_take(x->fake.vq[queue].kick_fd);
}

uint64_t interrupts(struct fixture *x, unsigned int vector)
{
	struct irq *irq = &x->func->msix.vector[vector].irq;

	return irq->masked ? 0 : eventfd_take(irq->fd);
}

static int setup(void **state, unsigned int vectors, bool in_memory)
{
	static struct fixture x;
	struct virtio_dev *dev = &x.fake.dev;
	const struct device_env env = { .name = "fake0", .mem = &x.mem, .counters = &x.m.counters };

	memset(&x, 0, sizeof(x));
	x.in_memory = in_memory;
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
	assert_int_equal(virtio_pci_create(dev, x.m.host, vectors), 0);
	x.func = pci_host_func(x.m.host, SLOT);
	assert_non_null(x.func);
	cfg_put(&x.m, SLOT, PCI_COMMAND, 2,
		PCI_COMMAND_MEMORY | PCI_COMMAND_IO | PCI_COMMAND_MASTER);
	locate(&x);
	*state = &x;
	return 0;
}

int virtio_pci_setup(void **state)
{
	return setup(state, NR_VQS, false);
}

int virtio_pci_setup_memory(void **state)
{
	return setup(state, NR_VQS, true);
}

int virtio_pci_setup_shared(void **state)
{
	return setup(state, 1, false);
}

int virtio_pci_teardown(void **state)
{
	struct fixture *x = *state;

	virtio_detach(&x->fake.dev);
	virtio_destroy(&x->fake.dev);
	guestmem_destroy(&x->mem);
	pci_machine_destroy(&x->m);
	return 0;
}

void window(struct fixture *x, unsigned int bar, uint32_t offset, uint32_t len)
{
	const unsigned int cap = find_virtio_cap(x, VIRTIO_PCI_CAP_PCI_CFG);

	cfg_put(&x->m, SLOT, cap + VIRTIO_PCI_CAP_BAR, 1, bar);
	cfg_put(&x->m, SLOT, cap + VIRTIO_PCI_CAP_OFFSET, 4, offset);
	cfg_put(&x->m, SLOT, cap + VIRTIO_PCI_CAP_LENGTH, 4, len);
}

uint32_t window_get(struct fixture *x, unsigned int size)
{
	return cfg_get(&x->m, SLOT, find_virtio_cap(x, VIRTIO_PCI_CAP_PCI_CFG) + 16, size);
}

void window_put(struct fixture *x, unsigned int size, uint32_t value)
{
	cfg_put(&x->m, SLOT, find_virtio_cap(x, VIRTIO_PCI_CAP_PCI_CFG) + 16, size, value);
}
