/* RTL8139: the card's thread, and its life. */
#include "devices/rtl8139.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "devices/rtl8139_internal.h"
#include "vmm/base/event.h"
#include "vmm/base/log.h"

#define VENDOR	       0x10ec
#define DEVICE	       0x8139
#define CLASS	       0x020000 /* Ethernet controller */
#define REVISION_C     0x10
#define REVISION_CPLUS 0x20
#define REGISTERS      256
#define BUDGET	       64u /* frames one way before the other way gets its turn, and an interrupt */

/* clang-format off */
#define RX(field) COUNTER(struct rtl8139_rx_counters, field)
#define TX(field) COUNTER(struct rtl8139_tx_counters, field)
#define CHIP(field) COUNTER(struct rtl8139_chip_counters, field)

static const struct counter_desc rx_desc[] = {
	RX(packets), RX(bytes), RX(taken), RX(looped), RX(unread), RX(drop_missed), RX(drop_too_big), RX(drop_filtered),
	RX(drop_off), RX(drop_offload), RX(drop_runt), RX(backend_errors), COUNTER_TIME(struct rtl8139_rx_counters, first_packet), COUNTER_END,
};

static const struct counter_desc tx_desc[] = {
	TX(packets), TX(bytes), TX(blocked), TX(drop_malformed), TX(drop_bad_header), TX(drop_down), TX(drop_error),
	TX(drop_reset), TX(waiting), COUNTER_TIME(struct rtl8139_tx_counters, first_packet), COUNTER_END,
};

static const struct counter_desc chip_desc[] = {
	CHIP(reads), CHIP(writes), CHIP(kicks), CHIP(interrupts), CHIP(resets), CHIP(ring_faults), COUNTER_END,
};
/* clang-format on */

/* ---- what the others ask; under the lock ---- */

void rtl8139_kick(struct rtl8139 *d)
{
	d->chip.kicks++;
	d->kicked = true;
	if (d->asleep)
		event_signal(d->kick.fd);
	d->asleep = false;
}

void rtl8139_interrupt(struct rtl8139 *d, uint16_t bits)
{
	d->r.isr |= bits;
}

void rtl8139_sync_interrupt(struct rtl8139 *d)
{
	const bool level = d->r.isr & d->r.imr;

	if (level == d->intx)
		return;
	d->intx = level;
	d->chip.interrupts += level;
	pci_intx_set(&d->func, level);
}

void rtl8139_fault(struct rtl8139 *d, bool *direction)
{
	*direction = true;
	rtl8139_interrupt(d, INT_SERR);
	if (log_due(&d->chip.ring_faults))
		log_warn("%s: a ring of its driver's, or a buffer in it, is not in memory",
			 d->func.name);
}

/* ---- the card's thread ---- */

void rtl8139_block(struct rtl8139 *d)
{
	d->tx.blocked++;
	d->tx_wait = true;
}

/* What the backend has taken, and not yet passed on. */
static void flush(struct rtl8139 *d)
{
	if (d->be->ops->flush && !d->tx_wait && !netbe_is_gone(d->be) &&
	    d->be->ops->flush(d->be, 0) == -EAGAIN)
		rtl8139_block(d);
}

static bool transmit(struct rtl8139 *d)
{
	unsigned int done = 0;

	flush(d);
	while (done < BUDGET && !d->tx_wait && rtl8139_transmit(d))
		done++;
	return done > 0;
}

static bool receive(struct rtl8139 *d, bool on)
{
	unsigned int done = 0;

	while (done < BUDGET && on && d->rx_ready && !d->rx_pause && rtl8139_receive(d))
		done++;
	return done > 0;
}

static void watch_backend(struct rtl8139 *d, bool rx_on)
{
	uint32_t events = 0;

	/* A tap that is gone reports an error for ever, whatever is asked for. */
	if (!netbe_is_gone(d->be))
		events = (rx_on && !d->rx_pause ? EPOLLIN : 0) | (d->tx_wait ? EPOLLOUT : 0);
	if (!(events & EPOLLIN))
		d->rx_ready = false;
	loop_watch(d->loop, &d->backend, events);
}

/* Called by the loop before it blocks; true to be called again at once. */
static bool card_work(void *arg)
{
	struct rtl8139 *d = arg;
	bool worked, rx_on;

	pthread_mutex_lock(&d->lock);
	d->kicked = false;
	rx_on = rtl8139_rx_is_on(d);
	pthread_mutex_unlock(&d->lock);
	worked = transmit(d) | receive(d, rx_on);
	pthread_mutex_lock(&d->lock);
	rtl8139_sync_interrupt(d);
	rx_on = rtl8139_rx_is_on(d);
	d->asleep = !worked && !d->kicked;
	worked = !d->asleep;
	pthread_mutex_unlock(&d->lock);
	watch_backend(d, rx_on);
	return worked;
}

static void on_kick(void *arg, uint32_t events)
{
	struct rtl8139 *d = arg;

	event_clear(d->kick.fd);
}

static void on_backend(void *arg, uint32_t events)
{
	struct rtl8139 *d = arg;

	if (events & (EPOLLIN | EPOLLERR | EPOLLHUP))
		d->rx_ready = true;
	if (events & (EPOLLOUT | EPOLLERR | EPOLLHUP))
		d->tx_wait = false;
}

static void on_link(void *arg, uint32_t events)
{
	struct rtl8139 *d = arg;

	if (!d->be->ops->is_gone(d->be))
		return;
	loop_watch(d->loop, &d->link, 0);
	rtl8139_lose_backend(d, -EBADFD);
}

static void on_pause_over(void *arg)
{
	struct rtl8139 *d = arg;

	d->rx_pause = false;
}

static void on_timer(void *arg)
{
	struct rtl8139 *d = arg;

	hold(&d->lock);
	rtl8139_timer_expired(d);
	rtl8139_sync_interrupt(d);
}

/* ---- life ---- */

static void bus_master(struct pci_func *func, bool on)
{
	struct rtl8139 *d = container_of(func, struct rtl8139, func);

	hold(&d->lock);
	d->master = on;
	rtl8139_kick(d);
}

static void stop_on_thread(void *arg)
{
	struct rtl8139 *d = arg;

	loop_set_work(d->loop, NULL, NULL);
	loop_watch(d->loop, &d->kick, 0);
	loop_watch(d->loop, &d->backend, 0);
	loop_timer_set(&d->pause, 0);
	loop_timer_set(&d->timer, 0);
	d->tx.waiting = d->out.len && !d->out.sent;
	if (!d->be->inherited)
		rtl8139_count_unread(d);
	d->ledger.settled = true;
}

static void stop_device(struct device *device)
{
	struct rtl8139 *d = container_of(device, struct rtl8139, device);

	loop_call(d->loop, stop_on_thread, d);
	pcap_finish(d->pcap);
}

static void destroy(struct device *device)
{
	struct rtl8139 *d = container_of(device, struct rtl8139, device);

	if (d->loop)
		loop_join(d->loop);
	for (unsigned int i = 0; i < ARRAY_SIZE(d->groups); i++)
		counters_remove(&d->groups[i]);
	ledger_close(&d->ledger);
	pcap_destroy(d->pcap);
	pci_func_destroy(&d->func);
	loop_timer_destroy(d->loop, &d->timer);
	loop_timer_destroy(d->loop, &d->pause);
	loop_destroy(d->loop);
	close_fd(d->kick.fd);
	d->be->ops->close(d->be);
	pthread_mutex_destroy(&d->lock);
	free(d->rx_frame);
	free(d->out.frame);
	free(d);
}

static void add_counters(struct rtl8139 *d, struct counters *counters)
{
	const struct ledger_source to_guest = {
		.desc = rx_desc,
		.base = &d->rx,
		.in = &d->rx.taken,
		.delivered = &d->rx.packets,
		.unread = &d->rx.unread,
		.looped = &d->rx.looped,
		.backend_errors = &d->rx.backend_errors,
	};
	const struct ledger_source from_guest = {
		.desc = tx_desc,
		.base = &d->tx,
		.delivered = &d->tx.packets,
		.waiting = &d->tx.waiting,
		.looped = &d->rx.looped,
	};

	counters_add(counters, &d->groups[0], rx_desc, &d->rx, "%s.rx", d->func.name);
	counters_add(counters, &d->groups[1], tx_desc, &d->tx, "%s.tx", d->func.name);
	counters_add(counters, &d->groups[2], chip_desc, &d->chip, "%s.chip", d->func.name);
	ledger_init(&d->ledger, d->be);
	ledger_add(&d->ledger, &to_guest, &from_guest);
	ledger_open(&d->ledger, counters, d->func.name);
}

static void init_function(struct rtl8139 *d, const char *name)
{
	pci_func_init(&d->func, name, VENDOR, DEVICE, CLASS,
		      d->cplus ? REVISION_CPLUS : REVISION_C);
	pci_func_set_bar(&d->func, 0, REGISTERS, true, &rtl8139_registers, d);
	pci_func_set_bar(&d->func, 1, REGISTERS, false, &rtl8139_registers, d);
	d->func.bus_master = bus_master;
}

static void init_lock(struct rtl8139 *d)
{
	pthread_mutexattr_t attr;

	/* It is held for a frame at most, so whoever waits spins first: asleep it would lose the race for it. */
	pthread_mutexattr_init(&attr);
	pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ADAPTIVE_NP);
	pthread_mutex_init(&d->lock, &attr);
	pthread_mutexattr_destroy(&attr);
}

static int create_loop(struct rtl8139 *d)
{
	int ret;

	d->kick = (struct loop_watch){ .fd = event_create(), .ready = on_kick, .arg = d };
	d->backend = (struct loop_watch){ .fd = d->be->fd[0], .ready = on_backend, .arg = d };
	d->link = (struct loop_watch){ .fd = d->be->link_fd, .ready = on_link, .arg = d };
	d->pause = (struct loop_timer){ .expired = on_pause_over, .arg = d };
	d->timer = (struct loop_timer){ .expired = on_timer, .arg = d };
	ret = loop_create(&d->loop, d->func.name) ?: MIN(d->kick.fd, 0) ?:
	      loop_timer_init(d->loop, &d->pause) ?: loop_timer_init(d->loop, &d->timer) ?:
	      loop_watch(d->loop, &d->kick, EPOLLIN);
	if (!ret && d->be->link_fd)
		ret = loop_watch(d->loop, &d->link, EPOLLIN);
	return ret;
}

int rtl8139_create(struct device **out, const struct device_env *env, struct netbe *be,
		   const struct virtio_net_options *options)
{
	static const struct device_ops ops = { .stop = stop_device, .destroy = destroy };
	struct rtl8139 *d = device_alloc(env, sizeof(*d));
	int ret;

	if (!d) {
		be->ops->close(be);
		return -ENOMEM;
	}
	d->device = (struct device){ .ops = &ops, .name = env->name };
	d->mem = env->mem;
	d->be = be;
	d->kick.fd = -1;
	d->cplus = options->model == NET_MODEL_RTL8139;
	d->features = be->features & ~net_switches_off(&options->switches);
	init_lock(d);
	init_function(d, env->name);
	add_counters(d, env->counters);
	d->rx_frame = malloc(NETBE_HDR_LEN + RTL8139_MAX_FRAME + WIRE_MIN + FCS);
	d->out.frame = malloc(RTL8139_MAX_FRAME);
	ret = d->rx_frame && d->out.frame ? create_loop(d) : -ENOMEM;
	if (be->pairs > 1) {
		ret = log_fail(
			-EINVAL,
			"%s: %s has %u queues, and this card uses one (one descriptor in fd=, or model=virtio)",
			env->name, be->name, be->pairs);
		goto fail;
	}
	if (!ret && options->pcap)
		ret = pcap_create(&d->pcap, env, options->pcap, 1, options->snap);
	d->device.output = pcap_output(d->pcap);
	if (!ret)
		ret = be->ops->set_features(be, 0); /* frames are received whole */
	if (ret) {
		log_otherwise("cannot create %s: %s", env->name, strerror(-ret));
		goto fail;
	}
	memcpy(&d->eeprom.word[7], net_options_mac(options) ?: be->mac, sizeof(be->mac));
	rtl8139_power_on(d);
	loop_set_work(d->loop, card_work, d);
	ret = env->plug_pci(env->arg, &d->func) ?: loop_start(d->loop, THREAD_NET, env->guard);
	if (ret)
		goto fail;
	*out = &d->device;
	return 0;
fail:
	destroy(&d->device);
	return ret;
}

/* ---- --net ---- */

static int create_device(struct device **out, const struct device_env *env, const void *options)
{
	const struct virtio_net_options *o = options;
	const struct netbe_wish wish = { .pairs = 1, .mtu = o->mtu, .mac = net_options_mac(o) };
	struct netbe *be;

	if (o->model == NET_MODEL_VIRTIO)
		return 0;
	return netbe_open(&be, &o->be, &wish) ?: rtl8139_create(out, env, be, o);
}

const struct device_kind rtl8139_kind = { .options = &net_options, .create = create_device };
