/* Interrupts of PCI functions: INTA's level, MSI-X tables and masks. */
#include <linux/pci_regs.h>
#include <string.h>

#include "devices/test/pci_rig.h"
#include "vmm/base/test/parent.h"
#include "vmm/base/test/unit.h"

/* ---- INTA ---- */

static uint16_t status(struct fixture *x)
{
	return (uint16_t)cfg_get(&x->m, 1, PCI_STATUS, 2);
}

static void set_msix(struct fixture *x, uint16_t flags)
{
	const unsigned int cap = cfg_find_cap(&x->m, 1, PCI_CAP_ID_MSIX, 0);

	cfg_put(&x->m, 1, cap + PCI_MSIX_FLAGS, 2, flags);
}

static void intx_follows_device_and_gates(void **state)
{
	struct fixture *x = *state;
	struct pci_func *f = &x->a.func;

	pci_intx_set(f, true);
	assert_true(f->intx_line);
	assert_true(status(x) & PCI_STATUS_INTERRUPT);
	assert_true(cfg_get(&x->m, 1, PCI_STATUS, 1) & PCI_STATUS_INTERRUPT);
	assert_true(cfg_get(&x->m, 1, PCI_COMMAND, 4) & PCI_STATUS_INTERRUPT << 16);
	set_command(x, 1, PCI_COMMAND_INTX_DISABLE);
	assert_false(f->intx_line);
	assert_true(status(x) & PCI_STATUS_INTERRUPT); /* still wants service */
	set_command(x, 1, 0);
	assert_true(f->intx_line);
	set_msix(x, PCI_MSIX_FLAGS_ENABLE);
	assert_false(f->intx_line);
	pci_intx_set(f, false);
	pci_intx_set(f, true);
	assert_false(f->intx_line);
	set_msix(x, 0);
	assert_true(f->intx_line);
	pci_intx_set(f, false);
	assert_false(f->intx_line);
	assert_false(status(x) & PCI_STATUS_INTERRUPT);
	set_command(x, 1, PCI_COMMAND_INTX_DISABLE);
	pci_intx_set(f, true);
	assert_false(f->intx_line);
	/* Writing ones to the status register does not acknowledge it. */
	cfg_put(&x->m, 1, PCI_STATUS, 2, 0xffff);
	assert_true(status(x) & PCI_STATUS_INTERRUPT);
	assert_false(x->b.func.intx_line);
}

/* ---- MSI-X ---- */

static uint64_t table(struct fixture *x, unsigned int v, unsigned int field)
{
	return cfg_bar(&x->m, 1, MSIX_BAR) + v * PCI_MSIX_ENTRY_SIZE + field;
}

static void set_vector(struct fixture *x, unsigned int v, bool masked)
{
	bus_put(&x->m.mmio, table(x, v, PCI_MSIX_ENTRY_VECTOR_CTRL), 4, masked);
}

static void program_vector(struct fixture *x, unsigned int v)
{
	bus_put(&x->m.mmio, table(x, v, PCI_MSIX_ENTRY_LOWER_ADDR), 4, MESSAGE);
	bus_put(&x->m.mmio, table(x, v, PCI_MSIX_ENTRY_UPPER_ADDR), 4, 0);
	bus_put(&x->m.mmio, table(x, v, PCI_MSIX_ENTRY_DATA), 4, 0x40 + v);
}

/* As a driver that is ready for interrupts: message written, all vectors unmasked. */
static void msix_on(struct fixture *x)
{
	set_command(x, 1, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	set_msix(x, PCI_MSIX_FLAGS_ENABLE);
	for (unsigned int v = 0; v < NR_VECTORS; v++) {
		program_vector(x, v);
		set_vector(x, v, false);
	}
}

static uint64_t taken(struct fixture *x, unsigned int v)
{
	struct irq *irq = &x->a.func.msix.vector[v].irq;

	return irq->masked ? 0 : eventfd_take(irq->fd) > 0;
}

static uint64_t pending(struct fixture *x)
{
	return bus_get(&x->m.mmio, cfg_bar(&x->m, 1, MSIX_BAR) + PBA, 8);
}

static void msix_capability_describes_the_bar(void **state)
{
	struct fixture *x = *state;
	const unsigned int cap = cfg_find_cap(&x->m, 1, PCI_CAP_ID_MSIX, 0);

	assert_int_equal(cfg_get(&x->m, 1, cap + PCI_MSIX_FLAGS, 2), NR_VECTORS - 1);
	assert_int_equal(cfg_get(&x->m, 1, cap + PCI_MSIX_TABLE, 4), MSIX_BAR);
	assert_int_equal(cfg_get(&x->m, 1, cap + PCI_MSIX_PBA, 4), PBA | MSIX_BAR);
	assert_int_equal(cfg_find_cap(&x->m, 1, PCI_CAP_ID_MSIX, cap), 0);
	set_command(x, 1, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	for (unsigned int v = 0; v < NR_VECTORS; v++)
		assert_int_equal(bus_get(&x->m.mmio, table(x, v, PCI_MSIX_ENTRY_VECTOR_CTRL), 4),
				 1);
}

static void raised_vector_goes_out(void **state)
{
	struct fixture *x = *state;

	assert_false(pci_msix_enabled(&x->a.func));
	msix_on(x);
	assert_true(pci_msix_enabled(&x->a.func));
	pci_msix_raise(&x->a.func.msix, 1);
	assert_int_equal(taken(x, 0), 0);
	assert_int_equal(taken(x, 1), 1);
	assert_int_equal(taken(x, 2), 0);
	assert_int_equal(pending(x), 0);
}

static void vectors_that_do_not_exist_are_ignored(void **state)
{
	struct fixture *x = *state;

	msix_on(x);
	pci_msix_raise(&x->a.func.msix, NR_VECTORS);
	pci_msix_raise(&x->a.func.msix, 0xffff);
	pci_msix_raise(&x->a.func.msix, UINT32_MAX);
	for (unsigned int v = 0; v < NR_VECTORS; v++)
		assert_int_equal(taken(x, v), 0);
	assert_int_equal(pending(x), 0);
}

static void every_mask_holds_back_and_delivers_once(void **state)
{
	struct fixture *x = *state;

	msix_on(x);
	set_vector(x, 1, true);
	pci_msix_raise(&x->a.func.msix, 1);
	pci_msix_raise(&x->a.func.msix, 1);
	assert_int_equal(taken(x, 1), 0);
	assert_int_equal(pending(x), 1 << 1);
	set_vector(x, 1, false);
	assert_int_equal(taken(x, 1), 1);
	assert_int_equal(pending(x), 0);

	set_msix(x, PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
	set_vector(x, 2, true);
	pci_msix_raise(&x->a.func.msix, 0);
	pci_msix_raise(&x->a.func.msix, 2);
	assert_int_equal(pending(x), 1 << 0 | 1 << 2);
	set_vector(x, 0, false); /* the function's mask still holds */
	assert_int_equal(taken(x, 0), 0);
	set_msix(x, PCI_MSIX_FLAGS_ENABLE);
	assert_int_equal(taken(x, 0), 1);
	assert_int_equal(taken(x, 2), 0); /* its own mask still holds */
	assert_int_equal(pending(x), 1 << 2);

	set_msix(x, 0); /* off masks too */
	set_vector(x, 2, false);
	assert_int_equal(taken(x, 2), 0);
	set_msix(x, PCI_MSIX_FLAGS_ENABLE);
	assert_int_equal(taken(x, 2), 1);
}

/* A message is a write to memory: none without bus mastering, and none is lost by it. */
static void messages_wait_for_bus_mastering(void **state)
{
	struct fixture *x = *state;

	msix_on(x);
	set_command(x, 1, PCI_COMMAND_MEMORY);
	pci_msix_raise(&x->a.func.msix, 0);
	assert_int_equal(taken(x, 0), 0);
	assert_int_equal(pending(x), 1 << 0);
	set_vector(x, 0, true);
	set_vector(x, 0, false); /* nor does that let it out */
	assert_int_equal(taken(x, 0), 0);
	set_msix(x, 0);
	set_msix(x, PCI_MSIX_FLAGS_ENABLE);
	assert_int_equal(pending(x), 1 << 0);
	set_command(x, 1, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	assert_int_equal(taken(x, 0), 1);
	assert_int_equal(pending(x), 0);
}

static void cleared_pending_is_not_delivered(void **state)
{
	struct fixture *x = *state;

	msix_on(x);
	set_vector(x, 0, true);
	pci_msix_raise(&x->a.func.msix, 0);
	pci_msix_clear_pending(&x->a.func.msix);
	assert_int_equal(pending(x), 0);
	set_vector(x, 0, false);
	assert_int_equal(taken(x, 0), 0);
}

static void table_keeps_what_is_written(void **state)
{
	struct fixture *x = *state;

	set_command(x, 1, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	bus_put(&x->m.mmio, table(x, 2, 0), 8, 0x12345678fee01007ull);
	assert_int_equal(bus_get(&x->m.mmio, table(x, 2, 0), 8), 0x12345678fee01004ull);
	assert_int_equal(bus_get(&x->m.mmio, table(x, 2, 4), 4), 0x12345678);
	bus_put(&x->m.mmio, table(x, 2, 8), 8, 0xffffffff00000055ull);
	assert_int_equal(bus_get(&x->m.mmio, table(x, 2, 8), 8), 0x0000000100000055ull);
	assert_int_equal(bus_get(&x->m.mmio, table(x, 1, 0), 8), 0);
}

static void odd_table_accesses_have_no_effect(void **state)
{
	struct fixture *x = *state;
	static const struct {
		unsigned int offset, size;
	} odd[] = {
		{ 0, 1 }, { 0, 2 }, { 1, 4 },  { 2, 4 }, { 3, 1 }, { 4, 8 }, { 6, 4 }, { 12, 1 },
		{ 0, 3 }, { 1, 3 }, { 13, 3 }, { 0, 5 }, { 3, 5 }, { 2, 6 }, { 0, 7 }, { 9, 7 },
	};

	msix_on(x);
	for (unsigned int i = 0; i < ARRAY_SIZE(odd); i++) {
		bus_put(&x->m.mmio, table(x, 0, odd[i].offset), odd[i].size, ~0ull);
		assert_int_equal(bus_get(&x->m.mmio, table(x, 0, odd[i].offset), odd[i].size), 0);
	}
	assert_int_equal(bus_get(&x->m.mmio, table(x, 0, 0), 8), MESSAGE);
	assert_int_equal(bus_get(&x->m.mmio, table(x, 0, 8), 8), 0x40);
}

static void table_and_pba_end_where_they_end(void **state)
{
	struct fixture *x = *state;

	msix_on(x);
	set_vector(x, 0, true);
	pci_msix_raise(&x->a.func.msix, 0);
	for (uint64_t offset = NR_VECTORS * PCI_MSIX_ENTRY_SIZE; offset < 4096; offset += 8) {
		const uint64_t before = offset == PBA ? 1 : 0;
		const uint64_t addr = cfg_bar(&x->m, 1, MSIX_BAR) + offset;

		bus_put(&x->m.mmio, addr, 8, ~0ull); /* the pending bits are read-only */
		assert_int_equal(bus_get(&x->m.mmio, addr, 8), before);
		bus_put(&x->m.mmio, addr, 4, 0);
		assert_int_equal(bus_get(&x->m.mmio, addr, 4), before);
	}
}

static void large_tables_have_their_pba_behind(void **state)
{
	struct fixture *x = *state;
	static struct fake f;
	uint64_t base;

	need_descriptors(400);
	memset(&f, 0, sizeof(f));
	pci_func_init(&f.func, "many", VENDOR, DEVICE, 0, 0);
	assert_int_equal(pci_func_add_msix(&f.func, 4, 300), 0);
	assert_int_equal(pci_host_add(x->m.host, &f.func), 0);
	set_command(x, 3, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	base = cfg_bar(&x->m, 3, 4);
	pci_msix_raise(&f.func.msix, 299);
	pci_msix_raise(&f.func.msix, 64);
	assert_int_equal(f.func.msix.pba, 0x2000);
	assert_int_equal(bus_get(&x->m.mmio, base + 0x2000 + 32, 8), 1ull << (299 - 256));
	assert_int_equal(bus_get(&x->m.mmio, base + 0x2000 + 8, 4), 1);
	assert_int_equal(bus_get(&x->m.mmio, base + 0x2000 + 40, 8), 0);
	bus_put(&x->m.mmio, base + 299 * PCI_MSIX_ENTRY_SIZE + 8, 4, 77);
	assert_int_equal(f.func.msix.vector[299].data, 77);
	assert_int_equal(bus_get(&x->m.mmio, base + 0x3ff8, 8), 0);
	pci_func_destroy(&f.func);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(intx_follows_device_and_gates),
		TEST(msix_capability_describes_the_bar),
		TEST(raised_vector_goes_out),
		TEST(vectors_that_do_not_exist_are_ignored),
		TEST(every_mask_holds_back_and_delivers_once),
		TEST(messages_wait_for_bus_mastering),
		TEST(cleared_pending_is_not_delivered),
		TEST(table_keeps_what_is_written),
		TEST(odd_table_accesses_have_no_effect),
		TEST(table_and_pba_end_where_they_end),
		TEST(large_tables_have_their_pba_behind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
