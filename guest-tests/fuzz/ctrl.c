/* The card's control queue, and frames that pass the filter that it sets. */
#include "guest-tests/fuzz/card.h"

#include <string.h>

#include <linux/virtio_net.h>

/* Chance does not find lengths that fit together: table and key are as long as there is room, the rest is the input's. */
static void fit_rss(uint8_t *data, size_t len)
{
	size_t entries = 1, tail;

	if (len < 8 + 2 + 3)
		return;
	while (8 + 4 * entries + 3 <= len && entries < 64)
		entries *= 2;
	tail = 8 + 2 * entries;
	data[4] = (uint8_t)(entries - 1);
	data[5] = 0;
	data[tail + 2] = (uint8_t)(len - tail - 3);
}

/* And so is a key. */
static void fit_hash(uint8_t *data, size_t len)
{
	if (len >= 13)
		data[12] = (uint8_t)(len - 13);
}

/* Class and command are near those that exist; what follows is as long as the input likes. */
static void command(struct fuzz_card *c, struct fuzz *f)
{
	uint8_t cmd[256] = { (uint8_t)fuzz_below(f, 6), (uint8_t)fuzz_below(f, 7) };
	const uint8_t *bytes;
	size_t len;

	bytes = fuzz_bytes(f, fuzz_int(f, 1) % (sizeof(cmd) - 2), &len);
	memcpy(cmd + 2, bytes, len);
	if (cmd[0] == VIRTIO_NET_CTRL_MQ && cmd[1] == VIRTIO_NET_CTRL_MQ_RSS_CONFIG)
		fit_rss(cmd + 2, len);
	if (cmd[0] == VIRTIO_NET_CTRL_MQ && cmd[1] == VIRTIO_NET_CTRL_MQ_HASH_CONFIG)
		fit_hash(cmd + 2, len);
	fuzz_driver_request(&c->driver, fuzz_card_ctrl(c), cmd, (uint32_t)len + 2, 0,
			    fuzz_below(f, 3));
}

void fuzz_one(struct fuzz *f)
{
	struct fuzz_card c;

	fuzz_card_create(&c, f);
	while (f->left) {
		switch (fuzz_below(f, 8)) {
		case 0 ... 3:
			command(&c, f);
			break;
		case 4:
			fuzz_card_frame(&c, f);
			break;
		case 5:
			fuzz_card_fault(&c, f);
			break;
		default:
			fuzz_driver_act(&c.driver, f);
			break;
		}
	}
	fuzz_card_destroy(&c);
}
