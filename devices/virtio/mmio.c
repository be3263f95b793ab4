/* The virtio MMIO transport, version 2 (virtio 1.2, 4.2.2). */
#include "devices/virtio/mmio.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <linux/virtio_mmio.h>

#include "vmm/base/event.h"
#include "vmm/base/log.h"

#define MAGIC	0x74726976 /* "virt" */
#define VERSION 2
#define VENDOR	0x4d564d4d
#define PAGE	0x1000u

struct virtio_mmio {
	struct virtio_dev *dev;
	struct bus *bus;
	struct bus_range range;
	struct irq irq;
	pthread_mutex_t lock; /* for the selectors */
	uint32_t device_features_sel, driver_features_sel, queue_sel;
	unsigned int doorbells; /* added so far */
	int ack_fd;		/* rung by acknowledgements, for nobody; or -1 */
	/* What reads of the registers give: written when that changes, by atomic stores, for the guest may read it itself. */
	uint8_t *page;
	pthread_mutex_t
		page_lock; /* for what any thread may change; a leaf but for the config space's lock */
	uint64_t own[PAGE / 8]; /* where nobody gave a page */
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

static uint32_t *shown(struct virtio_mmio *m, uint64_t offset)
{
	return (uint32_t *)(m->page + offset);
}

static void show(struct virtio_mmio *m, uint64_t offset, uint32_t value)
{
	__atomic_store_n(shown(m, offset), value, __ATOMIC_RELEASE);
}

/* What the selectors select. */
static void show_selected(struct virtio_mmio *m)
{
	show(m, VIRTIO_MMIO_DEVICE_FEATURES,
	     virtio_get_device_features(m->dev, m->device_features_sel));
	show(m, VIRTIO_MMIO_QUEUE_NUM_MAX,
	     virtio_get_queue(m->dev, m->queue_sel, VIRTIO_QUEUE_SIZE_MAX));
	show(m, VIRTIO_MMIO_QUEUE_READY,
	     virtio_get_queue(m->dev, m->queue_sel, VIRTIO_QUEUE_READY));
}

/* What may change at any time. */
static void changed(void *transport)
{
	struct virtio_mmio *m = transport;
	const uint32_t len = MIN(m->dev->config_len, PAGE - VIRTIO_MMIO_CONFIG);

	hold(&m->page_lock);
	show(m, VIRTIO_MMIO_STATUS, virtio_get_status(m->dev));
	show(m, VIRTIO_MMIO_CONFIG_GENERATION, virtio_get_config_generation(m->dev));
	for (uint32_t i = 0; i < len; i += 8)
		__atomic_store_n((uint64_t *)(m->page + VIRTIO_MMIO_CONFIG + i),
				 virtio_read_config(m->dev, i, 8), __ATOMIC_RELEASE);
}

static void show_all(struct virtio_mmio *m)
{
	show(m, VIRTIO_MMIO_MAGIC_VALUE, MAGIC);
	show(m, VIRTIO_MMIO_VERSION, VERSION);
	show(m, VIRTIO_MMIO_DEVICE_ID, m->dev->device_id);
	show(m, VIRTIO_MMIO_VENDOR_ID, VENDOR);
	/* No shared memory region (4.2.2). */
	show(m, VIRTIO_MMIO_SHM_LEN_LOW, ~0u);
	show(m, VIRTIO_MMIO_SHM_LEN_HIGH, ~0u);
	show(m, VIRTIO_MMIO_SHM_BASE_LOW, ~0u);
	show(m, VIRTIO_MMIO_SHM_BASE_HIGH, ~0u);
	show_selected(m);
	changed(m);
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
		__atomic_fetch_and(shown(m, VIRTIO_MMIO_INTERRUPT_STATUS), ~value,
				   __ATOMIC_ACQ_REL);
		break;
	case VIRTIO_MMIO_STATUS:
		virtio_set_status(dev, (uint8_t)value);
		if (!(uint8_t)value)
			show(m, VIRTIO_MMIO_INTERRUPT_STATUS, 0);
		break;
	default: /* a notification of a queue that does not exist ends here too */
		break;
	}
}

static uint64_t mmio_read(void *arg, uint64_t offset, unsigned int size)
{
	struct virtio_mmio *m = arg;
	uint64_t v = 0;

	if (size == 4 && offset % 4 == 0)
		return __atomic_load_n(shown(m, offset), __ATOMIC_ACQUIRE);
	if (offset >= VIRTIO_MMIO_CONFIG)
		memcpy(&v, m->page + offset, size);
	return v;
}

static void mmio_write(void *arg, uint64_t offset, unsigned int size, uint64_t value)
{
	struct virtio_mmio *m = arg;

	hold(&m->lock);
	if (offset >= VIRTIO_MMIO_CONFIG)
		virtio_write_config(m->dev, offset - VIRTIO_MMIO_CONFIG, size, value);
	else if (size == 4 && offset % 4 == 0)
		write_register(m, offset, (uint32_t)value);
	show_selected(m);
	changed(m);
}

static const struct bus_ops mmio_ops = { .read = mmio_read, .write = mmio_write };

static void interrupt(struct virtio_mmio *m, uint32_t why)
{
	__atomic_fetch_or(shown(m, VIRTIO_MMIO_INTERRUPT_STATUS), why, __ATOMIC_ACQ_REL);
	irq_raise(&m->irq);
}

static void queue_interrupt(void *arg, unsigned int queue)
{
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
	if (m->ack_fd >= 0) {
		bus_doorbell_remove(m->bus, m->range.base + VIRTIO_MMIO_INTERRUPT_ACK,
				    VIRTIO_MMIO_INT_VRING);
		close(m->ack_fd);
	}
	bus_remove(m->bus, &m->range);
	irq_destroy(&m->irq);
	pthread_mutex_destroy(&m->page_lock);
	pthread_mutex_destroy(&m->lock);
	free(m);
}

static const struct virtio_transport_ops transport_ops = {
	.queue_interrupt = queue_interrupt,
	.config_interrupt = config_interrupt,
	.changed = changed,
	.destroy = destroy,
};

/* Acknowledgements of the interrupt for queues, which come with each, then end in the kernel. */
static int add_ack(struct virtio_mmio *m)
{
	const int fd = event_create();
	int ret = MIN(fd, 0);

	if (!ret)
		ret = bus_doorbell_add(m->bus, m->range.base + VIRTIO_MMIO_INTERRUPT_ACK,
				       VIRTIO_MMIO_INT_VRING, fd);
	if (ret)
		close_fd(fd);
	else
		m->ack_fd = fd;
	return ret;
}

int virtio_mmio_create(struct virtio_dev *dev, uint64_t base, unsigned int gsi, uint8_t *page,
		       struct bus *mmio, struct irqchip *irqchip)
{
	struct virtio_mmio *m = calloc(1, sizeof(*m));
	int ret;

	if (!m)
		return -ENOMEM;
	m->dev = dev;
	m->bus = mmio;
	m->irq.fd = -1;
	m->ack_fd = -1;
	m->page = page ? page : (uint8_t *)m->own;
	pthread_mutex_init(&m->lock, NULL);
	pthread_mutex_init(&m->page_lock, NULL);
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
	if (!ret && page)
		ret = add_ack(m);
	if (ret)
		goto fail;
	show_all(m);
	virtio_attach(dev, &transport_ops, m);
	return 0;
fail:
	destroy(m);
	return ret;
}
