/* The virtio PCI transport (virtio 1.2, 4.1): registers in BARs, found through capabilities. */
#include "devices/virtio/pci.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <linux/pci_regs.h>
#include <linux/virtio_pci.h>

#include "vmm/base/event.h"
#include "vmm/base/log.h"

#define CLASS_OTHER	 0x00ff00 /* no class fits */
#define VENDOR_VIRTIO	 0x1af4
#define DEVICE_ID_MODERN 0x1040 /* + the virtio device id (4.1.2.1) */

/* BAR 0 has a page for each structure. */
#define BAR_REGISTERS	0u
#define BAR_MSIX	1u
#define BAR_PORTS	2u /* the doorbells once more, see add_ports() */
#define PAGE		0x1000u
#define COMMON		(0 * PAGE)
#define ISR		(1 * PAGE)
#define DEVICE		(2 * PAGE)
#define NOTIFY		(3 * PAGE)
#define REGISTERS_SIZE	(4 * PAGE)
#define NOTIFY_MULT	4u
#define COMMON_LEN	(VIRTIO_PCI_COMMON_Q_RESET + 4u) /* to the end of 4.1.4.3 */
#define ISR_QUEUE	BIT(0)
#define CFG_DATA_OFFSET 16u /* pci_cfg_data within its capability */

struct virtio_pci {
	struct pci_func func;
	struct virtio_dev *dev;
	unsigned int cfg_cap; /* PCI configuration access capability */
	uint64_t slow_kicks;  /* times that a doorbell could not be had */

	_Atomic uint32_t device_feature_select, driver_feature_select;
	_Atomic uint16_t queue_select;

	pthread_mutex_t isr_lock; /* ISR and INTA change together */
	uint8_t isr;

	_Atomic uint16_t config_vector;
	_Atomic uint16_t queue_vector[]; /* dev->nr_vqs */
};

/* ---- interrupts (4.1.5.3, 4.1.5.4) ---- */

static void isr_set(struct virtio_pci *vpci, uint8_t bits)
{
	hold(&vpci->isr_lock);
	vpci->isr |= bits;
	pci_intx_set(&vpci->func, true);
}

static uint8_t isr_take(struct virtio_pci *vpci)
{
	uint8_t bits;

	hold(&vpci->isr_lock);
	bits = vpci->isr;
	vpci->isr = 0;
	pci_intx_set(&vpci->func, false);
	return bits;
}

static void queue_interrupt(void *transport, unsigned int queue)
{
	struct virtio_pci *vpci = transport;

	if (likely(pci_msix_enabled(&vpci->func)))
		pci_msix_raise(&vpci->func.msix, vpci->queue_vector[queue]);
	else
		isr_set(vpci, ISR_QUEUE);
}

static void config_interrupt(void *transport)
{
	struct virtio_pci *vpci = transport;

	isr_set(vpci, VIRTIO_PCI_ISR_CONFIG); /* with MSI-X too: 4.1.4.5.1 */
	if (pci_msix_enabled(&vpci->func))
		pci_msix_raise(&vpci->func.msix, vpci->config_vector);
}

static int queue_event(void *transport, unsigned int queue)
{
	const struct virtio_pci *vpci = transport;
	const uint16_t v = vpci->queue_vector[queue];

	if (!pci_msix_enabled(&vpci->func))
		return -ENOTSUP;
	return v < vpci->func.msix.nr ? vpci->func.msix.vector[v].irq.fd : -1;
}

static void msix_changed(struct pci_func *func)
{
	virtio_interrupts_moved(container_of(func, struct virtio_pci, func)->dev);
}

static void destroy(void *transport)
{
	struct virtio_pci *vpci = transport;

	pci_func_destroy(&vpci->func);
	pthread_mutex_destroy(&vpci->isr_lock);
	free(vpci);
}

static const struct virtio_transport_ops transport_ops = {
	.queue_interrupt = queue_interrupt,
	.config_interrupt = config_interrupt,
	.queue_event = queue_event,
	.destroy = destroy,
};

static void forget_interrupts(struct virtio_pci *vpci)
{
	vpci->config_vector = VIRTIO_MSI_NO_VECTOR;
	for (unsigned int i = 0; i < vpci->dev->nr_vqs; i++)
		vpci->queue_vector[i] = VIRTIO_MSI_NO_VECTOR;
	pci_msix_clear_pending(&vpci->func.msix);
	isr_take(vpci);
}

/* ---- common configuration (4.1.4.3) ---- */

/* The width of the field at @offset. */
static unsigned int field_width(uint64_t offset)
{
	if (offset == VIRTIO_PCI_COMMON_STATUS || offset == VIRTIO_PCI_COMMON_CFGGENERATION)
		return 1;
	if (offset < VIRTIO_PCI_COMMON_MSIX ||
	    (offset >= VIRTIO_PCI_COMMON_Q_DESCLO && offset < VIRTIO_PCI_COMMON_Q_NDATA))
		return 4;
	return 2;
}

/* 4.1.3.1: each field at its own width, a 64-bit one as two halves (or, harmlessly, at once). */
static bool is_legal(uint64_t offset, unsigned int size)
{
	return size == field_width(offset) && offset % size == 0;
}

/* The half of a queue's address at @offset: both come in the same order. */
static enum virtio_queue_reg address_reg(uint64_t offset)
{
	return (enum virtio_queue_reg)(VIRTIO_QUEUE_DESC_LO +
				       (offset - VIRTIO_PCI_COMMON_Q_DESCLO) / 4);
}
_Static_assert(VIRTIO_QUEUE_DEVICE_HI - VIRTIO_QUEUE_DESC_LO ==
		       (VIRTIO_PCI_COMMON_Q_USEDHI - VIRTIO_PCI_COMMON_Q_DESCLO) / 4,
	       "queue address registers differ in order");

/* The vector of the selected queue, or NULL. */
static _Atomic uint16_t *queue_vector(struct virtio_pci *vpci, uint16_t queue)
{
	return queue < vpci->dev->nr_vqs ? &vpci->queue_vector[queue] : NULL;
}

static uint64_t common_read(struct virtio_pci *vpci, uint64_t offset, unsigned int size)
{
	struct virtio_dev *dev = vpci->dev;
	const uint16_t queue = vpci->queue_select;
	_Atomic uint16_t *vector = queue_vector(vpci, queue);

	if (size == 8)
		return common_read(vpci, offset, 4) | common_read(vpci, offset + 4, 4) << 32;
	if (!is_legal(offset, size))
		return 0;
	switch (offset) {
	case VIRTIO_PCI_COMMON_DFSELECT:
		return vpci->device_feature_select;
	case VIRTIO_PCI_COMMON_DF:
		return virtio_get_device_features(dev, vpci->device_feature_select);
	case VIRTIO_PCI_COMMON_GFSELECT:
		return vpci->driver_feature_select;
	case VIRTIO_PCI_COMMON_GF:
		return virtio_get_driver_features(dev, vpci->driver_feature_select);
	case VIRTIO_PCI_COMMON_MSIX:
		return vpci->config_vector;
	case VIRTIO_PCI_COMMON_NUMQ:
		return dev->nr_vqs;
	case VIRTIO_PCI_COMMON_STATUS:
		return virtio_get_status(dev);
	case VIRTIO_PCI_COMMON_CFGGENERATION:
		return virtio_get_config_generation(dev);
	case VIRTIO_PCI_COMMON_Q_SELECT:
		return queue;
	case VIRTIO_PCI_COMMON_Q_SIZE:
		return virtio_get_queue(dev, queue, VIRTIO_QUEUE_SIZE);
	case VIRTIO_PCI_COMMON_Q_MSIX:
		return vector ? *vector : VIRTIO_MSI_NO_VECTOR;
	case VIRTIO_PCI_COMMON_Q_ENABLE:
		return virtio_get_queue(dev, queue, VIRTIO_QUEUE_READY);
	case VIRTIO_PCI_COMMON_Q_NOFF:
		return vector ? queue : 0;
	case VIRTIO_PCI_COMMON_Q_DESCLO ... VIRTIO_PCI_COMMON_Q_USEDHI:
		return virtio_get_queue(dev, queue, address_reg(offset));
	default: /* queue_notify_data and queue_reset: features not offered */
		return 0;
	}
}

static void set_vector(struct virtio_pci *vpci, _Atomic uint16_t *vector, uint32_t value)
{
	/* Reading NO_VECTOR back tells the driver that it cannot have this one (4.1.5.1.2). */
	*vector = value < vpci->func.msix.nr ? (uint16_t)value : VIRTIO_MSI_NO_VECTOR;
}

static void common_write(struct virtio_pci *vpci, uint64_t offset, unsigned int size, uint64_t raw)
{
	const uint32_t value = (uint32_t)raw;
	struct virtio_dev *dev = vpci->dev;
	const uint16_t queue = vpci->queue_select;
	_Atomic uint16_t *vector = queue_vector(vpci, queue);

	if (size == 8) {
		common_write(vpci, offset, 4, (uint32_t)raw);
		common_write(vpci, offset + 4, 4, raw >> 32);
		return;
	}
	if (!is_legal(offset, size))
		return;
	switch (offset) {
	case VIRTIO_PCI_COMMON_DFSELECT:
		vpci->device_feature_select = value;
		break;
	case VIRTIO_PCI_COMMON_GFSELECT:
		vpci->driver_feature_select = value;
		break;
	case VIRTIO_PCI_COMMON_GF:
		virtio_set_driver_features(dev, vpci->driver_feature_select, value);
		break;
	case VIRTIO_PCI_COMMON_MSIX:
		set_vector(vpci, &vpci->config_vector, value);
		break;
	case VIRTIO_PCI_COMMON_STATUS:
		virtio_set_status(dev, (uint8_t)value);
		if (!value)
			forget_interrupts(vpci);
		break;
	case VIRTIO_PCI_COMMON_Q_SELECT:
		vpci->queue_select = (uint16_t)value;
		break;
	case VIRTIO_PCI_COMMON_Q_SIZE:
		virtio_set_queue(dev, queue, VIRTIO_QUEUE_SIZE, value);
		break;
	case VIRTIO_PCI_COMMON_Q_MSIX:
		if (vector) {
			set_vector(vpci, vector, value);
			virtio_interrupts_moved(dev);
		}
		break;
	case VIRTIO_PCI_COMMON_Q_ENABLE:
		if (value == 1) /* there is no way back but reset */
			virtio_set_queue(dev, queue, VIRTIO_QUEUE_READY, 1);
		break;
	case VIRTIO_PCI_COMMON_Q_DESCLO ... VIRTIO_PCI_COMMON_Q_USEDHI:
		virtio_set_queue(dev, queue, address_reg(offset), value);
		break;
	default: /* read-only or not offered */
		break;
	}
}

/* ---- the BARs ---- */

static void ring(struct virtio_pci *vpci, uint64_t offset)
{
	const uint64_t queue = offset / NOTIFY_MULT;

	if (offset % NOTIFY_MULT == 0 && queue < vpci->dev->nr_vqs)
		event_signal(vpci->dev->vq[queue].kick_fd);
}

static uint64_t registers_read(void *arg, uint64_t offset, unsigned int size)
{
	struct virtio_pci *vpci = arg;
	uint64_t value = 0;

	switch (ALIGN_DOWN(offset, PAGE)) {
	case COMMON:
		value = common_read(vpci, offset, size);
		break;
	case ISR:
		if (offset == ISR && size == 1)
			value = isr_take(vpci);
		break;
	case DEVICE:
		value = virtio_read_config(vpci->dev, offset - DEVICE, size);
		break;
	default: /* notifications are written only */
		break;
	}
	return value;
}

static void registers_write(void *arg, uint64_t offset, unsigned int size, uint64_t value)
{
	struct virtio_pci *vpci = arg;

	switch (ALIGN_DOWN(offset, PAGE)) {
	case COMMON:
		common_write(vpci, offset, size, value);
		break;
	case DEVICE:
		virtio_write_config(vpci->dev, offset - DEVICE, size, value);
		break;
	case NOTIFY:
		ring(vpci, offset - NOTIFY);
		break;
	default: /* ISR is read only */
		break;
	}
}

static const struct bus_ops registers_ops = { .read = registers_read, .write = registers_write };

static uint64_t ports_read(void *arg, uint64_t offset, unsigned int size)
{
	(void)arg, (void)offset, (void)size;
	return 0; /* written only */
}

static void ports_write(void *arg, uint64_t offset, unsigned int size, uint64_t value)
{
	(void)size, (void)value;
	ring(arg, offset);
}

static const struct bus_ops ports_ops = { .read = ports_read, .write = ports_write };

/* A doorbell that cannot be had costs speed only: the write then comes to ring(). */
static void notify_mapped(struct pci_func *func, struct pci_bar *bar, struct bus *bus, bool on)
{
	struct virtio_pci *vpci = container_of(func, struct virtio_pci, func);
	uint64_t addr = bar->range.base + (bar->io ? 0 : NOTIFY);

	for (unsigned int i = 0; i < vpci->dev->nr_vqs; i++, addr += NOTIFY_MULT) {
		if (!on)
			bus_doorbell_remove(bus, addr, BUS_DOORBELL_ANY);
		else if (bus_doorbell_add(bus, addr, BUS_DOORBELL_ANY, vpci->dev->vq[i].kick_fd) &&
			 log_due(&vpci->slow_kicks))
			log_warn("%s: no doorbell for queue %u at %#llx, kicks will be slow",
				 vpci->dev->name, i, (unsigned long long)addr);
	}
}

static void bus_master(struct pci_func *func, bool on)
{
	virtio_set_dma(container_of(func, struct virtio_pci, func)->dev, on);
}

/* ---- PCI configuration access capability (4.1.4.9): BARs for who cannot map them ---- */

/* The access that the capability's fields describe; NULL if it is not a legal one. */
static struct pci_bar *cfg_window(struct virtio_pci *vpci, uint32_t *offset, uint32_t *len)
{
	const struct pci_func *func = &vpci->func;
	const uint8_t bar = func->config[vpci->cfg_cap + VIRTIO_PCI_CAP_BAR];

	*offset = pci_config_get32(func, vpci->cfg_cap + VIRTIO_PCI_CAP_OFFSET);
	*len = pci_config_get32(func, vpci->cfg_cap + VIRTIO_PCI_CAP_LENGTH);
	if (bar >= PCI_NR_BARS || (*len != 1 && *len != 2 && *len != 4) || *offset % *len ||
	    (uint64_t)*offset + *len > func->bar[bar].size)
		return NULL;
	return &vpci->func.bar[bar];
}

static uint32_t cfg_read(struct pci_func *func, unsigned int at, unsigned int size)
{
	struct virtio_pci *vpci = container_of(func, struct virtio_pci, func);
	uint32_t offset, len;
	const struct pci_bar *bar = cfg_window(vpci, &offset, &len);

	if (!bar || at != 0 || size < len)
		return 0;
	return (uint32_t)bar->range.ops->read(bar->range.dev, offset, len);
}

static void cfg_write(struct pci_func *func, unsigned int at, unsigned int size, uint32_t value)
{
	struct virtio_pci *vpci = container_of(func, struct virtio_pci, func);
	uint32_t offset, len;
	const struct pci_bar *bar = cfg_window(vpci, &offset, &len);

	if (!bar || at != 0 || size < len)
		return;
	bar->range.ops->write(bar->range.dev, offset, len,
			      len == 4 ? value : value & (BIT(8 * len) - 1));
}

/* ---- life ---- */

/* Append a capability that points to [offset, offset + len) of @bar; it is @size bytes itself. */
static unsigned int add_cap(struct virtio_pci *vpci, uint8_t type, unsigned int bar,
			    uint32_t offset, uint32_t len, unsigned int size)
{
	struct virtio_pci_notify_cap cap = {
		.cap = {
			.cap_len = (uint8_t)size,
			.cfg_type = type,
			.bar = (uint8_t)bar,
			.offset = offset,
			.length = len,
		},
	};

	if (type == VIRTIO_PCI_CAP_NOTIFY_CFG)
		cap.notify_off_multiplier = NOTIFY_MULT;
	return pci_func_add_cap(&vpci->func, PCI_CAP_ID_VNDR, &cap, size);
}

/*
 * The doorbells as I/O ports too, and first: the order is what the device would have drivers take (4.1.4). The exit itself
 * says what was written to a port; of a write to memory only the instruction does, which KVM has to fetch and decode
 * where it has no short way (AMD; shadow paging).
 */
static void add_ports(struct virtio_pci *vpci)
{
	const unsigned int len = vpci->dev->nr_vqs * NOTIFY_MULT;
	unsigned int size = NOTIFY_MULT;

	while (size < len)
		size *= 2;
	pci_func_set_bar(&vpci->func, BAR_PORTS, size, true, &ports_ops, vpci);
	vpci->func.bar[BAR_PORTS].mapped = notify_mapped;
	add_cap(vpci, VIRTIO_PCI_CAP_NOTIFY_CFG, BAR_PORTS, 0, len,
		sizeof(struct virtio_pci_notify_cap));
}

static void add_caps(struct virtio_pci *vpci)
{
	const struct virtio_dev *dev = vpci->dev;
	struct pci_func *func = &vpci->func;
	const unsigned int size = sizeof(struct virtio_pci_cap);

	pci_func_set_bar(func, BAR_REGISTERS, REGISTERS_SIZE, false, &registers_ops, vpci);
	add_cap(vpci, VIRTIO_PCI_CAP_COMMON_CFG, BAR_REGISTERS, COMMON, COMMON_LEN, size);
	add_cap(vpci, VIRTIO_PCI_CAP_ISR_CFG, BAR_REGISTERS, ISR, 1, size);
	if (dev->config_len)
		add_cap(vpci, VIRTIO_PCI_CAP_DEVICE_CFG, BAR_REGISTERS, DEVICE, dev->config_len,
			size);
	add_ports(vpci);
	func->bar[BAR_REGISTERS].mapped = notify_mapped;
	add_cap(vpci, VIRTIO_PCI_CAP_NOTIFY_CFG, BAR_REGISTERS, NOTIFY, dev->nr_vqs * NOTIFY_MULT,
		sizeof(struct virtio_pci_notify_cap));

	vpci->cfg_cap =
		add_cap(vpci, VIRTIO_PCI_CAP_PCI_CFG, 0, 0, 0, sizeof(struct virtio_pci_cfg_cap));
	func->writable[vpci->cfg_cap + VIRTIO_PCI_CAP_BAR] = 0xff;
	memset(func->writable + vpci->cfg_cap + VIRTIO_PCI_CAP_OFFSET, 0xff, 8);
	func->hook = vpci->cfg_cap + CFG_DATA_OFFSET;
	func->hook_len = 4;
	func->hook_read = cfg_read;
	func->hook_write = cfg_write;
}

int virtio_pci_create(struct virtio_dev *dev, struct pci_host *host, unsigned int vectors)
{
	struct virtio_pci *vpci =
		calloc(1, sizeof(*vpci) + dev->nr_vqs * sizeof(vpci->queue_vector[0]));
	int ret;

	if (!vpci)
		return log_fail(-ENOMEM, "%s: cannot create its PCI function: %s", dev->name,
				strerror(ENOMEM));
	vpci->dev = dev;
	pthread_mutex_init(&vpci->isr_lock, NULL);
	pci_func_init(&vpci->func, dev->name, VENDOR_VIRTIO,
		      (uint16_t)(DEVICE_ID_MODERN + dev->device_id),
		      dev->pci_class ? dev->pci_class : CLASS_OTHER, 1);
	add_caps(vpci);
	ret = pci_func_add_msix(&vpci->func, BAR_MSIX, vectors + 1)
		      ?: pci_host_add(host, &vpci->func);
	if (ret) {
		destroy(vpci);
		return ret;
	}
	vpci->func.bus_master = bus_master;
	vpci->func.msix_changed = msix_changed;
	virtio_set_dma(dev, false);
	forget_interrupts(vpci);
	virtio_attach(dev, &transport_ops, vpci);
	return 0;
}
