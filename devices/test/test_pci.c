/* The PCI host bridge and its functions, as hostile and as honest guests use them. */
#include <linux/pci_regs.h>
#include <stdlib.h>
#include <string.h>

#include "devices/test/pci_rig.h"
#include "vmm/base/test/account.h"
#include "vmm/base/test/parent.h"
#include "vmm/base/test/unit.h"
#include "vmm/x86/memmap.h"

/* ---- configuration space ---- */

static void cf8_select(struct fixture *x, uint32_t bus, uint32_t dev, uint32_t fn, uint32_t reg)
{
	bus_put(&x->m.pio, PORT_PCI_ADDRESS, 4, 1u << 31 | bus << 16 | dev << 11 | fn << 8 | reg);
}

static void host_bridge_is_found_both_ways(void **state)
{
	struct fixture *x = *state;

	assert_int_equal(cfg_get(&x->m, 0, PCI_CLASS_DEVICE, 2), 0x0600);
	assert_int_equal(cfg_get(&x->m, 0, PCI_INTERRUPT_PIN, 1), 0);
	cf8_select(x, 0, 0, 0, PCI_VENDOR_ID);
	assert_int_equal(bus_get(&x->m.pio, PORT_PCI_DATA, 4), cfg_get(&x->m, 0, PCI_VENDOR_ID, 4));
	cf8_select(x, 0, 1, 0, PCI_VENDOR_ID);
	assert_int_equal(bus_get(&x->m.pio, PORT_PCI_DATA, 4), DEVICE << 16 | VENDOR);
}

static void header_is_of_type_0(void **state)
{
	struct fixture *x = *state;

	assert_int_equal(cfg_get(&x->m, 1, PCI_CLASS_REVISION, 4), 0x02000007);
	assert_int_equal(cfg_get(&x->m, 1, PCI_HEADER_TYPE, 1), 0);
	assert_int_equal(cfg_get(&x->m, 1, PCI_SUBSYSTEM_ID, 2), DEVICE);
	assert_int_equal(cfg_get(&x->m, 1, PCI_INTERRUPT_PIN, 1), 1);
	assert_int_equal(cfg_get(&x->m, 1, PCI_INTERRUPT_LINE, 1), GSI_PCI_INTA + 1);
	assert_int_equal(cfg_get(&x->m, 2, PCI_INTERRUPT_LINE, 1), GSI_PCI_INTA + 2);
	assert_int_equal(cfg_get(&x->m, 1, PCI_COMMAND, 2), 0);
}

static void data_port_takes_bytes_and_words(void **state)
{
	struct fixture *x = *state;

	cf8_select(x, 0, 1, 0, PCI_VENDOR_ID);
	assert_int_equal(bus_get(&x->m.pio, PORT_PCI_DATA, 1), VENDOR & 0xff);
	assert_int_equal(bus_get(&x->m.pio, PORT_PCI_DATA + 1, 1), VENDOR >> 8);
	assert_int_equal(bus_get(&x->m.pio, PORT_PCI_DATA + 2, 2), DEVICE);
	assert_int_equal(bus_get(&x->m.pio, PORT_PCI_DATA + 3, 1), DEVICE >> 8);
	cf8_select(x, 0, 1, 0, PCI_INTERRUPT_LINE);
	bus_put(&x->m.pio, PORT_PCI_DATA, 1, 0x55);
	assert_int_equal(cfg_get(&x->m, 1, PCI_INTERRUPT_LINE, 2), 0x0155);
}

static void address_port_takes_dwords_only(void **state)
{
	struct fixture *x = *state;

	cf8_select(x, 0, 1, 0, PCI_COMMAND);
	bus_put(&x->m.pio, PORT_PCI_ADDRESS, 1, 0);
	bus_put(&x->m.pio, PORT_PCI_ADDRESS, 2, 0);
	bus_put(&x->m.pio, PORT_PCI_ADDRESS + 1, 1, 0xff); /* elsewhere a reset register */
	bus_put(&x->m.pio, PORT_PCI_ADDRESS + 2, 2, 0);
	bus_put(&x->m.pio, PORT_PCI_ADDRESS + 3, 1, 1); /* how Linux probes for mechanism 1 */
	assert_int_equal(bus_get(&x->m.pio, PORT_PCI_ADDRESS, 4), 0x80000804);
	assert_int_equal(bus_get(&x->m.pio, PORT_PCI_ADDRESS, 2), 0xffff);
	assert_int_equal(bus_get(&x->m.pio, PORT_PCI_ADDRESS + 3, 1), 0xff);
	bus_put(&x->m.pio, PORT_PCI_ADDRESS, 4, 0xffffffff);
	assert_int_equal(bus_get(&x->m.pio, PORT_PCI_ADDRESS, 4), 0x80fffffc);
}

static uint8_t reset_control = 0x5a;

static uint64_t reset_control_read(void *dev, uint64_t offset, unsigned int size)
{
	assert_int_equal(offset, 0);
	assert_int_equal(size, 1);
	return *(uint8_t *)dev;
}

static void reset_control_write(void *dev, uint64_t offset, unsigned int size, uint64_t value)
{
	assert_int_equal(offset, 0);
	assert_int_equal(size, 1);
	*(uint8_t *)dev = (uint8_t)value;
}

/* The chipset's reset control register lies amid the address register: bytes are for it, dwords not. */
static void address_port_leaves_bytes_to_the_reset_register(void **state)
{
	static const struct bus_ops ops = { reset_control_read, reset_control_write };
	struct bus_range range = { "reset", PORT_RESET_CONTROL, 1, &ops, &reset_control };
	struct pci_layout layout = MEMMAP_PCI;
	struct fixture *x = *state;
	struct pci_host *host;
	struct bus pio, mmio;

	bus_init(&pio);
	bus_init(&mmio);
	assert_int_equal(bus_add(&pio, &range), 0);
	layout.reset_control = &range;
	assert_int_equal(pci_host_create(&host, &layout, &pio, &mmio, x->m.irqchip, &x->m.counters),
			 0);
	assert_int_equal(bus_get(&pio, PORT_RESET_CONTROL, 1), 0x5a);
	bus_put(&pio, PORT_RESET_CONTROL, 1, 0x0e);
	assert_int_equal(reset_control, 0x0e);
	bus_put(&pio, PORT_PCI_ADDRESS, 4, 0x80000804);
	bus_put(&pio, PORT_PCI_ADDRESS, 1, 0xff);
	bus_put(&pio, PORT_PCI_ADDRESS + 2, 1, 0xff);
	bus_put(&pio, PORT_RESET_CONTROL, 2, 0xffff);
	assert_int_equal(reset_control, 0x0e);
	assert_int_equal(bus_get(&pio, PORT_PCI_ADDRESS, 4), 0x80000804);
	pci_host_destroy(host);
	bus_destroy(&pio);
	bus_destroy(&mmio);
}

/* KVM may hand over any number of bytes where an access crosses a page. */
static void odd_sizes_have_no_effect(void **state)
{
	static const unsigned int sizes[] = { 0, 3, 5, 6, 7, 8, 9, 255 };
	struct fixture *x = *state;

	for (unsigned int i = 0; i < ARRAY_SIZE(sizes); i++)
		for (unsigned int reg = 0; reg < PCI_CFG_SIZE; reg++) {
			const uint64_t at = MEMMAP_ECAM_BASE + (1 << 15) + reg;
			uint64_t v = 0;

			bus_read(&x->m.mmio, at, sizes[i], &v);
			assert_true(
				sizes[i] > 8 ||
				v == (sizes[i] == 8 ? UINT64_MAX : (1ull << 8 * sizes[i]) - 1) ||
				v == UINT32_MAX);
			bus_write(&x->m.mmio, at, sizes[i], 0);
		}
	assert_int_equal(cfg_get(&x->m, 1, PCI_VENDOR_ID, 4), DEVICE << 16 | VENDOR);
	assert_int_equal(cfg_get(&x->m, 1, PCI_INTERRUPT_LINE, 1), GSI_PCI_INTA + 1);
	for (unsigned int i = 0; i < ARRAY_SIZE(sizes); i++)
		for (unsigned int offset = 0; offset < 8; offset++)
			bus_write(&x->m.pio, PORT_PCI_ADDRESS + offset, sizes[i], 0);
}

static void data_port_without_enable_reaches_nothing(void **state)
{
	struct fixture *x = *state;

	bus_put(&x->m.pio, PORT_PCI_ADDRESS, 4, 1u << 11 | PCI_INTERRUPT_LINE);
	assert_int_equal(bus_get(&x->m.pio, PORT_PCI_DATA, 4), 0xffffffff);
	bus_put(&x->m.pio, PORT_PCI_DATA, 1, 0x55);
	assert_int_equal(cfg_get(&x->m, 1, PCI_INTERRUPT_LINE, 1), GSI_PCI_INTA + 1);
}

static void nobody_is_all_ones(void **state)
{
	struct fixture *x = *state;

	for (unsigned int slot = 3; slot < PCI_SLOTS; slot++) {
		cfg_put(&x->m, slot, PCI_COMMAND, 2, 0xffff);
		assert_int_equal(cfg_get(&x->m, slot, PCI_VENDOR_ID, 4), 0xffffffff);
		assert_int_equal(cfg_get(&x->m, slot, 0xffc, 2), 0xffff);
	}
	for (unsigned int fn = 1; fn < 8; fn++) {
		assert_int_equal(cfg_get(&x->m, 1, fn << 12, 4), 0xffffffff);
		cf8_select(x, 0, 1, fn, 0);
		assert_int_equal(bus_get(&x->m.pio, PORT_PCI_DATA, 2), 0xffff);
	}
	for (unsigned int bus = 1; bus < 256; bus++) {
		cf8_select(x, bus, 1, 0, 0);
		bus_put(&x->m.pio, PORT_PCI_DATA, 4, 0);
		assert_int_equal(bus_get(&x->m.pio, PORT_PCI_DATA, 4), 0xffffffff);
	}
}

static void odd_config_accesses_have_no_effect(void **state)
{
	struct fixture *x = *state;
	static const struct {
		unsigned int reg, size;
	} odd[] = {
		{ 1, 2 }, { 3, 2 }, { 1, 4 }, { 2, 4 }, { 3, 4 }, { 0, 8 }, { 4, 8 }, { 1, 8 }
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(odd); i++) {
		assert_int_equal(cfg_get(&x->m, 1, PCI_INTERRUPT_LINE + odd[i].reg, odd[i].size),
				 odd[i].size == 2 ? 0xffff : 0xffffffff);
		cfg_put(&x->m, 1, PCI_INTERRUPT_LINE + odd[i].reg, odd[i].size, 0x77777777);
	}
	assert_int_equal(cfg_get(&x->m, 1, PCI_INTERRUPT_LINE, 4), 0x0100 | (GSI_PCI_INTA + 1));
}

static void only_opened_bits_are_writable(void **state)
{
	struct fixture *x = *state;
	const unsigned int msix = cfg_find_cap(&x->m, 1, PCI_CAP_ID_MSIX, 0);

	assert_int_not_equal(msix, 0);
	for (unsigned int reg = 0; reg < PCI_CFG_SIZE; reg += 4) {
		const uint32_t before = cfg_get(&x->m, 1, reg, 4);
		const bool is_bar = reg >= PCI_BASE_ADDRESS_0 && reg <= PCI_BASE_ADDRESS_2;
		uint32_t open = 0;

		if (reg == PCI_COMMAND)
			open = COMMAND_DECODE | PCI_COMMAND_MASTER | PCI_COMMAND_INTX_DISABLE;
		else if (reg == PCI_CACHE_LINE_SIZE || reg == PCI_INTERRUPT_LINE)
			open = 0xff;
		else if (reg == msix)
			open = (uint32_t)(PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL) << 16;
		else if (is_bar)
			open = cfg_get(&x->m, 1, reg, 4) ^ 0xffffffff; /* sizing has its own test */
		cfg_put(&x->m, 1, reg, 4, ~before);
		if (!is_bar)
			assert_int_equal(cfg_get(&x->m, 1, reg, 4), before ^ open);
		cfg_put(&x->m, 1, reg, 4, before);
		assert_int_equal(cfg_get(&x->m, 1, reg, 4), before);
	}
}

static uint32_t hook_value;

static uint32_t hook_read(struct pci_func *func, unsigned int offset, unsigned int size)
{
	return 0x40 + offset;
}

static void hook_write(struct pci_func *func, unsigned int offset, unsigned int size,
		       uint32_t value)
{
	hook_value = value + offset;
}

static void hook_sees_its_range_only(void **state)
{
	struct fixture *x = *state;

	x->a.func.hook = 0xc0;
	x->a.func.hook_len = 4;
	x->a.func.hook_read = hook_read;
	x->a.func.hook_write = hook_write;
	hook_value = 0;
	cfg_put(&x->m, 1, 0xbc, 4, 1);
	cfg_put(&x->m, 1, 0xc4, 4, 1);
	cfg_put(&x->m, 1, 0xc1, 4, 1); /* misaligned */
	cfg_put(&x->m, 2, 0xc0, 4, 1);
	assert_int_equal(hook_value, 0);
	assert_int_equal(cfg_get(&x->m, 1, 0xbc, 4), 0);
	cfg_put(&x->m, 1, 0xc2, 2, 0x100);
	assert_int_equal(hook_value, 0x102);
	assert_int_equal(cfg_get(&x->m, 1, 0xc3, 1), 0x43);
}

/* ---- BARs ---- */

static void bars_tell_their_size(void **state)
{
	struct fixture *x = *state;
	const uint64_t before = cfg_bar(&x->m, 1, MEM_BAR);

	set_bar(x, 1, MEM_BAR, 0xffffffff);
	assert_int_equal(cfg_get(&x->m, 1, PCI_BASE_ADDRESS_0, 4), (uint32_t)-MEM_SIZE);
	set_bar(x, 1, MEM_BAR, (uint32_t)before);
	assert_int_equal(cfg_bar(&x->m, 1, MEM_BAR), before);
	set_bar(x, 1, IO_BAR, 0xffffffff);
	assert_int_equal(cfg_get(&x->m, 1, PCI_BASE_ADDRESS_2, 4), (uint32_t)-IO_SIZE | 1);
	/* One that is not there stays 0. */
	set_bar(x, 1, 5, 0xffffffff);
	assert_int_equal(cfg_get(&x->m, 1, PCI_BASE_ADDRESS_5, 4), 0);
	cfg_put(&x->m, 1, PCI_ROM_ADDRESS, 4, 0xffffffff);
	assert_int_equal(cfg_get(&x->m, 1, PCI_ROM_ADDRESS, 4), 0);
}

static void bars_have_addresses_of_their_own(void **state)
{
	struct fixture *x = *state;
	uint64_t mem_end = MEMMAP_PCI_MEM_BASE, io_end = PORT_PCI_IO_BASE;

	for (unsigned int slot = 1; slot <= 2; slot++) {
		const uint64_t mem = cfg_bar(&x->m, slot, MEM_BAR);
		const uint64_t msix = cfg_bar(&x->m, slot, MSIX_BAR);
		const uint64_t io = cfg_bar(&x->m, slot, IO_BAR);

		assert_true(mem >= mem_end && mem % MEM_SIZE == 0);
		assert_true(msix >= mem + MEM_SIZE && msix % 4096 == 0);
		assert_true(io >= io_end && io % IO_SIZE == 0);
		mem_end = msix + 4096;
		io_end = io + IO_SIZE;
	}
	assert_true(mem_end <= MEMMAP_PCI_MEM_BASE + MEMMAP_PCI_MEM_SIZE);
	assert_true(io_end <= PORT_PCI_IO_BASE + PORT_PCI_IO_SIZE);
}

static void command_register_gates_decoding(void **state)
{
	struct fixture *x = *state;
	const uint64_t mem = cfg_bar(&x->m, 1, MEM_BAR), io = cfg_bar(&x->m, 1, IO_BAR);

	assert_false(answers(&x->m.mmio, mem));
	assert_false(answers(&x->m.pio, io));
	set_command(x, 1, PCI_COMMAND_IO);
	assert_false(answers(&x->m.mmio, mem));
	assert_int_equal(bus_get(&x->m.pio, io + 4, 4), 0xa0000004);
	set_command(x, 1, PCI_COMMAND_MEMORY);
	assert_int_equal(bus_get(&x->m.mmio, mem + MEM_SIZE - 4, 4), 0xa0000000 + MEM_SIZE - 4);
	assert_false(answers(&x->m.pio, io));
	assert_false(answers(&x->m.mmio, mem + MEM_SIZE - 2)); /* across the end, into the next */
	assert_int_equal(x->a.mapped, 1);
	set_command(x, 1, 0);
	assert_false(answers(&x->m.mmio, mem));
	assert_int_equal(x->a.unmapped, 1);
	assert_int_equal(x->b.mapped, 0);
}

static void bar_moves_while_decoding(void **state)
{
	struct fixture *x = *state;
	const uint64_t old = cfg_bar(&x->m, 1, MEM_BAR);
	const uint32_t new = 0xd0000000;

	set_command(x, 1, COMMAND_DECODE);
	set_bar(x, 1, MEM_BAR, new | 0x123f); /* bits below the size do not exist */
	assert_int_equal(cfg_get(&x->m, 1, PCI_BASE_ADDRESS_0, 4), new);
	assert_false(answers(&x->m.mmio, old));
	assert_int_equal(bus_get(&x->m.mmio, new + 8, 4), 0xa0000008);
	assert_int_equal(x->a.mapped_at, new);
	assert_int_equal(x->a.mapped, 2);
	assert_int_equal(x->a.unmapped, 1);
	/* Byte by byte, as nobody should: every step decodes where the register says. */
	cfg_put(&x->m, 1, PCI_BASE_ADDRESS_0 + 3, 1, 0xc8);
	assert_int_equal(bus_get(&x->m.mmio, 0xc8000000, 4), 0xa0000000);
	/* Writing the same again is no move. */
	set_bar(x, 1, MEM_BAR, 0xc8000000);
	assert_int_equal(x->a.mapped, 3);
	assert_int_equal(account_of(&x->m.counters, "pci", "bar_conflicts"), 0);
}

static void sizing_while_decoding_comes_back(void **state)
{
	struct fixture *x = *state;
	const uint64_t mem = cfg_bar(&x->m, 1, MEM_BAR);

	set_command(x, 1, COMMAND_DECODE);
	set_bar(x, 1, MEM_BAR, 0xffffffff);
	assert_false(answers(&x->m.mmio, mem));
	assert_false(answers(&x->m.mmio, 0xfffffff0));
	set_bar(x, 1, MEM_BAR, (uint32_t)mem);
	assert_int_equal(bus_get(&x->m.mmio, mem, 4), 0xa0000000);
	assert_int_equal(account_of(&x->m.counters, "pci", "bar_conflicts"), 0);
}

static void overlapping_bar_waits(void **state)
{
	struct fixture *x = *state;
	const uint32_t mem = (uint32_t)cfg_bar(&x->m, 1, MEM_BAR);

	set_command(x, 1, COMMAND_DECODE);
	set_bar(x, 2, MEM_BAR, mem);
	set_command(x, 2, COMMAND_DECODE);
	assert_int_equal(bus_get(&x->m.mmio, mem, 4), 0xa0000000); /* the first keeps it */
	assert_int_equal(x->b.mapped, 0);
	assert_int_equal(account_of(&x->m.counters, "pci", "bar_conflicts"), 1);
	cfg_put(&x->m, 2, PCI_INTERRUPT_LINE, 1, 5); /* counted once, not with every write */
	assert_int_equal(account_of(&x->m.counters, "pci", "bar_conflicts"), 1);
	set_bar(x, 1, MEM_BAR, 0xd0000000);
	assert_int_equal(bus_get(&x->m.mmio, mem, 4), 0xb0000000);
	assert_int_equal(bus_get(&x->m.mmio, 0xd0000000, 4), 0xa0000000);
	assert_int_equal(x->b.mapped, 1);
	/* Part of it, from below: the small table BAR within the large one. */
	set_bar(x, 1, MSIX_BAR, mem + 0x3000);
	assert_int_equal(account_of(&x->m.counters, "pci", "bar_conflicts"), 2);
	assert_int_equal(bus_get(&x->m.mmio, mem + 0x3000, 4), 0xb0003000);
	/* A conflict that is given up decodes nothing later. */
	set_command(x, 1, 0);
	set_command(x, 2, 0);
	assert_false(answers(&x->m.mmio, mem + 0x3000));
}

static void own_bars_may_overlap_too(void **state)
{
	struct fixture *x = *state;
	const uint32_t mem = (uint32_t)cfg_bar(&x->m, 1, MEM_BAR);

	set_bar(x, 1, MSIX_BAR, mem);
	set_command(x, 1, COMMAND_DECODE);
	assert_int_equal(bus_get(&x->m.mmio, mem, 4), 0xa0000000);
	assert_int_equal(account_of(&x->m.counters, "pci", "bar_conflicts"), 1);
}

static void bars_stay_in_their_windows(void **state)
{
	struct fixture *x = *state;
	static const uint32_t mem[] = {
		0,
		0x1000000,
		MEMMAP_PCI_MEM_BASE - MEM_SIZE,
		MEMMAP_ECAM_BASE,
		MEMMAP_VIRTIO_MMIO_BASE,
		MEMMAP_IOAPIC_BASE,
		MEMMAP_LAPIC_BASE,
		(uint32_t)-MEM_SIZE,
	};
	static const uint32_t io[] = { 0,      PORT_SERIAL, PORT_PCI_ADDRESS,
				       0x8000, 0xffe0,	    0x10000 + PORT_PCI_IO_BASE };

	set_command(x, 1, COMMAND_DECODE);
	for (unsigned int i = 0; i < ARRAY_SIZE(mem); i++) {
		set_bar(x, 1, MEM_BAR, mem[i]);
		assert_int_equal(x->a.func.bar[MEM_BAR].state, PCI_BAR_OFF);
		assert_int_equal(cfg_get(&x->m, 1, PCI_VENDOR_ID, 2), VENDOR);
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(io); i++) {
		set_bar(x, 1, IO_BAR, io[i]);
		assert_int_equal(x->a.func.bar[IO_BAR].state, PCI_BAR_OFF);
	}
	/* The very ends are inside. */
	set_bar(x, 1, MEM_BAR, MEMMAP_ECAM_BASE - MEM_SIZE);
	set_bar(x, 1, IO_BAR, PORT_PCI_IO_BASE + PORT_PCI_IO_SIZE - IO_SIZE);
	assert_int_equal(bus_get(&x->m.mmio, MEMMAP_ECAM_BASE - 4, 4), 0xa0003ffc);
	assert_int_equal(bus_get(&x->m.pio, 0x7ffc, 4), 0xa000001c);
}

static void foreign_range_in_a_window_wins(void **state)
{
	struct fixture *x = *state;
	struct fake other = { .tag = 0xc };
	struct bus_range range = {
		.name = "other", .base = 0xd0001000, .len = 16, .ops = &fake_ops, .dev = &other
	};

	assert_int_equal(bus_add(&x->m.mmio, &range), 0);
	set_command(x, 1, COMMAND_DECODE);
	set_bar(x, 1, MEM_BAR, 0xd0000000);
	assert_int_equal(bus_get(&x->m.mmio, 0xd0001000, 4), 0xc);
	assert_false(answers(&x->m.mmio, 0xd0000000));
	assert_int_equal(account_of(&x->m.counters, "pci", "bar_conflicts"), 1);
	bus_remove(&x->m.mmio, &range);
}

static void full_bus_refuses(void **state)
{
	struct fixture *x = *state;
	static struct fake more[PCI_SLOTS];

	for (unsigned int i = 3; i < PCI_SLOTS; i++) {
		fake_init(&more[i], i);
		assert_int_equal(pci_host_add(x->m.host, &more[i].func), 0);
	}
	fake_init(&more[0], 0);
	assert_int_equal(pci_host_add(x->m.host, &more[0].func), -ENOSPC);
	pci_func_destroy(&more[0].func);
	/* A slot that is left can be taken again. */
	pci_func_destroy(&more[9].func);
	assert_int_equal(cfg_get(&x->m, 9, 0, 4), 0xffffffff);
	fake_init(&more[9], 9);
	assert_int_equal(pci_host_add(x->m.host, &more[9].func), 0);
	assert_int_equal(more[9].func.slot, 9);
	for (unsigned int i = 3; i < PCI_SLOTS; i++)
		pci_func_destroy(&more[i].func);
}

static void full_windows_and_routes_refuse(void **state)
{
	struct fixture *x = *state;
	static struct fake f;

	need_descriptors(600);
	memset(&f, 0, sizeof(f));
	pci_func_init(&f.func, "huge", VENDOR, DEVICE, 0, 0);
	pci_func_set_bar(&f.func, 0, MEMMAP_PCI_MEM_SIZE, false, &fake_ops, &f);
	assert_int_equal(pci_host_add(x->m.host, &f.func), -ENOSPC);
	pci_func_destroy(&f.func);
	pci_func_init(&f.func, "ports", VENDOR, DEVICE, 0, 0);
	pci_func_set_bar(&f.func, 3, 0x8000, true, &fake_ops, &f);
	assert_int_equal(pci_host_add(x->m.host, &f.func), -ENOSPC);
	pci_func_destroy(&f.func);
	pci_func_init(&f.func, "vectors", VENDOR, DEVICE, 0, 0);
	assert_int_equal(pci_func_add_msix(&f.func, 0, 2048), 0);
	assert_int_equal(pci_host_add(x->m.host, &f.func), -ENOSPC);
	pci_func_destroy(&f.func);
	assert_null(pci_host_func(x->m.host, 3));
	assert_null(pci_host_func(x->m.host, PCI_SLOTS));
}

static void destroyed_function_leaves_the_bus(void **state)
{
	struct fixture *x = *state;
	const uint64_t mem = cfg_bar(&x->m, 1, MEM_BAR);

	set_command(x, 1, COMMAND_DECODE);
	pci_intx_set(&x->a.func, true);
	pci_func_destroy(&x->a.func);
	assert_false(answers(&x->m.mmio, mem));
	assert_int_equal(x->a.unmapped, 1);
	assert_false(x->a.func.intx_line);
	assert_int_equal(cfg_get(&x->m, 1, PCI_VENDOR_ID, 4), 0xffffffff);
	fake_init(&x->a, 0xa0000000); /* for pci_teardown */
}

/* A guest that writes anything anywhere gets nowhere, and the bus works afterwards. */
static void noise_is_contained(void **state)
{
	struct fixture *x = *state;
	static const unsigned int sizes[] = { 1, 2, 4, 8 };
	unsigned int seed = 1;

	for (unsigned int i = 0; i < 200000; i++) {
		const unsigned int r = (unsigned int)rand_r(&seed);
		const unsigned int size = sizes[r % 4], slot = r / 4 % 3;
		const unsigned int reg = r / 16 % 2 ? r / 32 % 0x70 : r / 32 % PCI_CFG_SIZE;
		const uint64_t base = cfg_bar(&x->m, slot, r / 8 % PCI_NR_BARS);
		uint64_t value = (uint64_t)rand_r(&seed) << 8 ^ (unsigned int)rand_r(&seed);

		if (r / 32 % 3)
			value &= 0xc00fffff; /* often where BARs decode */
		if (reg + size <= PCI_CFG_SIZE)
			cfg_put(&x->m, slot, reg, size, (uint32_t)value);
		bus_write(&x->m.mmio, base + r / 64 % 8192, size, value);
		bus_write(&x->m.pio, base + r / 64 % IO_SIZE, size, value);
		bus_read(&x->m.mmio, base + r / 64 % 8192, size, &value);
		pci_msix_raise(&x->a.func.msix, r % 5);
	}
	assert_int_equal(cfg_get(&x->m, 1, PCI_VENDOR_ID, 4), DEVICE << 16 | VENDOR);
	set_command(x, 1, 0);
	set_command(x, 2, 0);
	set_bar(x, 1, MEM_BAR, 0xd0000000);
	set_command(x, 1, COMMAND_DECODE);
	assert_int_equal(bus_get(&x->m.mmio, 0xd0000000, 4), 0xa0000000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(host_bridge_is_found_both_ways),
		TEST(header_is_of_type_0),
		TEST(data_port_takes_bytes_and_words),
		TEST(address_port_takes_dwords_only),
		TEST(address_port_leaves_bytes_to_the_reset_register),
		TEST(odd_sizes_have_no_effect),
		TEST(data_port_without_enable_reaches_nothing),
		TEST(nobody_is_all_ones),
		TEST(odd_config_accesses_have_no_effect),
		TEST(only_opened_bits_are_writable),
		TEST(hook_sees_its_range_only),
		TEST(bars_tell_their_size),
		TEST(bars_have_addresses_of_their_own),
		TEST(command_register_gates_decoding),
		TEST(bar_moves_while_decoding),
		TEST(sizing_while_decoding_comes_back),
		TEST(overlapping_bar_waits),
		TEST(own_bars_may_overlap_too),
		TEST(bars_stay_in_their_windows),
		TEST(foreign_range_in_a_window_wins),
		TEST(full_bus_refuses),
		TEST(full_windows_and_routes_refuse),
		TEST(destroyed_function_leaves_the_bus),
		TEST(noise_is_contained),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
