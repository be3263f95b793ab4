/* Command line of crr: a table of long options per subcommand, and what they fill. */
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "opts.h"

#define MAX_DATAGRAM 65507u

const char *const load_test_names[] = { "crr",	  "rr", "stream",     "maerts",
					"udp_rr", "cc", "udp_stream", NULL };
const char *const load_close_names[] = { "server", "client", "reset", NULL };

enum kind { NUMBER, SECONDS, TEXT, CHOICE, ADDRESS, ADDRESSES, PORT_RANGE };

struct option_row {
	const char *name;
	enum kind kind;
	size_t offset;
	uint32_t low, high;
	const char *const *choices;
	const char *help;
};

#define AT(member) offsetof(struct client_opts, member)
static const struct option_row client_rows[] = {
	{ "test", CHOICE, AT(test), 0, 0, load_test_names,
	  "crr|rr|stream|maerts|udp_rr|cc|udp_stream   connect+request+response+close;\n"
	  "                      request+response; bulk to the server; bulk to the client; UDP; a\n"
	  "                      connection that the server closes at once; datagrams that nobody\n"
	  "                      answers (default crr)" },
	{ "port", NUMBER, AT(port), 1, 65535, NULL,
	  "N          default: the port of crr's own server for the test" },
	{ "connections", NUMBER, AT(connections), 1, 65536, NULL,
	  "N   connections in parallel (default 1, as netperf)" },
	{ "threads", NUMBER, AT(threads), 1, 64, NULL, "N       default 1" },
	{ "rate", NUMBER, AT(rate), 1, 100000000, NULL,
	  "N          open loop: N transactions/s in all, latency counted from the time each\n"
	  "                      was meant to be sent (default: closed loop)" },
	{ "seconds", SECONDS, AT(seconds_ns), 0, 0, NULL,
	  "S       measure for S seconds (default 10)" },
	{ "count", NUMBER, AT(count), 1, INT32_MAX, NULL,
	  "N         so many transactions in all, or bytes of each stream, instead of a time; every\n"
	  "                      byte received is checked: status 0 only if all of it came, and right" },
	{ "netperf", NUMBER, AT(netperf), 1, 65535, NULL,
	  "PORT    agree on the test with netserver's control port there (12865), and compare\n"
	  "                      what both have counted" },
	{ "warmup", SECONDS, AT(warmup_ns), 0, 0, NULL,
	  "S        run S seconds before measuring (default 1)" },
	{ "timeout", SECONDS, AT(timeout_ns), 0, 0, NULL,
	  "S       give up a transaction after S seconds (default 5)" },
	{ "request", NUMBER, AT(request), 1, OPTS_MAX_PAYLOAD, NULL, "SIZE    default 1 byte" },
	{ "response", NUMBER, AT(response), 1, OPTS_MAX_PAYLOAD, NULL,
	  "SIZE   default 1 byte; an echo server answers with the request's size" },
	{ "block", NUMBER, AT(block), 1, OPTS_MAX_PAYLOAD, NULL,
	  "SIZE      bytes per send of a stream (default 64K, in a datagram 65507)" },
	{ "close", CHOICE, AT(close), 0, 0, load_close_names,
	  "server|client|reset   who ends a crr connection (default server, see below)" },
	{ "source", ADDRESSES, AT(source), 0, 0, NULL,
	  "A[,B...]  connect from these local addresses in turn" },
	{ "source-ports", PORT_RANGE, AT(source_port_low), 0, 0, NULL,
	  "LO-HI  cycle explicitly through these local ports" },
	{ "json", TEXT, AT(json), 0, 0, NULL,
	  "FILE       write the result as JSON ('-': stdout, instead of text)" },
	{ "tsv", TEXT, AT(tsv), 0, 0, NULL,
	  "FILE        append the result as lines LABEL<TAB>key<TAB>value" },
	{ "label", TEXT, AT(label), 0, 0, NULL,
	  "TEXT      the label of those lines (default: the test)" },
	{ NULL, 0, 0, 0, 0, NULL, NULL },
};
#undef AT

#define AT(member) offsetof(struct server_opts, member)
static const struct option_row server_rows[] = {
	{ "bind", ADDRESS, AT(bind), 0, 0, NULL, "ADDR       default 0.0.0.0" },
	{ "threads", NUMBER, AT(threads), 1, 64, NULL, "N       default 1" },
	{ "crr", NUMBER, AT(port_crr), 0, 65535, NULL,
	  "PORT        one request, one response, then the server closes (default 5001)" },
	{ "rr", NUMBER, AT(port_rr), 0, 65535, NULL,
	  "PORT         request and response until the client closes; TCP and UDP (default 5002)" },
	{ "discard", NUMBER, AT(port_discard), 0, 65535, NULL,
	  "PORT    read and drop (default 5009)" },
	{ "chargen", NUMBER, AT(port_chargen), 0, 65535, NULL,
	  "PORT    send for as long as the client reads (default 5019)" },
	{ "verify", NUMBER, AT(port_verify), 0, 65535, NULL,
	  "PORT     check a stream, and answer its end with how many bytes were right, 64 bits\n"
	  "                      (default 5010)" },
	{ "request", NUMBER, AT(request), 1, OPTS_MAX_PAYLOAD, NULL, "SIZE    default 1 byte" },
	{ "response", NUMBER, AT(response), 1, OPTS_MAX_PAYLOAD, NULL, "SIZE   default 1 byte" },
	{ "block", NUMBER, AT(block), 1, OPTS_MAX_PAYLOAD, NULL, "SIZE      default 64K" },
	{ "json", TEXT, AT(json), 0, 0, NULL,
	  "FILE       at the end, write the totals as JSON ('-': stdout, instead of text)" },
	{ NULL, 0, 0, 0, 0, NULL, NULL },
};
#undef AT

static const char client_notes[] =
	"\n"
	"Who closes. The side that closes first keeps the connection in TIME_WAIT for a minute.\n"
	"  server  the server closes after its response, as netperf's TCP_CRR: TIME_WAIT stays there, the\n"
	"          client's ports are free at once and no run length exhausts them. Needs a server that\n"
	"          closes (crr server's port 5001).\n"
	"  client  the client closes after the response (an echo server). TIME_WAIT stays here: beyond 400\n"
	"          connections/s set net.ipv4.tcp_tw_reuse=1 (needs TCP timestamps on both sides) or give\n"
	"          several --source addresses; what fails is counted as EADDRNOTAVAIL.\n"
	"  reset   the client resets after the response: no TIME_WAIT, but fewer packets per connection\n"
	"          than a real close, so not comparable with netperf.\n"
	"Retransmissions and listen drops are those of the whole network namespace during the run.\n"
	"Percentiles are at most 0.8% too high, never too low. SIGINT or SIGTERM ends the run early.\n"
	"Exit status: 0 measured, 1 nothing completed (or not all of --count, or netserver counts otherwise),\n"
	"2 usage or set-up.\n";

int opts_number(const char *text, uint32_t low, uint32_t high, uint32_t *out)
{
	unsigned long long v;
	char *end;

	if (!isdigit((unsigned char)text[0]))
		return -EINVAL;
	errno = 0;
	v = strtoull(text, &end, 10);
	if (errno || v > UINT32_MAX)
		return -EINVAL;
	switch (*end) {
	case 'G':
		v <<= 10;
		/* fallthrough */
	case 'M':
		v <<= 10;
		/* fallthrough */
	case 'K':
		v <<= 10;
		end++;
	}
	if (*end || v < low || v > high)
		return -EINVAL;
	*out = (uint32_t)v;
	return 0;
}

int opts_seconds(const char *text, uint64_t *out_ns)
{
	double s;
	char *end;

	/* strtod alone would take "inf", "0x1p3" and a sign. */
	if (text[strspn(text, "0123456789.")] || !strpbrk(text, "0123456789"))
		return -EINVAL;
	s = strtod(text, &end);
	if (*end || s > 86400)
		return -EINVAL;
	*out_ns = (uint64_t)(s * 1e9 + 0.5);
	return 0;
}

static int parse_choice(const char *text, const char *const *choices, uint32_t *out)
{
	for (uint32_t i = 0; choices[i]; i++) {
		if (!strcmp(text, choices[i])) {
			*out = i;
			return 0;
		}
	}
	return -EINVAL;
}

static int parse_addresses(const char *text, struct client_opts *o)
{
	char one[INET_ADDRSTRLEN];
	size_t length;

	o->sources = 0;
	for (;;) {
		length = strcspn(text, ",");
		if (length >= sizeof(one) || o->sources == OPTS_MAX_SOURCES)
			return -EINVAL;
		memcpy(one, text, length);
		one[length] = 0;
		if (inet_pton(AF_INET, one, &o->source[o->sources++]) != 1)
			return -EINVAL;
		if (!text[length])
			return 0;
		text += length + 1;
	}
}

static int parse_port_range(const char *text, uint32_t *low_high)
{
	const char *dash = strchr(text, '-');
	char low[8];

	if (!dash || (size_t)(dash - text) >= sizeof(low))
		return -EINVAL;
	memcpy(low, text, (size_t)(dash - text));
	low[dash - text] = 0;
	if (opts_number(low, 1, 65535, &low_high[0]) ||
	    opts_number(dash + 1, 1, 65535, &low_high[1]) || low_high[0] > low_high[1])
		return -EINVAL;
	return 0;
}

static int parse_value(const struct option_row *row, const char *text, void *opts)
{
	void *at = (char *)opts + row->offset;

	switch (row->kind) {
	case NUMBER:
		return opts_number(text, row->low, row->high, at);
	case SECONDS:
		return opts_seconds(text, at);
	case TEXT:
		*(const char **)at = text;
		return *text ? 0 : -EINVAL;
	case CHOICE:
		return parse_choice(text, row->choices, at);
	case ADDRESS:
		return inet_pton(AF_INET, text, at) == 1 ? 0 : -EINVAL;
	case ADDRESSES:
		return parse_addresses(text, opts);
	case PORT_RANGE:
		return parse_port_range(text, at);
	}
	return -EINVAL;
}

static const struct option_row *find_row(const struct option_row *rows, const char *name,
					 size_t length)
{
	for (; rows->name; rows++)
		if (strlen(rows->name) == length && !memcmp(rows->name, name, length))
			return rows;
	return NULL;
}

static int bad_value(const struct option_row *row, const char *value, FILE *err)
{
	if (row->kind == NUMBER)
		fprintf(err, "crr: --%s: '%s' is not a number from %u to %u\n", row->name, value,
			row->low, row->high);
	else
		fprintf(err, "crr: --%s: bad value '%s' (see crr --help)\n", row->name, value);
	return -EINVAL;
}

/* Options are "--name value" or "--name=value"; at most one other word, handed back in @word. */
static int parse(int argc, char **argv, const struct option_row *rows, void *opts,
		 const char **word, FILE *err)
{
	const struct option_row *row;
	const char *name, *value;
	size_t length;

	*word = NULL;
	for (int i = 1; i < argc; i++) {
		if (strncmp(argv[i], "--", 2)) {
			if (*word || argv[i][0] == '-') {
				fprintf(err, "crr: unexpected argument '%s'\n", argv[i]);
				return -EINVAL;
			}
			*word = argv[i];
			continue;
		}
		name = argv[i] + 2;
		length = strcspn(name, "=");
		row = find_row(rows, name, length);
		if (!row) {
			fprintf(err, "crr: unknown option '%s' (see crr --help)\n", argv[i]);
			return -EINVAL;
		}
		value = name[length] ? name + length + 1 : argv[++i];
		if (!value) {
			fprintf(err, "crr: --%s needs a value\n", row->name);
			return -EINVAL;
		}
		if (parse_value(row, value, opts))
			return bad_value(row, value, err);
	}
	return 0;
}

/* What every client needs: the server's address, and words that parse. */
static int parse_client(int argc, char **argv, struct client_opts *o, FILE *err)
{
	int rc = parse(argc, argv, client_rows, o, &o->host_text, err);

	if (rc)
		return rc;
	if (!o->host_text) {
		fprintf(err, "crr: %s needs the server's address (crr %s HOST ...)\n", argv[0],
			argv[0]);
		return -EINVAL;
	}
	if (inet_pton(AF_INET, o->host_text, &o->host) != 1) {
		fprintf(err, "crr: '%s' is not an IPv4 address\n", o->host_text);
		return -EINVAL;
	}
	return 0;
}

int opts_flood(int argc, char **argv, struct client_opts *o, FILE *err)
{
	*o = (struct client_opts){ .port = PORT_CRR };
	if (parse_client(argc, argv, o, err))
		return -EINVAL;
	if (!o->count) {
		fprintf(err, "crr: flood needs --count N, the number of SYNs\n");
		return -EINVAL;
	}
	return 0;
}

int opts_counters(int argc, char **argv, struct client_opts *o, FILE *err)
{
	*o = (struct client_opts){ .port = PORT_CONTROL };
	return parse_client(argc, argv, o, err);
}

int opts_client(int argc, char **argv, struct client_opts *o, FILE *err)
{
	bool stream, datagrams;

	*o = (struct client_opts){ .threads = 1,
				   .connections = 1,
				   .seconds_ns = 10000000000u,
				   .warmup_ns = 1000000000u,
				   .timeout_ns = 5000000000u,
				   .request = 1,
				   .response = 1 };
	if (parse_client(argc, argv, o, err))
		return -EINVAL;
	stream = o->test == TEST_STREAM || o->test == TEST_MAERTS || o->test == TEST_UDP_STREAM;
	datagrams = o->test == TEST_UDP_RR || o->test == TEST_UDP_STREAM;
	if (!o->block)
		o->block = datagrams ? MAX_DATAGRAM : 65536;
	if (o->threads > o->connections) {
		fprintf(err, "crr: %u threads need at least as many --connections, not %u\n",
			o->threads, o->connections);
		return -EINVAL;
	}
	if (!o->seconds_ns || !o->timeout_ns) {
		fprintf(err, "crr: --seconds and --timeout must not be 0\n");
		return -EINVAL;
	}
	if (o->rate && (stream || o->count)) {
		fprintf(err, "crr: --rate is for transactions that time ends, not for %s\n",
			stream ? load_test_names[o->test] : "--count");
		return -EINVAL;
	}
	if (datagrams && (o->request > MAX_DATAGRAM || o->response > MAX_DATAGRAM ||
			  (stream && o->block > MAX_DATAGRAM))) {
		fprintf(err, "crr: a UDP datagram holds at most %u bytes\n", MAX_DATAGRAM);
		return -EINVAL;
	}
	if (o->netperf && o->connections > 1 && o->test != TEST_CRR && o->test != TEST_CC) {
		fprintf(err, "crr: netserver takes one connection for --test %s, not %u\n",
			load_test_names[o->test], o->connections);
		return -EINVAL;
	}
	return 0;
}

int opts_server(int argc, char **argv, struct server_opts *o, FILE *err)
{
	const char *word;
	int rc;

	*o = (struct server_opts){ .threads = 1,
				   .port_crr = PORT_CRR,
				   .port_rr = PORT_RR,
				   .port_discard = PORT_DISCARD,
				   .port_chargen = PORT_CHARGEN,
				   .port_verify = PORT_VERIFY,
				   .request = 1,
				   .response = 1,
				   .block = 65536 };
	rc = parse(argc, argv, server_rows, o, &word, err);
	if (rc)
		return rc;
	if (word) {
		fprintf(err, "crr: unexpected argument '%s'\n", word);
		return -EINVAL;
	}
	if (!o->port_crr && !o->port_rr && !o->port_discard && !o->port_chargen &&
	    !o->port_verify) {
		fprintf(err, "crr: every service is switched off, nothing to serve\n");
		return -EINVAL;
	}
	return 0;
}

static void print_rows(FILE *f, const struct option_row *rows)
{
	for (; rows->name; rows++)
		fprintf(f, "  --%s %s\n", rows->name, rows->help);
}

void opts_help(FILE *f)
{
	fprintf(f,
		"crr: connection and transaction rates over TCP and UDP, client and server in one\n\n"
		"crr server [options]\n");
	print_rows(f, server_rows);
	fprintf(f, "\ncrr client HOST [options]\n");
	print_rows(f, client_rows);
	fprintf(f, "\ncrr flood HOST --count N [--port N]\n"
		   "  so many SYNs from as many addresses, never followed up; needs CAP_NET_RAW\n"
		   "\ncrr counters HOST [--port N]\n"
		   "  what the paired guest counts: one NAME=VALUE line each (port 4)\n");
	fputs(client_notes, f);
}
