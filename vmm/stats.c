/* Accounts as JSON. */
#include "vmm/stats.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm/base/log.h"
#include "vmm/base/sink.h"
#include "vmm/fault.h"

struct stats {
	const char *path;
	struct output out; /* a plain file: each write replaces the last */
	char *rest;	   /* of what was not taken at once */
	size_t rest_len;
	bool begun; /* there is one already */
	uint64_t skipped;
	struct counters *counters;
	struct counter_group group;
	uint64_t start_ns;
	uint64_t phase_ns[PHASE_NR];
};

static const char *const phase_names[PHASE_NR] = {
	[PHASE_MEMORY] = "memory", [PHASE_KVM] = "kvm",	    [PHASE_DEVICES] = "devices",
	[PHASE_LOAD] = "load",	   [PHASE_VCPUS] = "vcpus",
};

static const struct counter_desc counter_desc[] = { COUNTER(struct stats, skipped), COUNTER_END };

/* Too little is safe in a signal handler for more than how it ended. */
static void on_fault(void *stats, int status)
{
	static const char digits[] = "0123456789";
	char text[] = "{\"outcome\":\"fault\", \"status\":000}\n";
	char *number = strchr(text, '0');
	struct stats *s = stats;

	if (s->begun || status == FAULT_NO_FILES)
		return;
	for (int i = 2; i >= 0; i--, status /= 10)
		number[i] = digits[status % 10];
	sink_write(&s->out.sink, text, strlen(text), 0);
}

int stats_create(struct stats **out, struct counters *counters, const char *path, uint64_t start_ns)
{
	struct stats *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->path = path;
	s->start_ns = start_ns;
	s->out = (struct output){ .what = "stats file", .sink = SINK_NOWHERE };
	s->counters = counters;
	counters_add(counters, &s->group, counter_desc, s, "stats");
	if (!strcmp(path, "-")) {
		sink_init(&s->out.sink, STDERR_FILENO);
	} else {
		s->out.path = path;
		fault_hook_add(on_fault, s);
	}
	*out = s;
	return 0;
}

struct output *stats_output(struct stats *s)
{
	return &s->out;
}

void stats_destroy(struct stats *s)
{
	if (!s)
		return;
	fault_hook_remove(s);
	counters_remove(&s->group);
	sink_close(&s->out.sink);
	free(s->rest);
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

/* Write what is left of the last; true if nothing is. */
static bool write_rest(struct stats *s, unsigned int ms)
{
	const size_t n = sink_write(&s->out.sink, s->rest, s->rest_len, ms);

	s->rest_len -= n;
	if (s->rest_len)
		memmove(s->rest, s->rest + n, s->rest_len);
	return !s->rest_len;
}

static int append(struct stats *s, const char *text, size_t len, unsigned int ms)
{
	size_t n;

	if (!write_rest(s, ms)) {
		s->skipped++;
		return 0;
	}
	n = sink_write(&s->out.sink, text, len, ms);
	if (n == len)
		return 0;
	if (s->out.sink.error != EAGAIN && s->out.sink.error != EINTR)
		return -s->out.sink.error;
	free(s->rest);
	s->rest = strdup(text + n);
	s->rest_len = s->rest ? len - n : 0;
	return 0;
}

void stats_write(struct stats *s, const char *outcome, int status, unsigned int ms)
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
	s->begun = true;
	fprintf(f, "{\"uptime_us\":%llu, \"outcome\":\"%s\", \"status\":%d,\n \"boot_us\":{",
		(unsigned long long)((now_ns() - s->start_ns) / 1000), outcome, status);
	for (int i = 0; i < PHASE_NR; i++) {
		fprintf(f, "%s\"%s\":", i ? ", " : "", phase_names[i]);
		print_time(f, s, s->phase_ns[i]);
	}
	fprintf(f, "}");
	for (struct counter_group *g = s->counters->first; g; g = g->next) {
		if (g->refresh)
			g->refresh(g);
		print_group(f, s, g);
	}
	fprintf(f, "}\n");
	if (fclose(f) == 0) {
		ret = s->out.sink.plain ? sink_replace(&s->out.sink, text, len)
					: append(s, text, len, ms);
		if (ret)
			log_warn("cannot write stats to '%s': %s", s->path, sink_strerror(-ret));
	}
	free(text);
}

void stats_finish(struct stats *s)
{
	uint64_t lost;

	if (!s)
		return;
	lost = s->rest_len + sink_finish(&s->out.sink);
	if (lost || s->skipped)
		log_warn(
			"stats for '%s' were not read: %llu bytes are lost, %llu times they were left out",
			s->path, (unsigned long long)lost, (unsigned long long)s->skipped);
}
