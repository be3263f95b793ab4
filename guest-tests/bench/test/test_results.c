/* Unit tests of what crr reads (the kernel's counters) and writes (its results). */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "guest-tests/bench/netstat.h"
#include "guest-tests/bench/out.h"
#include "vmm/base/test/unit.h"

static char dir[] = "/tmp/crr-test-XXXXXX";
static char written[4096];

static int make_dir(void **state)
{
	return mkdtemp(dir) ? 0 : -1;
}

static void put_file(const char *name, const char *text)
{
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	if (!text) {
		unlink(path);
		return;
	}
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static int remove_dir(void **state)
{
	put_file("snmp", NULL);
	put_file("netstat", NULL);
	put_file("dev", NULL);
	return rmdir(dir);
}

static struct netstat read_dir(const char *snmp, const char *netstat, const char *dev)
{
	struct netstat n;

	put_file("snmp", snmp);
	put_file("netstat", netstat);
	put_file("dev", dev);
	netstat_read(dir, "tap0", &n);
	return n;
}

static void counters_by_name(void **state)
{
	struct netstat n = read_dir("Ip: Forwarding RetransSegs\nIp: 1 99\n"
				    "Tcp: RtoMin MaxConn RetransSegs\nTcp: 200 -1 17\n",
				    "TcpExt: ListenDrops X ListenOverflows\nTcpExt: 5 6 7\n"
				    "IpExt: ListenDrops\nIpExt: 99\n",
				    "Inter-|   Receive  |  Transmit\n face |bytes |bytes\n"
				    "    lo: 1 2 3 4 5 6 7 8 9 10 11 12 13\n"
				    "  tap0: 100 9 0 0 0 0 0 0 900 8 7 42 0 0 0 0\n");

	assert_int_equal(n.value[NETSTAT_RETRANS_SEGS], 17);
	assert_int_equal(n.value[NETSTAT_LISTEN_DROPS], 5);
	assert_int_equal(n.value[NETSTAT_LISTEN_OVERFLOWS], 7);
	assert_int_equal(n.value[NETSTAT_TX_DROPPED], 42);
}

static void counters_missing(void **state)
{
	struct netstat none = read_dir(NULL, NULL, NULL);
	struct netstat some = read_dir("Tcp: RetransSegs\nTcp: 3\n", "TcpExt: ListenDrops\n",
				       "  tap00: 1 2 3 4 5 6 7 8 9 10 11 12\n tap0: 1 2 3\n");
	struct netstat cut = read_dir("Tcp: A RetransSegs\nTcp: 3\n", "", "");
	struct netstat d = netstat_delta(&none, &some);

	for (int i = 0; i < NETSTAT_COUNT; i++) {
		assert_int_equal(none.value[i], -1);
		assert_int_equal(cut.value[i], -1);
		assert_int_equal(d.value[i], -1);
	}
	assert_int_equal(some.value[NETSTAT_RETRANS_SEGS], 3);
	assert_int_equal(some.value[NETSTAT_LISTEN_DROPS], -1);
}

static void counters_grow(void **state)
{
	struct netstat a = { { 10, 0, -1 } }, b = { { 15, 0, 4 } };
	struct netstat d = netstat_delta(&a, &b);

	assert_int_equal(d.value[0], 5);
	assert_int_equal(d.value[1], 0);
	assert_int_equal(d.value[2], -1);
}

static const char *json_of(const struct out *o)
{
	FILE *f = fmemopen(written, sizeof(written), "w");

	assert_non_null(f);
	assert_int_equal(out_write_json(o, f), 0);
	fclose(f);
	return written;
}

static void json_is_valid(void **state)
{
	static struct out o;

	out_text(&o, "name", "a \"quoted\\ \n line");
	out_number(&o, "rate", 1234.56, 1);
	out_number(&o, "nan", NAN, 1);
	out_number(&o, "inf", INFINITY, 1);
	out_number(&o, "none", NAN, 0);
	assert_string_equal(json_of(&o),
			    "{\"name\": \"a \\\"quoted\\\\ \\u000a line\", \"rate\": 1234.6, "
			    "\"nan\": null, \"inf\": null, \"none\": null}\n");
}

static void tsv_keeps_its_columns(void **state)
{
	static struct out o;
	FILE *f = fmemopen(written, sizeof(written), "w");

	assert_non_null(f);
	out_text(&o, "name", "a\tb\nc");
	out_number(&o, "none", NAN, 0);
	assert_int_equal(out_write_tsv(&o, "my\tlabel", f), 0);
	fclose(f);
	assert_string_equal(written, "my label\tname\ta b c\nmy label\tnone\t\n");
}

static void too_many_fields_are_dropped(void **state)
{
	static struct out o;

	for (int i = 0; i < OUT_MAX_FIELDS + 10; i++)
		out_number(&o, "k", i, 0);
	assert_int_equal(o.count, OUT_MAX_FIELDS);
	assert_string_equal(o.field[OUT_MAX_FIELDS - 1].text, "95");
}

static void a_full_disk_is_an_error(void **state)
{
	static struct out o;
	FILE *f = fopen("/dev/full", "w");

	if (!f)
		skip();
	out_number(&o, "none", NAN, 0);
	assert_true(out_write_json(&o, f) < 0);
	fclose(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(counters_by_name),
		cmocka_unit_test(counters_missing),
		cmocka_unit_test(counters_grow),
		cmocka_unit_test(json_is_valid),
		cmocka_unit_test(tsv_keeps_its_columns),
		cmocka_unit_test(too_many_fields_are_dropped),
		cmocka_unit_test(a_full_disk_is_an_error),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
