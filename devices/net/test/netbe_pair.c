/* A socketpair as net backend, for unit tests. */
#include "devices/net/test/netbe_pair.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vmm/base/counters.h"
#include "vmm/base/event.h"
#include "vmm/base/test/unit.h"

#define SOCKET_BUFFER 212992 /* three frames of the largest kind, and what any user may ask for */

static struct netbe_pair *to_pair(struct netbe *be)
{
	return container_of(be, struct netbe_pair, be);
}

static int injected(struct netbe_pair_fault *fault)
{
	unsigned int left = atomic_load(&fault->left);

	while (left && !atomic_compare_exchange_weak(&fault->left, &left, left - 1))
		;
	return left ? -atomic_load(&fault->err) : 0;
}

static ssize_t pair_recv(struct netbe *be, unsigned int pair, const struct iovec *iov, int n)
{
	struct msghdr msg = { .msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)n };
	const int err = injected(&to_pair(be)->recv_fault);
	ssize_t len;
	char byte;

	if (err && to_pair(be)->recv_loses && recv(be->fd[pair], &byte, 1, 0) < 0)
		return -EAGAIN;
	if (err)
		return err;
	len = recvmsg(be->fd[pair], &msg, 0);
	if (!len)
		return -EBADFD; /* the peer has gone */
	if (len < 0)
		return -errno;
	atomic_fetch_add(&to_pair(be)->passed, 1);
	return len;
}

static int pair_send(struct netbe *be, unsigned int pair, const struct iovec *iov, int n)
{
	struct msghdr msg = { .msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)n };
	const int err = injected(&to_pair(be)->send_fault);

	if (err)
		return err;
	if (sendmsg(be->fd[pair], &msg, MSG_NOSIGNAL) < 0)
		return errno == EPIPE ? -EBADFD : -errno;
	atomic_fetch_add(&to_pair(be)->taken, 1);
	return 0;
}

static int pair_set_features(struct netbe *be, uint64_t features)
{
	const int err = injected(&to_pair(be)->features_fault);

	if (!err)
		atomic_store(&to_pair(be)->features, features);
	return err;
}

static int pair_steer(struct netbe *be, const struct steering_rule *rule)
{
	const int err = injected(&to_pair(be)->steer_fault);

	if (!err)
		to_pair(be)->rule = rule ? *rule : (struct steering_rule){ 0 };
	return err;
}

static int pair_set_header(struct netbe *be, unsigned int len)
{
	to_pair(be)->header = len;
	return 0;
}

static bool pair_is_gone(struct netbe *be)
{
	event_clear(be->link_fd);
	return atomic_load(&to_pair(be)->gone);
}

static void pair_close(struct netbe *be)
{
	assert_false(to_pair(be)->closed);
	to_pair(be)->closed = true;
	close(be->link_fd);
	for (unsigned int i = 0; i < be->pairs; i++)
		close(be->fd[i]);
}

static int pair_host(struct netbe *be, struct netbe_host *out, bool qdisc)
{
	struct netbe_pair *p = to_pair(be);

	if (p->no_host)
		return -ENODEV;
	*out = (struct netbe_host){ .qdisc = qdisc ? atomic_load(&p->qdisc) : 0,
				    .queue_full = atomic_load(&p->queue_full),
				    .passed = atomic_load(&p->passed),
				    .taken = atomic_load(&p->taken),
				    .discarded = atomic_load(&p->discarded) };
	return 0;
}

static const struct netbe_ops pair_ops = { .recv = pair_recv,
					   .send = pair_send,
					   .set_features = pair_set_features,
					   .steer = pair_steer,
					   .set_header = pair_set_header,
					   .host = pair_host,
					   .is_gone = pair_is_gone,
					   .close = pair_close };

static void add_queue(struct netbe_pair *pair)
{
	const int size = SOCKET_BUFFER;
	int fd[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd),
			 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(setsockopt(fd[i], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)), 0);
	pair->peers[pair->be.pairs] = fd[1];
	pair->be.fd[pair->be.pairs++] = fd[0];
}

void netbe_pair_init_queues(struct netbe_pair *pair, unsigned int queues)
{
	memset(pair, 0, sizeof(*pair));
	pair->be.ops = &pair_ops;
	pair->be.is_tap = true;
	pair->be.link_fd = event_create();
	assert_true(pair->be.link_fd > 0);
	snprintf(pair->be.name, sizeof(pair->be.name), "the test's peer");
	while (pair->be.pairs < queues)
		add_queue(pair);
	pair->peer = pair->peers[0];
}

void netbe_pair_init(struct netbe_pair *pair)
{
	netbe_pair_init_queues(pair, 1);
}

void netbe_pair_destroy(struct netbe_pair *pair)
{
	assert_true(pair->closed);
	if (pair->peer >= 0)
		close(pair->peer);
	for (unsigned int i = 1; i < pair->be.pairs; i++)
		close(pair->peers[i]);
}

void netbe_pair_fail(struct netbe_pair_fault *fault, int err, unsigned int n)
{
	atomic_store(&fault->err, err);
	atomic_store(&fault->left, n);
}

void netbe_pair_check_ledger(const struct counters *counters)
{
	unsigned int books = 0;

	for (struct counter_group *g = counters->first; g; g = g->next) {
		if (!strstr(g->name, "to_guest") && !strstr(g->name, "from_guest"))
			continue;
		g->refresh(g);
		for (const struct counter_desc *c = g->desc; c->name; c++) {
			const uint64_t v = *(const uint64_t *)((const char *)g->base + c->offset);

			if (!strcmp(c->name, "unexplained") && v)
				fail_msg("%s: %llu frames unexplained", g->name,
					 (unsigned long long)v);
		}
		books++;
	}
	assert_int_equal(books, 2);
}
