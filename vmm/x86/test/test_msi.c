/* Masked MSIs in this host's own KVM: what is raised meanwhile comes once it is unmasked, whoever wins the race. */
#include <fcntl.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "vmm/arch.h"
#include "vmm/base/irq.h"
#include "vmm/base/test/unit.h"
#include "vmm/x86/memmap.h"

#define VECTOR	 0x40u
#define IRR	 (0x200 + VECTOR / 32 * 0x10) /* requested interrupts, Intel SDM volume 3, 11.8.4 */
#define SPURIOUS 0xf0			      /* and bit 8: the local APIC is on */
#define ROUNDS	 200

static int kvm_fd, vm_fd = -1, vcpu_fd = -1;
static struct irqchip *chip;
static struct irq irq;

static struct kvm_lapic_state lapic(void)
{
	struct kvm_lapic_state state;

	assert_int_equal(ioctl(vcpu_fd, KVM_GET_LAPIC, &state), 0);
	return state;
}

static bool has_come(void)
{
	return lapic().regs[IRR] & 1;
}

/* An interrupt that must come, and is then forgotten. KVM may deliver from a thread of its own. */
static void assert_comes(void)
{
	struct kvm_lapic_state state;

	for (unsigned int i = 0; i < 100000 && !has_come(); i++)
		usleep(100);
	assert_true(has_come());
	state = lapic();
	memset(state.regs + 0x200, 0, 0x80);
	assert_int_equal(ioctl(vcpu_fd, KVM_SET_LAPIC, &state), 0);
}

static int setup(void **state)
{
	struct kvm_lapic_state on;

	kvm_fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	vm_fd = kvm_fd < 0 ? -1 : ioctl(kvm_fd, KVM_CREATE_VM, 0);
	if (vm_fd < 0)
		return 0;
	assert_int_equal(ioctl(vm_fd, KVM_CREATE_IRQCHIP, 0), 0);
	vcpu_fd = ioctl(vm_fd, KVM_CREATE_VCPU, 0);
	assert_true(vcpu_fd >= 0);
	on = lapic();
	on.regs[SPURIOUS] = (char)0xff;
	on.regs[SPURIOUS + 1] |= 1;
	assert_int_equal(ioctl(vcpu_fd, KVM_SET_LAPIC, &on), 0);
	assert_int_equal(irqchip_create(&chip, vm_fd), 0);
	assert_int_equal(arch_irq_pins(chip), 0);
	assert_int_equal(irq_init_msi(&irq, chip), 0);
	assert_int_equal(irq_set_msi(&irq, MEMMAP_LAPIC_BASE, VECTOR), 0);
	return 0;
}

static int teardown(void **state)
{
	if (vm_fd < 0)
		return 0;
	irq_destroy(&irq);
	irqchip_destroy(chip);
	close(vcpu_fd);
	close(vm_fd);
	close(kvm_fd);
	return 0;
}

static void test_masked_msi_waits(void **state)
{
	if (vm_fd < 0)
		skip();
	for (unsigned int i = 0; i < ROUNDS; i++) {
		irq_mask(&irq, false);
		assert_false(has_come());
		irq_raise(&irq);
		assert_comes();
		irq_mask(&irq, true);
		assert_false(irq_pending(&irq));
		for (unsigned int n = 0; n < i % 4; n++)
			irq_raise(&irq);
		assert_int_equal(irq_pending(&irq), i % 4 > 0);
		assert_false(has_come());
		irq_mask(&irq, false);
		if (i % 4)
			assert_comes();
		irq_mask(&irq, true);
	}
}

static void *raise_it(void *arg)
{
	irq_raise(&irq);
	return NULL;
}

static void test_raise_that_races_with_masks_comes(void **state)
{
	pthread_t thread;

	if (vm_fd < 0)
		skip();
	for (unsigned int i = 0; i < ROUNDS; i++) {
		assert_int_equal(pthread_create(&thread, NULL, raise_it, NULL), 0);
		for (unsigned int n = 0; n < i % 4; n++) {
			irq_mask(&irq, false);
			irq_mask(&irq, true);
		}
		irq_mask(&irq, false);
		pthread_join(thread, NULL);
		assert_comes();
		irq_mask(&irq, i % 2);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = { TEST(test_masked_msi_waits),
					    TEST(test_raise_that_races_with_masks_comes) };

	return cmocka_run_group_tests_name("msi", tests, NULL, NULL);
}
