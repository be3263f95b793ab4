/* A network card on a socketpair, for the targets that drive it. */
#include "guest-tests/fuzz/card.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "devices/virtio/net.h"

#define MAX_FRAME (UINT16_MAX + 64u) /* longer than any that a tap hands out */

void fuzz_card_create(struct fuzz_card *c, struct fuzz *f)
{
	const unsigned int how = fuzz_below(f, 256);
	const struct virtio_net_options params = {
		.mac = { 0x52, 0x54, 0, 0x12, 0x34, 0x56 },
		.queue_size = (uint16_t)(16u << (how & 3)),
		.switches.offload = how & 4 ? NET_SWITCH_OFF : NET_SWITCH_ON,
		.switches.mrg = how & 8 ? NET_SWITCH_OFF : NET_SWITCH_ON,
	};

	*c = (struct fuzz_card){ 0 };
	fuzz_driver_init(&c->driver, "net0");
	netbe_pair_init_queues(&c->backend, how & 64 ? 2 : 1);
	c->backend.be.mtu = how & 16 ? 1500 : 0;
	c->backend.be.features = how & 32 ? NET_F(CSUM) | NET_F(GUEST_CSUM) : ~0ull;
	fuzz_check(!virtio_net_create(&c->driver.device, &c->driver.env, &c->backend.be, &params));
	fuzz_driver_start(&c->driver, f);
}

unsigned int fuzz_card_ctrl(const struct fuzz_card *c)
{
	return virtio_has_feature(c->driver.dev, VIRTIO_NET_F_MQ) ||
			       virtio_has_feature(c->driver.dev, VIRTIO_NET_F_RSS)
		       ? 2 * c->backend.be.pairs
		       : 2;
}

void fuzz_card_frame(struct fuzz_card *c, struct fuzz *f)
{
	static uint8_t frame[MAX_FRAME];
	const int peer = c->backend.peers[c->sent % c->backend.be.pairs];
	size_t len = fuzz_int(f, fuzz_below(f, 4) ? 1 : 2), n;
	const uint8_t *bytes = fuzz_bytes(f, MIN(len, (size_t)32), &n);

	if (len > UINT16_MAX - 64)
		len += 64;
	memset(frame, 0x5a, len);
	memcpy(frame, bytes, n);
	if (len && send(peer, frame, len, MSG_NOSIGNAL) == (ssize_t)len)
		c->sent++;
}

void fuzz_card_drain(struct fuzz_card *c)
{
	static uint8_t frame[MAX_FRAME];

	for (unsigned int i = 0; i < c->backend.be.pairs; i++)
		while (recv(c->backend.peers[i], frame, sizeof(frame), 0) > 0)
			c->got++;
}

void fuzz_card_fault(struct fuzz_card *c, struct fuzz *f)
{
	static const int errors[] = { EAGAIN, EINVAL, EMSGSIZE, EIO, ENOBUFS, EBADFD };
	struct netbe_pair_fault *const faults[] = {
		&c->backend.send_fault,
		&c->backend.recv_fault,
		&c->backend.features_fault,
		&c->backend.steer_fault,
	};

	netbe_pair_fail(faults[fuzz_below(f, ARRAY_SIZE(faults))],
			errors[fuzz_below(f, ARRAY_SIZE(errors))], 1);
}

void fuzz_card_destroy(struct fuzz_card *c)
{
	uint64_t waiting = 0, fate;
	char byte;

	netbe_pair_check_ledger(&c->driver.counters);
	fuzz_card_drain(c);
	fuzz_check(c->got == fuzz_counters(&c->driver.counters, "net0.tx", "packets"));
	for (unsigned int i = 0; i < c->backend.be.pairs; i++)
		while (recv(c->backend.be.fd[i], &byte, 1, MSG_TRUNC) > 0)
			waiting++;
	fate = fuzz_counters(&c->driver.counters, "net0.rx", "packets") +
	       fuzz_counters(&c->driver.counters, "net0.rx", "drop_");
	/* One of each queue may be held, for want of buffers. */
	fuzz_check(c->sent >= fate + waiting && c->sent <= fate + waiting + c->backend.be.pairs);
	fuzz_driver_destroy(&c->driver);
	netbe_pair_destroy(&c->backend);
}
