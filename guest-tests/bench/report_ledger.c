/* The drop ledger of each configuration (devices/net/ledger.h): the way of the frames, and what neither side explains. */
#include <string.h>

#include "guest-tests/bench/report.h"

static double total(const struct results *r, unsigned int config, const char *key)
{
	const int test = names_find(&r->tests, "ledger");
	struct summary s = { 0 };

	if (test >= 0)
		s = results_summary(r, config, (unsigned int)test, key);
	return s.sum;
}

/* "sent 10 -> lost qdisc 2 -> delivered 8": what was lost in the order of the way, what is nothing is left out. */
static void print_way(const struct results *r, unsigned int config, const char *way, FILE *f)
{
	const size_t len = strlen(way);
	static const struct {
		const char *row, *words;
	} left[] = {
		{ "waiting", "waiting" },
		{ "unread", "unread" },
	};
	char key[REPORT_TEXT];

	snprintf(key, sizeof(key), "%s.sent", way);
	fprintf(f, "sent %.0f", total(r, config, key));
	for (unsigned int i = 0; i < r->keys.count; i++) {
		const char *name = r->keys.name[i];

		if (!strncmp(name, way, len) && !strncmp(name + len, ".lost_", 6) &&
		    total(r, config, name) > 0)
			fprintf(f, " -> lost %s %.0f", name + len + 6, total(r, config, name));
	}
	for (unsigned int i = 0; i < sizeof(left) / sizeof(left[0]); i++) {
		snprintf(key, sizeof(key), "%s.%s", way, left[i].row);
		if (total(r, config, key) > 0)
			fprintf(f, " -> %s %.0f", left[i].words, total(r, config, key));
	}
	snprintf(key, sizeof(key), "%s.delivered", way);
	fprintf(f, " -> delivered %.0f", total(r, config, key));
}

static double retransmissions(const struct results *r, unsigned int config)
{
	double sum = 0;

	for (unsigned int test = 0; test < r->tests.count; test++)
		sum += results_summary(r, config, test, "tcp.RetransSegs").sum;
	return sum;
}

void report_ledger(const struct results *r, FILE *f,
		   void (*begin)(const struct results *r, unsigned int config, FILE *f),
		   void (*line)(const char *label, FILE *f))
{
	for (unsigned int config = 0; config < r->configs.count; config++) {
		if (!total(r, config, "to_guest.sent") && !total(r, config, "from_guest.sent"))
			continue;
		begin(r, config, f);
		line("host's interface -> tap -> minivmm -> guest", f);
		print_way(r, config, "to_guest", f);
		line("guest -> minivmm -> tap -> host's interface", f);
		print_way(r, config, "from_guest", f);
		line("unexplained", f);
		fprintf(f, "%.0f",
			total(r, config, "to_guest.unexplained") +
				total(r, config, "from_guest.unexplained"));
		line("TCP segments repeated by the client", f);
		fprintf(f, "%.0f", retransmissions(r, config));
		line(NULL, f);
	}
}
