/* virtio-console with one named port. */
#include "devices/virtio/console.h"

#include <errno.h>
#include <linux/virtio_console.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "vmm/base/event.h"
#include "vmm/base/iov.h"

/* Port 0's queues, and the control queues (5.3.2); rx and tx are the driver's. */
enum { RX, TX, CTRL_RX, CTRL_TX, NR_QUEUES };

#define QUEUE_SIZE 64
#define BUDGET	   32u /* chains of a queue before the loop gets its turn */
#define MAX_PENDING \
	8u /* control messages that wait for the guest's buffers; a guest that asks for more waits */
#define NAME_MAX_LEN 32

struct message {
	struct virtio_console_control control;
	char name[NAME_MAX_LEN]; /* with PORT_NAME */
};

struct console;

/* A queue's kick, and what it calls for. */
struct kick {
	struct loop_watch watch;
	struct console *console;
	unsigned int queue;
};

struct console {
	struct virtio_dev dev;
	struct virtq vq[NR_QUEUES];
	struct virtio_console_config config;
	struct loop *loop;
	struct kick kick[NR_QUEUES];
	int error; /* of a loop_call() */
	const struct virtio_console_ops *ops;
	void *arg;
	char port[NAME_MAX_LEN];

	bool open; /* the guest's program has the port open */
	struct message pending[MAX_PENDING];
	unsigned int nr_pending;

	/* A chain of the guest's that was taken in part only. */
	bool held;
	struct virtq_chain held_chain;
	struct iovec held_iov[VIRTQ_SIZE_MAX], *held_at;
	unsigned int held_nr;

	struct iovec iov[VIRTQ_SIZE_MAX];
};

static struct console *to_console(struct virtio_dev *dev)
{
	return container_of(dev, struct console, dev);
}

/* The next chain of @queue; false if there is none, or the ring is broken. */
static bool pop(struct console *c, unsigned int queue, struct virtq_chain *chain, struct iovec *iov)
{
	const int ret = virtq_pop(&c->vq[queue], chain, iov, VIRTQ_SIZE_MAX);

	if (ret < 0)
		virtio_fail(&c->dev, "a ring is broken");
	return ret > 0;
}

/* The queue is empty, or has had its turn: publish, and come back by a kick. */
static void rest(struct console *c, unsigned int queue, bool more)
{
	virtio_publish(&c->dev, queue);
	if (more || virtq_kicks_on(&c->vq[queue]))
		event_signal(c->vq[queue].kick_fd);
}

/* ---- control messages (5.3.6.2) ---- */

static void send_pending(struct console *c)
{
	struct virtq_chain chain;

	while (c->nr_pending && pop(c, CTRL_RX, &chain, c->iov)) {
		const struct message *m = &c->pending[0];
		const size_t len = sizeof(m->control) + strlen(m->name);

		virtq_push(&c->vq[CTRL_RX], &chain,
			   (uint32_t)iov_from_buf(c->iov + chain.nr_out, chain.nr_in, 0, m, len));
		memmove(&c->pending[0], &c->pending[1], --c->nr_pending * sizeof(c->pending[0]));
	}
	virtio_publish(&c->dev, CTRL_RX);
	if (c->nr_pending && virtq_kicks_on(&c->vq[CTRL_RX]))
		event_signal(c->vq[CTRL_RX].kick_fd);
}

static void say(struct console *c, uint16_t event, uint16_t value, const char *name)
{
	struct message *m;

	if (c->nr_pending == MAX_PENDING)
		return; /* a driver asks each thing once: this one is at play */
	m = &c->pending[c->nr_pending++];
	*m = (struct message){ .control = { .event = event, .value = value } };
	snprintf(m->name, sizeof(m->name), "%s", name);
}

static void hear(struct console *c, const struct virtio_console_control *m)
{
	switch (m->event) {
	case VIRTIO_CONSOLE_DEVICE_READY:
		if (m->value)
			say(c, VIRTIO_CONSOLE_PORT_ADD, 1, "");
		break;
	case VIRTIO_CONSOLE_PORT_READY:
		if (!m->value || m->id)
			break;
		say(c, VIRTIO_CONSOLE_PORT_NAME, 1, c->port);
		say(c, VIRTIO_CONSOLE_PORT_OPEN, 1, ""); /* our end always is */
		break;
	case VIRTIO_CONSOLE_PORT_OPEN:
		if (!m->id)
			c->open = m->value;
		break;
	}
}

static void serve_control(struct console *c)
{
	struct virtio_console_control m;
	struct virtq_chain chain;
	unsigned int done = 0;

	while (done < BUDGET && pop(c, CTRL_TX, &chain, c->iov)) {
		if (iov_to_buf(c->iov, chain.nr_out, 0, &m, sizeof(m)) == sizeof(m))
			hear(c, &m);
		virtq_push(&c->vq[CTRL_TX], &chain, 0);
		done++;
	}
	rest(c, CTRL_TX, done == BUDGET);
	send_pending(c);
	if (c->open)
		virtio_console_ready(&c->dev);
}

/* ---- the port ---- */

/* What is held goes first; false while some of it stays. */
static bool put_held(struct console *c)
{
	size_t taken;

	if (!c->held)
		return true;
	taken = c->ops->output(c->arg, c->held_at, c->held_nr);
	iov_skip(&c->held_at, &c->held_nr, taken);
	if (iov_size(c->held_at, c->held_nr))
		return false;
	virtq_push(&c->vq[TX], &c->held_chain, 0);
	c->held = false;
	return true;
}

static void serve_output(struct console *c)
{
	unsigned int done = 0;
	bool room;

	while ((room = put_held(c)) && done < BUDGET && pop(c, TX, &c->held_chain, c->held_iov)) {
		c->held_at = c->held_iov;
		c->held_nr = c->held_chain.nr_out;
		c->held = true;
		done++;
	}
	if (room)
		rest(c, TX, done == BUDGET);
	else
		virtio_publish(&c->dev, TX);
}

/* As much as the guest has buffers for. One that is only asked whether there is something goes back. */
static void serve_input(struct console *c)
{
	uint8_t buf[4096];
	struct virtq_chain chain;
	unsigned int done = 0;
	size_t n = 1;

	while (c->open && n && done < BUDGET && pop(c, RX, &chain, c->iov)) {
		n = c->ops->input(c->arg, buf, MIN(sizeof(buf), (size_t)chain.in_len));
		if (!n && chain.in_len) {
			virtq_unpop(&c->vq[RX], &chain);
			break;
		}
		virtq_push(&c->vq[RX], &chain,
			   (uint32_t)iov_from_buf(c->iov + chain.nr_out, chain.nr_in, 0, buf, n));
		done++;
		n = 1;
	}
	if (n && c->open)
		rest(c, RX, done == BUDGET);
	else
		virtio_publish(&c->dev, RX);
}

void virtio_console_ready(struct virtio_dev *dev)
{
	struct console *c = to_console(dev);

	if (!c->kick[TX].watch.events)
		return; /* it is not live, or holds still */
	serve_output(c);
	serve_input(c);
}

static void on_kick(void *arg, uint32_t events)
{
	static void (*const serve[NR_QUEUES])(struct console * c) = { [RX] = serve_input,
								      [TX] = serve_output,
								      [CTRL_RX] = send_pending,
								      [CTRL_TX] = serve_control };
	const struct kick *k = arg;

	virtq_ack_kick(&k->console->vq[k->queue]);
	serve[k->queue](k->console);
}

/* ---- life ---- */

/* On the loop's thread. */
static void begin(void *arg)
{
	struct console *c = arg;

	c->error = 0;
	c->held &= c->vq[TX].live;
	for (unsigned int q = 0; q < NR_QUEUES && !c->error; q++)
		c->error = loop_watch(c->loop, &c->kick[q].watch, EPOLLIN);
}

static void hold_still(void *arg)
{
	struct console *c = arg;

	for (unsigned int q = 0; q < NR_QUEUES; q++)
		loop_watch(c->loop, &c->kick[q].watch, 0);
}

static int activate(struct virtio_dev *dev)
{
	struct console *c = to_console(dev);

	loop_call(c->loop, begin, c);
	if (c->error)
		loop_call(c->loop, hold_still, c);
	return c->error;
}

static void pause_port(struct virtio_dev *dev)
{
	loop_call(to_console(dev)->loop, hold_still, to_console(dev));
}

static int resume(struct virtio_dev *dev)
{
	const int ret = activate(dev);

	/* What came meanwhile came to nobody. */
	for (unsigned int q = 0; !ret && q < NR_QUEUES; q++)
		event_signal(dev->vq[q].kick_fd);
	return ret;
}

static void reset(struct virtio_dev *dev)
{
	struct console *c = to_console(dev);

	pause_port(dev);
	c->held = c->open = false;
	c->nr_pending = 0;
}

static void destroy(struct virtio_dev *dev)
{
	virtio_destroy(dev);
	free(to_console(dev));
}

static const struct virtio_ops ops = {
	.activate = activate,
	.reset = reset,
	.pause = pause_port,
	.resume = resume,
	.destroy = destroy,
};

int virtio_console_create(struct device **out, struct virtio_dev **dev,
			  const struct device_env *env, struct loop *loop, const char *port,
			  const struct virtio_console_ops *port_ops, void *arg)
{
	struct console *c = device_alloc(env, sizeof(*c));
	int ret;

	if (!c)
		return -ENOMEM;
	c->loop = loop;
	c->ops = port_ops;
	c->arg = arg;
	snprintf(c->port, sizeof(c->port), "%s", port);
	c->config.max_nr_ports = 1;
	for (unsigned int q = 0; q < NR_QUEUES; q++)
		c->vq[q].size_max = QUEUE_SIZE;
	c->dev = (struct virtio_dev){
		.ops = &ops,
		.device_id = VIRTIO_ID_CONSOLE,
		.pci_class = 0x078000, /* simple communication, other */
		.device_features = BIT_ULL(VIRTIO_CONSOLE_F_MULTIPORT),
		.vq = c->vq,
		.nr_vqs = NR_QUEUES,
		.config = &c->config,
		.config_len = sizeof(c->config),
	};
	ret = virtio_init(&c->dev, env);
	for (unsigned int q = 0; q < NR_QUEUES; q++)
		c->kick[q] = (struct kick){
			{ .fd = c->vq[q].kick_fd, .ready = on_kick, .arg = &c->kick[q] }, c, q
		};
	*dev = &c->dev;
	return virtio_plug(out, &c->dev, env, &(struct virtio_options){ 0 }, ret);
}
