/* crr: connection and transaction rates over TCP and UDP, client and server in one small program. */
#include <errno.h>
#include <math.h>
#include <net/if.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "guest-tests/bench/flood.h"
#include "guest-tests/bench/load.h"
#include "guest-tests/bench/netperf.h"
#include "guest-tests/bench/netstat.h"
#include "guest-tests/bench/opts.h"
#include "guest-tests/bench/out.h"
#include "guest-tests/bench/server.h"

#define PROC_NET "/proc/net"

enum { EXIT_MEASURED = 0, EXIT_NOTHING = 1, EXIT_USAGE = 2 };

/* Set by SIGINT and SIGTERM; every thread looks at it. */
static atomic_int stop;

static void on_signal(int signal)
{
	atomic_store(&stop, 1);
}

static void catch_signals(void)
{
	struct sigaction action = { .sa_handler = on_signal };

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
}

/* What was not measured is no number: NAN, which is printed as null. */
static void add_latency(struct out *o, const struct hist *h)
{
	static const char *const percents[] = { "10", "25", "50",   "75",    "90",
						"95", "99", "99.9", "99.99", NULL };
	char key[32];

	for (int i = 0; percents[i]; i++) {
		snprintf(key, sizeof(key), "p%s_us", percents[i]);
		out_number(o, key,
			   h->count ? (double)hist_percentile(h, atof(percents[i])) / 1e3 : NAN, 2);
	}
	out_number(o, "max_us", h->count ? (double)h->max / 1e3 : NAN, 2);
	out_number(o, "mean_us", h->count ? hist_mean(h) / 1e3 : NAN, 2);
}

static void add_failures(struct out *o, const struct load_result *r)
{
	char key[48];
	double sum = 0;

	for (unsigned int i = 0; i < LOAD_FAILURES; i++)
		sum += (double)r->failure[i];
	out_number(o, "failures", sum, 0);
	for (unsigned int i = 0; i < LOAD_FAILURES; i++) {
		if (!r->failure[i])
			continue;
		snprintf(key, sizeof(key), "failures.%s", load_failure_name(i));
		out_number(o, key, (double)r->failure[i], 0);
	}
	out_number(o, "unfinished", (double)r->unfinished, 0);
}

static void add_netstat(struct out *o, const struct netstat *d)
{
	for (int i = 0; i < NETSTAT_COUNT; i++)
		out_number(o, netstat_names[i], d->value[i] < 0 ? NAN : (double)d->value[i], 0);
}

static void add_setup(struct out *out, const struct client_opts *o)
{
	out_text(out, "test", load_test_names[o->test]);
	out_text(out, "host", o->host_text);
	out_number(out, "port", o->port, 0);
	out_number(out, "threads", o->threads, 0);
	out_number(out, "connections", o->connections, 0);
	if (o->rate)
		out_number(out, "rate_target", o->rate, 0);
	if (opts_stream(o)) {
		out_number(out, "block", o->block, 0);
		return;
	}
	out_number(out, "request", o->request, 0);
	out_number(out, "response", o->response, 0);
	if (o->test == TEST_CRR)
		out_text(out, "close", load_close_names[o->close]);
}

static void add_result(struct out *out, const struct client_opts *o, const struct load_result *r)
{
	out_number(out, "seconds", r->seconds, 3);
	if (opts_stream(o)) {
		out_number(out, "bytes", (double)r->bytes, 0);
		out_number(out, "bytes_all", (double)r->bytes_all, 0);
		/* 0/0, when stopped before measuring, is printed as null. */
		out_number(out, "mbit_per_s", (double)r->bytes * 8 / 1e6 / r->seconds, 1);
	} else {
		out_number(out, "transactions", (double)r->transactions, 0);
		out_number(out, "transactions_all", (double)r->transactions_all, 0);
		out_number(out, "rate", (double)r->transactions / r->seconds, 1);
		add_latency(out, &r->latency);
		if (o->rate)
			out_number(out, "overdue", (double)r->overdue, 0);
	}
	add_failures(out, r);
}

/* As JSON, or with a @label in lines that are appended. */
static int write_file(const struct out *out, const char *label, const char *path)
{
	FILE *f = strcmp(path, "-") ? fopen(path, label ? "ae" : "we") : stdout;
	int rc = !f ? -errno : label ? out_write_tsv(out, label, f) : out_write_json(out, f);

	if (f && f != stdout && fclose(f))
		rc = rc ? rc : -errno;
	if (rc)
		fprintf(stderr, "crr: cannot write '%s': %s\n", path, strerror(-rc));
	return rc;
}

/* Whether all of --count came, and right; without it, whether anything did. */
static bool complete(const struct client_opts *o, const struct load_result *r)
{
	uint64_t wanted = opts_stream(o) ? (uint64_t)o->count * o->connections : o->count;

	if (!o->count)
		return r->transactions || r->bytes;
	for (unsigned int i = 0; i < LOAD_FAILURES; i++)
		if (r->failure[i])
			return false;
	return (opts_stream(o) ? r->bytes_all : r->transactions_all) == wanted;
}

static int client_main(int argc, char **argv)
{
	static const uint32_t ports[] = { PORT_CRR, PORT_RR,  PORT_DISCARD, PORT_CHARGEN,
					  PORT_RR,  PORT_CRR, PORT_DISCARD };
	static struct load_result result;
	static struct out out;
	struct netstat before, after, delta;
	char interface[IFNAMSIZ];
	struct client_opts o;
	int rc = 0, control = -1;
	bool good;

	if (opts_client(argc, argv, &o))
		return EXIT_USAGE;
	if (o.netperf) {
		control = netperf_begin(&o);
		if (control < 0)
			return EXIT_USAGE;
	} else if (!o.port) {
		/* A stream that is checked goes to whoever checks it. */
		o.port = o.count && o.test == TEST_STREAM ? PORT_VERIFY : ports[o.test];
	}
	netstat_interface(o.host, interface);
	netstat_read(PROC_NET, interface, &before);
	if (load_run(&o, &stop, &result))
		return EXIT_USAGE;
	netstat_read(PROC_NET, interface, &after);
	delta = netstat_delta(&before, &after);

	add_setup(&out, &o);
	add_result(&out, &o, &result);
	add_netstat(&out, &delta);
	if (delta.value[NETSTAT_TX_DROPPED] > 0 && delta.value[NETSTAT_RETRANS_SEGS] > 0)
		fprintf(stderr,
			"crr: %s has dropped %lld frames: a longer queue may hold so many "
			"connections (ip link set %s txqueuelen N)\n",
			interface, (long long)delta.value[NETSTAT_TX_DROPPED], interface);
	good = complete(&o, &result);
	if (o.netperf && !netperf_end(control, &o, &result, &out))
		good = false;
	if (!o.json || strcmp(o.json, "-"))
		rc = out_write_text(&out, stdout);
	if (o.json && write_file(&out, NULL, o.json))
		rc = -EIO;
	if (o.tsv && write_file(&out, o.label ? o.label : load_test_names[o.test], o.tsv))
		rc = -EIO;
	if (rc)
		return EXIT_USAGE;
	return good ? EXIT_MEASURED : EXIT_NOTHING;
}

static int flood_main(int argc, char **argv)
{
	struct client_opts o;

	return opts_flood(argc, argv, &o) || flood_run(&o) ? EXIT_USAGE : EXIT_MEASURED;
}

/* What the paired guest counts, as it says itself (its control port: guest-tests/guests/paired/services.h). */
static int counters_main(int argc, char **argv)
{
	struct sockaddr_in to = { .sin_family = AF_INET };
	struct timeval patience = { .tv_sec = 1 };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct client_opts o;
	char text[2048];
	ssize_t n = -1;

	if (opts_counters(argc, argv, &o))
		return EXIT_USAGE;
	to.sin_addr = o.host;
	to.sin_port = htons((uint16_t)o.port);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (!connect(fd, (struct sockaddr *)&to, sizeof(to)))
		for (int tries = 0; n < 0 && tries < 5 && send(fd, "counters", 8, 0) == 8; tries++)
			n = recv(fd, text, sizeof(text), 0);
	if (n < 0)
		fprintf(stderr, "crr: no counters from %s: %s\n", o.host_text, strerror(errno));
	return n >= 0 && fwrite(text, 1, (size_t)n, stdout) == (size_t)n ? EXIT_MEASURED
									 : EXIT_USAGE;
}

static int server_main(int argc, char **argv)
{
	static struct server_result r;
	static struct out out;
	struct netstat before, after, delta;
	struct server_opts o;
	int rc = 0;

	if (opts_server(argc, argv, &o))
		return EXIT_USAGE;
	netstat_read(PROC_NET, "", &before);
	if (server_run(&o, &stop, &r))
		return EXIT_USAGE;
	netstat_read(PROC_NET, "", &after);
	delta = netstat_delta(&before, &after);

	out_number(&out, "accepted", (double)r.accepted, 0);
	out_number(&out, "requests", (double)r.requests, 0);
	out_number(&out, "bytes_in", (double)r.bytes_in, 0);
	out_number(&out, "bytes_out", (double)r.bytes_out, 0);
	out_number(&out, "errors", (double)r.errors, 0);
	out_number(&out, "accept_errors", (double)r.accept_errors, 0);
	add_netstat(&out, &delta);
	if (!o.json || strcmp(o.json, "-"))
		rc = out_write_text(&out, stdout);
	if (o.json)
		rc = write_file(&out, NULL, o.json);
	return rc ? EXIT_USAGE : EXIT_MEASURED;
}

static int command(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--help")) {
			opts_help(stdout);
			return EXIT_MEASURED;
		}
	}
	if (argc > 1 && !strcmp(argv[1], "client"))
		return client_main(argc - 1, argv + 1);
	if (argc > 1 && !strcmp(argv[1], "server"))
		return server_main(argc - 1, argv + 1);
	if (argc > 1 && !strcmp(argv[1], "flood"))
		return flood_main(argc - 1, argv + 1);
	if (argc > 1 && !strcmp(argv[1], "counters"))
		return counters_main(argc - 1, argv + 1);
	fprintf(stderr, "crr: say 'crr client HOST' or 'crr server' (crr --help tells all)\n");
	return EXIT_USAGE;
}

int main(int argc, char **argv)
{
	catch_signals();
	const int status = command(argc, argv);

	if (fflush(stdout) == 0 && !ferror(stdout))
		return status;
	fprintf(stderr, "crr: cannot write to standard output: %s\n", strerror(errno));
	return EXIT_USAGE;
}
