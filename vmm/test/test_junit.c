/* A job's report, read back by a small checker of XML. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/base/log.h"
#include "vmm/base/test/messages.h"
#include "vmm/base/test/unit.h"
#include "vmm/junit.h"
#include "vmm/status.h"

static char dir[64], path[96];
static char text[256 * 1024];
static struct junit *junit;
static char *const command[] = { (char *)"make", (char *)"check", NULL };

static int setup(void **state)
{
	strcpy(dir, "/tmp/test_junit.XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/job.xml", dir);
	junit = junit_create();
	assert_non_null(junit);
	return 0;
}

static int teardown(void **state)
{
	char line[128];

	junit_destroy(junit);
	snprintf(line, sizeof(line), "rm -r %s", dir);
	return system(line);
}

static void begin(char *const *words)
{
	struct files files = { .nr = 0 };

	assert_int_equal(junit_open(junit, path, words, &files), 0);
}

static const char *read_back(void)
{
	const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	size_t len = 0;
	ssize_t n;

	assert_true(fd >= 0);
	while ((n = read(fd, text + len, sizeof(text) - 1 - len)) > 0)
		len += (size_t)n;
	close(fd);
	text[len] = '\0';
	assert_int_equal(strlen(text), len); /* no NUL in it */
	return text;
}

/* Elements closed in their order, references that are some, no byte that XML has not. Not all of XML: all of ours. */
static void assert_well_formed(const char *s)
{
	char open_elements[16][32];
	unsigned int depth = 0;

	assert_non_null(strstr(s, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"));
	assert_int_equal(strstr(s, "<?xml") - s, 0);
	for (s = strchr(s, '\n') + 1; *s; s++) {
		char name[32];

		assert_true((unsigned char)*s >= ' ' || *s == '\n');
		if (*s == '&') {
			assert_true(s[1] == '#' && isdigit((unsigned char)s[2]));
			s += 2 + strspn(s + 2, "0123456789");
			assert_int_equal(*s, ';');
		}
		assert_int_not_equal(*s, '>'); /* that of a tag is passed over below */
		if (*s != '<')
			continue;
		assert_int_equal(sscanf(s + 1, "%31[a-z/-]", name), 1);
		if (*name == '/')
			assert_string_equal(open_elements[--depth], name + 1);
		else
			strcpy(open_elements[depth++], name);
		for (s++; *s != '>'; s++) { /* attributes */
			assert_int_not_equal(*s, 0);
			if (*s == '"')
				while (*++s != '"')
					assert_true((unsigned char)*s >= ' ' && *s != '<');
		}
		if (s[-1] == '/')
			depth--;
		assert_true(depth < 16);
	}
	assert_int_equal(depth, 0);
}

static void assert_has(const char *what)
{
	if (!strstr(text, what))
		fail_msg("no '%s' in %s", what, text);
}

static void each_end_is_told_as_what_it_is(void **state)
{
	static const struct {
		int status;
		const char *error; /* said by minivmm */
		const char *has;
	} end[] = {
		{ 0, NULL, "failures=\"0\" errors=\"0\"" },
		{ 2, NULL, "<failure type=\"2\" message=\"exit status 2\"/>" },
		{ 255, NULL, "<failure type=\"255\"" },
		{ 127, NULL, "failures=\"1\" errors=\"0\"" },
		{ 137, NULL, "message=\"exit status 137 (signal 9)\"" },
		{ 134, NULL, "<failure type=\"134\" message=\"exit status 134 (signal 6)\"/>" },
		{ 134, "the guest ended (crash)",
		  "<error type=\"134\" message=\"the guest ended (crash)\"/>" },
		{ 124, "timed out", "<error type=\"124\" message=\"timed out\"/>" },
		{ 125, "cannot open 'a&b'",
		  "<error type=\"125\" message=\"cannot open 'a&#38;b'\"/>" },
		{ 125, NULL, "failures=\"0\" errors=\"1\"" },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(end); i++) {
		teardown(state);
		setup(state);
		begin(command);
		messages_begin();
		if (end[i].error)
			log_error("%s", end[i].error);
		log_error("guest: last words"); /* no reason */
		log_warn("a warning");
		junit_finish(junit, end[i].status, 0);
		assert_non_null(strstr(messages_end(), "a warning")); /* said, too */
		assert_well_formed(read_back());
		assert_has(end[i].has);
		assert_has("name=\"make check\"");
		assert_has("guest: last words\na warning\n</system-err>");
		if (end[i].status == 0)
			assert_null(strstr(text, "<failure"));
	}
}

static void nothing_that_xml_cannot_have(void **state)
{
	static const struct {
		const char *in, *out;
	} bytes[] = {
		{ "a]]>b", "a]]&#62;b" },
		{ "<system-out>&amp;", "&#60;system-out&#62;&#38;amp;" },
		{ "\033[31m\001\a", "\ufffd[31m\ufffd\ufffd" },
		{ "tab\tand\r\n", "tab&#9;and&#13;\n" },
		{ "\u00e4 \u20ac \U0001f600", "\u00e4 \u20ac \U0001f600" },
		{ "\xff\xfe|\x80|\xc3|", "\ufffd\ufffd|\ufffd|\ufffd|" },
		{ "\xc0\xaf|\xe0\x80\xaf|", "\ufffd\ufffd|\ufffd\ufffd\ufffd|" }, /* too long */
		{ "\xed\xa0\x80|", "\ufffd\ufffd\ufffd|" },			  /* a surrogate */
		{ "\xef\xbf\xbe|\xef\xbf\xbf|",
		  "\ufffd\ufffd\ufffd|\ufffd\ufffd\ufffd|" },	      /* no characters */
		{ "\xf4\x90\x80\x80|", "\ufffd\ufffd\ufffd\ufffd|" }, /* above all */
		{ "\xe2\x82", "\ufffd\ufffd" },			      /* cut */
	};
	char want[200];

	for (unsigned int i = 0; i < ARRAY_SIZE(bytes); i++) {
		char *const words[] = { (char *)bytes[i].in, NULL };

		teardown(state);
		setup(state);
		begin(words);
		junit_output(junit, "x", 1);
		junit_output(junit, bytes[i].in, strlen(bytes[i].in));
		junit_output(junit, "\0", 1);
		junit_finish(junit, 1, 0);
		assert_well_formed(read_back());
		snprintf(want, sizeof(want), "<system-out>x%s\ufffd</system-out>", bytes[i].out);
		assert_has(want);
	}
}

/* A line break in an attribute would be a blank when it is read. */
static void a_command_of_many_lines(void **state)
{
	char *const words[] = { (char *)"sh", (char *)"-c", (char *)"a\nb \"c\"", NULL };

	begin(words);
	junit_finish(junit, 0, 0);
	assert_well_formed(read_back());
	assert_has("name=\"sh -c a&#10;b &#34;c&#34;\"");
}

static void much_is_cut(void **state)
{
	const size_t huge = 1 << 20;
	char *word = malloc(huge + 1), line[32];
	char *const words[] = { word, word, NULL };

	memset(word, 'w', huge);
	word[huge] = '\0';
	begin(words);
	for (int i = 0; i < 100000; i++)
		junit_output(junit, line, (size_t)sprintf(line, "line %d\n", i));
	junit_finish(junit, 0, 0);
	assert_well_formed(read_back());
	assert_has("www ...\"");
	assert_has("\nline 99999\n</system-out>");
	assert_non_null(strstr(text, "<system-out>line ")); /* none without its beginning */
	assert_true(strlen(text) < 20000);
	junit_output(junit, word, huge); /* and no line at all */
	junit_finish(junit, 0, 0);
	assert_well_formed(read_back());
	assert_has("www</system-out>");
	free(word);
}

/* Killed, or ended by a fault: the file has been right from the start. What was in it is gone. */
static void without_an_end_it_says_so(void **state)
{
	FILE *f = fopen(path, "we");

	for (int i = 0; i < 1000; i++)
		fputs("what was there before\n", f);
	fclose(f);
	begin(command);
	assert_well_formed(read_back());
	assert_has("<error type=\"125\" message=\"minivmm did not come to its end\"/>");
	junit_finish(junit, 0, 0);
	assert_well_formed(read_back());
	assert_null(strstr(text, "<error"));
}

static void a_fifo_without_a_reader_holds_nobody_up(void **state)
{
	assert_int_equal(mkfifo(path, 0600), 0);
	begin(command);
	messages_begin();
	junit_finish(junit, 0, 10);
	assert_non_null(strstr(messages_end(), "was not read"));
}

static void a_fifo_gets_one_report(void **state)
{
	int fd;

	assert_int_equal(mkfifo(path, 0600), 0);
	fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
	begin(command);
	messages_begin();
	junit_finish(junit, 7, 10);
	assert_string_equal(messages_end(), "");
	assert_well_formed(read_back());
	assert_has("value=\"7\"");
	close(fd);
}

static void a_full_fifo_holds_nobody_up(void **state)
{
	char page[4096] = { 0 };
	int fd;

	assert_int_equal(mkfifo(path, 0600), 0);
	fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
	while (write(fd, page, sizeof(page)) > 0)
		;
	begin(command);
	messages_begin();
	junit_finish(junit, 0, 10);
	assert_non_null(strstr(messages_end(), "cannot write JUnit report"));
	close(fd);
}

static void a_full_device_is_told(void **state)
{
	strcpy(path, "/dev/full");
	messages_begin();
	begin(command);
	junit_finish(junit, 0, 10);
	assert_string_equal(
		messages_end(),
		"minivmm: cannot write JUnit report '/dev/full': No space left on device\n");
}

static void not_over_other_files(void **state)
{
	struct files files = { .nr = 0 };
	FILE *f = fopen(path, "we");

	fputs("a kernel", f);
	fclose(f);
	assert_int_equal(files_add(&files, "kernel", path, false), 0);
	messages_begin();
	assert_int_equal(junit_open(junit, path, command, &files), -EINVAL);
	assert_non_null(strstr(messages_end(), "as JUnit report: it is also the kernel"));
	assert_string_equal(read_back(), "a kernel");
	assert_int_not_equal(junit_open(junit, "/nonexistent/x", command, &files), 0);
	assert_int_not_equal(junit_open(junit, dir, command, &files), 0);
	junit_finish(junit, 0, 0);
	assert_string_equal(read_back(), "a kernel");
}

/* How long output waits for a reader depends on the end, not on a status that a job may have, too. */
static void only_some_ends_are_urgent(void **state)
{
	assert_true(status_patience(OUTCOME_SIGNAL) < status_patience("job"));
	assert_true(status_patience(OUTCOME_TIMEOUT) < status_patience("job"));
	assert_int_equal(status_patience(NULL), status_patience("crash"));
}

#define test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(each_end_is_told_as_what_it_is),
		test(nothing_that_xml_cannot_have),
		test(a_command_of_many_lines),
		test(much_is_cut),
		test(without_an_end_it_says_so),
		test(a_fifo_without_a_reader_holds_nobody_up),
		test(a_fifo_gets_one_report),
		test(a_full_fifo_holds_nobody_up),
		test(a_full_device_is_told),
		test(not_over_other_files),
		cmocka_unit_test(only_some_ends_are_urgent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
