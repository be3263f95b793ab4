/* What a card offers by its switches, each alone; and those that contradict one another. */
#include <errno.h>
#include <string.h>

#include "devices/virtio/test/net_rig.h"
#include "vmm/base/test/messages.h"
#include "vmm/base/test/unit.h"

#define TSO \
	(F(GUEST_TSO4) | F(GUEST_TSO6) | F(GUEST_ECN) | F(HOST_TSO4) | F(HOST_TSO6) | F(HOST_ECN))
#define USO	  (F(GUEST_USO4) | F(GUEST_USO6) | F(HOST_USO))
#define CHECKSUMS (F(CSUM) | F(GUEST_CSUM) | F(CTRL_GUEST_OFFLOADS))
#define ALL_TAP	  (OFFLOADS | USO)
#define FIXED	  (F(MAC) | F(STATUS) | CONTROL | F(MTU) | BIT_ULL(VIRTIO_F_VERSION_1))
#define EVERY	  (FIXED | ALL_TAP | F(CTRL_GUEST_OFFLOADS) | F(MRG_RXBUF) | EVENT_IDX | INDIRECT)

/* What options_parse_list() has copied stays as long as the process: here the values that point into it do not. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
	return "leak:options_parse_list";
}

static int parse(const char *text, struct virtio_net_options *o)
{
	options_init(virtio_net_kind.options, o);
	return options_parse_list(virtio_net_kind.options, o, text, NULL, 0);
}

static uint64_t offered(void)
{
	return virtio_get_device_features(dev, 0) | (uint64_t)virtio_get_device_features(dev, 1)
							    << 32;
}

static void test_each_alone(void **state)
{
	static const struct {
		const char *text;
		uint64_t without;
	} cases[] = {
		{ "tap0", 0 },
		{ "tap0,offload=off", CHECKSUMS | TSO | USO },
		{ "tap0,csum=off", CHECKSUMS | TSO | USO },
		{ "tap0,tso=off", TSO },
		{ "tap0,uso=off", USO },
		{ "tap0,mrg=off", F(MRG_RXBUF) },
		{ "tap0,mergeable=off", F(MRG_RXBUF) },
		{ "tap0,event-idx=off", EVENT_IDX },
		{ "tap0,indirect=off", INDIRECT },
		{ "tap0,csum=off,tso=off,uso=off", CHECKSUMS | TSO | USO },
		{ "tap0,tso=off,uso=off", TSO | USO },
		{ "tap0,tso,csum,uso=on,mrg,mergeable,event-idx,indirect,offload", 0 },
		{ "tap0,csum=off,csum=on,tso=on", 0 }, /* the last word counts */
		{ "tap0,offload=off,csum=off,mrg=off,event-idx=off,indirect=off",
		  CHECKSUMS | TSO | USO | F(MRG_RXBUF) | EVENT_IDX | INDIRECT },
		{ "tap0,queue-size=64,poll=5", 0 },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		struct virtio_net_options o;

		assert_int_equal(parse(cases[i].text, &o), 0);
		memcpy(o.mac, mac, 6);
		create_with(ALL_TAP, &o);
		if (offered() != (EVERY & ~cases[i].without))
			fail_msg("%s: %llx, not %llx", cases[i].text, (unsigned long long)offered(),
				 (unsigned long long)(EVERY & ~cases[i].without));
		/* Frames pass with all that there is; and nothing else can be had. */
		start(offered() & ~BIT_ULL(VIRTIO_F_VERSION_1) & ~USO);
		check_alive();
		vdriver_reset(&d);
		teardown(NULL);
	}
}

static void test_contradictions(void **state)
{
	static const struct {
		const char *text, *says;
	} cases[] = {
		{ "tap0,csum=off,tso=on", "tso=on contradicts csum=off" },
		{ "tap0,tso,csum=off", "tso=on contradicts csum=off" },
		{ "tap0,csum=off,uso=on", "uso=on contradicts csum=off" },
		{ "tap0,offload=off,csum=on", "csum=on contradicts offload=off" },
		{ "tap0,offload=off,tso=on", "tso=on contradicts offload=off" },
		{ "tap0,offload=off,csum=off,uso=on", "uso=on contradicts csum=off" },
		{ "tap0,mrg=on,mergeable=off", "mrg=on contradicts mergeable=off" },
		{ "tap0,mrg=off,mergeable=on", "mergeable=on contradicts mrg=off" },
		{ "tap0,event-idx=maybe", "bad value 'maybe' for event-idx: expected on or off" },
		{ "tap0,indirect=", "bad value '' for indirect: expected on or off" },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		struct virtio_net_options o;

		messages_begin();
		const int ret = parse(cases[i].text, &o);
		const char *said = messages_end(), *end = strchr(said, '\n');

		assert_int_equal(ret, -EINVAL);
		if (!strstr(said, cases[i].says) || !end || end[1])
			fail_msg("%s: %s", cases[i].text, said);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_alone),
		cmocka_unit_test(test_contradictions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
