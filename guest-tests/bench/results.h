/* Benchmark results read from tab-separated lines: medians, spread over the rounds, and comparisons. */
#ifndef BENCH_RESULTS_H
#define BENCH_RESULTS_H

#include <stdbool.h>
#include <stdio.h>

#define RESULTS_MAX_NAMES  128 /* configurations, tests and keys, each */
#define RESULTS_MAX_VALUES 100000
#define RESULTS_MAX_ROUNDS 9999

/* Names in the order in which they were first seen. */
struct names {
	unsigned int count;
	char *name[RESULTS_MAX_NAMES];
};

struct results_value {
	unsigned int config, test, key; /* places in the lists of names */
	long round;
	double value;
};

struct results_about {
	char *key, *text;
};

/* A zeroed struct is empty. Everything in it belongs to it: results_free(). */
struct results {
	struct names configs, tests, keys;
	unsigned int value_count, value_room;
	struct results_value *value;
	unsigned int about_count;
	struct results_about about[RESULTS_MAX_NAMES];
};

/* Over all rounds. count is 0 where nothing was measured; then the rest means nothing. */
struct summary {
	unsigned int count;
	double median, low, high, sum;
};

/* How many times as large one figure is as another, with the 95% confidence interval. */
struct ratio {
	unsigned int rounds; /* in which both were measured; 0: nothing is known, 1: no interval */
	double ratio, low, high;
};

/*
 * Add what @f holds. Lines "config/test/round<TAB>key<TAB>value", rounds by number: values that are no numbers are
 * left out. Lines "about<TAB>key<TAB>text" describe the measurement. Return 0, or -errno after one line on stderr
 * that names @path and the line at fault.
 */
int results_read(struct results *r, FILE *f, const char *path);

/* Place of a name, or -1. */
int names_find(const struct names *n, const char *name);

/* Sum up one figure; @key is its name. */
struct summary results_summary(const struct results *r, unsigned int config, unsigned int test,
			       const char *key);

/*
 * Compare a figure of @config with the same of @base, round by round: what slows a whole round down then hits both.
 * The mean of the logarithms, and Student's t for its interval.
 */
struct ratio results_ratio(const struct results *r, unsigned int config, unsigned int base,
			   unsigned int test, const char *key);

/* Whether a ratio is known to be another than 1. */
bool ratio_told_apart(const struct ratio *ratio);

void results_free(struct results *r);

#endif
