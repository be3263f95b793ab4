/* Output whose reader is slow, stuck or gone. None of these may block; one that does runs into the suite's limit. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "vmm/base/sink.h"
#include "vmm/base/test/unit.h"

static struct sink sink;
static char dir[] = "/tmp/minivmm-test-sink-XXXXXX", path[64];

static int setup(void **state)
{
	signal(SIGPIPE, SIG_IGN);
	strcpy(dir + strlen(dir) - 6, "XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/file", dir);
	return 0;
}

static int teardown(void **state)
{
	sink_close(&sink);
	unlink(path);
	return rmdir(dir);
}

/* Write until no more is taken; how much that was. */
static size_t fill(void)
{
	static const char bytes[1000];
	size_t all = 0, n;

	/* A terminal makes a little room of its own a moment later. */
	do {
		n = sink_write(&sink, bytes, sizeof(bytes), 100);
		all += n;
	} while (n);
	assert_int_equal(sink.error, EAGAIN);
	assert_int_equal(sink_wait(&sink, 20), -EAGAIN);
	return all;
}

/* Read all that is there. */
static size_t drain(int fd)
{
	char buf[4096];
	size_t all = 0;
	ssize_t n;

	assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	while ((n = read(fd, buf, sizeof(buf))) > 0)
		all += (size_t)n;
	return all;
}

static void check_full_then_read(int read_fd, int write_fd)
{
	const int flags = fcntl(write_fd, F_GETFL);
	size_t taken;

	sink_init(&sink, write_fd);
	taken = fill();
	assert_int_equal(fcntl(write_fd, F_GETFL), flags); /* they are shared with others */
	assert_int_equal(drain(read_fd), taken);
	assert_int_equal(sink_wait(&sink, 0), 0);
	assert_int_equal(sink_write(&sink, "again", 5, 0), 5);
	assert_int_equal(drain(read_fd), 5);
	sink_close(&sink);
	assert_true(fcntl(write_fd, F_GETFD) >= 0);
}

static void test_pipe(void **state)
{
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	check_full_then_read(fds[0], fds[1]);
	/* Its reader goes away. */
	sink_init(&sink, fds[1]);
	close(fds[0]);
	assert_int_equal(sink_write(&sink, "lost", 4, 1000), 0);
	assert_int_equal(sink.error, EPIPE);
	close(fds[1]);
}

static void test_sockets(void **state)
{
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	check_full_then_read(fds[0], fds[1]);
	close(fds[0]);
	close(fds[1]);
}

static void test_terminal(void **state)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY), slave;
	struct termios raw;

	assert_int_equal(grantpt(master) | unlockpt(master), 0);
	slave = open(ptsname(master), O_RDWR | O_NOCTTY);
	assert_int_equal(tcgetattr(slave, &raw), 0);
	cfmakeraw(&raw);
	assert_int_equal(tcsetattr(slave, TCSANOW, &raw), 0);
	check_full_then_read(master, slave);
	check_full_then_read(slave, master); /* which cannot be opened again */
	/* Stopped, as by Ctrl-S. */
	sink_init(&sink, slave);
	assert_int_equal(tcflow(slave, TCOOFF), 0);
	assert_int_equal(sink_write(&sink, "wait", 4, 20), 0);
	assert_int_equal(sink.error, EAGAIN);
	assert_int_equal(tcflow(slave, TCOON), 0);
	assert_int_equal(sink_write(&sink, "wait", 4, 1000), 4);
	close(slave);
	close(master);
}

static void test_controls(void **state)
{
	static const struct {
		const char *text;
		bool controls;
	} samples[] = {
		{ "plain text,\ttabs\r\n and \a\b", false },
		{ "caf\xc3\xa9", false },
		{ "\033[31m", true },
		{ "shift \016 out", true },
		{ "\x9b"
		  "31m",
		  true },
	};
	int master = posix_openpt(O_RDWR | O_NOCTTY), slave;

	assert_int_equal(grantpt(master) | unlockpt(master), 0);
	slave = open(ptsname(master), O_RDWR | O_NOCTTY);
	for (unsigned int i = 0; i < ARRAY_SIZE(samples); i++) {
		const size_t len = strlen(samples[i].text);

		sink_init(&sink, slave);
		assert_int_equal(sink_write(&sink, samples[i].text, len, 1000), len);
		assert_int_equal(sink.controls, samples[i].controls);
		sink_close(&sink);
	}
	assert_int_equal(sink_open(&sink, path), 0);
	assert_int_equal(sink_write(&sink, "\033[31m", 5, 0), 5);
	assert_false(sink.controls); /* a file has no modes */
	close(slave);
	close(master);
}

static void test_fifo_without_a_reader(void **state)
{
	size_t taken;

	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(sink_open(&sink, path), 0);
	assert_int_equal(sink_write(&sink, "hello", 5, 0), 5);
	assert_int_equal(sink_finish(&sink), 5);
	assert_int_equal(sink.error, EAGAIN);
	assert_int_equal(sink_write(&sink, "gone", 4, 0), 0);
	sink_close(&sink);

	/* One that comes late finds what was kept, also after the end. */
	assert_int_equal(sink_open(&sink, path), 0);
	taken = fill();
	const int reader = open(path, O_RDONLY | O_NONBLOCK);
	assert_int_equal(sink_finish(&sink), 0);
	sink_close(&sink);
	assert_int_equal(drain(reader), taken);
	close(reader);
}

static void test_file(void **state)
{
	struct stat st;
	int fd = open(path, O_WRONLY | O_CREAT, 0600);

	assert_int_equal(write(fd, "old contents", 12), 12);
	close(fd);
	assert_int_equal(sink_open(&sink, path), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, 12);
	sink_begin(&sink);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, 0);
	sink.room = 10;
	assert_int_equal(sink_write(&sink, "0123456", 7, 0), 7);
	assert_int_equal(sink_write(&sink, "7890123", 7, 1000), 3);
	assert_int_equal(sink.error, EFBIG);
	assert_int_equal(sink_write(&sink, "7890123", 7, 1000), 0);
	assert_int_equal(sink.error, EFBIG);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, 10);
	unlink(path); /* under us: goes on */
	sink.room = 10;
	assert_int_equal(sink_write(&sink, "x", 1, 0), 1);
}

static void test_inherited_file_is_not_emptied(void **state)
{
	struct stat st;
	int fd = open(path, O_WRONLY | O_CREAT, 0600);

	assert_int_equal(write(fd, "old contents", 12), 12);
	sink_init(&sink, fd);
	sink_begin(&sink);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, 12);
	close(fd);
}

static void test_what_takes_nothing(void **state)
{
	int fd = open("/dev/full", O_WRONLY);

	sink_init(&sink, fd);
	assert_int_equal(sink_write(&sink, "x", 1, 1000), 0);
	assert_int_equal(sink.error, ENOSPC);
	sink_close(&sink);
	close(fd);
	sink_init(&sink, fd); /* closed */
	assert_int_equal(sink_write(&sink, "x", 1, 1000), 0);
	assert_int_equal(sink.error, EBADF);
	sink = SINK_NOWHERE;
	assert_int_equal(sink_write(&sink, "x", 1, 0), 1);
	assert_int_equal(sink_finish(&sink), 0);
}

static void test_no_outputs(void **state)
{
	struct sockaddr_storage un = { .ss_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	assert_int_equal(sink_open(&sink, dir), -EISDIR);
	assert_int_equal(sink_open(&sink, "/nonexistent/file"), -ENOENT);
	/* A socket of that name. */
	strcpy((char *)&un + offsetof(struct sockaddr, sa_data), path);
	assert_int_equal(bind(fd, (struct sockaddr *)&un,
			      (socklen_t)(sizeof(sa_family_t) + strlen(path) + 1)),
			 0);
	assert_int_equal(sink_open(&sink, path), -ENXIO);
	assert_int_equal(sink.fd, -1);
	close(fd);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_pipe),
		TEST(test_sockets),
		TEST(test_terminal),
		TEST(test_controls),
		TEST(test_fifo_without_a_reader),
		TEST(test_file),
		TEST(test_inherited_file_is_not_emptied),
		TEST(test_what_takes_nothing),
		TEST(test_no_outputs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
