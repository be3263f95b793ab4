/* Command line of crr: what its options fill. */
#ifndef BENCH_OPTS_H
#define BENCH_OPTS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define OPTS_MAX_SOURCES 64
#define OPTS_MAX_PAYLOAD (16u << 20)

/* Ports of crr's own server. A guest that offers the classic services is reached with --port 7, 9, 19. */
enum {
	PORT_CRR = 5001,
	PORT_RR = 5002,
	PORT_DISCARD = 5009,
	PORT_VERIFY = 5010,
	PORT_CHARGEN = 5019,
	PORT_CONTROL = 4
};

enum load_test {
	TEST_CRR,
	TEST_RR,
	TEST_STREAM,
	TEST_MAERTS,
	TEST_UDP_RR,
	TEST_CC,
	TEST_UDP_STREAM
};
enum load_close { CLOSE_SERVER, CLOSE_CLIENT, CLOSE_RESET };

extern const char *const load_test_names[];  /* by enum load_test, NULL at the end */
extern const char *const load_close_names[]; /* by enum load_close, NULL at the end */

struct client_opts {
	struct in_addr host;
	const char *host_text;
	uint32_t test, close;
	uint32_t port; /* 0: the test's own */
	uint32_t threads, connections;
	uint64_t seconds_ns, warmup_ns, timeout_ns;
	uint32_t
		count; /* transactions in all, or bytes of each stream; 0: as many as the time allows */
	uint32_t netperf; /* control port of a netserver that is to take part; 0: none */
	uint32_t rate;	  /* transactions per second in all; 0: closed loop */
	uint32_t request, response, block;
	struct source_list {
		struct in_addr address[OPTS_MAX_SOURCES];
		uint32_t count;
	} source;
	struct port_range {
		uint32_t low, high; /* 0: the kernel chooses */
	} source_ports;
	const char *json, *tsv, *label;
};

/* Whether a test moves bytes until it is over, and whether it does what it does by UDP. */
static inline bool opts_stream(const struct client_opts *o)
{
	return o->test == TEST_STREAM || o->test == TEST_MAERTS || o->test == TEST_UDP_STREAM;
}

static inline bool opts_udp(const struct client_opts *o)
{
	return o->test == TEST_UDP_RR || o->test == TEST_UDP_STREAM;
}

struct server_opts {
	struct in_addr bind;
	uint32_t threads;
	uint32_t port_crr, port_rr, port_discard, port_chargen, port_verify,
		port_http; /* 0: not served */
	uint32_t request, response, block;
	const char *json;
};

/*
 * Fill @o from @argv (argv[0] is the subcommand). Strings stay the caller's.
 * Return 0, or -EINVAL after one clear line on stderr.
 */
int opts_client(int argc, char **argv, struct client_opts *o);
int opts_flood(int argc, char **argv, struct client_opts *o);	 /* host, port and count of it */
int opts_counters(int argc, char **argv, struct client_opts *o); /* host and port */
int opts_server(int argc, char **argv, struct server_opts *o);

/* Everything that crr --help prints. */
void opts_help(FILE *f);

#endif
