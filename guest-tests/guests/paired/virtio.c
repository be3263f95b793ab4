/*
 * What all transports share: the steps of initialisation (virtio 1.2, 3.1.1) and split
 * queues (2.7).
 */
#include "guest-tests/guests/paired/clock.h"
#include "guest-tests/guests/paired/cpu.h"
#include "guest-tests/guests/paired/lib.h"
#include "guest-tests/guests/paired/machine.h"
#include "guest-tests/guests/paired/virtio.h"

#define RESET_TIMEOUT_US 1000000

bool virtio_find(struct virtio_device *dev)
{
	return virtio_mmio_find(dev) || virtio_pci_find(dev);
}

uint64_t virtio_features(const struct virtio_device *dev)
{
	const struct virtio_transport *t = dev->transport;

	cpu_write32(dev->regs + t->features_sel, 1);
	uint64_t high = cpu_read32(dev->regs + t->features);

	cpu_write32(dev->regs + t->features_sel, 0);
	return high << 32 | cpu_read32(dev->regs + t->features);
}

static void set_features(const struct virtio_device *dev, uint64_t value)
{
	const struct virtio_transport *t = dev->transport;

	cpu_write32(dev->regs + t->driver_sel, 1);
	cpu_write32(dev->regs + t->driver_features, (uint32_t)(value >> 32));
	cpu_write32(dev->regs + t->driver_sel, 0);
	cpu_write32(dev->regs + t->driver_features, (uint32_t)value);
}

uint8_t virtio_config8(const struct virtio_device *dev, uint32_t offset)
{
	return cpu_read8(dev->config + offset);
}

void virtio_write64(const struct virtio_device *dev, uint32_t reg, uint64_t value)
{
	cpu_write32(dev->regs + reg, (uint32_t)value);
	cpu_write32(dev->regs + reg + 4, (uint32_t)(value >> 32));
}

bool virtio_reset(struct virtio_device *dev)
{
	uint64_t deadline = clock_us() + RESET_TIMEOUT_US;

	dev->transport->set_status(dev, 0);
	while (dev->transport->status(dev) != 0)
		if (clock_us() > deadline)
			return false;
	return true;
}

bool virtio_begin(struct virtio_device *dev, uint64_t wanted, uint64_t *agreed)
{
	if (!virtio_reset(dev))
		return false;
	dev->transport->set_status(dev, VIRTIO_ACKNOWLEDGE);
	dev->transport->set_status(dev, VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER);
	wanted |= 1ull << VIRTIO_F_VERSION_1;
	*agreed = wanted & virtio_features(dev);
	if (!(*agreed >> VIRTIO_F_VERSION_1 & 1))
		return false;
	set_features(dev, *agreed);
	dev->transport->set_status(dev, VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER | VIRTIO_FEATURES_OK);
	return dev->transport->status(dev) & VIRTIO_FEATURES_OK;
}

void virtio_go(struct virtio_device *dev)
{
	dev->transport->set_status(dev, VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER | VIRTIO_FEATURES_OK |
						VIRTIO_DRIVER_OK);
}

static uint64_t page_align(uint64_t size)
{
	return (size + 4095) & ~4095ull;
}

static uint64_t avail_bytes(uint16_t size)
{
	return sizeof(struct virtq_avail) + 2ull * size + 2;
}

static uint64_t used_bytes(uint16_t size)
{
	return sizeof(struct virtq_used) + size * sizeof(struct virtq_used_elem) + 2;
}

bool virtq_setup(struct virtq *q, struct virtio_device *dev, uint16_t queue, uint16_t max,
		 bool event_idx)
{
	uint16_t size = dev->transport->queue_max(dev, queue);
	uint64_t desc_size, avail_size, used_size;

	if (size == 0)
		return false;
	if (size > max)
		size = max;
	while (size & (size - 1)) /* down to a power of two */
		size &= (uint16_t)(size - 1);
	/* Pages of their own keep what the two sides write apart. */
	desc_size = page_align(size * sizeof(struct virtq_desc));
	avail_size = page_align(avail_bytes(size));
	used_size = page_align(used_bytes(size));

	uint8_t *memory = machine_alloc(desc_size + avail_size + used_size);

	if (memory == NULL)
		return false;
	q->size = size;
	q->desc = (void *)memory;
	q->avail = (void *)(memory + desc_size);
	q->used = (void *)(memory + desc_size + avail_size);
	virtq_clear(q, event_idx);
	virtq_enable(q, dev, queue);
	return true;
}

void virtq_clear(struct virtq *q, bool event_idx)
{
	memset(q->desc, 0, q->size * sizeof(struct virtq_desc));
	memset((void *)q->avail, 0, avail_bytes(q->size));
	memset((void *)q->used, 0, used_bytes(q->size));
	q->avail_idx = 0;
	q->published = 0;
	q->last_used = 0;
	q->event_idx = event_idx;
	virtq_want_no_interrupt(q);
}

void virtq_enable(struct virtq *q, struct virtio_device *dev, uint16_t queue)
{
	struct virtio_queue_addresses at = { .desc = (uint64_t)q->desc,
					     .avail = (uint64_t)q->avail,
					     .used = (uint64_t)q->used,
					     .size = q->size };

	dev->transport->queue_enable(dev, queue, &at, &q->doorbell);
}

bool virtq_publish(struct virtq *q)
{
	uint16_t before = q->published, now = q->avail_idx;

	if (before == now)
		return false;
	cpu_compiler_barrier(); /* the entries before idx: x86 keeps stores in order */
	q->avail->idx = now;
	q->published = now;
	cpu_barrier();
	if (!q->event_idx)
		return !(q->used->flags & VIRTQ_USED_NO_NOTIFY);
	uint16_t event = *(volatile uint16_t *)&q->used->ring[q->size];

	return (uint16_t)(now - event - 1) < (uint16_t)(now - before);
}

bool virtq_want_interrupt(struct virtq *q, uint16_t count)
{
	q->avail->flags = 0;
	q->avail->ring[q->size] = (uint16_t)(q->last_used + count);
	cpu_barrier();
	return (uint16_t)(q->used->idx - q->last_used) > count;
}

void virtq_want_no_interrupt(struct virtq *q)
{
	q->avail->flags = q->event_idx ? 0 : VIRTQ_AVAIL_NO_INTERRUPT;
	/* With EVENT_IDX there is no off: an event half the index space away comes as close. */
	q->avail->ring[q->size] = (uint16_t)(q->last_used - 0x8000);
}
