/* Which configurations matter, and by how much: sorted by the size of their effect, the certain ones first. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "guest-tests/bench/report.h"

struct effect {
	unsigned int config, test;
	struct ratio ratio;
};

/* What is told apart comes before what is not; of these the larger effect first, whichever way it goes. */
static int by_effect(const void *a, const void *b)
{
	const struct effect *x = a, *y = b;
	const bool cx = ratio_told_apart(&x->ratio), cy = ratio_told_apart(&y->ratio);
	const double ex = fabs(log(x->ratio.ratio)), ey = fabs(log(y->ratio.ratio));

	if (cx != cy)
		return cy - cx;
	return (ex < ey) - (ex > ey);
}

static bool is_bare(const struct results *r, unsigned int config)
{
	return !strncmp(r->configs.name[config], "bare", 4);
}

/* A knob of bare metal is compared with bare metal. */
static unsigned int base_of(const struct results *r, unsigned int config, unsigned int base)
{
	const int bare = names_find(&r->configs, "bare");

	return bare >= 0 && is_bare(r, config) && strchr(r->configs.name[config], '%')
		       ? (unsigned int)bare
		       : base;
}

static unsigned int collect(const struct results *r, unsigned int base, struct effect *effect)
{
	unsigned int n = 0;

	for (unsigned int test = 0; test < r->tests.count; test++) {
		const struct column *headline = report_headline(r, test);

		/* How a guest starts is another question. */
		if (!strcmp(r->tests.name[test], "start") || !strcmp(r->tests.name[test], "memory"))
			continue;
		for (unsigned int config = 0; headline && config < r->configs.count; config++) {
			const struct ratio ratio =
				report_ratio(r, config, base_of(r, config, base), test, headline);

			if (config != base && ratio.rounds)
				effect[n++] = (struct effect){ config, test, ratio };
		}
	}
	qsort(effect, n, sizeof(*effect), by_effect);
	return n;
}

/* The configuration that is best for sure in the most tests, and worse for sure in none; the base if there is none. */
static unsigned int best(const struct results *r, unsigned int base, const struct effect *effect,
			 unsigned int n)
{
	unsigned int found = base;
	double best_sum = 0;

	for (unsigned int config = 0; config < r->configs.count; config++) {
		double sum = is_bare(r, config) ? -INFINITY : 0;

		for (unsigned int i = 0; i < n; i++)
			if (effect[i].config == config && ratio_told_apart(&effect[i].ratio))
				sum += effect[i].ratio.ratio < 1 ? -INFINITY
								 : log(effect[i].ratio.ratio);
		if (sum > best_sum) {
			best_sum = sum;
			found = config;
		}
	}
	return found;
}

int report_rank(const struct results *r, unsigned int base, FILE *f)
{
	struct effect *effect =
		calloc((size_t)r->configs.count * r->tests.count + 1, sizeof(*effect));
	char name[REPORT_TEXT], text[REPORT_TEXT];
	unsigned int n, named = 0;

	if (!effect)
		return -1;
	n = collect(r, base, effect);
	for (unsigned int i = 0; i < n; i++) {
		report_config_name(r->configs.name[effect[i].config], name);
		report_ratio_text(&effect[i].ratio, text);
		fprintf(f, "effect\t%u\t%s\t%s\t%s\n", i + 1, name,
			report_test_name(r->tests.name[effect[i].test]), text);
	}
	/* The first three that matter, each once. */
	for (unsigned int i = 0; i < n && named < 3 && ratio_told_apart(&effect[i].ratio); i++) {
		bool before = false;

		for (unsigned int j = 0; j < i; j++)
			before |= effect[j].config == effect[i].config;
		/* Bare metal itself is no knob. */
		if (before || !strcmp(r->configs.name[effect[i].config], "bare"))
			continue;
		report_config_name(r->configs.name[effect[i].config], name);
		fprintf(f, "matters\t%u\t%s\t%.2f\t%s\n", ++named, name, effect[i].ratio.ratio,
			report_test_name(r->tests.name[effect[i].test]));
	}
	fprintf(f, "best\t%s\n", r->configs.name[best(r, base, effect, n)]);
	free(effect);
	return 0;
}
