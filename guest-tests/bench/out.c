/* A flat list of results, written as text, JSON or tab-separated lines. */
#include <errno.h>
#include <math.h>
#include <stdio.h>

#include "guest-tests/bench/out.h"

static struct out_field *add(struct out *o, const char *key, enum out_kind kind)
{
	static struct out_field overflow;
	struct out_field *f = o->count < OUT_MAX_FIELDS ? &o->field[o->count++] : &overflow;

	snprintf(f->key, sizeof(f->key), "%s", key);
	f->kind = kind;
	f->text[0] = 0;
	return f;
}

void out_text(struct out *o, const char *key, const char *text)
{
	struct out_field *f = add(o, key, OUT_TEXT);

	snprintf(f->text, sizeof(f->text), "%s", text);
}

void out_number(struct out *o, const char *key, double value, int decimals)
{
	struct out_field *f = add(o, key, isfinite(value) ? OUT_NUMBER : OUT_NULL);

	if (f->kind == OUT_NUMBER)
		snprintf(f->text, sizeof(f->text), "%.*f", decimals, value);
}

static int flushed(FILE *f)
{
	return fflush(f) ? -errno : ferror(f) ? -EIO : 0;
}

int out_write_text(const struct out *o, FILE *f)
{
	for (unsigned int i = 0; i < o->count; i++)
		fprintf(f, "%-20s %s\n", o->field[i].key,
			o->field[i].kind == OUT_NULL ? "-" : o->field[i].text);
	return flushed(f);
}

void out_json_string(FILE *f, const char *s)
{
	fputc('"', f);
	for (; *s; s++) {
		if (*s == '"' || *s == '\\')
			fprintf(f, "\\%c", *s);
		else if ((unsigned char)*s < 0x20)
			fprintf(f, "\\u%04x", (unsigned int)*s);
		else
			fputc(*s, f);
	}
	fputc('"', f);
}

int out_write_json(const struct out *o, FILE *f)
{
	fputc('{', f);
	for (unsigned int i = 0; i < o->count; i++) {
		if (i)
			fputs(", ", f);
		out_json_string(f, o->field[i].key);
		fputs(": ", f);
		if (o->field[i].kind == OUT_NULL)
			fputs("null", f);
		else if (o->field[i].kind == OUT_NUMBER)
			fputs(o->field[i].text, f);
		else
			out_json_string(f, o->field[i].text);
	}
	fputs("}\n", f);
	return flushed(f);
}

/* A tab or a line end inside a value would break the row: they become spaces. */
static void tsv_cell(FILE *f, const char *s)
{
	for (; *s; s++)
		fputc(*s == '\t' || *s == '\n' ? ' ' : *s, f);
}

int out_write_tsv(const struct out *o, const char *label, FILE *f)
{
	for (unsigned int i = 0; i < o->count; i++) {
		tsv_cell(f, label);
		fputc('\t', f);
		tsv_cell(f, o->field[i].key);
		fputc('\t', f);
		tsv_cell(f, o->field[i].text);
		fputc('\n', f);
	}
	return flushed(f);
}
