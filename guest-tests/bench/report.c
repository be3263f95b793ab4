/* report: benchmark results as a text table, HTML, JSON and CSV. */
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <string.h>

#include "guest-tests/bench/out.h"
#include "guest-tests/bench/report.h"

const struct column report_columns[] = {
	{ "rate", "per second", false, false, false, 1 },
	{ "mbit_per_s", "Mbit/s", false, false, false, 1 },
	{ "mb_per_s", "MB/s", false, false, false, 1 },
	{ "first_output_ms", "first output, ms", true, false, false, 2 },
	{ "userland_ms", "userland, ms", true, false, false, 1 },
	{ "serving_ms", "serving, ms", true, false, false, 1 },
	{ "first_answer_ms", "first answer, ms", true, false, false, 2 },
	{ "own_kib", "own memory, KiB", true, false, false, 0 },
	{ "p50_us", "p50 us", true, false, false, 1 },
	{ "p99_us", "p99 us", true, false, false, 1 },
	{ "p99.9_us", "p99.9 us", true, false, false, 1 },
	{ "seconds", "seconds", true, false, false, 2 },
	{ "max_us", "longest us", true, false, false, 0 },
	{ "failures", "failures", true, true, false, 0 },
	{ "tcp.RetransSegs", "retrans", true, true, false, 0 },
	{ "before_ms", "before the kernel, ms", true, false, true, 1 },
	{ "kernel_ms", "kernel, ms", true, false, true, 1 },
	{ "agent_ms", "agent, ms", true, false, true, 1 },
	{ "command_ms", "command, ms", true, false, true, 1 },
	{ "drops_tap", "drops tap", true, true, true, 0 },
	{ "drops_vmm", "drops VMM", true, true, true, 0 },
	{ "drops_guest", "drops guest", true, true, true, 0 },
	{ "drops_unexplained", "unexplained", true, true, true, 0 },
	{ "exits_per_unit", "exits/unit", true, false, true, 2 },
	{ "vmm_exits_per_unit", "exits to VMM/unit", true, false, true, 2 },
	{ "kicks_per_unit", "kicks/unit", true, false, true, 2 },
	{ "irq_injections_per_unit", "irqs/unit", true, false, true, 2 },
	{ "halt_exits_per_unit", "halts/unit", true, false, true, 2 },
	{ "irq_exits_per_unit", "host irqs/unit", true, false, true, 2 },
	{ "irq_window_exits_per_unit", "irq windows/unit", true, false, true, 2 },
	{ "switches_per_unit", "switches/unit", true, false, true, 2 },
	{ "frames_per_unit", "frames/unit", true, false, true, 2 },
	{ "cpu_us_per_unit", "CPU us/unit", true, false, true, 2 },
	{ "vcpu_us_per_unit", "vCPU us/unit", true, false, true, 2 },
	{ "net_us_per_unit", "I/O us/unit", true, false, true, 2 },
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

struct ratio report_ratio(const struct results *r, unsigned int config, unsigned int base,
			  unsigned int test, const struct column *c)
{
	struct ratio ratio, turned;

	/* Bare metal, say, has no start-up: then the first that has. */
	for (unsigned int first = 0;
	     !results_summary(r, base, test, c->key).count && first < r->configs.count; first++)
		base = first;
	ratio = results_ratio(r, config, base, test, c->key);
	if (!c->less_is_better)
		return ratio;
	turned = (struct ratio){ ratio.rounds, 1 / ratio.ratio, 1 / ratio.high, 1 / ratio.low };
	return turned;
}

void report_ratio_text(const struct ratio *ratio, char text[REPORT_TEXT])
{
	if (!ratio->rounds)
		snprintf(text, REPORT_TEXT, "-");
	else if (ratio->low == 1 && ratio->high == 1) /* with itself */
		snprintf(text, REPORT_TEXT, "1.00");
	else if (ratio->rounds == 1)
		snprintf(text, REPORT_TEXT, "%.2f, one round", ratio->ratio);
	else
		snprintf(text, REPORT_TEXT, "%s%.2f (%.2f..%.2f)",
			 ratio_told_apart(ratio) ? "" : "not told apart, ", ratio->ratio,
			 ratio->low, ratio->high);
}

/* Pieces of a configuration's name: the VMM's, then its keys and the guest's words. */
static const struct {
	const char *piece, *name;
} words[] = {
	{ "bare", "bare metal" },	 { "floor", "an empty VM" },
	{ "qemu", "QEMU microvm" },	 { "lkvm", "kvmtool" },
	{ "transport=pci", "PCI" },	 { "transport=mmio", "MMIO" },
	{ "vhost=on", "vhost" },	 { "fs", "virtio-fs" },
	{ "disk", "ext4 on a disk" },	 { "root", "a job's root" },
	{ "vhost=1", "vhost" },		 { "mode=irq", "interrupts" },
	{ "mode=poll", "polling" },	 { "--sandbox=off", "no sandbox" },
	{ "model=rtl8139", "RTL8139" },	 { "--cpus=2", "2 vCPUs" },
	{ "queues=2", "2 queue pairs" },
};

static const char *word(const char *piece)
{
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (!strcmp(words[i].piece, piece))
			return words[i].name;
	return piece;
}

void report_config_name(const char *config, char name[REPORT_TEXT])
{
	char pieces[REPORT_TEXT], *rest = pieces, *piece;
	size_t used = 0;

	snprintf(pieces, sizeof(pieces), "%s", config);
	*name = 0;
	while ((piece = strsep(&rest, ":@,+%")) && used < REPORT_TEXT)
		used += (size_t)snprintf(name + used, REPORT_TEXT - used, "%s%s", used ? ", " : "",
					 word(piece));
}

const char *report_test_name(const char *test)
{
	static const struct {
		const char *test, *name;
	} names[] = {
		{ "start", "Start" },
		{ "memory", "Memory" },
		{ "ab", "ab: a page, many at once" },
		{ "crr1", "Connections, one at a time" },
		{ "crr", "Connections, many at once" },
		{ "rr1", "Requests, one at a time" },
		{ "rr", "Requests, many at once" },
		{ "udp1", "Requests by UDP, one at a time" },
		{ "stream", "Stream to the guest" },
		{ "maerts", "Stream from the guest" },
		{ "netperf-crr", "netperf TCP_CRR" },
		{ "netperf-cc", "netperf TCP_CC" },
		{ "netperf-rr", "netperf TCP_RR" },
		{ "netperf-stream", "netperf TCP_STREAM" },
		{ "netperf-maerts", "netperf TCP_MAERTS" },
		{ "netperf-udp", "netperf UDP_STREAM, received" },
		{ "job-bzImage", "Start of a job, bzImage" },
		{ "job-vmlinux", "Start of a job, vmlinux" },
		{ "write-1m", "A file written by 1 MiB" },
		{ "read-1m", "A file read by 1 MiB" },
		{ "read-1m-again", "A file read by 1 MiB, again" },
		{ "write-4k", "A file written by 4 KiB" },
		{ "read-4k", "A file read by 4 KiB" },
		{ "read-4k-again", "A file read by 4 KiB, again" },
		{ "create", "Small files made" },
		{ "list", "Small files listed with all attributes" },
		{ "list-again", "Small files listed, again" },
		{ "stat", "Small files looked up" },
		{ "open", "Small files opened and read" },
		{ "open-again", "Small files opened and read, again" },
		{ "remove", "Small files removed" },
	};

	static char many[REPORT_TEXT];
	unsigned int connections;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (!strcmp(names[i].test, test))
			return names[i].name;
	if (sscanf(test, "crr%u", &connections) == 1)
		snprintf(many, sizeof(many), "Connections, %u at a time", connections);
	else if (sscanf(test, "netperf-crr%u", &connections) == 1)
		snprintf(many, sizeof(many), "netperf TCP_CRR, %u at a time", connections);
	else
		return test;
	return many;
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
	char name[REPORT_TEXT], text[REPORT_TEXT];
	struct summary s;
	struct ratio ratio;

	printf("\n%s\n%-*s", report_test_name(r->tests.name[test]), name_width, "");
	if (!detail)
		printf("  %*s  %17s  %-35s", title_width(headline), headline->title, "low..high",
		       "ratio");
	for (const struct column *c = headline + 1; c->key; c++)
		if (c->detail == detail && report_has(r, test, c->key))
			printf("  %*s", title_width(c), c->title);
	printf("\n");
	for (unsigned int config = 0; config < r->configs.count; config++) {
		s = results_summary(r, config, test, headline->key);
		if (!s.count)
			continue;
		report_config_name(r->configs.name[config], name);
		printf("%-*s", name_width, name);
		if (!detail) {
			print_cell(report_figure(r, config, test, headline), headline->decimals,
				   title_width(headline));
			printf("  %8.*f..%-7.*f", headline->decimals, s.low, headline->decimals,
			       s.high);
			ratio = report_ratio(r, config, base, test, headline);
			report_ratio_text(&ratio, text);
			printf("  %-35s", text);
		}
		for (const struct column *c = headline + 1; c->key; c++)
			if (c->detail == detail && report_has(r, test, c->key))
				print_cell(report_figure(r, config, test, c), c->decimals,
					   title_width(c));
		printf("\n");
	}
}

static void begin_ledger(const struct results *r, unsigned int config, FILE *f)
{
	char name[REPORT_TEXT];

	report_config_name(r->configs.name[config], name);
	fprintf(f, "\nFrames of %s", name);
}

static void ledger_line(const char *label, FILE *f)
{
	if (label)
		fprintf(f, "\n  %s: ", label);
	else
		fputc('\n', f);
}

static void print_text(const struct results *r, unsigned int base)
{
	const struct column *headline;
	char name[REPORT_TEXT];
	size_t width = 12;

	for (unsigned int config = 0; config < r->configs.count; config++) {
		report_config_name(r->configs.name[config], name);
		if (strlen(name) > width)
			width = strlen(name);
	}
	for (unsigned int test = 0; test < r->tests.count; test++) {
		headline = report_headline(r, test);
		if (headline)
			print_table(r, base, test, headline, false, (int)width);
		if (headline && report_has_details(r, test))
			print_table(r, base, test, headline, true, (int)width);
	}
	report_ledger(r, stdout, begin_ledger, ledger_line);
	printf("\n");
	for (unsigned int i = 0; i < r->about_count; i++) {
		report_config_name(r->about[i].key, name);
		printf("%s: %s\n", name, r->about[i].text);
	}
	report_config_name(r->configs.name[base], name);
	printf("ratio: times as good as %s, or as the first where that has no figure, compared round by round; in "
	       "brackets its 95%% confidence interval.\n"
	       "Figures are medians of the rounds; failures, retransmissions and drops are summed. unit: a "
	       "transaction, or a megabyte of a stream.\n",
	       name);
}

/* Whether every headline is told apart from the base's. */
static bool all_told_apart(const struct results *r, unsigned int base)
{
	const struct column *headline;
	struct ratio ratio;

	for (unsigned int test = 0; test < r->tests.count; test++) {
		headline = report_headline(r, test);
		for (unsigned int config = 0; headline && config < r->configs.count; config++) {
			ratio = report_ratio(r, config, base, test, headline);
			if (ratio.rounds && ratio.low != ratio.high && !ratio_told_apart(&ratio))
				return false;
		}
	}
	return true;
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
	char name[REPORT_TEXT];

	report_config_name(config, name);
	fputs(first ? "\n  {\"config\": " : ",\n  {\"config\": ", f);
	out_json_string(f, config);
	fputs(", \"test\": ", f);
	out_json_string(f, test);
	fputs(", \"key\": ", f);
	out_json_string(f, key);
	fprintf(f,
		", \"rounds\": %u, \"median\": %.10g, \"low\": %.10g, \"high\": %.10g, \"name\": ",
		s->count, s->median, s->low, s->high);
	out_json_string(f, name);
	fputc('}', f);
}

static int write_json(const struct results *r, unsigned int base, FILE *f)
{
	fputs("{\"base\": ", f);
	out_json_string(f, r->configs.name[base]);
	fputs(", \"about\": {", f);
	for (unsigned int i = 0; i < r->about_count; i++) {
		fputs(i ? ", " : "", f);
		out_json_string(f, r->about[i].key);
		fputs(": ", f);
		out_json_string(f, r->about[i].text);
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
	csv_text(f, config);
	csv_text(f, test);
	csv_text(f, key);
	fprintf(f, "%u,%.10g,%.10g,%.10g\n", s->count, s->median, s->low, s->high);
}

static int write_csv(const struct results *r, unsigned int base, FILE *f)
{
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
		if (fflush(f))
			rc = -errno;
		else if (ferror(f))
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

#define STATUS_NOT_TOLD_APART 3

static const char usage[] =
	"usage: report [--base CONFIG] [--html FILE] [--json FILE] [--csv FILE] RESULTS...\n"
	"       report --told-apart [--base CONFIG] RESULTS...\n"
	"       report --rank [--base CONFIG] RESULTS...\n"
	"Prints results (lines config/test/round<TAB>key<TAB>value) as tables, and writes them as asked.\n"
	"CONFIG is what the others are compared with, the first one by default. --told-apart only says, by\n"
	"status 0 or 3, whether it is known of all of them that they differ from it; --rank sorts them by how much.\n";

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "base", required_argument, NULL, 'b' }, { "html", required_argument, NULL, 'h' },
		{ "json", required_argument, NULL, 'j' }, { "csv", required_argument, NULL, 'c' },
		{ "help", no_argument, NULL, '?' },	  { "told-apart", no_argument, NULL, 't' },
		{ "rank", no_argument, NULL, 'r' },	  { NULL, 0, NULL, 0 },
	};
	const char *base_name = NULL, *html = NULL, *json = NULL, *csv = NULL;
	static struct results results;
	bool only_told_apart = false, only_rank = false;
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
		case 't':
			only_told_apart = true;
			break;
		case 'r':
			only_rank = true;
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
	if (!rc && only_told_apart) {
		rc = all_told_apart(&results, (unsigned int)base) ? 0 : STATUS_NOT_TOLD_APART;
	} else if (!rc && only_rank) {
		rc = report_rank(&results, (unsigned int)base, stdout);
	} else if (!rc) {
		print_text(&results, (unsigned int)base);
		if (fflush(stdout) || ferror(stdout)) {
			rc = -errno;
			fprintf(stderr, "report: cannot write to standard output: %s\n",
				strerror(errno));
		}
		rc = write_file(&results, (unsigned int)base, html, report_html) ? -EIO : rc;
		rc = write_file(&results, (unsigned int)base, json, write_json) ? -EIO : rc;
		rc = write_file(&results, (unsigned int)base, csv, write_csv) ? -EIO : rc;
	}
	results_free(&results);
	return rc > 0 ? rc : rc ? 1 : 0;
}
