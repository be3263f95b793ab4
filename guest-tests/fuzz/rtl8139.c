/* devices/rtl8139*.c: registers of both chips, rings and buffers anywhere, frames both ways, a backend that fails at times. */
#include "guest-tests/fuzz/fuzz.h"

#include <errno.h>
#include <linux/pci_regs.h>
#include <string.h>
#include <sys/socket.h>

#include "devices/net/test/netbe_pair.h"
#include "devices/rtl8139.h"
#include "devices/test/pci_machine.h"

#define SLOT	  1
#define MEMORY	  (1 * MIB)
#define RX_RING	  0x10000u
#define TX_RING	  0x11000u
#define HIGH_RING 0x12000u
#define OLD_RING  0x20000u
#define BUFFERS	  0x40000u
#define MAX_FRAME (NETBE_HDR_LEN + 14 + 4 + 65535u)

struct chip {
	struct guestmem mem;
	struct pci_machine machine;
	struct netbe_pair backend;
	struct device *device;
	uint64_t sent, got;
};

static int plug_pci(void *arg, struct pci_func *func)
{
	return pci_host_add(((struct pci_machine *)arg)->host, func);
}

static void put(struct chip *c, unsigned int reg, unsigned int size, uint64_t value)
{
	bus_write(&c->machine.mmio, cfg_bar(&c->machine, SLOT, 1) + reg, size, value);
}

static void set_command(struct chip *c, unsigned int bits)
{
	cfg_put(&c->machine, SLOT, PCI_COMMAND, 2, bits);
}

static void create(struct chip *c, struct fuzz *f)
{
	const unsigned int how = fuzz_below(f, 256);
	const struct device_env env = {
		.name = "net0",
		.mem = &c->mem,
		.counters = &c->machine.counters,
		.plug_pci = plug_pci,
		.arg = &c->machine,
	};
	const struct virtio_net_options options = {
		.model = how & 1 ? NET_MODEL_RTL8139C : NET_MODEL_RTL8139,
		.mac = { 0x52, 0x54, 0, 0x12, 0x34, 0x56 },
	};

	*c = (struct chip){ 0 };
	fuzz_memory(&c->mem, MEMORY, how & 8);
	pci_machine_init(&c->machine);
	netbe_pair_init(&c->backend);
	c->backend.be.features = how & 2   ? NET_F(CSUM) | NET_F(HOST_TSO4)
				 : how & 4 ? NET_F(CSUM)
					   : 0;
	fuzz_check(!rtl8139_create(&c->device, &env, &c->backend.be, &options));
	set_command(c, PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
}

/* As a driver begins, more or less. */
static void start(struct chip *c, struct fuzz *f)
{
	const unsigned int how = fuzz_below(f, 256);

	put(c, 0x37, 1, 0x10);
	put(c, 0xe0, 2, how & 1 ? 0 : how);
	put(c, 0x20, 8, TX_RING);
	put(c, 0x28, 8, HIGH_RING);
	put(c, 0xe4, 8, RX_RING);
	put(c, 0x30, 4, OLD_RING);
	put(c, 0x37, 1, 0x0c);
	put(c, 0x44, 4, fuzz_int(f, 2) | (how & 2));
	put(c, 0x40, 4, how & 0x80 ? 0x60000 : 0);
	put(c, 0x3c, 2, 0xffff);
}

/* A descriptor, in most of its ways. */
static void set_desc(struct chip *c, struct fuzz *f)
{
	static const uint32_t rings[] = { RX_RING, TX_RING, TX_RING, HIGH_RING };
	const unsigned int how = fuzz_below(f, 256);
	const uint32_t at = rings[how & 3] + 16 * fuzz_below(f, how & 4 ? 64 : 4);
	const uint32_t flags = (uint32_t)fuzz_int(f, 2) << 16;
	const uint32_t opts[2] = { (how & 8 ? flags : 0xb0000000 | flags) |
					   (uint32_t)fuzz_int(f, 2),
				   (uint32_t)fuzz_int(f, 3) };
	const uint64_t buffer = how & 0x10 ? fuzz_int(f, 8) : BUFFERS + fuzz_int(f, 2);

	fuzz_check(!guestmem_write(&c->mem, at, opts, sizeof(opts)));
	fuzz_check(!guestmem_write(&c->mem, at + 8, &buffer, sizeof(buffer)));
}

/* A frame with a TCP or UDP datagram in it, so that sums and cuts have something to do. */
static size_t datagram(uint8_t *to, struct fuzz *f)
{
	size_t len = 64 + fuzz_int(f, 2), n;
	const uint8_t *bytes = fuzz_bytes(f, 24, &n);

	len = MIN(len, (size_t)60000);
	memset(to, 0x5a, len);
	memcpy(to, "\x52\x54\x00\x12\x34\x56\x52\x54\x00\x00\x00\x01\x08\x00\x45", 15);
	to[16] = (uint8_t)((len - 14) >> 8);
	to[17] = (uint8_t)(len - 14);
	memset(to + 20, 0, 2);
	to[23] = fuzz_below(f, 2) ? 6 : 17;
	to[46] = 0x50;
	memcpy(to + 14 + fuzz_below(f, 40), bytes, n / 4);
	return len;
}

static void put_datagram(struct chip *c, struct fuzz *f)
{
	static uint8_t frame[MAX_FRAME];
	const size_t len = datagram(frame, f);
	const uint64_t buffer = BUFFERS;
	const uint32_t opts[2] = { 0xb0000000 | (uint32_t)fuzz_int(f, 2) << 16 | (uint32_t)len,
				   fuzz_below(f, 4) ? 0 : 0x20000 };

	fuzz_check(!guestmem_write(&c->mem, BUFFERS, frame, len));
	fuzz_check(!guestmem_write(&c->mem, TX_RING + 8, &buffer, sizeof(buffer)));
	fuzz_check(!guestmem_write(&c->mem, TX_RING, opts, sizeof(opts)));
	put(c, 0x20, 4, TX_RING); /* to the start of the ring */
	put(c, 0xd9, 1, 0x40);
}

static void host_frame(struct chip *c, struct fuzz *f)
{
	static uint8_t frame[MAX_FRAME + 14];
	size_t len = fuzz_int(f, fuzz_below(f, 4) ? 1 : 2), n;
	const uint8_t *bytes;

	memset(frame, 0x5a, sizeof(frame));
	memset(frame, 0, NETBE_HDR_LEN);
	if (fuzz_below(f, 2))
		len = NETBE_HDR_LEN + datagram(frame + NETBE_HDR_LEN, f);
	bytes = fuzz_bytes(f, fuzz_below(f, 32), &n);
	if (n)
		memcpy(frame + (n & 1 ? NETBE_HDR_LEN : 0), bytes, n);
	if (len && send(c->backend.peer, frame, len, MSG_NOSIGNAL) == (ssize_t)len)
		c->sent++;
}

static void drain(struct chip *c)
{
	static uint8_t frame[MAX_FRAME];

	while (recv(c->backend.peer, frame, sizeof(frame), 0) > 0)
		c->got++;
}

static void fault(struct chip *c, struct fuzz *f)
{
	static const int errors[] = { EAGAIN, EINVAL, EMSGSIZE, EIO, ENOBUFS, EBADFD };

	netbe_pair_fail(fuzz_below(f, 2) ? &c->backend.send_fault : &c->backend.recv_fault,
			errors[fuzz_below(f, ARRAY_SIZE(errors))], 1);
}

static void act(struct chip *c, struct fuzz *f)
{
	switch (fuzz_below(f, 16)) {
	case 0 ... 2:
		fuzz_access(f, &c->machine.mmio, cfg_bar(&c->machine, SLOT, 1), 256);
		break;
	case 3:
		fuzz_access(f, &c->machine.pio, cfg_bar(&c->machine, SLOT, 0), 256);
		break;
	case 4:
		start(c, f);
		break;
	case 5 ... 6:
		set_desc(c, f);
		break;
	case 7:
		put_datagram(c, f);
		break;
	case 8:
		put(c, 0xd9, 1, 0xc0);
		break;
	case 9 ... 10:
		host_frame(c, f);
		break;
	case 11:
		drain(c);
		break;
	case 12:
		fault(c, f);
		break;
	case 13:
		set_command(c, fuzz_below(f, 8));
		break;
	case 14:
		put(c, 0x50, 1, 0x80 | fuzz_below(f, 16));
		break;
	default:
		fuzz_turn();
		break;
	}
}

/* Every frame has met its fate, or waits where it is. */
static void destroy(struct chip *c)
{
	static uint8_t byte;
	const struct counters *machine = &c->machine.counters;
	uint64_t waiting = 0;

	netbe_pair_check_ledger(machine);
	drain(c);
	while (recv(c->backend.be.fd[0], &byte, 1, MSG_TRUNC) > 0)
		waiting++;
	/* What loops back is sent, and received. */
	const uint64_t fate = fuzz_counters(machine, "net0.rx", "packets") +
			      fuzz_counters(machine, "net0.rx", "drop_");
	const uint64_t inside = fuzz_counters(machine, "net0.tx", "packets") - c->got;

	fuzz_check(fate + waiting == c->sent + inside);
	fuzz_check_memory(&c->mem);
	c->device->ops->stop(c->device);
	c->device->ops->destroy(c->device);
	netbe_pair_destroy(&c->backend);
	pci_machine_destroy(&c->machine);
}

void fuzz_one(struct fuzz *f)
{
	static struct chip c;

	create(&c, f);
	start(&c, f);
	while (f->left)
		act(&c, f);
	destroy(&c);
}
