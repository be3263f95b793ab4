/* Command line of crr: one table for the client's options, one for the server's. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "guest-tests/bench/opts.h"
#include "vmm/base/log.h"
#include "vmm/base/options.h"

#define MAX_DATAGRAM 65507u
#define NS_PER_S     1000000000u

const char *const load_test_names[] = { "crr",	  "rr", "stream",     "maerts",
					"udp_rr", "cc", "udp_stream", NULL };
const char *const load_close_names[] = { "server", "client", "reset", NULL };

/* strtod() alone would take "inf", "0x1p3" and a sign. */
static int parse_seconds(void *at, const char *text)
{
	char *end;
	double s;

	if (text[strspn(text, "0123456789.")] || !strpbrk(text, "0123456789"))
		return -EINVAL;
	s = strtod(text, &end);
	if (*end || s > 86400)
		return -EINVAL;
	*(uint64_t *)at = (uint64_t)(s * NS_PER_S + 0.5);
	return 0;
}

static int parse_address(void *at, const char *text)
{
	return inet_pton(AF_INET, text, at) == 1 ? 0 : -EINVAL;
}

static int parse_addresses(void *at, const char *text)
{
	struct source_list *list = at;
	char one[INET_ADDRSTRLEN];
	size_t length;

	list->count = 0;
	for (;;) {
		length = strcspn(text, ",");
		if (length >= sizeof(one) || list->count == OPTS_MAX_SOURCES)
			return -EINVAL;
		memcpy(one, text, length);
		one[length] = 0;
		if (parse_address(&list->address[list->count++], one))
			return -EINVAL;
		if (!text[length])
			return 0;
		text += length + 1;
	}
}

static int parse_port_range(void *at, const char *text)
{
	struct port_range *range = at;
	uint64_t port[2];
	const char *dash = strchr(text, '-');
	char low[8];

	if (!dash || (size_t)(dash - text) >= sizeof(low))
		return -EINVAL;
	memcpy(low, text, (size_t)(dash - text));
	low[dash - text] = 0;
	if (option_parse_size(low, &port[0]) || option_parse_size(dash + 1, &port[1]) || !port[0] ||
	    port[0] > port[1] || port[1] > UINT16_MAX)
		return -EINVAL;
	*range = (struct port_range){ (uint32_t)port[0], (uint32_t)port[1] };
	return 0;
}

#define COUNT(option, member, least, most) \
	.name = option, .type = OPTION_COUNT, .offset = AT(member), .min = least, .max = most
#define OTHER(option, member, function, what)                                          \
	.name = option, .type = OPTION_OTHER, .offset = AT(member), .parse = function, \
	.wanted = what
#define SECONDS(option, member)                                                           \
	OTHER(option, member, parse_seconds, "seconds, such as 2 or 0.5, at most a day"), \
		.value = "S"
#define TEXT(option, member) \
	.name = option, .type = OPTION_TEXT, .offset = AT(member), .wanted = "a name"

#define AT(member) offsetof(struct client_opts, member)
static const struct option client_rows[] = {
	{ .name = "test",
	  .type = OPTION_WORD,
	  .offset = AT(test),
	  .words = load_test_names,
	  .value = "TEST",
	  .help = "crr (the default): connect, request, response, close; rr: request, response;\n"
		  "stream: bulk to the server; maerts: bulk to the client; udp_rr: rr by UDP;\n"
		  "cc: a connection that the server closes at once; udp_stream: datagrams that\n"
		  "nobody answers" },
	{ COUNT("port", port, 1, UINT16_MAX), .value = "N",
	  .help = "default: the port of crr's own server for the test" },
	{ COUNT("connections", connections, 1, 65536), .value = "N", .preset = "1",
	  .help = "connections in parallel" },
	{ COUNT("threads", threads, 1, 64), .value = "N", .preset = "1", .help = "threads" },
	{ COUNT("rate", rate, 1, 100000000), .value = "N",
	  .help = "open loop: N transactions/s in all, latency counted from the time each was\n"
		  "meant to be sent (default: closed loop)" },
	{ SECONDS("seconds", seconds_ns), .preset = "10", .help = "measure for S seconds" },
	{ COUNT("count", count, 1, INT32_MAX), .value = "N",
	  .help = "so many transactions in all, or bytes of each stream, instead of a time; every\n"
		  "byte received is checked: status 0 only if all of it came, and right" },
	{ COUNT("netperf", netperf, 1, UINT16_MAX), .value = "PORT",
	  .help = "agree on the test with netserver's control port there (12865), and compare\n"
		  "what both have counted" },
	{ SECONDS("warmup", warmup_ns), .preset = "1", .help = "run S seconds before measuring" },
	{ SECONDS("timeout", timeout_ns), .preset = "5",
	  .help = "give up a transaction after S seconds" },
	{ COUNT("request", request, 1, OPTS_MAX_PAYLOAD), .value = "SIZE", .preset = "1",
	  .help = "bytes of a request" },
	{ COUNT("response", response, 1, OPTS_MAX_PAYLOAD), .value = "SIZE", .preset = "1",
	  .help = "bytes of a response; an echo server answers with the request's size" },
	{ COUNT("block", block, 1, OPTS_MAX_PAYLOAD), .value = "SIZE",
	  .help = "bytes per send of a stream (default 64K, in a datagram 65507)" },
	{ .name = "close",
	  .type = OPTION_WORD,
	  .offset = AT(close),
	  .words = load_close_names,
	  .value = "WHO",
	  .help = "server, client or reset: who ends a crr connection (default server, see below)" },
	{ OTHER("source", source, parse_addresses, "up to 64 IPv4 addresses, parted by commas"),
	  .value = "A[,B...]", .help = "connect from these local addresses in turn" },
	{ OTHER("source-ports", source_ports, parse_port_range, "two ports, such as 2000-2999"),
	  .value = "LO-HI", .help = "cycle explicitly through these local ports" },
	{ TEXT("json", json), .value = "FILE",
	  .help = "write the result as JSON ('-': stdout, instead of text)" },
	{ TEXT("tsv", tsv), .value = "FILE",
	  .help = "append the result as lines LABEL<TAB>key<TAB>value" },
	{ TEXT("label", label), .value = "TEXT",
	  .help = "the label of those lines (default: the test)" },
	{ NULL },
};
#undef AT

#define AT(member) offsetof(struct server_opts, member)
#define SERVICE(option, member, port, text) \
	COUNT(option, member, 0, UINT16_MAX), .value = "PORT", .preset = port, .help = text
static const struct option server_rows[] = {
	{ OTHER("bind", bind, parse_address, "an IPv4 address"), .value = "ADDR",
	  .help = "default 0.0.0.0" },
	{ COUNT("threads", threads, 1, 64), .value = "N", .preset = "1", .help = "threads" },
	{ SERVICE("crr", port_crr, "5001", "one request, one response, then the server closes") },
	{ SERVICE("rr", port_rr, "5002",
		  "request and response until the client closes; TCP and UDP") },
	{ SERVICE("discard", port_discard, "5009", "read and drop") },
	{ SERVICE(
		"verify", port_verify, "5010",
		"check a stream, and answer its end with how many bytes were right,\n64 bits wide") },
	{ SERVICE("chargen", port_chargen, "5019", "send for as long as the client reads") },
	{ SERVICE("http", port_http, "0", "one answer to every request; 0: not served") },
	{ COUNT("request", request, 1, OPTS_MAX_PAYLOAD), .value = "SIZE", .preset = "1",
	  .help = "bytes of a request" },
	{ COUNT("response", response, 1, OPTS_MAX_PAYLOAD), .value = "SIZE", .preset = "1",
	  .help = "bytes of a response" },
	{ COUNT("block", block, 1, OPTS_MAX_PAYLOAD), .value = "SIZE", .preset = "64K",
	  .help = "bytes per send of a stream" },
	{ TEXT("json", json), .value = "FILE",
	  .help = "at the end, write the totals as JSON ('-': stdout, instead of text)" },
	{ NULL },
};
#undef AT

static const struct option_group client_group = {
	.name = "client",
	.size = sizeof(struct client_opts),
	.of = (const struct option_rows[]){ { .rows = client_rows }, { NULL } },
};

static const struct option_group server_group = {
	.name = "server",
	.size = sizeof(struct server_opts),
	.of = (const struct option_rows[]){ { .rows = server_rows }, { NULL } },
};

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

/* Options as minivmm's subcommands have them; at most one other word, handed back in @word. */
static int parse(int argc, char **argv, const struct option_group *group, void *values,
		 const char **word)
{
	const struct option *action; /* there is none */
	int ret = 0;

	*word = NULL;
	options_init(group, values);
	for (int i = 1; !ret && i < argc; i++)
		if (!*word && argv[i][0] != '-')
			*word = argv[i];
		else
			ret = options_next_word(group, values, argc, argv, &i, &action);
	return ret;
}

/* What every client needs: the server's address, and words that parse. */
static int parse_client(int argc, char **argv, struct client_opts *o)
{
	const char *host;

	if (parse(argc, argv, &client_group, o, &host))
		return -EINVAL;
	o->host_text = host;
	if (!host)
		log_error("%s needs the server's address (crr %s HOST ...)", argv[0], argv[0]);
	else if (parse_address(&o->host, host))
		log_error("'%s' is not an IPv4 address", host);
	else
		return 0;
	return -EINVAL;
}

int opts_flood(int argc, char **argv, struct client_opts *o)
{
	if (parse_client(argc, argv, o))
		return -EINVAL;
	if (!o->port)
		o->port = PORT_CRR;
	if (o->count)
		return 0;
	return log_fail(-EINVAL, "flood needs --count N, the number of SYNs");
}

int opts_counters(int argc, char **argv, struct client_opts *o)
{
	if (parse_client(argc, argv, o))
		return -EINVAL;
	if (!o->port)
		o->port = PORT_CONTROL;
	return 0;
}

int opts_client(int argc, char **argv, struct client_opts *o)
{
	if (parse_client(argc, argv, o))
		return -EINVAL;
	if (!o->block)
		o->block = opts_udp(o) ? MAX_DATAGRAM : 65536;
	if (o->threads > o->connections)
		log_error("%u threads need at least as many --connections, not %u", o->threads,
			  o->connections);
	else if (!o->seconds_ns || !o->timeout_ns)
		log_error("--seconds and --timeout must not be 0");
	else if (o->rate && (opts_stream(o) || o->count))
		log_error("--rate is for transactions that time ends, not for %s",
			  opts_stream(o) ? load_test_names[o->test] : "--count");
	else if (opts_udp(o) && (o->request > MAX_DATAGRAM || o->response > MAX_DATAGRAM ||
				 (opts_stream(o) && o->block > MAX_DATAGRAM)))
		log_error("a UDP datagram holds at most %u bytes", MAX_DATAGRAM);
	else if (o->netperf && o->connections > 1 && o->test != TEST_CRR && o->test != TEST_CC)
		log_error("netserver takes one connection for --test %s, not %u",
			  load_test_names[o->test], o->connections);
	else
		return 0;
	return -EINVAL;
}

int opts_server(int argc, char **argv, struct server_opts *o)
{
	const char *word;

	if (parse(argc, argv, &server_group, o, &word))
		return -EINVAL;
	if (word)
		log_error("unexpected argument '%s'", word);
	else if (!o->port_crr && !o->port_rr && !o->port_discard && !o->port_chargen &&
		 !o->port_verify && !o->port_http)
		log_error("every service is switched off, nothing to serve");
	else
		return 0;
	return -EINVAL;
}

void opts_help(FILE *f)
{
	fprintf(f,
		"crr: connection and transaction rates over TCP and UDP, client and server in one\n\n"
		"crr server [options]\n");
	options_help(f, &server_group, "  ", true);
	fprintf(f, "\ncrr client HOST [options]\n");
	options_help(f, &client_group, "  ", true);
	fprintf(f, "\ncrr flood HOST --count N [--port N]\n"
		   "  so many SYNs from as many addresses, never followed up; needs CAP_NET_RAW\n"
		   "\ncrr counters HOST [--port N]\n"
		   "  what the paired guest counts: one NAME=VALUE line each (port 4)\n");
	fputs(client_notes, f);
}
