/* Files of the user that clash. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/base/test/messages.h"
#include "vmm/base/test/parent.h"
#include "vmm/base/test/unit.h"
#include "vmm/files.h"

static char dir[] = "/tmp/minivmm-test-files-XXXXXX";
static char a[64], b[64], hard[64], soft[64], fd_name[32];
static int a_fd;

static int setup(void **state)
{
	if (!mkdtemp(dir))
		return -1;
	snprintf(a, sizeof(a), "%s/a", dir);
	snprintf(b, sizeof(b), "%s/b", dir);
	snprintf(hard, sizeof(hard), "%s/hard", dir);
	snprintf(soft, sizeof(soft), "%s/soft", dir);
	a_fd = open(a, O_RDWR | O_CREAT, 0600);
	snprintf(fd_name, sizeof(fd_name), "/dev/fd/%d", a_fd);
	close(open(b, O_RDWR | O_CREAT, 0600));
	return link(a, hard) | symlink(a, soft);
}

static int teardown(void **state)
{
	return close(a_fd) | unlink(a) | unlink(b) | unlink(hard) | unlink(soft) | rmdir(dir);
}

static void test_names(void **state)
{
	const char *const names[] = { a, hard, soft, fd_name };
	char want[256];

	need_proc();
	for (unsigned int i = 0; i < ARRAY_SIZE(names); i++) {
		struct files files = { .nr = 0 };

		assert_int_equal(files_add(&files, "kernel", a, false), 0);
		assert_int_equal(files_add(&files, "initrd", names[i], false), 0); /* both read */
		assert_int_equal(files_add(&files, "disk", b, true), 0);
		messages_begin();
		assert_int_equal(files_add(&files, "disk", names[i], true), -EINVAL);
		snprintf(want, sizeof(want),
			 "minivmm: cannot use '%s' as disk: it is also the kernel '%s'\n", names[i],
			 a);
		assert_string_equal(messages_end(), want);
	}
}

static void test_written_first(void **state)
{
	struct files files = { .nr = 0 };

	assert_int_equal(files_add(&files, "disk", a, true), 0);
	assert_int_equal(files_add(&files, "kernel", hard, false), -EINVAL);
	assert_int_equal(files_add(&files, "disk", soft, true), -EINVAL);
	assert_int_equal(files_add_fd(&files, "disk", a_fd, false), -EINVAL);
	assert_int_equal(files_add_output(&files, "stats file", a, a_fd), -EINVAL);
	assert_int_equal(files_add(&files, "kernel", b, false), 0);
	assert_int_equal(files_add(&files, "kernel", "/nonexistent", false),
			 0); /* not ours to say */
	assert_int_equal(files_add(&files, "initrd", NULL, false), 0);
}

static void test_inherited(void **state)
{
	struct files files = { .nr = 0 };

	/* As of `minivmm >log 2>&1`; no other may write there. */
	assert_int_equal(files_add_inherited(&files, "standard output", a_fd, true), 0);
	assert_int_equal(files_add_inherited(&files, "standard error", a_fd, true), 0);
	messages_begin();
	assert_int_equal(files_add_output(&files, "stats file", hard, a_fd), -EINVAL);
	assert_non_null(strstr(messages_end(), "it is also the standard output\n"));
}

static void test_what_is_shared(void **state)
{
	struct files files = { .nr = 0 };
	int null = open("/dev/null", O_WRONLY), pipes[2];

	assert_int_equal(pipe(pipes), 0);
	for (unsigned int i = 0; i < 2; i++) {
		assert_int_equal(files_add_output(&files, "console file", "/dev/null", null), 0);
		assert_int_equal(files_add_output(&files, "console file", "pipe", pipes[1]), 0);
		assert_int_equal(files_add_output(&files, "console file", "none", -1), 0);
	}
	close(null);
	close(pipes[0]);
	close(pipes[1]);
}

/* What is said of @path below the shares of @files; @name as it is given. */
static void check_shared(const struct files *files, const char *path, const char *below)
{
	char want[512] = "";

	if (below)
		snprintf(
			want, sizeof(want),
			"minivmm: the guest can change the disk '%s' as a file, too: it lies below '%s', which is shared (keep it elsewhere, or share read-only)\n",
			path, below);
	messages_begin();
	files_warn_if_shared(files, "disk", path, path);
	assert_string_equal(messages_end(), want);
}

static void test_shares(void **state)
{
	struct files files = { .nr = 0 };
	char sub[64], file[80], link_name[64], other[64];
	const char *shared;

	need_proc();
	snprintf(sub, sizeof(sub), "%s/sub", dir);
	snprintf(file, sizeof(file), "%s/sub/file", dir);
	snprintf(link_name, sizeof(link_name), "%s/link", dir);
	snprintf(other, sizeof(other), "%s/sub2", dir);
	assert_int_equal(mkdir(sub, 0700) | mkdir(other, 0700) | symlink(sub, link_name), 0);
	close(open(file, O_RDWR | O_CREAT, 0600));

	files_add_directory(&files, dir, false); /* the guest only reads */
	check_shared(&files, file, NULL);
	files_add_directory(&files, other, true); /* a name that only begins alike */
	check_shared(&files, file, NULL);
	files_add_directory(&files, "/nonexistent", true);
	check_shared(&files, "/nonexistent/file", NULL);

	shared = link_name; /* by a link to it */
	files_add_directory(&files, shared, true);
	check_shared(&files, file, shared);
	check_shared(&files, a, NULL); /* beside it */
	snprintf(other, sizeof(other), "%s/link/../sub/./file", dir);
	check_shared(&files, other, shared);
	assert_int_equal(unlink(link_name) | symlink(file, link_name), 0);
	check_shared(&files, link_name, shared); /* a link from elsewhere to a file in it */
	const int fd = open(file, O_RDONLY | O_CLOEXEC);
	snprintf(other, sizeof(other), "/proc/self/fd/%d", fd);
	check_shared(&files, other, shared);
	messages_begin();
	assert_int_equal(files_add_output(&files, "log", file, fd), 0);
	assert_non_null(strstr(messages_end(), "the guest can change the log '"));
	close(fd);

	files = (struct files){ .nr = 0 };
	files_add_directory(&files, "/", true);
	check_shared(&files, file, "/");
	snprintf(other, sizeof(other), "%s/sub2", dir);
	assert_int_equal(unlink(file) | unlink(link_name) | rmdir(sub) | rmdir(other), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),	  cmocka_unit_test(test_written_first),
		cmocka_unit_test(test_inherited), cmocka_unit_test(test_what_is_shared),
		cmocka_unit_test(test_shares),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
