/* Messages: one line each, whatever is in them. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/base/log.h"
#include "vmm/base/test/messages.h"
#include "vmm/base/test/unit.h"

static void test_lines(void **state)
{
	messages_begin();
	errno = ENOBUFS;
	log_error("cannot open '%s'", "a\nb");
	assert_int_equal(errno, ENOBUFS);
	log_info("nobody wants to know");
	log_set_verbose(true);
	log_info("%d", 5);
	log_set_raw_terminal(true);
	log_warn("raw%s", "");
	log_set_raw_terminal(false);
	log_set_verbose(false);
	log_warn("%s", "");
	log_warn("%s", "\033[31m\r\t\x7f\xc3\xbc");
	log_warn("%s", "\xc2\x9b"
		       "1m\x9b"
		       "1m\xc2\xa0\xe2\x82\xac\xe2\x82\xff");
	log_set_place("in line 1");
	log_warn("a");
	log_set_place(NULL);
	log_warn("b");
	assert_string_equal(messages_end(), "minivmm: cannot open 'a b'\nminivmm: 5\n"
					    "minivmm: raw\r\nminivmm: \n"
					    "minivmm: ?[31m? ?\xc3\xbc\n"
					    "minivmm: ??1m?1m\xc2\xa0\xe2\x82\xac\xe2?\xff\n"
					    "minivmm: a, in line 1\nminivmm: b\n");
}

static bool take(void *arg, const char *text, bool error)
{
	snprintf(arg, 64, "%s%s", error ? "!" : "", text);
	return error;
}

/* A hook has each message before it is written, and may keep it. */
static void test_hook(void **state)
{
	char text[64] = "";

	messages_begin();
	log_set_hook(take, text);
	log_error("a\n%d", 1);
	assert_string_equal(text, "!a 1");
	log_warn("b");
	assert_string_equal(text, "b");
	log_set_hook(NULL, NULL);
	log_warn("c");
	assert_string_equal(text, "b");
	assert_string_equal(messages_end(), "minivmm: a 1\nminivmm: c\n");
}

/* Lines of every length about the longest: cut, and still a line. */
static void test_long_lines(void **state)
{
	static char text[1200];

	for (size_t n = 990; n < sizeof(text); n++)
		for (unsigned int raw = 0; raw < 2; raw++) {
			const char *said;
			size_t len;

			memset(text, 'x', n);
			text[n] = '\0';
			log_set_raw_terminal(raw);
			messages_begin();
			log_error("%s", text);
			said = messages_end();
			len = strlen(said);
			assert_string_equal(said + strcspn(said, "\r\n"), raw ? "\r\n" : "\n");
			assert_true(len <= 1024 && len - raw <= n + 10);
			if (n <= 1000)
				assert_int_equal(len, 9 + n + 1 + raw);
		}
	log_set_raw_terminal(false);
}

/* However long a name is, what is wrong with it is said, and where. */
static void test_long_names(void **state)
{
	static char name[100000];
	const char *said;

	memset(name, 'x', sizeof(name) - 1);
	messages_begin();
	log_set_place("in line 1");
	log_error("cannot open kernel '%s': no such file", name);
	log_set_place(NULL);
	said = messages_end();
	assert_int_equal(strncmp(said, "minivmm: cannot open kernel 'xxx", 31), 0);
	assert_non_null(strstr(said, "xxx ... xxx"));
	assert_non_null(strstr(said, "xxx': no such file, in line 1\n"));
	assert_true(strlen(said) <= 1024);
}

static void *speak(void *arg)
{
	for (unsigned int i = 0; i < 100; i++)
		log_error("%s", (const char *)arg);
	return NULL;
}

static void test_threads(void **state)
{
	pthread_t other;
	const char *said;

	messages_begin();
	assert_int_equal(pthread_create(&other, NULL, speak, "aaaaaaaaaa"), 0);
	speak("bbbbbbbbbb");
	pthread_join(other, NULL);
	said = messages_end();
	assert_int_equal(strlen(said), 200 * 20);
	for (unsigned int i = 0; i < 200; i++, said += 20)
		assert_true(!strncmp(said, "minivmm: aaaaaaaaaa\n", 20) ||
			    !strncmp(said, "minivmm: bbbbbbbbbb\n", 20));
}

static uint64_t times;

static void *refuse(void *due)
{
	for (unsigned int i = 0; i < 50000; i++)
		*(unsigned int *)due += log_due(&times);
	return NULL;
}

/* Two vCPUs bring the same thing about: none is lost, and none said twice. */
static void test_due(void **state)
{
	unsigned int due[2] = { 0 };
	pthread_t other;

	assert_int_equal(pthread_create(&other, NULL, refuse, &due[0]), 0);
	refuse(&due[1]);
	pthread_join(other, NULL);
	assert_int_equal(times, 100000);
	assert_int_equal(due[0] + due[1], 17); /* 1, 2, 4 ... 65536 */
}

/* What helps whom a node does not let in: to be of its group, but not where that is root's, or may not. */
static void test_nodes(void **state)
{
	static const struct {
		mode_t mode;
		bool group;
	} row[] = { { 0600, false }, { 0640, false }, { 0660, true }, { 0620, false } };
	char node[] = "/tmp/minivmm-test-log-XXXXXX";
	const gid_t own = getegid();

	close(mkstemp(node));
	/* Root's files are of its group. */
	if (!own && chown(node, (uid_t)-1, 5) < 0)
		skip();
	for (unsigned int i = 0; i < ARRAY_SIZE(row); i++) {
		assert_int_equal(chmod(node, row[i].mode), 0);
		assert_int_equal(log_node_has_group(node), row[i].group);
	}
	assert_int_equal(chmod(node, 0660), 0);
	if (!own && chown(node, (uid_t)-1, 0) == 0)
		assert_false(log_node_has_group(node));
	unlink(node);
	assert_false(log_node_has_group(node));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),	   cmocka_unit_test(test_hook),
		cmocka_unit_test(test_nodes),	   cmocka_unit_test(test_long_lines),
		cmocka_unit_test(test_threads),	   cmocka_unit_test(test_due),
		cmocka_unit_test(test_long_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
