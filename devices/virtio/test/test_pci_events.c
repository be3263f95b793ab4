/* Kicks and interrupts of the virtio PCI transport, and a device that does not rest. */
#include <errno.h>
#include <linux/pci_regs.h>
#include <linux/virtio_pci.h>
#include <stdlib.h>
#include <string.h>

#include "devices/virtio/test/virtio_pci_rig.h"
#include "vmm/base/test/messages.h"
#include "vmm/base/test/unit.h"

/* ---- notifications ---- */

static void kick_reaches_its_queue(void **state)
{
	struct fixture *x = *state;

	for (unsigned int q = 0; q < NR_VQS; q++) {
		select_queue(x, q);
		const uint64_t addr =
			x->notify + common_get(x, VIRTIO_PCI_COMMON_Q_NOFF, 2) * x->notify_mult;

		bus_put(x->notify_bus, addr, 2, q);
		bus_put(x->notify_bus, addr, 4, q);
		for (unsigned int other = 0; other < NR_VQS; other++)
			assert_int_equal(kicks(x, other), other == q ? 2 : 0);
	}
}

static void kick_beside_a_queue_is_dropped(void **state)
{
	struct fixture *x = *state;
	const uint64_t end = x->notify_bus == &x->m.pio ? 16 : 0x1000;

	for (uint64_t offset = 0; offset < end; offset++)
		if (offset % 4 || offset >= NR_VQS * 4)
			bus_write(x->notify_bus, x->notify + offset, 1, 0);
	for (unsigned int q = 0; q < NR_VQS; q++)
		assert_int_equal(kicks(x, q), 0);
	assert_int_equal(bus_get(x->notify_bus, x->notify, 2), 0); /* written only */
}

static void doorbells_follow_the_bar(void **state)
{
	struct fixture *x = *state;
	const uint64_t old = x->notify;
	const bool io = x->notify_bus == &x->m.pio;
	const unsigned int reg = PCI_BASE_ADDRESS_0 + (io ? 8 : 0);

	assert_int_equal(x->notify_bus->nr_doorbells, NR_VQS);
	assert_int_equal(x->m.pio.nr_doorbells + x->m.mmio.nr_doorbells, 2 * NR_VQS);
	cfg_put(&x->m, SLOT, reg, 4, io ? 0x4000 : 0xd0000000);
	locate(x);
	assert_int_not_equal(x->notify, old);
	assert_false(bus_write(x->notify_bus, old + 4, 2, 1));
	bus_put(x->notify_bus, x->notify + 4, 2, 1);
	assert_int_equal(kicks(x, 1), 1);
	assert_int_equal(x->notify_bus->nr_doorbells, NR_VQS);
	cfg_put(&x->m, SLOT, PCI_COMMAND, 2, 0);
	assert_int_equal(x->notify_bus->nr_doorbells, 0);
	assert_false(bus_write(x->notify_bus, x->notify + 4, 2, 1));
	assert_int_equal(kicks(x, 1), 0);
}

static void kick_without_doorbell_arrives_too(void **state)
{
	struct fixture *x = *state;

	for (unsigned int q = 0; q < NR_VQS; q++)
		bus_doorbell_remove(x->notify_bus, x->notify + 4 * q, BUS_DOORBELL_ANY);
	bus_put(x->notify_bus, x->notify + 8, 2, 2);
	assert_int_equal(kicks(x, 2), 1);
	kick_beside_a_queue_is_dropped(state);
}

/* The driver moves its BARs as often as it likes; that a doorbell cannot be had is said by powers of two. */
static void missing_doorbells_are_few_words(void **state)
{
	struct fixture *x = *state;
	unsigned int lines = 0;

	messages_begin();
	for (unsigned int i = 0; i < 500; i++) {
		cfg_put(&x->m, SLOT, PCI_COMMAND, 2, 0);
		assert_int_equal(bus_doorbell_add(x->notify_bus, x->notify, BUS_DOORBELL_ANY,
						  x->fake.vq[0].kick_fd),
				 0);
		cfg_put(&x->m, SLOT, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_IO);
	}
	for (const char *at = messages_end(); (at = strstr(at, "no doorbell for queue 0")); at++)
		lines++;
	assert_int_equal(lines, 9);
}

/* ---- interrupts ---- */

static void without_msix_the_isr_tells(void **state)
{
	struct fixture *x = *state;

	start_driver(x);
	assert_int_equal(bus_get(&x->m.mmio, x->isr, 1), 0);
	queue_interrupt(x, 1);
	assert_true(x->func->intx_line);
	config_interrupt(x);
	assert_int_equal(bus_get(&x->m.mmio, x->isr, 1), 3);
	assert_false(x->func->intx_line);
	assert_int_equal(bus_get(&x->m.mmio, x->isr, 1), 0);
	queue_interrupt(x, 0);
	/* Other accesses than a byte's read acknowledge nothing. */
	assert_int_equal(bus_get(&x->m.mmio, x->isr, 4), 0);
	assert_int_equal(bus_get(&x->m.mmio, x->isr, 2), 0);
	assert_int_equal(bus_get(&x->m.mmio, x->isr + 1, 1), 0);
	bus_put(&x->m.mmio, x->isr, 1, 0xff);
	assert_true(x->func->intx_line);
	assert_int_equal(bus_get(&x->m.mmio, x->isr, 1), 1);
	for (unsigned int v = 0; v <= NR_VQS; v++)
		assert_int_equal(interrupts(x, v), 0);
}

/* A driver may clear it at any time (Linux does before kexec), and set it late. */
static void device_follows_bus_mastering(void **state)
{
	struct fixture *x = *state;

	start_driver(x);
	assert_int_equal(x->fake.activated, 1);
	for (unsigned int i = 1; i < 4; i++) {
		cfg_put(&x->m, SLOT, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
		cfg_put(&x->m, SLOT, PCI_COMMAND, 1, PCI_COMMAND_MEMORY | PCI_COMMAND_IO);
		assert_int_equal(x->fake.pauses, i);
		assert_int_equal(x->fake.resumes, i - 1);
		cfg_put(&x->m, SLOT, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
		cfg_put(&x->m, SLOT, PCI_COMMAND, 4, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
		assert_int_equal(x->fake.pauses, i);
		assert_int_equal(x->fake.resumes, i);
	}
	assert_int_equal(get_status(x), STATUS_RUN);
	cfg_put(&x->m, SLOT, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	set_status(x, 0);
	assert_int_equal(x->fake.resets, 1);
	start_driver(x); /* as far as it goes */
	assert_int_equal(x->fake.activated, 1);
	cfg_put(&x->m, SLOT, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	assert_int_equal(x->fake.activated, 2);
	assert_int_equal(x->fake.resumes, 3);
	virtio_fail(&x->fake.dev, "test");
	cfg_put(&x->m, SLOT, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	cfg_put(&x->m, SLOT, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	assert_int_equal(x->fake.resumes, 3); /* broken until reset */
	set_status(x, 0);
	cfg_put(&x->m, SLOT, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	set_status(x, 0);
	cfg_put(&x->m, SLOT, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	assert_int_equal(x->fake.activated, 2); /* nobody drives it */
}

static void with_msix_vectors_tell(void **state)
{
	struct fixture *x = *state;

	start_driver(x);
	use_msix(x);
	queue_interrupt(x, 1);
	assert_int_equal(interrupts(x, 1), 1);
	assert_int_equal(bus_get(&x->m.mmio, x->isr, 1), 0);
	config_interrupt(x);
	assert_int_equal(interrupts(x, NR_VQS), 1);
	assert_false(x->func->intx_line);
	assert_int_equal(bus_get(&x->m.mmio, x->isr, 1), VIRTIO_PCI_ISR_CONFIG);
	/* Two queues may share a vector. */
	select_queue(x, 0);
	common_put(x, VIRTIO_PCI_COMMON_Q_MSIX, 2, 2);
	queue_interrupt(x, 0);
	queue_interrupt(x, 2);
	assert_int_equal(interrupts(x, 2), 2);
	assert_int_equal(interrupts(x, 0), 0);
}

/* As few vectors as the function was made with, and what a driver that wants more is told. */
static void queues_share_what_vectors_there_are(void **state)
{
	struct fixture *x = *state;
	const unsigned int cap = cfg_find_cap(&x->m, SLOT, PCI_CAP_ID_MSIX, 0);
	const uint64_t table =
		cfg_bar(&x->m, SLOT, cfg_get(&x->m, SLOT, cap + PCI_MSIX_TABLE, 4) & 7);

	assert_int_equal(cfg_get(&x->m, SLOT, cap + PCI_MSIX_FLAGS, 2), 1); /* that is, two */
	start_driver(x);
	cfg_put(&x->m, SLOT, cap + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE);
	for (unsigned int v = 0; v < 2; v++)
		bus_put(&x->m.mmio, table + v * PCI_MSIX_ENTRY_SIZE + PCI_MSIX_ENTRY_VECTOR_CTRL, 4,
			0);
	common_put(x, VIRTIO_PCI_COMMON_MSIX, 2, 0);
	for (unsigned int q = 0; q < NR_VQS; q++) {
		select_queue(x, q);
		common_put(x, VIRTIO_PCI_COMMON_Q_MSIX, 2, 2);
		assert_int_equal(common_get(x, VIRTIO_PCI_COMMON_Q_MSIX, 2), VIRTIO_MSI_NO_VECTOR);
		common_put(x, VIRTIO_PCI_COMMON_Q_MSIX, 2, 1);
		assert_int_equal(common_get(x, VIRTIO_PCI_COMMON_Q_MSIX, 2), 1);
		queue_interrupt(x, q);
	}
	assert_int_equal(interrupts(x, 1), NR_VQS);
	assert_int_equal(interrupts(x, 0), 0);
	config_interrupt(x);
	assert_int_equal(interrupts(x, 0), 1);
}

/* Whoever has the event interrupts; the device is told when it is another, while it works. */
static void others_may_interrupt(void **state)
{
	struct fixture *x = *state;
	const unsigned int cap = cfg_find_cap(&x->m, SLOT, PCI_CAP_ID_MSIX, 0);
	struct virtio_dev *dev = &x->fake.dev;

	start_driver(x);
	use_msix(x);
	x->fake.moves = 0;
	event_signal(virtio_queue_event(dev, 1));
	assert_int_equal(interrupts(x, 1), 1);

	select_queue(x, 1);
	common_put(x, VIRTIO_PCI_COMMON_Q_MSIX, 2, 2);
	assert_int_equal(x->fake.moves, 1);
	event_signal(virtio_queue_event(dev, 1));
	assert_int_equal(interrupts(x, 2), 1);
	common_put(x, VIRTIO_PCI_COMMON_Q_MSIX, 2, VIRTIO_MSI_NO_VECTOR);
	assert_int_equal(virtio_queue_event(dev, 1), -1);
	common_put(x, VIRTIO_PCI_COMMON_Q_MSIX, 2, 1);

	/* What comes while all are masked stays pending. */
	cfg_put(&x->m, SLOT, cap + PCI_MSIX_FLAGS, 2,
		PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
	event_signal(virtio_queue_event(dev, 1));
	assert_true(irq_pending(&x->func->msix.vector[1].irq));
	cfg_put(&x->m, SLOT, cap + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE);
	assert_int_equal(interrupts(x, 1), 1);

	x->fake.moves = 0;
	cfg_put(&x->m, SLOT, cap + PCI_MSIX_FLAGS, 2, 0);
	assert_int_equal(virtio_queue_event(dev, 1), -ENOTSUP);
	assert_int_equal(x->fake.moves, 1);
	cfg_put(&x->m, SLOT, cap + PCI_MSIX_FLAGS, 2, 0);
	assert_int_equal(x->fake.moves, 1);
	virtio_interrupt(dev, 1);
	assert_true(x->func->intx_line);
	set_status(x, 0);
	cfg_put(&x->m, SLOT, cap + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE);
	assert_int_equal(x->fake.moves, 1); /* of nothing */
}

static void queue_without_vector_is_silent(void **state)
{
	struct fixture *x = *state;

	start_driver(x);
	use_msix(x);
	select_queue(x, 1);
	common_put(x, VIRTIO_PCI_COMMON_Q_MSIX, 2, VIRTIO_MSI_NO_VECTOR);
	queue_interrupt(x, 1);
	for (unsigned int v = 0; v <= NR_VQS; v++)
		assert_int_equal(interrupts(x, v), 0);
	assert_false(x->func->intx_line);
}

static void vectors_out_of_range_are_refused(void **state)
{
	struct fixture *x = *state;
	static const uint16_t vectors[] = { NR_VQS + 1, 0x800, 0xfffe, 0xffff };

	for (unsigned int i = 0; i < ARRAY_SIZE(vectors); i++) {
		use_msix(x);
		common_put(x, VIRTIO_PCI_COMMON_MSIX, 2, vectors[i]);
		common_put(x, VIRTIO_PCI_COMMON_Q_MSIX, 2, vectors[i]);
		assert_int_equal(common_get(x, VIRTIO_PCI_COMMON_MSIX, 2), VIRTIO_MSI_NO_VECTOR);
		assert_int_equal(common_get(x, VIRTIO_PCI_COMMON_Q_MSIX, 2), VIRTIO_MSI_NO_VECTOR);
	}
}

static void reset_forgets_interrupts(void **state)
{
	struct fixture *x = *state;
	const unsigned int cap = cfg_find_cap(&x->m, SLOT, PCI_CAP_ID_MSIX, 0);

	start_driver(x);
	use_msix(x);
	cfg_put(&x->m, SLOT, cap + PCI_MSIX_FLAGS, 2,
		PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
	queue_interrupt(x, 0);
	config_interrupt(x);
	assert_true(irq_pending(&x->func->msix.vector[0].irq));
	set_status(x, 0);
	for (unsigned int q = 0; q < NR_VQS; q++) {
		select_queue(x, q);
		assert_int_equal(common_get(x, VIRTIO_PCI_COMMON_Q_MSIX, 2), VIRTIO_MSI_NO_VECTOR);
	}
	assert_int_equal(common_get(x, VIRTIO_PCI_COMMON_MSIX, 2), VIRTIO_MSI_NO_VECTOR);
	cfg_put(&x->m, SLOT, cap + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE);
	for (unsigned int v = 0; v <= NR_VQS; v++)
		assert_int_equal(interrupts(x, v), 0);
	cfg_put(&x->m, SLOT, cap + PCI_MSIX_FLAGS, 2, 0);
	start_driver(x);
	queue_interrupt(x, 0);
	assert_true(x->func->intx_line);
	set_status(x, 0);
	assert_false(x->func->intx_line);
	assert_int_equal(bus_get(&x->m.mmio, x->isr, 1), 0);
}

/* ---- threads and noise ---- */

/* Reset waits for a worker that interrupts all the time: none of the locks may bring them to a halt. */
static void busy_device_resets(void **state)
{
	struct fixture *x = *state;

	x->fake.busy = true;
	for (unsigned int i = 0; i < 100; i++) {
		start_driver(x);
		if (i % 2)
			use_msix(x);
		bus_get(&x->m.mmio, x->isr, 1);
		if (i % 4 < 2) {
			set_status(x, 0);
		} else {
			window(x, 0, VIRTIO_PCI_COMMON_STATUS, 1);
			window_put(x, 1, 0);
		}
		assert_int_equal(x->fake.resets, i + 1);
		assert_int_equal(get_status(x), 0);
		assert_int_equal(bus_get(&x->m.mmio, x->isr, 1), 0);
		assert_false(x->func->intx_line);
		cfg_put(&x->m, SLOT, cfg_find_cap(&x->m, SLOT, PCI_CAP_ID_MSIX, 0) + PCI_MSIX_FLAGS,
			2, 0);
	}
}

static void noise_is_contained(void **state)
{
	struct fixture *x = *state;
	static const unsigned int sizes[] = { 1, 2, 4, 8 };
	const uint64_t regs = cfg_bar(&x->m, SLOT, 0), msix = cfg_bar(&x->m, SLOT, 1);
	unsigned int seed = 2;

	for (unsigned int i = 0; i < 200000; i++) {
		const unsigned int r = (unsigned int)rand_r(&seed);
		const unsigned int size = sizes[r % 4];
		const unsigned int at = r / 16 % 8 ? r / 1024 % 64 : r / 1024 % 4096;
		const uint64_t addr = (r / 4 % 8 ? regs + (r / 4 % 4) * 0x1000 : msix) + at;
		uint64_t value = (uint64_t)rand_r(&seed);

		if (r / 128 % 2)
			value &= 0xf;
		if (r / 256 % 2)
			bus_write(&x->m.mmio, addr, size, value << 3 ^ value);
		else
			bus_read(&x->m.mmio, addr, size, &value);
		if (i % 64 == 0) {
			window(x, r % 8, r / 8 % 0x5000, sizes[r % 3]);
			window_put(x, 4, (uint32_t)value);
			queue_interrupt(x, r % NR_VQS);
			config_interrupt(x);
		}
	}
	start_driver(x);
	use_msix(x);
	for (unsigned int v = 0; v <= NR_VQS; v++)
		interrupts(x, v);
	queue_interrupt(x, 1);
	assert_int_equal(interrupts(x, 1), 1);
}

/* Notifications are had through ports, and through memory by a driver that can use no ports. */
#define TEST_NOTIFY(f)                                                              \
	TEST(f),                                                                    \
	{                                                                           \
#f "_memory", f, virtio_pci_setup_memory, virtio_pci_teardown, NULL \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_NOTIFY(kick_reaches_its_queue),
		TEST_NOTIFY(kick_beside_a_queue_is_dropped),
		TEST_NOTIFY(doorbells_follow_the_bar),
		TEST_NOTIFY(kick_without_doorbell_arrives_too),
		TEST_NOTIFY(missing_doorbells_are_few_words),
		TEST(without_msix_the_isr_tells),
		TEST(device_follows_bus_mastering),
		TEST(with_msix_vectors_tell),
		cmocka_unit_test_setup_teardown(queues_share_what_vectors_there_are,
						virtio_pci_setup_shared, virtio_pci_teardown),
		TEST(others_may_interrupt),
		TEST(queue_without_vector_is_silent),
		TEST(vectors_out_of_range_are_refused),
		TEST(reset_forgets_interrupts),
		TEST(busy_device_resets),
		TEST(noise_is_contained),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
