/* Benchmark results read from tab-separated lines: medians, spread over the rounds, and comparisons. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "guest-tests/bench/results.h"

int names_find(const struct names *n, const char *name)
{
	for (unsigned int i = 0; i < n->count; i++)
		if (!strcmp(n->name[i], name))
			return (int)i;
	return -1;
}

/* Returns the name's place, or -errno. */
static int names_add(struct names *n, const char *name)
{
	int at = names_find(n, name);

	if (at >= 0)
		return at;
	if (n->count == RESULTS_MAX_NAMES)
		return -E2BIG;
	n->name[n->count] = strdup(name);
	if (!n->name[n->count])
		return -ENOMEM;
	return (int)n->count++;
}

static int add_about(struct results *r, const char *key, const char *text)
{
	struct results_about *a = &r->about[r->about_count];

	if (r->about_count == RESULTS_MAX_NAMES)
		return -E2BIG;
	a->key = strdup(key);
	a->text = strdup(text);
	r->about_count++;
	return a->key && a->text ? 0 : -ENOMEM;
}

static int add_value(struct results *r, int config, int test, int key, long round, double value)
{
	struct results_value *grown;

	if (config < 0 || test < 0 || key < 0)
		return config < 0 ? config : test < 0 ? test : key;
	if (r->value_count == RESULTS_MAX_VALUES)
		return -E2BIG;
	if (r->value_count == r->value_room) {
		grown = realloc(r->value, (r->value_room + 1024) * sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		r->value = grown;
		r->value_room += 1024;
	}
	r->value[r->value_count++] =
		(struct results_value){ (unsigned int)config, (unsigned int)test, (unsigned int)key,
					round, value };
	return 0;
}

/* Returns 0, or -errno; @line is cut up. */
static int read_line(struct results *r, char *line)
{
	char *key = strchr(line, '\t'), *text, *test, *round, *end;
	double value;
	long nr;

	text = key ? strchr(key + 1, '\t') : NULL;
	if (!text)
		return -EINVAL;
	*key++ = 0;
	*text++ = 0;
	if (strchr(text, '\t') || !*key)
		return -EINVAL;
	if (!strcmp(line, "about"))
		return add_about(r, key, text);
	/* A configuration may have slashes in it; test and round have none. */
	round = strrchr(line, '/');
	if (!round || round == line)
		return -EINVAL;
	*round = 0;
	test = strrchr(line, '/');
	if (!test || test == line || test + 1 == round)
		return -EINVAL;
	*test++ = 0;
	nr = strtol(round + 1, &end, 10);
	if (*end || nr < 0 || nr > RESULTS_MAX_ROUNDS)
		return -EINVAL;
	value = strtod(text, &end);
	if (end == text || *end || !isfinite(value))
		return 0;
	return add_value(r, names_add(&r->configs, line), names_add(&r->tests, test),
			 names_add(&r->keys, key), nr, value);
}

int results_read(struct results *r, FILE *f, const char *path)
{
	char *line = NULL;
	size_t room = 0;
	ssize_t length;
	unsigned long number = 0;
	int rc = 0;

	while (!rc && (length = getline(&line, &room, f)) >= 0) {
		number++;
		line[strcspn(line, "\r\n")] = 0;
		if (*line)
			rc = read_line(r, line);
	}
	free(line);
	if (rc == -EINVAL)
		fprintf(stderr, "report: %s:%lu: not config/test/round<TAB>key<TAB>value\n", path,
			number);
	else if (rc)
		fprintf(stderr, "report: %s:%lu: %s\n", path, number,
			rc == -E2BIG ? "more than this program takes" : strerror(-rc));
	else if (ferror(f)) {
		rc = -EIO;
		fprintf(stderr, "report: cannot read '%s'\n", path);
	}
	return rc;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

struct summary results_summary(const struct results *r, unsigned int config, unsigned int test,
			       const char *key)
{
	struct summary s = { 0 };
	int wanted = names_find(&r->keys, key);
	double *v = wanted < 0 ? NULL : malloc(((size_t)r->value_count + 1) * sizeof(*v));

	if (!v)
		return s;
	for (unsigned int i = 0; i < r->value_count; i++)
		if (r->value[i].config == config && r->value[i].test == test &&
		    r->value[i].key == (unsigned int)wanted)
			v[s.count++] = r->value[i].value;
	if (s.count) {
		qsort(v, s.count, sizeof(*v), by_value);
		s.low = v[0];
		s.high = v[s.count - 1];
		s.median = (v[(s.count - 1) / 2] + v[s.count / 2]) / 2;
		for (unsigned int i = 0; i < s.count; i++)
			s.sum += v[i];
	}
	free(v);
	return s;
}

/* Mean of the logarithms of what one round measured (starts are measured several times); NAN if nothing was. */
static double round_mean(const struct results *r, unsigned int config, unsigned int test, int key,
			 long round)
{
	double sum = 0;
	int count = 0;

	for (unsigned int i = 0; i < r->value_count; i++) {
		const struct results_value *v = &r->value[i];

		if (v->config == config && v->test == test && v->key == (unsigned int)key &&
		    v->round == round && v->value > 0) {
			sum += log(v->value);
			count++;
		}
	}
	return count ? sum / count : NAN;
}

/* The 97.5% point of Student's t. */
static double students_t(unsigned int freedom)
{
	static const double t[] = { INFINITY, 12.71, 4.303, 3.182, 2.776, 2.571,
				    2.447,    2.365, 2.306, 2.262, 2.228 };

	return freedom < sizeof(t) / sizeof(t[0]) ? t[freedom] : 1.96 + 2.7 / freedom;
}

static long last_round(const struct results *r)
{
	long last = 0;

	for (unsigned int i = 0; i < r->value_count; i++)
		if (r->value[i].round > last)
			last = r->value[i].round;
	return last;
}

struct ratio results_ratio(const struct results *r, unsigned int config, unsigned int base,
			   unsigned int test, const char *key)
{
	struct ratio ratio = { 0, NAN, NAN, NAN };
	double sum = 0, squares = 0, d, mean, error;
	int wanted = names_find(&r->keys, key);

	for (long round = 0; round <= last_round(r); round++) {
		d = round_mean(r, config, test, wanted, round) -
		    round_mean(r, base, test, wanted, round);
		if (isnan(d))
			continue;
		sum += d;
		squares += d * d;
		ratio.rounds++;
	}
	if (!ratio.rounds)
		return ratio;
	mean = sum / ratio.rounds;
	ratio.ratio = exp(mean);
	if (ratio.rounds > 1) {
		error = students_t(ratio.rounds - 1) *
			sqrt(fmax(0, squares - sum * mean) / (ratio.rounds - 1) / ratio.rounds);
		ratio.low = exp(mean - error);
		ratio.high = exp(mean + error);
	}
	return ratio;
}

bool ratio_told_apart(const struct ratio *ratio)
{
	return ratio->rounds > 1 && (ratio->low > 1 || ratio->high < 1);
}

void results_free(struct results *r)
{
	struct names *lists[] = { &r->configs, &r->tests, &r->keys };

	for (int l = 0; l < 3; l++)
		for (unsigned int i = 0; i < lists[l]->count; i++)
			free(lists[l]->name[i]);
	for (unsigned int i = 0; i < r->about_count; i++) {
		free(r->about[i].key);
		free(r->about[i].text);
	}
	free(r->value);
	*r = (struct results){ 0 };
}
