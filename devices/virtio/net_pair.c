/*
 * A queue pair: its I/O thread and the way of a frame.
 *
 * All work is done in pair_work(), which the loop calls before it would block: callbacks only note what is
 * ready.
 */
#include "devices/virtio/net_pair.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "devices/virtio/net_pair_internal.h"
#include "vmm/base/log.h"

/* ---- the backend's events ---- */

int net_pair_watch_backend(struct net_pair *n)
{
	/* A tap that is gone reports an error for ever, whatever is asked for. */
	const bool quiet = netbe_is_gone(n->p.be) || !n->running || n->kernel.counters.active;
	int ret = 0;

	for (unsigned int i = 0; i < n->p.be->pairs; i++) {
		const bool reads = n->sources & BIT(i) && !n->rx_wait && !n->p.source[i].paused;
		const bool writes = i == n->p.index && n->tx_wait;
		const int err =
			loop_watch(n->loop, &n->backend[i].watch,
				   quiet ? 0 : (reads ? EPOLLIN : 0) | (writes ? EPOLLOUT : 0));

		if (err)
			ret = err;
	}
	return ret;
}

void net_link_down(struct virtio_dev *card)
{
	const __virtio16 down = 0;

	virtio_config_update(card, offsetof(struct virtio_net_config, status), &down, sizeof(down));
}

bool net_pair_lose_backend(struct net_pair *n, int err)
{
	const bool before = netbe_is_gone(n->p.be);

	if (!netbe_lost(n->p.be, n->p.dev->name, err))
		return false;
	n->tx_wait = false;
	net_pair_watch_backend(n);
	if (!before)
		net_link_down(n->p.dev);
	return true;
}

/* ---- transmit: guest to backend ---- */

/* Counts the chain by its fate; false if it must stay in the ring. */
static bool tx_one(struct net_pair *n, const struct virtq_chain *c)
{
	int err;

	if (c->nr_in || c->out_len < n->hdr_len + ETH_HEADER) {
		n->counters.tx.drop_malformed++;
		return true;
	}
	err = netbe_is_gone(n->p.be)
		      ? -EBADFD
		      : n->p.be->ops->send(n->p.be, n->p.index, n->tx_iov, c->nr_out);
	if (err != -EAGAIN)
		pcap_frame(n->p.pcap, n->p.index, PCAP_FROM_GUEST, n->tx_iov, c->nr_out, n->hdr_len,
			   c->out_len - n->hdr_len);
	switch (err) {
	case 0:
		n->counters.tx.packets++;
		n->counters.tx.bytes += c->out_len - n->hdr_len;
		if (!n->counters.tx.first_packet)
			n->counters.tx.first_packet = now_ns();
		break;
	case -EAGAIN:
		return false;
	case -EINVAL:
	case -EMSGSIZE:
		n->counters.tx.drop_bad_header++;
		break;
	default:
		if (net_pair_lose_backend(n, err) || err == -EIO)
			n->counters.tx.drop_down++;
		else
			n->counters.tx.drop_error++;
	}
	return true;
}

/* The backend takes no more: the ring is left alone until EPOLLOUT. */
static void tx_block(struct net_pair *n)
{
	n->counters.tx.blocked++;
	n->tx_wait = true;
	net_pair_watch_backend(n);
}

/* The end of the last frame may still be with the backend. */
static void tx_flush(struct net_pair *n)
{
	struct netbe *be = n->p.be;

	if (be->ops->flush && !n->tx_wait && !netbe_is_gone(be) &&
	    be->ops->flush(be, n->p.index) == -EAGAIN)
		tx_block(n);
}

/* Move frames from the guest to the backend; how many. */
static unsigned int tx_work(struct net_pair *n)
{
	struct virtq *vq = n->txq;
	struct virtq_chain c;
	unsigned int done = 0;
	int ret = 0;

	while (done < BUDGET && !n->tx_wait &&
	       (ret = virtq_pop(vq, &c, n->tx_iov, VIRTQ_SIZE_MAX)) > 0) {
		if (!tx_one(n, &c)) {
			virtq_unpop(vq, &c);
			tx_block(n);
			break;
		}
		virtq_push(vq, &c, 0);
		done++;
	}
	if (ret == -EPROTO)
		virtio_fail(n->p.dev, "its transmit ring is broken");
	tx_flush(n);
	virtio_publish(n->p.dev, n->tx_queue);
	return done;
}

/* ---- patience ---- */

/*
 * Where the vCPU and this thread share a CPU of the host, a doorbell stops the guest for the sake of one frame, as the host's
 * kernel lets a thread that wakes go first. That is right while the guest sends one and waits for the answer. Where it has
 * more to send, of many connections, it is stopped for each, and both do little but take turns: then the thread lets it go on.
 *
 * Every so many doorbells it is seen which it is. That the guest is busy is told by its driver, which wants no interrupt for
 * received frames while it handles others (one that never wants any polls, and does not pause for us to run); that it has more
 * to send, once it is let go on, by the frames that one doorbell stands for.
 */
#define DOORBELLS 16u
#define MORE	  (DOORBELLS + DOORBELLS / 8) /* frames behind so many doorbells */

static void begin_weighing(struct net_pair *n)
{
	n->weighed.rx = n->rxq->counters;
	n->weighed.tx = n->txq->counters;
}

static void weigh(struct net_pair *n)
{
	const struct virtq_counters *rx = &n->rxq->counters, *tx = &n->txq->counters;
	bool more;

	if (n->p.impatient || tx->kicks - n->weighed.tx.kicks < DOORBELLS)
		return;
	if (n->patient)
		more = tx->chains - n->weighed.tx.chains >= MORE;
	else
		more = rx->suppressed - n->weighed.rx.suppressed > 1 &&
		       rx->interrupts != n->weighed.rx.interrupts;
	if (n->patient)
		n->counters.tx.patient += tx->kicks - n->weighed.tx.kicks;
	if (more != n->patient)
		n->patient = thread_set_batch(more);
	begin_weighing(n);
}

/* ---- the I/O thread ---- */

/* Called by the loop before it blocks; true to be called again at once. */
static bool pair_work(void *arg)
{
	struct net_pair *n = arg;

	if (n->kernel.counters.active)
		return false;
	const unsigned int moved = tx_work(n) + net_rx_work(n);
	weigh(n);
	if (net_kernel_has(n))
		return false;

	if (n->p.poll_ns) {
		if (moved)
			n->busy_until = now_ns() + n->p.poll_ns;
		if (now_ns() < n->busy_until)
			return true;
	}
	/* Amid a burst another look costs less than a doorbell. A frame that came alone has none behind it. */
	if (moved > 1)
		return true;
	/* About to sleep: from here on the driver has to kick. */
	return !n->tx_wait && virtq_kicks_on(n->txq);
}

static void on_rx_kick(void *arg, uint32_t events)
{
	struct net_pair *n = arg;

	virtq_ack_kick(n->rxq);
	net_rx_kicked(n);
}

static void on_tx_kick(void *arg, uint32_t events)
{
	struct net_pair *n = arg;

	virtq_ack_kick(n->txq);
	virtq_kicks_off(n->txq);
}

static void on_backend(void *arg, uint32_t events)
{
	struct net_pair *n = *(struct net_pair **)arg;
	const unsigned int i =
		(unsigned int)(container_of(arg, struct backend_queue, pair) - n->backend);

	if (events & (EPOLLIN | EPOLLERR | EPOLLHUP))
		net_rx_ready(n, i);
	if (events & (EPOLLOUT | EPOLLERR | EPOLLHUP) && n->tx_wait && i == n->p.index) {
		n->tx_wait = false;
		net_pair_watch_backend(n);
	}
}

static void on_link(void *arg, uint32_t events)
{
	struct net_pair *n = arg;

	if (!n->p.be->ops->is_gone(n->p.be))
		return;
	loop_watch(n->loop, &n->link, 0);
	net_kernel_return(n);
	net_pair_lose_backend(n, -EBADFD);
}

/* ---- life ---- */

int net_pair_enter(struct net_pair *n)
{
	n->tx_wait = false;
	net_rx_look(n);
	virtq_kicks_off(n->rxq);
	return loop_watch(n->loop, &n->rx_kick, EPOLLIN) ?:
	       loop_watch(n->loop, &n->tx_kick, EPOLLIN) ?:
	       net_pair_watch_backend(n);
}

void net_pair_leave(struct net_pair *n)
{
	loop_watch(n->loop, &n->rx_kick, 0);
	loop_watch(n->loop, &n->tx_kick, 0);
	net_pair_watch_backend(n);
	loop_timer_set(&n->rx_timer, 0);
	net_rx_end_wait(n);
}

static void stop(void *arg)
{
	struct net_pair *n = arg;

	net_kernel_return(n);
	n->running = false;
	loop_set_work(n->loop, NULL, NULL);
	net_pair_leave(n);
	n->counters.tx.waiting = virtq_waiting(n->txq);
}

static void start(void *arg)
{
	struct net_pair *n = arg;

	n->running = true;
	n->counters.tx.waiting = 0;
	n->kernel.refused = false;
	n->patient = n->patient && thread_set_batch(false);
	begin_weighing(n);
	n->error = net_pair_enter(n);
	net_kernel_begin(n);
	if (n->error)
		stop(n);
	else
		loop_set_work(n->loop, pair_work, n);
}

int net_pair_start(struct net_pair *n, unsigned int sources)
{
	/* A held frame stays, like those that wait in the backend. */
	rx_window_init(&n->window, n->rxq, virtio_has_feature(n->p.dev, VIRTIO_NET_F_MRG_RXBUF));
	n->hdr_len = virtio_has_feature(n->p.dev, VIRTIO_NET_F_HASH_REPORT) ? NETBE_HDR_HASH_LEN
									    : NETBE_HDR_LEN;
	n->sources = sources;
	return net_pair_resume(n);
}

int net_pair_resume(struct net_pair *n)
{
	if (!n->rxq->live) /* what was taken ahead is the driver's again */
		rx_window_init(&n->window, n->rxq, n->window.mergeable);
	loop_call(n->loop, start, n);
	return n->error;
}

void net_pair_stop(struct net_pair *n)
{
	loop_call(n->loop, stop, n);
}

static void serve(void *arg)
{
	struct net_pair *n = arg;

	net_kernel_return(n);
	n->sources = n->new_sources;
	net_rx_look(n);
	net_kernel_begin(n);
	n->error = net_pair_watch_backend(n);
}

int net_pair_serve(struct net_pair *n, unsigned int sources)
{
	n->new_sources = sources;
	loop_call(n->loop, serve, n);
	return n->error;
}

static void set_filter(void *arg)
{
	struct net_pair *n = arg;

	net_kernel_return(n);
	n->filter = *n->new_filter;
	n->hash = *n->new_hash;
	net_kernel_begin(n);
}

void net_pair_set_filter(struct net_pair *n, const struct net_filter *filter,
			 const struct rxhash *hash)
{
	n->new_filter = filter;
	n->new_hash = hash;
	loop_call(n->loop, set_filter, n);
}

void net_pair_interrupts_moved(struct net_pair *n)
{
	loop_call(n->loop, net_kernel_connect, n);
}

struct loop *net_pair_loop(struct net_pair *n)
{
	return n->loop;
}

void net_pair_finish(struct net_pair *n)
{
	if (!n->p.be->inherited)
		loop_call(n->loop, net_rx_count_unread, n);
}

void net_pair_account(const struct net_pair *n, struct ledger *ledger)
{
	struct ledger_source to_guest, from_guest;

	net_counters_account(&n->counters, &to_guest, &from_guest);
	to_guest.waiting = &n->p.source[n->p.index].waiting;
	to_guest.starved_since = &n->starved_since;
	from_guest.in = &n->txq->counters.chains;
	if (n->p.vhost) {
		to_guest.given = from_guest.given = &n->kernel.counters.given;
		to_guest.by_kernel = &n->kernel.counters.rx_buffers;
		from_guest.by_kernel = &n->kernel.counters.tx_frames;
	}
	ledger_add(ledger, &to_guest, &from_guest);
}

void net_pair_add_counters(struct net_counters *sum, const struct net_pair *n)
{
	net_counters_add(sum, &n->counters);
}

static int create_sources(struct net_pair *n)
{
	for (unsigned int i = 0; i < n->p.be->pairs; i++) {
		n->backend[i].pair = n;
		n->backend[i].watch = (struct loop_watch){ .fd = n->p.be->fd[i],
							   .ready = on_backend,
							   .arg = &n->backend[i].pair };
	}
	n->spill = malloc(MAX_FRAME);
	n->p.source[n->p.index].held = malloc(MAX_FRAME);
	return n->spill && n->p.source[n->p.index].held ? 0 : -ENOMEM;
}

int net_pair_create(struct net_pair **out, const struct device_env *env,
		    const struct net_pair_params *params)
{
	struct net_pair *n = device_alloc(env, sizeof(*n));
	char name[16];
	int ret;

	if (!n)
		return -ENOMEM;
	n->p = *params;
	n->starved_since = LEDGER_NOT_STARVED;
	n->rx_queue = 2 * params->index;
	n->tx_queue = n->rx_queue + 1;
	n->rxq = &params->dev->vq[n->rx_queue];
	n->txq = &params->dev->vq[n->tx_queue];
	n->rx_kick = (struct loop_watch){ .fd = n->rxq->kick_fd, .ready = on_rx_kick, .arg = n };
	n->tx_kick = (struct loop_watch){ .fd = n->txq->kick_fd, .ready = on_tx_kick, .arg = n };
	n->link = (struct loop_watch){ .fd = params->be->link_fd, .ready = on_link, .arg = n };
	n->rx_timer = (struct loop_timer){ .expired = net_rx_expired, .arg = n };
	snprintf(name, sizeof(name), params->index ? "%s.%u" : "%s", env->name, params->index);
	ret = create_sources(n) ?:
	      loop_create(&n->loop, name) ?:
	      loop_timer_init(n->loop, &n->rx_timer) ?:
	      net_kernel_init(n, env);
	if (!ret && params->be->link_fd && !params->index)
		ret = loop_watch(n->loop, &n->link, EPOLLIN);
	if (ret)
		log_otherwise("cannot create a queue pair of %s: %s", env->name, strerror(-ret));
	else
		ret = loop_start(n->loop, THREAD_NET, env->guard);
	if (ret) {
		net_pair_destroy(n);
		return ret;
	}
	net_counters_register(env->counters, &n->groups, &n->counters, env->name,
			      params->be->pairs > 1 ? (int)params->index : -1, NULL);
	*out = n;
	return 0;
}

void net_pair_destroy(struct net_pair *n)
{
	if (!n)
		return;
	net_counters_unregister(&n->groups);
	if (n->loop)
		loop_join(n->loop);
	net_kernel_destroy(n);
	loop_timer_destroy(n->loop, &n->rx_timer);
	loop_destroy(n->loop);
	free(n->spill);
	free(n->p.source[n->p.index].held);
	free(n);
}
