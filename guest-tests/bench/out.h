/* A flat list of results, written as text, JSON or tab-separated lines. */
#ifndef BENCH_OUT_H
#define BENCH_OUT_H

#include <stdio.h>

#define OUT_MAX_FIELDS 96
#define OUT_MAX_TEXT   96

enum out_kind { OUT_TEXT, OUT_NUMBER, OUT_NULL };

struct out_field {
	char key[48];
	enum out_kind kind;
	char text[OUT_MAX_TEXT]; /* the number as it is to be printed, or the text */
};

/* Zeroed is empty. Fields keep the order in which they were added; more than OUT_MAX_FIELDS are dropped. */
struct out {
	unsigned int count;
	struct out_field field[OUT_MAX_FIELDS];
};

/* Add one result. Text longer than OUT_MAX_TEXT is cut; a number that is not finite becomes null. */
void out_text(struct out *o, const char *key, const char *text);
void out_number(struct out *o, const char *key, double value, int decimals);

/*
 * Write all results: one "key value" line each, one JSON object on one line, or one
 * "label<TAB>key<TAB>value" line each (null is an empty value). Return 0 or -errno.
 */
int out_write_text(const struct out *o, FILE *f);
int out_write_json(const struct out *o, FILE *f);
int out_write_tsv(const struct out *o, const char *label, FILE *f);

/* A text as JSON has it, between quotes. */
void out_json_string(FILE *f, const char *s);

#endif
