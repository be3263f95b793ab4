/* Virtio over MMIO, version 2 (virtio 1.2, 4.2), found on the command line. */
#include "guest-tests/guests/paired/cmdline.h"
#include "guest-tests/guests/paired/cpu.h"
#include "guest-tests/guests/paired/lib.h"
#include "guest-tests/guests/paired/machine.h"
#include "guest-tests/guests/paired/ring0.h"
#include "guest-tests/guests/paired/virtio.h"

#define MMIO_MAGIC	     0x000
#define MMIO_VERSION	     0x004
#define MMIO_DEVICE_ID	     0x008
#define MMIO_FEATURES	     0x010
#define MMIO_FEATURES_SEL    0x014
#define MMIO_DRIVER_FEATURES 0x020
#define MMIO_DRIVER_SEL	     0x024
#define MMIO_QUEUE_SEL	     0x030
#define MMIO_QUEUE_MAX	     0x034
#define MMIO_QUEUE_SIZE	     0x038
#define MMIO_QUEUE_READY     0x044
#define MMIO_QUEUE_NOTIFY    0x050
#define MMIO_INTERRUPT_ACK   0x064
#define MMIO_STATUS	     0x070
#define MMIO_QUEUE_DESC	     0x080
#define MMIO_QUEUE_AVAIL     0x090
#define MMIO_QUEUE_USED	     0x0a0
#define MMIO_CONFIG	     0x100

#define MAGIC	  0x74726976 /* "virt" */
#define ACK_QUEUE 1
#define ACK_ALL	  3

static uint32_t get(struct virtio_device *dev, uint32_t reg)
{
	return cpu_read32(dev->regs + reg);
}

static void set(struct virtio_device *dev, uint32_t reg, uint32_t value)
{
	cpu_write32(dev->regs + reg, value);
}

static uint8_t status(struct virtio_device *dev)
{
	return (uint8_t)get(dev, MMIO_STATUS);
}

static void set_status(struct virtio_device *dev, uint8_t value)
{
	set(dev, MMIO_STATUS, value);
}

static uint16_t queue_max(struct virtio_device *dev, uint16_t queue)
{
	set(dev, MMIO_QUEUE_SEL, queue);
	uint32_t max = get(dev, MMIO_QUEUE_MAX);

	return max > 32768 ? 32768 : (uint16_t)max;
}

static void queue_enable(struct virtio_device *dev, uint16_t queue,
			 const struct virtio_queue_addresses *at, struct irq_write *doorbell)
{
	set(dev, MMIO_QUEUE_SEL, queue);
	set(dev, MMIO_QUEUE_SIZE, at->size);
	virtio_write64(dev, MMIO_QUEUE_DESC, at->desc);
	virtio_write64(dev, MMIO_QUEUE_AVAIL, at->avail);
	virtio_write64(dev, MMIO_QUEUE_USED, at->used);
	set(dev, MMIO_QUEUE_READY, 1);
	*doorbell = (struct irq_write){ dev->regs + MMIO_QUEUE_NOTIFY, queue, 4 };
}

/*
 * The line is up while an interrupt is not acknowledged. It is taken as an edge, and acknowledged
 * without a look at what it was: every look costs an exit, and the rings tell.
 */
static void route_interrupt(struct virtio_device *dev, uint32_t pair)
{
	ring0_ack_value = ACK_QUEUE; /* a change of configuration is nobody's business here */
	ring0_ack_read = 0;
	ring0_ack_write = dev->regs + MMIO_INTERRUPT_ACK;
	set(dev, MMIO_INTERRUPT_ACK, ACK_ALL);
	irq_route(dev->gsi, false);
}

static const struct virtio_transport virtio_mmio = {
	.status = status,
	.set_status = set_status,
	.features_sel = MMIO_FEATURES_SEL,
	.features = MMIO_FEATURES,
	.driver_sel = MMIO_DRIVER_SEL,
	.driver_features = MMIO_DRIVER_FEATURES,
	.queue_max = queue_max,
	.queue_enable = queue_enable,
	.route_interrupt = route_interrupt,
};

bool virtio_mmio_find(struct virtio_device *dev)
{
	const char *word;
	size_t length;

	for (unsigned i = 0;
	     (word = cmdline_find(machine.cmdline, "virtio_mmio.device=", i, &length)) != NULL;
	     i++) {
		uint64_t size, base;

		*dev = (struct virtio_device){ .transport = &virtio_mmio };
		if (!cmdline_virtio_mmio(word, length, &size, &base, &dev->gsi) ||
		    size <= MMIO_CONFIG || machine_map_registers(base, size) == NULL)
			continue;
		dev->regs = base;
		dev->config = base + MMIO_CONFIG;
		if (get(dev, MMIO_MAGIC) == MAGIC && get(dev, MMIO_VERSION) == 2 &&
		    get(dev, MMIO_DEVICE_ID) == VIRTIO_ID_NET)
			return true;
	}
	return false;
}
