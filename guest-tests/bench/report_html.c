/* The report as one self-contained page, from a telephone's width to paper: tables, bars and latency curves. */
#include <math.h>
#include <string.h>

#include "guest-tests/bench/report.h"

#define CURVE_HIGH  200
#define CURVE_LEFT  64
#define CURVE_WIDE  390
#define CURVE_RIGHT 26

/* Nothing has a fixed width: labels stand above their bars, and on a narrow screen a table's rows become lists. */
static const char head[] =
	"<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>minivmm benchmark</title>\n"
	"<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
	"<style>\n"
	"body { font: 14px/1.4 sans-serif; max-width: 72em; margin: 1em auto; padding: 0 1em; color: #111; background: #fff }\n"
	"h2 { margin: 1.6em 0 .3em; border-bottom: 1px solid #999; break-after: avoid }\n"
	"table { border-collapse: collapse; font-size: 12px; margin: .5em 0 }\n"
	"th, td { padding: .15em .5em; text-align: right; border-bottom: 1px solid #ddd; font-variant-numeric: tabular-nums; "
	"overflow-wrap: anywhere }\n"
	"th:first-child, td:first-child, .about td { text-align: left }\n"
	"th { vertical-align: bottom }\n"
	"section { break-inside: avoid }\n"
	".bar { position: relative; height: 12px; margin-bottom: 6px; background: #f1f1f1 }\n"
	".bar i, .bar b { position: absolute; top: 0; height: 12px }\n"
	".bar b { top: 5px; height: 2px; background: #000 }\n"
	"svg { display: block; width: 100%; max-width: 44em; height: auto }\n"
	"svg text { font: 11px sans-serif }\n"
	".legend svg { display: inline; width: 36px }\n"
	"@media (max-width: 70em) { table, tbody, tr, td { display: block } .head { display: none } tr { margin-bottom: .7em }\n"
	"  td { text-align: left; border: 0 } td:first-child { font-weight: bold } td[title]::before { content: attr(title) \": \" } }\n"
	"@media print { body { margin: 0; max-width: none } }\n"
	"</style></head><body>\n<h1>minivmm benchmark</h1>\n";

/* Told apart by dashes too: on paper there may be no colour. */
static const char *const colours[] = { "#0b5fa5", "#c2410c", "#15803d", "#7e22ce",
				       "#a16207", "#be123c", "#0e7490", "#444444" };
static const char *const dashes[] = { "none", "6 3",  "2 2", "8 3 2 3",
				      "1 4",  "12 4", "4 4", "10 2 2 2 2 2" };
#define STYLES (sizeof(colours) / sizeof(colours[0]))

static void text(FILE *f, const char *s)
{
	for (; *s; s++) {
		if (strchr("<>&\"", *s))
			fprintf(f, "&#%d;", *s);
		else
			fputc(*s, f);
	}
}

/* Of a configuration, or of something else that stays as it is. */
static void name_of(const char *config, FILE *f)
{
	char name[REPORT_TEXT];

	report_config_name(config, name);
	text(f, name);
}

static void config_name(const struct results *r, unsigned int config, FILE *f)
{
	name_of(r->configs.name[config], f);
}

static void number_cell(const struct results *r, unsigned int config, unsigned int test,
			const struct column *c, FILE *f)
{
	double value = report_figure(r, config, test, c);

	if (isnan(value))
		fprintf(f, "<td title=\"%s\">&ndash;</td>", c->title);
	else
		fprintf(f, "<td title=\"%s\" data-key=\"%s\" data-value=\"%.10g\">%.*f</td>",
			c->title, c->key, value, c->decimals, value);
}

static void table(const struct results *r, unsigned int base, unsigned int test,
		  const struct column *headline, bool detail, FILE *f)
{
	char words[REPORT_TEXT];
	struct summary s;
	struct ratio ratio;

	fputs("<table><tr class=\"head\"><th></th>", f);
	if (!detail)
		fprintf(f, "<th>%s</th><th>lowest to highest</th><th>ratio</th>", headline->title);
	for (const struct column *c = headline + 1; c->key; c++)
		if (c->detail == detail && report_has(r, test, c->key))
			fprintf(f, "<th>%s</th>", c->title);
	fputs("</tr>\n", f);
	for (unsigned int config = 0; config < r->configs.count; config++) {
		s = results_summary(r, config, test, headline->key);
		if (!s.count)
			continue;
		fputs("<tr data-config=\"", f);
		text(f, r->configs.name[config]);
		fputs("\"><td>", f);
		config_name(r, config, f);
		fputs("</td>", f);
		if (!detail) {
			number_cell(r, config, test, headline, f);
			fprintf(f, "<td title=\"lowest to highest\">%.*f&hellip;%.*f</td>",
				headline->decimals, s.low, headline->decimals, s.high);
			ratio = report_ratio(r, config, base, test, headline);
			report_ratio_text(&ratio, words);
			fprintf(f, "<td title=\"ratio\">%s</td>", words);
		}
		for (const struct column *c = headline + 1; c->key; c++)
			if (c->detail == detail && report_has(r, test, c->key))
				number_cell(r, config, test, c, f);
		fputs("</tr>\n", f);
	}
	fputs("</table>\n", f);
}

/* One bar per configuration, as long as its median; the thin line is the spread over the rounds. */
static void bars(const struct results *r, unsigned int test, const struct column *c, FILE *f)
{
	double top = 0;
	struct summary s;

	for (unsigned int config = 0; config < r->configs.count; config++) {
		s = results_summary(r, config, test, c->key);
		if (s.count)
			top = fmax(top, s.high);
	}
	for (unsigned int config = 0; config < r->configs.count; config++) {
		s = results_summary(r, config, test, c->key);
		if (!s.count || top <= 0)
			continue;
		fputs("<div>", f);
		config_name(r, config, f);
		fprintf(f,
			": %.*f</div><div class=\"bar\"><i style=\"width: %.1f%%; background: %s\"></i>",
			c->decimals, s.median, 100 * fmax(0, s.median) / top,
			colours[config % STYLES]);
		fprintf(f, "<b style=\"left: %.1f%%; width: %.1f%%\"></b></div>\n",
			100 * fmax(0, s.low) / top, 100 * (s.high - fmax(0, s.low)) / top);
	}
}

/* Percentiles of the curve, and how far right each stands: equal steps for each tenfold rarer case. */
static const struct {
	const char *key, *label;
	double percent;
} curve[] = {
	{ "p10_us", "", 10 },	 { "p25_us", "", 25 },		{ "p50_us", "50%", 50 },
	{ "p75_us", "", 75 },	 { "p90_us", "90%", 90 },	{ "p95_us", "", 95 },
	{ "p99_us", "99%", 99 }, { "p99.9_us", "99.9%", 99.9 }, { "p99.99_us", "99.99%", 99.99 },
};
#define CURVE_POINTS (sizeof(curve) / sizeof(curve[0]))

static double curve_x(double percent)
{
	return CURVE_LEFT + CURVE_WIDE * -log10(1 - percent / 100) / 4.0;
}

static double curve_y(double us, double low, double high)
{
	return 10 + CURVE_HIGH * (1 - log10(us / low) / log10(high / low));
}

static void stroke(unsigned int config, FILE *f)
{
	fprintf(f, "fill=\"none\" stroke=\"%s\" stroke-width=\"2\" stroke-dasharray=\"%s\"/>",
		colours[config % STYLES], dashes[config % STYLES]);
}

static void curve_line(const struct results *r, unsigned int config, unsigned int test, double low,
		       double high, FILE *f)
{
	struct summary s;

	fputs("<polyline points=\"", f);
	for (unsigned int i = 0; i < CURVE_POINTS; i++) {
		s = results_summary(r, config, test, curve[i].key);
		if (s.count && s.median > 0)
			fprintf(f, "%.1f,%.1f ", curve_x(curve[i].percent),
				curve_y(s.median, low, high));
	}
	fputs("\" ", f);
	stroke(config, f);
	fputs("\n", f);
}

/* Latency by percentile, both axes logarithmic. */
static void latency_curve(const struct results *r, unsigned int test, FILE *f)
{
	double low = INFINITY, high = 0;
	struct summary s;

	for (unsigned int config = 0; config < r->configs.count; config++) {
		for (unsigned int i = 0; i < CURVE_POINTS; i++) {
			s = results_summary(r, config, test, curve[i].key);
			if (!s.count || s.median <= 0)
				continue;
			low = fmin(low, s.median);
			high = fmax(high, s.median);
		}
	}
	if (high <= 0)
		return;
	low = pow(10, floor(log10(low)));
	high = pow(10, ceil(log10(high) + 1e-9));
	fprintf(f, "<svg viewBox=\"0 0 %d %d\" role=\"img\">\n",
		CURVE_LEFT + CURVE_WIDE + CURVE_RIGHT, CURVE_HIGH + 50);
	for (double us = low; us <= high * 1.001; us *= 10) {
		fprintf(f, "<path d=\"M%d %.1fh%d\" stroke=\"#ccc\"/>", CURVE_LEFT,
			curve_y(us, low, high), CURVE_WIDE);
		fprintf(f, "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%.10g %s</text>\n",
			CURVE_LEFT - 6, curve_y(us, low, high) + 4,
			us < 1e3   ? us
			: us < 1e6 ? us / 1e3
				   : us / 1e6,
			us < 1e3   ? "us"
			: us < 1e6 ? "ms"
				   : "s");
	}
	for (unsigned int i = 0; i < CURVE_POINTS; i++)
		fprintf(f, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%s</text>\n",
			curve_x(curve[i].percent), CURVE_HIGH + 28, curve[i].label);
	fprintf(f, "<text x=\"%d\" y=\"%d\">of the transactions answered within</text>\n",
		CURVE_LEFT, CURVE_HIGH + 45);
	for (unsigned int config = 0; config < r->configs.count; config++)
		if (results_summary(r, config, test, "p50_us").count)
			curve_line(r, config, test, low, high, f);
	fputs("</svg>\n<p class=\"legend\">", f);
	for (unsigned int config = 0; config < r->configs.count; config++) {
		if (!results_summary(r, config, test, "p50_us").count)
			continue;
		fputs("<svg viewBox=\"0 0 36 8\"><path d=\"M0 4h30\" ", f);
		stroke(config, f);
		fputs("</svg>", f);
		config_name(r, config, f);
		fputs("<br>\n", f);
	}
	fputs("</p>\n", f);
}

static void begin_ledger(const struct results *r, unsigned int config, FILE *f)
{
	fputs("<section><h2>Frames of ", f);
	config_name(r, config, f);
	fputs("</h2>\n<table class=\"about\">", f);
}

static void ledger_line(const char *label, FILE *f)
{
	if (!label) {
		fputs("</td></tr></table></section>\n", f);
		return;
	}
	fputs("<tr><td>", f);
	text(f, label);
	fputs("</td><td>", f);
}

int report_html(const struct results *r, unsigned int base, FILE *f)
{
	const struct column *headline;

	fputs(head, f);
	fputs("<table class=\"about\">\n", f);
	for (unsigned int i = 0; i < r->about_count; i++) {
		fputs("<tr><td>", f);
		name_of(r->about[i].key, f);
		fputs("</td><td>", f);
		text(f, r->about[i].text);
		fputs("</td></tr>\n", f);
	}
	fputs("</table>\n<p>Medians of the rounds, with the lowest and highest round; failures, retransmissions and "
	      "drops are summed. The ratio says how many times as good as ",
	      f);
	config_name(r, base, f);
	fputs(" (or, where that has no figure, the first) a configuration is, compared round by round, with its 95% "
	      "confidence interval; above 1 is better. A unit is a transaction, or a megabyte of a stream.</p>\n",
	      f);
	for (unsigned int test = 0; test < r->tests.count; test++) {
		headline = report_headline(r, test);
		if (!headline)
			continue;
		fputs("<section><h2>", f);
		text(f, report_test_name(r->tests.name[test]));
		fprintf(f, "</h2>\n<p>%s%s</p>\n", headline->title,
			headline->less_is_better ? "; less is better" : "");
		bars(r, test, headline, f);
		table(r, base, test, headline, false, f);
		latency_curve(r, test, f);
		if (report_has_details(r, test))
			table(r, base, test, headline, true, f);
		fputs("</section>\n", f);
	}
	report_ledger(r, f, begin_ledger, ledger_line);
	fputs("</body></html>\n", f);
	return 0;
}
