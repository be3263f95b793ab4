/* Output that does not block. */
#include "vmm/base/sink.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/base/terminal.h"

#define FLAGS (O_NONBLOCK | O_NOCTTY | O_CLOEXEC)

int sink_reopen(int fd, int access)
{
	char path[32];
	struct stat st;
	int number;

	if (!isatty(fd) && (fstat(fd, &st) < 0 || !S_ISFIFO(st.st_mode)))
		return -1;
	if (ioctl(fd, TIOCGPTN, &number) == 0)
		return -1; /* the master of a pseudo-terminal would give a new one */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, access | FLAGS);
}

void sink_init(struct sink *s, int fd)
{
	struct stat st;

	*s = SINK_NOWHERE;
	s->terminal = isatty(fd);
	s->own_fd = sink_reopen(fd, O_WRONLY);
	s->fd = s->own_fd >= 0 ? s->own_fd : fd;
	/* A terminal may have less room than poll() says; a pipe that polls writable has room for PIPE_BUF. */
	if (s->own_fd >= 0 || (fstat(fd, &st) == 0 && S_ISREG(st.st_mode)))
		s->piece = INT_MAX;
	else
		s->piece = s->terminal ? 1 : PIPE_BUF;
}

/*
 * Is the file behind @fd, by whatever name (/dev/stdout), one of our standard outputs? Then @fd becomes that: it goes on
 * where others have written, and what they wrote stays.
 */
static bool is_standard_output(int fd, const struct stat *st)
{
	for (int own = STDOUT_FILENO; own <= STDERR_FILENO; own++) {
		struct stat its;

		if (fstat(own, &its) == 0 && its.st_dev == st->st_dev && its.st_ino == st->st_ino &&
		    (fcntl(own, F_GETFL) & O_ACCMODE) != O_RDONLY)
			return dup3(own, fd, O_CLOEXEC) == fd;
	}
	return false;
}

int sink_open(struct sink *s, const char *path)
{
	struct stat st;

	*s = SINK_NOWHERE;
	s->fd = open(path, O_WRONLY | O_CREAT | FLAGS, 0644);
	if (s->fd < 0 && errno == ENXIO) { /* a FIFO without a reader, or no file at all */
		s->reader_fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
		if (s->reader_fd >= 0)
			s->fd = open(path, O_WRONLY | FLAGS);
	}
	if (s->fd < 0) {
		const int err = errno;

		sink_close(s);
		return -err;
	}
	s->own_fd = s->fd;
	s->terminal = isatty(s->fd);
	s->plain = !fstat(s->fd, &st) && S_ISREG(st.st_mode) && !is_standard_output(s->fd, &st);
	s->piece = INT_MAX;
	return 0;
}

void sink_begin(struct sink *s)
{
	if (s->plain && ftruncate(s->fd, 0) < 0)
		return; /* it is written over, then */
}

int sink_wait(const struct sink *s, unsigned int ms)
{
	struct pollfd p = { .fd = s->fd, .events = POLLOUT };
	const int n = poll(&p, 1, (int)ms);

	return n > 0 ? 0 : n < 0 ? -errno : -EAGAIN;
}

size_t sink_write(struct sink *s, const void *bytes, size_t len, unsigned int ms)
{
	const uint64_t deadline = ms ? now_ns() + ms * 1000000ull : 0;
	const char *from = bytes;
	size_t left = MIN(len, s->room);

	s->error = left < len ? EFBIG : 0;
	while (left && s->fd >= 0) {
		const uint64_t now = ms ? now_ns() : 0;
		int err = -sink_wait(
			s, now < deadline ? (unsigned int)((deadline - now) / 1000000) + 1 : 0);
		ssize_t n = 0;

		if (!err) {
			n = write(s->fd, from, MIN(left, s->piece));
			err = n > 0 ? 0 : n < 0 ? errno : EIO;
		}
		if (err == EAGAIN && ms && now_ns() < deadline) {
			poll(NULL, 0, 1); /* a terminal that promised more than it had */
			continue;
		}
		if (err) {
			s->error = err;
			break;
		}
		if (s->terminal && !s->controls)
			s->controls = terminal_obeys(from, (size_t)n);
		from += n;
		left -= (size_t)n;
		if (s->room != UINT64_MAX)
			s->room -= (size_t)n;
	}
	return s->fd < 0 ? len : (size_t)(from - (const char *)bytes);
}

const char *sink_strerror(int error)
{
	return error == EAGAIN || error == EINTR ? "its reader does not keep up"
	       : error == EFBIG			 ? "its file has reached its bound"
						 : strerror(error);
}

int sink_replace(struct sink *s, const char *text, size_t len)
{
	if (lseek(s->fd, 0, SEEK_SET) < 0)
		return -errno;
	if (sink_write(s, text, len, 0) < len) {
		const int err = s->error;

		return ftruncate(s->fd, 0) < 0 ? -errno : -err;
	}
	return ftruncate(s->fd, (off_t)len) < 0 ? -errno : 0;
}

uint64_t sink_finish(struct sink *s)
{
	struct pollfd p = { .fd = s->fd };
	int unread = 0;

	if (s->reader_fd < 0 || ioctl(s->reader_fd, FIONREAD, &unread) < 0)
		return 0;
	close(s->reader_fd);
	s->reader_fd = -1;
	if (poll(&p, 1, 0) != 1 || !(p.revents & POLLERR))
		return 0; /* another reader is there */
	s->error = EAGAIN;
	return (uint64_t)unread;
}

void sink_close(struct sink *s)
{
	if (s->own_fd > STDERR_FILENO)
		close(s->own_fd);
	if (s->reader_fd > STDERR_FILENO)
		close(s->reader_fd);
	*s = SINK_NOWHERE;
}
