/* An RTL8139 for unit tests. */
#include "devices/test/rtl8139_rig.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/pci_regs.h>

#include "vmm/base/test/account.h"
#include "vmm/base/test/unit.h"

#define TIMEOUT_MS 20000u

struct pci_machine machine;
struct guestmem mem;
struct netbe_pair chip_pair;
struct device *card;
const uint8_t chip_mac[6] = { 0x52, 0x54, 0, 0x12, 0x34, 0x56 };
uint8_t sent[HDR + 70000], received[HDR + 70000];

static unsigned int next_tx;

static int plug_pci(void *arg, struct pci_func *func)
{
	return pci_host_add(machine.host, func);
}

void set_master(bool on)
{
	cfg_put(&machine, RIG_SLOT, PCI_COMMAND, 2,
		PCI_COMMAND_IO | PCI_COMMAND_MEMORY | (on ? PCI_COMMAND_MASTER : 0));
}

void chip_create(uint64_t features, bool cplus)
{
	const struct device_env env = {
		.name = "net0", .mem = &mem, .counters = &machine.counters, .plug_pci = plug_pci
	};
	struct virtio_net_options options = { .model = cplus ? NET_MODEL_RTL8139
							     : NET_MODEL_RTL8139C };

	memcpy(options.mac, chip_mac, sizeof(chip_mac));
	assert_int_equal(guestmem_init(&mem, RIG_MEMORY, NULL), 0);
	pci_machine_init(&machine);
	netbe_pair_init(&chip_pair);
	chip_pair.be.features = features;
	assert_int_equal(rtl8139_create(&card, &env, &chip_pair.be, &options), 0);
	set_master(true);
	next_tx = 0;
}

int chip_setup(void **state)
{
	chip_create(0, true);
	return 0;
}

int chip_setup_offload(void **state)
{
	chip_create(NET_F(CSUM) | NET_F(HOST_TSO4), true);
	return 0;
}

int chip_setup_old(void **state)
{
	chip_create(0, false);
	return 0;
}

int chip_teardown(void **state)
{
	card->ops->stop(card);
	netbe_pair_check_ledger(&machine.counters);
	card->ops->destroy(card);
	netbe_pair_destroy(&chip_pair);
	pci_machine_destroy(&machine);
	guestmem_destroy(&mem);
	return 0;
}

uint32_t get(unsigned int reg, unsigned int size)
{
	return (uint32_t)bus_get(&machine.mmio, cfg_bar(&machine, RIG_SLOT, 1) + reg, size);
}

void put(unsigned int reg, unsigned int size, uint32_t value)
{
	bus_put(&machine.mmio, cfg_bar(&machine, RIG_SLOT, 1) + reg, size, value);
}

void *at(uint64_t gpa)
{
	void *p = guestmem_ptr(&mem, gpa, 1);

	assert_non_null(p);
	return p;
}

void set_desc(uint32_t ring, unsigned int n, uint32_t opts1, uint32_t opts2, uint64_t buffer)
{
	uint32_t *desc = at(ring + 16 * n);

	__atomic_store_n(desc + 1, opts2, __ATOMIC_RELAXED);
	__atomic_store_n((uint64_t *)(desc + 2), buffer, __ATOMIC_RELAXED);
	__atomic_store_n(desc, opts1, __ATOMIC_RELEASE);
}

uint32_t opts1_of(uint32_t ring, unsigned int n)
{
	return __atomic_load_n((uint32_t *)at(ring + 16 * n), __ATOMIC_ACQUIRE);
}

uint32_t opts2_of(uint32_t ring, unsigned int n)
{
	return ((uint32_t *)at(ring + 16 * n))[1];
}

void start_cplus(unsigned int cpcr)
{
	for (unsigned int i = 0; i < RING; i++) {
		const uint32_t end = i == RING - 1 ? EOR : 0;

		set_desc(RX_RING, i, OWN | end | 1536, 0, RX_BUFFER + i * 2048);
		set_desc(TX_RING, i, end, 0, 0);
		set_desc(HIGH_RING, i, end, 0, 0);
	}
	put(R_CR, 1, RST);
	put(R_CPCR, 2, cpcr | 3);
	put(R_THPDS, 4, HIGH_RING);
	put(R_THPDS + 4, 4, 0);
	put(R_RDSAR, 4, RX_RING);
	put(R_RDSAR + 4, 4, 0);
	put(R_TNPDS, 4, TX_RING);
	put(R_TNPDS + 4, 4, 0);
	put(R_CR, 1, RE | TE);
	put(R_RCR, 4, APM | AB);
	put(R_IMR, 2, 0xffff);
	next_tx = 0;
}

void start_old(uint32_t rcr)
{
	put(R_CR, 1, RST);
	put(R_RBSTART, 4, RX_BUFFER);
	put(R_CR, 1, RE | TE);
	put(R_RCR, 4, rcr | APM | AB);
	for (unsigned int i = 0; i < 4; i++)
		put(R_TSAD + 4 * i, 4, TX_BUFFER + i * 0x20000);
	put(R_IMR, 2, 0xffff);
}

void wait_isr(uint16_t bits)
{
	for (unsigned int ms = 0; (get(R_ISR, 2) & bits) != bits; ms++) {
		if (ms == TIMEOUT_MS)
			fail_msg("ISR stays %#x, not %#x", get(R_ISR, 2), bits);
		usleep(1000);
	}
}

void wait_given_back(uint32_t ring, unsigned int n)
{
	for (unsigned int ms = 0; opts1_of(ring, n) & OWN; ms++) {
		if (ms == TIMEOUT_MS)
			fail_msg("descriptor %u stays the card's", n);
		usleep(1000);
	}
}

uint64_t count_of(const char *group, const char *name)
{
	char full[32];

	snprintf(full, sizeof(full), "net0.%s", group);
	return account_of(&machine.counters, full, name);
}

void wait_count(const char *group, const char *name, uint64_t at_least)
{
	for (unsigned int ms = 0; count_of(group, name) < at_least; ms++) {
		if (ms == TIMEOUT_MS)
			fail_msg("%s.%s stays %llu", group, name,
				 (unsigned long long)count_of(group, name));
		usleep(1000);
	}
}

bool inta(void)
{
	return cfg_get(&machine, RIG_SLOT, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT;
}

size_t fill_frame(size_t len, uint32_t seed)
{
	memset(sent, 0, HDR);
	for (size_t i = 0; i < len; i++)
		sent[HDR + i] = (uint8_t)(i * 31 + (i >> 8) + seed);
	if (len >= 14) {
		memcpy(sent + HDR, chip_mac, 6);
		sent[HDR + 12] = 0x88; /* a type that nobody has */
		sent[HDR + 13] = 0xb5;
	}
	return len;
}

static bool wait_peer(short events, int ms)
{
	struct pollfd p = { .fd = chip_pair.peer, .events = events };

	return poll(&p, 1, ms) == 1;
}

void host_send(size_t len)
{
	while (send(chip_pair.peer, sent, HDR + len, 0) < 0) {
		assert_int_equal(errno, EAGAIN);
		if (!wait_peer(POLLOUT, TIMEOUT_MS))
			fail_msg("the card takes no frames");
	}
}

size_t host_recv(void)
{
	ssize_t n;

	if (!wait_peer(POLLIN, TIMEOUT_MS))
		fail_msg("the card sends nothing");
	n = recv(chip_pair.peer, received, sizeof(received), 0);
	assert_true(n >= HDR);
	return (size_t)n - HDR;
}

bool host_has(void)
{
	return wait_peer(POLLIN, 0);
}

uint32_t guest_send(size_t len, uint32_t flags, uint32_t opts2)
{
	const unsigned int n = next_tx;
	const uint64_t buffer = TX_BUFFER + (n % 64) * 0x20000ull;

	assert_true(buffer + len <= RIG_MEMORY);
	memcpy(at(buffer), sent + HDR, len);
	set_desc(TX_RING, n, OWN | FIRST | LAST | (n == RING - 1 ? EOR : 0) | flags | (uint32_t)len,
		 opts2, buffer);
	put(R_TPPOLL, 1, 0x40);
	next_tx = (n + 1) % RING;
	wait_given_back(TX_RING, n);
	return opts1_of(TX_RING, n);
}

uint32_t guest_send_old(unsigned int n, size_t len)
{
	memcpy(at(TX_BUFFER + n * 0x20000), sent + HDR, len);
	put(R_TSD + 4 * n, 4, (uint32_t)len);
	for (unsigned int ms = 0; !(get(R_TSD + 4 * n, 4) & BIT(13)); ms++) {
		if (ms == TIMEOUT_MS)
			fail_msg("descriptor %u stays the card's", n);
		usleep(1000);
	}
	return get(R_TSD + 4 * n, 4);
}

void check_cplus_alive(void)
{
	size_t len;

	start_cplus(0);
	len = fill_frame(100, 0xa11fe);
	guest_send(len, 0, 0);
	assert_int_equal(host_recv(), len);
	assert_memory_equal(received + HDR, sent + HDR, len);
	len = fill_frame(200, 0xa11fe);
	host_send(len);
	wait_given_back(RX_RING, 0);
	assert_int_equal(opts1_of(RX_RING, 0) & 0x1fff, len + 4);
	assert_memory_equal(at(RX_BUFFER), sent + HDR, len);
}
