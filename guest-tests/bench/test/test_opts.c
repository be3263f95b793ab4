/* Unit tests of crr's command line. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "guest-tests/bench/opts.h"
#include "vmm/base/test/messages.h"
#include "vmm/base/test/unit.h"

#define MAX_WORDS 16

static const char *message;

/* Parse one line of words; the error line is left in message. */
static int parse(const char *line, struct client_opts *client, struct server_opts *server)
{
	char *argv[MAX_WORDS + 1] = { NULL };
	char *copy = strdup(line), *save;
	int argc = 0, rc;

	assert_non_null(copy);
	for (char *w = strtok_r(copy, " ", &save); w && argc < MAX_WORDS;
	     w = strtok_r(NULL, " ", &save))
		argv[argc++] = w;
	messages_begin();
	rc = client ? opts_client(argc, argv, client) : opts_server(argc, argv, server);
	message = messages_end();
	free(copy);
	return rc;
}

static void client_defaults(void **state)
{
	struct client_opts o;

	assert_int_equal(parse("client 10.0.0.2", &o, NULL), 0);
	assert_int_equal(o.host.s_addr, inet_addr("10.0.0.2"));
	assert_int_equal(o.test, TEST_CRR);
	assert_int_equal(o.close, CLOSE_SERVER);
	assert_int_equal(o.connections, 1);
	assert_int_equal(o.rate, 0);
	assert_int_equal(o.seconds_ns, 10000000000u);
}

static void client_everything(void **state)
{
	struct client_opts o;

	assert_int_equal(parse("client --test rr --port=7 --connections 100 --threads 2 1.2.3.4 "
			       "--rate 5000 --seconds 0.5 --request 2K",
			       &o, NULL),
			 0);
	assert_int_equal(o.test, TEST_RR);
	assert_int_equal(o.port, 7);
	assert_int_equal(o.connections, 100);
	assert_int_equal(o.threads, 2);
	assert_int_equal(o.rate, 5000);
	assert_int_equal(o.seconds_ns, 500000000);
	assert_int_equal(o.request, 2048);
	assert_int_equal(
		parse("client 1.2.3.4 --source 10.0.0.1,10.0.0.2 --source-ports 1024-65535", &o,
		      NULL),
		0);
	assert_int_equal(o.source.count, 2);
	assert_int_equal(o.source.address[1].s_addr, inet_addr("10.0.0.2"));
	assert_int_equal(o.source_ports.low, 1024);
	assert_int_equal(o.source_ports.high, 65535);
}

/* Each line must be refused, and the message must name what is wrong. */
static void client_refuses(void **state)
{
	static const struct {
		const char *line, *says;
	} bad[] = {
		{ "client", "address" },
		{ "client localhost", "localhost" },
		{ "client 1.2.3", "1.2.3" },
		{ "client 1.2.3.4 5.6.7.8", "5.6.7.8" },
		{ "client 1.2.3.4 --nonsense 1", "'nonsense' (the nearest is" },
		{ "client 1.2.3.4 --connection 1", "connections" },
		{ "client 1.2.3.4 -v", "-v" },
		{ "client 1.2.3.4 --test", "--test" },
		{ "client 1.2.3.4 --test tcp", "tcp" },
		{ "client 1.2.3.4 --port 0", "'0'" },
		{ "client 1.2.3.4 --port 65536", "65536" },
		{ "client 1.2.3.4 --port 99999999999999999999", "9999" },
		{ "client 1.2.3.4 --port -1", "-1" },
		{ "client 1.2.3.4 --port 80x", "80x" },
		{ "client 1.2.3.4 --port=", "port" },
		{ "client 1.2.3.4 --connections 0", "connections" },
		{ "client 1.2.3.4 --threads 4", "threads" },
		{ "client 1.2.3.4 --seconds 0", "seconds" },
		{ "client 1.2.3.4 --seconds -1", "-1" },
		{ "client 1.2.3.4 --seconds inf", "inf" },
		{ "client 1.2.3.4 --seconds 0x10", "0x10" },
		{ "client 1.2.3.4 --seconds 1.2.3", "1.2.3" },
		{ "client 1.2.3.4 --seconds .", "'.'" },
		{ "client 1.2.3.4 --seconds 86401", "86401" },
		{ "client 1.2.3.4 --timeout 0", "timeout" },
		{ "client 1.2.3.4 --request 17M", "17M" },
		{ "client 1.2.3.4 --request 4194304G", "4194304G" },
		{ "client 1.2.3.4 --close both", "both" },
		{ "client 1.2.3.4 --source 1.2.3.4,", "source" },
		{ "client 1.2.3.4 --source 1.2.3.4,x", "source" },
		{ "client 1.2.3.4 --source-ports 1024", "source-ports" },
		{ "client 1.2.3.4 --source-ports 2000-1000", "source-ports" },
		{ "client 1.2.3.4 --source-ports 1-65536", "source-ports" },
		{ "client 1.2.3.4 --source-ports 123456789-2", "source-ports" },
		{ "client 1.2.3.4 --test stream --rate 5", "rate" },
		{ "client 1.2.3.4 --test udp_rr --request 65508", "65507" },
		{ "client 1.2.3.4 --test udp_stream --block 65508", "65507" },
		{ "client 1.2.3.4 --count 0", "count" },
		{ "client 1.2.3.4 --count 2G", "2147483647" },
		{ "client 1.2.3.4 --count 5 --rate 5", "count" },
		{ "client 1.2.3.4 --netperf 0", "netperf" },
		{ "client 1.2.3.4 --netperf 12865 --test rr --connections 2", "one connection" },
	};
	struct client_opts o;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (parse(bad[i].line, &o, NULL) != -EINVAL)
			fail_msg("accepted: %s", bad[i].line);
		if (!strstr(message, bad[i].says))
			fail_msg("%s: says '%s'", bad[i].line, message);
		/* One line, ours, ended. */
		assert_memory_equal(message, "crr: ", 5);
		assert_ptr_equal(strchr(message, '\n'), message + strlen(message) - 1);
	}
}

static void too_many_sources(void **state)
{
	char line[2048] = "client 1.2.3.4 --source 1.1.1.1";
	struct client_opts o;

	for (int i = 1; i < OPTS_MAX_SOURCES; i++)
		strcat(line, ",1.1.1.1");
	assert_int_equal(parse(line, &o, NULL), 0);
	assert_int_equal(o.source.count, OPTS_MAX_SOURCES);
	strcat(line, ",1.1.1.1");
	assert_int_equal(parse(line, &o, NULL), -EINVAL);
}

static void server_lines(void **state)
{
	struct server_opts o;

	assert_int_equal(parse("server", NULL, &o), 0);
	assert_int_equal(o.port_crr, PORT_CRR);
	assert_int_equal(o.bind.s_addr, INADDR_ANY);
	assert_int_equal(
		parse("server --bind 127.0.0.1 --chargen 0 --verify 0 --threads 2", NULL, &o), 0);
	assert_int_equal(o.port_chargen, 0);
	assert_int_equal(o.bind.s_addr, htonl(INADDR_LOOPBACK));
	assert_int_equal(parse("server 1.2.3.4", NULL, &o), -EINVAL);
	assert_int_equal(parse("server --bind here", NULL, &o), -EINVAL);
	assert_int_equal(parse("server --test crr", NULL, &o), -EINVAL);
	assert_int_equal(
		parse("server --crr 0 --rr 0 --discard 0 --chargen 0 --verify 0", NULL, &o),
		-EINVAL);
	assert_non_null(strstr(message, "nothing to serve"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(client_defaults), cmocka_unit_test(client_everything),
		cmocka_unit_test(client_refuses),  cmocka_unit_test(too_many_sources),
		cmocka_unit_test(server_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
