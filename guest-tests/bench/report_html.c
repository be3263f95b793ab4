/* The report as one self-contained page: tables, bars and latency curves as inline SVG, readable on paper. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "report.h"

#define BAR_HEIGHT  18
#define BAR_LEFT    230
#define BAR_WIDTH   420
#define CHART_WIDTH 860
#define CURVE_HIGH  240
#define CURVE_LEFT  70
#define CURVE_WIDE  560

static const char head[] =
	"<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>minivmm benchmark</title>\n"
	"<style>\n"
	"body { font: 14px/1.4 sans-serif; max-width: 60em; margin: 2em auto; padding: 0 1em; "
	"color: #111; "
	"background: #fff }\n"
	"h2 { margin: 1.6em 0 .3em; border-bottom: 1px solid #999; break-after: avoid }\n"
	"table { border-collapse: collapse; font-size: 12px; margin: .5em 0 }\n"
	"th, td { padding: .15em .6em; text-align: right; border-bottom: 1px solid #ddd; font-variant-numeric: tabular-nums }\n"
	"th:first-child, td:first-child { text-align: left }\n"
	"th { vertical-align: bottom }\n"
	"section { break-inside: avoid }\n"
	"svg { max-width: 100%; height: auto }\n"
	"svg text { font: 12px sans-serif }\n"
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
		switch (*s) {
		case '<':
			fputs("&lt;", f);
			break;
		case '>':
			fputs("&gt;", f);
			break;
		case '&':
			fputs("&amp;", f);
			break;
		case '"':
			fputs("&quot;", f);
			break;
		default:
			fputc(*s, f);
		}
	}
}

static void number_cell(FILE *f, const char *key, double value, int decimals)
{
	if (isnan(value))
		fprintf(f, "<td>&ndash;</td>");
	else
		fprintf(f, "<td data-key=\"%s\" data-value=\"%.10g\">%.*f</td>", key, value,
			decimals, value);
}

static void table(const struct results *r, unsigned int base, unsigned int test,
		  const struct column *headline, bool detail, FILE *f)
{
	struct summary s;

	fputs("<table><tr><th></th>", f);
	if (!detail)
		fprintf(f, "<th>%s</th><th>low&hellip;high</th><th>ratio</th>", headline->title);
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
		fputs("\" data-test=\"", f);
		text(f, r->tests.name[test]);
		fputs("\"><td>", f);
		text(f, r->configs.name[config]);
		fputs("</td>", f);
		if (!detail) {
			number_cell(f, headline->key, report_figure(r, config, test, headline),
				    headline->decimals);
			fprintf(f, "<td>%.*f&hellip;%.*f</td>", headline->decimals, s.low,
				headline->decimals, s.high);
			number_cell(f, "ratio", report_ratio(r, config, base, test, headline), 2);
		}
		for (const struct column *c = headline + 1; c->key; c++)
			if (c->detail == detail && report_has(r, test, c->key))
				number_cell(f, c->key, report_figure(r, config, test, c),
					    c->decimals);
		fputs("</tr>\n", f);
	}
	fputs("</table>\n", f);
}

/* One bar per configuration, as long as its median; the thin line is the spread over the rounds. */
static void bars(const struct results *r, unsigned int test, const struct column *c, FILE *f)
{
	double top = 0, scale;
	unsigned int row = 0;
	struct summary s;

	for (unsigned int config = 0; config < r->configs.count; config++) {
		s = results_summary(r, config, test, c->key);
		row += s.count > 0;
		if (s.count && s.high > top)
			top = s.high;
	}
	scale = top > 0 ? BAR_WIDTH / top : 0;
	fprintf(f, "<svg viewBox=\"0 0 %d %u\" width=\"%d\" height=\"%u\" role=\"img\">\n",
		CHART_WIDTH, row * BAR_HEIGHT + 4, CHART_WIDTH, row * BAR_HEIGHT + 4);
	row = 0;
	for (unsigned int config = 0; config < r->configs.count; config++) {
		unsigned int y = row * BAR_HEIGHT + 2;

		s = results_summary(r, config, test, c->key);
		if (!s.count)
			continue;
		row++;
		fprintf(f, "<text x=\"%d\" y=\"%u\" text-anchor=\"end\">", BAR_LEFT - 6, y + 13);
		text(f, r->configs.name[config]);
		fprintf(f,
			"</text><rect x=\"%d\" y=\"%u\" width=\"%.1f\" height=\"%d\" fill=\"%s\"/>",
			BAR_LEFT, y, fmax(0, s.median * scale), BAR_HEIGHT - 4,
			colours[config % STYLES]);
		fprintf(f, "<path d=\"M%.1f %uH%.1f\" stroke=\"#000\"/>",
			BAR_LEFT + fmax(0, s.low * scale), y + (BAR_HEIGHT - 4) / 2,
			BAR_LEFT + fmax(0, s.high * scale));
		fprintf(f, "<text x=\"%.1f\" y=\"%u\">%.*f</text>\n",
			BAR_LEFT + 6 + fmax(0, s.high * scale), y + 13, c->decimals, s.median);
	}
	fputs("</svg>\n", f);
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

static void curve_line(const struct results *r, unsigned int config, unsigned int test, double low,
		       double high, double legend_y, FILE *f)
{
	const char *colour = colours[config % STYLES], *dash = dashes[config % STYLES];
	struct summary s;

	fputs("<polyline fill=\"none\" points=\"", f);
	for (unsigned int i = 0; i < CURVE_POINTS; i++) {
		s = results_summary(r, config, test, curve[i].key);
		if (s.count && s.median > 0)
			fprintf(f, "%.1f,%.1f ", curve_x(curve[i].percent),
				curve_y(s.median, low, high));
	}
	fprintf(f, "\" stroke=\"%s\" stroke-width=\"2\" stroke-dasharray=\"%s\"/>", colour, dash);
	fprintf(f,
		"<path d=\"M%d %.1fh30\" stroke=\"%s\" stroke-width=\"2\" stroke-dasharray=\"%s\"/>",
		CURVE_LEFT + CURVE_WIDE + 20, legend_y - 4, colour, dash);
	fprintf(f, "<text x=\"%d\" y=\"%.1f\">", CURVE_LEFT + CURVE_WIDE + 56, legend_y);
	text(f, r->configs.name[config]);
	fputs("</text>\n", f);
}

/* Latency by percentile, both axes logarithmic. */
static void latency_curve(const struct results *r, unsigned int test, FILE *f)
{
	double low = INFINITY, high = 0, legend_y = 24;
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
	fprintf(f, "<svg viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\" role=\"img\">\n",
		CHART_WIDTH, CURVE_HIGH + 50, CHART_WIDTH, CURVE_HIGH + 50);
	for (double us = low; us <= high * 1.001; us *= 10) {
		fprintf(f, "<path d=\"M%d %.1fh%d\" stroke=\"#ccc\"/>", CURVE_LEFT,
			curve_y(us, low, high), CURVE_WIDE);
		fprintf(f, "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%.10g us</text>\n",
			CURVE_LEFT - 6, curve_y(us, low, high) + 4, us);
	}
	for (unsigned int i = 0; i < CURVE_POINTS; i++)
		fprintf(f, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%s</text>\n",
			curve_x(curve[i].percent), CURVE_HIGH + 28, curve[i].label);
	fprintf(f, "<text x=\"%d\" y=\"%d\">of the transactions answered within</text>\n",
		CURVE_LEFT, CURVE_HIGH + 45);
	for (unsigned int config = 0; config < r->configs.count; config++) {
		if (!results_summary(r, config, test, "p50_us").count)
			continue;
		curve_line(r, config, test, low, high, legend_y, f);
		legend_y += 18;
	}
	fputs("</svg>\n", f);
}

int report_html(const struct results *r, unsigned int base, FILE *f)
{
	const struct column *headline;

	fputs(head, f);
	fputs("<table>\n", f);
	for (unsigned int i = 0; i < r->about_count; i++) {
		fputs("<tr><td>", f);
		text(f, r->about[i].key);
		fputs("</td><td style=\"text-align: left\">", f);
		text(f, r->about[i].text);
		fputs("</td></tr>\n", f);
	}
	fputs("</table>\n<p>Medians of the rounds, with the lowest and highest round; failures, "
	      "retransmissions "
	      "and drops are summed. The ratio says how many times as good as ",
	      f);
	text(f, r->configs.name[base]);
	fputs(" (or, where that has no figure, the first) a configuration is; above 1 is better. A "
	      "unit is a transaction, or a megabyte of a "
	      "stream.</p>\n",
	      f);
	for (unsigned int test = 0; test < r->tests.count; test++) {
		headline = report_headline(r, test);
		if (!headline)
			continue;
		fputs("<section><h2>", f);
		text(f, r->tests.name[test]);
		fprintf(f, "</h2>\n<p>%s%s</p>\n", headline->title,
			headline->less_is_better ? "; less is better" : "");
		bars(r, test, headline, f);
		table(r, base, test, headline, false, f);
		latency_curve(r, test, f);
		if (report_has_details(r, test))
			table(r, base, test, headline, true, f);
		fputs("</section>\n", f);
	}
	fputs("</body></html>\n", f);
	return 0;
}
