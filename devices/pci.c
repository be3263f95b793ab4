/* The PCI host bridge: who is on the bus, configuration space, and which BARs decode where. */
#include "devices/pci.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <linux/pci.h>

#include "vmm/base/log.h"

#define VENDOR_REDHAT	   0x1b36
#define DEVICE_HOST_BRIDGE 0x0008
#define CLASS_HOST_BRIDGE  0x060000

#define ADDRESS_ENABLE	 0x80000000u
#define ADDRESS_WRITABLE 0x80fffffcu
#define CAPS_START	 PCI_STD_HEADER_SIZEOF

struct pci_host {
	pthread_mutex_t lock; /* configuration space and decoding */
	struct bus *pio, *mmio;
	struct irqchip *irqchip;
	struct pci_layout layout;
	struct bus_range ports, ecam;
	uint32_t address;	    /* what was written to 0xcf8 */
	uint64_t next_io, next_mem; /* addresses not given out yet */
	struct pci_func *func[PCI_SLOTS];
	struct pci_func bridge;
	struct pci_counters counters;
	struct counter_group group;
};

static const struct counter_desc counter_desc[] = {
	COUNTER(struct pci_counters, bar_conflicts),
	COUNTER_END,
};

struct pci_func *pci_host_func(struct pci_host *host, unsigned int slot)
{
	return slot < PCI_SLOTS ? host->func[slot] : NULL;
}

/* ---- configuration space of one function ---- */

uint16_t pci_config_get16(const struct pci_func *func, unsigned int offset)
{
	uint16_t v;

	memcpy(&v, func->config + offset, sizeof(v));
	return v;
}

uint32_t pci_config_get32(const struct pci_func *func, unsigned int offset)
{
	uint32_t v;

	memcpy(&v, func->config + offset, sizeof(v));
	return v;
}

static void put16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)v;
	p[1] = (uint8_t)(v >> 8);
}

static void put32(uint8_t *p, uint32_t v)
{
	memcpy(p, &v, sizeof(v));
}

void pci_func_init(struct pci_func *func, const char *name, uint16_t vendor, uint16_t device,
		   uint32_t class_code, uint8_t revision)
{
	memset(func, 0, sizeof(*func));
	func->name = name;
	func->end_cap = CAPS_START;
	pthread_mutex_init(&func->intx_lock, NULL);
	put16(func->config + PCI_VENDOR_ID, vendor);
	put16(func->config + PCI_DEVICE_ID, device);
	put16(func->config + PCI_SUBSYSTEM_VENDOR_ID, vendor);
	put16(func->config + PCI_SUBSYSTEM_ID, device);
	put32(func->config + PCI_CLASS_REVISION, class_code << 8 | revision);
	func->config[PCI_INTERRUPT_PIN] = 1;
	func->writable[PCI_INTERRUPT_LINE] = 0xff;
	func->writable[PCI_CACHE_LINE_SIZE] = 0xff;
	put16(func->writable + PCI_COMMAND,
	      PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_INTX_DISABLE);
}

unsigned int pci_func_add_cap(struct pci_func *func, uint8_t id, const void *cap, unsigned int len)
{
	const unsigned int at = func->end_cap;

	memcpy(func->config + at, cap, len);
	func->config[at + PCI_CAP_LIST_ID] = id;
	func->config[at + PCI_CAP_LIST_NEXT] = 0;
	func->config[func->last_cap ? func->last_cap + PCI_CAP_LIST_NEXT : PCI_CAPABILITY_LIST] =
		(uint8_t)at;
	func->config[PCI_STATUS] |= PCI_STATUS_CAP_LIST;
	func->last_cap = at;
	func->end_cap = ALIGN_UP(at + len, 4u);
	return at;
}

static unsigned int bar_reg(unsigned int bar)
{
	return PCI_BASE_ADDRESS_0 + 4 * bar;
}

void pci_func_set_bar(struct pci_func *func, unsigned int bar, uint64_t size, bool io,
		      const struct bus_ops *ops, void *dev)
{
	struct pci_bar *b = &func->bar[bar];

	b->size = size;
	b->io = io;
	b->range = (struct bus_range){ .name = func->name, .len = size, .ops = ops, .dev = dev };
	put32(func->config + bar_reg(bar), io ? PCI_BASE_ADDRESS_SPACE_IO : 0);
	/* The address bits below the size are wired to 0: that is how the guest learns the size. */
	put32(func->writable + bar_reg(bar), (uint32_t) ~(size - 1));
}

int pci_func_add_msix(struct pci_func *func, unsigned int bar, unsigned int nr)
{
	uint8_t cap[PCI_CAP_MSIX_SIZEOF] = { 0 };

	if (pci_msix_init(&func->msix, nr))
		return log_fail(-ENOMEM, "%s: cannot have %u MSI-X vectors: %s", func->name, nr,
				strerror(ENOMEM));
	pci_func_set_bar(func, bar, pci_msix_bar_size(&func->msix), false, &pci_msix_ops,
			 &func->msix);
	put16(cap + PCI_MSIX_FLAGS, nr - 1);
	put32(cap + PCI_MSIX_TABLE, bar);
	put32(cap + PCI_MSIX_PBA, func->msix.pba | bar);
	func->msix_cap = pci_func_add_cap(func, PCI_CAP_ID_MSIX, cap, sizeof(cap));
	func->writable[func->msix_cap + PCI_MSIX_FLAGS + 1] =
		(PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL) >> 8;
	return 0;
}

/* ---- decoding ---- */

static struct bus *bar_bus(const struct pci_host *host, const struct pci_bar *b)
{
	return b->io ? host->pio : host->mmio;
}

/* Whether the guest wants the BAR to decode, and where. */
static bool bar_wanted(const struct pci_func *func, unsigned int bar, uint64_t *base)
{
	const struct pci_bar *b = &func->bar[bar];
	const struct pci_layout *l = &func->host->layout;
	const uint64_t start = b->io ? l->io.base : l->mem.base;
	const uint64_t size = b->io ? l->io.size : l->mem.size;

	if (!b->size ||
	    !(pci_config_get16(func, PCI_COMMAND) & (b->io ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY)))
		return false;
	*base = pci_config_get32(func, bar_reg(bar)) & ~(b->size - 1);
	/* A bridge forwards its windows only; nothing else of the machine lies in them. */
	return *base >= start && *base - start <= size - b->size;
}

/* Stop decoding what is no longer wanted. */
static void unmap_stale_bars(struct pci_host *host, struct pci_func *func)
{
	for (unsigned int i = 0; i < PCI_NR_BARS; i++) {
		struct pci_bar *b = &func->bar[i];
		uint64_t base;

		if (b->state == PCI_BAR_OFF ||
		    (bar_wanted(func, i, &base) && base == b->range.base))
			continue;
		if (b->state == PCI_BAR_ON) {
			bus_remove(bar_bus(host, b), &b->range);
			if (b->mapped)
				b->mapped(func, b, bar_bus(host, b), false);
		}
		b->state = PCI_BAR_OFF;
	}
}

static void map_wanted_bars(struct pci_host *host, struct pci_func *func)
{
	for (unsigned int i = 0; i < PCI_NR_BARS; i++) {
		struct pci_bar *b = &func->bar[i];
		uint64_t base;

		if (b->state == PCI_BAR_ON || !bar_wanted(func, i, &base))
			continue;
		b->range.base = base;
		if (!bus_add(bar_bus(host, b), &b->range)) {
			b->state = PCI_BAR_ON;
			if (b->mapped)
				b->mapped(func, b, bar_bus(host, b), true);
		} else if (b->state == PCI_BAR_OFF) {
			b->state = PCI_BAR_CONFLICT;
			host->counters.bar_conflicts++;
		}
	}
}

/*
 * Make decoding follow the registers of @func, which have changed. Every function is looked at: a BAR
 * that moved away may have made room for another, as when the guest shifts a row of them.
 */
static void sync_bars(struct pci_host *host, struct pci_func *func)
{
	unmap_stale_bars(host, func);
	for (unsigned int slot = 0; slot < PCI_SLOTS; slot++)
		if (host->func[slot])
			map_wanted_bars(host, host->func[slot]);
}

/* ---- interrupts ---- */

/* Under intx_lock. */
static void drive_intx(struct pci_func *func)
{
	irq_set_level(func->irqchip, func->intx_gsi, &func->intx_line,
		      func->intx && !func->intx_disabled);
}

void pci_intx_set(struct pci_func *func, bool level)
{
	hold(&func->intx_lock);
	__atomic_store_n(&func->intx, level, __ATOMIC_RELAXED);
	drive_intx(func);
}

/* Follow the command register and MSI-X's message control, which may have changed. */
static void sync_interrupts(struct pci_func *func)
{
	const uint16_t command = pci_config_get16(func, PCI_COMMAND);
	const uint16_t control =
		func->msix_cap ? pci_config_get16(func, func->msix_cap + PCI_MSIX_FLAGS) : 0;
	const bool enabled = control & PCI_MSIX_FLAGS_ENABLE, before = func->msix_enabled;

	pthread_mutex_lock(&func->intx_lock);
	func->intx_disabled = enabled || command & PCI_COMMAND_INTX_DISABLE;
	__atomic_store_n(&func->msix_enabled, enabled, __ATOMIC_RELEASE);
	drive_intx(func);
	pthread_mutex_unlock(&func->intx_lock);
	/* A message is a write to memory: none without bus mastering (PCI Local Bus 3.0, 6.2.2). */
	if (func->msix_cap)
		pci_msix_gate(&func->msix, enabled && !(control & PCI_MSIX_FLAGS_MASKALL) &&
						   command & PCI_COMMAND_MASTER);
	if (enabled != before && func->msix_changed)
		func->msix_changed(func);
}

/* ---- configuration accesses; @bdf: bus, device (5 bits) and function (3 bits) ---- */

static struct pci_func *find_func(const struct pci_host *host, uint32_t bdf)
{
	return bdf >> 8 == 0 && PCI_FUNC(bdf) == 0 ? host->func[PCI_SLOT(bdf)] : NULL;
}

static bool is_hooked(const struct pci_func *func, unsigned int reg)
{
	return reg >= func->hook && reg - func->hook < func->hook_len;
}

/* @reg may come with any @size: what is not 1, 2 or 4 bytes, naturally aligned, has no effect. */
static bool is_legal(unsigned int reg, unsigned int size)
{
	return (size == 1 || size == 2 || size == 4) && reg % size == 0;
}

static uint32_t config_read(struct pci_host *host, uint32_t bdf, unsigned int reg,
			    unsigned int size)
{
	uint32_t value = 0;

	hold(&host->lock);
	struct pci_func *func = find_func(host, bdf);
	if (!func || !is_legal(reg, size))
		return UINT32_MAX;
	if (is_hooked(func, reg))
		return func->hook_read(func, reg - func->hook, size);
	func->config[PCI_STATUS] &= (uint8_t)~PCI_STATUS_INTERRUPT;
	if (__atomic_load_n(&func->intx, __ATOMIC_RELAXED))
		func->config[PCI_STATUS] |= PCI_STATUS_INTERRUPT;
	memcpy(&value, func->config + reg, size);
	return value;
}

static void config_write(struct pci_host *host, uint32_t bdf, unsigned int reg, unsigned int size,
			 uint32_t value)
{
	hold(&host->lock);
	struct pci_func *func = find_func(host, bdf);
	if (!func || !is_legal(reg, size))
		return;
	if (is_hooked(func, reg)) {
		func->hook_write(func, reg - func->hook, size, value);
		return;
	}
	const uint16_t before = pci_config_get16(func, PCI_COMMAND);
	for (unsigned int i = 0; i < size; i++, value >>= 8) {
		const uint8_t mask = func->writable[reg + i];
		uint8_t *byte = &func->config[reg + i];

		*byte = (uint8_t)((*byte & ~mask) | (value & mask));
	}
	sync_bars(host, func);
	sync_interrupts(func);
	const uint16_t command = pci_config_get16(func, PCI_COMMAND);
	if ((before ^ command) & PCI_COMMAND_MASTER && func->bus_master)
		func->bus_master(func, command & PCI_COMMAND_MASTER);
}

/* Configuration mechanism 1: 0xcf8 takes the address, as a dword only, 0xcfc-0xcff the data. */

static bool is_reset_control(const struct pci_host *host, uint64_t offset, unsigned int size)
{
	const struct bus_range *r = host->layout.reset_control;

	return r && size == 1 && host->ports.base + offset == r->base;
}

static uint64_t ports_read(void *dev, uint64_t offset, unsigned int size)
{
	struct pci_host *host = dev;
	const uint32_t address = __atomic_load_n(&host->address, __ATOMIC_RELAXED);

	if (offset == 0 && size == 4)
		return address;
	if (is_reset_control(host, offset, size))
		return host->layout.reset_control->ops->read(host->layout.reset_control->dev, 0, 1);
	if (offset < 4 || !(address & ADDRESS_ENABLE))
		return UINT64_MAX;
	return config_read(host, address >> 8 & 0xffff, (address & 0xfc) + (offset & 3), size);
}

static void ports_write(void *dev, uint64_t offset, unsigned int size, uint64_t value)
{
	struct pci_host *host = dev;
	const uint32_t address = __atomic_load_n(&host->address, __ATOMIC_RELAXED);

	if (is_reset_control(host, offset, size))
		host->layout.reset_control->ops->write(host->layout.reset_control->dev, 0, 1,
						       value);
	else if (offset == 0 && size == 4)
		__atomic_store_n(&host->address, (uint32_t)value & ADDRESS_WRITABLE,
				 __ATOMIC_RELAXED);
	else if (offset >= 4 && address & ADDRESS_ENABLE)
		config_write(host, address >> 8 & 0xffff, (address & 0xfc) + (offset & 3), size,
			     (uint32_t)value);
}

static const struct bus_ops ports_ops = { .read = ports_read, .write = ports_write };

static uint64_t ecam_read(void *dev, uint64_t offset, unsigned int size)
{
	return config_read(dev, (uint32_t)(offset >> 12), offset & 0xfff, size);
}

static void ecam_write(void *dev, uint64_t offset, unsigned int size, uint64_t value)
{
	config_write(dev, (uint32_t)(offset >> 12), offset & 0xfff, size, (uint32_t)value);
}

static const struct bus_ops ecam_ops = { .read = ecam_read, .write = ecam_write };

/* ---- life ---- */

int pci_host_create(struct pci_host **out, const struct pci_layout *layout, struct bus *pio,
		    struct bus *mmio, struct irqchip *irqchip, struct counters *counters)
{
	struct pci_host *host = calloc(1, sizeof(*host));
	int ret;

	if (!host)
		return log_fail(-ENOMEM, "cannot create the PCI host bridge: %s", strerror(ENOMEM));
	pthread_mutex_init(&host->lock, NULL);
	host->pio = pio;
	host->mmio = mmio;
	host->irqchip = irqchip;
	host->layout = *layout;
	counters_add(counters, &host->group, counter_desc, &host->counters, "pci");
	host->next_io = layout->io.base;
	host->next_mem = layout->mem.base;
	host->ports = (struct bus_range){
		.name = "pci",
		.base = layout->ports,
		.len = 8,
		.ops = &ports_ops,
		.dev = host,
	};
	host->ecam = (struct bus_range){
		.name = "pci-ecam",
		.base = layout->ecam.base,
		.len = layout->ecam.size,
		.ops = &ecam_ops,
		.dev = host,
	};
	pci_func_init(&host->bridge, "pci-host", VENDOR_REDHAT, DEVICE_HOST_BRIDGE,
		      CLASS_HOST_BRIDGE, 0);
	host->bridge.config[PCI_INTERRUPT_PIN] = 0;
	ret = pci_host_add(host, &host->bridge);
	if (layout->reset_control)
		bus_remove(pio, layout->reset_control);
	if (!ret)
		ret = bus_add(pio, &host->ports) ?: bus_add(mmio, &host->ecam);
	if (ret) {
		log_error("cannot put the PCI host bridge on the bus: %s", strerror(-ret));
		pci_host_destroy(host);
		return ret;
	}
	*out = host;
	return 0;
}

void pci_host_destroy(struct pci_host *host)
{
	if (!host)
		return;
	counters_remove(&host->group);
	bus_remove(host->mmio, &host->ecam);
	bus_remove(host->pio, &host->ports);
	pci_func_destroy(&host->bridge);
	pthread_mutex_destroy(&host->lock);
	free(host);
}

/* Give each BAR an address of its own, so that guests without an allocator find it working. */
static int assign_bars(struct pci_host *host, struct pci_func *func)
{
	uint64_t io = host->next_io, mem = host->next_mem;

	for (unsigned int i = 0; i < PCI_NR_BARS; i++) {
		struct pci_bar *b = &func->bar[i];
		uint64_t *next = b->io ? &io : &mem;

		if (!b->size)
			continue;
		*next = ALIGN_UP(*next, b->size);
		put32(func->config + bar_reg(i),
		      (uint32_t)*next | (b->io ? PCI_BASE_ADDRESS_SPACE_IO : 0));
		*next += b->size;
	}
	if (io > host->layout.io.base + host->layout.io.size ||
	    mem > host->layout.mem.base + host->layout.mem.size)
		return log_fail(-ENOSPC, "%s: the PCI windows have no room for its BARs",
				func->name);
	host->next_io = io;
	host->next_mem = mem;
	return 0;
}

int pci_host_add(struct pci_host *host, struct pci_func *func)
{
	unsigned int slot = 0;
	int ret;

	while (slot < PCI_SLOTS && host->func[slot])
		slot++;
	if (slot == PCI_SLOTS)
		return log_fail(
			-ENOSPC,
			"%s: all %u PCI slots are taken (use transport=mmio for some devices)",
			func->name, PCI_SLOTS);
	ret = pci_msix_connect(&func->msix, host->irqchip) ?: assign_bars(host, func);
	if (ret)
		return ret;
	func->irqchip = host->irqchip;
	func->intx_gsi = host->layout.inta + slot % host->layout.nr_intx;
	if (func->config[PCI_INTERRUPT_PIN])
		func->config[PCI_INTERRUPT_LINE] = (uint8_t)func->intx_gsi;
	func->slot = slot;
	func->host = host;
	hold(&host->lock);
	host->func[slot] = func;
	return 0;
}

void pci_func_destroy(struct pci_func *func)
{
	struct pci_host *host = func->host;

	if (host) {
		pci_intx_set(func, false);
		pthread_mutex_lock(&host->lock);
		put16(func->config + PCI_COMMAND, 0);
		unmap_stale_bars(host, func);
		host->func[func->slot] = NULL;
		pthread_mutex_unlock(&host->lock);
		func->host = NULL;
	}
	pci_msix_destroy(&func->msix);
	pthread_mutex_destroy(&func->intx_lock);
}
