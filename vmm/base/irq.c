/* Interrupts: irqfds, MSI routes and shared level pins. */
#include "vmm/base/irq.h"

#include <errno.h>
#include <linux/kvm.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "vmm/base/log.h"

#define MAX_MSI	   512u
#define MAX_PINS   (2 * IRQ_PINS) /* a GSI may reach two chips */
#define MAX_ROUTES (MAX_PINS + MAX_MSI)

struct irqchip {
	int vm_fd;
	pthread_mutex_t lock;
	struct kvm_irq_routing *table; /* room for MAX_ROUTES */
	unsigned int next_msi_gsi;
	uint64_t refusals;		    /* by KVM, of routes */
	unsigned int level_users[IRQ_PINS]; /* sources that assert a shared pin */
};

static int set_routes(struct irqchip *chip)
{
	if (chip->vm_fd < 0)
		return 0;
	if (ioctl(chip->vm_fd, KVM_SET_GSI_ROUTING, chip->table) < 0) {
		int err = errno;

		if (log_due(&chip->refusals)) /* a guest's MSI messages come through here */
			log_error("cannot route %u interrupts: KVM_SET_GSI_ROUTING: %s",
				  chip->table->nr, strerror(err));
		return -err;
	}
	return 0;
}

int irqchip_create(struct irqchip **out, int vm_fd)
{
	struct irqchip *chip = calloc(1, sizeof(*chip));

	if (!chip)
		return -ENOMEM;
	chip->table =
		calloc(1, sizeof(*chip->table) + MAX_ROUTES * sizeof(struct kvm_irq_routing_entry));
	if (!chip->table) {
		free(chip);
		return -ENOMEM;
	}
	chip->vm_fd = vm_fd;
	chip->next_msi_gsi = IRQ_PINS;
	pthread_mutex_init(&chip->lock, NULL);
	*out = chip;
	return 0;
}

int irqchip_set_pins(struct irqchip *chip, const struct kvm_irq_routing_entry *route,
		     unsigned int nr)
{
	if (nr > MAX_PINS)
		return -EINVAL;
	memcpy(chip->table->entries, route, nr * sizeof(*route));
	chip->table->nr = nr;
	return 0;
}

void irqchip_destroy(struct irqchip *chip)
{
	if (!chip)
		return;
	pthread_mutex_destroy(&chip->lock);
	free(chip->table);
	free(chip);
}

static int irqfd(struct irq *irq, uint32_t flags)
{
	struct kvm_irqfd req = { .fd = (uint32_t)irq->fd, .gsi = irq->gsi, .flags = flags };

	if (irq->chip->vm_fd < 0)
		return 0;
	return ioctl(irq->chip->vm_fd, KVM_IRQFD, &req) < 0 ? -errno : 0;
}

static int init_source(struct irq *irq, struct irqchip *chip, unsigned int gsi)
{
	irq->chip = chip;
	irq->gsi = gsi;
	irq->masked = true;
	irq->fd = event_create();
	if (irq->fd < 0)
		log_error("cannot create an eventfd for interrupt %u: %s", gsi, strerror(-irq->fd));
	return MIN(irq->fd, 0);
}

int irq_init_edge(struct irq *irq, struct irqchip *chip, unsigned int gsi)
{
	int ret = init_source(irq, chip, gsi);

	if (ret)
		return ret;
	ret = irqfd(irq, 0);
	irq->masked = ret;
	if (ret) {
		log_error("cannot bind interrupt %u: KVM_IRQFD: %s", gsi, strerror(-ret));
		irq_destroy(irq);
	}
	return ret;
}

void irq_mask(struct irq *irq, bool masked)
{
	int ret;

	if (irq->masked == masked)
		return;
	/* Kernels before 5.12 leave the count of what they have delivered. */
	if (masked && irq->chip->vm_fd >= 0)
		event_clear(irq->fd);
	ret = irqfd(irq, masked ? KVM_IRQFD_FLAG_DEASSIGN : 0);
	if (ret) {
		if (log_due(&irq->chip->refusals))
			log_error("cannot %smask interrupt %u: KVM_IRQFD: %s", masked ? "" : "un",
				  irq->gsi, strerror(-ret));
		return;
	}
	irq->masked = masked;
	/* KVM has delivered what was pending; its count is left to us, by every kernel. */
	if (!masked && irq->chip->vm_fd >= 0)
		event_clear(irq->fd);
}

bool irq_pending(const struct irq *irq)
{
	struct pollfd p = { .fd = irq->fd, .events = POLLIN };

	return irq->masked && poll(&p, 1, 0) == 1;
}

int irq_init_msi(struct irq *irq, struct irqchip *chip)
{
	hold(&chip->lock);
	if (chip->next_msi_gsi - IRQ_PINS >= MAX_MSI)
		return log_fail(-ENOSPC, "out of MSI routes: at most %u vectors in one machine",
				MAX_MSI);
	return init_source(irq, chip, chip->next_msi_gsi++);
}

int irq_set_msi(struct irq *irq, uint64_t address, uint32_t data)
{
	struct irqchip *chip = irq->chip;
	struct kvm_irq_routing *table = chip->table;
	struct kvm_irq_routing_entry *e = NULL, old;
	int ret;

	hold(&chip->lock);
	for (unsigned int i = 0; i < table->nr && !e; i++)
		if (table->entries[i].gsi == irq->gsi)
			e = &table->entries[i];
	/* The driver masks and unmasks far more often than it moves a vector. */
	if (e && e->u.msi.address_lo == (uint32_t)address &&
	    e->u.msi.address_hi == (uint32_t)(address >> 32) && e->u.msi.data == data)
		return 0;
	const bool added = !e;
	if (added)
		e = &table->entries[table->nr++];
	old = *e;
	*e = (struct kvm_irq_routing_entry){ .gsi = irq->gsi, .type = KVM_IRQ_ROUTING_MSI };
	e->u.msi.address_lo = (uint32_t)address;
	e->u.msi.address_hi = (uint32_t)(address >> 32);
	e->u.msi.data = data;
	ret = set_routes(chip);
	/* A message that KVM refuses must not spoil the table for the others. */
	if (ret && added)
		table->nr--;
	else if (ret)
		*e = old;
	return ret;
}

void irq_destroy(struct irq *irq)
{
	if (irq->fd < 0)
		return;
	if (!irq->masked)
		irqfd(irq, KVM_IRQFD_FLAG_DEASSIGN);
	close(irq->fd);
	irq->fd = -1;
}

void irq_set_level(struct irqchip *chip, unsigned int gsi, bool *asserted, bool level)
{
	struct kvm_irq_level req = { .irq = gsi };

	hold(&chip->lock);
	if (*asserted == level || gsi >= IRQ_PINS)
		return;
	*asserted = level;
	chip->level_users[gsi] += level ? 1u : -1u;
	req.level = chip->level_users[gsi] > 0;
	if (chip->vm_fd >= 0)
		ioctl(chip->vm_fd, KVM_IRQ_LINE, &req);
}
