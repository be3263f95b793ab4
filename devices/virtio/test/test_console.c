/* virtio-console, driven as Linux's driver does. */
#include <pthread.h>
#include <string.h>

#include <linux/virtio_console.h>

#include "devices/virtio/console.h"
#include "devices/virtio/test/vdriver.h"
#include "vmm/base/test/unit.h"

enum { RX, TX, CTRL_RX, CTRL_TX };

#define MULTIPORT BIT_ULL(VIRTIO_CONSOLE_F_MULTIPORT)
#define EVENT_IDX BIT_ULL(VIRTIO_RING_F_EVENT_IDX)

static struct vdriver d;
static struct virtio_dev *dev;
static struct loop *loop;

/* The machine's end. On the loop's thread, but for the test's looks under the lock. */
static struct {
	pthread_mutex_t lock;
	uint8_t out[1 << 20];
	size_t out_len, room; /* bytes that are still taken */
	uint8_t in[1 << 16];
	size_t in_len, in_done;
} m = { .lock = PTHREAD_MUTEX_INITIALIZER };

static size_t output(void *arg, const struct iovec *iov, unsigned int n)
{
	size_t done = 0;

	pthread_mutex_lock(&m.lock);
	for (unsigned int i = 0; i < n && m.room; i++) {
		const size_t part = MIN(iov[i].iov_len, m.room);

		memcpy(m.out + m.out_len, iov[i].iov_base, part);
		m.out_len += part;
		m.room -= part;
		done += part;
	}
	pthread_mutex_unlock(&m.lock);
	return done;
}

static size_t input(void *arg, void *buf, size_t len)
{
	pthread_mutex_lock(&m.lock);
	const size_t n = MIN(len, m.in_len - m.in_done);
	memcpy(buf, m.in + m.in_done, n);
	m.in_done += n;
	pthread_mutex_unlock(&m.lock);
	return n;
}

static const struct virtio_console_ops ops = { .output = output, .input = input };

static int setup(void **state)
{
	m.out_len = m.in_len = m.in_done = 0;
	m.room = sizeof(m.out);
	vdriver_init(&d, 16 * MIB);
	assert_int_equal(loop_create(&loop, "main"), 0);
	assert_int_equal(loop_start(loop, THREAD_MAIN, NULL), 0);
	assert_int_equal(
		virtio_console_create(&d.device, &dev, &d.env, loop, "minivmm.job", &ops, NULL), 0);
	vdriver_start(&d, MULTIPORT | EVENT_IDX);
	return 0;
}

static int teardown(void **state)
{
	vdriver_destroy(&d);
	loop_destroy(loop);
	return 0;
}

/* A buffer to be read, waited for. */
static void send(unsigned int queue, const void *data, uint32_t len)
{
	struct vdriver_buf b = vdriver_buf(&d, len);

	memcpy(b.host, data, len);
	vdriver_add(&d, queue, &b, 1, 0);
	vdriver_kick(&d, queue);
}

static void control(uint32_t id, uint16_t event, uint16_t value)
{
	const struct virtio_console_control c = { id, event, value };

	send(CTRL_TX, &c, sizeof(c));
	vdriver_wait(&d, CTRL_TX);
}

/* The next control message; its name is checked. */
static void expect(struct vdriver_buf *b, uint16_t event, const char *name)
{
	const struct vring_used_elem e = vdriver_wait(&d, CTRL_RX);
	const struct virtio_console_control *c = (const void *)b->host;

	assert_int_equal(c->event, event);
	assert_int_equal(c->id, 0);
	assert_int_equal(e.len, sizeof(*c) + strlen(name));
	assert_memory_equal(c + 1, name, strlen(name));
}

static void open_port(void)
{
	struct vdriver_buf b[3];

	for (int i = 0; i < 3; i++) {
		b[i] = vdriver_buf(&d, 4096);
		vdriver_add(&d, CTRL_RX, &b[i], 0, 1);
	}
	vdriver_kick(&d, CTRL_RX);
	control(VIRTIO_CONSOLE_BAD_ID, VIRTIO_CONSOLE_DEVICE_READY, 1);
	expect(&b[0], VIRTIO_CONSOLE_PORT_ADD, "");
	control(0, VIRTIO_CONSOLE_PORT_READY, 1);
	expect(&b[1], VIRTIO_CONSOLE_PORT_NAME, "minivmm.job");
	expect(&b[2], VIRTIO_CONSOLE_PORT_OPEN, "");
	control(0, VIRTIO_CONSOLE_PORT_OPEN, 1);
}

static void ready(void *arg)
{
	virtio_console_ready(dev);
}

static void the_port_is_named_and_open(void **state)
{
	open_port();
}

static void bytes_come_out_in_order_whatever_is_taken(void **state)
{
	uint8_t data[3000];

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 7);
	open_port();
	pthread_mutex_lock(&m.lock);
	m.room = 1001;
	pthread_mutex_unlock(&m.lock);
	for (int i = 0; i < 3; i++)
		send(TX, data + 1000 * i, 1000);
	vdriver_wait(&d, TX); /* the first; one byte of the second is taken, and it is held */
	for (size_t room = 1; room < 1999; room += 37) {
		pthread_mutex_lock(&m.lock);
		m.room = MIN(room, 3000 - m.out_len);
		pthread_mutex_unlock(&m.lock);
		loop_call(loop, ready, NULL);
	}
	vdriver_wait(&d, TX);
	vdriver_wait(&d, TX);
	assert_int_equal(m.out_len, 3000);
	assert_memory_equal(m.out, data, 3000);
}

static void input_waits_for_the_guest_and_the_guest_for_input(void **state)
{
	struct vdriver_buf b[2];
	struct vring_used_elem e;

	open_port();
	for (int i = 0; i < 2; i++) {
		b[i] = vdriver_buf(&d, 100);
		vdriver_add(&d, RX, &b[i], 0, 1);
	}
	vdriver_kick(&d, RX);
	pthread_mutex_lock(&m.lock);
	m.in_len = 250;
	memset(m.in, 'i', 250);
	m.in[249] = 'z';
	pthread_mutex_unlock(&m.lock);
	loop_call(loop, ready, NULL);
	for (int i = 0; i < 2; i++) {
		e = vdriver_wait(&d, RX);
		assert_int_equal(e.len, 100);
	}
	b[0] = vdriver_buf(&d, 100);
	vdriver_add(&d, RX, &b[0], 0, 1);
	vdriver_kick(&d, RX);
	e = vdriver_wait(&d, RX);
	assert_int_equal(e.len, 50);
	assert_int_equal(b[0].host[49], 'z');
}

static void a_reset_forgets_what_was_held(void **state)
{
	open_port();
	m.room = 1;
	send(TX, "abc", 3);
	loop_call(loop, ready, NULL);
	vdriver_reset(&d);
	m.room = 100;
	loop_call(loop, ready, NULL); /* nothing is live */
	vdriver_start(&d, MULTIPORT);
	open_port();
	send(TX, "new", 3);
	vdriver_wait(&d, TX);
	assert_memory_equal(m.out + m.out_len - 3, "new", 3);
}

static void a_queue_taken_back_takes_what_was_held_with_it(void **state)
{
	struct vring_used_elem e;

	open_port();
	m.room = 1;
	send(TX, "abc", 3);
	loop_call(loop, ready, NULL);
	virtio_set_queue(dev, TX, VIRTIO_QUEUE_READY, 0);
	m.room = 100;
	loop_call(loop, ready, NULL);
	assert_int_equal(m.out_len, 1);
	assert_false(vdriver_take(&d, TX, &e));
	vdriver_reset(&d);
}

/* A guest may take its bus mastering away at any time. */
static void without_dma_it_holds_still_and_forgets_nothing(void **state)
{
	struct vdriver_buf b;

	open_port();
	m.room = 1;
	send(TX, "abc", 3);
	virtio_set_dma(dev, false);
	b = vdriver_buf(&d, 8);
	vdriver_add(&d, RX, &b, 0, 1);
	vdriver_force_kick(&d, RX);
	memcpy(m.in, "in", m.in_len = 2);
	m.room = 100;
	loop_call(loop, ready, NULL);
	assert_int_equal(vdriver_interrupts(&d, RX) + vdriver_interrupts(&d, TX), 0);
	virtio_set_dma(dev, true);
	vdriver_wait(&d, TX);
	assert_memory_equal(m.out, "abc", 3);
	assert_int_equal(vdriver_wait(&d, RX).len, 2);
	assert_memory_equal(b.host, "in", 2);
	virtio_set_dma(dev, false);
	vdriver_reset(&d);
}

static void a_driver_at_play_is_contained(void **state)
{
	static const uint8_t junk[3] = { 1, 2, 3 };
	struct vdriver_buf b;

	for (int i = 0; i < 100; i++)
		control(0, VIRTIO_CONSOLE_PORT_READY, 1); /* without a buffer for an answer */
	for (uint16_t event = 0; event < 20; event++)
		control(event * 1000u, event, event);
	send(CTRL_TX, junk, sizeof(junk));
	vdriver_wait(&d, CTRL_TX);
	b = vdriver_buf(&d, 2); /* an answer that does not fit is cut */
	vdriver_add(&d, CTRL_RX, &b, 0, 1);
	vdriver_kick(&d, CTRL_RX);
	assert_int_equal(vdriver_wait(&d, CTRL_RX).len, 2);
	assert_int_equal(virtio_get_status(dev) & VIRTIO_CONFIG_S_NEEDS_RESET, 0);
}

#define test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(the_port_is_named_and_open),
		test(bytes_come_out_in_order_whatever_is_taken),
		test(input_waits_for_the_guest_and_the_guest_for_input),
		test(a_reset_forgets_what_was_held),
		test(a_queue_taken_back_takes_what_was_held_with_it),
		test(without_dma_it_holds_still_and_forgets_nothing),
		test(a_driver_at_play_is_contained),
	};
	const struct CMUnitTest packed[] = {
		test(the_port_is_named_and_open),
		test(bytes_come_out_in_order_whatever_is_taken),
		test(input_waits_for_the_guest_and_the_guest_for_input),
		test(a_reset_forgets_what_was_held),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) +
	       cmocka_run_group_tests(packed, vdriver_use_packed, NULL);
}
