/* The virtio MMIO transport, version 2 (virtio 1.2, 4.2.2). */
#include "devices/virtio/mmio.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <linux/virtio_mmio.h>

#include "vmm/base/log.h"

#define MAGIC	0x74726976 /* "virt" */
#define VERSION 2
#define VENDOR	0x4d564d4d
#define PAGE	0x1000

struct virtio_mmio {
	struct virtio_dev *dev;
	struct bus *bus;
	struct bus_range range;
	struct irq irq;
	pthread_mutex_t lock; /* for the selectors */
	uint32_t device_features_sel, driver_features_sel, queue_sel;
	uint32_t interrupt_status; /* atomic */
	unsigned int doorbells;	   /* added so far */
};

/* The register behind an offset, for those that are a queue's; else -1. */
static int queue_reg(uint64_t offset)
{
	static const uint16_t offsets[] = {
		[VIRTIO_QUEUE_SIZE_MAX] = VIRTIO_MMIO_QUEUE_NUM_MAX,
		[VIRTIO_QUEUE_SIZE] = VIRTIO_MMIO_QUEUE_NUM,
		[VIRTIO_QUEUE_READY] = VIRTIO_MMIO_QUEUE_READY,
		[VIRTIO_QUEUE_DESC_LO] = VIRTIO_MMIO_QUEUE_DESC_LOW,
		[VIRTIO_QUEUE_DESC_HI] = VIRTIO_MMIO_QUEUE_DESC_HIGH,
		[VIRTIO_QUEUE_DRIVER_LO] = VIRTIO_MMIO_QUEUE_AVAIL_LOW,
		[VIRTIO_QUEUE_DRIVER_HI] = VIRTIO_MMIO_QUEUE_AVAIL_HIGH,
		[VIRTIO_QUEUE_DEVICE_LO] = VIRTIO_MMIO_QUEUE_USED_LOW,
		[VIRTIO_QUEUE_DEVICE_HI] = VIRTIO_MMIO_QUEUE_USED_HIGH,
	};
	int reg = ARRAY_SIZE(offsets) - 1;

	while (reg >= 0 && offsets[reg] != offset)
		reg--;
	return reg;
}

static uint32_t read_register(struct virtio_mmio *m, uint64_t offset)
{
	struct virtio_dev *dev = m->dev;

	switch (offset) {
	case VIRTIO_MMIO_MAGIC_VALUE:
		return MAGIC;
	case VIRTIO_MMIO_VERSION:
		return VERSION;
	case VIRTIO_MMIO_DEVICE_ID:
		return dev->device_id;
	case VIRTIO_MMIO_VENDOR_ID:
		return VENDOR;
	case VIRTIO_MMIO_DEVICE_FEATURES:
		return virtio_get_device_features(dev, m->device_features_sel);
	case VIRTIO_MMIO_QUEUE_NUM_MAX:
	case VIRTIO_MMIO_QUEUE_READY:
		return virtio_get_queue(dev, m->queue_sel,
					(enum virtio_queue_reg)queue_reg(offset));
	case VIRTIO_MMIO_INTERRUPT_STATUS:
		return __atomic_load_n(&m->interrupt_status, __ATOMIC_ACQUIRE);
	case VIRTIO_MMIO_STATUS:
		return virtio_get_status(dev);
	case VIRTIO_MMIO_SHM_LEN_LOW:
	case VIRTIO_MMIO_SHM_LEN_HIGH:
		return ~0u; /* no shared memory region (4.2.2.1) */
	case VIRTIO_MMIO_CONFIG_GENERATION:
		return virtio_get_config_generation(dev);
	default:
		return 0;
	}
}

static void write_register(struct virtio_mmio *m, uint64_t offset, uint32_t value)
{
	struct virtio_dev *dev = m->dev;
	const int reg = queue_reg(offset);

	if (reg >= 0) {
		virtio_set_queue(dev, m->queue_sel, (enum virtio_queue_reg)reg, value);
		return;
	}
	switch (offset) {
	case VIRTIO_MMIO_DEVICE_FEATURES_SEL:
		m->device_features_sel = value;
		break;
	case VIRTIO_MMIO_DRIVER_FEATURES_SEL:
		m->driver_features_sel = value;
		break;
	case VIRTIO_MMIO_DRIVER_FEATURES:
		virtio_set_driver_features(dev, m->driver_features_sel, value);
		break;
	case VIRTIO_MMIO_QUEUE_SEL:
		m->queue_sel = value;
		break;
	case VIRTIO_MMIO_INTERRUPT_ACK:
		__atomic_fetch_and(&m->interrupt_status, ~value, __ATOMIC_ACQ_REL);
		break;
	case VIRTIO_MMIO_STATUS:
		virtio_set_status(dev, (uint8_t)value);
		if (!(uint8_t)value)
			__atomic_store_n(&m->interrupt_status, 0, __ATOMIC_RELEASE);
		break;
	default: /* a notification of a queue that does not exist ends here too */
		break;
	}
}

static uint64_t mmio_read(void *arg, uint64_t offset, unsigned int size)
{
	struct virtio_mmio *m = arg;
	uint64_t v = 0;

	if (offset >= VIRTIO_MMIO_CONFIG)
		return virtio_read_config(m->dev, offset - VIRTIO_MMIO_CONFIG, size);
	hold(&m->lock);
	if (size == 4 && offset % 4 == 0)
		v = read_register(m, offset);
	return v;
}

static void mmio_write(void *arg, uint64_t offset, unsigned int size, uint64_t value)
{
	struct virtio_mmio *m = arg;

	if (offset >= VIRTIO_MMIO_CONFIG) {
		virtio_write_config(m->dev, offset - VIRTIO_MMIO_CONFIG, size, value);
		return;
	}
	hold(&m->lock);
	if (size == 4 && offset % 4 == 0)
		write_register(m, offset, (uint32_t)value);
}

static const struct bus_ops mmio_ops = { .read = mmio_read, .write = mmio_write };

static void interrupt(struct virtio_mmio *m, uint32_t why)
{
	__atomic_fetch_or(&m->interrupt_status, why, __ATOMIC_ACQ_REL);
	irq_raise(&m->irq);
}

static void queue_interrupt(void *arg, unsigned int queue)
{
	(void)queue;
	interrupt(arg, VIRTIO_MMIO_INT_VRING);
}

static void config_interrupt(void *arg)
{
	interrupt(arg, VIRTIO_MMIO_INT_CONFIG);
}

static void destroy(void *transport)
{
	struct virtio_mmio *m = transport;

	while (m->doorbells > 0)
		bus_doorbell_remove(m->bus, m->range.base + VIRTIO_MMIO_QUEUE_NOTIFY,
				    --m->doorbells);
	bus_remove(m->bus, &m->range);
	if (m->irq.fd >= 0)
		irq_destroy(&m->irq);
	pthread_mutex_destroy(&m->lock);
	free(m);
}

static const struct virtio_transport_ops transport_ops = {
	.queue_interrupt = queue_interrupt,
	.config_interrupt = config_interrupt,
	.destroy = destroy,
};

int virtio_mmio_create(struct virtio_dev *dev, uint64_t base, unsigned int gsi, struct bus *mmio,
		       struct irqchip *irqchip)
{
	struct virtio_mmio *m = calloc(1, sizeof(*m));
	int ret;

	if (!m)
		return -ENOMEM;
	m->dev = dev;
	m->bus = mmio;
	m->irq.fd = -1;
	pthread_mutex_init(&m->lock, NULL);
	m->range = (struct bus_range){
		.name = dev->name,
		.base = base,
		.len = PAGE,
		.ops = &mmio_ops,
		.dev = m,
	};
	ret = bus_add(mmio, &m->range);
	if (ret) {
		log_error("%s: cannot place its registers at %#llx: %s", dev->name,
			  (unsigned long long)m->range.base, strerror(-ret));
		goto fail;
	}
	ret = irq_init_edge(&m->irq, irqchip, gsi);
	while (!ret && m->doorbells < dev->nr_vqs) {
		ret = bus_doorbell_add(mmio, m->range.base + VIRTIO_MMIO_QUEUE_NOTIFY, m->doorbells,
				       dev->vq[m->doorbells].kick_fd);
		if (!ret)
			m->doorbells++;
	}
	if (ret)
		goto fail;
	virtio_attach(dev, &transport_ops, m);
	return 0;
fail:
	destroy(m);
	return ret;
}
