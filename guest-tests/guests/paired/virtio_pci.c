/* Virtio over PCI (virtio 1.2, 4.1). */
#include "guest-tests/guests/paired/cpu.h"
#include "guest-tests/guests/paired/lib.h"
#include "guest-tests/guests/paired/pci.h"
#include "guest-tests/guests/paired/ring0.h"
#include "guest-tests/guests/paired/virtio.h"

#define CAP_VENDOR     0x09
#define CAP_MSIX       0x11
#define MSIX_ENABLE    0x80000000u
#define MSIX_MASK_ALL  0x40000000u
#define MSIX_SIZE      0x7ff
#define MSIX_ENTRY     16
#define VIRTIO_VENDOR  0x1af4
#define VIRTIO_MODERN  0x1040
#define VIRTIO_OLD_NET 0x1000 /* a transitional one */

/* cfg_type of a vendor capability. */
#define CAP_COMMON 1
#define CAP_NOTIFY 2
#define CAP_ISR	   3
#define CAP_DEVICE 4

#define COMMON_FEATURES_SEL    0x00
#define COMMON_FEATURES	       0x04
#define COMMON_DRIVER_SEL      0x08
#define COMMON_DRIVER_FEATURES 0x0c
#define COMMON_STATUS	       0x14
#define COMMON_QUEUE_SEL       0x16
#define COMMON_QUEUE_SIZE      0x18
#define COMMON_QUEUE_VECTOR    0x1a
#define COMMON_QUEUE_ENABLE    0x1c
#define COMMON_QUEUE_NOTIFY    0x1e
#define COMMON_QUEUE_DESC      0x20
#define COMMON_QUEUE_AVAIL     0x28
#define COMMON_QUEUE_USED      0x30
#define COMMON_SIZE	       0x38

static uint8_t status(struct virtio_device *dev)
{
	return cpu_read8(dev->regs + COMMON_STATUS);
}

static void set_status(struct virtio_device *dev, uint8_t value)
{
	cpu_write8(dev->regs + COMMON_STATUS, value);
}

static uint16_t queue_max(struct virtio_device *dev, uint16_t queue)
{
	cpu_write16(dev->regs + COMMON_QUEUE_SEL, queue);
	return cpu_read16(dev->regs + COMMON_QUEUE_SIZE);
}

static void queue_enable(struct virtio_device *dev, uint16_t queue,
			 const struct virtio_queue_addresses *at, struct irq_write *doorbell)
{
	cpu_write16(dev->regs + COMMON_QUEUE_SEL, queue);
	cpu_write16(dev->regs + COMMON_QUEUE_SIZE, at->size);
	virtio_write64(dev, COMMON_QUEUE_DESC, at->desc);
	virtio_write64(dev, COMMON_QUEUE_AVAIL, at->avail);
	virtio_write64(dev, COMMON_QUEUE_USED, at->used);
	if (queue / 2u < dev->vectors)
		cpu_write16(dev->regs + COMMON_QUEUE_VECTOR, queue / 2);
	uint64_t offset = cpu_read16(dev->regs + COMMON_QUEUE_NOTIFY);

	*doorbell = (struct irq_write){ dev->notify + offset * dev->notify_multiplier, queue, 2 };
	cpu_write16(dev->regs + COMMON_QUEUE_ENABLE, 1);
}

static void route_interrupt(struct virtio_device *dev, uint32_t pair)
{
	uint64_t entry = dev->msix + pair * MSIX_ENTRY;

	ring0_ack_write = 0;
	ring0_ack_read = dev->msix ? 0 : dev->isr;
	if (!dev->msix) {
		irq_route(dev->gsi, true);
		return;
	}
	cpu_write32(entry, (uint32_t)irq_msi_address());
	cpu_write32(entry + 4, 0);
	cpu_write32(entry + 8, irq_msi_data());
	cpu_write32(entry + 12, 0); /* not masked */
}

static const struct virtio_transport virtio_pci = {
	.status = status,
	.set_status = set_status,
	.features_sel = COMMON_FEATURES_SEL,
	.features = COMMON_FEATURES,
	.driver_sel = COMMON_DRIVER_SEL,
	.driver_features = COMMON_DRIVER_FEATURES,
	.queue_max = queue_max,
	.queue_enable = queue_enable,
	.route_interrupt = route_interrupt,
};

/* Its vectors, one a queue pair, are masked until they are routed. */
static void enable_msix(struct virtio_device *dev, uint32_t cap)
{
	uint32_t head = pci_read(dev->pci_address, cap),
		 where = pci_read(dev->pci_address, cap + 4);
	uint32_t vectors = (head >> 16 & MSIX_SIZE) + 1;

	dev->msix = pci_map(dev->pci_address, where & 7, where & ~7u, vectors * MSIX_ENTRY);
	if (dev->msix == 0)
		return;
	dev->vectors = vectors;
	pci_write(dev->pci_address, cap, (head | MSIX_ENABLE) & ~MSIX_MASK_ALL);
}

static bool probe(struct virtio_device *dev, uint32_t device)
{
	uint32_t command = pci_read(device, PCI_COMMAND), msix = 0;

	*dev = (struct virtio_device){ .transport = &virtio_pci, .pci_address = device };
	if (!(command & STATUS_CAP_LIST))
		return false;
	pci_enable(device);
	uint32_t cap = pci_read8(device, PCI_CAPABILITIES) & 0xfcu;

	for (int left = 48; cap != 0 && left > 0; left--) {
		uint32_t head = pci_read(device, cap);

		if ((head & 0xff) == CAP_MSIX)
			msix = cap;
		if ((head & 0xff) == CAP_VENDOR) {
			unsigned type = head >> 24, bar = pci_read8(device, cap + 4);
			uint32_t offset = pci_read(device, cap + 8);
			uint32_t size = pci_read(device, cap + 12);
			uint64_t at = type >= CAP_COMMON && type <= CAP_DEVICE
					      ? pci_map(device, bar, offset, size)
					      : 0;

			/*
			 * The specification has drivers take the first one of a type that they can
			 * use.
			 */
			if (type == CAP_COMMON && dev->regs == 0 && size >= COMMON_SIZE)
				dev->regs = at;
			if (type == CAP_NOTIFY && dev->notify == 0) {
				dev->notify = at;
				dev->notify_multiplier = pci_read(device, cap + 16);
			}
			if (type == CAP_ISR && dev->isr == 0)
				dev->isr = at;
			if (type == CAP_DEVICE && dev->config == 0)
				dev->config = at;
		}
		cap = head >> 8 & 0xfc;
	}
	if (dev->regs == 0 || dev->notify == 0 || dev->isr == 0 || dev->config == 0)
		return false;
	dev->gsi = pci_read8(device, PCI_INTERRUPT);
	if (msix != 0)
		enable_msix(dev, msix);
	return true;
}

bool virtio_pci_find(struct virtio_device *dev)
{
	for (uint32_t device = pci_next(0); device != 0; device = pci_next(device)) {
		uint32_t ids = pci_read(device, PCI_ID);

		if ((ids & 0xffff) == VIRTIO_VENDOR &&
		    (ids >> 16 == VIRTIO_MODERN + VIRTIO_ID_NET || ids >> 16 == VIRTIO_OLD_NET) &&
		    probe(dev, device))
			return true;
	}
	return false;
}
