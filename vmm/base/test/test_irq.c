/* Interrupts: routes, MSI messages and shared pins, in front of a KVM that notes and fails. */
#include <errno.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>

#include "vmm/arch.h"
#include "vmm/base/irq.h"
#include "vmm/base/test/messages.h"
#include "vmm/base/test/parent.h"
#include "vmm/base/test/unit.h"

#define VM_FD	99
#define MAX_GSI 1024u /* what every KVM takes */

/* In place of KVM: what it was told, and the request that fails next. */
static struct {
	unsigned long fail;
	struct kvm_irq_routing_entry route[1024];
	unsigned int nr_routes, routings;
	unsigned int bound[MAX_GSI];
	unsigned int level[32], levels;
} kvm;

int ioctl(int fd, unsigned long request, ...)
{
	va_list ap;
	void *arg;

	assert_int_equal(fd, VM_FD);
	va_start(ap, request);
	arg = va_arg(ap, void *);
	va_end(ap);
	if (request == kvm.fail) {
		errno = EINVAL;
		return -1;
	}
	if (request == KVM_SET_GSI_ROUTING) {
		const struct kvm_irq_routing *table = arg;

		assert_true(table->nr <= ARRAY_SIZE(kvm.route));
		memcpy(kvm.route, table->entries, table->nr * sizeof(kvm.route[0]));
		kvm.nr_routes = table->nr;
		kvm.routings++;
	} else if (request == KVM_IRQFD) {
		const struct kvm_irqfd *req = arg;

		assert_true(req->gsi < MAX_GSI);
		kvm.bound[req->gsi] += req->flags & KVM_IRQFD_FLAG_DEASSIGN ? -1u : 1u;
	} else {
		const struct kvm_irq_level *req = arg;

		assert_int_equal(request, KVM_IRQ_LINE);
		assert_true(req->irq < 24);
		kvm.level[req->irq] = req->level;
		kvm.levels++;
	}
	return 0;
}

static struct irqchip *chip;

static int setup(void **state)
{
	memset(&kvm, 0, sizeof(kvm));
	assert_int_equal(irqchip_create(&chip, VM_FD), 0);
	return arch_irq_pins(chip);
}

static int teardown(void **state)
{
	irqchip_destroy(chip);
	irqchip_destroy(NULL);
	return 0;
}

static const struct kvm_irq_routing_entry *route(unsigned int gsi, unsigned int kvm_chip)
{
	for (unsigned int i = 0; i < kvm.nr_routes; i++)
		if (kvm.route[i].gsi == gsi && (kvm.route[i].type == KVM_IRQ_ROUTING_MSI ||
						kvm.route[i].u.irqchip.irqchip == kvm_chip))
			return &kvm.route[i];
	return NULL;
}

static void test_pins(void **state)
{
	struct irq irq, msi;
	eventfd_t n;

	/* KVM begins with these, and loses none by the first message. */
	assert_int_equal(kvm.routings, 0);
	assert_int_equal(irq_init_msi(&msi, chip), 0);
	assert_int_equal(irq_set_msi(&msi, 0xfee00000, 0x40), 0);
	irq_destroy(&msi);
	for (unsigned int gsi = 0; gsi < 24; gsi++) {
		const unsigned int pic = gsi < 8 ? KVM_IRQCHIP_PIC_MASTER : KVM_IRQCHIP_PIC_SLAVE;

		assert_int_equal(!!route(gsi, pic), gsi < 16);
		assert_true(gsi >= 16 || route(gsi, pic)->u.irqchip.pin == gsi % 8);
		assert_int_equal(route(gsi, KVM_IRQCHIP_IOAPIC)->u.irqchip.pin, gsi);
		assert_int_equal(irq_init_edge(&irq, chip, gsi), 0);
		assert_int_equal(kvm.bound[gsi], 1);
		for (unsigned int i = 0; i < 3; i++)
			irq_raise(&irq);
		assert_int_equal(eventfd_read(irq.fd, &n), 0);
		assert_int_equal(n, 3);
		irq_destroy(&irq);
		irq_destroy(&irq);
		assert_int_equal(kvm.bound[gsi], 0);
	}
}

static void test_msi(void **state)
{
	struct irq irq[3];
	unsigned int routings;

	for (unsigned int i = 0; i < 3; i++) {
		assert_int_equal(irq_init_msi(&irq[i], chip), 0);
		assert_int_equal(kvm.bound[irq[i].gsi], 0); /* masked */
		assert_null(route(irq[i].gsi, 0));	    /* none without a message */
		irq_raise(&irq[i]);
		assert_int_equal(irq_set_msi(&irq[i], 0x1fee00000 + i, 0x40 + i), 0);
	}
	for (unsigned int i = 0; i < 3; i++) {
		assert_int_equal(route(irq[i].gsi, 0)->u.msi.address_lo, 0xfee00000 + i);
		assert_int_equal(route(irq[i].gsi, 0)->u.msi.address_hi, 1);
		assert_int_equal(route(irq[i].gsi, 0)->u.msi.data, 0x40 + i);
	}
	routings = kvm.routings;
	assert_int_equal(irq_set_msi(&irq[1], 0x1fee00001, 0x41), 0);
	assert_int_equal(kvm.routings, routings);
	/* KVM refuses: the message stays what it was, and the same one is tried again. */
	messages_begin();
	for (unsigned int i = 0; i < 2; i++) {
		kvm.fail = KVM_SET_GSI_ROUTING;
		assert_int_equal(irq_set_msi(&irq[1], 0xfee00000, 0x55), -EINVAL);
	}
	kvm.fail = 0;
	assert_non_null(strstr(messages_end(), "KVM_SET_GSI_ROUTING: Invalid argument"));
	assert_int_equal(irq_set_msi(&irq[0], 0xfee00000, 0x66), 0);
	assert_int_equal(route(irq[1].gsi, 0)->u.msi.data, 0x41);
	assert_int_equal(irq_set_msi(&irq[1], 0xfee00000, 0x55), 0);
	assert_int_equal(route(irq[1].gsi, 0)->u.msi.data, 0x55);
	for (unsigned int i = 0; i < 3; i++)
		irq_destroy(&irq[i]);
}

/* Masked, the eventfd's count is the pending bit; KVM has it while it is not. */
static void test_masks(void **state)
{
	struct irq irq;

	assert_int_equal(irq_init_msi(&irq, chip), 0);
	assert_false(irq_pending(&irq));
	irq_mask(&irq, true); /* as it is */
	assert_int_equal(kvm.bound[irq.gsi], 0);
	for (unsigned int i = 0; i < 3; i++) {
		irq_raise(&irq);
		irq_raise(&irq);
		assert_true(irq_pending(&irq));
		assert_true(irq_pending(&irq)); /* looking takes nothing away */
		irq_mask(&irq, false);
		assert_int_equal(kvm.bound[irq.gsi], 1);
		assert_false(irq_pending(&irq));
		irq_mask(&irq, false);
		assert_int_equal(kvm.bound[irq.gsi], 1);
		irq_mask(&irq, true);
		assert_int_equal(kvm.bound[irq.gsi], 0);
		assert_false(irq_pending(&irq)); /* it was delivered */
	}
	irq_mask(&irq, false);
	irq_destroy(&irq);
	assert_int_equal(kvm.bound[irq.gsi], 0);
}

static void test_failures(void **state)
{
	struct irq irq = { .fd = -1 };

	messages_begin();
	kvm.fail = KVM_IRQFD;
	assert_int_equal(irq_init_edge(&irq, chip, 5), -EINVAL);
	assert_int_equal(irq.fd, -1);
	assert_int_equal(irq_init_msi(&irq, chip), 0);
	irq_raise(&irq);
	irq_mask(&irq, false);
	assert_true(irq.masked && irq_pending(&irq)); /* and what waits goes on waiting */
	kvm.fail = 0;
	irq_mask(&irq, false);
	assert_false(irq.masked);
	assert_int_equal(kvm.bound[irq.gsi], 1);
	kvm.fail = KVM_IRQFD;
	irq_mask(&irq, true);
	assert_false(irq.masked);
	kvm.fail = 0;
	assert_non_null(strstr(messages_end(), "cannot mask interrupt"));
	irq_destroy(&irq);
	messages_begin();
	kvm.fail = KVM_IRQFD;
	assert_int_equal(irq_init_edge(&irq, chip, 5), -EINVAL);
	kvm.fail = 0;
	assert_non_null(strstr(messages_end(), "cannot bind interrupt 5: KVM_IRQFD"));
	irq_destroy(&irq);
}

static void test_out_of_msis(void **state)
{
	static struct irq irq[513];

	need_descriptors(600);
	for (unsigned int i = 0; i < 512; i++) {
		assert_int_equal(irq_init_msi(&irq[i], chip), 0);
		assert_int_equal(irq_set_msi(&irq[i], 0xfee00000, i), 0);
		assert_true(irq[i].gsi >= IRQ_PINS && irq[i].gsi < MAX_GSI);
	}
	messages_begin();
	assert_int_equal(irq_init_msi(&irq[512], chip), -ENOSPC);
	assert_non_null(strstr(messages_end(), "out of MSI routes"));
	for (unsigned int i = 0; i < 512; i++)
		irq_destroy(&irq[i]);
}

static void test_levels(void **state)
{
	bool a = false, b = false;

	irq_set_level(chip, 17, &a, false);
	assert_int_equal(kvm.levels, 0);
	irq_set_level(chip, 17, &a, true);
	irq_set_level(chip, 17, &a, true);
	assert_int_equal(kvm.levels, 1);
	irq_set_level(chip, 17, &b, true);
	assert_int_equal(kvm.level[17], 1);
	irq_set_level(chip, 17, &a, false);
	irq_set_level(chip, 17, &a, false);
	assert_int_equal(kvm.level[17], 1); /* the other still asserts it */
	irq_set_level(chip, 17, &b, false);
	assert_int_equal(kvm.level[17], 0);
	assert_false(a || b);
	irq_set_level(chip, IRQ_PINS, &a, true);
	irq_set_level(chip, ~0u, &a, true);
	assert_false(a);
}

static void *flip(void *arg)
{
	bool asserted = false;

	for (unsigned int i = 0; i < 20000; i++)
		irq_set_level(chip, 16, &asserted, !asserted);
	return NULL;
}

static void test_levels_from_threads(void **state)
{
	pthread_t thread[3];

	for (unsigned int i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, flip, NULL), 0);
	for (unsigned int i = 0; i < 3; i++)
		pthread_join(thread[i], NULL);
	assert_int_equal(kvm.level[16], 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = { TEST(test_pins),
					    TEST(test_msi),
					    TEST(test_masks),
					    TEST(test_failures),
					    TEST(test_out_of_msis),
					    TEST(test_levels),
					    TEST(test_levels_from_threads) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
