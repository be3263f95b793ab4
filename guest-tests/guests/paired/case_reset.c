/* The network device is reset again and again while frames come and go. */
#include "guest-tests/guests/paired/card.h"
#include "guest-tests/guests/paired/cases.h"
#include "guest-tests/guests/paired/clock.h"
#include "guest-tests/guests/paired/cmdline.h"
#include "guest-tests/guests/paired/console.h"
#include "guest-tests/guests/paired/counters.h"
#include "guest-tests/guests/paired/ip.h"
#include "guest-tests/guests/paired/lib.h"
#include "guest-tests/guests/paired/machine.h"
#include "guest-tests/guests/paired/services.h"

#define RESETS	   50
#define BETWEEN_US 5000
#define AFTER_US   20000000

/* Serves until time is up, or until so many frames have come. */
static void serve(uint64_t us, uint64_t frames)
{
	uint64_t deadline = clock_us() + us, before = counters.rx_packets;

	while (clock_us() < deadline && counters.rx_packets - before < frames) {
		card->poll(ip_receive);
		tcp_timers();
		tcp_flush();
		card->flush();
	}
}

static int case_reset(void)
{
	size_t length;
	const char *address = cmdline_find(machine.cmdline, "ip=", 0, &length);

	if (address == NULL || !cmdline_address(address, length, &net.address) ||
	    !card_start(false) || !card_open() || !tcp_start() || !echo_start())
		return 1;
	console_print("ready reset\n");
	serve(AFTER_US, 1); /* until somebody sends */
	for (int i = 0; i < RESETS; i++) {
		serve(BETWEEN_US, UINT64_MAX);
		if (!card->restart()) {
			console_print("reset: the device did not start again, the %uth time\n",
				      (uint32_t)i + 1);
			return 2;
		}
	}
	uint64_t before = counters.rx_packets;

	serve(AFTER_US, 3);
	console_print("reset: %lu frames behind the last\n", counters.rx_packets - before);
	return counters.rx_packets - before >= 3 ? 0 : 3;
}
GUEST_CASE("reset", case_reset);
