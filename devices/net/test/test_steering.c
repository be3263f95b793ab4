/* RSS of a tap: the program by the kernel's own test run, with the hash's published results; and a real tap. */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/bpf.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "devices/net/steering.h"
#include "devices/net/test/tap_rig.h"
#include "vmm/base/test/unit.h"

#define TEST_RUN_SKIPS \
	14 /* bytes of the input: an Ethernet header, before what a socket filter sees */
#define UNCLASSIFIED 999

/* The key of the hash's published test vectors ("Verifying the RSS Hash Calculation"). */
static const uint8_t key[STEERING_KEY_MAX] = {
	0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3,
	0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3,
	0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
};

struct packet {
	uint8_t room[TEST_RUN_SKIPS], bytes[1500];
	uint32_t len;
	struct {
		uint8_t bytes[36];
		unsigned int len;
	} input; /* of the hash, with ports; 0: never hashed */
	unsigned int addresses;
};

static struct steering *steering;
static struct rxhash in_use; /* the hash of the rule, and its table's mask */
static uint32_t mask;

static int teardown(void **state)
{
	steering_destroy(steering);
	steering = NULL;
	return 0;
}

static void need_bpf(void)
{
	const int ret = steering_create(&steering);

	if (ret == -EPERM || ret == -ENOSYS) {
		print_message("bpf(2) is not ours to call\n");
		skip();
	}
	assert_int_equal(ret, 0);
}

/* The hash by its definition, bit by bit. */
static uint32_t toeplitz(const uint8_t *input, unsigned int len)
{
	uint32_t hash = 0, window = (uint32_t)key[0] << 24 | key[1] << 16 | key[2] << 8 | key[3];

	for (unsigned int bit = 0; bit < 8 * len; bit++) {
		const unsigned int next = bit + 32;

		if (input[bit / 8] & 0x80 >> bit % 8)
			hash ^= window;
		window = window << 1 | (next < 8 * sizeof(key) && key[next / 8] & 0x80 >> next % 8);
	}
	return hash;
}

static void make(struct packet *p, int family, const char *from, const char *to, int protocol,
		 unsigned int source, unsigned int destination, unsigned int words_of_options)
{
	const unsigned int len = family == AF_INET ? 4 : 16;
	uint8_t *ip = p->bytes + 14;
	unsigned int head = family == AF_INET ? 20 + 4 * words_of_options : 40;

	memset(p, 0, sizeof(*p));
	p->room[12] = 0x88,
	p->room[13] = 0xb5; /* an experiment's (IEEE 802): the kernel does not look into it */
	p->bytes[12] = family == AF_INET ? 0x08 : 0x86;
	p->bytes[13] = family == AF_INET ? 0x00 : 0xdd;
	ip[0] = family == AF_INET ? (uint8_t)(0x45 + words_of_options) : 0x60;
	ip[family == AF_INET ? 9 : 6] = (uint8_t)protocol;
	assert_int_equal(inet_pton(family, from, ip + head - 4 * words_of_options - 2 * len), 1);
	assert_int_equal(inet_pton(family, to, ip + head - 4 * words_of_options - len), 1);
	ip[head] = (uint8_t)(source >> 8);
	ip[head + 1] = (uint8_t)source;
	ip[head + 2] = (uint8_t)(destination >> 8);
	ip[head + 3] = (uint8_t)destination;
	p->len = 14 + head + 8;
	p->addresses = 2 * len;
	p->input.len = 2 * len + 4;
	memcpy(p->input.bytes, ip + head - 4 * words_of_options - 2 * len, 2 * len);
	memcpy(p->input.bytes + 2 * len, ip + head, 4);
}

static void use(uint32_t types, unsigned int entries)
{
	struct steering_rule rule = { .types = types,
				      .entries = entries,
				      .unclassified = UNCLASSIFIED };

	for (unsigned int i = 0; i < entries; i++)
		rule.table[i] = (uint16_t)i;
	memcpy(rule.key, key, sizeof(key));
	rxhash_init(&in_use, types, key);
	mask = entries - 1;
	/* No descriptor of a tap: the rule is there, though nothing is steered by it. */
	assert_int_equal(steering_apply(steering, -1, &rule), -EBADF);
}

/* Where the program has it go. */
static unsigned int queue_of(const struct packet *p)
{
	union bpf_attr attr = { .test = { .prog_fd = (uint32_t)steering_program(steering),
					  .data_size_in = TEST_RUN_SKIPS + p->len,
					  .data_in = (uintptr_t)p->room } };

	uint32_t value;

	assert_int_equal(syscall(SYS_bpf, BPF_PROG_TEST_RUN, &attr, sizeof(attr)), 0);
	/* The hash that the driver is told is the one that has chosen the queue. */
	if (rxhash_frame(&in_use, p->bytes, p->len, &value))
		assert_int_equal(attr.test.retval, value & mask);
	else
		assert_true(attr.test.retval == UNCLASSIFIED || !attr.test.retval);
	return attr.test.retval;
}

static const struct {
	int family;
	const char *to;
	unsigned int destination;
	const char *from;
	unsigned int source;
	uint32_t plain, with_ports;
} v[] = {
	{ AF_INET, "161.142.100.80", 1766, "66.9.149.187", 2794, 0x323e8fc2, 0x51ccc178 },
	{ AF_INET, "65.69.140.83", 4739, "199.92.111.2", 14230, 0xd718262a, 0xc626b0ea },
	{ AF_INET, "12.22.207.184", 38024, "24.19.198.95", 12898, 0xd2d0a5de, 0x5c2b394a },
	{ AF_INET, "209.142.163.6", 2217, "38.27.205.30", 48228, 0x82989176, 0xafc7327f },
	{ AF_INET, "202.188.127.2", 1303, "153.39.163.191", 44251, 0x5d1809c5, 0x10e828a2 },
	{ AF_INET6, "3ffe:2501:200:3::1", 1766, "3ffe:2501:200:1fff::7", 2794, 0x2cc18cd5,
	  0x40207d3d },
	{ AF_INET6, "ff02::1", 4739, "3ffe:501:8::260:97ff:fe40:efab", 14230, 0x0f0c461c,
	  0xdde51bbf },
	{ AF_INET6, "fe80::200:f8ff:fe21:67cf", 38024, "3ffe:1900:4545:3:200:f8ff:fe21:67cf", 44251,
	  0x4b61e985, 0x02d1feef },
};

static void test_published(void **state)
{
	struct packet p;

	need_bpf();
	for (unsigned int i = 0; i < ARRAY_SIZE(v); i++) {
		make(&p, v[i].family, v[i].from, v[i].to, 6, v[i].source, v[i].destination, 0);
		assert_int_equal(toeplitz(p.input.bytes, p.input.len), v[i].with_ports);
		assert_int_equal(toeplitz(p.input.bytes, p.addresses), v[i].plain);
		use(STEERING_TYPES, 128);
		assert_int_equal(queue_of(&p), v[i].with_ports & 127);
		use(VIRTIO_NET_RSS_HASH_TYPE_IPv4 | VIRTIO_NET_RSS_HASH_TYPE_IPv6, 128);
		assert_int_equal(queue_of(&p), v[i].plain & 127);
		use(STEERING_TYPES, 4);
		assert_int_equal(queue_of(&p), v[i].with_ports & 3);
	}
}

/* What the card tells its driver, with 4 for IPv6: VIRTIO_NET_HASH_REPORT_. */
static void test_published_hash(void **state)
{
	static const struct {
		int protocol;
		uint32_t types;
		uint16_t report;
		bool with_ports;
	} c[] = {
		{ 6, STEERING_TYPES, VIRTIO_NET_HASH_REPORT_TCPv4, true },
		{ 17, STEERING_TYPES, VIRTIO_NET_HASH_REPORT_UDPv4, true },
		{ 1, STEERING_TYPES, VIRTIO_NET_HASH_REPORT_IPv4, false },
		{ 17, STEERING_TYPES & ~(4u | 32u), VIRTIO_NET_HASH_REPORT_IPv4, false },
		{ 6, 4u | 32u, VIRTIO_NET_HASH_REPORT_NONE, false },
		{ 6, 0, VIRTIO_NET_HASH_REPORT_NONE, false },
	};
	struct rxhash h;
	struct packet p;
	uint32_t value;

	for (unsigned int i = 0; i < ARRAY_SIZE(v); i++)
		for (unsigned int k = 0; k < ARRAY_SIZE(c); k++) {
			uint32_t expected = c[k].with_ports ? v[i].with_ports : v[i].plain;
			uint16_t report = c[k].report;

			if (report == VIRTIO_NET_HASH_REPORT_NONE)
				expected = 0;
			else if (v[i].family == AF_INET6)
				report += VIRTIO_NET_HASH_REPORT_IPv6 - VIRTIO_NET_HASH_REPORT_IPv4;
			make(&p, v[i].family, v[i].from, v[i].to, c[k].protocol, v[i].source,
			     v[i].destination, 0);
			rxhash_init(&h, c[k].types, key);
			value = 0xeeeeeeee;
			assert_int_equal(rxhash_frame(&h, p.bytes, p.len, &value), report);
			assert_int_equal(value, expected);
		}
}

/* A frame that ends before what is hashed has no hash, and nothing behind its end is looked at. */
static void test_cut_hash(void **state)
{
	struct rxhash h;
	struct packet p;
	uint32_t value;

	rxhash_init(&h, STEERING_TYPES, key);
	for (unsigned int k = 0; k < 3; k++) {
		const unsigned int options = k == 1 ? 10 : 0, ports = 4;

		make(&p, k == 2 ? AF_INET6 : AF_INET, k == 2 ? "fd00::1" : "1.2.3.4",
		     k == 2 ? "fd00::2" : "5.6.7.8", 6, 77, 88, options);
		const size_t whole = p.len - 8 + ports;

		assert_true(whole <= RXHASH_LOOKS);
		for (size_t len = 0; len <= p.len; len++) {
			uint8_t *end = malloc(len); /* the sanitizer knows where it ends */

			memcpy(end, p.bytes, len);
			assert_int_equal(rxhash_frame(&h, end, len, &value) !=
						 VIRTIO_NET_HASH_REPORT_NONE,
					 len >= whole);
			assert_int_equal(value,
					 len >= whole ? toeplitz(p.input.bytes, p.input.len) : 0);
			free(end);
		}
	}
}

/* Every type alone, for every kind of packet: what it says most about, or the queue of the rest. */
static void test_types(void **state)
{
	static const struct {
		int family, protocol;
		uint32_t with_ports, plain;
	} kinds[] = {
		{ AF_INET, 6, VIRTIO_NET_RSS_HASH_TYPE_TCPv4, VIRTIO_NET_RSS_HASH_TYPE_IPv4 },
		{ AF_INET, 17, VIRTIO_NET_RSS_HASH_TYPE_UDPv4, VIRTIO_NET_RSS_HASH_TYPE_IPv4 },
		{ AF_INET, 1, 0, VIRTIO_NET_RSS_HASH_TYPE_IPv4 },
		{ AF_INET6, 6, VIRTIO_NET_RSS_HASH_TYPE_TCPv6, VIRTIO_NET_RSS_HASH_TYPE_IPv6 },
		{ AF_INET6, 17, VIRTIO_NET_RSS_HASH_TYPE_UDPv6, VIRTIO_NET_RSS_HASH_TYPE_IPv6 },
		{ AF_INET6, 58, 0, VIRTIO_NET_RSS_HASH_TYPE_IPv6 },
	};
	struct packet p;

	need_bpf();
	for (uint32_t types = 0; types <= STEERING_TYPES; types++) {
		use(types, 128);
		for (unsigned int k = 0; k < ARRAY_SIZE(kinds); k++) {
			const bool v4 = kinds[k].family == AF_INET;
			unsigned int expected = UNCLASSIFIED;

			make(&p, kinds[k].family, v4 ? "10.0.0.1" : "fd00::1",
			     v4 ? "10.0.0.2" : "fd00::2", kinds[k].protocol, 1000 + k, 2000 + types,
			     0);
			if (types & kinds[k].with_ports)
				expected = toeplitz(p.input.bytes, p.input.len) & 127;
			else if (types & kinds[k].plain)
				expected = toeplitz(p.input.bytes, p.addresses) & 127;
			assert_int_equal(queue_of(&p), expected);
		}
	}
}

static void test_shapes(void **state)
{
	struct packet p;

	need_bpf();
	use(STEERING_TYPES, 128);
	for (unsigned int options = 0; options <= 10; options++) {
		make(&p, AF_INET, "1.2.3.4", "5.6.7.8", 6, 77, 88, options);
		assert_int_equal(queue_of(&p), toeplitz(p.input.bytes, p.input.len) & 127);
	}
	/* Fragments: more of them, and a later one; "do not" is none. */
	for (unsigned int i = 0; i < 4; i++) {
		make(&p, AF_INET, "1.2.3.4", "5.6.7.8", 17, 77, 88, 0);
		p.bytes[20] = (uint8_t[]){ 0x20, 0x00, 0x1f, 0x40 }[i];
		p.bytes[21] = i == 1;
		assert_int_equal(queue_of(&p),
				 toeplitz(p.input.bytes, i < 3 ? p.addresses : p.input.len) & 127);
	}
	/* What is no IP, and what ends before its addresses, or ports, do. */
	make(&p, AF_INET, "1.2.3.4", "5.6.7.8", 6, 77, 88, 0);
	p.bytes[13] = 6; /* ARP */
	assert_int_equal(queue_of(&p), UNCLASSIFIED);
	for (uint32_t len = 0; len < 38; len++) {
		make(&p, AF_INET, "1.2.3.4", "5.6.7.8", 6, 77, 88, 0);
		p.len = len;
		if (TEST_RUN_SKIPS + len > 14)
			assert_int_equal(queue_of(&p), 0);
	}
}

/* A new rule is in force at once, and a key of any content is used whole. */
static void test_random(void **state)
{
	struct packet p;

	need_bpf();
	srand(1);
	for (unsigned int i = 0; i < 500; i++) {
		char from[64], to[64];
		const bool v4 = rand() & 1;

		snprintf(from, sizeof(from), v4 ? "%u.%u.%u.%u" : "fd%02x:%x:%x::%x", rand() & 255,
			 rand() & 255, rand() & 255, rand() & 255);
		snprintf(to, sizeof(to), v4 ? "%u.%u.%u.%u" : "fe%02x:%x:%x::%x", rand() & 127,
			 rand() & 255, rand() & 255, rand() & 255);
		make(&p, v4 ? AF_INET : AF_INET6, from, to, rand() & 1 ? 6 : 17, rand() & 0xffff,
		     rand() & 0xffff, 0);
		use(STEERING_TYPES, 1u << i % 8);
		assert_int_equal(queue_of(&p),
				 toeplitz(p.input.bytes, p.input.len) & ((1u << i % 8) - 1));
	}
}

/* ---- a tap ---- */

/* Which of the two queues of the backend has a frame, within a while; it is read. */
static unsigned int next_queue(const struct netbe *be)
{
	struct pollfd p[2] = { { be->fd[0], POLLIN, 0 }, { be->fd[1], POLLIN, 0 } };
	uint8_t bytes[2048];
	unsigned int q;

	assert_true(poll(p, 2, 10000) > 0);
	q = !(p[0].revents & POLLIN);
	assert_true(read(be->fd[q], bytes, sizeof(bytes)) > 0);
	return q;
}

static void send_to(uint16_t port)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(port) };
	const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	inet_pton(AF_INET, "10.99.0.2", &to.sin_addr);
	assert_int_equal(sendto(fd, "x", 1, 0, (struct sockaddr *)&to, sizeof(to)), 1);
	close(fd);
}

static void test_tap(void **state)
{
	const struct netbe_wish wish = { .pairs = 2, .exactly = true, .steer = true };
	const struct netbe_tap_options options = { .tap = "rss0" };
	struct steering_rule rule = { .types = 0, .entries = 1 };
	unsigned int seen[2] = { 0, 0 };
	struct netbe *be;

	need_taps();
	need_bpf();
	assert_int_equal(netbe_tap.open(&be, &options, &wish), 0);
	assert_true(be->features & NET_F(RSS));
	if (system("sysctl -q -w net.ipv6.conf.rss0.disable_ipv6=1 2>/dev/null"))
		print_message("IPv6 is not switched off\n");
	assert_int_equal(system("ip addr add 10.99.0.1/24 dev rss0 && ip link set rss0 up && "
				"ip neigh add 10.99.0.2 lladdr 52:54:00:00:00:02 dev rss0"),
			 0);
	while (poll(&(struct pollfd){ be->fd[0], POLLIN, 0 }, 1, 100) > 0 ||
	       poll(&(struct pollfd){ be->fd[1], POLLIN, 0 }, 1, 100) > 0)
		next_queue(be); /* what an interface says when it comes up */
	for (uint16_t q = 0; q < 2; q++) {
		rule.unclassified = q; /* of no type: all goes there */
		assert_int_equal(be->ops->steer(be, &rule), 0);
		for (uint16_t i = 0; i < 20; i++) {
			send_to(3000 + i);
			assert_int_equal(next_queue(be), q);
		}
	}
	rule = (struct steering_rule){ .types = STEERING_TYPES, .entries = 2, .table = { 0, 1 } };
	memcpy(rule.key, key, sizeof(key));
	assert_int_equal(be->ops->steer(be, &rule), 0);
	for (uint16_t i = 0; i < 40; i++) {
		send_to(4000 + i);
		seen[next_queue(be)]++;
	}
	assert_true(seen[0] && seen[1]);
	assert_int_equal(be->ops->steer(be, NULL), 0);
	send_to(5000);
	next_queue(be);
	be->ops->close(be);
}

/* A header with room for a hash, and back. */
static void test_header(void **state)
{
	const struct netbe_wish wish = { .pairs = 2, .exactly = true, .steer = true };
	const struct netbe_tap_options options = { .tap = "rss2" };
	static const unsigned int lengths[] = { NETBE_HDR_LEN, NETBE_HDR_HASH_LEN, NETBE_HDR_LEN };
	uint8_t bytes[2048];
	struct netbe *be;

	need_taps();
	need_bpf();
	assert_int_equal(netbe_tap.open(&be, &options, &wish), 0);
	assert_true(be->features & NET_F(HASH_REPORT));
	assert_int_equal(system("ip addr add 10.99.0.1/24 dev rss2 && ip link set rss2 up && "
				"ip neigh add 10.99.0.2 lladdr 52:54:00:00:00:02 dev rss2"),
			 0);
	for (unsigned int i = 0; i < ARRAY_SIZE(lengths); i++) {
		struct pollfd p[2] = { { be->fd[0], POLLIN, 0 }, { be->fd[1], POLLIN, 0 } };
		const uint8_t *eth = bytes + lengths[i];
		ssize_t len;

		if (i)
			assert_int_equal(be->ops->set_header(be, lengths[i]), 0);
		send_to(6000);
		do { /* past what an interface says when it comes up */
			assert_true(poll(p, 2, 10000) > 0);
			len = read(be->fd[!(p[0].revents & POLLIN)], bytes, sizeof(bytes));
			assert_true(len > 0);
		} while (eth[12] != 0x08 || eth[13] != 0x00 || eth[23] != 17);
		assert_int_equal(len, lengths[i] + 14 + 20 + 8 + 1);
		assert_int_equal(eth[len - lengths[i] - 1], 'x');
		memset(bytes, 0, lengths[i]);
		assert_int_equal(write(be->fd[1], bytes, (size_t)len), len);
	}
	/* Who has the tap afterwards finds it as it was. */
	const int other = dup(be->fd[0]);
	int len;

	assert_int_equal(be->ops->set_header(be, NETBE_HDR_HASH_LEN), 0);
	assert_int_equal(ioctl(other, TUNGETVNETHDRSZ, &len), 0);
	assert_int_equal(len, NETBE_HDR_HASH_LEN);
	be->ops->close(be);
	assert_int_equal(ioctl(other, TUNGETVNETHDRSZ, &len), 0);
	assert_int_equal(len, NETBE_HDR_LEN);
	close(other);
}

/* One queue, or no right to: a card without RSS, and a word of why. */
static void test_not_steered(void **state)
{
	const struct netbe_wish one = { .pairs = 1, .steer = true }, unasked = { .pairs = 2 };
	const struct netbe_tap_options options = { .tap = "rss1" };
	struct netbe *be;

	need_taps();
	assert_int_equal(netbe_tap.open(&be, &options, &one), 0);
	assert_false(be->features & NET_F(RSS));
	be->ops->close(be);
	assert_int_equal(netbe_tap.open(&be, &options, &unasked), 0);
	assert_false(be->features & NET_F(RSS));
	be->ops->close(be);
	assert_int_equal(steering_probe(0) < 0, 1);
	assert_int_equal(steering_probe(-1), -EBADF);
}

#define TEST(name) cmocka_unit_test_teardown(name, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_published),
		cmocka_unit_test(test_published_hash),
		cmocka_unit_test(test_cut_hash),
		TEST(test_types),
		TEST(test_shapes),
		TEST(test_random),
		cmocka_unit_test_setup_teardown(test_tap, tap_setup, teardown),
		cmocka_unit_test_setup_teardown(test_header, tap_setup, teardown),
		cmocka_unit_test_setup_teardown(test_not_steered, tap_setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
