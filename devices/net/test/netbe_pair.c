/* A socketpair as net backend, for unit tests. */
#include "devices/net/test/netbe_pair.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

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

	if (err)
		return err;
	len = recvmsg(be->fd[pair], &msg, 0);
	if (!len)
		return -EBADFD; /* the peer has gone */
	return len < 0 ? -errno : len;
}

static int pair_send(struct netbe *be, unsigned int pair, const struct iovec *iov, int n)
{
	struct msghdr msg = { .msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)n };
	const int err = injected(&to_pair(be)->send_fault);

	if (err)
		return err;
	if (sendmsg(be->fd[pair], &msg, MSG_NOSIGNAL) < 0)
		return errno == EPIPE ? -EBADFD : -errno;
	return 0;
}

static int pair_set_features(struct netbe *be, uint64_t features)
{
	const int err = injected(&to_pair(be)->features_fault);

	if (!err)
		atomic_store(&to_pair(be)->features, features);
	return err;
}

static void pair_close(struct netbe *be)
{
	assert_false(to_pair(be)->closed);
	to_pair(be)->closed = true;
	close(be->fd[0]);
}

static const struct netbe_ops pair_ops = { pair_recv, pair_send, NULL, pair_set_features,
					   pair_close };

void netbe_pair_init(struct netbe_pair *pair)
{
	const int size = SOCKET_BUFFER;
	int fd[2];

	memset(pair, 0, sizeof(*pair));
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd),
			 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(setsockopt(fd[i], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)), 0);
	pair->be.ops = &pair_ops;
	pair->be.pairs = 1;
	pair->be.fd[0] = fd[0];
	snprintf(pair->be.name, sizeof(pair->be.name), "the test's peer");
	pair->peer = fd[1];
}

void netbe_pair_destroy(struct netbe_pair *pair)
{
	assert_true(pair->closed);
	if (pair->peer >= 0)
		close(pair->peer);
}

void netbe_pair_fail(struct netbe_pair_fault *fault, int err, unsigned int n)
{
	atomic_store(&fault->err, err);
	atomic_store(&fault->left, n);
}
