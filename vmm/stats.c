/* Accounts as JSON. */
#include "vmm/stats.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/base/counters.h"
#include "vmm/base/log.h"

struct stats {
	const char *path;
	int fd;
	bool rewind; /* a plain file: each write replaces the last */
	uint64_t start_ns;
	uint64_t phase_ns[PHASE_NR];
};

static const char *const phase_names[PHASE_NR] = {
	[PHASE_MEMORY] = "memory", [PHASE_KVM] = "kvm",	    [PHASE_DEVICES] = "devices",
	[PHASE_LOAD] = "load",	   [PHASE_VCPUS] = "vcpus",
};

int stats_create(struct stats **out, const char *path, uint64_t start_ns)
{
	struct stats *s = calloc(1, sizeof(*s));
	struct stat st;

	if (!s)
		return -ENOMEM;
	s->path = path;
	s->start_ns = start_ns;
	s->fd = STDERR_FILENO;
	if (strcmp(path, "-")) {
		s->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
		if (s->fd < 0) {
			int err = errno;

			log_error("cannot open stats file '%s': %s", path, strerror(err));
			free(s);
			return -err;
		}
		s->rewind = !fstat(s->fd, &st) && S_ISREG(st.st_mode);
	}
	*out = s;
	return 0;
}

void stats_destroy(struct stats *s)
{
	if (!s)
		return;
	if (s->fd != STDERR_FILENO)
		close(s->fd);
	free(s);
}

void stats_phase(struct stats *s, enum stats_phase phase)
{
	if (s)
		s->phase_ns[phase] = now_ns();
}

static void print_time(FILE *f, const struct stats *s, uint64_t ns)
{
	if (ns)
		fprintf(f, "%llu", (unsigned long long)((ns - s->start_ns) / 1000));
	else
		fprintf(f, "null");
}

static void print_group(FILE *f, const struct stats *s, const struct counter_group *group)
{
	const char *separator = "";

	fprintf(f, ",\n \"%s\":{", group->name);
	for (const struct counter_desc *d = group->desc; d->name; d++) {
		const uint64_t v =
			*(const volatile uint64_t *)((const char *)group->base + d->offset);

		fprintf(f, "%s\"%s\":", separator, d->name);
		if (d->is_time)
			print_time(f, s, v);
		else
			fprintf(f, "%llu", (unsigned long long)v);
		separator = ", ";
	}
	fprintf(f, "}");
}

static int write_out(struct stats *s, const char *text, size_t len)
{
	if (s->rewind && (lseek(s->fd, 0, SEEK_SET) < 0 || ftruncate(s->fd, 0) < 0))
		return -errno;
	while (len) {
		const ssize_t n = write(s->fd, text, len);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0) {
			text += n;
			len -= (size_t)n;
		}
	}
	return 0;
}

void stats_write(struct stats *s, const char *outcome, int status)
{
	char *text = NULL;
	size_t len = 0;
	FILE *f;
	int ret;

	if (!s)
		return;
	f = open_memstream(&text, &len);
	if (!f)
		return;
	fprintf(f, "{\"uptime_us\":%llu, \"outcome\":\"%s\", \"status\":%d,\n \"boot_us\":{",
		(unsigned long long)((now_ns() - s->start_ns) / 1000), outcome, status);
	for (int i = 0; i < PHASE_NR; i++) {
		fprintf(f, "%s\"%s\":", i ? ", " : "", phase_names[i]);
		print_time(f, s, s->phase_ns[i]);
	}
	fprintf(f, "}");
	for (struct counter_group *g = counters_first(); g; g = g->next) {
		if (g->refresh)
			g->refresh(g);
		print_group(f, s, g);
	}
	fprintf(f, "}\n");
	if (fclose(f) == 0) {
		ret = write_out(s, text, len);
		if (ret)
			log_warn("cannot write stats to '%s': %s", s->path, strerror(-ret));
	}
	free(text);
}
