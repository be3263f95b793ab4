/*
 * Interrupts: sources that can be raised from any thread. Hides GSI numbers, routes and the VM's fd.
 *
 * A source is an edge on a pin, a level on a shared pin, or an MSI. Edges and MSIs are
 * raised by writing to an irqfd: one system call, delivered in the kernel.
 */
#ifndef VMM_BASE_IRQ_H
#define VMM_BASE_IRQ_H

#include <stdbool.h>
#include <stdint.h>

#include <linux/kvm.h>

#include "vmm/base/event.h"
#include "vmm/base/util.h"

/* The VM's interrupt routing. With vm_fd -1 nothing is routed (unit tests): raising a source then
 * just counts in its eventfd, where a test can read it. */
struct irqchip;

#define IRQ_PINS 32u /* GSIs below are pins of the chips, those above name MSI routes */

/* 0 or -ENOMEM. */
int must_check irqchip_create(struct irqchip **out, int vm_fd);
void irqchip_destroy(struct irqchip *chip);

/*
 * Say which GSI reaches which pins in KVM from the start, once, before there are sources. KVM takes routes as a whole
 * table, so these go with the first message. To tell them alone would have a start wait for the host's kernel, which lets
 * all readers of the old table go first. -EINVAL where they are too many.
 */
int must_check irqchip_set_pins(struct irqchip *chip, const struct kvm_irq_routing_entry *route,
				unsigned int nr);

struct irq {
	struct irqchip *chip;
	int fd; /* the eventfd, or -1 where not initialised; whoever writes to it raises the interrupt */
	unsigned int gsi;
	bool masked;
};

/* An edge-triggered source on pin @gsi. -errno with a message. */
int must_check irq_init_edge(struct irq *irq, struct irqchip *chip, unsigned int gsi);

/* An MSI source, masked; give it a message before it is unmasked. -ENOSPC where routes have run out. */
int must_check irq_init_msi(struct irq *irq, struct irqchip *chip);

/* Give the MSI its message. Cheap if nothing changed; callers serialise calls for one source. */
int must_check irq_set_msi(struct irq *irq, uint64_t address, uint32_t data);

/* Raise an edge or MSI source; from any thread, never blocks. */
static inline void irq_raise(struct irq *irq)
{
	event_signal(irq->fd);
}

/*
 * Take the eventfd away from KVM, or give it back. What is written meanwhile stays pending in its count and is
 * delivered then; a raise that races with masking may still go out. Callers serialise calls for one source. Where KVM
 * refuses, with a message, it stays masked and the next call tries again.
 */
void irq_mask(struct irq *irq, bool masked);

/* It is masked, and was raised meanwhile. */
bool irq_pending(const struct irq *irq);

/* Undo irq_init_*(), also of a source that is not initialised (fd -1). Nothing may raise it any more. */
void irq_destroy(struct irq *irq);

/*
 * Drive the level-triggered pin @gsi (PCI INTx). Several sources may share a pin: the level is high
 * while any of them asserts. @asserted is the source's own state, kept by it, starting false.
 */
void irq_set_level(struct irqchip *chip, unsigned int gsi, bool *asserted, bool level);

#endif
