/* The kernel's own TCP counters of this network namespace, and what they grew by in a run. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "netstat.h"

const char *const netstat_names[NETSTAT_COUNT] = { "RetransSegs", "ListenOverflows",
						   "ListenDrops" };

static void take(struct netstat *now, const char *name, const char *value)
{
	for (int i = 0; i < NETSTAT_COUNT; i++)
		if (!strcmp(name, netstat_names[i]))
			now->value[i] = strtoll(value, NULL, 10);
}

/* Both files hold pairs of lines with the same first word: names, then values in the same order. */
static void read_pairs(const char *dir, const char *file, const char *first_word,
		       struct netstat *now)
{
	char path[256], names[8192], values[8192];
	char *save_n, *save_v, *n, *v;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, file);
	f = fopen(path, "re");
	if (!f)
		return;
	while (fgets(names, sizeof(names), f) && fgets(values, sizeof(values), f)) {
		if (strncmp(names, first_word, strlen(first_word)))
			continue;
		n = strtok_r(names, " \n", &save_n);
		v = strtok_r(values, " \n", &save_v);
		while (n && v) {
			take(now, n, v);
			n = strtok_r(NULL, " \n", &save_n);
			v = strtok_r(NULL, " \n", &save_v);
		}
	}
	fclose(f);
}

void netstat_read(const char *dir, struct netstat *now)
{
	for (int i = 0; i < NETSTAT_COUNT; i++)
		now->value[i] = -1;
	read_pairs(dir, "snmp", "Tcp:", now);
	read_pairs(dir, "netstat", "TcpExt:", now);
}

struct netstat netstat_delta(const struct netstat *before, const struct netstat *after)
{
	struct netstat d;

	for (int i = 0; i < NETSTAT_COUNT; i++) {
		d.value[i] = -1;
		if (before->value[i] >= 0 && after->value[i] >= 0)
			d.value[i] = after->value[i] - before->value[i];
	}
	return d;
}
