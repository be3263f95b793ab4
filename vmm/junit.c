/* A job's result as a JUnit report. */
#include "vmm/junit.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "vmm/base/log.h"
#include "vmm/base/recent.h"
#include "vmm/base/sink.h"
#include "vmm/base/utf8.h"
#include "vmm/status.h"

#define NAME_MAX_BYTES 1000u /* of the command, as the test case's name */

struct junit {
	const char *path;
	struct sink out;
	uint64_t start_ns;
	char timestamp[24]; /* of the start: later no time zone can be read */
	char name[NAME_MAX_BYTES + 8];
	pthread_mutex_t lock; /* the rest */
	struct recent output, messages;
	char reason[512]; /* the last error */
};

/* ---- XML: https://www.w3.org/TR/xml/#charsets ---- */

/* The length of the character at @s, one that XML can have; 0: it is none. */
static size_t character(const uint8_t *s, size_t len)
{
	uint32_t c;
	const size_t n = utf8_decode(s, len, &c);

	if (!n || (c & 0xfffe) == 0xfffe)
		return 0;
	return c >= ' ' || c == '\n' || c == '\r' || c == '\t' ? n : 0;
}

/* @text, for an element, or between double quotes, where a line break would be read as a blank. What XML cannot have
 * becomes U+FFFD. */
static void put_text(FILE *f, const char *text, size_t len, bool quoted)
{
	size_t n;

	for (; len; text += n, len -= n) {
		n = character((const uint8_t *)text, len);
		if (!n) {
			fputs("\xef\xbf\xbd", f);
			n = 1;
		} else if (n > 1) {
			fwrite(text, n, 1, f);
		} else if (strchr(quoted ? "<>&\"\r\t\n" : "<>&\"\r\t", *text)) {
			fprintf(f, "&#%u;", *text);
		} else {
			putc(*text, f);
		}
	}
}

/* Without what the ring has cut: the rest of a line, if there is another. */
static void put_recent(FILE *f, const char *element, const struct recent *r)
{
	char text[RECENT_MAX];
	const size_t len = recent_copy(r, text);
	const char *line = len == RECENT_MAX ? memchr(text, '\n', len) : NULL;
	const size_t skip = line ? (size_t)(line + 1 - text) : 0;

	fprintf(f, "   <%s>", element);
	put_text(f, text + skip, len - skip, false);
	fprintf(f, "</%s>\n", element);
}

/* ---- the report ---- */

/* Whether it is minivmm that tells of a failure, and not the command. */
static bool is_error(const struct junit *j, int status)
{
	return status == STATUS_CANNOT || status == STATUS_TIMEOUT ||
	       (status == STATUS_NO_WORD && *j->reason);
}

static void put_result(FILE *f, const struct junit *j, int status)
{
	char plain[64];
	const char *what = is_error(j, status) ? "error" : "failure", *message = plain;

	if (status > STATUS_SIGNAL)
		snprintf(plain, sizeof(plain), "exit status %d (signal %d)", status,
			 status - STATUS_SIGNAL);
	else
		snprintf(plain, sizeof(plain), "exit status %d", status);
	if (is_error(j, status) && *j->reason)
		message = j->reason;
	fprintf(f, "   <%s type=\"%d\" message=\"", what, status);
	put_text(f, message, strlen(message), true);
	fputs("\"/>\n", f);
}

/* The whole document; @texts: with output and messages. */
static void put_report(FILE *f, const struct junit *j, int status, bool texts)
{
	const double seconds = (double)(now_ns() - j->start_ns) / 1e9;
	const bool error = is_error(j, status);

	fprintf(f,
		"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n"
		" <testsuite name=\"minivmm\" tests=\"1\" failures=\"%d\" errors=\"%d\" skipped=\"0\" time=\"%.3f\" timestamp=\"%s\">\n"
		"  <properties><property name=\"status\" value=\"%d\"/></properties>\n"
		"  <testcase classname=\"minivmm.run\" name=\"",
		status && !error, error, seconds, j->timestamp, status);
	put_text(f, j->name, strlen(j->name), true);
	fprintf(f, "\" time=\"%.3f\">\n", seconds);
	if (status)
		put_result(f, j, status);
	if (texts) {
		put_recent(f, "system-out", &j->output);
		put_recent(f, "system-err", &j->messages);
	}
	fputs("  </testcase>\n </testsuite>\n</testsuites>\n", f);
}

static int write_report(struct junit *j, int status, bool texts, unsigned int ms)
{
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);
	int ret = 0;

	if (!f)
		return -ENOMEM;
	pthread_mutex_lock(&j->lock);
	put_report(f, j, status, texts);
	pthread_mutex_unlock(&j->lock);
	if (fclose(f))
		ret = -ENOMEM;
	else if (j->out.plain)
		ret = sink_replace(&j->out, text, len);
	else if (sink_write(&j->out, text, len, ms) < len)
		ret = -j->out.error;
	free(text);
	return ret;
}

/* ---- what it is told ---- */

/* The kernel's last words are no reason of ours. */
static bool note(void *arg, const char *text, bool error)
{
	struct junit *j = arg;

	hold(&j->lock);
	recent_add(&j->messages, text, strlen(text));
	recent_add(&j->messages, "\n", 1);
	if (error && strncmp(text, "guest: ", 7))
		snprintf(j->reason, sizeof(j->reason), "%s", text);
	return true;
}

void junit_output(struct junit *j, const void *bytes, size_t len)
{
	if (!j)
		return;
	hold(&j->lock);
	recent_add(&j->output, bytes, len);
}

/* The words of @command, cut where they are very long. */
static void set_name(struct junit *j, char *const *command)
{
	size_t n = 0;

	for (; *command && n < NAME_MAX_BYTES; command++)
		n += (size_t)snprintf(j->name + n, NAME_MAX_BYTES - n, "%s%s", n ? " " : "",
				      *command);
	if (n >= NAME_MAX_BYTES)
		strcpy(j->name + NAME_MAX_BYTES - 1, " ...");
}

struct junit *junit_create(void)
{
	struct junit *j = calloc(1, sizeof(*j));

	if (!j)
		return NULL;
	j->start_ns = now_ns();
	j->out = SINK_NOWHERE;
	pthread_mutex_init(&j->lock, NULL);
	log_set_hook(note, j);
	return j;
}

void junit_destroy(struct junit *j)
{
	if (!j)
		return;
	log_set_hook(NULL, NULL);
	sink_close(&j->out);
	pthread_mutex_destroy(&j->lock);
	free(j);
}

/* What it says for as long as there is nothing better, with room for what comes at the least. */
static void write_first(struct junit *j)
{
	char reason[sizeof(j->reason)];
	int ret;

	memcpy(reason, j->reason, sizeof(reason));
	snprintf(j->reason, sizeof(j->reason), "minivmm did not come to its end");
	ret = write_report(j, STATUS_CANNOT, false, 0);
	memcpy(j->reason, reason, sizeof(reason));
	if (ret)
		log_warn("cannot write JUnit report '%s': %s", j->path, sink_strerror(-ret));
}

int junit_add_file(const struct junit *j, struct files *files)
{
	return j ? files_add_output(files, "JUnit report", j->path, j->out.fd) : 0;
}

int junit_open(struct junit *j, const char *path, char *const *command, struct files *files)
{
	const time_t now = time(NULL);
	struct tm tm;
	int ret = sink_open(&j->out, path);

	j->path = path;
	if (ret)
		log_error("cannot open JUnit report '%s': %s", path, strerror(-ret));
	else
		ret = junit_add_file(j, files);
	if (ret) {
		j->path = NULL;
		return ret;
	}
	strftime(j->timestamp, sizeof(j->timestamp), "%Y-%m-%dT%H:%M:%S", gmtime_r(&now, &tm));
	set_name(j, command);
	if (j->out.plain)
		write_first(j);
	return 0;
}

void junit_finish(struct junit *j, int status, unsigned int ms)
{
	uint64_t unread;
	int ret;

	if (!j || !j->path)
		return;
	log_set_hook(NULL, NULL);
	ret = write_report(j, status, true, ms);
	if (ret && j->out.plain) /* a full disk may have room for as much as it has */
		ret = write_report(j, status, false, ms);
	unread = sink_finish(&j->out);
	if (ret)
		log_warn("cannot write JUnit report '%s': %s", j->path, sink_strerror(-ret));
	else if (unread)
		log_warn("JUnit report '%s' was not read", j->path);
}
