/* The figures that a report shows, and in which way. */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include <stdbool.h>
#include <stdio.h>

#include "guest-tests/bench/results.h"

/* A figure that gets a column in tables where it was measured. The first that a test has is its headline. */
struct column {
	const char *key, *title;
	bool less_is_better;
	bool sum;    /* over the rounds, instead of the median: for what should be zero */
	bool detail; /* in a second table: where the time went */
	int decimals;
};

extern const struct column report_columns[]; /* ends with key NULL */

/* The column's figure, summed up; NAN where nothing was measured. */
double report_figure(const struct results *r, unsigned int config, unsigned int test,
		     const struct column *c);

/* Whether any configuration has this figure, or any detail, in this test; and the first column, or NULL. */
bool report_has(const struct results *r, unsigned int test, const char *key);
bool report_has_details(const struct results *r, unsigned int test);
const struct column *report_headline(const struct results *r, unsigned int test);

/*
 * How many times as good as @base, or as the first where that has no figure: above 1 is better, whichever way the
 * column counts.
 */
struct ratio report_ratio(const struct results *r, unsigned int config, unsigned int base,
			  unsigned int test, const struct column *c);

/* The same in words: "3.00 (2.90..3.10)", "not told apart (0.95..1.07)", "1.30, one round", "-". */
#define REPORT_TEXT 128
void report_ratio_text(const struct ratio *ratio, char text[REPORT_TEXT]);

/*
 * What a reader calls a configuration or a test of `compare`: "minivmm:transport=pci@mode=irq" is "minivmm, PCI,
 * interrupts". Names that are not known stay as they are.
 */
void report_config_name(const char *config, char name[REPORT_TEXT]);
const char *report_test_name(const char *test);

/*
 * The drop ledger of each configuration that has one: @begin it, then a @line for each of its rows, whose text follows,
 * and with NULL one that ends it.
 */
void report_ledger(const struct results *r, FILE *f,
		   void (*begin)(const struct results *r, unsigned int config, FILE *f),
		   void (*line)(const char *label, FILE *f));

/*
 * What the configurations do to the headlines of @base, the largest certain effect first, in lines of fields parted by
 * tabs: effect NUMBER CONFIG TEST RATIO; matters NUMBER CONFIG RATIO TEST (three at most); best CONFIG, as it was given.
 */
int report_rank(const struct results *r, unsigned int base, FILE *f);

/* One self-contained page: tables, bars and latency curves as inline SVG. Returns 0 or -errno. */
int report_html(const struct results *r, unsigned int base, FILE *f);

#endif
