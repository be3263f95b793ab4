/* virtio-net: the driver says by a hash which queue pair gets what. */
#include <errno.h>
#include <string.h>

#include "devices/virtio/net_rss.h"
#include "devices/virtio/test/net_rig.h"
#include "vmm/base/test/unit.h"

#define PAIRS 4u
#define ALL   STEERING_TYPES

/* A command's data, and how long it is. */
struct data {
	uint8_t bytes[512];
	uint32_t len;
};

static void add(struct data *c, uint32_t value, unsigned int bytes)
{
	for (unsigned int i = 0; i < bytes; i++)
		c->bytes[c->len++] = (uint8_t)(value >> 8 * i);
}

/* A table of @entries that goes round @queues, a key of @key bytes that count up. */
static struct data make(uint32_t types, unsigned int entries, unsigned int queues,
			unsigned int unclassified, unsigned int max_tx, unsigned int key)
{
	struct data c = { .len = 0 };

	add(&c, types, 4);
	add(&c, entries - 1, 2);
	add(&c, unclassified, 2);
	for (unsigned int i = 0; i < entries; i++)
		add(&c, i % queues, 2);
	add(&c, max_tx, 2);
	add(&c, key, 1);
	for (unsigned int i = 0; i < key; i++)
		add(&c, i + 1, 1);
	return c;
}

static int parse(struct steering_rule *rule, const struct data *c, uint32_t split)
{
	const struct iovec iov[2] = { { (void *)c->bytes, split },
				      { (void *)(c->bytes + split), c->len - split } };

	return net_rss_parse(rule, iov, 2, PAIRS);
}

static void test_parse(void **state)
{
	struct steering_rule rule;

	for (unsigned int entries = 1; entries <= STEERING_TABLE_MAX; entries *= 2)
		for (unsigned int queues = 1; queues <= PAIRS; queues++) {
			const struct data c = make(ALL, entries, queues, 0, PAIRS, 40);

			for (uint32_t split = 0; split <= c.len; split += 7) {
				assert_int_equal(parse(&rule, &c, split), MIN(entries, queues));
				assert_int_equal(rule.types, ALL);
				assert_int_equal(rule.entries, entries);
				for (unsigned int i = 0; i < entries; i++)
					assert_int_equal(rule.table[i], i % queues);
				for (unsigned int i = 0; i < sizeof(rule.key); i++)
					assert_int_equal(rule.key[i], i + 1);
			}
		}
}

static void test_parse_edges(void **state)
{
	struct steering_rule rule;
	struct data c = make(0, 1, 1, 0, 1, 0);

	assert_int_equal(parse(&rule, &c, 0), 1); /* nothing is hashed, no key */
	c = make(ALL, 2, 2, 3, 1, 4);
	assert_int_equal(parse(&rule, &c, 0), 4); /* the last is the unclassified ones' */
	assert_int_equal(rule.unclassified, 3);
	assert_int_equal(rule.key[3], 4);
	assert_int_equal(rule.key[4], 0);
	/* What stands behind it is ignored. */
	c.bytes[c.len++] = 0xaa;
	assert_int_equal(parse(&rule, &c, 0), 4);
	assert_int_equal(rule.key[4], 0);
}

static void bad(const char *what, struct data c)
{
	struct steering_rule rule;

	for (uint32_t split = 0; split <= c.len; split += 5)
		if (parse(&rule, &c, split) != -EINVAL)
			fail_msg("%s was taken", what);
}

static void test_bad_parse(void **state)
{
	struct data c = make(ALL, 8, 4, 0, 1, 40);

	for (c.len = 0; c.len < 8 + 16 + 3 + 40; c.len++)
		bad("a short one", c);
	bad("an unknown type", make(ALL | 0x40, 8, 4, 0, 1, 40));
	bad("types that are none", make(0x80000000, 8, 4, 0, 1, 40));
	for (unsigned int i = 0; i < 16; i++)
		if (i & (i + 1))
			bad("a table of no power of two", make(ALL, i + 1, 1, 0, 1, 40));
	c = make(ALL, 128, 1, 0, 1, 40);
	c.bytes[4] = 0xff;
	bad("a mask of 256", c);
	c.bytes[4] = c.bytes[5] = 0xff;
	bad("a mask of 65536", c);
	bad("a queue that there is not", make(ALL, 8, 5, 0, 1, 40));
	bad("a queue that there is not, for the rest", make(ALL, 8, 4, 4, 1, 40));
	bad("the last queue", make(ALL, 8, 4, 0xffff, 1, 40));
	bad("no queue to send", make(ALL, 8, 4, 0, 0, 40));
	bad("more than there are to send", make(ALL, 8, 4, 0, 5, 40));
	bad("a long key", make(ALL, 8, 4, 0, 1, 41));
	c = make(ALL, 8, 4, 0, 1, 40);
	c.bytes[8 + 16 + 2] = 255;
	bad("a key that is not there", c);
}

/* ---- the card ---- */

static uint8_t command(const struct data *data)
{
	uint8_t bytes[sizeof(data->bytes) + 2] = { VIRTIO_NET_CTRL_MQ,
						   VIRTIO_NET_CTRL_MQ_RSS_CONFIG };

	memcpy(bytes + 2, data->bytes, data->len);
	return control(bytes, data->len + 2, 2);
}

static uint8_t set_pairs(unsigned int n)
{
	return control(
		(uint8_t[4]){ VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, (uint8_t)n }, 4,
		2);
}

static void comes_to(unsigned int to, unsigned int from)
{
	const size_t len = make_frame(60 + from, from);

	use_pair(from);
	peer_send(len);
	use_pair(to);
	post_plain(2048);
	vdriver_kick(&d, 2 * to);
	assert_got(collect(), len);
}

static void test_offer(void **state)
{
	assert_true(virtio_get_device_features(dev, 1) >> (VIRTIO_NET_F_RSS - 32) & 1);
	assert_int_equal(virtio_read_config(dev, 17, 1), STEERING_KEY_MAX);
	assert_int_equal(virtio_read_config(dev, 18, 2), STEERING_TABLE_MAX);
	assert_int_equal(virtio_read_config(dev, 20, 4), ALL);
}

/* With and without MQ; the number of pairs takes its place, and it theirs; a reset ends it. */
static void test_steered(void **state)
{
	const struct data all = make(ALL, 8, 4, 0, PAIRS, 40), two = make(ALL, 8, 2, 0, PAIRS, 40);

	for (unsigned int mq = 0; mq < 2; mq++) {
		start(USUAL | F(RSS) | (mq ? F(MQ) : 0));
		assert_int_equal(counter("ctrl", "rss"), 0);
		comes_to(0, 3);
		assert_int_equal(command(&all), VIRTIO_NET_OK);
		assert_int_equal(counter("ctrl", "rss"), 1);
		assert_int_equal(counter("ctrl", "pairs"), PAIRS);
		assert_int_equal(pair.rule.entries, 8);
		for (unsigned int i = 0; i < PAIRS; i++)
			comes_to(i, i);
		assert_int_equal(command(&two), VIRTIO_NET_OK);
		assert_int_equal(counter("ctrl", "pairs"), 2);
		assert_int_equal(set_pairs(3), mq ? VIRTIO_NET_OK : VIRTIO_NET_ERR);
		assert_int_equal(counter("ctrl", "rss"), !mq);
		assert_int_equal(pair.rule.entries, mq ? 0 : 8);
		assert_int_equal(command(&all), VIRTIO_NET_OK);
		vdriver_reset(&d);
		assert_int_equal(pair.rule.entries, 0);
		assert_int_equal(counter("ctrl", "rss"), 0);
		d.next_gpa = 0x100000;
	}
}

static void test_refused(void **state)
{
	const struct data good = make(ALL, 8, 4, 0, PAIRS, 40), bad = make(ALL, 8, 5, 0, PAIRS, 40);

	start(USUAL | F(MQ));
	assert_int_equal(command(&good), VIRTIO_NET_ERR); /* it was not negotiated */
	vdriver_reset(&d);
	d.next_gpa = 0x100000;

	start(USUAL | F(MQ) | F(RSS));
	assert_int_equal(command(&bad), VIRTIO_NET_ERR);
	netbe_pair_fail(&pair.steer_fault, EBUSY, 1);
	assert_int_equal(command(&good), VIRTIO_NET_ERR);
	assert_int_equal(counter("ctrl", "rss"), 0);
	assert_int_equal(command(&good), VIRTIO_NET_OK);
	assert_int_equal(counter("ctrl", "refused"), 3);
	comes_to(2, 2);
	netbe_pair_fail(&pair.steer_fault, ENODEV, 1);
	vdriver_reset(&d);
	assert_int_equal(counter("ctrl", "rss"), 0);
	d.next_gpa = 0x100000;

	/* Rings that are not there get nothing. */
	vdriver_negotiate(&d, USUAL | F(MQ) | F(RSS));
	for (unsigned int q = 0; q < 4; q++)
		vdriver_setup_queue(&d, q, 64);
	vdriver_setup_queue(&d, 2 * PAIRS, 64);
	vdriver_driver_ok(&d);
	use_queues(USUAL | F(MQ) | F(RSS));
	assert_int_equal(command(&good), VIRTIO_NET_ERR);
	assert_int_equal(counter("ctrl", "pairs"), 1);
	comes_to(0, 2);
}

/* The backend goes while it is steered: the driver is told, and nobody asks it for anything any more. */
static void test_backend_gone(void **state)
{
	const struct data good = make(ALL, 8, 4, 0, PAIRS, 40);

	start(USUAL | F(MQ) | F(RSS));
	assert_int_equal(command(&good), VIRTIO_NET_OK);
	atomic_store(&pair.be.gone, true);
	netbe_pair_fail(&pair.steer_fault, ENODEV, 1);
	assert_int_equal(command(&good), VIRTIO_NET_OK); /* what it says holds for no frame */
	vdriver_reset(&d);
	assert_int_equal(counter("ctrl", "rss"), 0);
	assert_int_equal(atomic_load(&pair.steer_fault.left), 1);
	atomic_store(&pair.be.gone, false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_parse_edges),
		cmocka_unit_test(test_bad_parse),
		cmocka_unit_test_setup_teardown(test_offer, setup_rss, teardown),
		cmocka_unit_test_setup_teardown(test_steered, setup_rss, teardown),
		cmocka_unit_test_setup_teardown(test_refused, setup_rss, teardown),
		cmocka_unit_test_setup_teardown(test_backend_gone, setup_rss, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
