/* report: benchmark results as a text table, HTML, JSON and CSV. */
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "report.h"

const struct column report_columns[] = {
	{ "rate", "per second", false, false, false, 1 },
	{ "mbit_per_s", "Mbit/s", false, false, false, 1 },
	{ "first_output_ms", "first output, ms", true, false, false, 2 },
	{ "userland_ms", "userland, ms", true, false, false, 1 },
	{ "serving_ms", "serving, ms", true, false, false, 1 },
	{ "first_answer_ms", "first answer, ms", true, false, false, 2 },
	{ "own_kib", "own memory, KiB", true, false, false, 0 },
	{ "p50_us", "p50 us", true, false, false, 1 },
	{ "p99_us", "p99 us", true, false, false, 1 },
	{ "p99.9_us", "p99.9 us", true, false, false, 1 },
	{ "failures", "failures", true, true, false, 0 },
	{ "tcp.RetransSegs", "retrans", true, true, false, 0 },
	{ "drops_tap", "drops tap", true, true, true, 0 },
	{ "drops_vmm", "drops VMM", true, true, true, 0 },
	{ "exits_per_unit", "exits/unit", true, false, true, 2 },
	{ "vmm_exits_per_unit", "exits to VMM/unit", true, false, true, 2 },
	{ "kicks_per_unit", "kicks/unit", true, false, true, 2 },
	{ "irq_injections_per_unit", "irqs/unit", true, false, true, 2 },
	{ "halt_exits_per_unit", "halts/unit", true, false, true, 2 },
	{ "cpu_us_per_unit", "CPU us/unit", true, false, true, 2 },
	{ NULL, NULL, false, false, false, 0 },
};

double report_figure(const struct results *r, unsigned int config, unsigned int test,
		     const struct column *c)
{
	struct summary s = results_summary(r, config, test, c->key);

	if (!s.count)
		return NAN;
	return c->sum ? s.sum : s.median;
}

bool report_has(const struct results *r, unsigned int test, const char *key)
{
	for (unsigned int config = 0; config < r->configs.count; config++)
		if (results_summary(r, config, test, key).count)
			return true;
	return false;
}

bool report_has_details(const struct results *r, unsigned int test)
{
	for (const struct column *c = report_columns; c->key; c++)
		if (c->detail && report_has(r, test, c->key))
			return true;
	return false;
}

const struct column *report_headline(const struct results *r, unsigned int test)
{
	for (const struct column *c = report_columns; c->key; c++)
		if (report_has(r, test, c->key))
			return c;
	return NULL;
}

double report_ratio(const struct results *r, unsigned int config, unsigned int base,
		    unsigned int test, const struct column *c)
{
	double mine = report_figure(r, config, test, c), its = report_figure(r, base, test, c),
	       ratio;

	/* Bare metal, say, has no start-up: then the first that has. */
	for (unsigned int first = 0; isnan(its) && first < r->configs.count; first++)
		its = report_figure(r, first, test, c);
	ratio = c->less_is_better ? its / mine : mine / its;

	return isfinite(ratio) ? ratio : NAN;
}

static void print_cell(double value, int decimals, int width)
{
	if (isnan(value))
		printf("  %*s", width, "-");
	else
		printf("  %*.*f", width, decimals, value);
}

static int title_width(const struct column *c)
{
	return strlen(c->title) < 8 ? 8 : (int)strlen(c->title);
}

/* One row for each configuration that has the headline; the headline too in the first table. */
static void print_table(const struct results *r, unsigned int base, unsigned int test,
			const struct column *headline, bool detail, int name_width)
{
	struct summary s;

	printf("\n%-*s", name_width, r->tests.name[test]);
	if (!detail)
		printf("  %*s  %17s  %6s", title_width(headline), headline->title, "low..high",
		       "ratio");
	for (const struct column *c = headline + 1; c->key; c++)
		if (c->detail == detail && report_has(r, test, c->key))
			printf("  %*s", title_width(c), c->title);
	printf("\n");
	for (unsigned int config = 0; config < r->configs.count; config++) {
		s = results_summary(r, config, test, headline->key);
		if (!s.count)
			continue;
		printf("%-*s", name_width, r->configs.name[config]);
		if (!detail) {
			print_cell(report_figure(r, config, test, headline), headline->decimals,
				   title_width(headline));
			printf("  %8.*f..%-7.*f", headline->decimals, s.low, headline->decimals,
			       s.high);
			print_cell(report_ratio(r, config, base, test, headline), 2, 6);
		}
		for (const struct column *c = headline + 1; c->key; c++)
			if (c->detail == detail && report_has(r, test, c->key))
				print_cell(report_figure(r, config, test, c), c->decimals,
					   title_width(c));
		printf("\n");
	}
}

static void print_text(const struct results *r, unsigned int base)
{
	const struct column *headline;
	size_t width = 12;

	for (unsigned int config = 0; config < r->configs.count; config++)
		if (strlen(r->configs.name[config]) > width)
			width = strlen(r->configs.name[config]);
	for (unsigned int test = 0; test < r->tests.count; test++) {
		headline = report_headline(r, test);
		if (headline)
			print_table(r, base, test, headline, false, (int)width);
		if (headline && report_has_details(r, test))
			print_table(r, base, test, headline, true, (int)width);
	}
	printf("\nratio: times as good as %s, or as the first where that has no figure. Medians of "
	       "the rounds; failures, retransmissions and "
	       "drops summed.\n"
	       "unit: a transaction, or a megabyte of a stream.\n",
	       r->configs.name[base]);
}

static void json_string(FILE *f, const char *s)
{
	fputc('"', f);
	for (; *s; s++) {
		if (*s == '"' || *s == '\\')
			fputc('\\', f);
		if ((unsigned char)*s >= 0x20)
			fputc(*s, f);
	}
	fputc('"', f);
}

/* Calls @each for every figure that was measured. */
static void for_each_figure(const struct results *r, FILE *f,
			    void (*each)(FILE *f, bool first, const char *config, const char *test,
					 const char *key, const struct summary *s))
{
	struct summary s;
	bool first = true;

	for (unsigned int test = 0; test < r->tests.count; test++) {
		for (unsigned int config = 0; config < r->configs.count; config++) {
			for (unsigned int key = 0; key < r->keys.count; key++) {
				s = results_summary(r, config, test, r->keys.name[key]);
				if (!s.count)
					continue;
				each(f, first, r->configs.name[config], r->tests.name[test],
				     r->keys.name[key], &s);
				first = false;
			}
		}
	}
}

static void json_figure(FILE *f, bool first, const char *config, const char *test, const char *key,
			const struct summary *s)
{
	fputs(first ? "\n  {\"config\": " : ",\n  {\"config\": ", f);
	json_string(f, config);
	fputs(", \"test\": ", f);
	json_string(f, test);
	fputs(", \"key\": ", f);
	json_string(f, key);
	fprintf(f, ", \"rounds\": %u, \"median\": %.10g, \"low\": %.10g, \"high\": %.10g}",
		s->count, s->median, s->low, s->high);
}

static int write_json(const struct results *r, unsigned int base, FILE *f)
{
	fputs("{\"base\": ", f);
	json_string(f, r->configs.name[base]);
	fputs(", \"about\": {", f);
	for (unsigned int i = 0; i < r->about_count; i++) {
		fputs(i ? ", " : "", f);
		json_string(f, r->about[i].key);
		fputs(": ", f);
		json_string(f, r->about[i].text);
	}
	fputs("}, \"results\": [", f);
	for_each_figure(r, f, json_figure);
	fputs("\n]}\n", f);
	return 0;
}

static void csv_text(FILE *f, const char *s)
{
	fputc('"', f);
	for (; *s; s++) {
		if (*s == '"')
			fputc('"', f);
		fputc(*s, f);
	}
	fputs("\",", f);
}

static void csv_figure(FILE *f, bool first, const char *config, const char *test, const char *key,
		       const struct summary *s)
{
	(void)first;
	csv_text(f, config);
	csv_text(f, test);
	csv_text(f, key);
	fprintf(f, "%u,%.10g,%.10g,%.10g\n", s->count, s->median, s->low, s->high);
}

static int write_csv(const struct results *r, unsigned int base, FILE *f)
{
	(void)base;
	fputs("config,test,key,rounds,median,low,high\n", f);
	for_each_figure(r, f, csv_figure);
	return 0;
}

static int write_file(const struct results *r, unsigned int base, const char *path,
		      int (*write)(const struct results *r, unsigned int base, FILE *f))
{
	FILE *f = path ? fopen(path, "we") : NULL;
	int rc = 0;

	if (!path)
		return 0;
	if (!f) {
		rc = -errno;
	} else {
		rc = write(r, base, f);
		if (fflush(f) || ferror(f))
			rc = -EIO;
		fclose(f);
	}
	if (rc)
		fprintf(stderr, "report: cannot write '%s': %s\n", path, strerror(-rc));
	return rc;
}

static int read_files(struct results *r, char **paths)
{
	FILE *f;
	int rc = 0;

	for (; !rc && *paths; paths++) {
		f = fopen(*paths, "re");
		if (!f) {
			rc = -errno;
			fprintf(stderr, "report: cannot open '%s': %s\n", *paths, strerror(-rc));
			break;
		}
		rc = results_read(r, f, *paths);
		fclose(f);
	}
	return rc;
}

static const char usage[] =
	"usage: report [--base CONFIG] [--html FILE] [--json FILE] [--csv FILE] RESULTS...\n"
	"Prints results (lines config/test/round<TAB>key<TAB>value) as tables, and writes them as asked.\n"
	"CONFIG is what the others are compared with, the first one by default.\n";

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "base", required_argument, NULL, 'b' }, { "html", required_argument, NULL, 'h' },
		{ "json", required_argument, NULL, 'j' }, { "csv", required_argument, NULL, 'c' },
		{ "help", no_argument, NULL, '?' },	  { NULL, 0, NULL, 0 },
	};
	const char *base_name = NULL, *html = NULL, *json = NULL, *csv = NULL;
	static struct results results;
	int option, base = 0, rc;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'b':
			base_name = optarg;
			break;
		case 'h':
			html = optarg;
			break;
		case 'j':
			json = optarg;
			break;
		case 'c':
			csv = optarg;
			break;
		default:
			fputs(usage, stderr);
			return 2;
		}
	}
	if (optind == argc) {
		fputs(usage, stderr);
		return 2;
	}
	rc = read_files(&results, argv + optind);
	if (!rc && !results.configs.count) {
		fprintf(stderr, "report: no results in %s\n", argv[optind]);
		rc = -ENODATA;
	}
	if (!rc && base_name) {
		base = names_find(&results.configs, base_name);
		if (base < 0) {
			fprintf(stderr, "report: no configuration '%s' in the results\n",
				base_name);
			rc = -EINVAL;
		}
	}
	if (!rc) {
		print_text(&results, (unsigned int)base);
		rc = write_file(&results, (unsigned int)base, html, report_html);
		rc = write_file(&results, (unsigned int)base, json, write_json) ? -EIO : rc;
		rc = write_file(&results, (unsigned int)base, csv, write_csv) ? -EIO : rc;
	}
	results_free(&results);
	return rc ? 1 : 0;
}
